//! From bytes to fields: the start line, the lines of the head, the folds. `check` judges the values.

use bytes::Bytes;
use smallvec::SmallVec;

use super::chars::{is_blank, is_token, is_uri, number, token, trim};
use super::malformed::{Flaw, bad};
use super::{CSeq, Field, MAX_HEADERS, MAX_MESSAGE_BYTES, Malformed, Method, Name, Parsed, Span, Start, check};

/// Reads and checks a message from the network.
pub(super) fn message(raw: Bytes) -> Result<Parsed, Malformed> {
    if raw.len() > MAX_MESSAGE_BYTES {
        return Err(Malformed { status: 513, reason: "Message Too Large", reply: None });
    }
    let mut draft = Draft::new(raw);
    let result = draft.read().and_then(|()| {
        let parsed = draft.finish()?;
        check::message(&parsed).map(|()| parsed)
    });
    result.map_err(|flaw| draft.refuse(flaw))
}

/// Reads a message of our own making: same lines, values unchecked.
pub(super) fn own(raw: Bytes) -> Parsed {
    let mut draft = Draft::new(raw);
    let sound = draft.read().is_ok();
    debug_assert!(sound, "the builder writes one field per line");
    draft.finish().unwrap_or_else(|_| draft.hollow())
}

/// A message while it is read.
struct Draft {
    raw: Bytes,
    unfolded: Option<Vec<u8>>,
    start: Result<Start, Flaw>,
    is_response: bool,
    fields: SmallVec<[Field; 24]>,
    body_at: usize,
}

impl Draft {
    fn new(raw: Bytes) -> Draft {
        let start = Err(bad("Missing Start Line"));
        Draft { raw, unfolded: None, start, is_response: false, fields: SmallVec::new(), body_at: 0 }
    }

    /// Reads the head. A bad start line is kept for later, so that the headers for a reply are read too.
    fn read(&mut self) -> Result<(), Flaw> {
        let raw = self.raw.clone();
        let mut at = 0;
        while raw[at..].starts_with(b"\r\n") {
            at += 2;
        }
        let line = next_line(&raw, at)?;
        self.is_response = line.len() >= 4 && line[..4].eq_ignore_ascii_case(b"SIP/");
        self.start = if self.is_response { status_line(line, at) } else { request_line(line, at) };
        at += line.len() + 2;
        loop {
            let line = next_line(&raw, at)?;
            match line.first() {
                None => break,
                Some(&first) if is_blank(first) => self.fold(at, line.len())?,
                Some(_) => self.field(at, line)?,
            }
            at += line.len() + 2;
        }
        self.body_at = at + 2;
        // NUL is legal as a quoted pair alone (RFC 4475 3.1.1.2).
        if memchr::memchr_iter(0, &raw[..at]).any(|nul| nul == 0 || raw[nul - 1] != b'\\') {
            return Err(bad("Control Character In Head"));
        }
        if self.unfolded.is_some() {
            self.trim_values();
        }
        Ok(())
    }

    fn field(&mut self, at: usize, line: &[u8]) -> Result<(), Flaw> {
        let colon = line.iter().position(|&b| !is_token(b)).ok_or(bad("Header Without Colon"))?;
        let gap = line[colon..].iter().position(|&b| !is_blank(b)).ok_or(bad("Header Without Colon"))?;
        if colon == 0 || line[colon + gap] != b':' {
            return Err(bad("Bad Header Name"));
        }
        let value = trim(&line[colon + gap + 1..]);
        let value_at = if value.is_empty() { at + line.len() } else { at + offset(line, value) };
        let name = Name::lookup(&line[..colon]);
        if self.fields.len() == MAX_HEADERS {
            return Err(bad("Too Many Headers"));
        }
        self.fields.push(Field { name, spelt: span(at, colon), value: span(value_at, value.len()) });
        Ok(())
    }

    /// A line that continues the one before (RFC 3261 7.3.1): the line break between them becomes two blanks.
    fn fold(&mut self, at: usize, len: usize) -> Result<(), Flaw> {
        let last = self.fields.last_mut().ok_or(bad("Fold Before The First Header"))?;
        last.value.end = (at + len) as u32;
        let copy = self.unfolded.get_or_insert_with(|| self.raw.to_vec());
        copy[at - 2..at].fill(b' ');
        Ok(())
    }

    fn trim_values(&mut self) {
        let text = self.unfolded.as_deref().unwrap_or(&self.raw);
        for field in &mut self.fields {
            let whole = field.value.of(text);
            let value = trim(whole);
            if !value.is_empty() {
                field.value = span(field.value.start as usize + offset(whole, value), value.len());
            } else {
                field.value.end = field.value.start;
            }
        }
    }

    fn finish(&mut self) -> Result<Parsed, Flaw> {
        let start = self.start.clone()?;
        let mut parsed = Parsed {
            raw: self.raw.clone(),
            unfolded: self.unfolded.clone().map(Bytes::from),
            start,
            fields: self.fields.clone(),
            body: span(self.body_at, self.raw.len().saturating_sub(self.body_at)),
            cseq: CSeq { number: 0, method: Method::Options },
        };
        if let Some(cseq) = value(&parsed, Name::CSeq).and_then(cseq) {
            parsed.cseq = cseq;
        }
        let length = value(&parsed, Name::ContentLength).and_then(|text| number(text, u64::from(u32::MAX)));
        if let Some(length) = length
            && length < u64::from(parsed.body.end - parsed.body.start)
        {
            parsed.body.end = parsed.body.start + length as u32;
        }
        Ok(parsed)
    }

    /// What is left of a message of our own that could not be read: nothing but its bytes.
    fn hollow(&self) -> Parsed {
        Parsed {
            raw: self.raw.clone(),
            unfolded: None,
            start: Start::Response { status: 0, reason: Span::default() },
            fields: SmallVec::new(),
            body: Span::default(),
            cseq: CSeq { number: 0, method: Method::Options },
        }
    }

    /// The refusal, with a reply where the message was a request that says where to send one.
    fn refuse(&self, flaw: Flaw) -> Malformed {
        let mut malformed = Malformed { status: flaw.status, reason: flaw.reason, reply: None };
        let is_ack = match &self.start {
            Ok(Start::Request { method, .. }) => *method == Method::Ack,
            Ok(Start::Response { .. }) => true,
            Err(_) => self.raw.starts_with(b"ACK "),
        };
        if self.is_response || is_ack {
            return malformed;
        }
        let text = self.unfolded.as_deref().unwrap_or(&self.raw);
        let all = |name: Name| self.fields.iter().filter(move |field| field.name == name).map(|f| f.value.of(text));
        let needed = [Name::From, Name::To, Name::CallId, Name::CSeq];
        if all(Name::Via).next().is_none() || needed.iter().any(|&name| all(name).next().is_none()) {
            return malformed;
        }
        let mut reply = super::Builder::response(flaw.status, flaw.reason);
        for via in all(Name::Via) {
            reply = reply.header(Name::Via, via);
        }
        for name in needed {
            reply = reply.header(name, all(name).next().unwrap_or_default());
        }
        malformed.reply = Some(reply.build());
        malformed
    }
}

fn span(start: usize, len: usize) -> Span {
    Span { start: start as u32, end: (start + len) as u32 }
}

/// Where `part`, a slice of `whole`, begins in it.
fn offset(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

/// The line at `at` without its CRLF. Bare CR and bare LF are refused: peers disagree about what they mean.
fn next_line(raw: &[u8], at: usize) -> Result<&[u8], Flaw> {
    let rest = raw.get(at..).unwrap_or_default();
    let end = memchr::memchr2(b'\r', b'\n', rest).ok_or(bad("Head Does Not End"))?;
    match rest[end..] {
        [b'\r', b'\n', ..] => Ok(&rest[..end]),
        _ => Err(bad("Control Character In Head")),
    }
}

/// The value of a field, first one.
pub(super) fn value(parsed: &Parsed, name: Name) -> Option<&[u8]> {
    let field = parsed.fields.iter().find(|field| field.name == name)?;
    Some(field.value.of(parsed.text()))
}

fn request_line(line: &[u8], at: usize) -> Result<Start, Flaw> {
    let mut words = line.split(|&b| b == b' ');
    let (Some(method), Some(uri), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad("Bad Request Line"));
    };
    let method = Method::parse(method).ok_or(bad("Bad Method"))?;
    check_version(version)?;
    if uri.is_empty() || !uri.iter().all(|&b| is_uri(b)) {
        return Err(bad("Bad Request-URI"));
    }
    let uri = span(at + offset(line, uri), uri.len());
    Ok(Start::Request { method, uri })
}

fn status_line(line: &[u8], at: usize) -> Result<Start, Flaw> {
    let mut words = line.splitn(3, |&b| b == b' ');
    check_version(words.next().unwrap_or_default())?;
    let status = words.next().filter(|text| text.len() == 3).and_then(|text| number(text, 699));
    let status = status.filter(|&status| status >= 100).ok_or(bad("Bad Status Code"))? as u16;
    let reason = words.next().unwrap_or_default();
    Ok(Start::Response { status, reason: span(at + line.len() - reason.len(), reason.len()) })
}

fn check_version(text: &[u8]) -> Result<(), Flaw> {
    if text.eq_ignore_ascii_case(b"SIP/2.0") {
        return Ok(());
    }
    let well_formed = text.len() > 4 && text[..4].eq_ignore_ascii_case(b"SIP/") && {
        let mut parts = text[4..].split(|&b| b == b'.');
        let digits = |part: Option<&[u8]>| part.is_some_and(|p| !p.is_empty() && p.iter().all(u8::is_ascii_digit));
        digits(parts.next()) && digits(parts.next()) && parts.next().is_none()
    };
    Err(if well_formed { Flaw { status: 505, reason: "Version Not Supported" } } else { bad("Bad Version") })
}

/// `number method`, the number below 2^31 (RFC 3261 8.1.1.5).
pub(super) fn cseq(text: &[u8]) -> Option<CSeq> {
    let end = text.iter().position(|&b| is_blank(b))?;
    let number = number(&text[..end], (1 << 31) - 1)? as u32;
    token(trim(&text[end..]))?;
    Some(CSeq { number, method: Method::parse(trim(&text[end..]))? })
}
