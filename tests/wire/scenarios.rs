//! The lab's scenarios against the whole program, signalling alone: the agent is a phone on a WebSocket. Those with audio run
//! with real browsers, too (`tests/browser/scenarios.rs`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crosspoint::lab::Recorder;
use crosspoint::lab::scenario::{self, Place, Scenario};

use crate::desk::{Desk, no_call_is_left, rig, server};
use crate::tshark;

/// Plays a scenario, and finds nothing left of it in the gateway.
async fn plays(name: &str) {
    plays_recorded(name, None).await;
}

async fn plays_recorded(name: &str, recorder: Option<Arc<Recorder>>) {
    let scenario = Scenario::find(name, server()).unwrap_or_else(|why| panic!("{why}"));
    let rig = rig(scenario.peers()[0].1, &scenario.config().expect("its keys")).await;
    let place = Place {
        gateway: rig.sip(),
        dn: "5001".to_owned(),
        agent_hz: None,
        media: false,
        patience: Duration::ZERO,
        recorder,
    };
    let desk = Desk::sign_in(&rig).await;
    let said = Mutex::new(String::new());
    let say = |line: &str| {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.push_str(line);
        said.push('\n');
    };
    let result = scenario::play(&scenario, &place, &move |act| desk.act(act), &say).await;
    if let Err(why) = result {
        panic!("{name}: {why}\n{}", said.lock().unwrap_or_else(PoisonError::into_inner));
    }
    no_call_is_left(&rig).await;
}

/// A test for each scenario.
macro_rules! scenarios {
    ($($test:ident: $name:literal,)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            plays($name).await;
        })*
    };
}

scenarios! {
    a_customer_calls_and_the_agent_answers_at_the_phone: "inbound",
    a_customer_who_was_routed_keeps_the_number_that_he_dialled: "inbound-routed",
    an_agent_hangs_up_a_call_that_he_took: "agent-hangs-up",
    an_agent_dials_and_the_sip_server_answers: "dialled",
    a_customer_gives_up_with_other_brackets_in_the_cancel: "cancelled",
    the_latest_of_two_forks_is_heard_then_the_one_that_answers: "forked-early-media",
    a_number_that_has_moved_is_called_where_it_is: "redirected",
    a_redirection_is_refused_where_the_configuration_says_so: "redirect-refused",
    a_deferred_phone_is_called_at_talk: "deferred",
    a_nailed_phone_stands_from_call_to_call: "nailed",
    an_agent_asks_first_and_hands_the_customer_over: "attended-transfer",
    an_agent_makes_three_of_two_calls: "conference",
    an_agent_presses_keys: "keys",
    a_session_is_refreshed_by_us_then_by_the_sip_server: "session-refresh",
    a_refer_has_the_agents_phone_make_a_call: "make-call-refer",
    notify_talk_answers_a_ringing_call: "notify-talk",
    nine_notifies_over_23_seconds_are_answered_and_answer_one_call: "notify-repeated",
    notify_hold_and_talk_hold_and_retrieve_the_trunk_leg: "hold-talk",
    click_to_dial_waits_for_its_ack: "click-to-dial",
    click_to_dial_refused_mirrors_our_offer_and_ends: "click-to-dial-refused",
    click_to_dial_lives_32_seconds_without_an_ack: "click-to-dial-timeout",
    a_customer_on_hold_hears_what_the_gateway_plays: "hold-music",
    an_agent_holds_with_his_own_button: "agent-holds",
    a_reinvite_that_is_refused_leaves_the_call_as_it_was: "reinvite-refused",
    the_sip_server_refers_the_agent_to_another_number: "refer-from-server",
    a_refer_to_a_busy_number_leaves_the_call_as_it_was: "refer-fails",
    an_invite_with_replaces_takes_the_place_of_the_call: "replaces",
    an_agent_transfers_and_the_gateway_joins_the_two: "blind-transfer",
    an_agent_transfers_to_a_busy_number_and_has_the_customer_back: "blind-transfer-refused",
    an_agent_transfers_by_refer_where_the_trunk_takes_it: "blind-transfer-refer",
    the_gateway_asks_for_a_sign_of_life: "ping",
    a_dn_is_registered_while_its_agent_is_signed_in: "register",
    a_challenged_registration_is_answered_for_the_trunk_s_realm: "register-digest",
    a_challenge_of_another_realm_gets_no_credentials: "register-foreign-realm",
    a_dn_that_is_unknown_is_not_asked_for_again_at_once: "register-unknown",
    a_silent_server_is_passed_over_and_its_late_answer_ended: "failover",
    a_dn_is_registered_with_both_peers_and_called_by_either: "continuity",
    the_sip_server_holds_in_three_ways: "held-by-server",
    an_offerless_reinvite_gets_our_offer: "reinvite-offerless",
    a_3pcc_transfer_changes_address_codec_and_payload_type: "transfer-3pcc",
    what_else_comes_in_a_call_is_answered: "info-message",
    options_are_answered_in_and_out_of_a_call: "options",
    requests_of_a_call_come_from_another_address_of_the_pool: "pool",
    an_answer_that_crosses_the_cancel_is_acknowledged_and_ended: "answer-crosses-cancel",
    a_backup_that_knows_nothing_of_the_call_ends_it_and_takes_the_next: "virtual-address",
}

#[tokio::test(flavor = "multi_thread")]
async fn tshark_reads_every_message_that_the_trunk_is_sent() {
    let recorder = Arc::new(Recorder::default());
    for name in ["inbound", "held-by-server", "reinvite-offerless", "dialled", "cancelled"] {
        plays_recorded(name, Some(recorder.clone())).await;
    }
    tshark::reads_without_a_complaint(&recorder, "127.0.0.1", &["sip", "rtcp"]);
}
