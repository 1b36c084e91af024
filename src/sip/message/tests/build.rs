use bytes::Bytes;

use super::{invite, parse};
use crate::sip::message::{Builder, Message, Method, Name, default_reason};

fn request() -> Message {
    parse(invite(
        "Via: SIP/2.0/TCP second.example;branch=z9hG4bK2\r\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>\r\nTimestamp: 54\r\n",
    ))
    .unwrap()
}

#[test]
fn a_response_copies_what_the_request_identifies_it_by() {
    let response = Builder::response_to(&request(), 180, None, Some("mine")).build_message();
    assert_eq!((response.status(), response.reason()), (180, &b"Ringing"[..]));
    let vias: Vec<_> = response.headers(Name::Via).collect();
    assert_eq!(vias, request().headers(Name::Via).collect::<Vec<_>>());
    assert_eq!(response.headers(Name::RecordRoute).collect::<Vec<_>>(), [&b"<sip:p1;lr>"[..], b"<sip:p2;lr>"]);
    assert_eq!((response.from().tag(), response.to().tag()), (Some("7"), Some("mine")));
    assert_eq!((response.call_id(), response.cseq()), ("GUID-1@192.0.2.81", request().cseq()));
    assert_eq!(response.header(Name::Timestamp), None);
}

#[test]
fn a_tag_that_is_there_is_never_replaced() {
    let request = parse(invite("").replace("To: <sip:5001@192.0.2.54>", "To: <sip:5001@192.0.2.54>;tag=old")).unwrap();
    let response = Builder::response_to(&request, 200, None, Some("new")).build_message();
    assert_eq!(response.to().tag(), Some("old"));
}

#[test]
fn trying_carries_the_timestamp_and_no_tag() {
    let response = Builder::response_to(&request(), 100, None, None).build_message();
    assert_eq!((response.header(Name::Timestamp), response.to().tag()), (Some(&b"54"[..]), None));
}

#[test]
fn a_value_cannot_open_a_second_line() {
    let message = Builder::request(&Method::Options, "sip:a@b\r\nX: 1")
        .header("Subject", "one\r\nRoute: <sip:evil>\r\n\r\nbody\0")
        .header("Bad Name", "x")
        .header("Evil: x\r\nY", "x")
        .build_message();
    assert_eq!(message.request_uri(), "sip:a@bX:1");
    let names: Vec<_> = message.all_headers().map(|(name, _)| name.as_str().to_owned()).collect();
    assert_eq!(names, ["Subject", "Content-Length"]);
}

#[test]
fn content_length_is_written_once_and_is_right() {
    let message = Builder::request(&Method::Info, "sip:a@b")
        .header("l", "99")
        .header(Name::ContentLength, "5")
        .body("application/dtmf-relay", b"Signal=5\r\n")
        .build_message();
    assert_eq!(message.fields(Name::ContentLength).collect::<Vec<_>>(), [b"10"]);
    assert_eq!((message.content_type(), message.body()), (Some("application/dtmf-relay"), &b"Signal=5\r\n"[..]));
}

#[test]
fn what_is_built_is_parsed_to_the_same() {
    let built = Builder::request(&Method::Other("PING".into()), "sip:a@b;x=y")
        .header(Name::Via, "SIP/2.0/WSS x.invalid;branch=z9hG4bK3")
        .header(Name::From, "\"A \\\" B\" <sip:a@b>;tag=1")
        .header(Name::To, "<tel:+1555>")
        .header(Name::CallId, "c@d")
        .header(Name::CSeq, "7 PING")
        .header("X-Bytes", b"\xff\xfe")
        .build();
    let message = Message::parse(built.clone()).unwrap();
    assert_eq!(message.method().as_str(), "PING");
    assert_eq!(message.from().display, Some(&b"A \\\" B"[..]));
    assert_eq!(message.extension("x-bytes"), Some(&b"\xff\xfe"[..]));
    assert_eq!(message.raw(), &built);
}

#[test]
fn every_status_has_a_reason() {
    for status in 100..700 {
        assert!(!default_reason(status).is_empty());
    }
    assert_eq!((default_reason(487), default_reason(299)), ("Request Terminated", "Success"));
}

#[test]
fn a_request_that_cannot_be_read_back_does_not_panic() {
    let message = Builder::request(&Method::Options, "").build_message();
    assert_eq!((message.status(), message.request_uri()), (0, ""));
    assert_eq!(message.raw(), &Bytes::from_static(b"OPTIONS  SIP/2.0\r\nContent-Length: 0\r\n\r\n"));
}

#[test]
fn names_are_found_in_any_case_and_by_their_compact_form() {
    for (text, name) in [
        ("VIA", Name::Via),
        ("v", Name::Via),
        ("M", Name::Contact),
        ("cSEQ", Name::CSeq),
        ("www-authenticate", Name::WwwAuthenticate),
        ("P-Preferred-Identity", Name::PPreferredIdentity),
        ("Viaa", Name::Other),
        ("z", Name::Other),
        ("", Name::Other),
    ] {
        assert_eq!(Name::lookup(text.as_bytes()), name, "{text}");
    }
}
