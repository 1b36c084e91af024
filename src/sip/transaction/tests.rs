//! The machines in simulated time, timer by timer.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::client::Client;
use super::invite_client::InviteClient;
use super::invite_server::InviteServer;
use super::server::Server;
use crate::sip::endpoint::Timers;

const REQUEST: &[u8] = b"request";

fn bytes(text: &'static [u8]) -> Bytes {
    Bytes::from_static(text)
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Runs a machine's timers for 70 s: when something was sent, and when it timed out or ended (ms).
macro_rules! run {
    ($machine:expr, $start:expr) => {{
        let (mut sent, mut failed) = (Vec::new(), None);
        while let Some(at) = $machine.deadline().filter(|at| *at < $start + ms(70_000)) {
            let step = $machine.on_timeout(at);
            let at = at.duration_since($start).as_millis() as u64;
            if step.send.is_some() {
                sent.push(at);
            }
            if step.timed_out {
                failed = Some(at);
            }
            if $machine.is_terminated() {
                break;
            }
        }
        (sent, failed)
    }};
}

/// When the machine ends by itself, ms.
macro_rules! ends {
    ($machine:expr, $start:expr) => {{
        let mut end = None;
        while let Some(at) = $machine.deadline() {
            $machine.on_timeout(at);
            if $machine.is_terminated() {
                end = Some(at.duration_since($start).as_millis() as u64);
                break;
            }
        }
        end
    }};
}

fn invite_client(reliable: bool) -> (InviteClient, Instant) {
    let now = Instant::now();
    (InviteClient::new(bytes(REQUEST), reliable, Timers::default(), now), now)
}

fn client(reliable: bool) -> (Client, Instant) {
    let now = Instant::now();
    (Client::new(bytes(REQUEST), reliable, Timers::default(), now), now)
}

fn invite_server(reliable: bool) -> (InviteServer, Instant) {
    let now = Instant::now();
    (InviteServer::new(bytes(b"100"), reliable, Timers::default(), now), now)
}

#[test]
fn timer_a_doubles_and_timer_b_ends_an_unanswered_invite() {
    let (mut machine, start) = invite_client(false);
    assert_eq!(run!(machine, start), (vec![500, 1500, 3500, 7500, 15_500, 31_500], Some(32_000)));
}

#[test]
fn an_invite_over_a_reliable_transport_is_sent_once_and_still_ends_by_timer_b() {
    let (mut machine, start) = invite_client(true);
    assert_eq!(run!(machine, start), (vec![], Some(32_000)));
}

#[test]
fn a_provisional_stops_timers_a_and_b() {
    let (mut machine, start) = invite_client(false);
    assert!(machine.on_response(100, start + ms(10), Bytes::new).deliver);
    assert_eq!(machine.deadline(), None);
    assert!(machine.is_proceeding());
}

#[test]
fn a_cancelled_invite_without_a_final_response_ends_64_t1_after_the_cancel() {
    let (mut machine, start) = invite_client(false);
    machine.on_response(180, start, Bytes::new);
    machine.cancelled(start + ms(1000));
    assert_eq!(run!(machine, start), (vec![], Some(33_000)));
}

#[test]
fn timer_d_keeps_a_refused_invite_to_acknowledge_repeats() {
    let (mut machine, start) = invite_client(false);
    let step = machine.on_response(486, start, || bytes(b"ack"));
    assert_eq!((step.send.as_deref(), step.deliver), (Some(&b"ack"[..]), true));
    let again = machine.on_response(486, start + ms(500), Bytes::new);
    assert_eq!((again.send.as_deref(), again.deliver), (Some(&b"ack"[..]), false));
    assert_eq!(ends!(machine, start), Some(32_000));
}

#[test]
fn timer_d_is_zero_over_a_reliable_transport() {
    let (mut machine, start) = invite_client(true);
    assert!(machine.on_response(486, start, || bytes(b"ack")).send.is_some());
    assert!(machine.is_terminated());
}

#[test]
fn timer_m_keeps_an_accepted_invite_so_that_repeated_and_forked_2xx_reach_the_session() {
    let (mut machine, start) = invite_client(true);
    assert!(machine.on_response(200, start, Bytes::new).deliver);
    assert!(machine.on_response(200, start + ms(500), Bytes::new).deliver);
    assert!(!machine.on_response(486, start + ms(600), Bytes::new).deliver);
    assert_eq!(ends!(machine, start), Some(32_000));
}

#[test]
fn timer_e_doubles_up_to_t2_and_timer_f_ends_an_unanswered_request() {
    let (mut machine, start) = client(false);
    let sent = vec![500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(run!(machine, start), (sent, Some(32_000)));
}

#[test]
fn timer_e_is_t2_while_proceeding() {
    let (mut machine, start) = client(false);
    machine.on_response(100, start);
    let (sent, failed) = run!(machine, start);
    assert_eq!(sent, vec![500, 4500, 8500, 12_500, 16_500, 20_500, 24_500, 28_500]);
    assert_eq!(failed, Some(32_000));
}

#[test]
fn timer_k_absorbs_repeated_responses_over_udp_only() {
    let (mut machine, start) = client(false);
    assert!(machine.on_response(200, start).deliver);
    assert!(!machine.on_response(200, start + ms(100)).deliver);
    assert_eq!(ends!(machine, start), Some(5000));
    let (mut machine, start) = client(true);
    machine.on_response(200, start);
    assert!(machine.is_terminated());
}

#[test]
fn an_invite_gets_100_after_200_ms_unless_something_was_sent() {
    let (mut machine, start) = invite_server(false);
    assert_eq!(run!(machine, start), (vec![200], None));
    let (mut machine, start) = invite_server(false);
    machine.respond(180, bytes(b"180"), start);
    assert_eq!(machine.deadline(), None);
    assert_eq!(machine.on_retransmission().send.as_deref(), Some(&b"180"[..]));
}

#[test]
fn a_repeated_invite_gets_its_100_at_once() {
    let (mut machine, _) = invite_server(false);
    assert_eq!(machine.on_retransmission().send.as_deref(), Some(&b"100"[..]));
}

#[test]
fn timer_g_repeats_a_refusal_until_timer_h() {
    let (mut machine, start) = invite_server(false);
    machine.respond(486, bytes(b"486"), start);
    let sent = vec![500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(run!(machine, start), (sent, Some(32_000)));
}

#[test]
fn timer_g_is_not_started_over_a_reliable_transport() {
    let (mut machine, start) = invite_server(true);
    machine.respond(486, bytes(b"486"), start);
    assert_eq!(run!(machine, start), (vec![], Some(32_000)));
}

#[test]
fn timer_i_absorbs_repeated_acks() {
    let (mut machine, start) = invite_server(false);
    machine.respond(486, bytes(b"486"), start);
    assert!(!machine.on_ack(start).deliver);
    assert!(machine.on_retransmission().send.is_none());
    assert_eq!(ends!(machine, start), Some(5000));
}

#[test]
fn timer_l_keeps_an_accepted_invite_to_absorb_its_repeats() {
    let (mut machine, start) = invite_server(false);
    machine.respond(200, bytes(b"200"), start);
    assert!(machine.on_retransmission().send.is_none());
    assert!(machine.on_ack(start).deliver);
    assert_eq!(ends!(machine, start), Some(32_000));
}

#[test]
fn only_the_first_final_response_is_sent() {
    let (mut machine, start) = invite_server(false);
    machine.respond(200, bytes(b"200"), start);
    assert!(machine.respond(487, bytes(b"487"), start).send.is_none());
}

#[test]
fn timer_j_repeats_the_answer_to_a_repeated_request() {
    let start = Instant::now();
    let mut machine = Server::new(false, Timers::default(), start);
    assert!(machine.on_retransmission().send.is_none());
    machine.respond(200, bytes(b"200"), start);
    assert_eq!(machine.on_retransmission().send.as_deref(), Some(&b"200"[..]));
    assert_eq!(ends!(machine, start), Some(32_000));
}

#[test]
fn timer_j_is_zero_over_a_reliable_transport() {
    let start = Instant::now();
    let mut machine = Server::new(true, Timers::default(), start);
    machine.respond(200, bytes(b"200"), start);
    assert!(machine.is_terminated());
}

#[test]
fn a_request_that_nobody_answers_does_not_stay_for_ever() {
    let start = Instant::now();
    let mut machine = Server::new(false, Timers::default(), start);
    assert_eq!(ends!(machine, start), Some(32_000));
}
