use axum::http::{HeaderMap, HeaderValue};

use super::cookie::{self, Flags};
use super::*;
use crate::gateway::ListenerId;

fn upstream(base: &str) -> Upstream {
    Upstream {
        name: "main".into(),
        scheme: Scheme::HTTP,
        authority: Authority::from_static("gws.example:8090"),
        base: base.into(),
        paths: vec!["/genesys/cometd".into(), "/api/v2".into()],
        tls: None,
        connections: 1,
    }
}

fn link(secure: bool, local_only: bool) -> Link {
    let peer = "192.0.2.7:1".parse().expect("an address");
    Link { peer, secure, listener: ListenerId(0), local_only }
}

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn only_configured_paths_are_open_however_they_are_written() {
    let paths = upstream("").paths;
    for path in ["/genesys/cometd", "/genesys/cometd/handshake", "/api/v2/me", "/api/v2/me/calls/UIVB;x=1"] {
        assert!(is_open(&paths, path), "{path}");
    }
    for path in [
        "/",
        "/genesys",
        "/genesys/cometdx",
        "/api/v2x",
        "/api/v2/../admin",
        "/api/v2/%2e%2E/admin",
        "/api/v2/..;/admin",
        "/api/v2/.;x/admin",
        "/api/v2//admin",
        "/api/v2/%2f../admin",
        "/api/v2/..%5cadmin",
        "/api/v2/a\\b",
        "/ui/ad/v1",
    ] {
        assert!(!is_open(&paths, path), "{path}");
    }
}

#[test]
fn a_request_must_come_from_a_script_of_a_page_of_ours() {
    let link = link(true, false);
    let own = ("host", "gw.example:8443");
    let ok: &[&[(&str, &str)]] = &[
        &[own, ("origin", "https://gw.example:8443")],
        &[own, ("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "empty")],
        &[own, ("origin", "https://gw.example:8443"), ("sec-fetch-dest", "websocket")],
    ];
    for fields in ok {
        assert!(is_ours(&link, &headers(fields)), "{fields:?}");
    }
    let foreign: &[&[(&str, &str)]] = &[
        &[own],
        &[own, ("origin", "https://evil.example")],
        &[own, ("origin", "null")],
        &[own, ("sec-fetch-site", "same-site")],
        &[own, ("sec-fetch-site", "none")],
        &[own, ("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
        // A person who follows a link, a frame, a script element: what comes would be a document of our origin.
        &[own, ("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "document")],
        &[own, ("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "iframe")],
        &[own, ("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "script")],
        &[own, ("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "serviceworker")],
    ];
    for fields in foreign {
        assert!(!is_ours(&link, &headers(fields)), "{fields:?}");
    }
}

#[test]
fn a_strangers_name_for_this_machine_is_no_page_of_ours() {
    let link = link(false, true);
    let rebound = [("host", "evil.example:8080"), ("sec-fetch-site", "same-origin")];
    assert!(!is_ours(&link, &headers(&rebound)));
    let local = [("host", "localhost:8080"), ("sec-fetch-site", "same-origin")];
    assert!(is_ours(&link, &headers(&local)));
}

#[test]
fn a_cookie_of_the_gws_goes_by_a_name_and_a_path_of_its_own() {
    let set = "JSESSIONID=node0abc; Path=/genesys; Domain=gws.example; Max-Age=1800; HttpOnly; SameSite=Lax";
    let seen = cookie::response(&upstream(""), set, Flags::of(&link(true, false), false));
    let expected = "gws.main.JSESSIONID=node0abc; Path=/gws/main/genesys; Max-Age=1800; HttpOnly; SameSite=Lax; Secure";
    assert_eq!(seen.as_deref(), Some(expected));
    let seen = cookie::response(&upstream("/base"), "a=b; path=/base/x", Flags::of(&link(false, true), false));
    assert_eq!(seen.as_deref(), Some("gws.main.a=b; Path=/gws/main/x; HttpOnly; SameSite=Lax"));
    let seen = cookie::response(&upstream(""), "a=b; Secure; SameSite=Strict", Flags::of(&link(true, false), true));
    let expected = "gws.main.a=b; Path=/gws/main/; HttpOnly; SameSite=None; Secure; Partitioned";
    assert_eq!(seen.as_deref(), Some(expected));
}

#[test]
fn a_cookie_that_is_none_is_not_carried() {
    let flags = Flags::of(&link(true, false), false);
    let long = format!("a={}", "b".repeat(5000));
    for set in ["", "novalue", "=x", "a b=c", "a,b=c", &long] {
        assert_eq!(cookie::response(&upstream(""), set, flags), None, "{set}");
    }
}

#[test]
fn only_cookies_of_this_gws_go_to_it() {
    let lines = ["JSESSIONID=ours; gws.main.JSESSIONID=theirs", "gws.other.JSESSIONID=x; gws.main.BAYEUX_BROWSER=y"];
    let seen = cookie::request(&upstream(""), lines.into_iter());
    assert_eq!(seen.as_deref(), Some("JSESSIONID=theirs; BAYEUX_BROWSER=y"));
    assert_eq!(cookie::request(&upstream(""), ["JSESSIONID=ours"].into_iter()), None);
}

#[test]
fn fields_of_the_connection_and_of_our_origin_stay_here() {
    let from_page = headers(&[
        ("host", "gw.example"),
        ("origin", "https://gw.example"),
        ("cookie", "JSESSIONID=ours"),
        ("te", "trailers"),
        ("connection", "keep-alive, x-odd"),
        ("x-odd", "1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("sec-fetch-site", "same-origin"),
        ("x-csrf-token", "t"),
        ("authorization", "Basic x"),
        ("content-type", "application/json"),
    ]);
    let seen = head::request(&from_page, &upstream(""), &link(true, false), false);
    let names: std::collections::BTreeSet<&str> = seen.keys().map(|name| name.as_str()).collect();
    let expected = ["authorization", "content-type", "x-csrf-token", "x-forwarded-for"];
    assert_eq!(names, expected.into_iter().collect());
    assert_eq!(seen["x-forwarded-for"], "192.0.2.7");

    let from_gws = headers(&[
        ("content-type", "application/json"),
        ("www-authenticate", "Basic"),
        ("access-control-allow-origin", "*"),
        ("clear-site-data", "\"*\""),
        ("x-csrf-token", "t"),
        ("connection", "close"),
        ("set-cookie", "a=b"),
        ("location", "http://gws.example:8090/api/v2/me?x=1"),
    ]);
    let seen = head::response(&from_gws, &upstream(""), Flags::of(&link(false, true), false), false);
    let names: std::collections::BTreeSet<&str> = seen.keys().map(|name| name.as_str()).collect();
    let expected = ["content-type", "cross-origin-resource-policy", "location", "set-cookie", "x-csrf-token"];
    assert_eq!(names, expected.into_iter().collect());
    assert_eq!(seen["location"], "/gws/main/api/v2/me?x=1");
    let elsewhere = headers(&[("location", "http://evil.example/api/v2/me")]);
    let seen = head::response(&elsewhere, &upstream(""), Flags::of(&link(false, true), false), false);
    assert!(!seen.contains_key("location"));
}

#[test]
fn a_websocket_goes_with_the_origin_of_the_gws() {
    let asked = headers(&[
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("origin", "https://gw.example"),
        ("sec-websocket-key", "k"),
    ]);
    assert!(head::is_websocket(&asked));
    let seen = head::request(&asked, &upstream(""), &link(true, false), true);
    assert_eq!(seen["origin"], "http://gws.example:8090");
    assert_eq!(seen["upgrade"], "websocket");
    assert_eq!(seen["sec-websocket-key"], "k");
}
