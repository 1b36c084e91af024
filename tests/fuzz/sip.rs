//! SIP on the wire: what is accepted must survive being written and read again, and rsip must see the same in it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use crosspoint::sip::digest::server::{Verdict, Verifier};
use crosspoint::sip::digest::{Algorithm, Challenge, Credentials, Secret};
use crosspoint::sip::framing::{Frame, Framer};
use crosspoint::sip::message::{Builder, MAX_HEADERS, Message, Method, Name, NameAddr, Via};
use crosspoint::sip::refer::{Fragment, Progress, ReferTo, ReferredBy, Replaces};
use crosspoint::sip::uri::{Uri, escape, unescape};
use rsip::prelude::{HeadersExt, ToTypedHeader, UntypedHeader};

/// One datagram.
pub fn sip_message(data: &[u8]) {
    let message = match Message::parse(Bytes::copy_from_slice(data)) {
        Ok(message) => message,
        Err(malformed) => {
            assert!((400..700).contains(&malformed.status));
            if let Some(reply) = malformed.response() {
                assert!(reply.starts_with(format!("SIP/2.0 {} ", malformed.status).as_bytes()));
                let end = reply.windows(4).position(|w| w == b"\r\n\r\n").expect("a head that ends");
                assert_eq!(end + 4, reply.len(), "nothing but a head");
            }
            return;
        }
    };
    assert!(!message.call_id().is_empty() && !message.via().host.is_empty());
    assert!(!message.from().uri.is_empty() && !message.to().uri.is_empty());
    for (name, value) in message.all_headers() {
        assert!(!name.text.is_empty() && !value.contains(&b'\r') && !value.contains(&b'\n'));
        if name.name.is_single() {
            assert_eq!(message.fields(name.name).count(), 1);
        }
    }
    assert!(message.contacts().all(|contact| contact.is_ok()));
    if let Some(Progress { status: Some(status), .. }) = Progress::of(&message) {
        assert!((100..700).contains(&status));
    }
    if message.all_headers().count() == MAX_HEADERS {
        return; // what we write has a Content-Length besides
    }
    written_again(&message);
    if message.is_request() {
        let response = Builder::response_to(&message, 486, None, Some("t")).build();
        let response = Message::parse(response).expect("a response to a sound request is sound");
        assert_eq!(response.call_id(), message.call_id());
        assert_eq!(response.cseq(), message.cseq());
        assert_eq!(response.via(), message.via());
        assert_eq!(response.from(), message.from());
        assert_eq!(response.to().tag(), message.to().tag().or(Some("t")));
        second_opinion(data, &message);
    }
}

/// The message, written from what was read of it, reads the same.
fn written_again(message: &Message) {
    let mut builder = if message.is_request() {
        Builder::request(message.method_ref(), message.request_uri())
    } else {
        Builder::response(message.status(), &String::from_utf8_lossy(message.reason()))
    };
    for (name, value) in message.all_headers() {
        builder = builder.header(name.as_str(), value);
    }
    let again = Message::parse(builder.build());
    let again = again.unwrap_or_else(|malformed| panic!("{malformed}: {:?}", message.raw()));
    assert_eq!((again.method(), again.request_uri()), (message.method(), message.request_uri()));
    assert_eq!((again.call_id(), again.cseq()), (message.call_id(), message.cseq()));
    assert_eq!((again.via(), again.from(), again.to()), (message.via(), message.from(), message.to()));
    let values = |message: &Message, name: Name| message.headers(name).map(<[u8]>::to_vec).collect::<Vec<_>>();
    for name in [Name::Via, Name::Contact, Name::Route, Name::Supported, Name::Authorization] {
        assert_eq!(values(&again, name), values(message, name));
    }
}

/// Where rsip takes the request too, both must see the same transaction.
fn second_opinion(data: &[u8], ours: &Message) {
    let Ok(rsip::SipMessage::Request(theirs)) = rsip::SipMessage::try_from(data) else { return };
    assert_eq!(theirs.method.to_string(), ours.method().as_str());
    if let Ok(call_id) = theirs.call_id_header() {
        assert_eq!(call_id.value().trim(), ours.call_id());
    }
    if let Some(cseq) = theirs.cseq_header().ok().and_then(|cseq| cseq.typed().ok()) {
        assert_eq!((cseq.seq, cseq.method.to_string()), (ours.cseq().number, ours.method().as_str().to_owned()));
    }
}

/// A stream: the first byte says in what pieces the rest comes.
pub fn sip_framing(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else { return };
    let mut whole = Vec::new();
    let mut framer = Framer::new();
    framer.push(stream);
    let end = drain(&mut framer, &mut whole);
    let mut pieces = Vec::new();
    let mut framer = Framer::new();
    let mut last = Ok(());
    for piece in stream.chunks(usize::from(step).max(1)) {
        framer.push(piece);
        last = drain(&mut framer, &mut pieces);
    }
    // A ping in halves is a pong and a ping: only messages must agree.
    assert_eq!(whole, pieces);
    assert_eq!(end.is_err(), last.is_err());
    for raw in whole {
        let length = raw.len();
        if let Ok(message) = Message::parse(raw) {
            let head = message.raw().windows(4).position(|w| w == b"\r\n\r\n").expect("a head that ends") + 4;
            assert_eq!(head + message.body().len(), length, "framing and parser agree about the body");
        }
    }
}

fn drain(framer: &mut Framer, into: &mut Vec<Bytes>) -> Result<(), ()> {
    loop {
        match framer.next_frame() {
            Ok(Some(Frame::Message(raw))) => into.push(raw),
            Ok(Some(Frame::Ping | Frame::Pong)) => {}
            Ok(None) => return Ok(()),
            Err(_) => return Err(()),
        }
    }
}

/// A URI, an address and a Via.
pub fn sip_uri(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        assert_eq!(unescape(&escape(text)), text);
        if let Ok(uri) = Uri::parse(text) {
            assert!(uri.equivalent(&uri), "{text}");
            assert_eq!(uri.to_string(), text);
            assert!(uri.is_sip() != uri.host.is_empty());
            let bracketed = format!("<{text}>;tag=1");
            let address = NameAddr::parse(bracketed.as_bytes()).expect("any URI can stand in brackets");
            assert_eq!((address.uri, address.tag()), (text, Some("1")));
        }
    }
    if let Ok(address) = NameAddr::parse(data)
        && !address.is_star()
    {
        assert!(Uri::parse(address.uri).is_ok());
        let again = [b"<", address.uri.as_bytes(), b">", address.params.as_bytes()].concat();
        let again = NameAddr::parse(&again).expect("the same in brackets");
        assert_eq!((again.uri, again.params), (address.uri, address.params));
    }
    if let Some(via) = Via::parse(data) {
        assert!(!via.transport.is_empty() && !via.host.is_empty() && via.port != Some(0));
    }
}

/// Refer-To, Replaces, Referred-By and sipfrag.
pub fn sip_refer(data: &[u8]) {
    if let Ok(refer) = ReferTo::parse(data) {
        let text = refer.to_string();
        assert!(!text.contains(['\r', '\n']));
        assert_eq!(ReferTo::parse(text.as_bytes()), Ok(refer));
    }
    if let Ok(replaces) = Replaces::parse(data) {
        let text = replaces.to_string();
        assert!(!text.contains(['\r', '\n']));
        assert_eq!(Replaces::parse(text.as_bytes()), Ok(replaces));
    }
    if let Ok(by) = ReferredBy::parse(data) {
        assert!(Uri::parse(by.address.uri).is_ok());
    }
    if let Ok(fragment) = Fragment::parse(data) {
        assert!((100..700).contains(&fragment.status));
        let again = Fragment::write(fragment.status);
        assert_eq!(Fragment::parse(&again).map(|f| f.status), Ok(fragment.status));
    }
}

/// Challenges and credentials. Nobody guesses a password by chance.
pub fn sip_digest(data: &[u8]) {
    if let Ok(challenge) = Challenge::parse(data)
        && data.len() < 1024
    {
        assert_eq!(Challenge::parse(challenge.to_string().as_bytes()), Ok(challenge));
    }
    if let Ok(credentials) = Credentials::parse(data)
        && data.len() < 1024
    {
        assert_eq!(Credentials::parse(credentials.to_string().as_bytes()), Ok(credentials));
    }
    let now = Instant::now();
    let mut verifier = Verifier::new("r", [1; 32], Duration::from_secs(1), now);
    let secret = Secret::Password("p".into());
    let both = [Algorithm::Md5, Algorithm::Sha256];
    let verdict = verifier.verify(data, &Method::Register, "sip:r", &both, |_| Some(&secret), now);
    assert!(matches!(verdict, Verdict::Denied(_)));
}
