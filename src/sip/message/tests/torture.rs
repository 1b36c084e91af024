//! RFC 4475, all 49 messages. What a layer above must refuse is accepted here, and the table says who refuses it.

use bytes::Bytes;

use crate::sip::message::{Message, Method, Name};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Valid, or left to the layer named.
    Accepted(&'static str),
    /// Refused with this status, and a reply that can be sent.
    Answered(u16),
    /// Refused with this status, but nothing can be sent: a response, or nowhere to send it.
    Dropped(u16),
}
use Verdict::{Accepted, Answered, Dropped};

macro_rules! table {
    ($($name:literal $verdict:expr),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../../tests/data/rfc4475/", $name, ".dat")), $verdict)),*]
    };
}

const TABLE: &[(&str, &[u8], Verdict)] = table! {
    // 3.1.1 valid messages
    "wsinv" Accepted("valid"), "intmeth" Accepted("valid"), "esc01" Accepted("valid"), "escnull" Accepted("valid"),
    "esc02" Accepted("valid"), "lwsdisp" Accepted("valid"), "longreq" Accepted("valid"), "dblreq" Accepted("valid"),
    "semiuri" Accepted("valid"), "transports" Accepted("valid"), "mpart01" Accepted("valid"),
    "unreason" Accepted("valid"), "noreason" Accepted("valid"),
    // 3.1.2 invalid messages
    "badinv01" Answered(400), "clerr" Answered(400), "ncl" Answered(400), "scalar02" Answered(400),
    "scalarlg" Dropped(400), "quotbal" Answered(400), "ltgtruri" Answered(400), "lwsruri" Answered(400),
    "lwsstart" Answered(400), "trws" Answered(400), "escruri" Answered(400), "baddate" Answered(400),
    "regbadct" Answered(400), "badaspec" Answered(400), "baddn" Answered(400), "badvers" Answered(505),
    "mismatch01" Answered(400), "mismatch02" Answered(400), "bigcode" Dropped(400),
    // 3.2 transaction layer
    "badbranch" Answered(400),
    // 3.3 application layer
    "insuf" Dropped(400), "unkscm" Answered(416), "novelsc" Answered(416), "unksm2" Answered(400),
    "bext01" Accepted("the endpoint answers 420"), "invut" Accepted("the user agent answers 415"),
    "regaut01" Accepted("the registrar challenges"), "multi01" Answered(400), "mcl01" Answered(400),
    "bcast" Accepted("no transaction matches its Via"), "zeromf" Accepted("we are the last hop"),
    "cparam01" Accepted("valid"), "cparam02" Accepted("valid"), "regescrt" Accepted("valid"),
    "sdp01" Accepted("the user agent answers 406"),
    // 3.4 backward compatibility
    "inv2543" Accepted("valid by RFC 2543"),
};

fn file(name: &str) -> Message {
    let raw = TABLE.iter().find(|row| row.0 == name).expect("a name of the table").1;
    Message::parse(Bytes::from_static(raw)).expect("a message that is accepted")
}

#[test]
fn each_torture_message_meets_its_verdict() {
    assert_eq!(TABLE.len(), 49);
    let mut wrong = Vec::new();
    for &(name, raw, expected) in TABLE {
        let found = match Message::parse(Bytes::from_static(raw)) {
            Ok(_) if matches!(expected, Accepted(_)) => expected,
            Ok(_) => Accepted("yet it was"),
            Err(malformed) if malformed.response().is_some() => Answered(malformed.status),
            Err(malformed) => Dropped(malformed.status),
        };
        if found != expected {
            let reason = Message::parse(Bytes::from_static(raw)).err().map(|m| m.reason);
            wrong.push(format!("{name}: expected {expected:?}, found {found:?} {reason:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_ready_reply_to_a_torture_message_is_itself_a_response_with_that_status() {
    for &(name, raw, verdict) in TABLE {
        let Answered(status) = verdict else { continue };
        let reply = Message::parse(Bytes::from_static(raw)).expect_err(name).response().expect(name);
        let text = String::from_utf8_lossy(&reply).into_owned();
        assert!(text.starts_with(&format!("SIP/2.0 {status} ")), "{name}: {text}");
        assert!(text.contains("\r\nVia: ") && text.contains("\r\nCall-ID: "), "{name}: {text}");
    }
}

#[test]
fn wsinv_is_read_through_blanks_folds_and_compact_names() {
    let message = file("wsinv");
    assert_eq!(message.to().uri, "sip:vivekg@chair-dnrc.example.com");
    assert_eq!(message.to().tag(), Some("1918181833n"));
    assert_eq!(message.from().display, Some(&br#"J Rosenberg \\\""#[..]));
    assert_eq!(message.from().tag(), Some("98asjd8"));
    assert_eq!(message.number(Name::MaxForwards), Some(68));
    assert_eq!(message.call_id(), "wsinv.ndaksdj@192.0.2.1");
    assert_eq!((message.cseq().number, message.cseq().method), (9, Method::Invite));
    let vias: Vec<_> = message.headers(Name::Via).map(|v| crate::sip::message::Via::parse(v).unwrap()).collect();
    let branches: Vec<_> = vias.iter().map(|via| (via.transport, via.host, via.branch())).collect();
    assert_eq!(
        branches,
        [
            ("UDP", "192.0.2.2", Some("390skdjuw")),
            ("TCP", "spindle.example.com", Some("z9hG4bK9ikj8")),
            ("UDP", "192.168.255.111", Some("z9hG4bK30239")),
        ]
    );
    let contact = message.contacts().next().unwrap().unwrap();
    assert_eq!((contact.param("newparam"), contact.param("q")), (Some("newvalue"), Some("0.33")));
    assert_eq!(message.header(Name::Subject), Some(&b""[..]));
    assert_eq!(message.extension("newfangledheader").map(|v| v.starts_with(b"newfangled value")), Some(true));
    assert_eq!(message.extension("UnknownHeaderWithUnusualValue"), Some(&b";;,,;;,;"[..]));
    assert_eq!(message.body().len(), 150);
    assert!(message.body().starts_with(b"v=0\r\n"));
}

#[test]
fn dblreq_ends_where_its_content_length_says() {
    let message = file("dblreq");
    assert_eq!(message.method(), Method::Register);
    assert!(message.body().is_empty());
}

#[test]
fn esc02_keeps_percent_in_names_as_it_is() {
    let message = file("esc02");
    assert_eq!(message.method().as_str(), "RE%47IST%45R");
    assert_eq!(message.contacts().count(), 2);
    assert!(message.extension("C%6Fntact").is_some());
}

#[test]
fn intmeth_carries_its_odd_bytes_along() {
    let message = file("intmeth");
    assert!(message.request_uri().starts_with("sip:1_unusual.URI~(to-be!sure)"));
    assert_eq!(message.to().display, Some(&b"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f"[..]));
    assert_eq!(message.from().tag(), Some("_token~1'+`*%!-."));
    assert_eq!(message.cseq().number, 139122385);
}

#[test]
fn unreason_and_noreason_keep_their_reason_bytes() {
    assert!(std::str::from_utf8(file("unreason").reason()).unwrap().starts_with("= 2**3 * 5**2"));
    assert_eq!(file("noreason").reason(), b"");
    assert_eq!(file("noreason").status(), 100);
}

#[test]
fn mpart01_has_its_binary_body_byte_for_byte() {
    let message = file("mpart01");
    assert_eq!(message.body().len(), 553);
    assert!(message.body().ends_with(b"--7a9cbec02ceef655--\r\n"));
}

#[test]
fn inv2543_has_neither_branch_nor_from_tag() {
    let message = file("inv2543");
    assert_eq!((message.via().branch(), message.from().tag()), (None, None));
    assert_eq!(
        message.body().len(),
        1 + message.raw().len() - 1 - message.raw().windows(4).position(|w| w == b"\r\n\r\n").unwrap() - 4
    );
}

#[test]
fn cparam01_belongs_to_the_header_and_cparam02_to_the_uri() {
    assert_eq!(file("cparam01").contacts().next().unwrap().unwrap().param("unknownparam"), Some(""));
    let two = file("cparam02");
    let contact = two.contacts().next().unwrap().unwrap();
    assert_eq!(contact.param("unknownparam"), None);
    assert_eq!(crate::sip::uri::Uri::parse(contact.uri).unwrap().param("unknownparam"), Some(""));
}

#[test]
fn longreq_has_all_its_vias() {
    let message = file("longreq");
    assert_eq!(message.headers(Name::Via).count(), 34);
    assert!(message.call_id().starts_with("longreq.one"));
}
