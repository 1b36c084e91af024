//! field.md, attackers 7 and 8: what two parsers could read in two ways, and numbers beyond their range.

use bytes::Bytes;

use super::{invite, parse, refused};
use crate::sip::message::{MAX_MESSAGE_BYTES, Message, Name};

#[test]
fn the_plain_invite_is_accepted() {
    assert!(parse(invite("")).is_ok());
}

#[test]
fn two_content_lengths_are_refused_in_any_spelling() {
    for second in ["Content-Length: 0", "l: 0", "L : 0", "content-length\t:0", "Content-Length:\r\n 0"] {
        let text = invite(&format!("Content-Length: 0\r\n{second}\r\n"));
        assert_eq!(refused(text), (400, "Duplicate Header"), "{second}");
    }
}

#[test]
fn a_content_length_list_is_refused() {
    assert_eq!(refused(invite("Content-Length: 0, 0\r\n")).0, 400);
    assert_eq!(refused(invite("Content-Length: +0\r\n")).0, 400);
    assert_eq!(refused(invite("Content-Length:\r\n")).0, 400);
}

#[test]
fn a_second_single_instance_header_is_refused() {
    for extra in [
        "From: <sip:x@y>;tag=1",
        "f: <sip:x@y>;tag=1",
        "To: <sip:x@y>",
        "t: <sip:x@y>",
        "Call-ID: x",
        "i: x",
        "CSeq: 1 INVITE",
        "Max-Forwards: 1\r\nMax-Forwards: 1",
        "Expires: 1\r\nExpires: 1",
        "Content-Type: a/b\r\nc: a/b",
        "Replaces: a\r\nReplaces: a",
        "Event: talk\r\no: hold",
    ] {
        assert_eq!(refused(invite(&format!("{extra}\r\n"))), (400, "Duplicate Header"), "{extra}");
    }
}

#[test]
fn a_blank_before_the_colon_is_stripped_from_the_name() {
    let message = parse(invite("Supported : timer\r\nX-Odd\t: 1\r\n")).unwrap();
    assert!(message.has_option(Name::Supported, "timer"));
    assert_eq!(message.extension("x-odd"), Some(&b"1"[..]));
}

#[test]
fn a_header_name_with_a_blank_inside_is_refused() {
    assert_eq!(refused(invite("Content Length: 0\r\n")), (400, "Bad Header Name"));
    assert_eq!(refused(invite(": 0\r\n")), (400, "Bad Header Name"));
    assert_eq!(refused(invite("Nothing\r\n")), (400, "Header Without Colon"));
}

#[test]
fn bare_cr_bare_lf_and_nul_in_the_head_are_refused() {
    for extra in ["X: a\nFrom: <sip:x@y>\r\n", "X: a\rb\r\n", "X: a\0b\r\n"] {
        assert_eq!(refused(invite(extra)), (400, "Control Character In Head"), "{extra:?}");
    }
}

#[test]
fn a_tag_or_a_branch_twice_in_one_value_is_refused() {
    let with = |from: &str, to: &str| refused(invite("").replacen(from, to, 1));
    assert_eq!(with(";tag=7", ";tag=7;TAG=8"), (400, "Bad From"));
    assert_eq!(with("To: <sip:5001@192.0.2.54>", "To: <sip:5001@192.0.2.54>;tag=1;tag=1"), (400, "Bad To"));
    assert_eq!(with(";branch=z9hG4bK1", ";branch=z9hG4bK1;branch=z9hG4bK2"), (400, "Bad Via"));
}

#[test]
fn a_tag_that_is_no_token_is_refused() {
    for tag in ["", "=a\u{e9}", "=a/b", "=\"\""] {
        let text = invite("").replacen("To: <sip:5001@192.0.2.54>", &format!("To: <sip:5001@192.0.2.54>;tag{tag}"), 1);
        assert_eq!(refused(text), (400, "Bad To"), "{tag}");
    }
}

#[test]
fn a_star_is_a_contact_alone() {
    assert!(parse(invite("Contact: *\r\n")).unwrap().contacts().all(|contact| contact.unwrap().is_star()));
    assert_eq!(refused(invite("").replacen("To: <sip:5001@192.0.2.54>", "To: *", 1)), (400, "Bad To"));
    assert_eq!(refused(invite("Route: <*>\r\n")), (400, "Bad Route"));
}

#[test]
fn a_message_in_a_log_shows_no_address() {
    let shown = format!("{:?}", parse(invite("Authorization: Digest x=y\r\n")).unwrap());
    assert_eq!(shown, "Message(INVITE 1, GUID-1@192.0.2.81)");
}

#[test]
fn a_fold_before_the_first_header_is_refused() {
    let text = invite("").replacen("Via:", " Via:", 1);
    assert_eq!(refused(text), (400, "Fold Before The First Header"));
}

#[test]
fn a_folded_header_is_unfolded_without_moving_the_body() {
    let text = invite("X-Long: one\r\n two\r\n\tthree\r\nContent-Length: 4\r\n") + "body";
    let message = parse(&text).unwrap();
    assert_eq!(message.extension("X-Long"), Some(&b"one   two  \tthree"[..]));
    assert_eq!(message.body(), b"body");
    assert_eq!(message.raw(), text.as_bytes());
}

#[test]
fn a_head_without_its_empty_line_is_refused() {
    let text = invite("");
    assert_eq!(refused(&text[..text.len() - 2]), (400, "Head Does Not End"));
    assert_eq!(refused(&text[..text.len() - 3]), (400, "Control Character In Head"));
    assert_eq!(refused(""), (400, "Head Does Not End"));
    assert_eq!(refused("\r\n\r\n"), (400, "Head Does Not End"));
}

#[test]
fn numbers_beyond_their_range_are_refused() {
    for extra in [
        "Max-Forwards: 256",
        "Max-Forwards: -1",
        "Expires: 4294967296",
        "Expires: 99999999999999999999999",
        "Contact: <sip:a@b>;expires=4294967296",
        "Content-Length: 4294967296",
        "Content-Length: 18446744073709551617",
        "Contact: <sip:a@b:65536>",
        "Contact: <sip:a@b:0>",
        "Via: SIP/2.0/UDP a:65536;branch=z9hG4bK2",
        "RSeq: 4294967296",
        "Session-Expires: 4294967296",
        "Warning: 1812 overture x",
    ] {
        assert_eq!(refused(invite(&format!("{extra}\r\n"))).0, 400, "{extra}");
    }
}

#[test]
fn cseq_stops_below_two_to_the_31() {
    let text = |n: u64| invite("").replacen("CSeq: 1 ", &format!("CSeq: {n} "), 1);
    assert_eq!(parse(text(2_147_483_647)).unwrap().cseq().number, 2_147_483_647);
    assert_eq!(refused(text(2_147_483_648)), (400, "Bad CSeq"));
    assert_eq!(refused(text(1 << 40)), (400, "Bad CSeq"));
}

#[test]
fn a_message_beyond_64_kib_is_refused_with_513() {
    let text = invite(&format!("X: {}\r\n", "a".repeat(MAX_MESSAGE_BYTES)));
    assert_eq!(refused(text).0, 513);
}

#[test]
fn too_many_headers_are_refused() {
    assert_eq!(refused(invite(&"X: a\r\n".repeat(300))), (400, "Too Many Headers"));
}

#[test]
fn an_ack_and_a_response_are_never_answered() {
    let ack = invite("Max-Forwards: 999\r\n").replace("INVITE", "ACK");
    assert_eq!(parse(&ack).unwrap_err().response(), None);
    let ack = ack.replacen("sip:5001@192.0.2.54", "<sip:5001@192.0.2.54>", 1);
    assert_eq!(parse(&ack).unwrap_err().response(), None);
    let response = invite("Max-Forwards: 999\r\n").replacen("INVITE sip:5001@192.0.2.54 SIP/2.0", "SIP/2.0 200 OK", 1);
    assert_eq!(parse(response).unwrap_err().response(), None);
}

#[test]
fn the_ready_reply_can_be_parsed_and_matches_the_request() {
    let reply = parse(invite("Max-Forwards: 999\r\n")).unwrap_err().response().unwrap();
    let reply = Message::parse(reply).unwrap();
    assert_eq!((reply.status(), reply.reason()), (400, &b"Bad Max-Forwards"[..]));
    assert_eq!((reply.via().branch(), reply.call_id()), (Some("z9hG4bK1"), "GUID-1@192.0.2.81"));
}

#[test]
fn an_unknown_version_is_505_and_nonsense_is_400() {
    let with = |version: &str| invite("").replacen("SIP/2.0\r\n", &format!("{version}\r\n"), 1);
    assert_eq!(refused(with("SIP/3.0")).0, 505);
    assert_eq!(refused(with("HTTP/1.1")).0, 400);
    assert!(parse(with("sip/2.0")).is_ok());
}

#[test]
fn bytes_that_are_no_utf8_are_carried_along() {
    let mut text = invite("").into_bytes();
    let at = text.len() - 2;
    text.splice(at..at, b"Subject: caf\xe9 \xff\r\nX-Raw: \x80\r\n".iter().copied());
    let message = Message::parse(Bytes::from(text)).unwrap();
    assert_eq!(message.header(Name::Subject), Some(&b"caf\xe9 \xff"[..]));
    assert_eq!(message.header_str(Name::Subject), None);
    assert_eq!(message.extension("X-Raw"), Some(&b"\x80"[..]));
}

#[test]
fn every_prefix_of_a_message_is_refused_without_a_panic() {
    let text = invite("Contact: \"a\\\"\" <sip:a@[::1]:5;x=y>;q=1\r\nRoute: <sip:a;lr>\r\nContent-Length: 0\r\n");
    assert!(parse(&text).is_ok());
    for end in 0..text.len() {
        assert!(parse(&text[..end]).is_err(), "{end}");
    }
}
