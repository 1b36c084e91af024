//! SIP messages as the lab reads and writes them: all through `rsip`, a parser that is not the gateway's.
//!
//! Every message of the gateway is also read header by header (Via, From, To, CSeq, Contact): what `rsip` cannot read is a
//! complaint in [`super::LabHandle::complaints`], not a silence.

use std::net::SocketAddr;

use rsip::headers::ToTypedHeader;
use rsip::message::{HasHeaders, HeadersExt};
use rsip::{Header, SipMessage};

/// A received message.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub message: SipMessage,
    pub from: SocketAddr,
}

/// Reads a datagram.
///
/// # Errors
/// One line: what `rsip` did not like.
pub(super) fn read(datagram: &[u8], from: SocketAddr) -> Result<Received, String> {
    let message = SipMessage::try_from(datagram).map_err(|e| format!("unreadable message: {e}"))?;
    let received = Received { message, from };
    received.complain().map_or(Ok(received), Err)
}

impl Received {
    fn complain(&self) -> Option<String> {
        let m = &self.message;
        let checks = [
            m.via_header()
                .map_err(|e| e.to_string())
                .and_then(|h| h.typed().map(drop).map_err(|e| format!("Via: {e}"))),
            m.from_header()
                .map_err(|e| e.to_string())
                .and_then(|h| h.typed().map(drop).map_err(|e| format!("From: {e}"))),
            m.to_header().map_err(|e| e.to_string()).and_then(|h| h.typed().map(drop).map_err(|e| format!("To: {e}"))),
            m.cseq_header()
                .map_err(|e| e.to_string())
                .and_then(|h| h.typed().map(drop).map_err(|e| format!("CSeq: {e}"))),
            m.contact_header().map_or(Ok(()), |h| h.typed().map(drop).map_err(|e| format!("Contact: {e}"))),
        ];
        checks.into_iter().find_map(Result::err).map(|why| format!("{why} in {}", self.line()))
    }

    /// Returns the first line.
    pub fn line(&self) -> String {
        match &self.message {
            SipMessage::Request(r) => format!("{} {}", r.method, r.uri),
            SipMessage::Response(r) => r.status_code.to_string(),
        }
    }

    /// Returns all values of a header, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.message
            .headers()
            .iter()
            .filter_map(|h| {
                let line = h.to_string();
                let (n, value) = line.split_once(':')?;
                n.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
            .collect()
    }

    /// Returns the first value of a header, or nothing.
    pub fn header(&self, name: &str) -> String {
        self.all(name).into_iter().next().unwrap_or_default()
    }

    pub fn call_id(&self) -> String {
        self.header("Call-ID")
    }

    /// Returns the method of the request line, or of the CSeq.
    pub fn method(&self) -> String {
        match &self.message {
            SipMessage::Request(r) => r.method.to_string(),
            SipMessage::Response(_) => self.header("CSeq").split_whitespace().nth(1).unwrap_or_default().to_owned(),
        }
    }

    pub fn cseq(&self) -> u32 {
        self.header("CSeq").split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    /// Returns the status, 0 for a request.
    pub fn status(&self) -> u16 {
        match &self.message {
            SipMessage::Request(_) => 0,
            SipMessage::Response(r) => r.status_code.clone().into(),
        }
    }

    /// Returns the user part of the Request-URI.
    pub fn dialled(&self) -> String {
        match &self.message {
            SipMessage::Request(r) => r.uri.auth.as_ref().map(|a| a.user.clone()).unwrap_or_default(),
            SipMessage::Response(_) => String::new(),
        }
    }

    pub fn body(&self) -> String {
        String::from_utf8_lossy(self.message.body()).into_owned()
    }
}

/// Returns the URI of a Contact or a From, without what surrounds it.
pub(super) fn uri_of(value: &str) -> String {
    let inner = match (value.find('<'), value.find('>')) {
        (Some(a), Some(b)) if a < b => &value[a + 1..b],
        _ => value.split(';').next().unwrap_or(value),
    };
    inner.trim().to_owned()
}

/// Returns the tag of a From or To.
pub(super) fn tag_of(value: &str) -> Option<String> {
    let after = value.find('>').map_or(value, |at| &value[at..]);
    after.split(';').find_map(|p| p.trim().strip_prefix("tag=")).map(str::to_owned)
}

/// Writes a request; `headers` in the order given. `None` where `rsip` cannot read the URI.
pub(super) fn request(method: &str, uri: &str, headers: &[(&str, String)], body: &str) -> Option<Vec<u8>> {
    let request = rsip::Request {
        method: method.parse_method()?,
        uri: rsip::Uri::try_from(uri).ok()?,
        version: rsip::Version::V2,
        headers: lines(headers, body),
        body: body.as_bytes().to_vec(),
    };
    Some(SipMessage::from(request).into())
}

/// Writes the response to a request, with the To tag that is given, and further headers.
pub(super) fn response(
    to: &Received,
    status: u16,
    reason: &str,
    tag: &str,
    more: &[(&str, String)],
    body: &str,
) -> Vec<u8> {
    // The order of the SIP Server: Via is not the first header.
    let mut headers = vec![("From", to.header("From"))];
    let mut to_value = to.header("To");
    if tag_of(&to_value).is_none() && status > 100 {
        to_value.push_str(";tag=");
        to_value.push_str(tag);
    }
    headers.push(("To", to_value));
    headers.push(("Call-ID", to.call_id()));
    headers.push(("CSeq", to.header("CSeq")));
    headers.extend(to.all("Via").into_iter().map(|v| ("Via", v)));
    headers.extend(to.all("Record-Route").into_iter().map(|v| ("Record-Route", v)));
    headers.extend(more.iter().cloned());
    let response = rsip::Response {
        status_code: rsip::StatusCode::Other(status, reason.to_owned()),
        version: rsip::Version::V2,
        headers: lines(&headers, body),
        body: body.as_bytes().to_vec(),
    };
    SipMessage::from(response).into()
}

fn lines(headers: &[(&str, String)], body: &str) -> rsip::Headers {
    let mut all: Vec<Header> =
        headers.iter().map(|(name, value)| Header::Other((*name).to_owned(), value.clone())).collect();
    let has_type = headers.iter().any(|(name, _)| *name == "Content-Type");
    if !body.is_empty() && !has_type {
        all.push(Header::Other("Content-Type".into(), "application/sdp".into()));
    }
    all.push(Header::Other("Content-Length".into(), body.len().to_string()));
    all.into()
}

trait ParseMethod {
    fn parse_method(&self) -> Option<rsip::Method>;
}

impl ParseMethod for str {
    fn parse_method(&self) -> Option<rsip::Method> {
        use rsip::Method::{Ack, Bye, Cancel, Info, Invite, Notify, Options};
        [Ack, Bye, Cancel, Info, Invite, Notify, Options].into_iter().find(|m| m.to_string() == self)
    }
}

/// What the lab reads of an SDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub rtp: SocketAddr,
    /// 0 PCMU or 8 PCMA.
    pub pt: u8,
    pub event_pt: Option<u8>,
    /// The peer wants to hear us.
    pub hears: bool,
}

/// Reads the audio of an SDP; `None` where there is none that the lab speaks.
pub(super) fn read_sdp(text: &str) -> Option<Description> {
    let mut address = None;
    let (mut port, mut pts, mut event_pt, mut hears) = (None, Vec::new(), None, true);
    for line in text.lines().map(str::trim_end) {
        if let Some(c) = line.strip_prefix("c=") {
            address = c.split_whitespace().nth(2).and_then(|a| a.parse().ok());
        } else if let Some(m) = line.strip_prefix("m=audio ") {
            let mut words = m.split_whitespace();
            port = words.next().and_then(|p| p.parse::<u16>().ok());
            pts = words.skip(1).filter_map(|p| p.parse::<u8>().ok()).collect();
        } else if let Some(map) = line.strip_prefix("a=rtpmap:") {
            let (pt, name) = map.split_once(' ')?;
            if name.to_ascii_lowercase().starts_with("telephone-event/8000") {
                event_pt = pt.parse().ok();
            }
        } else if line == "a=sendonly" || line == "a=inactive" {
            hears = false;
        }
    }
    let pt = pts.into_iter().find(|pt| *pt == 0 || *pt == 8)?;
    let address: std::net::IpAddr = address?;
    Some(Description { rtp: SocketAddr::new(address, port?), pt, event_pt, hears: hears && !address.is_unspecified() })
}

/// Writes an SDP as the SIP Server's peers do: rtpmap in lower case, no ptime, no direction.
pub(super) fn write_sdp(rtp: SocketAddr, pts: &[u8], event_pt: Option<u8>, session: u64) -> String {
    let family = if rtp.is_ipv4() { "IP4" } else { "IP6" };
    let ip = rtp.ip();
    let formats: Vec<String> = pts.iter().copied().chain(event_pt).map(|p| p.to_string()).collect();
    let mut sdp = format!(
        "v=0\r\no=lab {session} 1 IN {family} {ip}\r\ns=lab\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {} RTP/AVP {}\r\n",
        rtp.port(),
        formats.join(" ")
    );
    for pt in pts {
        sdp.push_str(if *pt == 8 { "a=rtpmap:8 pcma/8000\r\n" } else { "a=rtpmap:0 pcmu/8000\r\n" });
    }
    if let Some(pt) = event_pt {
        sdp.push_str(&format!("a=rtpmap:{pt} telephone-event/8000\r\na=fmtp:{pt} 0-15\r\n"));
    }
    sdp
}
