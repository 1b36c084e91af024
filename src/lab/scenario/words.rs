//! What a running scenario knows: where it plays, every message sent and received, and how both fill the shapes.

use std::time::Instant;

use super::player::Stage;
use super::script::{Params, Pattern};
use super::{shape, text};

/// The customer that calls.
const CUSTOMER: &str = "5551234567";

/// A message that went over the wire.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub name: String,
    pub text: String,
    /// Position in [`Stage::peers`].
    pub peer: usize,
    /// The first of its kind.
    pub at: Instant,
    /// How often it came again.
    pub repeats: usize,
    pub is_ours: bool,
    /// A step wanted it.
    pub is_taken: bool,
    /// It was answered by itself: no step need want it.
    pub is_auto: bool,
}

/// The memory of one run.
#[derive(Debug)]
pub(super) struct Words {
    pub stage: Stage,
    seen: Vec<Seen>,
}

fn of<'a>(params: &'a Params, name: &str) -> Option<&'a str> {
    params.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

fn call_id(message: &str) -> &str {
    text::header(message, "Call-ID").unwrap_or_default()
}

/// Tells whether a body is a sipfrag of this status: three digits alone stand in many a tag.
fn is_frag(body: &str, status: &str) -> bool {
    body.strip_prefix("SIP/2.0 ").is_some_and(|rest| rest.starts_with(status))
}

fn branch(message: &str) -> Option<&str> {
    text::parameter(text::header(message, "Via")?, "branch")
}

impl Words {
    pub fn new(stage: Stage) -> Self {
        Words { stage, seen: Vec::new() }
    }

    pub fn peer(&self, name: &str) -> Result<usize, String> {
        self.stage.peers.iter().position(|(n, _)| n == name).ok_or_else(|| format!("no peer {name}"))
    }

    pub fn end(&self, name: &str) -> Result<usize, String> {
        self.stage.ends.iter().position(|(n, _)| n == name).ok_or_else(|| format!("no end {name}"))
    }

    pub fn find(&self, name: &str) -> Result<&Seen, String> {
        self.seen.iter().rfind(|s| s.name == name).ok_or_else(|| format!("no message is called {name}"))
    }

    pub fn sent(&mut self, peer: usize, text: String, name: &str, at: Instant) {
        let name = name.to_owned();
        self.seen.push(Seen { name, text, peer, at, repeats: 0, is_ours: true, is_taken: true, is_auto: false });
    }

    /// Keeps what arrived, and returns the name that it has until a step gives it another.
    pub fn take_in(&mut self, peer: usize, text: String, at: Instant) -> String {
        let name = format!("message-{}", self.seen.len());
        self.seen.push(Seen {
            name: name.clone(),
            text,
            peer,
            at,
            repeats: 0,
            is_ours: false,
            is_taken: false,
            is_auto: false,
        });
        name
    }

    pub fn mark_taken(&mut self, name: &str) {
        self.seen.iter_mut().filter(|s| s.name == name).for_each(|s| s.is_taken = true);
    }

    pub fn mark_auto(&mut self, name: &str) {
        self.seen.iter_mut().filter(|s| s.name == name).for_each(|s| s.is_auto = true);
    }

    pub fn rename(&mut self, name: &str, to: &str) {
        self.seen.iter_mut().filter(|s| s.name == name).for_each(|s| to.clone_into(&mut s.name));
    }

    /// Counts a retransmission; `None`: it is none. What answered its first comes back, where something did.
    pub fn again(&mut self, message: &str) -> Option<Option<(usize, Vec<u8>)>> {
        let first = self.seen.iter_mut().find(|s| !s.is_ours && s.text == message)?;
        first.repeats += 1;
        let number = |m: &str| text::header(m, "CSeq").and_then(|c| c.split(' ').next().map(str::to_owned));
        let is_answer = |ours: &Seen| match text::status(message) {
            None => text::status(&ours.text).is_some() && branch(&ours.text) == branch(message),
            Some(status) => {
                status >= "200"
                    && text::method(&ours.text) == "ACK"
                    && text::method(message) == "INVITE"
                    && call_id(&ours.text) == call_id(message)
                    && number(&ours.text) == number(message)
            }
        };
        let answer = self.seen.iter().rfind(|s| s.is_ours && is_answer(s));
        Some(answer.map(|s| (s.peer, s.text.clone().into_bytes())))
    }

    fn matches(&self, seen: &Seen, what: &Pattern) -> Result<bool, String> {
        if seen.is_ours || seen.is_taken || text::method(&seen.text) != what.method {
            return Ok(false);
        }
        let status = match (text::status(&seen.text), &what.status) {
            (None, None) => true,
            (Some(has), Some(wanted)) => has.bytes().zip(wanted.bytes()).all(|(h, w)| w == b'x' || h == w),
            _ => false,
        };
        let at = of(&what.of, "at").map(|peer| self.peer(peer)).transpose()?;
        if !status
            || at.is_some_and(|at| at != seen.peer)
            || of(&what.of, "has").is_some_and(|part| !seen.text.contains(part))
            || of(&what.of, "frag").is_some_and(|status| !is_frag(text::body_of(&seen.text), status))
        {
            return Ok(false);
        }
        Ok(self.dialog(&what.of, "call-id")?.is_none_or(|id| id == call_id(&seen.text)))
    }

    /// Returns the first message that no step took and that is as asked.
    pub fn first(&self, what: &Pattern) -> Result<Option<&Seen>, String> {
        for seen in &self.seen {
            if self.matches(seen, what)? {
                return Ok(Some(seen));
            }
        }
        Ok(None)
    }

    /// Returns a final response other than the one that is waited for.
    pub fn other_end(&self, what: &Pattern) -> Result<Option<&str>, String> {
        if what.status.is_none() || what.of.is_empty() {
            return Ok(None);
        }
        let any = |status: &str| Pattern { status: Some(status.to_owned()), ..what.clone() };
        for status in ["2xx", "3xx", "4xx", "5xx", "6xx"] {
            if let Some(seen) = self.first(&any(status))? {
                return Ok(Some(&seen.text));
            }
        }
        Ok(None)
    }

    /// Returns what no step wanted: provisional responses may come or not.
    pub fn unexpected(&self) -> Option<&Seen> {
        self.seen
            .iter()
            .find(|s| !s.is_taken && !s.is_auto && text::status(&s.text).is_none_or(|status| status >= "200"))
    }

    pub fn leftovers(&self) -> String {
        let left = self.seen.iter().filter(|s| !s.is_taken && !s.is_auto).map(|s| format!("  not taken: {}", s.text));
        left.collect::<Vec<_>>().join("\n")
    }

    /// Writes a message from its shape.
    pub fn write(&self, peer: usize, name: &str, params: &Params) -> Result<String, String> {
        let value = |key: &str| self.value(key, params, peer, None);
        let body: String = match of(params, "body") {
            Some(body) => {
                let body = text::expand(body, &value)?;
                if body.starts_with("v=") {
                    return self.finish(name, params, peer, body);
                }
                text::body(&text::expand(shape(&body).ok_or_else(|| format!("no shape {body}"))?, &value)?)
            }
            None => String::new(),
        };
        self.finish(name, params, peer, body)
    }

    fn finish(&self, name: &str, params: &Params, peer: usize, body: String) -> Result<String, String> {
        let head = shape(name).ok_or_else(|| format!("no shape {name}"))?;
        let head = text::expand(head, &|key: &str| self.value(key, params, peer, Some(body.len())))?;
        Ok(text::wire(&head, &body))
    }

    /// Fills a value of a check.
    pub fn expand(&self, template: &str) -> Result<String, String> {
        text::expand(template, &|key| self.value(key, &Vec::new(), 0, None))
    }

    fn value(&self, key: &str, params: &Params, peer: usize, length: Option<usize>) -> Option<String> {
        if let Some(value) = of(params, key) {
            return Some(value.to_owned());
        }
        let (first, rest) = key.split_once('.').map_or((key, ""), |(first, rest)| (first, rest));
        let first = of(params, first).unwrap_or(first);
        let guid = &self.stage.guid;
        match (first, rest) {
            ("length", "") => return Some(length?.to_string()),
            ("dn", "") => return Some(self.stage.dn.clone()),
            ("customer", "") => return Some(CUSTOMER.to_owned()),
            ("guid", "") => return Some(guid.clone()),
            ("uuid", "") => return Some(uuid(guid, 'A')),
            ("uuid2", "") => return Some(uuid(guid, 'B')),
            ("local" | "remote" | "target" | "call-id", "") => return self.dialog(params, first).ok()?,
            _ => {}
        }
        let own = &self.stage.peers[peer].1;
        let known = match first {
            "gateway" => Some(&self.stage.gateway),
            "self" => Some(own),
            name => {
                let all = self.stage.peers.iter().chain(&self.stage.ends);
                all.into_iter().find(|(n, _)| n == name).map(|(_, address)| address)
            }
        };
        match (known, rest) {
            (Some(address), "") => return Some(address.to_string()),
            (Some(address), "ip") => return Some(address.ip().to_string()),
            (Some(address), "port") => return Some(address.port().to_string()),
            _ => {}
        }
        self.part(&self.find(first).ok()?.text, rest)
    }

    /// Returns a part of a message: `body`, `Contact`, `Contact.uri`, `To.tag`; all Via lines of it for `Via`.
    fn part(&self, message: &str, part: &str) -> Option<String> {
        match part.split_once('.') {
            None if part == "body" => Some(text::body_of(message).to_owned()),
            None if part == "Via" => Some(text::all(message, "Via").collect::<Vec<_>>().join("\nVia: ")),
            None => text::header(message, part).map(str::to_owned),
            Some((name, "uri")) => text::header(message, name).map(|v| text::uri(v).to_owned()),
            Some((name, "user")) => text::header(message, name).map(|v| text::user(v).to_owned()),
            Some((name, parameter)) => text::parameter(text::header(message, name)?, parameter).map(str::to_owned),
        }
    }

    /// Returns an identifier of the dialog that `call=N` or `of=NAME` means; `None` where there is neither.
    fn dialog(&self, params: &Params, part: &str) -> Result<Option<String>, String> {
        let guid = &self.stage.guid;
        let server = self.stage.peers[0].1;
        let (id, local) = match (of(params, "call"), of(params, "of")) {
            (Some(call), _) => {
                (format!("{guid}-{call}@{}", server.ip()), format!("<sip:{CUSTOMER}@{server}>;tag={guid}-{call}"))
            }
            (None, Some(name)) => {
                let message = &self.find(name)?.text;
                let to = text::header(message, "To").unwrap_or_default();
                let local = match text::parameter(to, "tag") {
                    Some(_) => to.to_owned(),
                    None => format!("{to};tag={guid}-{name}"),
                };
                (call_id(message).to_owned(), local)
            }
            (None, None) => return Ok(None),
        };
        let theirs = || self.seen.iter().filter(|s| !s.is_ours && call_id(&s.text) == id);
        let last = |header: &str| theirs().rev().find_map(|s| text::header(&s.text, header).map(str::to_owned));
        Ok(match part {
            "call-id" => Some(id),
            "local" => Some(local),
            "target" => last("Contact").map(|c| text::uri(&c).to_owned()),
            _ => {
                let tagged = theirs().rev().find_map(|s| {
                    let side = if text::status(&s.text).is_some() { "To" } else { "From" };
                    text::header(&s.text, side).filter(|v| text::parameter(v, "tag").is_some())
                });
                tagged.map(str::to_owned)
            }
        })
    }
}

/// 32 characters `[0-9A-Z]`.
fn uuid(guid: &str, last: char) -> String {
    let mut uuid: String = guid.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    uuid.truncate(30);
    format!("{uuid:0<30}0{last}")
}
