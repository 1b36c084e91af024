use stun_types::attribute::{AttributeType, RawAttribute};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, Message, MessageIntegrityCredentials, MessageWrite, MessageWriteExt, MessageWriteVec,
    ShortTermCredentials,
};

use super::stream::{rfc4571_frame, stun_frame};
use super::*;

/// What a browser puts into a check.
pub(crate) struct Sample<'a> {
    pub(crate) ours: &'a str,
    pub(crate) theirs: &'a str,
    pub(crate) pwd: &'a str,
    pub(crate) attributes: Vec<(u16, Vec<u8>)>,
}

impl<'a> Sample<'a> {
    /// A check of a controlling browser.
    pub(crate) fn new(ours: &'a str, theirs: &'a str, pwd: &'a str) -> Self {
        Sample { ours, theirs, pwd, attributes: vec![(0x802a, vec![7; 8]), (0x0024, vec![0x6e, 0, 1, 0xff])] }
    }

    pub(crate) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.attributes.push((kind, value.to_vec()));
        self
    }

    pub(crate) fn nominating(self) -> Self {
        self.with(0x0025, &[])
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut message = Message::builder_request(BINDING, MessageWriteVec::new());
        let name = format!("{}:{}", self.ours, self.theirs);
        message.add_attribute(&RawAttribute::new(AttributeType::new(6), name.as_bytes())).unwrap();
        for (kind, value) in &self.attributes {
            message.add_attribute(&RawAttribute::new(AttributeType::new(*kind), value)).unwrap();
        }
        let key = MessageIntegrityCredentials::ShortTerm(ShortTermCredentials::new(self.pwd.to_owned()));
        message.add_message_integrity(&key, IntegrityAlgorithm::Sha1).unwrap();
        message.add_fingerprint().unwrap();
        message.finish()
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

const RFC_5769_PWD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

fn rfc_5769_request() -> Vec<u8> {
    hex("00010058 2112a442 b7e7a701 bc34d686 fa87dfae 80220010 5354554e 20746573 7420636c 69656e74 00240004 6e0001ff
         80290008 932ff9b1 51263b36 00060009 6576746a 3a683676 59202020 00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249
         c1b571a2 80280004 e57a3bcf")
}

#[test]
fn request_of_rfc_5769_2_1_is_authentic() {
    let datagram = rfc_5769_request();
    let request = Request::parse(&datagram).unwrap();
    assert_eq!((request.ours(), request.theirs()), ("evtj", "h6vY"));
    let check = request.verify(&Key::new(RFC_5769_PWD)).unwrap();
    assert!(!check.use_candidate());
    assert_eq!(check.refusal(), Some(Refusal::RoleConflict), "the sample bears ICE-CONTROLLED");
    assert_eq!(request.verify(&Key::new("VOkJxbRl1RmTxUk/WvJxBT")).err(), Some(Discard::StunIntegrity));
}

#[test]
fn mapped_address_in_the_reply_is_that_of_rfc_5769_2_2_and_2_3() {
    let datagram = rfc_5769_request();
    let request = Request::parse(&datagram).unwrap();
    let key = Key::new(RFC_5769_PWD);
    let check = request.verify(&key).unwrap();
    for (peer, attribute) in [
        ("192.0.2.1:32853", "00200008 0001a147 e112a643"),
        ("[2001:db8:1234:5678:11:2233:4455:6677]:32853", "00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9"),
    ] {
        let mut reply = [0; 128];
        let len = check.write_success(peer.parse().unwrap(), &key, &mut reply).unwrap();
        let attribute = hex(attribute);
        assert_eq!(reply[..2], [1, 1]);
        assert_eq!(reply[4..20], datagram[4..20]);
        assert_eq!(reply[20..20 + attribute.len()], attribute);
        let message = Message::from_bytes(&reply[..len]).unwrap();
        let key = MessageIntegrityCredentials::ShortTerm(ShortTermCredentials::new(RFC_5769_PWD.to_owned()));
        assert!(message.validate_integrity(&key).is_ok());
        assert!(message.has_attribute(AttributeType::new(0x8028)), "FINGERPRINT");
    }
}

#[test]
fn other_stack_reads_our_reply() {
    use rtc_stun::message::{Getter, Message as Other};
    let datagram = Sample::new("ours", "theirs", "a-password-of-22-chars").write();
    let request = Request::parse(&datagram).unwrap();
    let key = Key::new("a-password-of-22-chars");
    let mut reply = [0; 128];
    let len = request.verify(&key).unwrap().write_success("198.51.100.7:4711".parse().unwrap(), &key, &mut reply);
    let mut other = Other { raw: reply[..len.unwrap()].to_vec(), ..Other::default() };
    other.decode().unwrap();
    let mut mapped = rtc_stun::xoraddr::XorMappedAddress::default();
    mapped.get_from(&other).unwrap();
    assert_eq!((mapped.ip.to_string().as_str(), mapped.port), ("198.51.100.7", 4711));
    rtc_stun::fingerprint::FINGERPRINT.check(&other).unwrap();
}

#[test]
fn ufrag_is_found_before_anything_is_authenticated() {
    assert_eq!(ufrag(&rfc_5769_request()), Some("evtj"));
    assert_eq!(ufrag(&[0, 1, 0, 0]), None);
    let mut damaged = rfc_5769_request();
    damaged[70] ^= 1;
    assert_eq!(ufrag(&damaged), None, "FINGERPRINT is wrong");
}

#[test]
fn over_long_user_name_is_dropped() {
    let long = "u".repeat(513);
    let datagram = Sample::new("ours", &long, "pwd").write();
    assert_eq!(Request::parse(&datagram).err(), Some(Discard::StunUser));
    let datagram = Sample::new(&"u".repeat(256), &"v".repeat(256), "pwd").write();
    assert!(Request::parse(&datagram).is_ok(), "the longest allowed");
}

#[test]
fn message_cut_at_any_length_is_dropped_without_panic() {
    let whole = Sample::new("ours", "theirs", "pwd").nominating().write();
    for len in 0..whole.len() {
        assert!(Request::parse(&whole[..len]).is_err());
        // The header's length made to fit: now it is the attributes that are cut.
        let mut cut = whole[..len].to_vec();
        if let Some(field) = cut.get_mut(2..4) {
            field.copy_from_slice(&(len.saturating_sub(20) as u16).to_be_bytes());
        }
        let taken = Request::parse(&cut).is_ok_and(|request| request.verify(&Key::new("pwd")).is_ok());
        // The whole without its FINGERPRINT is a valid request.
        assert_eq!(taken, len == whole.len() - 8, "{len}");
    }
}

#[test]
fn attribute_behind_message_integrity_is_not_believed() {
    let signed = Sample::new("ours", "theirs", "pwd").write();
    let mut forged = signed[..signed.len() - 8].to_vec();
    forged.extend([0, 0x25, 0, 0]);
    let len = (forged.len() - 20) as u16;
    forged[2..4].copy_from_slice(&len.to_be_bytes());
    let nominated = Request::parse(&forged)
        .is_ok_and(|request| request.verify(&Key::new("pwd")).is_ok_and(|check| check.use_candidate()));
    assert!(!nominated);
}

#[test]
fn malformed_attributes_behind_message_integrity_are_ignored() {
    let signed = Sample::new("ours", "theirs", "pwd").write();
    let mut trailed = signed[..signed.len() - 8].to_vec();
    trailed.extend([0, 0, 0, 0, 0, 0x7a, 0x3b, 0xcf]);
    let request = Request::parse(&trailed).unwrap();
    let check = request.verify(&Key::new("pwd")).unwrap();
    assert_eq!(check.refusal(), None);
    assert!(!check.use_candidate());
}

#[test]
fn responses_indications_and_other_methods_are_not_requests() {
    for kind in [[0, 0x11], [1, 1], [1, 0x11], [0, 3]] {
        let mut datagram = rfc_5769_request();
        datagram[..2].copy_from_slice(&kind);
        assert_eq!(Request::parse(&datagram).err(), Some(Discard::StunUnexpected));
    }
}

#[test]
fn unknown_attribute_that_must_be_understood_is_named_in_a_420() {
    let datagram = Sample::new("ours", "theirs", "pwd").with(0x7777, &[1, 2]).write();
    let request = Request::parse(&datagram).unwrap();
    let key = Key::new("pwd");
    let check = request.verify(&key).unwrap();
    assert_eq!(check.refusal(), Some(Refusal::UnknownAttribute(0x7777)));
    let mut reply = [0; 128];
    let len = check.write_refusal(Refusal::UnknownAttribute(0x7777), &key, &mut reply).unwrap();
    assert_eq!(reply[..2], [1, 0x11]);
    assert!(reply[..len].windows(8).any(|window| window == [0, 0x0a, 0, 2, 0x77, 0x77, 0, 0]));
}

#[test]
fn optional_unknown_attribute_is_ignored() {
    let datagram = Sample::new("ours", "theirs", "pwd").with(0xc057, &[0, 1, 0, 10]).write();
    assert_eq!(Request::parse(&datagram).unwrap().verify(&Key::new("pwd")).unwrap().refusal(), None);
}

#[test]
fn reply_that_does_not_fit_is_an_error() {
    let datagram = Sample::new("ours", "theirs", "pwd").write();
    let request = Request::parse(&datagram).unwrap();
    let key = Key::new("pwd");
    let check = request.verify(&key).unwrap();
    let peer = "[2001:db8::1]:9".parse().unwrap();
    for room in 0..76 {
        assert_eq!(check.write_success(peer, &key, &mut vec![0; room]), Err(Discard::StunReply), "{room}");
        let _ = check.write_refusal(Refusal::RoleConflict, &key, &mut vec![0; room]);
    }
    assert_eq!(check.write_success(peer, &key, &mut [0; 76]), Ok(76));
}

#[test]
fn stream_is_cut_into_messages() {
    let first = rfc_5769_request();
    let mut stream = first.clone();
    stream.extend(&first[..30]);
    for len in 0..first.len() {
        assert_eq!(stun_frame(&stream[..len]), Ok(None));
    }
    assert_eq!(stun_frame(&stream), Ok(Some(first.len())));
    assert_eq!(stun_frame(&stream[first.len()..]), Ok(None));
    assert_eq!(stun_frame(b"GET / HTTP/1.1"), Err(Discard::StunMalformed));
    assert_eq!(stun_frame(&[0x80]), Err(Discard::StunMalformed));
    let mut odd = first;
    odd[3] = 0x59;
    assert_eq!(stun_frame(&odd), Err(Discard::StunMalformed), "no multiple of four");
}

#[test]
fn stream_with_lengths_is_cut_into_packets() {
    assert_eq!(rfc4571_frame(&[]), None);
    assert_eq!(rfc4571_frame(&[0, 2, 7]), None);
    assert_eq!(rfc4571_frame(&[0, 2, 7, 8, 9]), Some(&[7, 8][..]));
    assert_eq!(rfc4571_frame(&[0, 0]), Some(&[][..]));
}
