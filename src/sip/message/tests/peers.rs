//! Shapes of the peers: JsSIP, SIP.js, the SIP Server.

use bytes::Bytes;

use crate::sip::message::{Message, Method, Name};
use crate::sip::uri::Uri;

macro_rules! shape {
    ($name:literal) => {
        Message::parse(Bytes::from_static(include_bytes!(concat!("../../../../tests/data/browser/", $name, ".sip"))))
            .expect($name)
    };
}

#[test]
fn jssip_register_is_read_with_its_instance_and_flow() {
    let message = shape!("jssip_register");
    assert_eq!(message.method(), Method::Register);
    assert_eq!(message.via().host, "n3q0e4vb2p1l.invalid");
    assert_eq!(message.via().transport, "WSS");
    let contact = message.contacts().next().unwrap().unwrap();
    assert_eq!(contact.uri, "sip:q8d1n7vr@n3q0e4vb2p1l.invalid;transport=ws");
    assert_eq!(contact.param("+sip.instance"), Some("<urn:uuid:6e1c7a58-2f0b-4c59-9d43-0a7d1c2b3e4f>"));
    assert_eq!((contact.param("reg-id"), contact.param("+sip.ice")), (Some("1"), Some("")));
    assert_eq!((contact.param("expires"), message.number(Name::Expires)), (Some("600"), Some(600)));
    assert!(message.has_option(Name::Supported, "OUTBOUND"));
}

#[test]
fn sipjs_register_is_read_with_its_instance_and_flow() {
    let message = shape!("sipjs_register");
    let contact = message.contacts().next().unwrap().unwrap();
    assert_eq!(contact.param("+SIP.Instance"), Some("<urn:uuid:0b8f6d1e-93a4-4c7a-8e52-7f1d3c5a9b60>"));
    assert_eq!(Uri::parse(contact.uri).unwrap().param("transport"), Some("ws"));
    assert!(message.has_option(Name::Supported, "gruu"));
}

#[test]
fn both_browser_invites_are_read_with_their_offer() {
    for message in [shape!("jssip_invite"), shape!("sipjs_invite")] {
        assert_eq!(message.method(), Method::Invite);
        assert_eq!(message.content_type(), Some("application/sdp"));
        assert!(message.body().starts_with(b"v=0\r\n") && message.body().ends_with(b"cname:4TOk42mSjXCkVIa6\r\n"));
        assert!(message.has_option(Name::Allow, "NOTIFY"));
        let contact = message.contacts().next().unwrap().unwrap();
        assert_eq!(Uri::parse(contact.uri).unwrap().param("ob"), Some(""));
    }
}

#[test]
fn sip_server_from_without_brackets_has_its_tag_as_header_parameter() {
    let message = shape!("genesys_invite");
    assert_eq!(message.from().uri, "sip:1003@192.0.2.81:5060");
    assert_eq!(message.from().tag(), Some("GUID-7"));
    assert_eq!(Uri::parse(message.from().uri).unwrap().params, "");
    assert_eq!(message.to().tag(), None);
}

#[test]
fn sip_server_via_behind_content_length_is_found() {
    let message = shape!("genesys_invite");
    assert_eq!(message.via().branch(), Some("z9hG4bKGUID-19"));
    assert!(!message.via().has_rport());
    assert_eq!(message.extension("x-genesys-calluuid"), Some(&b"01ABCDEF01ABCDEF01ABCDEF01ABCDEF"[..]));
    assert_eq!((message.number(Name::SessionExpires), message.number(Name::MinSe)), (Some(1800), Some(90)));
}

#[test]
fn a_tel_uri_is_accepted_everywhere() {
    let text =
        String::from_utf8_lossy(shape!("genesys_invite").raw()).replace("sip:5001@192.0.2.54", "tel:+1-555-0100");
    let message = super::parse(text).unwrap();
    assert_eq!(Uri::parse(message.to().uri).unwrap().user, Some("+1-555-0100"));
}
