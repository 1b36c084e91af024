//! CometD by HTTP and WebSocket, without a client library: logins, cookies, origins, what is refused.

use std::net::SocketAddr;
use std::time::Duration;

use crosspoint::bayeux::Transport;
use crosspoint::bayeux::channel::Channel;
use crosspoint::desk::{AgentConfig, DeskConfig, PasswordHash, UserName};
use crosspoint::http::session::{CookieMode, DeskRules};
use crosspoint::http::{self};
use crosspoint::id::RunId;
use crosspoint::io::accept::Limits;
use crosspoint::io::desk::{self, Handle, Links};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::client;
use crate::rig::{self, Web};

const HANDSHAKE: &str =
    r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]"#;

struct Site {
    web: Web,
    desk: Handle,
}

/// Agents `anna` and `bert` with the password `secret`.
async fn site(rules: DeskRules) -> Site {
    let agent = |name: &str, dn: &str| AgentConfig {
        user: name.into(),
        password: PasswordHash::make("secret", [7; 16]),
        name: name.to_owned(),
        dns: vec![dn.to_owned()],
        skills: Vec::new(),
    };
    let config = DeskConfig {
        run: RunId(7),
        agents: vec![agent("anna", "5001"), agent("bert", "5002")],
        after_call_work: Duration::ZERO,
        base_uri: "http://localhost".to_owned(),
        user_data_fields: Vec::new(),
        user_data_out: None,
        status: crosspoint::desk::StatusName::StatusChange,
    };
    let (desk, _) = desk::spawn(desk::Config::new(config), Links::default());
    let rules = http::Config { desk: rules, ..rig::rules() };
    Site { web: Web::with_desk(rules, Limits::default(), Some(desk.clone())).await, desk }
}

fn open() -> DeskRules {
    DeskRules { anonymous: true, ..DeskRules::default() }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let field = |line: &'_ str| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
        self.head.lines().find(|line| field(line)).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}\n{}", self.head, self.body))
    }

    /// The cookie that a browser sends back.
    fn cookie(&self) -> String {
        self.header("set-cookie").expect("a cookie").split(';').next().expect("a pair").to_owned()
    }
}

impl Site {
    async fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        ask(self.web.address, method, path, fields, body).await
    }

    async fn post(&self, fields: &[(&str, &str)], body: &Value) -> Answer {
        self.ask("POST", "/genesys/cometd", fields, &body.to_string()).await
    }

    /// Logs in as GWS has it, and returns the cookie.
    async fn log_in(&self, basic: &str) -> String {
        self.ask("GET", "/api/v2/notifications", &[("Authorization", basic)], "").await.cookie()
    }

    /// Shakes hands, and returns the clientId.
    async fn handshake(&self, cookie: &str) -> String {
        let answer = self.ask("POST", "/genesys/cometd/handshake", &[("Cookie", cookie)], HANDSHAKE).await;
        answer.json()[0]["clientId"].as_str().unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
    }
}

async fn ask(address: SocketAddr, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
    let host = match fields.iter().any(|(name, _)| *name == "Host") {
        true => String::new(),
        false => format!("Host: localhost:{}\r\n", address.port()),
    };
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\n{host}{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let stream = TcpStream::connect(address).await.expect("connected");
    let (head, body) = client::http(stream, &request).await;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head, body }
}

const ANNA: &str = "Basic YW5uYTpzZWNyZXQ=";
const BERT: &str = "Basic YmVydDpzZWNyZXQ=";
/// `anna` and `bert` with the password `x`.
const WRONG: [&str; 2] = ["Basic YW5uYTp4", "Basic YmVydDp4"];

#[tokio::test]
async fn the_checks_of_the_guide_pass_as_written() {
    let site = site(open()).await;
    assert_eq!(site.ask("HEAD", "/ui/ad/v1/index.html", &[], "").await.status, 200);
    assert_eq!(site.ask("HEAD", "/genesys/cometd", &[], "").await.status, 405);
    assert_eq!(site.ask("GET", "/genesys/cometd", &[], "").await.status, 405);
    assert_eq!(site.ask("GET", "/cometd/handshake", &[], "").await.status, 404);
    assert_eq!(site.ask("POST", "/cometd/handshake", &[], HANDSHAKE).await.status, 404);
    let json = [("Content-Type", "application/json")];
    let reply = site.ask("POST", "/genesys/cometd/handshake", &json, HANDSHAKE).await.json();
    assert_eq!(reply[0]["successful"], true);
    assert_eq!(reply[0]["advice"]["timeout"], 60_000);
    let client = reply[0]["clientId"].as_str().expect("a clientId");
    for channel in ["/v2/me/calls", "/v2/me/*", "/v2/me/state"] {
        let subscribe = json!({"channel": "/meta/subscribe", "subscription": channel, "clientId": client});
        let reply = site.post(&[], &subscribe).await.json();
        let error = reply[0]["error"].as_str().unwrap_or_default();
        assert!(reply[0]["successful"] == false && error.starts_with("403"), "{channel}: {reply}");
    }
}

#[tokio::test]
async fn who_is_not_logged_in_gets_no_session_where_that_is_not_allowed() {
    let site = site(DeskRules::default()).await;
    let reply = site.ask("POST", "/genesys/cometd/handshake", &[], HANDSHAKE).await.json();
    assert_eq!(reply[0]["error"], "403::Handshake denied");
    assert_eq!(reply[0]["advice"]["reconnect"], "none");
}

#[tokio::test]
async fn a_login_by_basic_gets_its_own_events_and_nobody_elses() {
    let site = site(DeskRules::default()).await;
    let cookie = site.log_in(ANNA).await;
    assert!(cookie.starts_with("JSESSIONID="), "{cookie}");
    let client = site.handshake(&cookie).await;
    let batch = json!([
        {"channel": "/meta/subscribe", "subscription": "/v2/me/*", "clientId": client, "id": "1"},
        {"channel": "/meta/connect", "connectionType": "long-polling", "clientId": client, "id": "2"},
    ]);
    let replies = site.post(&[("Cookie", &cookie)], &batch).await.json();
    assert!(replies.as_array().expect("an array").iter().all(|r| r["successful"] == true), "{replies}");
    let calls = Channel::parse("/v2/me/calls").expect("a channel");
    let (anna, bert) = (UserName::from("anna"), UserName::from("bert"));
    site.desk.publish(Some(&bert), calls.clone(), r#"{"n":1}"#.into()).await.expect("alive");
    site.desk.publish(Some(&anna), calls, r#"{"n":2}"#.into()).await.expect("alive");
    let connect = json!({"channel": "/meta/connect", "connectionType": "long-polling", "clientId": client, "id": "3"});
    let got = site.post(&[("Cookie", &cookie)], &connect).await.json();
    assert_eq!(got[0], json!({"channel": "/v2/me/calls", "data": {"n": 2}}));
    assert_eq!((&got[1]["id"], got.as_array().map(Vec::len)), (&json!("3"), Some(2)));
    let publish = json!({"channel": "/v2/me/calls", "data": {}, "clientId": client});
    let refused = site.post(&[("Cookie", &cookie)], &publish).await.json();
    assert_eq!(refused[0]["error"], "403:denied_by_security_policy:publish_denied");
}

#[tokio::test]
async fn a_handshake_can_log_in_and_sets_the_cookie() {
    let site = site(DeskRules::default()).await;
    let of = |password: &str| {
        let ext = json!({"authentication": {"username": "anna", "password": password}});
        json!([{"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"], "ext": ext}])
    };
    let wrong = site.post(&[], &of("wrong")).await;
    assert_eq!((&wrong.json()[0]["error"], wrong.header("set-cookie")), (&json!("403::Handshake denied"), None));
    let right = site.post(&[], &of("secret")).await;
    let client = right.json()[0]["clientId"].as_str().expect("a clientId").to_owned();
    let flags = right.header("set-cookie").expect("a cookie");
    assert!(flags.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{flags}");
    let subscribe = json!({"channel": "/meta/subscribe", "subscription": "/v2/me/calls", "clientId": client});
    let reply = site.post(&[("Cookie", &right.cookie())], &subscribe).await.json();
    assert_eq!(reply[0]["successful"], true, "{reply}");
}

#[tokio::test]
async fn a_login_by_basic_in_a_second_tab_is_another_login_beside_the_cookie_of_the_first() {
    let site = site(DeskRules::default()).await;
    let anna = site.log_in(ANNA).await;
    let me = async |fields: &[(&str, &str)]| site.ask("GET", "/api/v2/me", fields, "").await;
    let second = me(&[("Cookie", &anna), ("Authorization", BERT)]).await;
    assert_eq!((second.status, &second.json()["user"]["userName"]), (200, &json!("bert")));
    let bert = second.cookie();
    assert_ne!(bert, anna);
    for (cookie, name) in [(&anna, "anna"), (&bert, "bert")] {
        assert_eq!(me(&[("Cookie", cookie)]).await.json()["user"]["userName"], name);
    }
    let again = me(&[("Cookie", &anna), ("Authorization", ANNA)]).await;
    assert_eq!((again.status, again.header("set-cookie")), (200, None), "no other login is needed");
    let token = again.header("x-csrf-token").expect("a token").to_owned();
    let fields = [("Cookie", &*anna), ("X-CSRF-TOKEN", &token), ("Authorization", BERT)];
    let changed = site.ask("POST", "/api/v2/logout", &fields, "").await;
    assert_eq!(changed.status, 403, "bert does nothing in anna's name");
    assert_eq!(site.ask("POST", "/api/v2/logout", &fields[..2], "").await.status, 200);
}

#[tokio::test]
async fn a_wrong_password_is_refused_beside_a_cookie_too_and_the_login_of_the_cookie_stays() {
    let site = site(DeskRules::default()).await;
    let anna = site.log_in(ANNA).await;
    for wrong in WRONG {
        let fields = [("Cookie", anna.as_str()), ("Authorization", wrong)];
        let refused = site.ask("GET", "/api/v2/me", &fields, "").await;
        assert_eq!((refused.status, &refused.json()["statusCode"]), (403, &json!(20)), "{wrong}");
        assert_eq!(refused.header("set-cookie"), None, "{wrong}");
    }
    let me = site.ask("GET", "/api/v2/me", &[("Cookie", &anna)], "").await;
    assert_eq!((me.status, &me.json()["user"]["userName"]), (200, &json!("anna")));
}

#[tokio::test]
async fn nobody_uses_a_session_without_the_cookie_of_its_login() {
    let site = site(open()).await;
    let (anna, bert) = (site.log_in(ANNA).await, site.log_in(BERT).await);
    let client = site.handshake(&anna).await;
    let connect = json!([{"channel": "/meta/connect", "connectionType": "long-polling", "clientId": client}]);
    let other = site.log_in(ANNA).await;
    for fields in [&[][..], &[("Cookie", bert.as_str())], &[("Cookie", other.as_str())]] {
        let reply = site.post(fields, &connect).await.json();
        assert_eq!(reply[0]["error"], "402::Unknown client");
        assert_eq!(reply[0]["advice"]["reconnect"], "handshake");
    }
    let reply = site.post(&[("Cookie", &anna)], &connect).await.json();
    assert_eq!(reply[0]["successful"], true);
}

#[tokio::test]
async fn logging_out_ends_the_sessions_of_all_tabs_at_once() {
    let site = site(DeskRules::default()).await;
    let cookie = site.log_in(ANNA).await;
    let client = site.handshake(&cookie).await;
    let connect = json!([{"channel": "/meta/connect", "connectionType": "long-polling", "clientId": client}]);
    site.post(&[("Cookie", &cookie)], &connect).await;
    let fields = [("Cookie", cookie.as_str())];
    let (held, ()) = tokio::join!(site.post(&fields, &connect), async {
        while site.desk.figures().await.expect("alive").held == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let token = site.ask("GET", "/api/v2/notifications", &[("Cookie", &cookie)], "").await;
        let token = token.header("x-csrf-token").expect("a token").to_owned();
        let forged = site.ask("POST", "/api/v2/logout", &[("Cookie", &cookie)], "").await;
        assert_eq!((forged.status, &forged.json()["statusCode"]), (403, &json!(20)));
        let out = site.ask("POST", "/api/v2/logout", &[("Cookie", &cookie), ("X-CSRF-TOKEN", &token)], "").await;
        assert_eq!(out.status, 200);
        assert!(out.header("set-cookie").is_some_and(|gone| gone.contains("Max-Age=0")), "{}", out.head);
    });
    assert_eq!(held.json()[0]["advice"]["reconnect"], "none");
    let reply = site.post(&[("Cookie", &cookie)], &connect).await.json();
    assert_eq!(reply[0]["error"], "402::Unknown client");
}

#[tokio::test]
async fn whoever_is_not_logged_in_is_told_so_in_the_words_of_both_dialects() {
    let site = site(DeskRules::default()).await;
    let told = site.ask("POST", "/api/v2/logout", &[("Cookie", "JSESSIONID=guessed")], "").await;
    let body = json!({"statusCode": 20, "statusMessage": "Access denied", "error": "Not authenticated"});
    assert_eq!((told.status, told.json()), (403, body.clone()));
    let wrong = site.ask("GET", "/api/v2/notifications", &[("Authorization", "Basic YW5uYTp4")], "").await;
    assert_eq!((wrong.status, wrong.json()), (403, body));
    assert_eq!(wrong.header("www-authenticate"), None, "a browser would ask, and keep the password");
}

#[tokio::test]
async fn pages_of_other_origins_need_to_be_on_the_list_and_are_told_exactly() {
    let site = site(DeskRules { origins: ["https://desk.example".to_owned()].into(), ..open() }).await;
    let path = "/genesys/cometd/handshake";
    let preflight = [
        ("Origin", "https://desk.example"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type,x-csrf-token"),
    ];
    let told = site.ask("OPTIONS", path, &preflight, "").await;
    assert_eq!(told.status, 204);
    assert_eq!(told.header("access-control-allow-origin"), Some("https://desk.example"));
    assert_eq!(told.header("access-control-allow-credentials"), Some("true"));
    let allowed = told.header("access-control-allow-headers").expect("a list");
    assert!(allowed.contains("Content-Type") && allowed.contains("X-CSRF-TOKEN"), "{allowed}");
    let reply = site.ask("POST", path, &[("Origin", "https://desk.example")], HANDSHAKE).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, Some("https://desk.example")));
    assert_eq!(reply.header("access-control-expose-headers"), Some("X-CSRF-HEADER,X-CSRF-TOKEN"));
    for origin in ["https://evil.example", "http://desk.example", "null", "https://desk.example.evil.example"] {
        let told = site.ask("OPTIONS", path, &[("Origin", origin)], "").await;
        assert_eq!((told.status, told.header("access-control-allow-origin")), (403, None), "{origin}");
        assert_eq!(site.ask("POST", path, &[("Origin", origin)], HANDSHAKE).await.status, 403, "{origin}");
    }
}

#[tokio::test]
async fn a_script_gets_its_callback_called_and_only_pages_on_the_list_get_one() {
    let site = site(DeskRules { cookie: CookieMode::Embedded, ..open() }).await;
    let message =
        HANDSHAKE.replace('"', "%22").replace('[', "%5B").replace(']', "%5D").replace('{', "%7B").replace('}', "%7D");
    let path = |callback: &str| format!("/genesys/cometd/handshake?jsonp={callback}&message={message}");
    let told = site.ask("GET", &path("org.cometd.cb_1"), &[], "").await;
    assert_eq!(told.header("content-type"), Some("text/javascript;charset=utf-8"));
    assert!(told.body.starts_with("/**/org.cometd.cb_1([{") && told.body.ends_with("}])"), "{}", told.body);
    for bad in ["alert(1)", "a%3Bb", "", &"x".repeat(65)] {
        assert_eq!(site.ask("GET", &path(bad), &[], "").await.status, 400, "{bad}");
    }
    for referer in [("Referer", "https://evil.example/"), ("X-None", "")] {
        let told = site.ask("GET", &path("cb"), &[("Sec-Fetch-Site", "cross-site"), referer], "").await;
        assert_eq!(told.status, 403, "{referer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_on_a_plain_listener_of_the_network_is_answered_only_where_its_page_is_known_and_allowed() {
    let folder = tempfile::tempdir().expect("folder");
    let wide = "[[listener]]\nbind = \"0.0.0.0:0\"\ntls = false\nallow_plain = true\n\
                origins = [\"https://desk.example\"]\n";
    let config = crosspoint::config::Config::parse(
        &rig::text(&format!("{wide}{}", crate::agents::agent("ann", "one"))),
        "a.toml",
        [],
    )
    .expect("a good configuration");
    let app = crosspoint::app::App::new(config).state_folder(folder.path()).run().await.expect("started");
    let port = app.addresses().http[2].port();
    let status = async |path: &str, fields: &str| {
        // Browsers send no Sec-Fetch-Site there: the address is neither HTTPS nor this machine's, as far as they know.
        let request = format!("GET {path} HTTP/1.1\r\nHost: gateway.lan:{port}\r\nConnection: close\r\n{fields}\r\n");
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
        let (head, _) = client::http(stream, &request).await;
        head.split(' ').nth(1).expect("a status").to_owned()
    };
    let message = "message=%5B%7B%22channel%22:%22/meta/handshake%22,%22version%22:%221.0%22%7D%5D";
    // By whatever name and spelling the callback goes.
    for callback in ["jsonp=cb", "callback=cb", "%6Asonp=cb"] {
        let script = format!("/genesys/cometd/handshake?{callback}&{message}");
        for (fields, wanted) in [
            ("", "403"),
            ("Referer: \r\n", "403"),
            ("Referer: about:client\r\n", "403"),
            ("Referer: https://evil.example/\r\n", "403"),
            ("Referer: http://gateway.lan.evil.example/\r\n", "403"),
            ("Sec-Fetch-Site: cross-site\r\nReferer: https://evil.example/\r\n", "403"),
            ("Referer: https://desk.example/a?b\r\n", "200"),
            ("Sec-Fetch-Site: same-origin\r\n", "200"),
        ] {
            assert_eq!(status(&script, fields).await, wanted, "{callback} {fields}");
        }
        let own = format!("Referer: http://gateway.lan:{port}/ui/ad/v1/index.html\r\n");
        assert_eq!(status(&script, &own).await, "200");
    }
    // What is no script is none the worse.
    assert_eq!(status("/genesys/cometd", "").await, "405");
    app.shutdown().await;
}

#[tokio::test]
async fn a_name_that_was_rebound_to_loopback_reaches_nothing_of_the_agents() {
    let site = site(open()).await;
    let script = "/genesys/cometd/handshake?jsonp=cb&message=%5B%7B%22channel%22:%22/meta/handshake%22%7D%5D";
    let paths =
        ["/config.json", "/ui/ad/v1/config.json", "/api/v2/me", "/api/v2/openapi.json", script, "/metrics", "/"];
    for path in paths {
        for host in ["evil.example", "127.0.0.1.evil.example:80", ""] {
            let told = site.ask("GET", path, &[("Host", host), ("Authorization", ANNA)], "").await;
            assert_eq!((told.status, told.header("set-cookie")), (403, None), "{path} {host}");
            assert!(told.body.contains("Host"), "{path}: {}", told.body);
        }
    }
    let reply = site.ask("POST", "/genesys/cometd/handshake", &[("Host", "evil.example")], HANDSHAKE).await;
    assert_eq!(reply.status, 403);
    assert_eq!(site.ask("GET", "/api/v2/openapi.json", &[("Host", "127.0.0.1:1")], "").await.status, 200);
    assert_eq!(site.ask("GET", "/health", &[("Host", "evil.example")], "").await.status, 200);
}

#[tokio::test]
async fn a_transport_that_is_switched_off_is_refused() {
    let only = |transport: Transport| DeskRules { transports: [transport].into(), ..open() };
    let socket = |address| {
        let request = client::Request { path: "/genesys/cometd", protocol: None, ..client::Request::default() };
        async move { client::refused(address, request).await }
    };
    let site_a = site(only(Transport::WebSocket)).await;
    assert_eq!(site_a.ask("POST", "/genesys/cometd/", &[], HANDSHAKE).await.status, 400);
    assert_eq!(site_a.ask("GET", "/genesys/cometd?jsonp=cb&message=%5B%5D", &[], "").await.status, 400);
    assert_eq!(socket(site_a.web.address).await, None);
    let site_b = site(only(Transport::LongPolling)).await;
    assert_eq!(socket(site_b.web.address).await, Some(400));
    assert_eq!(site_b.ask("POST", "/genesys/cometd/", &[], HANDSHAKE).await.status, 200);
}

#[tokio::test]
async fn bodies_beyond_the_bounds_are_refused() {
    let site = site(open()).await;
    assert_eq!(site.ask("POST", "/genesys/cometd", &[], &"x".repeat(70_000)).await.status, 413);
    for body in ["", "[]", "{", "[1]", &format!("[{}]", vec!["{}"; 65].join(",")), &"[".repeat(100)] {
        assert_eq!(site.ask("POST", "/genesys/cometd", &[], body).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn a_client_that_goes_while_it_waits_gives_its_place_back() {
    let site = site(DeskRules::default()).await;
    let cookie = site.log_in(ANNA).await;
    let client = site.handshake(&cookie).await;
    let connect = json!([{"channel": "/meta/connect", "connectionType": "long-polling", "clientId": client}]);
    site.post(&[("Cookie", &cookie)], &connect).await;
    let held = tokio::time::timeout(Duration::from_millis(200), site.post(&[("Cookie", &cookie)], &connect)).await;
    assert!(held.is_err(), "it is held");
    for _ in 0..400 {
        if site.desk.figures().await.expect("alive").held == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{:?}", site.desk.figures().await);
}

#[tokio::test]
async fn guesses_are_slowed_down() {
    let site = site(DeskRules::default()).await;
    let peer = "192.0.2.9".parse().expect("an address");
    for _ in 0..3 {
        assert_eq!(site.desk.log_in("anna", "wrong", peer).await, Err(desk::Denied::Wrong));
    }
    let begun = tokio::time::Instant::now();
    assert_eq!(site.desk.log_in("anna", "wrong", peer).await, Err(desk::Denied::Wrong));
    let all =
        (0..12).map(|_| tokio::time::timeout(Duration::from_millis(400), site.desk.log_in("anna", "wrong", peer)));
    let heard = futures_util::future::join_all(all).await;
    let refused = heard.iter().filter(|heard| matches!(heard, Ok(Err(desk::Denied::TooSoon(_))))).count();
    let verified = heard.iter().filter(|heard| matches!(heard, Ok(Err(desk::Denied::Wrong)))).count();
    assert!(refused > 0 && verified < 2, "{heard:?}");
    assert!(begun.elapsed() > Duration::from_millis(300), "{:?}", begun.elapsed());
}

/// What it does not read waits for it alone, up to a bound; then its session ends and its connection is closed.
#[tokio::test]
async fn a_websocket_that_does_not_read_costs_nobody_else_an_event() {
    let site = site(DeskRules::default()).await;
    let stream = TcpStream::connect(site.web.address).await.expect("connected");
    let url = format!("ws://localhost:{}/genesys/cometd", site.web.address.port());
    let (mut slow, _) = tokio_tungstenite::client_async(url, stream).await.expect("a WebSocket");
    let login = json!({"authentication": {"username": "anna", "password": "secret"}});
    let hands = json!([{"channel": "/meta/handshake", "version": "1.0", "ext": login}]);
    slow.send(Message::text(hands.to_string())).await.expect("sent");
    let reply: Value = match slow.next().await {
        Some(Ok(Message::Text(text))) => serde_json::from_str(&text).expect("JSON"),
        other => panic!("{other:?}"),
    };
    let client = reply[0]["clientId"].as_str().expect("a clientId").to_owned();
    let subscribe = json!([{"channel": "/meta/subscribe", "subscription": "/v2/me/calls", "clientId": client}]);
    slow.send(Message::text(subscribe.to_string())).await.expect("sent");
    assert!(slow.next().await.is_some());
    let cookie = site.log_in(ANNA).await;
    let client = site.handshake(&cookie).await;
    let batch = json!([
        {"channel": "/meta/subscribe", "subscription": "/v2/me/calls", "clientId": client},
        {"channel": "/meta/connect", "connectionType": "long-polling", "clientId": client},
    ]);
    site.post(&[("Cookie", &cookie)], &batch).await;
    let connect = json!([{"channel": "/meta/connect", "connectionType": "long-polling", "clientId": client}]);
    let (calls, anna) = (Channel::parse("/v2/me/calls").expect("a channel"), UserName::from("anna"));
    let mut read = 0;
    for n in 0..3000 {
        let data = json!({"n": n, "padding": "x".repeat(10_000)}).to_string();
        site.desk.publish(Some(&anna), calls.clone(), data.into()).await.expect("alive");
        if n % 50 == 49 {
            let got = site.post(&[("Cookie", &cookie)], &connect).await.json();
            let events = got.as_array().expect("an array").iter().filter(|m| m["channel"] == "/v2/me/calls");
            for event in events {
                assert_eq!(event["data"]["n"], read);
                read += 1;
            }
        }
    }
    assert_eq!(read, 3000, "the one that reads has all");
    let figures = site.desk.figures().await.expect("alive");
    assert_eq!((figures.counts.queue_full, figures.sessions), (1, 1));
    for _ in 0..1000 {
        if site.desk.figures().await.expect("alive").sockets == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("its connection stays open");
}

/// Opens a WebSocket, and returns the code that it is closed with within so long.
async fn closed(site: &Site, first: Option<Value>, time: Duration) -> Option<u16> {
    let stream = TcpStream::connect(site.web.address).await.expect("connected");
    let url = format!("ws://localhost:{}/genesys/cometd", site.web.address.port());
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.expect("a WebSocket");
    if let Some(first) = first {
        socket.send(Message::text(first.to_string())).await.expect("sent");
    }
    let close = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| u16::from(frame.code)),
                Some(Ok(_)) => {}
                _ => return None,
            }
        }
    };
    tokio::time::timeout(time, close).await.ok().flatten()
}

#[tokio::test]
async fn a_websocket_on_which_nobody_logs_in_is_closed_unless_the_listener_is_anonymous() {
    let short = |anonymous| DeskRules { login_time: Duration::from_millis(300), anonymous, ..DeskRules::default() };
    let login = |password: &str| {
        let login = json!({"authentication": {"username": "anna", "password": password}});
        Some(json!([{"channel": "/meta/handshake", "version": "1.0", "ext": login}]))
    };
    let site_a = site(short(false)).await;
    assert_eq!(closed(&site_a, None, Duration::from_secs(20)).await, Some(1008));
    assert_eq!(closed(&site_a, login("wrong"), Duration::from_secs(20)).await, Some(1008));
    // A login takes its time; the one before has left this one none to be slowed down by.
    let site_b = site(DeskRules { login_time: Duration::from_secs(5), ..DeskRules::default() }).await;
    assert_eq!(closed(&site_b, login("secret"), Duration::from_secs(7)).await, None, "it is logged in");
    let site_c = site(short(true)).await;
    assert_eq!(closed(&site_c, None, Duration::from_secs(1)).await, None, "it may stay");
}
