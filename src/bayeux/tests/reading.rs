use bytes::Bytes;

use crate::bayeux::channel::{Channel, Pattern};
use crate::bayeux::message::{Batch, Limits};
use crate::bayeux::{BayeuxError, ClientId};

fn read(text: &str) -> Result<Batch, BayeuxError> {
    Batch::read(&Bytes::from(text.to_owned()), &Limits { bytes: 200, messages: 2, depth: 4 })
}

#[test]
fn a_body_is_an_array_or_one_object() {
    assert_eq!(read(r#"[{"channel":"/a"},{"channel":"/b"}]"#).expect("two").count(), 2);
    assert_eq!(read(r#" {"channel":"/meta/handshake"}"#).expect("one").count(), 1);
    for text in ["", "7", "\"x\"", "[7]", "[{}", "{} {}", r#"{"channel":7}"#, "]["] {
        assert_eq!(read(text).expect_err(text), BayeuxError::Malformed, "{text}");
    }
}

#[test]
fn each_bound_of_a_body_has_its_own_error() {
    assert_eq!(read(&"x".repeat(201)).expect_err("large"), BayeuxError::TooLarge);
    assert_eq!(read("[{},{},{}]").expect_err("three"), BayeuxError::BadCount);
    assert_eq!(read("[]").expect_err("none"), BayeuxError::BadCount);
    assert_eq!(read(r#"[{"data":[[[]]]}]"#).expect_err("deep"), BayeuxError::TooDeep);
    assert!(read(r#"[{"data":[[]]}]"#).is_ok());
}

#[test]
fn brackets_and_commas_inside_strings_count_for_nothing() {
    assert!(read(r#"[{"data":"[[[[[[,,,,\"[[[\\"}]"#).is_ok());
}

#[test]
fn a_login_is_read_in_both_spellings_and_only_of_a_handshake() {
    let login = |channel: &str, user: &str, password: &str| {
        let text =
            format!(r#"{{"channel":"{channel}","ext":{{"authentication":{{"{user}":"anna","{password}":"pw"}}}}}}"#);
        read(&text).expect("a batch").login().map(|l| (l.username.clone(), l.password.clone()))
    };
    let anna = Some(("anna".to_owned(), "pw".to_owned()));
    assert_eq!(login("/meta/handshake", "username", "password"), anna);
    assert_eq!(login("/meta/handshake", "user", "credentials"), anna);
    assert_eq!(login("/meta/connect", "user", "credentials"), None);
}

#[test]
fn a_password_is_not_in_the_debug_output() {
    let text = r#"{"channel":"/meta/handshake","ext":{"authentication":{"user":"anna","password":"s3cret"}}}"#;
    let batch = read(text).expect("a batch");
    assert!(!format!("{batch:?}").contains("s3cret"));
}

#[test]
fn a_channel_has_a_slash_and_no_empty_segment() {
    for good in ["/a", "/v2/me/calls", "/a-b/c_d/e.f"] {
        assert!(Channel::parse(good).is_ok(), "{good}");
    }
    let long = format!("/{}", "a".repeat(256));
    let deep = "/a".repeat(17);
    for bad in ["", "/", "a", "/a/", "//a", "/a b", "/a\"", "/*", "/a/**", "/\u{e9}", &long, &deep] {
        assert_eq!(Channel::parse(bad), Err(BayeuxError::BadChannel), "{bad}");
    }
}

#[test]
fn a_wildcard_stands_only_at_the_end() {
    for good in ["/*", "/**", "/a/*", "/a/b/**"] {
        assert!(Pattern::parse(good).is_ok(), "{good}");
    }
    for bad in ["/*/a", "/a/**/b", "/a*", "/a/b**", "/***", "*"] {
        assert!(Pattern::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn one_star_is_one_segment_and_two_are_any_depth() {
    let matches = |pattern: &str, channel: &str| {
        Pattern::parse(pattern).expect("a pattern").matches(&Channel::parse(channel).expect("a channel"))
    };
    assert!(matches("/v2/me/*", "/v2/me/calls"));
    assert!(!matches("/v2/me/*", "/v2/me/calls/1"));
    assert!(!matches("/v2/me/*", "/v2/me"));
    assert!(matches("/v2/**", "/v2/me/calls"));
    assert!(matches("/**", "/a"));
    assert!(!matches("/v2/**", "/v2"));
    assert!(!matches("/v2/**", "/v21/me"));
}

#[test]
fn the_patterns_of_a_channel_are_those_that_match_it() {
    let channel = Channel::parse("/a/b/c").expect("a channel");
    let mut found = Vec::new();
    channel.each_pattern(|pattern| found.push(pattern.to_owned()));
    assert_eq!(found, ["/a/b/c", "/a/b/*", "/a/b/**", "/a/**", "/**"]);
    for pattern in found {
        assert!(Pattern::parse(&pattern).expect("a pattern").matches(&channel), "{pattern}");
    }
}

#[test]
fn a_client_id_reads_back_and_nothing_else_does() {
    let id = ClientId::new([0xa7; 20]);
    assert_eq!(ClientId::parse(&id.to_string()), Some(id));
    assert_eq!(ClientId::parse(&id.to_string().to_uppercase()), None);
    assert_eq!(ClientId::parse(&id.to_string()[1..]), None);
    assert!(!format!("{id:?}").contains(&id.to_string()));
}
