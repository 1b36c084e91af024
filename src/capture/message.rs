//! SIP messages as they stand in a capture.
//!
//! The media in a capture is not encrypted, while browsers' descriptions say that it is (`UDP/TLS/RTP/SAVPF`, RFC 5764), so
//! that a reader would take its payload for cipher text. There the profile is written as `RTP/AVPF`, and for each such m-line
//! a line `a=plain` is added at the end: the message keeps its length, and shows that it was changed. Nothing else is.

use std::borrow::Cow;

const ENCRYPTED: &[u8] = b" UDP/TLS/RTP/SAVPF ";
const PLAIN: &[u8] = b" RTP/AVPF ";
/// As long as what [`PLAIN`] is shorter.
const MARK: &[u8] = b"a=plain\r\n";
const _: () = assert!(PLAIN.len() + MARK.len() == ENCRYPTED.len());

/// Returns a message with its descriptions' profiles as they are in the capture; of the same length.
pub fn plain(message: &[u8]) -> Cow<'_, [u8]> {
    let Some(body) = message.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4) else { return message.into() };
    let media = |line: &[u8]| line.starts_with(b"m=").then(|| find(line, ENCRYPTED)).flatten();
    let is_told = message[body..].split_inclusive(|b| *b == b'\n').any(|line| media(line).is_some());
    // Without a line's end behind it, a line that is added would not be one.
    if !is_told || !message.ends_with(b"\n") {
        return message.into();
    }
    let mut out = message[..body].to_vec();
    let mut marks = 0;
    for line in message[body..].split_inclusive(|b| *b == b'\n') {
        match media(line) {
            Some(at) => {
                out.extend_from_slice(&line[..at]);
                out.extend_from_slice(PLAIN);
                out.extend_from_slice(&line[at + ENCRYPTED.len()..]);
                marks += 1;
            }
            None => out.extend_from_slice(line),
        }
    }
    (0..marks).for_each(|_| out.extend_from_slice(MARK));
    out.into()
}

fn find(line: &[u8], part: &[u8]) -> Option<usize> {
    line.windows(part.len()).position(|w| w == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_of_a_browser_is_written_as_plain_and_the_length_stays() {
        let message = b"SIP/2.0 200 OK\r\nX: m=audio 1 UDP/TLS/RTP/SAVPF 0\r\nContent-Length: 71\r\n\r\n\
            v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=x\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\n";
        let written = plain(message);
        assert_eq!(written.len(), message.len());
        let text = String::from_utf8(written.into_owned()).unwrap();
        assert!(
            text.ends_with(
                "\r\n\r\nv=0\r\nm=audio 9 RTP/AVPF 111 0\r\na=x\r\nm=video 0 RTP/AVPF 96\r\na=plain\r\na=plain\r\n"
            ),
            "{text}"
        );
        assert!(text.contains("\r\nX: m=audio 1 UDP/TLS/RTP/SAVPF 0\r\n"), "header fields stay: {text}");
    }

    #[test]
    fn every_other_message_stays_as_it_is() {
        for message in [
            &b"OPTIONS sip:a SIP/2.0\r\n\r\n"[..],
            b"INVITE sip:a SIP/2.0\r\n\r\nv=0\r\nm=audio 4000 RTP/AVP 0\r\n",
            b"INFO sip:a SIP/2.0\r\n\r\nUDP/TLS/RTP/SAVPF ",
            b"INVITE sip:a SIP/2.0\r\n\r\nv=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111",
            b"no message",
            b"",
        ] {
            assert!(matches!(plain(message), Cow::Borrowed(same) if same == message));
        }
    }
}
