use super::*;

fn uri(text: &str) -> Uri<'_> {
    Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn every_part_of_a_sip_uri_is_found() {
    let uri = uri("sips:al%69ce:pw@[2001:db8::1]:5061;transport=tcp;lr?subject=a&to=b%20c");
    assert_eq!((uri.scheme, uri.user, uri.password), (Scheme::Sips, Some("al%69ce"), Some("pw")));
    assert_eq!((uri.host, uri.port, uri.ip()), ("[2001:db8::1]", Some(5061), "2001:db8::1".parse().ok()));
    assert_eq!((uri.param("TRANSPORT"), uri.param("lr"), uri.param("x")), (Some("tcp"), Some(""), None));
    assert_eq!(uri.header_pairs().collect::<Vec<_>>(), [("subject", "a"), ("to", "b%20c")]);
    assert_eq!(uri.user_unescaped(), "alice");
}

#[test]
fn semicolons_and_question_marks_before_the_at_belong_to_the_user() {
    let uri = uri("sip:user;par=u%40example.net?x@example.com;lr");
    assert_eq!((uri.user, uri.host, uri.params), (Some("user;par=u%40example.net?x"), "example.com", "lr"));
}

#[test]
fn a_tel_uri_has_a_number_and_parameters() {
    let uri = uri("tel:+1-201-555-0123;phone-context=example.com");
    assert_eq!((uri.scheme, uri.user, uri.host), (Scheme::Tel, Some("+1-201-555-0123"), ""));
    assert_eq!(uri.param("phone-context"), Some("example.com"));
}

#[test]
fn other_schemes_are_carried_along() {
    for text in ["soap.beep://192.0.2.103:3002", "isbn:2983792873", "urn:service:sos", "http://www.example.com"] {
        assert_eq!((uri(text).scheme, uri(text).to_string()), (Scheme::Other, text.to_owned()));
    }
}

#[test]
fn malformed_uris_are_refused_by_kind() {
    for (text, error) in [
        ("", UriError::NoScheme),
        ("example.com", UriError::NoScheme),
        ("5ip:a@b", UriError::NoScheme),
        (":a", UriError::NoScheme),
        ("sip:", UriError::BadHost),
        ("sip:a@", UriError::BadHost),
        ("sip:@b", UriError::BadUser),
        ("sip:a@b@c", UriError::BadUser),
        ("sip:a b@c", UriError::BadCharacter),
        ("sip:a@b<", UriError::BadCharacter),
        ("sip:%4@b", UriError::BadCharacter),
        ("sip:%zz@b", UriError::BadCharacter),
        ("sip:a@b%", UriError::BadCharacter),
        ("sip:é@b", UriError::BadCharacter),
        ("sip:a@b:", UriError::BadPort),
        ("sip:a@b:0", UriError::BadPort),
        ("sip:a@b:65536", UriError::BadPort),
        ("sip:a@b:-1", UriError::BadPort),
        ("sip:a@b:99999999999999999999", UriError::BadPort),
        ("sip:2001:db8::10", UriError::BadPort),
        ("sip:[2001:db8::10", UriError::BadHost),
        ("sip:[2001:db8::10]x", UriError::BadHost),
        ("sip:[1.2.3.4]", UriError::BadHost),
        ("sip:a@b;", UriError::BadParameter),
        ("sip:a@b;;lr", UriError::BadParameter),
        ("sip:a@b;=x", UriError::BadParameter),
        ("sip:a@b?", UriError::BadParameter),
        ("tel:", UriError::BadUser),
        ("tel:1;", UriError::BadParameter),
    ] {
        assert_eq!(Uri::parse(text).map(|uri| uri.to_string()), Err(error), "{text}");
    }
}

#[test]
fn a_parameter_twice_is_refused() {
    for text in
        ["sips:u;p=x:u;p=x%401:db8::8]:1;lr", "sip:b;transport=tcp;lr;Transport=udp", "sip:b;lr;lr", "tel:1;a;a=b"]
    {
        assert_eq!(Uri::parse(text).map(|uri| uri.to_string()), Err(UriError::BadParameter), "{text}");
    }
}

#[test]
fn more_parameters_than_anybody_needs_are_refused() {
    let with = |count: usize| (0..count).fold("sip:b".to_owned(), |uri, n| format!("{uri};p{n}"));
    assert!(Uri::parse(&with(MAX_PARAMS)).is_ok());
    assert_eq!(Uri::parse(&with(MAX_PARAMS + 1)).map(|uri| uri.to_string()), Err(UriError::BadParameter));
}

#[test]
fn rfc_3261_pairs_that_are_equivalent() {
    for (a, b) in [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0::1]"),
        ("tel:+1-555-0100", "tel:+15550100"),
    ] {
        assert!(uri(a).equivalent(&uri(b)) && uri(b).equivalent(&uri(a)), "{a} {b}");
    }
}

#[test]
fn rfc_3261_pairs_that_are_not_equivalent() {
    for (a, b) in [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:a@b", "sips:a@b"),
        ("sip:a:x@b", "sip:a@b"),
        ("tel:+15550100", "tel:+15550101"),
    ] {
        assert!(!uri(a).equivalent(&uri(b)) && !uri(b).equivalent(&uri(a)), "{a} {b}");
    }
}

#[test]
fn what_is_escaped_is_unescaped_to_the_same() {
    for text in ["", "5001", "a@b;c=d?e&f", "GUID-1@192.0.2.81;to-tag=7", "é\u{0}%41", "100%"] {
        assert_eq!(unescape(&escape(text)), text);
        assert!(Uri::parse(&format!("sip:x{}@h", escape(text))).is_ok(), "{text}");
    }
    assert_eq!(unescape("%4"), "%4");
    assert_eq!(unescape("%ff"), "\u{fffd}");
}
