//! The official clients in Chromium, as the guide has a page use them: `org.cometd.CometD`, from another origin, each
//! transport; and the phone's login in a frame of another site.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::extract::Path as Rest;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use crosspoint::http::session::{CookieMode, DeskRules};
use serde_json::{Value, json};

use crate::site_of_agents::{PASSWORD, Site, config};
use crate::webdriver::{Browser, Kind};

/// How long the page may take for anything.
const STEP: Duration = Duration::from_secs(20);

/// Serves pages that load a client as it comes from npm; returns the port.
async fn pages() -> u16 {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let router = Router::new()
        .route("/page/{version}", get(|Rest(version): Rest<String>| async move { Html(page(&version)) }))
        .route("/frame", get(|| async { Html("<!doctype html><iframe></iframe>") }))
        .route("/lib/{*file}", get(|Rest(file): Rest<String>| async move { library(&file).await }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

fn page(version: &str) -> String {
    let load = match version {
        "8" => {
            "<script type=module>import { CometD } from '/lib/cometd-8/cometd.js'; window.org = { cometd: { CometD } };</script>"
        }
        "7" => "<script src=/lib/cometd-7/cometd.js></script>",
        _ => "<script src=/lib/cometd-3/cometd.js></script>",
    };
    // The guide's own lines, with a list to look into.
    let script = "window.events = []; window.metas = [];
      window.connectGWS = (gwsUrl, username, password, transport, timeout) => new Promise((done) => {
        const cometd = window.cometd = new org.cometd.CometD();
        cometd.configure({ url: gwsUrl + '/genesys/cometd', logLevel: 'info', maxNetworkDelay: 5000 });
        for (const other of cometd.getTransportTypes()) if (other !== transport) cometd.unregisterTransport(other);
        cometd.registerExtension('auth', { outgoing: (message) => {
          if (message.channel === '/meta/handshake') {
            message.ext = message.ext || {};
            message.ext.authentication = { username, password };
          }
          return message;
        } });
        cometd.addListener('/meta/connect', (message) => window.metas.push(message));
        cometd.handshake((reply) => {
          if (!reply.successful) return done(reply);
          cometd.subscribe('/v2/me/calls', (message) => window.events.push(message.data), () => done(reply));
        });
      });";
    format!("<!doctype html><meta charset=utf-8>{load}<script>{script}</script>")
}

async fn library(file: &str) -> Response {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/desk/node/node_modules");
    if !file.starts_with("cometd-") || file.contains("..") {
        return StatusCode::NOT_FOUND.into_response();
    }
    match tokio::fs::read(folder.join(file)).await {
        Ok(bytes) => ([(header::CONTENT_TYPE, "text/javascript")], bytes).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn works_as_written(version: &str, transport: &str) {
    let pages = pages().await;
    let origins = [format!("http://localhost:{pages}")].into();
    let site = Site::with(config(), DeskRules { origins, ..DeskRules::default() }).await;
    let browser = Browser::open(Kind::Chromium, &format!("http://localhost:{pages}/page/{version}"), None).await;
    browser.until("the client", "return !!window.org?.cometd", STEP).await;
    let gws = format!("http://localhost:{}", site.web.address.port());
    let arguments = [json!(gws), json!("anna"), json!(PASSWORD), json!(transport)];
    let hands = browser.run("return await connectGWS(...args)", &arguments).await.expect("a reply");
    assert_eq!(hands["successful"], true, "{hands}");
    for n in 0..20 {
        site.publish("anna", json!({"n": n, "text": "\u{2028} </script> Grüße"})).await;
        site.publish("bert", json!({"n": 100 + n})).await;
    }
    let all = browser.until("events", "return window.events.length >= 20 && window.events", STEP).await;
    let numbers: Vec<_> = all.as_array().expect("an array").iter().map(|data| data["n"].clone()).collect();
    assert_eq!(json!(numbers), json!((0..20).collect::<Vec<_>>()));
    assert_eq!(all[0]["text"], "\u{2028} </script> Grüße");
    let publish = "return await new Promise((done) => cometd.publish('/v2/me/calls', {}, done))";
    let refused = browser.run(publish, &[]).await.expect("a reply");
    assert_eq!(refused["error"], "403:denied_by_security_policy:publish_denied");
    let gone = browser.run("return await new Promise((done) => cometd.disconnect(done))", &[]).await.expect("a reply");
    assert_eq!(gone["successful"], true, "{gone}");
    assert_eq!(site.desk.figures().await.expect("alive").sessions, 0);
    browser.close().await;
}

macro_rules! each {
    ($($name:ident $version:literal $transport:literal)*) => {
        $(#[tokio::test] async fn $name() { works_as_written($version, $transport).await })*
    };
}

each! {
    version_3_by_long_polling "3" "long-polling"
    version_3_by_websocket "3" "websocket"
    version_3_by_callback_polling "3" "callback-polling"
    version_7_by_long_polling "7" "long-polling"
    version_7_by_websocket "7" "websocket"
    version_7_by_callback_polling "7" "callback-polling"
    version_8_by_long_polling "8" "long-polling"
    version_8_by_websocket "8" "websocket"
    version_8_by_callback_polling "8" "callback-polling"
}

/// The browser's few connections to a host are not all taken by tabs that wait.
#[tokio::test]
async fn a_second_tab_of_a_browser_is_told_that_it_is_one_of_several() {
    let pages = pages().await;
    let origins = [format!("http://localhost:{pages}")].into();
    let site = Site::with(config(), DeskRules { origins, ..DeskRules::default() }).await;
    let url = format!("http://localhost:{pages}/page/7");
    let browser = Browser::open(Kind::Chromium, &url, None).await;
    let gws = format!("http://localhost:{}", site.web.address.port());
    let arguments = [json!(gws), json!("anna"), json!(PASSWORD), json!("long-polling")];
    for tab in 0..2 {
        if tab > 0 {
            let window = browser.client().new_window(true).await.expect("a tab").handle;
            browser.client().switch_to_window(window).await.expect("switched");
            browser.client().goto(&url).await.expect("opened");
        }
        browser.until("the client", "return !!window.org?.cometd", STEP).await;
        let hands = browser.run("return await connectGWS(...args)", &arguments).await.expect("a reply");
        assert_eq!(hands["successful"], true, "{hands}");
        if tab == 0 {
            // It waits; without that the other one would be the first.
            browser.until("a connect", "return window.metas.length > 0", STEP).await;
            while site.desk.figures().await.expect("alive").held == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    let crowded = "return window.metas.some((m) => m.advice && m.advice['multiple-clients'])";
    browser.until("the advice", crowded, STEP).await;
    site.publish("anna", json!({"n": 1})).await;
    browser.until("the event", "return window.events.length === 1", STEP).await;
    browser.close().await;
}

/// Logs in within a frame of the gateway in a page of another site; returns the status of the next request there.
async fn in_a_frame(cookie: CookieMode) -> Value {
    let pages = pages().await;
    let rules = DeskRules { cookie, ..DeskRules::default() };
    let site = Site::framed(rules, format!("http://localhost:{pages}")).await;
    let browser = Browser::open(Kind::Chromium, &format!("http://localhost:{pages}/frame"), None).await;
    let frame = format!("http://127.0.0.1:{}/health", site.web.address.port());
    let load = "await new Promise((done) => { const f = document.querySelector('iframe'); f.onload = done; f.src = args[0]; })";
    browser.run(load, &[json!(frame)]).await.expect("loaded");
    browser.client().enter_frame(0).await.expect("a frame");
    let log_in = "const headers = { Authorization: 'Basic ' + btoa('anna:' + args[0]) };
        const first = await fetch('/api/v2/notifications', { headers });
        const token = first.headers.get('X-CSRF-TOKEN');
        const next = await fetch('/api/v2/logout', { method: 'POST', headers: { 'X-CSRF-TOKEN': token } });
        return [location.hostname, first.status, !!token, next.status];";
    let seen = browser.run(log_in, &[json!(PASSWORD)]).await.expect("statuses");
    browser.close().await;
    seen
}

#[tokio::test]
async fn a_frame_of_another_site_keeps_its_login_only_with_the_embedded_cookie() {
    assert_eq!(in_a_frame(CookieMode::Embedded).await, json!(["127.0.0.1", 405, true, 200]));
    assert_eq!(in_a_frame(CookieMode::Lax).await, json!(["127.0.0.1", 405, true, 403]));
}
