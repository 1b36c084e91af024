//! Requests that are too large for a datagram go by a stream (RFC 3261 18.1.1), and back to the datagram where there is
//! no stream to be had.

use crate::path::Path;
use crate::sip::endpoint::Hop;
use crate::sip::message::{Message, Method, Name};

/// Longest request that is sent by UDP where a stream leads to the same peer, bytes (RFC 3261 18.1.1: the path's MTU is
/// not known).
pub(crate) const MAX_DATAGRAM: usize = 1300;

/// Tells the stream that leads to where a datagram path leads.
pub(crate) type Streams = Box<dyn Fn(&Path) -> Option<Hop> + Send>;

/// Writes a request for the stream; `None`: it is small enough, or has no other way.
pub(super) fn by_stream(request: &Message, path: &Path, streams: Option<&Streams>) -> Option<(Message, Path)> {
    let is_large = matches!(path, Path::Udp { .. }) && request.raw().len() > MAX_DATAGRAM;
    // A CANCEL and the ACK of a refusal go as their INVITE went, whatever their size.
    if !is_large || matches!(request.method_ref(), Method::Ack | Method::Cancel) {
        return None;
    }
    let hop = streams?(path)?;
    Some((with_via(request, &hop)?, hop.path))
}

/// The same request, its Via naming another transport.
fn with_via(request: &Message, hop: &Hop) -> Option<Message> {
    let raw = request.raw();
    let value = request.headers(Name::Via).next()?;
    let branch = request.via().branch()?.to_owned();
    let at = (value.as_ptr() as usize).checked_sub(raw.as_ptr() as usize)?;
    let rest = raw.get(at.checked_add(value.len())?..)?;
    let via = crate::sip::dialog::via(hop, &branch);
    Message::parse([raw.get(..at)?, via.as_bytes(), rest].concat().into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::FlowId;
    use crate::path::Transport;
    use crate::sip::message::Builder;

    fn request(method: &Method, padding: usize) -> Message {
        Builder::request(method, "sip:1003@192.0.2.81:5060")
            .header(Name::Via, "SIP/2.0/UDP 192.0.2.54:5060;branch=z9hG4bK1;rport")
            .header(Name::MaxForwards, "70")
            .header(Name::From, "<sip:5001@192.0.2.54>;tag=a")
            .header(Name::To, "<sip:1003@192.0.2.81>")
            .header(Name::CallId, "c")
            .header(Name::CSeq, format!("1 {method}"))
            .body("application/sdp", "x".repeat(padding).as_bytes())
            .build_message()
    }

    fn to(request: &Message) -> Option<(Message, Path)> {
        let at = |text: &str| text.parse().expect("address");
        let path = Path::Udp { local: at("192.0.2.54:5060"), remote: at("192.0.2.81:5060") };
        let streams: Streams = Box::new(move |_| {
            let path = Path::Tcp { flow: FlowId(7), remote: at("192.0.2.81:5060") };
            Some(Hop { path, transport: Transport::Tcp, sent_by: "192.0.2.54:5070".to_owned() })
        });
        by_stream(request, &path, Some(&streams))
    }

    #[test]
    fn a_request_over_1300_bytes_names_tcp_in_its_via_and_is_else_the_same() {
        let padding = MAX_DATAGRAM + 1000 - request(&Method::Invite, 1000).raw().len();
        assert!(to(&request(&Method::Invite, padding)).is_none(), "1300 bytes fit");
        let large = request(&Method::Invite, padding + 1);
        let (sent, path) = to(&large).expect("a stream");
        assert_eq!(path.flow(), Some(FlowId(7)));
        let via = String::from_utf8_lossy(sent.headers(Name::Via).next().expect("a Via")).into_owned();
        assert_eq!(via, "SIP/2.0/TCP 192.0.2.54:5070;branch=z9hG4bK1");
        let without = |message: &Message| {
            let text = String::from_utf8_lossy(message.raw()).into_owned();
            text.lines().filter(|line| !line.starts_with("Via")).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(without(&sent), without(&large));
        assert!(to(&request(&Method::Cancel, 2000)).is_none() && to(&request(&Method::Ack, 2000)).is_none());
    }
}
