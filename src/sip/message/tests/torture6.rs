//! RFC 5118: IPv6 in SIP. Messages are made here after the RFC's cases.

use super::{parse, refused};
use crate::sip::message::{Message, Via};
use crate::sip::uri::{Uri, host_ip};

fn register(uri: &str, via: &str) -> String {
    format!(
        "REGISTER {uri} SIP/2.0\r\nTo: sip:user@example.com\r\nFrom: sip:user@example.com;tag=81x2\r\n\
         Via: SIP/2.0/UDP {via}\r\nCall-ID: SSG9559905523997077@hlau_4100\r\nMax-Forwards: 70\r\n\
         Contact: \"Caller\" <sip:caller@[2001:db8::1]>\r\nCSeq: 98176 REGISTER\r\nContent-Length: 0\r\n\r\n"
    )
}

fn accepted(text: String) -> Message {
    parse(&text).unwrap_or_else(|malformed| panic!("{malformed}: {text}"))
}

#[test]
fn ipv6_reference_in_brackets_is_accepted() {
    let message = accepted(register("sip:[2001:db8::10]", "[2001:db8::9:1];branch=z9hG4bKas3-111"));
    assert_eq!(Uri::parse(message.request_uri()).unwrap().ip(), "2001:db8::10".parse().ok());
    assert_eq!(message.via().host, "[2001:db8::9:1]");
}

#[test]
fn ipv6_reference_without_brackets_is_refused() {
    let (status, reason) = refused(register("sip:2001:db8::10", "[2001:db8::9:1];branch=z9hG4bKas3-111"));
    assert_eq!(status, 400, "{reason}");
}

#[test]
fn a_port_inside_the_brackets_is_part_of_the_address() {
    let message = accepted(register("sip:[2001:db8::10:5070]", "[2001:db8::9:1];branch=z9hG4bKas3-111"));
    let uri = Uri::parse(message.request_uri()).unwrap();
    assert_eq!((uri.ip(), uri.port), ("2001:db8::10:5070".parse().ok(), None));
}

#[test]
fn a_port_behind_the_brackets_is_a_port() {
    let message = accepted(register("sip:[2001:db8::10]:5070", "[2001:db8::9:1]:5080;branch=z9hG4bKas3-111"));
    assert_eq!(Uri::parse(message.request_uri()).unwrap().port, Some(5070));
    assert_eq!(message.via().port, Some(5080));
}

#[test]
fn received_is_read_with_and_without_brackets() {
    for received in ["[2001:db8::9:255]", "2001:db8::9:255"] {
        let via = format!("[2001:db8::9:1];received={received};branch=z9hG4bKas3-111");
        let message = accepted(register("sip:[2001:db8::10]", &via));
        assert_eq!(message.via().received(), Some("2001:db8::9:255"));
        assert_eq!(message.via().branch(), Some("z9hG4bKas3-111"));
    }
}

#[test]
fn mapped_ipv4_addresses_are_accepted_in_via_and_contact() {
    let message = accepted(register("sip:[::ffff:192.0.2.10]:19823", "[::ffff:192.0.2.2]:19823;branch=z9hG4bKbh19"));
    assert_eq!(host_ip(message.via().host), "::ffff:192.0.2.2".parse().ok());
}

#[test]
fn a_third_colon_from_an_old_grammar_is_read_as_two() {
    let message = accepted(register("sip:[2001:db8:::192.0.2.1]", "[2001:db8::9:1];branch=z9hG4bKas3-111"));
    assert_eq!(Uri::parse(message.request_uri()).unwrap().ip(), "2001:db8::192.0.2.1".parse().ok());
}

#[test]
fn a_via_with_two_addresses_in_one_bracket_is_refused() {
    assert!(Via::parse(b"SIP/2.0/UDP [2001:db8::9:1;branch=z9hG4bK1").is_none());
    assert!(Via::parse(b"SIP/2.0/UDP [2001:db8::9::1];branch=z9hG4bK1").is_none());
}
