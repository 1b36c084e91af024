//! Trunks by TCP and TLS, large requests, names whose addresses change, pools of addresses; strangers by TCP.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use crosspoint::gateway::{Destination, GatewayConfig, Input, Listener, ListenerId, Output};
use crosspoint::id::FlowId;
use crosspoint::path::{Path, Transport};
use crosspoint::sip::locate::ResolvedTarget;
use crosspoint::sip::message::{Message, Method, Name};

use crate::peers::{Dialog, Ua, inbound_call, last_status, request, signed_in};
use crate::rig::{REALM, Rig, by_udp, config, spare_addr, trunk_addr, udp};
use crate::sdp;

const TCP: ListenerId = ListenerId(2);

fn by_tcp(addr: SocketAddr) -> Destination {
    Destination::Address { transport: Transport::Tcp, addr }
}

/// The usual sockets, TCP and TLS beside them, and a trunk at these places.
fn with(destinations: Vec<Destination>) -> GatewayConfig {
    let mut with = config();
    for (transport, port) in [(Transport::Tcp, 5060), (Transport::Tls, 5061)] {
        let bind = SocketAddr::from(([192, 0, 2, 54], port));
        with.listeners.push(Listener { transport, bind, advertise: bind.to_string(), sha256: false });
    }
    with.trunks[0].destinations = destinations;
    with
}

fn rig(destinations: Vec<Destination>) -> Rig {
    Rig::with(with(destinations), 1, 8)
}

/// The connection that was asked for last.
fn asked(rig: &Rig) -> (Path, Transport) {
    let Some(Output::Connect { flow, transport, remote, .. }) = rig.connects.last() else { panic!("no connection") };
    (Path::Tcp { flow: *flow, remote: *remote }, *transport)
}

fn opened(rig: &mut Rig, (path, transport): (Path, Transport)) -> Path {
    let (flow, remote) = (path.flow().unwrap(), path.remote());
    rig.input(Input::FlowOpened { flow, transport, listener: TCP, remote });
    path
}

/// Somebody connects to our TCP socket.
fn accepted(rig: &mut Rig, flow: u64, from: &str) -> Path {
    let path = Path::Tcp { flow: FlowId(1000 + flow), remote: from.parse().unwrap() };
    opened(rig, (path, Transport::Tcp))
}

fn gone(rig: &mut Rig, path: Path) {
    rig.input(Input::FlowClosed(path.flow().unwrap()));
}

fn deliver(rig: &mut Rig, path: Path, bytes: Bytes) {
    rig.input(Input::Sip { path, transport: Transport::Tcp, listener: TCP, bytes });
}

fn server(path: Path) -> Ua {
    let mut ua = Ua::server(path);
    ua.via = format!("SIP/2.0/TCP {}", trunk_addr());
    ua.contact = format!("<sip:1003@{};transport=tcp>", trunk_addr());
    ua
}

fn text(message: &Message, name: Name) -> String {
    String::from_utf8_lossy(message.headers(name).next().unwrap()).into_owned()
}

/// A browser dials; returns it and its side of the call.
fn dial(rig: &mut Rig, dn: &str, number: &str) -> (Ua, Dialog) {
    let mut browser = signed_in(rig, dn);
    let call = browser.call(rig, number, Some(&sdp::chromium_offer()), &[]);
    (browser, call)
}

/// The trunk answers an INVITE, and the browser hears it.
fn answer(rig: &mut Rig, trunk: &Ua, invite: &Message, browser: &mut Ua, call: &mut Dialog) {
    deliver(rig, trunk.path, trunk.respond(invite, 200, Some(&sdp::trunk_answer())));
    request(&rig.take(trunk.path), Method::Ack);
    let ok = last_status(&rig.take(browser.path), 200);
    call.learn(&ok);
    let ack = browser.ack(call, &ok, None);
    rig.deliver(browser.path, ack);
}

#[test]
fn calls_to_a_trunk_by_tcp_share_one_connection_which_the_first_opens() {
    let mut rig = rig(vec![by_tcp(trunk_addr())]);
    assert!(rig.connects.is_empty(), "nothing to say yet");
    dial(&mut rig, "5001", "1003");
    let (path, transport) = asked(&rig);
    assert_eq!((path.remote(), transport), (trunk_addr(), Transport::Tcp));
    let first = request(&rig.take(path), Method::Invite);
    assert!(text(&first, Name::Via).starts_with("SIP/2.0/TCP 192.0.2.54:5060;branch="), "{}", text(&first, Name::Via));
    assert!(!text(&first, Name::Via).contains("rport"), "responses come back on the connection");
    assert_eq!(text(&first, Name::Contact), "<sip:5001@192.0.2.54:5060;transport=tcp>");
    opened(&mut rig, (path, transport));
    dial(&mut rig, "5002", "1003");
    request(&rig.take(path), Method::Invite);
    assert_eq!(rig.connects.len(), 1);
}

#[test]
fn a_tls_trunk_is_told_by_its_name_and_its_transport() {
    let mut with = with(vec![Destination::Address { transport: Transport::Tls, addr: trunk_addr() }]);
    with.trunks[0].tls_name = Some("sip.genesys.test".to_owned());
    let mut rig = Rig::with(with, 1, 8);
    dial(&mut rig, "5001", "1003");
    let Some(Output::Connect { transport, server_name, trunk, .. }) = rig.connects.last() else { panic!("none") };
    assert_eq!((*transport, server_name.as_deref(), *trunk), (Transport::Tls, Some("sip.genesys.test"), 0));
    let invite = request(&rig.take(asked(&rig).0), Method::Invite);
    assert!(text(&invite, Name::Via).starts_with("SIP/2.0/TLS 192.0.2.54:5061;"));
    assert_eq!(text(&invite, Name::Contact), "<sip:5001@192.0.2.54:5061;transport=tls>");
}

#[test]
fn a_refused_connection_ends_the_call_at_once() {
    let mut rig = rig(vec![by_tcp(trunk_addr())]);
    let (browser, _) = dial(&mut rig, "5001", "1003");
    rig.take(browser.path);
    let (path, _) = asked(&rig);
    gone(&mut rig, path);
    let answers = rig.take(browser.path);
    assert!(answers.iter().any(|m| m.status() >= 500), "{:?}", answers.iter().map(|m| m.status()).collect::<Vec<_>>());
    rig.advance(Duration::from_secs(40));
    rig.assert_clean();
}

#[test]
fn a_call_lives_on_when_the_connection_to_the_trunk_is_lost_and_its_bye_goes_by_a_new_one() {
    let mut rig = rig(vec![by_tcp(trunk_addr())]);
    let (mut browser, mut call) = dial(&mut rig, "5001", "1003");
    let lost = asked(&rig);
    let lost = opened(&mut rig, lost);
    let trunk = server(lost);
    let invite = request(&rig.take(lost), Method::Invite);
    answer(&mut rig, &trunk, &invite, &mut browser, &mut call);
    gone(&mut rig, lost);
    rig.advance(Duration::from_millis(100));
    assert_eq!(rig.snapshot().calls.len(), 1);
    assert!(rig.take(browser.path).is_empty(), "the browser hears nothing of it");
    let bye = browser.within(&mut call, Method::Bye, &[], None);
    rig.deliver(browser.path, bye);
    let (path, _) = asked(&rig);
    assert_ne!(path, lost);
    assert_eq!(path.remote(), trunk_addr());
    let bye = request(&rig.take(path), Method::Bye);
    opened(&mut rig, (path, Transport::Tcp));
    deliver(&mut rig, path, server(path).respond(&bye, 200, None));
    rig.advance(Duration::from_secs(40));
    rig.assert_clean();
}

#[test]
fn a_call_outlives_a_trunk_that_refuses_connections_for_a_minute() {
    let mut rig = rig(vec![by_tcp(trunk_addr())]);
    let (mut browser, mut call) = dial(&mut rig, "5001", "1003");
    let lost = asked(&rig);
    let lost = opened(&mut rig, lost);
    let invite = request(&rig.take(lost), Method::Invite);
    answer(&mut rig, &server(lost), &invite, &mut browser, &mut call);
    rig.advance(Duration::from_secs(10));
    gone(&mut rig, lost);
    for _ in 0..60 {
        let known = rig.connects.len();
        rig.advance(Duration::from_secs(1));
        for refused in known..rig.connects.len() {
            let Output::Connect { flow, .. } = rig.connects[refused] else { panic!("a connection") };
            rig.input(Input::FlowClosed(flow));
        }
    }
    let tried = rig.connects.len();
    assert!((4..15).contains(&tried), "less and less often: {tried}");
    assert_eq!(rig.snapshot().calls.len(), 1);
    rig.advance(Duration::from_secs(31));
    assert_eq!(rig.connects.len(), tried + 1, "it is opened again without a call");
    let back = asked(&rig);
    let back = opened(&mut rig, back);
    let bye = browser.within(&mut call, Method::Bye, &[], None);
    rig.deliver(browser.path, bye);
    request(&rig.take(back), Method::Bye);
}

#[test]
fn a_connection_that_had_lasted_is_opened_again_at_once() {
    let mut rig = rig(vec![by_tcp(trunk_addr())]);
    dial(&mut rig, "5001", "1003");
    let path = asked(&rig);
    let path = opened(&mut rig, path);
    rig.advance(Duration::from_secs(60));
    gone(&mut rig, path);
    rig.advance(Duration::from_millis(1));
    assert_eq!(rig.connects.len(), 2, "a virtual address has moved");
}

#[test]
fn an_answer_goes_back_on_the_connection_of_its_call_and_to_a_new_one_when_that_is_gone() {
    for is_lost in [false, true] {
        let mut rig = rig(vec![by_tcp(trunk_addr())]);
        let browser = signed_in(&mut rig, "5001");
        let path = accepted(&mut rig, 1, "192.0.2.81:40000");
        let mut trunk = server(path);
        let call = trunk.invite("5001", Some(&sdp::genesys_offer()), &[]);
        deliver(&mut rig, path, call.invite.raw().clone());
        let ringing = request(&rig.take(browser.path), Method::Invite);
        last_status(&rig.take(path), 100);
        if is_lost {
            gone(&mut rig, path);
        }
        assert!(rig.connects.is_empty());
        rig.deliver(browser.path, browser.respond(&ringing, 200, Some(&sdp::chromium_answer())));
        let back = if is_lost { asked(&rig).0 } else { path };
        assert_eq!(back.remote(), if is_lost { trunk_addr() } else { path.remote() }, "the port of the Via");
        let ok = last_status(&rig.take(back), 200);
        assert_eq!(text(&ok, Name::Contact), "<sip:5001@192.0.2.54:5060;transport=tcp>");
        assert_eq!(rig.snapshot().calls.len(), 1);
    }
}

#[test]
fn a_call_that_came_by_a_lost_connection_is_ended_by_a_new_one_to_its_contact() {
    let mut rig = rig(vec![by_udp(trunk_addr())]);
    let mut browser = signed_in(&mut rig, "5001");
    let path = accepted(&mut rig, 1, "192.0.2.81:40000");
    let mut trunk = server(path);
    trunk.contact = "<sip:1003@192.0.2.81:5070;transport=tcp>".to_owned();
    let mut call = trunk.invite("5001", Some(&sdp::genesys_offer()), &[]);
    deliver(&mut rig, path, call.invite.raw().clone());
    let ringing = request(&rig.take(browser.path), Method::Invite);
    let mut at_browser = browser.dialog_of(&ringing);
    rig.deliver(browser.path, browser.respond(&ringing, 200, Some(&sdp::chromium_answer())));
    let ok = last_status(&rig.take(path), 200);
    call.learn(&ok);
    let ack = trunk.ack(&call, &ok, None);
    deliver(&mut rig, path, ack);
    gone(&mut rig, path);
    let bye = browser.within(&mut at_browser, Method::Bye, &[], None);
    rig.deliver(browser.path, bye);
    let (new, _) = asked(&rig);
    assert_eq!(new.remote(), "192.0.2.81:5070".parse::<std::net::SocketAddr>().unwrap());
    request(&rig.take(new), Method::Bye);
}

#[test]
fn a_flood_of_invites_over_tcp_costs_a_stranger_its_connection_and_us_nothing() {
    let mut rig = rig(vec![by_tcp(trunk_addr())]);
    let browser = signed_in(&mut rig, "5001");
    let before = rig.snapshot();
    for n in 0..500 {
        let path = accepted(&mut rig, n, &format!("203.0.113.9:{}", 10_000 + n));
        let mut stranger = Ua::server(path);
        let call = stranger.invite("5001", Some(&sdp::genesys_offer()), &[]);
        deliver(&mut rig, path, call.invite.raw().clone());
        assert_eq!(rig.take_one(path).status(), 403);
        assert_eq!(rig.closed_flows.pop(), path.flow());
        for method in [Method::Register, Method::Options, Method::Message] {
            let bytes = stranger.request(method, &format!("sip:5001@{REALM}"), &[], None);
            deliver(&mut rig, path, bytes);
        }
        assert!(rig.take(path).iter().all(|m| m.status() == 403));
        gone(&mut rig, path);
    }
    let after = rig.snapshot();
    assert_eq!((after.transactions, after.calls.len(), after.flows), (before.transactions, 0, before.flows));
    assert!(after.counters.strangers >= 500);
    assert!(rig.take(browser.path).is_empty());
    let mut trunk = server(accepted(&mut rig, 999, "192.0.2.81:40000"));
    let call = trunk.invite("5001", Some(&sdp::genesys_offer()), &[]);
    deliver(&mut rig, trunk.path, call.invite.raw().clone());
    request(&rig.take(browser.path), Method::Invite);
    assert!(!rig.closed_flows.contains(&trunk.path.flow().unwrap()));
}

/// A number that makes an INVITE too large for a datagram.
fn long_number() -> String {
    "1".repeat(500)
}

#[test]
fn a_large_invite_goes_by_tcp_and_a_small_one_by_udp() {
    let mut with = with(vec![by_udp(trunk_addr())]);
    with.trunks[0].large_over_tcp = true;
    let mut rig = Rig::with(with, 1, 8);
    dial(&mut rig, "5001", "1003");
    request(&rig.take(udp(trunk_addr())), Method::Invite);
    assert!(rig.connects.is_empty());
    let (mut browser, mut call) = dial(&mut rig, "5002", &long_number());
    let path = asked(&rig);
    let path = opened(&mut rig, path);
    assert!(rig.take(udp(trunk_addr())).is_empty());
    let invite = request(&rig.take(path), Method::Invite);
    assert!(invite.raw().len() > 1300);
    assert!(text(&invite, Name::Via).starts_with("SIP/2.0/TCP 192.0.2.54:5060;"));
    answer(&mut rig, &server(path), &invite, &mut browser, &mut call);
    assert_eq!(rig.snapshot().calls.len(), 2);
}

#[test]
fn a_large_invite_is_cancelled_where_it_went() {
    let mut with = with(vec![by_udp(trunk_addr())]);
    with.trunks[0].large_over_tcp = true;
    let mut rig = Rig::with(with, 1, 8);
    let (browser, call) = dial(&mut rig, "5001", &long_number());
    let path = asked(&rig);
    let path = opened(&mut rig, path);
    let invite = request(&rig.take(path), Method::Invite);
    deliver(&mut rig, path, server(path).respond(&invite, 180, None));
    rig.deliver(browser.path, browser.cancel(&call, None));
    let cancel = request(&rig.take(path), Method::Cancel);
    assert_eq!(text(&cancel, Name::Via), text(&invite, Name::Via));
}

#[test]
fn a_large_invite_goes_by_udp_after_all_where_tcp_is_refused() {
    let mut with = with(vec![by_udp(trunk_addr())]);
    with.trunks[0].large_over_tcp = true;
    let mut rig = Rig::with(with, 1, 8);
    dial(&mut rig, "5001", &long_number());
    let (path, _) = asked(&rig);
    gone(&mut rig, path);
    let invite = request(&rig.take(udp(trunk_addr())), Method::Invite);
    assert!(text(&invite, Name::Via).starts_with("SIP/2.0/UDP "), "{}", text(&invite, Name::Via));
    dial(&mut rig, "5002", &long_number());
    request(&rig.take(udp(trunk_addr())), Method::Invite);
    assert_eq!(rig.connects.len(), 1, "TCP is not tried again for a while");
    rig.advance(Duration::from_secs(61));
    dial(&mut rig, "5003", &long_number());
    assert_eq!(rig.connects.len(), 2);
}

fn found(addresses: &[&str]) -> Vec<ResolvedTarget> {
    let target = |text: &&str| ResolvedTarget { transport: Transport::Udp, addr: text.parse().unwrap() };
    addresses.iter().map(target).collect()
}

/// Answers the open question.
fn tell(rig: &mut Rig, addresses: &[&str], ttl: u64) {
    let Some(Output::Resolve { query, host, .. }) = rig.questions.pop() else { panic!("no question") };
    assert_eq!(host, "sip.genesys.test");
    rig.input(Input::Resolved { query, targets: found(addresses), ttl: Duration::from_secs(ttl) });
}

fn by_name() -> Rig {
    rig(vec![Destination::Name { host: "sip.genesys.test".to_owned(), port: None, transport: None }])
}

#[test]
fn a_trunk_by_name_is_reached_where_dns_says_and_named_in_the_request() {
    let mut rig = by_name();
    let (browser, _) = dial(&mut rig, "5001", "1003");
    last_status(&rig.take(browser.path), 503);
    tell(&mut rig, &["192.0.2.90:5070", "192.0.2.91:5070"], 60);
    dial(&mut rig, "5002", "1003");
    let invite = request(&rig.take(udp("192.0.2.90:5070".parse().unwrap())), Method::Invite);
    assert_eq!(invite.request_uri(), "sip:1003@sip.genesys.test");
}

#[test]
fn a_name_is_looked_up_again_when_its_answer_runs_out_and_the_last_good_one_stands() {
    let mut rig = by_name();
    tell(&mut rig, &["192.0.2.90:5060"], 60);
    rig.advance(Duration::from_secs(59));
    assert!(rig.questions.is_empty());
    rig.advance(Duration::from_secs(2));
    tell(&mut rig, &[], 0);
    dial(&mut rig, "5001", "1003");
    request(&rig.take(udp("192.0.2.90:5060".parse().unwrap())), Method::Invite);
    rig.advance(Duration::from_secs(2));
    tell(&mut rig, &["192.0.2.99:5060"], 60);
    dial(&mut rig, "5002", "1003");
    request(&rig.take(udp("192.0.2.99:5060".parse().unwrap())), Method::Invite);
}

#[test]
fn a_dns_that_never_answers_is_asked_again() {
    let mut rig = by_name();
    assert_eq!(rig.questions.len(), 1);
    rig.advance(Duration::from_secs(61));
    assert_eq!(rig.questions.len(), 2);
    // An answer to the question that was given up is none.
    let Output::Resolve { query, .. } = rig.questions[0] else { panic!("a question") };
    rig.input(Input::Resolved { query, targets: found(&["192.0.2.90:5060"]), ttl: Duration::from_secs(60) });
    let (browser, _) = dial(&mut rig, "5001", "1003");
    last_status(&rig.take(browser.path), 503);
}

#[test]
fn calls_come_from_every_host_of_a_name_and_from_the_configured_networks() {
    let mut with = with(vec![Destination::Name { host: "sip.genesys.test".to_owned(), port: None, transport: None }]);
    with.trunks[0].sources = vec!["192.0.2.128/28".parse().unwrap()];
    let mut rig = Rig::with(with, 1, 8);
    let browser = signed_in(&mut rig, "5001");
    tell(&mut rig, &["192.0.2.90:5060", "192.0.2.91:5060"], 60);
    for (from, is_believed) in [
        ("192.0.2.91:5060", true),
        ("192.0.2.90:6000", true),
        ("192.0.2.130:5060", true),
        ("192.0.2.92:5060", false),
        ("192.0.2.144:5060", false),
    ] {
        let mut server = Ua::server(udp(from.parse().unwrap()));
        server.call(&mut rig, "5001", Some(&sdp::genesys_offer()), &[]);
        let rings = rig.take(browser.path).iter().any(|m| m.is_request() && m.method() == Method::Invite);
        assert_eq!(rings, is_believed, "{from}");
    }
}

#[test]
fn requests_of_a_call_may_come_from_another_host_of_the_pool() {
    let mut rig = rig(vec![by_udp(trunk_addr()), by_udp(spare_addr())]);
    let mut talk = inbound_call(&mut rig);
    let other = udp(spare_addr());
    talk.trunk.path = other;
    talk.trunk.via = format!("SIP/2.0/UDP {}", spare_addr());
    let info = talk.trunk.within(&mut talk.at_trunk, Method::Options, &[], None);
    rig.deliver(other, info);
    last_status(&rig.take(other), 200);
    // And by another connection, from a third port.
    let stream = accepted(&mut rig, 5, "192.0.2.82:50000");
    talk.trunk.via = format!("SIP/2.0/TCP {}", spare_addr());
    let bye = talk.trunk.within(&mut talk.at_trunk, Method::Bye, &[], None);
    deliver(&mut rig, stream, bye);
    last_status(&rig.take(stream), 200);
    request(&rig.take(talk.browser.path), Method::Bye);
    assert!(rig.closed_flows.is_empty());
}

#[test]
fn a_call_goes_on_down_the_connection_of_the_proxy_that_took_it_over() {
    let mut rig = rig(vec![by_tcp(trunk_addr()), by_tcp(spare_addr())]);
    let mut browser = signed_in(&mut rig, "5001");
    let first = accepted(&mut rig, 1, "192.0.2.81:40000");
    let mut trunk = server(first);
    let mut call = trunk.invite("5001", Some(&sdp::genesys_offer()), &[]);
    deliver(&mut rig, first, call.invite.raw().clone());
    let ringing = request(&rig.take(browser.path), Method::Invite);
    let mut at_browser = browser.dialog_of(&ringing);
    rig.deliver(browser.path, browser.respond(&ringing, 200, Some(&sdp::chromium_answer())));
    let ok = last_status(&rig.take(first), 200);
    call.learn(&ok);
    let ack = trunk.ack(&call, &ok, None);
    deliver(&mut rig, first, ack);
    let second = accepted(&mut rig, 2, "192.0.2.82:40000");
    let offer = sdp::genesys_offer();
    let again = trunk.within(&mut call, Method::Invite, &[], Some(("application/sdp", &offer)));
    deliver(&mut rig, second, again);
    last_status(&rig.take(second), 200);
    let bye = browser.within(&mut at_browser, Method::Bye, &[], None);
    rig.deliver(browser.path, bye);
    request(&rig.take(second), Method::Bye);
    assert!(rig.take(first).is_empty() && rig.connects.is_empty());
}
