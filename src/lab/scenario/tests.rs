//! The scripts that were written, without a network.

use std::time::{Duration, Instant};

use super::player::{Input, Output, Player};
use super::script::Step;
use super::*;

fn server() -> SocketAddr {
    "127.0.0.2:5060".parse().unwrap()
}

fn find(name: &str) -> Scenario {
    Scenario::find(name, server()).unwrap()
}

#[test]
fn every_scenario_can_be_read_and_says_what_it_is() {
    for name in names() {
        let scenario = find(name);
        assert!(scenario.about().ends_with('.') && scenario.about().len() < 130, "{name}: {}", scenario.about());
        assert!(!scenario.script.steps.is_empty(), "{name}");
        assert!(list().lines().any(|line| line.starts_with(name) && line.ends_with(scenario.about())));
    }
}

#[test]
fn the_readme_tells_of_every_scenario() {
    let readme = include_str!("../../../README.md");
    for name in names() {
        let row = format!("| `{name}` | {} |", find(name).about());
        assert!(readme.contains(&row), "{row}");
    }
}

#[test]
fn every_shape_peer_and_end_that_a_scenario_names_exists() {
    for name in names() {
        let scenario = find(name);
        let is_peer = |p: &str| scenario.peers.iter().any(|(n, _)| n == p);
        let is_end = |e: &str| scenario.script.ends.iter().any(|(n, _)| n == e);
        assert!(scenario.script.ends.iter().all(|(_, peer)| is_peer(peer)), "{name}");
        for line in &scenario.script.steps {
            let good = match &line.step {
                Step::Send { peer, shape: head, params, .. } => {
                    let body = params
                        .iter()
                        .find(|(key, _)| key == "body")
                        .is_none_or(|(_, b)| b.contains('{') || shape(b).is_some());
                    is_peer(peer) && shape(head).is_some() && body
                }
                Step::Auto { shape: head, .. } => shape(head).is_some(),
                Step::Talk { end, .. } | Step::Play { end, .. } | Step::Hear { end, .. } => is_end(end),
                _ => true,
            };
            assert!(good, "{name}: {}", line.text);
        }
        scenario.config().unwrap();
    }
}

#[test]
fn a_key_of_the_configuration_is_replaced_or_added() {
    let text = "[server]\ndomain = \"a\"\n[[trunk]]\nname = \"b\"\n";
    let keys =
        [("server.domain", "\"x\""), ("trunk.0.refer", "true"), ("trunk.1.name", "\"c\""), ("media.ports", "\"1-2\"")];
    let keys = keys.map(|(k, v)| (k.to_owned(), v.to_owned()));
    let changed: toml::Table = configure(text, &keys).unwrap().parse().unwrap();
    assert_eq!(changed["server"]["domain"].as_str(), Some("x"));
    assert_eq!(changed["trunk"][0]["refer"].as_bool(), Some(true));
    assert_eq!((changed["trunk"][0]["name"].as_str(), changed["trunk"][1]["name"].as_str()), (Some("b"), Some("c")));
    assert_eq!(changed["media"]["ports"].as_str(), Some("1-2"));
    for (key, value) in [("trunk.7.name", "1"), ("server.domain.x", "1"), ("server", "=")] {
        assert!(configure(text, &[(key.to_owned(), value.to_owned())]).is_err(), "{key}");
    }
}

/// A player of `script`, and the time.
fn player(script: &str) -> (Player, Instant) {
    let script = script::parse(script, &|_| None).unwrap();
    let stage = Stage {
        gateway: "127.0.0.1:5060".parse().unwrap(),
        peers: vec![("server".into(), server())],
        ends: Vec::new(),
        dn: "5001".into(),
        agent_hz: None,
        media: false,
        patience: Duration::ZERO,
        guid: "0123456789ABCDEF0123456789ABCDEF".into(),
    };
    let now = Instant::now();
    let mut player = Player::new(script, stage);
    player.handle_timeout(now);
    (player, now)
}

fn outputs(player: &mut Player) -> Vec<Output> {
    std::iter::from_fn(|| player.poll_output()).filter(|o| !matches!(o, Output::Say(_))).collect()
}

fn sent(player: &mut Player) -> Vec<String> {
    let bytes = outputs(player).into_iter().filter_map(|o| match o {
        Output::Send { bytes, .. } => Some(bytes),
        _ => None,
    });
    bytes.map(|b| String::from_utf8(b).unwrap()).collect()
}

fn datagram(bytes: &[u8]) -> Input<'_> {
    Input::Datagram { peer: 0, from: "127.0.0.1:5060".parse().unwrap(), bytes }
}

const OFFERLESS: &str = "# x\nsend invite-offerless call=1 branch=1 cseq=1 as invite\n";

#[test]
fn the_invite_has_the_traps_of_the_sip_server() {
    let (mut player, _) = player(OFFERLESS);
    let invite = sent(&mut player).remove(0);
    let lines: Vec<&str> = invite.lines().collect();
    assert!(lines[1].starts_with("From: sip:") && !lines[1].contains('<') && lines[1].contains(";tag="), "{invite}");
    let place = |name: &str| lines.iter().position(|l| l.starts_with(name)).unwrap();
    assert!(place("Content-Length") < place("Via") && place("Via") > 1);
    assert!(!invite.contains("rport") && invite.ends_with("\r\n\r\n"));
    assert!(lines.contains(&"Supported: timer") && lines.contains(&"Min-SE: 90"));
    let uuid = text::header(&invite, "X-Genesys-CallUUID").unwrap();
    assert!(uuid.len() == 32 && uuid.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()), "{uuid}");
}

fn ringing(invite: &str) -> String {
    let of = |name: &str| text::header(invite, name).unwrap().to_owned();
    format!(
        "SIP/2.0 180 Ringing\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=g\r\nCall-ID: {}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:5001@127.0.0.1:5060>\r\nContent-Length: 0\r\n\r\n",
        of("Via"),
        of("From"),
        of("To"),
        of("Call-ID")
    )
}

#[test]
fn a_request_of_the_dialog_goes_to_the_contact_of_the_180_with_its_tag() {
    let script =
        format!("{OFFERLESS}expect 180 INVITE call=1 as ringing\nsend notify call=1 branch=2 cseq=2 event=talk");
    let (mut player, now) = player(&script);
    let invite = sent(&mut player).remove(0);
    player.handle_input(datagram(ringing(&invite).as_bytes()), now);
    let notify = sent(&mut player).remove(0);
    assert!(notify.starts_with("NOTIFY sip:5001@127.0.0.1:5060 SIP/2.0\r\n"), "{notify}");
    assert_eq!(text::header(&notify, "To").and_then(|t| text::parameter(t, "tag")), Some("g"));
    assert_eq!(text::header(&notify, "CSeq"), Some("2 NOTIFY"));
}

#[test]
fn what_does_not_come_and_what_no_step_wants_are_failures() {
    let script = format!("{OFFERLESS}expect 180 INVITE call=1 within 2s");
    let (mut player, now) = player(&script);
    let invite = sent(&mut player).remove(0);
    let mut late = player;
    late.handle_timeout(now + Duration::from_secs(2));
    assert!(matches!(&outputs(&mut late)[..], [Output::Done(Err(why))] if why.contains("it did not come")));

    let (mut player, now) = self::player(&script);
    let _ = sent(&mut player);
    let stray = "BYE sip:x@127.0.0.2:5060 SIP/2.0\r\nVia: SIP/2.0/UDP g;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:1@s>;tag=a\r\n\
        To: <sip:2@s>;tag=b\r\nCall-ID: other\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n";
    player.handle_input(datagram(stray.as_bytes()), now);
    player.handle_input(datagram(ringing(&invite).as_bytes()), now);
    player.handle_timeout(now + Duration::from_secs(1));
    let done = outputs(&mut player);
    assert!(
        matches!(&done[..], [Output::Done(Err(why))] if why.contains("no step wanted it") && why.contains("BYE ")),
        "{done:?}"
    );
}

#[test]
fn another_final_response_than_the_expected_one_fails_at_once() {
    let (mut player, now) = player(&format!("{OFFERLESS}expect 200 INVITE call=1 within 30s"));
    let invite = sent(&mut player).remove(0);
    player.handle_input(datagram(ringing(&invite).replace("180 Ringing", "486 Busy Here").as_bytes()), now);
    assert!(matches!(&outputs(&mut player)[..], [Output::Done(Err(why))] if why.contains("another final response")));
}

#[test]
fn a_request_is_sent_again_at_the_times_given_and_its_repeated_answer_is_counted() {
    let script = format!(
        "{OFFERLESS}again invite at 500ms 1.5s\nexpect 180 INVITE call=1 as ringing\nwait 2s\nrepeated ringing 1 to 1"
    );
    let (mut player, now) = player(&script);
    let invite = sent(&mut player).remove(0);
    let ringing = ringing(&invite);
    player.handle_input(datagram(ringing.as_bytes()), now);
    player.handle_input(datagram(ringing.as_bytes()), now + Duration::from_millis(600));
    assert_eq!(sent(&mut player), [invite.as_str()]);
    assert_eq!(player.poll_timeout(), Some(now + Duration::from_millis(1500)));
    player.handle_timeout(now + Duration::from_secs(2));
    player.handle_timeout(now + Duration::from_secs(3));
    let last = outputs(&mut player);
    assert!(matches!(last.last(), Some(Output::Done(Ok(())))), "{last:?}");
}

#[test]
fn options_are_answered_where_no_step_waits_for_them() {
    let (mut player, now) = player(&format!("{OFFERLESS}wait 1s"));
    let _ = sent(&mut player);
    let options = "OPTIONS sip:127.0.0.2:5060 SIP/2.0\r\nVia: SIP/2.0/UDP g;branch=z9hG4bK9\r\nMax-Forwards: 70\r\nFrom: <sip:g@g>;tag=a\r\n\
        To: <sip:127.0.0.2:5060>\r\nCall-ID: ping\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    player.handle_input(datagram(options.as_bytes()), now);
    let answer = sent(&mut player).remove(0);
    assert!(answer.starts_with("SIP/2.0 200 OK\r\n") && answer.contains("branch=z9hG4bK9"), "{answer}");
}

#[test]
fn a_notify_is_told_from_another_by_its_sipfrag_and_not_by_digits_in_a_tag() {
    let script = format!("{OFFERLESS}expect NOTIFY frag=486 within 2s as done\ncheck done body has SIP/2.0 486");
    let (mut player, now) = player(&script);
    let notify = |number: u32, status: &str| {
        format!(
            "NOTIFY sip:x@127.0.0.2:5060 SIP/2.0\r\nVia: SIP/2.0/UDP g;branch=z9hG4bK486{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:1@s>;tag=d486\r\nTo: <sip:2@s>;tag=b\r\nCall-ID: c\r\nCSeq: {number} NOTIFY\r\nEvent: refer\r\n\
             Content-Type: message/sipfrag\r\nContent-Length: {}\r\n\r\nSIP/2.0 {status}\r\n",
            status.len() + 10
        )
    };
    player.handle_input(datagram(notify(1, "100 Trying").as_bytes()), now);
    assert!(player.poll_timeout().is_some(), "it waits on");
    player.handle_input(datagram(notify(2, "486 Busy Here").as_bytes()), now);
    player.handle_timeout(now + Duration::from_secs(1));
    let last = outputs(&mut player);
    // The first one was wanted by no step.
    assert!(
        matches!(last.last(), Some(Output::Done(Err(why))) if why.contains("100 Trying") && !why.contains("did not come"))
    );
}
