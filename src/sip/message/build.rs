//! Writing requests and responses.

use bytes::Bytes;

use super::chars::is_token;
use super::{Message, Method, Name, parse};
use std::sync::Arc;

/// Writes one message, headers in the order given, Content-Length last and always.
///
/// No text passed in can open a second line: CR and LF (and NUL, unless it is a quoted pair) become blanks, in the
/// start line they and blanks are left out. A header whose name is no token is left out.
#[derive(Clone, Debug)]
pub struct Builder {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Builder {
    /// Opens a request.
    pub fn request(method: &Method, uri: &str) -> Builder {
        let mut head = Vec::with_capacity(1024);
        head.extend_from_slice(method.as_str().as_bytes());
        head.push(b' ');
        head.extend(uri.bytes().filter(|b| b.is_ascii_graphic()));
        head.extend_from_slice(b" SIP/2.0\r\n");
        Builder { head, body: Vec::new() }
    }

    /// Opens a response; `status` is from 100 to 699.
    pub fn response(status: u16, reason: &str) -> Builder {
        let mut head = Vec::with_capacity(1024);
        head.extend_from_slice(b"SIP/2.0 ");
        push_number(&mut head, u64::from(status.clamp(100, 699)));
        head.push(b' ');
        push_value(&mut head, reason.as_bytes());
        head.extend_from_slice(b"\r\n");
        Builder { head, body: Vec::new() }
    }

    /// Returns the status of a response, 0 for a request.
    pub fn status(&self) -> u16 {
        let digits = self.head.strip_prefix(b"SIP/2.0 ").and_then(|rest| rest.get(..3));
        digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or(0)
    }

    /// Returns the body as set so far.
    pub fn content(&self) -> &[u8] {
        &self.body
    }

    /// Opens a response with Via, From, To, Call-ID, CSeq and, to a request that makes a dialog, Record-Route of `request`
    /// (RFC 3261 8.2.6.2). To gets `to_tag` when it has no tag; Timestamp is copied into a 100.
    pub fn response_to(request: &Message, status: u16, reason: Option<&str>, to_tag: Option<&str>) -> Builder {
        let mut builder = Builder::response(status, reason.unwrap_or_else(|| default_reason(status)));
        for via in request.fields(Name::Via) {
            builder = builder.header(Name::Via, via);
        }
        if (101..300).contains(&status) {
            for route in request.fields(Name::RecordRoute) {
                builder = builder.header(Name::RecordRoute, route);
            }
        }
        let copy = |name| request.fields(name).next().unwrap_or_default();
        builder = builder.header(Name::From, copy(Name::From));
        let to = copy(Name::To);
        builder = match to_tag {
            Some(tag) if request.to().tag().is_none() => {
                builder.header(Name::To, [to, b";tag=", tag.as_bytes()].concat())
            }
            _ => builder.header(Name::To, to),
        };
        builder = builder.header(Name::CallId, copy(Name::CallId)).header(Name::CSeq, copy(Name::CSeq));
        match request.header(Name::Timestamp) {
            Some(stamp) if status == 100 => builder.header(Name::Timestamp, stamp),
            _ => builder,
        }
    }

    /// Appends a header. Content-Length is left to [`Builder::build`].
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Builder {
        let name = name.as_ref().as_bytes();
        if name.is_empty() || !name.iter().all(|&b| is_token(b)) || Name::lookup(name) == Name::ContentLength {
            return self;
        }
        self.head.extend_from_slice(name);
        self.head.extend_from_slice(b": ");
        push_value(&mut self.head, value.as_ref());
        self.head.extend_from_slice(b"\r\n");
        self
    }

    /// Sets the body, and its Content-Type unless it is empty.
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Builder {
        self.body.clear();
        self.body.extend_from_slice(body);
        if body.is_empty() { self } else { self.header(Name::ContentType, content_type) }
    }

    /// The finished message.
    pub fn build(self) -> Bytes {
        let Builder { mut head, body } = self;
        head.reserve_exact(32 + body.len());
        head.extend_from_slice(b"Content-Length: ");
        push_number(&mut head, body.len() as u64);
        head.extend_from_slice(b"\r\n\r\n");
        head.extend_from_slice(&body);
        Bytes::from(head)
    }

    /// The finished message, readable. Values are not checked again: they are ours.
    pub fn build_message(self) -> Message {
        Message(Arc::new(parse::own(self.build())))
    }
}

fn push_value(out: &mut Vec<u8>, value: &[u8]) {
    let at = out.len();
    out.extend_from_slice(value);
    let mut escaped = false;
    for b in &mut out[at..] {
        if matches!(b, b'\r' | b'\n') || (*b == 0 && !escaped) {
            *b = b' ';
        }
        escaped = *b == b'\\';
    }
}

fn push_number(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The reason phrase of a status code, as registered; that of its class when it is unknown.
pub fn default_reason(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        199 => "Early Dialog Terminated",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        429 => "Provide Referrer Identity",
        430 => "Flow Failed",
        433 => "Anonymity Disallowed",
        439 => "First Hop Lacks Outbound Support",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        494 => "Security Agreement Required",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        555 => "Push Notification Service Not Supported",
        580 => "Precondition Failure",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        607 => "Unwanted",
        608 => "Rejected",
        _ => match status / 100 {
            1 => "Progress",
            2 => "Success",
            3 => "Redirection",
            4 => "Request Failure",
            5 => "Server Failure",
            _ => "Global Failure",
        },
    }
}
