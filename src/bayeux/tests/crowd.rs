//! One channel with ten thousand subscribers: all hear, and what that takes is bounded.

use std::collections::HashSet;

use super::{Bench, agent, http, socket};
use crate::bayeux::server::{Audience, Config, Input, Output, Why};
use crate::bayeux::{Caller, Peer};
use crate::id::FlowId;

const CROWD: u64 = 10_000;

struct Member {
    caller: Caller,
    client: String,
}

/// Each has a login of its own, and a WebSocket or polls.
fn crowd(config: Config, is_socket: impl Fn(u64) -> bool) -> (Bench, Vec<Member>) {
    let mut bench = Bench::new(config);
    let members = (0..CROWD).map(|n| {
        let (peer, caller) = (if is_socket(n) { socket(n) } else { http(n) }, agent(&format!("agent{n}")));
        let client = bench.open(peer, &caller, "");
        assert_eq!(bench.subscribe(peer, &caller, &client, r#""/news""#)["successful"], true);
        if let Peer::Socket(flow) = peer {
            bench.input(Input::Written(flow, 3));
        }
        Member { caller, client }
    });
    let members = members.collect();
    (bench, members)
}

/// Where a body is: two that are one in memory are at the same place.
fn place(body: &bytes::Bytes) -> *const u8 {
    body.as_ptr()
}

fn says(body: &[u8], n: u64) -> bool {
    memchr::memmem::find(body, format!(r#""data":{{"n":{n}}}"#).as_bytes()).is_some()
}

#[test]
fn ten_thousand_subscribers_of_one_channel_all_hear_every_event_in_order() {
    let is_socket = |n: u64| n.is_multiple_of(2);
    let (mut bench, members) = crowd(Config::default(), is_socket);
    // A poll of member `n` in round `r` has the number `(r + 1) * CROWD + n`.
    for n in (0..CROWD).filter(|n| !is_socket(*n)) {
        let member = &members[n as usize];
        assert!(bench.connect(http(CROWD + n), &member.caller, &member.client).is_empty(), "it is held");
    }
    for round in 0..5 {
        let outputs = bench.publish("/news", Audience::All, &format!(r#"{{"n":{round}}}"#));
        assert_eq!(outputs.len() as u64, CROWD, "one body each");
        let (mut heard, mut places) = (HashSet::new(), HashSet::new());
        for output in &outputs {
            let Output::Send(peer, body) = output else { panic!("{output:?}") };
            assert!(says(body, round), "{:?}", String::from_utf8_lossy(body));
            match peer {
                Peer::Socket(flow) => {
                    places.insert(place(body));
                    heard.insert(flow.0);
                }
                Peer::Http(request) => drop(heard.insert(request.0 - (round + 1) * CROWD)),
            }
        }
        assert_eq!(heard.len() as u64, CROWD, "each once");
        assert_eq!(places.len(), 1, "one body in memory for all WebSockets");
        for n in 0..CROWD {
            let member = &members[n as usize];
            match is_socket(n) {
                true => assert!(bench.input(Input::Written(FlowId(n), 1)).is_empty(), "nothing waits"),
                false => {
                    let peer = http((round + 2) * CROWD + n);
                    assert!(bench.connect(peer, &member.caller, &member.client).is_empty(), "nothing waits");
                }
            }
        }
    }
    assert_eq!(bench.server.sessions() as u64, CROWD);
}

#[test]
fn of_ten_thousand_subscribers_that_do_not_read_only_so_much_is_kept() {
    let config = Config { window: 3, queue: 4, ..Config::default() };
    let (mut bench, _members) = crowd(config, |_| true);
    let (mut bodies, mut ended) = (0, 0);
    let mut round = 0;
    while bench.server.sessions() > 0 {
        for output in bench.publish("/news", Audience::All, &format!(r#"{{"n":{round}}}"#)) {
            match output {
                Output::Send(..) => bodies += 1,
                Output::Ended(_, Why::QueueFull) => ended += 1,
                Output::Close(_) => {}
                other => panic!("{other:?}"),
            }
        }
        round += 1;
        assert!(round <= 8, "a window and a queue, and then no more");
    }
    assert_eq!((round, ended), (8, CROWD));
    // The window of each, and the word that its session has ended.
    assert!(bodies <= 4 * CROWD, "{bodies}");
    assert_eq!(bench.publish("/news", Audience::All, "1").len(), 0, "who is gone costs nothing");
}
