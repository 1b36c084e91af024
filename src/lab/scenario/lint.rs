//! What is asked of every message of the gateway, whatever the scenario: that a second parser reads it, that it copies what
//! it has to copy (RFC 3261 8.2.6.2), that its numbers count on, and that its SDP holds only what was negotiated.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::super::message;
use super::text::{all, body_of, first_line, header, method, parameter, status, uri, user};

/// What was seen of the dialogs so far.
#[derive(Debug, Default)]
pub(super) struct Lint {
    /// Requests sent, by branch and method.
    requests: HashMap<(String, String), String>,
    /// Tag of the To in responses, by branch and method.
    tags: HashMap<(String, String), String>,
    /// Last CSeq of the gateway's requests and last Contact of ours, by Call-ID.
    numbers: HashMap<String, u32>,
    contacts: HashMap<String, String>,
    /// Payload types that we named, by Call-ID.
    formats: HashMap<String, Vec<String>>,
}

fn branch(text: &str) -> String {
    header(text, "Via").and_then(|via| parameter(via, "branch")).unwrap_or_default().to_owned()
}

fn call_id(text: &str) -> String {
    header(text, "Call-ID").unwrap_or_default().to_owned()
}

fn formats(text: &str) -> Vec<String> {
    let line = body_of(text).lines().find_map(|l| l.strip_prefix("m=audio "));
    line.map(|l| l.split_whitespace().skip(2).map(str::to_owned).collect()).unwrap_or_default()
}

impl Lint {
    /// Takes note of a message that we send.
    pub fn sent(&mut self, text: &str) {
        let id = call_id(text);
        if let Some(contact) = header(text, "Contact") {
            self.contacts.insert(id.clone(), uri(contact).to_owned());
        }
        self.formats.entry(id).or_default().extend(formats(text));
        if status(text).is_none() {
            self.requests.insert((branch(text), method(text).to_owned()), text.to_owned());
        }
    }

    /// Looks at a message of the gateway; `dn` is the user that its Contact must name.
    ///
    /// # Errors
    /// One line: what is wrong with it.
    pub fn received(&mut self, bytes: &[u8], from: SocketAddr, dn: &str) -> Result<(), String> {
        message::read(bytes, from).map_err(|why| format!("rsip: {why}"))?;
        let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
        let length = header(text, "Content-Length").and_then(|l| l.parse::<usize>().ok());
        let has = body_of(text).len();
        if length != Some(has) {
            return Err(format!("Content-Length {length:?}, but the body has {has} bytes"));
        }
        if all(text, "Content-Length").count() != 1 || text.contains("\r\n ") || text.contains("\r\n\t") {
            return Err("two Content-Length, or a folded line".to_owned());
        }
        self.body(text)?;
        if status(text).is_some() { self.response(text, dn) } else { self.request(text) }
    }

    /// An offer of the gateway may name what it likes; an answer only what we offered. Comfort noise never.
    fn body(&self, text: &str) -> Result<(), String> {
        let body = body_of(text);
        let named = formats(text);
        if named.iter().any(|pt| pt == "13") || body.to_ascii_lowercase().contains(" cn/8000") {
            return Err("comfort noise in the SDP".to_owned());
        }
        let is_answer = status(text).is_some() && self.offered(text);
        let known = self.formats.get(&call_id(text));
        let ours = |pt: &String| known.is_some_and(|known| known.contains(pt));
        match named.iter().find(|pt| is_answer && !ours(pt)) {
            Some(pt) => Err(format!("the answer holds payload type {pt}, which was not offered")),
            None => Ok(()),
        }
    }

    fn offered(&self, text: &str) -> bool {
        let request = self.requests.get(&(branch(text), method(text).to_owned()));
        request.is_some_and(|request| !body_of(request).is_empty())
    }

    fn response(&mut self, text: &str, dn: &str) -> Result<(), String> {
        let key = (branch(text), method(text).to_owned());
        let Some(request) = self.requests.get(&key) else {
            return Err(format!("a response to no request of ours: branch {}", key.0));
        };
        for name in ["From", "Call-ID", "CSeq"] {
            if header(text, name) != header(request, name) {
                return Err(format!("{name} is not the one of the request: {:?}", header(request, name)));
            }
        }
        let sent: Vec<&str> = all(request, "Via").collect();
        let copied = all(text, "Via").zip(&sent).all(|(theirs, ours)| theirs.starts_with(ours));
        if all(text, "Via").count() != sent.len() || !copied {
            return Err(format!("Via is not the one of the request: {sent:?}"));
        }
        let (asked, told) = (header(request, "To").unwrap_or_default(), header(text, "To").unwrap_or_default());
        let is_trying = status(text) == Some("100");
        if !told.starts_with(asked) {
            return Err(format!("To is not the one of the request: {asked}"));
        }
        if parameter(asked, "tag").is_none() && !is_trying {
            let Some(tag) = parameter(told, "tag") else { return Err("no tag in To".to_owned()) };
            let known = self.tags.entry(key.clone()).or_insert_with(|| tag.to_owned());
            if known != tag {
                return Err(format!("the tag of To was {known} before"));
            }
        }
        let makes_dialog = key.1 == "INVITE" && !is_trying && matches!(status(text), Some(s) if s < "300");
        let contact = header(text, "Contact").map_or("", user);
        if makes_dialog && contact != dn {
            return Err(format!("the Contact names the user {contact:?}, not {dn}"));
        }
        Ok(())
    }

    fn request(&mut self, text: &str) -> Result<(), String> {
        let (id, method) = (call_id(text), method(text));
        if !branch(text).starts_with("z9hG4bK") {
            return Err("the branch has no magic cookie".to_owned());
        }
        if header(text, "Max-Forwards").is_none() {
            return Err("no Max-Forwards".to_owned());
        }
        let number = header(text, "CSeq").and_then(|c| c.split_whitespace().next()?.parse::<u32>().ok());
        let number = number.ok_or("no number in CSeq")?;
        let last = self.numbers.get(&id).copied();
        let counts = match method {
            "ACK" | "CANCEL" => true,
            _ => last.is_none_or(|last| number > last),
        };
        if !counts {
            return Err(format!("CSeq {number} after {last:?}"));
        }
        if !matches!(method, "ACK" | "CANCEL") {
            self.numbers.insert(id.clone(), number);
        }
        let in_dialog = header(text, "To").is_some_and(|to| parameter(to, "tag").is_some());
        let target = first_line(text).split(' ').nth(1).unwrap_or_default();
        match self.contacts.get(&id) {
            // The ACK of a refusal goes where the INVITE went (RFC 3261 17.1.1.3).
            Some(contact) if in_dialog && method != "ACK" && contact != target => {
                Err(format!("the Request-URI is not our Contact: {contact}"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:5001@h SIP/2.0\r\nFrom: sip:1@s;tag=a\r\nTo: <sip:5001@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\
        Content-Length: 0\r\nVia: SIP/2.0/UDP s;branch=z9hG4bKx\r\n\r\nv=0\r\nm=audio 9 RTP/AVP 120 8 101\r\n";
    const ANSWER: &str = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP s;branch=z9hG4bKx\r\nFrom: sip:1@s;tag=a\r\nTo: <sip:5001@h>;tag=b\r\n\
        Call-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:5001@g>\r\nContent-Length: 38\r\n\r\nv=0\r\nm=audio 7 RTP/AVP 8 101\r\na=ptime\r\n";

    fn verdict(message: &str) -> Result<(), String> {
        let mut lint = Lint::default();
        lint.sent(INVITE);
        lint.received(message.as_bytes(), "127.0.0.1:1".parse().unwrap(), "5001")
    }

    #[test]
    fn a_good_answer_passes() {
        assert_eq!(verdict(&ANSWER.replace("38", &body_of(ANSWER).len().to_string())), Ok(()));
    }

    #[test]
    fn what_was_not_copied_or_not_offered_is_found() {
        let good = ANSWER.replace("38", &body_of(ANSWER).len().to_string());
        for (from, to, told) in [
            ("sip:1@s;tag=a", "<sip:1@s>;tag=a", "From"),
            ("branch=z9hG4bKx", "branch=z9hG4bKy", "response to no request"),
            ("UDP s;branch", "UDP t;branch", "Via"),
            (";tag=b", "", "no tag"),
            ("<sip:5001@g>", "<sip:g>", "names the user"),
            ("7 RTP/AVP 8 101", "7 RTP/AVP 8 102", "not offered"),
            ("7 RTP/AVP 8 101", "7 RTP/AVP 8 13 ", "comfort noise"),
            ("\r\na=ptime", "\r\na=ptim", "Content-Length"),
        ] {
            let verdict = verdict(&good.replace(from, to));
            assert!(verdict.as_ref().is_err_and(|e| e.contains(told)), "{told}: {verdict:?}");
        }
    }

    #[test]
    fn a_request_that_counts_back_is_found() {
        let mut lint = Lint::default();
        let bye = |n: u32| {
            format!(
                "BYE sip:x@s SIP/2.0\r\nVia: SIP/2.0/UDP g;branch=z9hG4bK{n}\r\nMax-Forwards: 70\r\nFrom: <sip:1@s>;tag=a\r\n\
                 To: <sip:2@s>;tag=b\r\nCall-ID: c\r\nCSeq: {n} BYE\r\nContent-Length: 0\r\n\r\n"
            )
        };
        let mut verdict = |text: String| lint.received(text.as_bytes(), "127.0.0.1:1".parse().unwrap(), "5001");
        assert_eq!(verdict(bye(7)), Ok(()));
        assert!(verdict(bye(7)).is_err_and(|e| e.contains("CSeq 7")));
    }
}
