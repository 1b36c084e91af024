//! One SIP message: parsed once, checked once, then read as a view of its bytes.
//!
//! RFC 3261 7 and 25, compact forms, folding, RFC 4475 and 5118. Values are slices of the datagram; only a message
//! with folded lines is copied, its folds blanked out. Header values may hold any bytes but CR, LF and NUL.
//!
//! Ambiguity is refused: a second Content-Length, From, To, Call-ID, CSeq, Max-Forwards, … in whatever spelling; bare CR
//! or LF; a fold before the first header; a tag or branch twice in one value. Blanks before the colon are legal (HCOLON; RFC 4475 3.1.1.1) and so accepted:
//! they are stripped before the name is looked up, hence `Content-Length :` beside `l:` is a second Content-Length.
//! We do not repair: what is refused is answered with the status in [`Malformed`], never guessed at.

pub mod build;
pub(crate) mod chars;
mod check;
mod malformed;
mod method;
mod name;
mod nameaddr;
mod parse;
#[cfg(test)]
mod tests;
mod via;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use smallvec::SmallVec;

pub use build::{Builder, default_reason};
use chars::{Elements, trim};
pub use malformed::Malformed;
pub use method::Method;
pub use name::{HeaderName, Name};
pub use nameaddr::{NameAddr, NameAddrError, Params};
pub use via::Via;

/// The largest message that is read, start line to body.
pub const MAX_MESSAGE_BYTES: usize = 65_535;

/// The most header fields that are read.
pub const MAX_HEADERS: usize = 256;

/// CSeq: the number (below 2^31) and the method.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CSeq {
    /// The sequence number.
    pub number: u32,
    /// The method of the request, or of the request that a response answers.
    pub method: Method,
}

/// Offsets into the text.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug)]
struct Field {
    name: Name,
    spelt: Span,
    value: Span,
}

#[derive(Clone, Debug)]
enum Start {
    Request { method: Method, uri: Span },
    Response { status: u16, reason: Span },
}

#[derive(Debug)]
struct Parsed {
    raw: Bytes,
    /// The text with folds blanked out, where there were any.
    unfolded: Option<Bytes>,
    start: Start,
    fields: SmallVec<[Field; 24]>,
    body: Span,
    cseq: CSeq,
}

impl Parsed {
    fn text(&self) -> &[u8] {
        self.unfolded.as_ref().unwrap_or(&self.raw)
    }
}

/// A request or response: immutable, cheap to clone. Its `Debug` shows what identifies it, and nobody's address.
#[derive(Clone)]
pub struct Message(Arc<Parsed>);

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CSeq { number, method } = &self.0.cseq;
        match self.0.start {
            Start::Request { .. } => write!(f, "Message({method} {number}, {})", self.call_id()),
            Start::Response { status, .. } => write!(f, "Message({status} to {method} {number}, {})", self.call_id()),
        }
    }
}

impl Message {
    /// Reads one whole message: a datagram, a WebSocket frame, or what `framing` cut from a stream.
    ///
    /// Bytes beyond Content-Length are ignored (RFC 3261 18.3); a body shorter than it is refused.
    pub fn parse(raw: Bytes) -> Result<Message, Malformed> {
        parse::message(raw).map(|parsed| Message(Arc::new(parsed)))
    }

    /// The bytes as received.
    pub fn raw(&self) -> &Bytes {
        &self.0.raw
    }

    /// Whether this is a request.
    pub fn is_request(&self) -> bool {
        matches!(self.0.start, Start::Request { .. })
    }

    /// The method of the request line, or of CSeq for a response.
    pub fn method(&self) -> Method {
        self.method_ref().clone()
    }

    /// As [`Message::method`], borrowed.
    pub fn method_ref(&self) -> &Method {
        match &self.0.start {
            Start::Request { method, .. } => method,
            Start::Response { .. } => &self.0.cseq.method,
        }
    }

    /// The Request-URI; `""` for a response.
    pub fn request_uri(&self) -> &str {
        match self.0.start {
            Start::Request { uri, .. } => self.str(uri),
            Start::Response { .. } => "",
        }
    }

    /// The status code from 100 to 699; 0 for a request.
    pub fn status(&self) -> u16 {
        match self.0.start {
            Start::Request { .. } => 0,
            Start::Response { status, .. } => status,
        }
    }

    /// The reason phrase; empty for a request.
    pub fn reason(&self) -> &[u8] {
        match self.0.start {
            Start::Request { .. } => b"",
            Start::Response { reason, .. } => reason.of(self.0.text()),
        }
    }

    /// The first value: trimmed, unfolded; of a comma list its first element.
    pub fn header(&self, name: Name) -> Option<&[u8]> {
        self.headers(name).next()
    }

    /// The first value as a string; `None` also when it is not UTF-8.
    pub fn header_str(&self, name: Name) -> Option<&str> {
        self.header(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value in order; each element of a comma list separately (Via, Route, Contact, Supported, …).
    pub fn headers(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        let is_list = name.is_list();
        self.fields(name).flat_map(move |value| {
            let mut elements = Elements::new(value);
            let mut whole = Some(value);
            std::iter::from_fn(move || if is_list { elements.next() } else { whole.take() })
        })
    }

    /// Every field of that name, comma lists left whole.
    pub fn fields(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        let text = self.0.text();
        self.0.fields.iter().filter(move |field| field.name == name).map(move |field| field.value.of(text))
    }

    /// The first header of a name that [`Name`] does not know, in any case.
    pub fn extension(&self, name: &str) -> Option<&[u8]> {
        let mut all = self.all_headers();
        all.find(|(found, _)| found.name == Name::Other && found.text.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Every field in order, comma lists left whole.
    pub fn all_headers(&self) -> impl Iterator<Item = (HeaderName<'_>, &[u8])> {
        let text = self.0.text();
        self.0
            .fields
            .iter()
            .map(move |field| (HeaderName { name: field.name, text: self.str(field.spelt) }, field.value.of(text)))
    }

    /// Call-ID.
    pub fn call_id(&self) -> &str {
        self.header_str(Name::CallId).unwrap_or_default()
    }

    /// CSeq.
    pub fn cseq(&self) -> CSeq {
        self.0.cseq.clone()
    }

    /// From.
    pub fn from(&self) -> NameAddr<'_> {
        self.address(Name::From)
    }

    /// To.
    pub fn to(&self) -> NameAddr<'_> {
        self.address(Name::To)
    }

    fn address(&self, name: Name) -> NameAddr<'_> {
        self.header(name).and_then(|value| NameAddr::parse(value).ok()).unwrap_or_default()
    }

    /// The topmost Via.
    pub fn via(&self) -> Via<'_> {
        self.header(Name::Via).and_then(Via::parse).unwrap_or_default()
    }

    /// Each Contact; `*` is one whose [`NameAddr::is_star`] holds. All were checked by [`Message::parse`].
    pub fn contacts(&self) -> impl Iterator<Item = Result<NameAddr<'_>, NameAddrError>> {
        self.headers(Name::Contact).map(NameAddr::parse)
    }

    /// Content-Type, with its parameters.
    pub fn content_type(&self) -> Option<&str> {
        self.header_str(Name::ContentType)
    }

    /// The body; empty when there is none.
    pub fn body(&self) -> &[u8] {
        self.0.body.of(&self.0.raw)
    }

    /// The body as a slice that shares the message's memory.
    pub fn body_bytes(&self) -> Bytes {
        self.0.raw.slice_ref(self.body())
    }

    /// Whether a list of tokens (Require, Supported, Allow, …) has `tag`, in any case.
    pub fn has_option(&self, name: Name, tag: &str) -> bool {
        self.headers(name).any(|element| trim(element).eq_ignore_ascii_case(tag.as_bytes()))
    }

    /// A header whose value is one unsigned number (Expires, Max-Forwards, RSeq, Min-SE, …), parameters ignored.
    pub fn number(&self, name: Name) -> Option<u32> {
        let value = self.header(name)?;
        let end = value.iter().position(|b| !b.is_ascii_digit()).unwrap_or(value.len());
        chars::number(&value[..end], u64::from(u32::MAX)).map(|n| n as u32)
    }

    fn str(&self, span: Span) -> &str {
        std::str::from_utf8(span.of(self.0.text())).unwrap_or_default()
    }
}
