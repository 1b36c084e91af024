//! Tests of the composition: addresses, secrets, ports and names come to the rooms as the file means them.

use super::*;
use crate::gateway::{OpusTerms, Overload};
use crate::plan::AudioCodec;

fn config(more: &str, environment: &[(&str, &str)]) -> Config {
    let text = format!(
        r#"
        [server]
        domain = "gw.example"
        [[sip]]
        bind = "0.0.0.0:5060"
        advertise = "192.0.2.1:5060"
        [[sip]]
        bind = "[::1]:0"
        [[listener]]
        bind = "0.0.0.0:8443"
        auth = "sha-256"
        [[trunk]]
        name = "six"
        addresses = ["[::1]:5070"]
        [[dn]]
        number = "5001-5999"
        secret = "range"
        {more}
        "#
    );
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::parse(&text, "test.toml", environment).expect("a good configuration")
}

const MEDIA: &str =
    "[media]\naddresses = [{ bind = \"0.0.0.0\", advertise = \"192.0.2.1\" }, { bind = \"::1\" }]\nworkers = 3\n";

fn bound() -> Addresses {
    let parse = |text: &str| text.parse().expect("address");
    Addresses { sip: vec![parse("0.0.0.0:5060"), parse("[::1]:40000")], http: vec![parse("0.0.0.0:8443")] }
}

#[test]
fn listeners_are_told_by_what_peers_reach() {
    let made = gateway(&config(MEDIA, &[]), &bound()).expect("composed");
    let told: Vec<_> = made.listeners.iter().map(|l| l.advertise.as_str()).collect();
    assert_eq!(told, ["192.0.2.1:5060", "[::1]:40000", "gw.example:8443"]);
    assert_eq!(made.listeners.iter().map(|l| l.sha256).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn an_address_without_a_transport_is_one_by_udp() {
    let made = gateway(&config(MEDIA, &[]), &bound()).expect("composed");
    let six = Destination::Address { transport: Transport::Udp, addr: "[::1]:5070".parse().expect("address") };
    assert_eq!(made.trunks[0].destinations, [six]);
}

#[test]
fn a_secret_of_a_single_number_comes_before_that_of_its_range() {
    let made = gateway(&config(MEDIA, &[("CROSSPOINT_DN_5007_SECRET", "own")]), &bound()).expect("composed");
    let of = |dn: &str| made.dns.iter().find(|rule| rule.dns.contains(dn)).map(|rule| rule.secret.clone());
    assert_eq!(of("5007"), Some(Secret::Plain("own".into())));
    assert_eq!(of("5008"), Some(Secret::Plain("range".into())));
    assert_eq!(of("6000"), None);
}

#[test]
fn the_shares_of_the_workers_do_not_overlap_and_stay_in_the_range() {
    let made = workers(&config(MEDIA, &[]), &[].into());
    assert_eq!(made.len(), 3);
    let mut free_from = 10_000;
    for worker in &made {
        assert!(worker.browser_port >= free_from, "{worker:?}");
        assert!(*worker.rtp_ports.start() > worker.browser_port, "{worker:?}");
        assert!(worker.rtp_ports.end() - worker.rtp_ports.start() > 3000, "{worker:?}");
        free_from = worker.rtp_ports.end() + 1;
    }
    assert!(free_from <= 20_001);
}

#[test]
fn a_self_signed_certificate_names_what_peers_reach() {
    assert_eq!(certificate_names(&config(MEDIA, &[])), ["192.0.2.1", "::1", "gw.example"]);
}

/// No value is a default.
const EVERYTHING: &str = r#"
[server]
domain = "gw.example"
user_agent = "other/1"
drain_seconds = 7
[[listener]]
bind = "127.0.0.1:8080"
tls = false
path = "/sip"
origins = ["https://desk.example"]
auth = "sha-256"
pages = false
require_origin = true
public_metrics = true
[[sip]]
bind = "0.0.0.0:5060"
advertise = "192.0.2.1:5070"
[media]
addresses = [{ bind = "0.0.0.0", advertise = "192.0.2.1" }, { bind = "127.0.0.1" }]
ports = "20000-20099"
workers = 2
reserve = 3
latch = "any"
[opus]
bitrate = 16000
complexity = 5
fec = false
dtx = true
frame_ms = 40
narrowband = false
[[trunk]]
name = "one"
addresses = ["192.0.2.81:5060", "192.0.2.82:5060"]
codecs = ["pcma"]
media = "127.0.0.1"
opus.bitrate = 12000
opus.frame_ms = 20
[[trunk]]
name = "two"
addresses = ["192.0.2.83:5060"]
latch = "off"
[[dn]]
number = "5001-5999"
secret = "range"
auth = "sha-256"
ring_seconds = 15
codecs = ["pcma", "opus"]
calls = 3
opus = { complexity = 9, fec = true, dtx = false, narrowband = true }
[[dn]]
number = "6001"
ha1 = "0123456789abcdef0123456789ABCDEF"
[limits]
calls = 9
overload_percent = 70
overload = "g711"
ring_seconds = 33
bindings = 4
min_expires_seconds = 90
max_expires_seconds = 1800
requests_per_second = 8
connections = 6
connections_per_address = 5
[log]
filter = "warn"
format = "json"
"#;

fn everything(environment: &[(&str, &str)]) -> (Config, GatewayConfig) {
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let config = Config::parse(EVERYTHING, "test.toml", environment).expect("a good configuration");
    let parse = |text: &str| text.parse().expect("address");
    let bound = Addresses { sip: vec![parse("0.0.0.0:5060")], http: vec![parse("127.0.0.1:8080")] };
    let made = gateway(&config, &bound).expect("composed");
    (config, made)
}

#[test]
fn what_the_file_says_of_calls_and_registrations_reaches_the_gateway() {
    let (config, made) = everything(&[]);
    assert_eq!((made.realm.as_str(), made.user_agent.as_str()), ("gw.example", "other/1"));
    assert_eq!(made.listeners[0].advertise, "192.0.2.1:5070");
    assert!(made.listeners[1].sha256 && made.listeners[1].transport == Transport::Ws);
    assert_eq!((made.calls.max_calls, made.calls.ring_timeout), (9, seconds(33)));
    assert_eq!(made.calls.overload, OverloadPolicy { percent: 70, answer: Overload::G711 });
    let registration = &made.registration;
    assert_eq!((registration.min_expires, registration.max_expires), (seconds(90), seconds(1800)));
    assert_eq!(registration.max_bindings, 4);
    assert_eq!(made.source_limit, SourceLimit { per_second: 8, burst: 40 });
    assert_eq!((limits(&config).connections, limits(&config).per_source), (6, 5));
}

#[test]
fn what_the_file_says_of_trunks_and_media_reaches_the_gateway_and_its_workers() {
    let (config, made) = everything(&[]);
    let [one, two] = &made.trunks[..] else { panic!("two trunks") };
    assert_eq!((one.name.as_str(), one.destinations.len(), &one.codecs), ("one", 2, &vec![AudioCodec::Pcma]));
    assert_eq!(one.media, Some("127.0.0.1".parse().expect("address")));
    assert_eq!((one.latch, two.latch), (crate::plan::Latch::Any, crate::plan::Latch::Off));
    assert_eq!((two.media, &two.codecs), (None, &vec![AudioCodec::Pcmu, AudioCodec::Pcma]));
    assert!(!made.media.narrowband);
    let opus = made.media.opus;
    assert_eq!((opus.bitrate_bps, opus.complexity, opus.fec), (16_000, 5, false));
    assert!(opus.dtx && made.media.opus_ptime_ms == 40);
    assert_eq!((one.opus.bitrate_bps, one.opus.ptime_ms, one.opus.complexity), (Some(12_000), Some(20), None));
    assert_eq!(two.opus, OpusTerms::default());
    let workers = workers(&config, &[].into());
    assert_eq!(workers.len(), 2);
    assert_eq!((workers[0].browser_port, workers[1].browser_port), (20_000, 20_050));
    for worker in &workers {
        assert_eq!((worker.reserve, worker.media.len()), (3, 2));
        assert_eq!(worker.media[0].advertise.to_string(), "192.0.2.1");
    }
}

#[test]
fn what_the_file_says_of_a_dn_reaches_its_rule() {
    let (_, made) = everything(&[("CROSSPOINT_DN_5007_SECRET", "own")]);
    let of = |dn: &str| made.dns.iter().find(|rule| rule.dns.contains(dn)).expect("a rule").clone();
    for (dn, sha256, ring) in [("5007", true, Some(15)), ("5008", true, Some(15)), ("6001", false, None)] {
        let rule = of(dn);
        assert_eq!((rule.sha256, rule.ring), (sha256, ring.map(seconds)), "{dn}");
        let is_range = dn != "6001";
        let codecs =
            if is_range { vec![BrowserCodec::Pcma, BrowserCodec::Opus] } else { MediaPolicy::default().browser_codecs };
        assert_eq!((rule.codecs, rule.calls), (codecs, if is_range { 3 } else { 10 }), "{dn}");
        let (complexity, yes, no) = (is_range.then_some(9), is_range.then_some(true), is_range.then_some(false));
        let opus = OpusTerms { complexity, fec: yes, dtx: no, narrowband: yes, ..OpusTerms::default() };
        assert_eq!(rule.opus, opus, "{dn}");
    }
    let md5 = Some("0123456789abcdef0123456789abcdef".to_owned());
    assert_eq!(of("6001").secret, Secret::Ha1 { md5, sha256: None });
}

#[test]
fn what_the_file_says_of_a_listener_reaches_its_pages() {
    let (config, _) = everything(&[]);
    let made = http(&config, 0, None);
    assert_eq!((made.ws_path.as_str(), &made.origins), ("/sip", &vec!["https://desk.example".to_owned()]));
    assert!(made.require_origin && made.public_metrics && made.page.is_none());
    assert_eq!(crate::app::log(&config), crate::telemetry::Config { filter: "warn".into(), json: true }, "the log");
}

#[test]
fn what_the_file_says_of_sounds_reaches_the_workers_and_the_gateway() {
    let folder = tempfile::tempdir().expect("a folder");
    let wave =
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x07\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\x04\0\0\0\xff\xff\xff\xff";
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path.display().to_string()
    };
    let (good, bad) = (file("good.wav", wave), file("bad.wav", b"OggS"));
    let of = |second: &str| {
        let hold = "[hold]\nmusic = \"tone:425/100,0/100\"\n";
        config(&format!("{MEDIA}\n[sounds]\nb = \"{good}\"\na = \"{second}\"\n{hold}"), &[])
    };
    let config = of(&good);
    let loaded = sounds(&config).expect("loaded");
    assert_eq!(loaded.iter().map(|sound| sound.samples().len()).collect::<Vec<_>>(), [3, 3]);
    assert!(workers(&config, &loaded).iter().all(|worker| worker.sounds.len() == 2));
    let made = gateway(&config, &bound()).expect("composed");
    assert!(matches!(&made.hold, crate::plan::Source::Tone(cadence) if cadence.parts.len() == 2));
    let told = |second: &str| sounds(&of(second)).expect_err("a mistake").to_string();
    assert_eq!(told(&bad), format!("sounds.a = {bad}: not a WAVE file"));
    assert!(told("nowhere.wav").starts_with("sounds.a = nowhere.wav: "));
}
