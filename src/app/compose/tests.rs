//! Tests of the composition: addresses, secrets, ports and names come to the rooms as the file means them.

use super::*;

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

const MEDIA: &str = "[media]\naddresses = [{ bind = \"0.0.0.0\", advertise = \"192.0.2.1\" }]\nworkers = 3\n";

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
fn a_trunk_is_reached_by_a_socket_of_its_family() {
    let made = gateway(&config(MEDIA, &[]), &bound()).expect("composed");
    assert_eq!(made.trunks[0].listener, ListenerId(1));
    let alone = Addresses { sip: vec!["0.0.0.0:5060".parse().expect("address")], ..bound() };
    assert!(matches!(gateway(&config(MEDIA, &[]), &alone), Err(StartError::NoSocketForTrunk(name)) if name == "six"));
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
    let made = workers(&config(MEDIA, &[]));
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
    assert_eq!(certificate_names(&config(MEDIA, &[])), ["192.0.2.1", "gw.example"]);
}
