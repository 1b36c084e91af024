//! Cuts SIP messages from a byte stream by Content-Length (RFC 3261 18.3), and knows keep-alives (RFC 5626 3.5.1).
//!
//! Not for WebSocket: there a frame is a message (RFC 7118 5). A stream that once broke the rules is never read again,
//! because nobody can say where its next message begins; the same holds after a message that `Message::parse` refuses.
//! We do not guess a missing Content-Length, because RFC 3261 20.14 demands it on streams.

use bytes::{Buf, Bytes, BytesMut};

use super::message::MAX_MESSAGE_BYTES;
use super::message::Name;
use super::message::chars::{is_blank, number, trim};

/// The longest head, start line to empty line.
pub const MAX_HEAD_BYTES: usize = 32_768;

/// What came next on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One whole message.
    Message(Bytes),
    /// A double CRLF: the peer wants a [`PONG`].
    Ping,
    /// A single CRLF: the answer to our [`PING`].
    Pong,
}

/// The keep-alive that we send.
pub const PING: &[u8] = b"\r\n\r\n";

/// The answer to a keep-alive.
pub const PONG: &[u8] = b"\r\n";

/// Why a stream must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// No empty line within [`MAX_HEAD_BYTES`].
    #[error("head too long")]
    HeadTooLong,
    /// Head and body together beyond [`MAX_MESSAGE_BYTES`].
    #[error("message too long")]
    MessageTooLong,
    /// No Content-Length.
    #[error("no Content-Length")]
    NoContentLength,
    /// Content-Length twice, or not a number.
    #[error("ambiguous Content-Length")]
    BadContentLength,
}

/// Collects what a connection delivers and yields it message by message. Holds less than one message and one read.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
    /// No empty line starts before this offset.
    searched: usize,
    /// Length of the message at the front, once its head is there.
    expected: Option<usize>,
    /// A single CRLF was reported as a pong; a second one makes it a ping.
    half_ping: bool,
    broken: Option<FramingError>,
}

impl Framer {
    /// An empty one.
    pub fn new() -> Framer {
        Framer::default()
    }

    /// Takes bytes as they came; drain [`Framer::next_frame`] after each call.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole message or keep-alive; `None` until more bytes come. After an error always that error.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FramingError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let result = self.cut();
        if let Err(error) = result {
            self.broken = Some(error);
            self.buffer = BytesMut::new();
        }
        result
    }

    /// Bytes that wait for the rest of their message.
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len()
    }

    fn cut(&mut self) -> Result<Option<Frame>, FramingError> {
        if self.expected.is_none() {
            if let Some(frame) = self.keep_alive() {
                return Ok(Some(frame));
            }
            if matches!(self.buffer[..], [] | [b'\r']) {
                return Ok(None);
            }
            self.half_ping = false;
            self.expected = self.measure()?;
        }
        match self.expected {
            Some(length) if self.buffer.len() >= length => {
                (self.expected, self.searched) = (None, 0);
                Ok(Some(Frame::Message(self.buffer.split_to(length).freeze())))
            }
            _ => Ok(None),
        }
    }

    fn keep_alive(&mut self) -> Option<Frame> {
        if !self.buffer.starts_with(PONG) {
            return None;
        }
        if self.half_ping {
            self.buffer.advance(PONG.len());
            self.half_ping = false;
            return Some(Frame::Ping);
        }
        if self.buffer.starts_with(PING) {
            self.buffer.advance(PING.len());
            return Some(Frame::Ping);
        }
        self.buffer.advance(PONG.len());
        // The other half may be under way.
        self.half_ping = matches!(self.buffer[..], [] | [b'\r']);
        Some(Frame::Pong)
    }

    /// Length of the message at the front; `None` while its head is incomplete.
    fn measure(&mut self) -> Result<Option<usize>, FramingError> {
        let Some(at) = memchr::memmem::find(&self.buffer[self.searched..], b"\r\n\r\n") else {
            if self.buffer.len() > MAX_HEAD_BYTES {
                return Err(FramingError::HeadTooLong);
            }
            self.searched = self.buffer.len().saturating_sub(3);
            return Ok(None);
        };
        let head = self.searched + at + 4;
        if head > MAX_HEAD_BYTES {
            return Err(FramingError::HeadTooLong);
        }
        let body = content_length(&self.buffer[..head])?;
        if body > MAX_MESSAGE_BYTES - head {
            return Err(FramingError::MessageTooLong);
        }
        Ok(Some(head + body))
    }
}

/// Content-Length of a head, in whatever spelling, folded or not; exactly one.
fn content_length(head: &[u8]) -> Result<usize, FramingError> {
    let mut found: Option<Vec<u8>> = None;
    let mut in_it = false;
    // The first line is the start line, and the last two are empty.
    for line in memchr::memmem::find_iter(head, b"\r\n").zip(std::iter::once(0).chain(starts(head))).skip(1) {
        let line = &head[line.1..line.0];
        if line.first().is_some_and(|&b| is_blank(b)) {
            if let Some(value) = found.as_mut().filter(|_| in_it) {
                value.push(b' ');
                value.extend_from_slice(line);
            }
            continue;
        }
        let Some(colon) = line.iter().position(|&b| b == b':') else {
            in_it = false;
            continue;
        };
        in_it = Name::lookup(trim(&line[..colon])) == Name::ContentLength;
        if in_it {
            if found.is_some() {
                return Err(FramingError::BadContentLength);
            }
            found = Some(line[colon + 1..].to_vec());
        }
    }
    let value = found.ok_or(FramingError::NoContentLength)?;
    number(trim(&value), u64::from(u32::MAX)).map(|n| n as usize).ok_or(FramingError::BadContentLength)
}

fn starts(head: &[u8]) -> impl Iterator<Item = usize> {
    memchr::memmem::find_iter(head, b"\r\n").map(|at| at + 2)
}

/// Whether a datagram or WebSocket frame is a keep-alive: nothing but CR, LF and NUL.
pub fn is_keep_alive(datagram: &[u8]) -> bool {
    datagram.len() <= 8 && datagram.iter().all(|b| matches!(b, b'\r' | b'\n' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Message;

    fn message(extra: &str, body: &str) -> String {
        format!(
            "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n\
             Call-ID: 1\r\nCSeq: 1 OPTIONS\r\n{extra}\r\n{body}"
        )
    }

    fn with_body(body: &str) -> String {
        message(&format!("Content-Length: {}\r\n", body.len()), body)
    }

    fn all(framer: &mut Framer) -> Vec<Frame> {
        std::iter::from_fn(|| framer.next_frame().expect("a sound stream")).collect()
    }

    fn error(text: &str) -> FramingError {
        let mut framer = Framer::new();
        framer.push(text.as_bytes());
        framer.next_frame().expect_err("must be refused")
    }

    #[test]
    fn messages_are_cut_the_same_at_every_split() {
        let stream = format!("\r\n\r\n{}{}\r\n\r\n{}", with_body("one"), with_body(""), with_body("\r\n\r\nthree"));
        let mut whole = Framer::new();
        whole.push(stream.as_bytes());
        let expected = all(&mut whole);
        assert_eq!(expected.len(), 5);
        for split in 0..=stream.len() {
            let mut framer = Framer::new();
            let (one, two) = stream.as_bytes().split_at(split);
            framer.push(one);
            let mut frames = all(&mut framer);
            framer.push(two);
            frames.extend(all(&mut framer));
            // A ping that came in halves is a pong and a ping.
            frames.retain(|frame| *frame != Frame::Pong);
            assert_eq!(frames, expected, "split at {split}");
            assert_eq!(framer.pending_bytes(), 0);
        }
    }

    #[test]
    fn byte_by_byte_each_message_is_whole() {
        let text = with_body("body");
        let mut framer = Framer::new();
        let mut frames = Vec::new();
        for byte in text.repeat(3).as_bytes() {
            framer.push(&[*byte]);
            frames.extend(all(&mut framer));
        }
        assert_eq!(frames, vec![Frame::Message(Bytes::from(text)); 3]);
    }

    #[test]
    fn a_single_crlf_is_a_pong() {
        let mut framer = Framer::new();
        framer.push(b"\r\n");
        assert_eq!(all(&mut framer), [Frame::Pong]);
        framer.push(with_body("").as_bytes());
        assert!(matches!(all(&mut framer)[..], [Frame::Message(_)]));
    }

    #[test]
    fn compact_spaced_and_folded_content_length_is_found() {
        for header in ["l: 4", "L\t : 4", "Content-Length:\r\n 4", "CONTENT-LENGTH:4", "Subject: x\r\n l: 9\r\nl: 4"] {
            let text = message(&format!("{header}\r\n"), "body");
            let mut framer = Framer::new();
            framer.push(text.as_bytes());
            framer.push(b"REG");
            assert_eq!(all(&mut framer), [Frame::Message(Bytes::from(text))], "{header}");
            assert_eq!(framer.pending_bytes(), 3);
        }
    }

    #[test]
    fn a_framed_message_has_the_body_that_the_parser_sees() {
        let mut framer = Framer::new();
        framer.push(message("Odd: 1\r\n 2\r\nl :\r\n\t4\r\n", "bodyX").as_bytes());
        let Some(Frame::Message(raw)) = framer.next_frame().unwrap() else { panic!("a message") };
        assert_eq!(Message::parse(raw).unwrap().body(), b"body");
    }

    #[test]
    fn a_stream_without_or_with_two_content_lengths_is_broken() {
        assert_eq!(error(&message("", "")), FramingError::NoContentLength);
        assert_eq!(error(&message("l: 0\r\nContent-Length : 0\r\n", "")), FramingError::BadContentLength);
        assert_eq!(error(&message("l: 0\r\n 1\r\n", "")), FramingError::BadContentLength);
        for value in ["", "-1", "+1", "0x1", "1,1", "4294967296", "99999999999999999999999"] {
            assert_eq!(error(&message(&format!("l: {value}\r\n"), "")), FramingError::BadContentLength, "{value}");
        }
    }

    #[test]
    fn a_broken_stream_stays_broken_and_holds_nothing() {
        let mut framer = Framer::new();
        framer.push(message("", "").as_bytes());
        assert!(framer.next_frame().is_err());
        framer.push(with_body("").as_bytes());
        assert_eq!(framer.next_frame(), Err(FramingError::NoContentLength));
        assert_eq!(framer.pending_bytes(), 0);
    }

    #[test]
    fn limits_are_held_before_the_bytes_come() {
        assert_eq!(error(&message("l: 65500\r\n", "")), FramingError::MessageTooLong);
        assert_eq!(error(&"a".repeat(MAX_HEAD_BYTES + 1)), FramingError::HeadTooLong);
        assert_eq!(
            error(&message(&format!("X: {}\r\nl: 0\r\n", "a".repeat(MAX_HEAD_BYTES)), "")),
            FramingError::HeadTooLong
        );
    }

    #[test]
    fn keep_alives_in_datagrams_are_known() {
        assert!(is_keep_alive(b"") && is_keep_alive(b"\r\n\r\n") && is_keep_alive(b"\0\0\0\0"));
        assert!(!is_keep_alive(b"\r\nOPTIONS"));
    }
}
