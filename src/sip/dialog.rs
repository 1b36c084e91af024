//! Dialogs (RFC 3261 12): identity, route set, remote target, CSeq; early ones too, so that forks are told apart.
//!
//! We do not look up names: a route or target whose host is no address leaves the dialog on the path that it was set up on.

use std::net::SocketAddr;

use crate::path::Path;
use crate::sip::endpoint::Hop;
use crate::sip::message::{Builder, Message, Method, Name, NameAddr};
use crate::sip::uri::Uri;

/// One side's view of a dialog.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: String,
    /// Our From, as bytes, with tag.
    local: Vec<u8>,
    /// Our To, as bytes, with tag.
    remote: Vec<u8>,
    pub(crate) local_seq: u32,
    pub(crate) remote_seq: Option<u32>,
    remote_target: String,
    route_set: Vec<String>,
    /// Our Contact.
    pub(crate) contact: String,
    /// The path the dialog was set up on, and our side of the Via.
    pub(crate) hop: Hop,
    /// We sent the INVITE that made it, and so own its Call-ID (RFC 3261 14.1).
    pub(crate) is_caller: bool,
}

impl Dialog {
    /// Our side of a dialog that `response` (101..299) to our `invite` makes (RFC 3261 12.1.2).
    pub(crate) fn of_caller(invite: &Message, response: &Message, contact: &str, hop: &Hop) -> Dialog {
        let mut route_set: Vec<String> = response.headers(Name::RecordRoute).map(lossy).collect();
        route_set.reverse();
        Dialog {
            call_id: invite.call_id().to_owned(),
            local_tag: invite.from().tag().unwrap_or_default().to_owned(),
            remote_tag: response.to().tag().unwrap_or_default().to_owned(),
            local: invite.header(Name::From).unwrap_or_default().to_vec(),
            remote: response.header(Name::To).unwrap_or_default().to_vec(),
            local_seq: invite.cseq().number,
            remote_seq: None,
            remote_target: target(response).unwrap_or_else(|| invite.request_uri().to_owned()),
            route_set,
            contact: contact.to_owned(),
            hop: hop.clone(),
            is_caller: true,
        }
    }

    /// Our side of a dialog that the peer's `invite` makes; `tag` is ours (RFC 3261 12.1.1).
    pub(crate) fn of_callee(invite: &Message, tag: &str, hop: Hop) -> Dialog {
        let to = invite.header(Name::To).unwrap_or_default();
        let from = invite.from();
        Dialog {
            call_id: invite.call_id().to_owned(),
            local_tag: tag.to_owned(),
            remote_tag: from.tag().unwrap_or_default().to_owned(),
            local: [to, b";tag=", tag.as_bytes()].concat(),
            remote: invite.header(Name::From).unwrap_or_default().to_vec(),
            local_seq: 0,
            remote_seq: Some(invite.cseq().number),
            remote_target: target(invite).unwrap_or_else(|| from.uri.to_owned()),
            route_set: invite.headers(Name::RecordRoute).map(lossy).collect(),
            contact: default_contact(invite),
            hop,
            is_caller: false,
        }
    }

    /// Whether a request from the peer belongs here: Call-ID and both tags (RFC 3261 12.2.2).
    pub(crate) fn is_of(&self, request: &Message) -> bool {
        request.call_id() == self.call_id
            && request.to().tag() == Some(self.local_tag.as_str())
            && request.from().tag().unwrap_or_default() == self.remote_tag
    }

    /// Takes a request's CSeq number; false: it is lower than one before (RFC 3261 12.2.2).
    pub(crate) fn accept_seq(&mut self, number: u32) -> bool {
        if self.remote_seq.is_some_and(|last| number < last) {
            return false;
        }
        self.remote_seq = Some(number);
        true
    }

    /// Takes the peer's new Contact (target refresh, RFC 3261 12.2).
    pub(crate) fn refresh_target(&mut self, message: &Message) {
        if let Some(uri) = target(message) {
            self.remote_target = uri;
        }
    }

    /// Opens a request with a new CSeq number.
    pub(crate) fn request(&mut self, method: &Method, branch: &str) -> Builder {
        self.local_seq = self.local_seq.saturating_add(1);
        self.request_with_seq(method, self.local_seq, branch)
    }

    /// The Request-URI of a request (RFC 3261 12.2.1.1).
    pub(crate) fn request_uri(&self) -> &str {
        match self.route_set.first() {
            Some(route) if !is_loose(route) => route_uri(route),
            _ => &self.remote_target,
        }
    }

    /// Opens a request with a given number: the ACK of a 2xx has that of its INVITE (RFC 3261 13.2.2.4).
    pub(crate) fn request_with_seq(&self, method: &Method, number: u32, branch: &str) -> Builder {
        let strict = self.route_set.first().is_some_and(|route| !is_loose(route));
        let mut request = Builder::request(method, self.request_uri()).header(Name::Via, via(&self.hop, branch));
        for route in self.route_set.iter().skip(usize::from(strict)) {
            request = request.header(Name::Route, route);
        }
        if strict {
            request = request.header(Name::Route, format!("<{}>", self.remote_target));
        }
        request
            .header(Name::MaxForwards, "70")
            .header(Name::From, &self.local)
            .header(Name::To, &self.remote)
            .header(Name::CallId, &self.call_id)
            .header(Name::CSeq, format!("{number} {method}"))
    }

    /// The peer says that it is reached by TCP.
    pub(crate) fn is_by_stream(&self) -> bool {
        let uri = self.route_set.first().map_or(self.remote_target.as_str(), |route| route_uri(route));
        Uri::parse(uri).is_ok_and(|uri| uri.param("transport").is_some_and(|name| name.eq_ignore_ascii_case("tcp")))
    }

    /// The peer's address by its first route or its target; by its path where neither is an address.
    pub(crate) fn next_address(&self) -> SocketAddr {
        let uri = self.route_set.first().map_or(self.remote_target.as_str(), |route| route_uri(route));
        let remote = self.hop.path.remote();
        let found = Uri::parse(uri).ok().filter(Uri::is_sip);
        let address = found.and_then(|uri| Some((uri.ip()?, uri.port)));
        let (ip, port) = address.unwrap_or((remote.ip(), None));
        SocketAddr::new(ip, port.unwrap_or(self.hop.transport.default_port()))
    }

    /// Where a request goes. A flow is a flow, whatever the Contact says; over UDP the first route or the target counts
    /// when it is an address of the family that we send from.
    pub(crate) fn next_path(&self) -> Path {
        let Path::Udp { local, .. } = self.hop.path else { return self.hop.path };
        let uri = self.route_set.first().map_or(self.remote_target.as_str(), |route| route_uri(route));
        let Ok(uri) = Uri::parse(uri) else { return self.hop.path };
        let is_udp = uri.param("transport").is_none_or(|name| name.eq_ignore_ascii_case("udp"));
        match uri.ip() {
            Some(ip) if is_udp && uri.is_sip() && ip.is_ipv4() == local.is_ipv4() && !ip.is_unspecified() => {
                Path::Udp { local, remote: SocketAddr::new(ip, uri.port.unwrap_or(5060)) }
            }
            _ => self.hop.path,
        }
    }
}

/// Our Via for one transaction; over UDP we ask for the response at our source port (RFC 3581).
pub(crate) fn via(hop: &Hop, branch: &str) -> String {
    let rport = if hop.path.flow().is_none() { ";rport" } else { "" };
    format!("SIP/2.0/{} {};branch={branch}{rport}", hop.transport.via_token(), hop.sent_by)
}

/// `host[:port]` by which the peer addressed us, for want of anything better.
pub(crate) fn default_sent_by(request: &Message) -> String {
    match Uri::parse(request.request_uri()) {
        Ok(uri) if !uri.host.is_empty() => match uri.port {
            Some(port) => format!("{}:{port}", uri.host),
            None => uri.host.to_owned(),
        },
        _ => "crosspoint.invalid".to_owned(),
    }
}

fn default_contact(request: &Message) -> String {
    let sent_by = default_sent_by(request);
    match Uri::parse(request.request_uri()).ok().and_then(|uri| uri.user) {
        Some(user) => format!("<sip:{user}@{sent_by}>"),
        None => format!("<sip:{sent_by}>"),
    }
}

fn target(message: &Message) -> Option<String> {
    let contact = message.contacts().next()?.ok()?;
    (!contact.is_star()).then(|| contact.uri.to_owned())
}

fn route_uri(route: &str) -> &str {
    NameAddr::parse(route.as_bytes()).map(|address| address.uri).unwrap_or(route)
}

fn is_loose(route: &str) -> bool {
    Uri::parse(route_uri(route)).is_ok_and(|uri| uri.param("lr").is_some())
}

fn lossy(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}
