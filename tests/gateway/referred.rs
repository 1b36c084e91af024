//! What the trunk does to an agent's call in the middle of it: REFER, and third-party re-INVITEs.

use crosspoint::call::EventKind;
use crosspoint::gateway::CallState;
use crosspoint::plan::{AudioCodec, Order, Pt, Topology};
use crosspoint::sip::message::{Message, Method, Name};

use crate::handover::{consult, frag, fragments, read};
use crate::peers::{Talk, inbound_call, last_status, outbound_call, request};
use crate::rig::Rig;
use crate::sdp;

const UUID: &str = "NEWUUID00000000000000000000000AB";

/// The trunk refers the agent; returns the response and the INVITE that follows it.
fn refer(rig: &mut Rig, talk: &mut Talk, to: &str) -> (Message, Option<Message>) {
    rig.take(talk.trunk.path);
    read(rig, &talk.browser);
    let headers = [("Refer-To", to), ("Referred-By", "<sip:7000@192.0.2.81>")];
    let bytes = talk.trunk.within(&mut talk.at_trunk, Method::Refer, &headers, None);
    rig.deliver(talk.trunk.path, bytes);
    let all = read(rig, &talk.trunk);
    let response = all.iter().find(|m| !m.is_request()).unwrap().clone();
    (response, all.into_iter().find(|m| m.is_request() && m.method() == Method::Invite))
}

#[test]
fn the_trunk_refers_the_agent_to_another_party_and_is_told_how_it_goes() {
    for call in [inbound_call, outbound_call] {
        let mut rig = Rig::new();
        let mut talk = call(&mut rig);
        let to = "<sip:1009@192.0.2.81?Replaces=GUID-3%40192.0.2.81%3Bto-tag%3D7%3Bfrom-tag%3D9>";
        let (accepted, invite) = refer(&mut rig, &mut talk, to);
        assert_eq!(accepted.status(), 202);
        let invite = invite.unwrap();
        assert_eq!(invite.request_uri(), "sip:1009@192.0.2.81:5060");
        assert_eq!(invite.header(Name::Replaces).unwrap(), b"GUID-3@192.0.2.81;to-tag=7;from-tag=9");
        assert_eq!(invite.header(Name::ReferredBy).unwrap(), b"<sip:7000@192.0.2.81>");
        let ok = {
            let bytes = talk.trunk.respond(&invite, 200, Some(&sdp::trunk_answer_from(20_600)));
            // The identifier of the call comes with the answer.
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            text.replacen("\r\nCSeq:", &format!("\r\nX-Genesys-CallUUID: {UUID}\r\nCSeq:"), 1)
        };
        rig.deliver(talk.trunk.path, ok.into());
        let seen = read(&mut rig, &talk.trunk);
        assert_eq!(fragments(&seen), [frag(200, true)]);
        assert_eq!(request(&seen, Method::Bye).call_id(), talk.at_trunk.call_id);
        assert!(read(&mut rig, &talk.browser).is_empty(), "the agent only hears another voice");
        assert!(rig.kinds().contains(&&EventKind::ParticipantsUpdated { parties: vec!["1009".into()] }));
        assert_eq!(rig.kinds().last(), Some(&&EventKind::CallUuidChanged));
        let view = &rig.snapshot().calls[0];
        assert_eq!((view.peer.as_str(), view.call_uuid.as_deref()), ("1009", Some(UUID)));
        let bye = talk.browser.within(&mut talk.at_browser, Method::Bye, &[], None);
        rig.deliver(talk.browser.path, bye);
        assert_eq!(request(&rig.take(talk.trunk.path), Method::Bye).call_id(), invite.call_id());
        rig.assert_clean();
    }
}

#[test]
fn a_refer_of_the_trunk_that_fails_leaves_the_agent_with_whom_it_was() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    let (_, invite) = refer(&mut rig, &mut talk, "<sip:1009@192.0.2.81>");
    let invite = invite.unwrap();
    rig.deliver(talk.trunk.path, talk.trunk.respond(&invite, 180, None));
    assert_eq!(fragments(&read(&mut rig, &talk.trunk)), [frag(180, false)]);
    rig.deliver(talk.trunk.path, talk.trunk.respond(&invite, 486, None));
    assert_eq!(fragments(&read(&mut rig, &talk.trunk)), [frag(486, true)]);
    assert_eq!((rig.ports.len(), rig.snapshot().calls[0].state), (2, CallState::Established));
    assert_eq!(rig.snapshot().calls[0].peer, "1003");
}

#[test]
fn a_refer_of_the_trunk_with_junk_is_400_and_a_second_one_491() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    assert_eq!(refer(&mut rig, &mut talk, "junk").0.status(), 400);
    assert_eq!(refer(&mut rig, &mut talk, "<sip:1009@192.0.2.81>").0.status(), 202);
    assert_eq!(refer(&mut rig, &mut talk, "<sip:1010@192.0.2.81>").0.status(), 491);
    let _ = consult;
}

#[test]
fn a_third_party_moves_address_codec_numbers_and_identifier_in_mid_call() {
    for call in [inbound_call, outbound_call] {
        let mut rig = Rig::new();
        let mut talk = call(&mut rig);
        rig.take(talk.trunk.path);
        rig.take(talk.browser.path);
        let offer = "v=0\r\no=SIPServer 9 2 IN IP4 192.0.2.81\r\ns=call\r\nc=IN IP4 192.0.2.99\r\nt=0 0\r\n\
             m=audio 31000 RTP/AVP 8 96\r\na=rtpmap:8 pcma/8000\r\na=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-15\r\n";
        let headers = [("X-Genesys-CallUUID", UUID)];
        let body = Some(("application/sdp", offer));
        let bytes = talk.trunk.within(&mut talk.at_trunk, Method::Invite, &headers, body);
        let before = rig.orders.len();
        rig.deliver(talk.trunk.path, bytes);
        let ok = last_status(&rig.take(talk.trunk.path), 200);
        let ack = talk.trunk.ack(&talk.at_trunk, &ok, None);
        rig.deliver(talk.trunk.path, ack);
        let updates: Vec<_> = rig.orders[before..].iter().map(|(_, order)| order.clone()).collect();
        let [Order::UpdateRtp(_, remote)] = updates.as_slice() else { panic!("{updates:?}") };
        assert_eq!(remote.rtp, "192.0.2.99:31000".parse::<std::net::SocketAddr>().unwrap());
        assert_eq!((remote.audio.codec, remote.audio.send_pt), (AudioCodec::Pcma, Pt(8)));
        assert_eq!(remote.audio.send_event.map(|event| event.pt), Some(Pt(96)));
        assert_eq!(rig.kinds().last(), Some(&&EventKind::CallUuidChanged));
        assert_eq!(rig.snapshot().calls[0].call_uuid.as_deref(), Some(UUID));
        assert!(rig.take(talk.browser.path).is_empty(), "the browser hears nothing of it");
    }
}

#[test]
fn an_offerless_reinvite_with_a_new_identifier_is_offered_and_moved_by_its_ack() {
    let mut rig = Rig::new();
    let mut talk = inbound_call(&mut rig);
    rig.take(talk.trunk.path);
    let bytes = talk.trunk.within(&mut talk.at_trunk, Method::Invite, &[("X-Genesys-CallUUID", UUID)], None);
    rig.deliver(talk.trunk.path, bytes);
    let ok = last_status(&rig.take(talk.trunk.path), 200);
    assert!(!ok.body().is_empty());
    let before = rig.orders.len();
    let ack = talk.trunk.ack(&talk.at_trunk, &ok, Some(&sdp::trunk_answer_from(31_500)));
    rig.deliver(talk.trunk.path, ack);
    let moved = rig.orders[before..].iter().any(|(_, order)| match order {
        Order::UpdateRtp(_, remote) => remote.rtp.port() == 31_500,
        _ => false,
    });
    assert!(moved && rig.kinds().contains(&&EventKind::CallUuidChanged));
    let broken = rig.orders[before..].iter().any(|(_, order)| matches!(order, Order::Connect(Topology::Parked(..))));
    assert!(!broken, "nobody is put on hold by it");
}
