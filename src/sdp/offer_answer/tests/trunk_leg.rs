use super::*;
use crate::sdp::shapes::{BLACK_HOLE, CHROMIUM, GENESYS};

fn local() -> RtpLocal {
    RtpLocal {
        rtp: "192.0.2.54:10020".parse().unwrap(),
        session_id: 99,
        audio: AudioWish::trunk(vec![AudioCodec::Pcmu, AudioCodec::Pcma]),
    }
}

fn answer(offer: &str) -> Answer<crate::plan::RtpRemote> {
    answer_rtp(offer.as_bytes(), &local(), None).unwrap()
}

/// An answer of a plain phone.
fn phone(m: &str, more: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio {m}\r\n{more}")
}

#[test]
fn genesys_is_answered_with_g711_out_of_its_long_list() {
    let done = answer(GENESYS);
    assert_eq!(
        text(&done.sdp),
        "v=0\r\no=- 99 1 IN IP4 192.0.2.54\r\ns=-\r\nc=IN IP4 192.0.2.54\r\nt=0 0\r\n\
         m=audio 10020 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    );
    assert_eq!(done.remote.rtp, "192.0.2.90:20318".parse::<std::net::SocketAddr>().unwrap());
    assert_eq!(done.remote.rtcp, "192.0.2.90:20319".parse::<std::net::SocketAddr>().unwrap());
    let audio = done.remote.audio;
    assert_eq!((audio.codec, audio.send_pt, audio.send, audio.recv), (AudioCodec::Pcmu, Pt(0), true, true));
    assert_eq!(audio.recv_events[0], Some(EventFormat { pt: Pt(101), clock_hz: 8_000 }));
}

#[test]
fn static_payload_types_need_no_rtpmap() {
    let done = answer(&phone("4000 RTP/AVP 18 8", ""));
    assert_eq!((done.remote.audio.codec, done.remote.audio.send_event), (AudioCodec::Pcma, None));
}

#[test]
fn a_dynamic_number_for_g711_is_kept() {
    let done = answer(&phone("4000 RTP/AVP 97", "a=rtpmap:97 PcMa/8000\r\n"));
    assert_eq!(m_lines(&done.sdp), ["m=audio 10020 RTP/AVP 97"]);
    assert_eq!(done.remote.audio.send_pt, Pt(97));
}

#[test]
fn a_static_number_with_another_meaning_is_not_g711() {
    let offer = phone("4000 RTP/AVP 0", "a=rtpmap:0 G726-32/8000\r\n");
    assert_eq!(answer_rtp(offer.as_bytes(), &local(), None), Err(OfferError::NoCommonCodec));
}

#[test]
fn ptime_and_maxptime_are_obeyed_from_10_to_60_ms() {
    let ptime = |lines: &str| answer(&format!("{GENESYS}{lines}")).remote.audio.ptime_ms;
    assert_eq!([ptime(""), ptime("a=ptime:30\r\n"), ptime("a=ptime:10\r\n")], [20, 30, 10]);
    assert_eq!([ptime("a=maxptime:10\r\n"), ptime("a=ptime:200\r\n"), ptime("a=ptime:0\r\n")], [10, 60, 20]);
    assert_eq!([ptime("a=ptime:20.0\r\n"), ptime("a=ptime:x\r\n"), ptime("a=maxptime:0\r\n")], [20, 20, 10]);
}

#[test]
fn hold_comes_in_three_shapes() {
    let send_recv = |offer: &str| {
        let done = answer(offer);
        let direction = text(&done.sdp).lines().last().unwrap().to_owned();
        (done.remote.audio.send, done.remote.audio.recv, direction)
    };
    assert_eq!(send_recv(&format!("{GENESYS}a=sendonly\r\n")), (false, true, "a=recvonly".to_owned()));
    assert_eq!(send_recv(&format!("{GENESYS}a=inactive\r\n")), (false, false, "a=inactive".to_owned()));
    let old = GENESYS.replace("c=IN IP4 192.0.2.90", "c=IN IP4 0.0.0.0");
    assert_eq!(send_recv(&old), (false, true, "a=recvonly".to_owned()));
    assert_eq!(send_recv(&format!("{GENESYS}a=recvonly\r\n")), (true, false, "a=sendonly".to_owned()));
}

#[test]
fn an_address_that_media_cannot_go_to_is_refused() {
    for bad in ["IN IP4 media.example.com", "IN IP4 224.0.0.1/127", "IN IP4 255.255.255.255", "IN IP6 2001:db8::1"] {
        let offer = GENESYS.replace("IN IP4 192.0.2.90", bad);
        assert_eq!(answer_rtp(offer.as_bytes(), &local(), None), Err(OfferError::NoAddress), "{bad}");
    }
    let missing = GENESYS.replace("c=IN IP4 192.0.2.90\r\n", "");
    assert_eq!(answer_rtp(missing.as_bytes(), &local(), None), Err(OfferError::NoAddress));
}

#[test]
fn ipv6_is_spoken_with_ipv6() {
    let ours = RtpLocal { rtp: "[2001:db8::54]:10020".parse().unwrap(), ..local() };
    let offer = GENESYS.replace("c=IN IP4 192.0.2.90", "c=IN IP6 2001:db8::90");
    let done = answer_rtp(offer.as_bytes(), &ours, None).unwrap();
    assert!(has(&done.sdp, "c=IN IP6 2001:db8::54") && has(&done.sdp, "o=- 99 1 IN IP6 2001:db8::54"));
    assert_eq!(done.remote.rtcp, "[2001:db8::90]:20319".parse::<std::net::SocketAddr>().unwrap());
}

#[test]
fn rtcp_follows_rfc_3605() {
    let done = answer(&format!("{GENESYS}a=rtcp:30000 IN IP4 192.0.2.91\r\n"));
    assert_eq!(done.remote.rtcp, "192.0.2.91:30000".parse::<std::net::SocketAddr>().unwrap());
    let nowhere = answer(&format!("{GENESYS}a=rtcp:30000 IN IP4 0.0.0.0\r\n"));
    assert_eq!(nowhere.remote.rtcp, "0.0.0.0:30000".parse::<std::net::SocketAddr>().unwrap(), "nothing is sent there");
    let elsewhere = answer(&format!("{GENESYS}a=rtcp:30000 IN IP4 224.0.0.1\r\n"));
    assert_eq!(elsewhere.remote.rtcp, "192.0.2.90:30000".parse::<std::net::SocketAddr>().unwrap());
}

#[test]
fn encrypted_audio_is_passed_over_for_plain_audio() {
    let savp =
        "m=audio 6000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1c\r\n";
    let done = answer(&GENESYS.replace("m=audio 20318", &format!("{savp}m=audio 20318")));
    assert_eq!(m_lines(&done.sdp), ["m=audio 0 RTP/SAVP 0", "m=audio 10020 RTP/AVP 0 101"]);
    assert!(!text(&done.sdp).contains("crypto"));
    assert_eq!(answer_rtp(CHROMIUM.as_bytes(), &local(), None), Err(OfferError::Transport));
}

#[test]
fn our_offer_has_both_laws_and_events_and_an_address() {
    let (sdp, _) = offer_rtp(&local(), None);
    assert_eq!(m_lines(&sdp), ["m=audio 10020 RTP/AVP 0 8 101"]);
    for line in ["c=IN IP4 192.0.2.54", "a=ptime:20", "a=sendrecv", "a=fmtp:101 0-15"] {
        assert!(has(&sdp, line), "{line}");
    }
}

#[test]
fn an_answer_is_taken_and_the_same_offer_keeps_its_version() {
    let (sdp, state) = offer_rtp(&local(), None);
    let answer = phone("4000 RTP/AVP 8 101", "a=rtpmap:101 telephone-event/8000\r\na=ptime:30\r\n");
    let (remote, agreed) = accept_rtp_answer(&state, answer.as_bytes()).unwrap();
    assert_eq!((remote.audio.codec, remote.audio.ptime_ms), (AudioCodec::Pcma, 30));
    let (again, _) = offer_rtp(&local(), Some(&agreed));
    assert_eq!(m_lines(&again), ["m=audio 10020 RTP/AVP 8 0 101"], "the codec in use comes first");
    assert_eq!((version(&sdp), version(&again)), (1, 2));
}

#[test]
fn an_answer_may_number_its_events_differently() {
    let (_, state) = offer_rtp(&local(), None);
    let answer = phone("4000 RTP/AVP 0 96", "a=rtpmap:96 telephone-event/8000\r\n");
    let (remote, _) = accept_rtp_answer(&state, answer.as_bytes()).unwrap();
    assert_eq!(remote.audio.send_event.map(|e| e.pt), Some(Pt(96)));
    assert_eq!(remote.audio.recv_events[0].map(|e| e.pt), Some(Pt(101)));
}

#[test]
fn digits_are_not_sent_to_a_peer_that_has_no_events() {
    let (_, state) = offer_rtp(&local(), None);
    let (remote, _) = accept_rtp_answer(&state, phone("4000 RTP/AVP 0", "").as_bytes()).unwrap();
    assert_eq!((remote.audio.send_event, remote.audio.recv_events), (None, [None; 2]));
}

#[test]
fn the_black_hole_of_a_given_up_call_gets_nothing() {
    let (_, state) = offer_rtp(&local(), None);
    let (remote, _) = accept_rtp_answer(&state, BLACK_HOLE.as_bytes()).unwrap();
    assert!(remote.rtp.ip().is_unspecified() && !remote.audio.send);
}

#[test]
fn our_own_offer_mirrored_is_never_sent_to() {
    let (sdp, state) = offer_rtp(&local(), None);
    let (remote, _) = accept_rtp_answer(&state, &sdp).unwrap();
    assert!(!remote.audio.send);
}

#[test]
fn a_refused_m_line_or_codec_is_an_error() {
    let (_, state) = offer_rtp(&local(), None);
    assert_eq!(accept_rtp_answer(&state, phone("0 RTP/AVP 0", "").as_bytes()), Err(OfferError::NoAudio));
    assert_eq!(accept_rtp_answer(&state, phone("4000 RTP/AVP 18", "").as_bytes()), Err(OfferError::NoCommonCodec));
    let none = b"v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n";
    assert_eq!(accept_rtp_answer(&state, none), Err(OfferError::NoAudio));
}

#[test]
fn our_hold_is_offered_and_its_answer_obeyed() {
    let first = answer(GENESYS);
    let mut hold = local();
    hold.audio.direction = Direction::SendOnly;
    let (sdp, state) = offer_rtp(&hold, Some(&first.agreed));
    assert!(has(&sdp, "a=sendonly"));
    assert_eq!(version(&sdp), 2);
    // A peer that forgets the direction says sendrecv: what we offered bounds it.
    let (remote, _) = accept_rtp_answer(&state, phone("4000 RTP/AVP 0", "").as_bytes()).unwrap();
    assert_eq!((remote.audio.send, remote.audio.recv), (true, false));
    let inactive = phone("4000 RTP/AVP 0", "a=inactive\r\n");
    let (remote, _) = accept_rtp_answer(&state, inactive.as_bytes()).unwrap();
    assert_eq!((remote.audio.send, remote.audio.recv), (false, false));
}

#[test]
fn a_number_that_the_peer_has_given_a_meaning_is_not_given_another() {
    // The peer's 101 is iLBC; our event needs another number in the next offer.
    let first =
        answer(&phone("4000 RTP/AVP 0 101 99", "a=rtpmap:101 iLBC/8000\r\na=rtpmap:99 telephone-event/8000\r\n"));
    let (sdp, _) = offer_rtp(&local(), Some(&first.agreed));
    assert_eq!(m_lines(&sdp), ["m=audio 10020 RTP/AVP 0 8 99"]);
    let without = answer(&phone("4000 RTP/AVP 0 101", "a=rtpmap:101 iLBC/8000\r\n"));
    assert_eq!(m_lines(&offer_rtp(&local(), Some(&without.agreed)).0), ["m=audio 10020 RTP/AVP 0 8 96"]);
}

#[test]
fn session_id_and_m_lines_stay_through_hold_and_retrieve() {
    let video = GENESYS.to_owned() + "m=video 5000 RTP/AVP 34\r\n";
    let first = answer(&video);
    let (offer, state) = offer_rtp(&local(), Some(&first.agreed));
    assert_eq!(m_lines(&offer), ["m=audio 10020 RTP/AVP 0 8 101", "m=video 0 RTP/AVP 34"]);
    let (_, agreed) =
        accept_rtp_answer(&state, phone("4000 RTP/AVP 0\r\nm=video 0 RTP/AVP 34", "").as_bytes()).unwrap();
    let held = answer_rtp(format!("{video}a=inactive\r\n").as_bytes(), &local(), Some(&agreed)).unwrap();
    assert!(text(&held.sdp).contains("o=- 99 3 IN IP4"), "{}", text(&held.sdp));
}

#[test]
fn comfort_noise_is_offered_and_taken_only_where_it_is_wished_and_beside_g711() {
    let mut wishing = local();
    wishing.audio.noise = true;
    let offer = phone("4000 RTP/AVP 0 8 13 101", "a=rtpmap:101 telephone-event/8000\r\n");
    let done = answer_rtp(offer.as_bytes(), &wishing, None).unwrap();
    assert_eq!(m_lines(&done.sdp), ["m=audio 10020 RTP/AVP 0 101 13"]);
    assert!(text(&done.sdp).contains("a=rtpmap:13 CN/8000\r\n"));
    assert_eq!(done.remote.audio.recv_noise, Some(Pt(13)));
    let done = answer(&offer);
    assert_eq!(m_lines(&done.sdp), ["m=audio 10020 RTP/AVP 0 101"]);
    assert_eq!(done.remote.audio.recv_noise, None);
    assert_eq!(
        answer_rtp(phone("4000 RTP/AVP 8", "").as_bytes(), &wishing, None).unwrap().remote.audio.recv_noise,
        None
    );

    let (sdp, state) = offer_rtp(&wishing, None);
    assert_eq!(m_lines(&sdp), ["m=audio 10020 RTP/AVP 0 8 101 13"]);
    for (list, expected) in [("0 13", Some(Pt(13))), ("8", None)] {
        let answer = phone(&format!("4000 RTP/AVP {list}"), "");
        assert_eq!(accept_rtp_answer(&state, answer.as_bytes()).unwrap().0.audio.recv_noise, expected);
    }
    let (sdp, _) = offer_rtp(&local(), None);
    assert_eq!(m_lines(&sdp), ["m=audio 10020 RTP/AVP 0 8 101"]);
}
