//! RFC 3263 against a DNS made of a list.

use std::collections::HashMap;

use rand::SeedableRng;

use super::*;

const TTL: Duration = Duration::from_secs(60);

/// Records by name, and the questions that were asked.
#[derive(Default)]
struct Zone {
    naptr: HashMap<&'static str, Vec<Naptr>>,
    srv: HashMap<&'static str, Vec<Srv>>,
    addresses: HashMap<&'static str, Vec<&'static str>>,
}

impl Zone {
    fn naptr(mut self, name: &'static str, order: u16, preference: u16, service: &str, to: &str) -> Zone {
        let (service, replacement) = (service.to_owned(), to.to_owned());
        let record = Naptr { order, preference, flags: "s".to_owned(), service, replacement };
        self.naptr.entry(name).or_default().push(record);
        self
    }

    fn srv(mut self, name: &'static str, priority: u16, weight: u16, port: u16, target: &str) -> Zone {
        self.srv.entry(name).or_default().push(Srv { priority, weight, port, target: target.to_owned() });
        self
    }

    fn host(mut self, name: &'static str, addresses: &[&'static str]) -> Zone {
        self.addresses.entry(name).or_default().extend(addresses);
        self
    }

    fn locate(&self, search: Search, seed: u64) -> (Vec<String>, Vec<Question>) {
        let (mut search, mut asked) = (search, Vec::new());
        let mut rng = StdRng::seed_from_u64(seed);
        while let Some(question) = search.next() {
            assert!(asked.len() < 100, "it never ends");
            asked.push(question.clone());
            let answer = match question {
                Question::Naptr(name) => Answer::Naptr(self.naptr.get(&*name).cloned().unwrap_or_default()),
                Question::Srv(name) => Answer::Srv(self.srv.get(&*name).cloned().unwrap_or_default()),
                Question::Addresses(name) => {
                    let found = self.addresses.get(&*name).cloned().unwrap_or_default();
                    Answer::Addresses(found.iter().map(|text| text.parse().expect("address")).collect())
                }
            };
            search.answer(answer, TTL, &mut rng);
        }
        let told = |target: &ResolvedTarget| format!("{} {}", target.transport.via_token(), target.addr);
        (search.finish().0.iter().map(told).collect(), asked)
    }

    fn targets(&self, host: &str, port: Option<u16>, transport: Option<Transport>) -> Vec<String> {
        self.locate(Search::new(host, port, transport), 1).0
    }
}

#[test]
fn an_address_is_asked_of_nobody_and_a_name_with_a_port_only_for_its_addresses() {
    let zone = Zone::default()
        .host("sip.example", &["192.0.2.1", "2001:db8::1"])
        .srv("_sip._udp.sip.example", 1, 1, 5090, "other.example")
        .naptr("sip.example", 1, 1, "SIP+D2T", "_sip._tcp.sip.example");
    assert_eq!(zone.locate(Search::new("192.0.2.9", None, None), 1), (vec!["UDP 192.0.2.9:5060".to_owned()], vec![]));
    assert_eq!(zone.targets("192.0.2.9", None, Some(Transport::Tls)), ["TLS 192.0.2.9:5061"]);
    assert_eq!(zone.targets("2001:db8::9", Some(5070), Some(Transport::Tcp)), ["TCP [2001:db8::9]:5070"]);
    let (targets, asked) = zone.locate(Search::new("sip.example", Some(5062), None), 1);
    assert_eq!(targets, ["UDP 192.0.2.1:5062", "UDP [2001:db8::1]:5062"]);
    assert_eq!(asked, [Question::Addresses("sip.example".to_owned())]);
}

#[test]
fn the_most_preferred_naptr_that_we_speak_chooses_the_transport() {
    let zone = Zone::default()
        .naptr("example", 50, 50, "SIPS+D2S", "_sips._sctp.example")
        .naptr("example", 90, 50, "sip+d2t", "_sip._tcp.example")
        .naptr("example", 90, 40, "SIPS+D2T", "_sips._tcp.example")
        .naptr("example", 100, 10, "SIP+D2U", "_sip._udp.example")
        .srv("_sips._tcp.example", 1, 0, 5061, "a.example")
        .srv("_sip._udp.example", 1, 0, 5060, "a.example")
        .host("a.example", &["192.0.2.1"]);
    assert_eq!(zone.targets("example", None, None), ["TLS 192.0.2.1:5061"]);
}

#[test]
fn without_naptr_the_first_transport_with_srv_records_is_taken_and_without_any_udp() {
    let zone = Zone::default().srv("_sip._tcp.example", 1, 0, 5070, "a.example").host("a.example", &["192.0.2.1"]);
    let (targets, asked) = zone.locate(Search::new("example", None, None), 1);
    assert_eq!(targets, ["TCP 192.0.2.1:5070"]);
    assert_eq!(asked.len(), 4, "NAPTR, SRV of UDP and of TCP, the addresses: {asked:?}");
    let plain = Zone::default().host("example", &["192.0.2.2"]);
    assert_eq!(plain.targets("example", None, None), ["UDP 192.0.2.2:5060"]);
    assert_eq!(plain.targets("example", None, Some(Transport::Tls)), ["TLS 192.0.2.2:5061"]);
}

#[test]
fn priorities_are_kept_and_weights_share_the_first_place() {
    let zone = Zone::default()
        .srv("_sip._udp.example", 20, 100, 5060, "backup.example")
        .srv("_sip._udp.example", 10, 75, 5060, "large.example")
        .srv("_sip._udp.example", 10, 25, 5060, "small.example")
        .host("backup.example", &["192.0.2.3"])
        .host("large.example", &["192.0.2.1"])
        .host("small.example", &["192.0.2.2"]);
    let mut first = HashMap::new();
    for seed in 0..400 {
        let (targets, _) = zone.locate(Search::new("example", None, Some(Transport::Udp)), seed);
        assert_eq!(targets.len(), 3);
        assert_eq!(targets[2], "UDP 192.0.2.3:5060", "the lower priority is last, whatever its weight");
        *first.entry(targets[0].clone()).or_insert(0) += 1;
    }
    let large = first["UDP 192.0.2.1:5060"];
    assert!((250..350).contains(&large), "three of four calls: {first:?}");
}

#[test]
fn a_server_without_addresses_is_passed_over_and_a_root_target_says_no() {
    let zone = Zone::default()
        .srv("_sip._udp.example", 1, 0, 5060, "gone.example")
        .srv("_sip._udp.example", 2, 0, 5061, "there.example")
        .host("there.example", &["192.0.2.1"])
        .srv("_sip._udp.none.example", 0, 0, 0, ".")
        .host("none.example", &["192.0.2.9"]);
    assert_eq!(zone.targets("example", None, Some(Transport::Udp)), ["UDP 192.0.2.1:5061"]);
    assert!(zone.targets("none.example", None, Some(Transport::Udp)).is_empty());
}

#[test]
fn an_endless_answer_is_cut_and_the_shortest_time_to_live_counts() {
    let mut search = Search::new("example", None, Some(Transport::Udp));
    let mut rng = StdRng::seed_from_u64(1);
    let many = (0..1000).map(|n| Srv { priority: n, weight: 0, port: 5060, target: format!("h{n}.example") }).collect();
    search.answer(Answer::Srv(many), Duration::from_secs(300), &mut rng);
    let mut asked = 0;
    while let Some(Question::Addresses(_)) = search.next() {
        let addresses = (0..20).map(|n| IpAddr::from([192, 0, 2, (asked * 20 + n) as u8])).collect();
        let ttl = Duration::from_secs(if asked == 3 { 30 } else { 600 });
        search.answer(Answer::Addresses(addresses), ttl, &mut rng);
        asked += 1;
    }
    let (targets, ttl) = search.finish();
    assert_eq!((targets.len(), asked), (MAX_SERVERS, MAX_SERVERS));
    assert_eq!(ttl, Duration::from_secs(30));
}
