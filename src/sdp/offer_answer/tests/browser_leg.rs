use super::*;
use crate::sdp::SdpError;
use crate::sdp::shapes::{CHROMIUM, FIREFOX, GENESYS, SAFARI};

fn local() -> BrowserLocal {
    BrowserLocal {
        candidates: vec!["203.0.113.5:10000".parse().unwrap(), "[2001:db8::5]:10000".parse().unwrap()],
        ice: IceCredentials { ufrag: "gatew4y0".to_owned(), pwd: "0123456789abcdefghijklmn".to_owned() },
        fingerprint: Fingerprint([0xAB; 32]),
        ssrc: 77,
        cname: "leg-1".to_owned(),
        session_id: 4_711,
        audio: AudioWish::browser(OpusParams::default()),
    }
}

fn answer(offer: &str) -> Answer<crate::plan::BrowserRemote> {
    answer_browser(offer.as_bytes(), &local(), None).unwrap()
}

fn refusal(offer: &str) -> OfferError {
    answer_browser(offer.as_bytes(), &local(), None).expect_err("a refusal")
}

/// Lets Chromium answer what we offered, with its own numbers kept (a browser answers with ours).
fn answered_by_browser(offer: &[u8], formats: &str, more: &str) -> String {
    let maps: String = text(offer).lines().filter(|l| l.starts_with("a=rtpmap")).map(|l| format!("{l}\r\n")).collect();
    format!(
        "v=0\r\no=- 5 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF {formats}\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n{maps}\
         a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=rtcp-mux\r\n\
         a=fingerprint:sha-256 {}AA\r\n{more}",
        "AA:".repeat(31)
    )
}

#[test]
fn chromium_gets_opus_and_the_48_khz_event() {
    let done = answer(CHROMIUM);
    assert_eq!(m_lines(&done.sdp), ["m=audio 10000 UDP/TLS/RTP/SAVPF 111 110"]);
    assert!(has(&done.sdp, "a=rtpmap:111 opus/48000/2"));
    let audio = done.remote.audio;
    assert_eq!((audio.send_pt, audio.recv_pt), (Pt(111), Pt(111)));
    assert_eq!(audio.send_event, Some(EventFormat { pt: Pt(110), clock_hz: 48_000 }));
    assert_eq!((audio.send, audio.recv, audio.ptime_ms), (true, true, 20));
    assert_eq!(done.remote.ice.ufrag, "kX3v");
    assert_eq!((done.remote.fingerprint.0[0], done.remote.role), (0x6B, DtlsRole::Server));
}

#[test]
fn the_answer_is_lite_passive_muxed_and_bundled() {
    let done = answer(CHROMIUM);
    for line in [
        "a=ice-lite",
        "a=setup:passive",
        "a=rtcp-mux",
        "a=group:BUNDLE 0",
        "a=mid:0",
        "a=sendrecv",
        "a=ptime:20",
        "a=ice-ufrag:gatew4y0",
        "c=IN IP4 203.0.113.5",
        "a=candidate:1 1 udp 2130706431 203.0.113.5 10000 typ host",
        "a=candidate:2 1 udp 2130706175 2001:db8::5 10000 typ host",
        "a=end-of-candidates",
        "a=ssrc:77 cname:leg-1",
        "a=fmtp:110 0-15",
    ] {
        assert!(has(&done.sdp, line), "{line} in {}", text(&done.sdp));
    }
    let hash = ["AB"; 32].join(":");
    assert!(has(&done.sdp, &format!("a=fingerprint:sha-256 {hash}")));
}

#[test]
fn the_browser_is_asked_for_narrow_band_only_where_the_other_leg_is() {
    let narrow = "a=fmtp:111 maxplaybackrate=8000;sprop-maxcapturerate=8000;maxaveragebitrate=32000;useinbandfec=1";
    assert!(has(&answer(CHROMIUM).sdp, narrow));
    let mut wide = local();
    wide.audio.narrowband = false;
    let done = answer_browser(CHROMIUM.as_bytes(), &wide, None).unwrap();
    assert!(has(&done.sdp, "a=fmtp:111 useinbandfec=1"));
}

#[test]
fn the_browser_may_pause_only_where_we_say_so() {
    let mut pauses = local();
    pauses.audio = AudioWish::browser(OpusParams { dtx: true, ..OpusParams::default() });
    let done = answer_browser(CHROMIUM.as_bytes(), &pauses, None).unwrap();
    assert!(text(&done.sdp).contains("useinbandfec=1;usedtx=1\r\n"));
    assert!(!text(&answer(CHROMIUM).sdp).contains("usedtx"));
}

#[test]
fn the_packet_length_of_opus_is_not_that_of_g711() {
    let mut long = local();
    long.audio.opus_ptime_ms = 40;
    let (offer, state) = offer_browser(&long, None);
    assert!(has(&offer, "a=ptime:40"));
    let (opus, _) = accept_browser_answer(&state, answered_by_browser(&offer, "111", "").as_bytes()).unwrap();
    let (pcmu, _) = accept_browser_answer(&state, answered_by_browser(&offer, "0", "").as_bytes()).unwrap();
    assert_eq!((opus.audio.ptime_ms, pcmu.audio.ptime_ms), (40, 20));
    long.audio.codecs.rotate_left(1);
    assert!(has(&offer_browser(&long, None).0, "a=ptime:20"), "G.711 is the first one");
}

#[test]
fn no_sdes_no_extensions_no_feedback_no_comfort_noise_are_ever_written() {
    let offer = CHROMIUM.replace(
        "a=setup:actpass",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\na=setup:actpass",
    );
    let sdp = text(&answer(&offer).sdp);
    for word in ["crypto", "extmap", "rtcp-fb", "CN/8000", "red/"] {
        assert!(!sdp.contains(word), "{word}");
    }
}

#[test]
fn firefox_gets_opus_with_its_numbers_and_the_8_khz_event_that_is_all_it_offers() {
    let done = answer(FIREFOX);
    assert_eq!(done.remote.audio.send_pt, Pt(109));
    assert_eq!(done.remote.audio.send_event, Some(EventFormat { pt: Pt(101), clock_hz: 8_000 }));
}

#[test]
fn video_and_data_are_refused_in_their_places() {
    let done = answer(FIREFOX);
    assert_eq!(
        m_lines(&done.sdp),
        [
            "m=audio 10000 UDP/TLS/RTP/SAVPF 109 101",
            "m=video 0 UDP/TLS/RTP/SAVPF 120 124",
            "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
        ]
    );
    assert!(has(&done.sdp, "a=group:BUNDLE 0"), "refused m-lines leave the bundle");
    assert!(has(&done.sdp, "a=mid:1") && has(&done.sdp, "a=mid:2"));
}

#[test]
fn audio_behind_video_is_answered_in_second_place() {
    let (session, audio) = CHROMIUM.split_at(CHROMIUM.find("m=audio").unwrap());
    let offer = format!("{session}m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n{audio}");
    let done = answer(&offer);
    assert!(m_lines(&done.sdp)[0].starts_with("m=video 0 "));
    assert!(m_lines(&done.sdp)[1].starts_with("m=audio 10000 "));
}

#[test]
fn safari_with_ipv6_is_answered() {
    assert_eq!(answer(SAFARI).remote.audio.send_pt, Pt(111));
}

#[test]
fn without_opus_g711_is_answered_with_the_8_khz_event() {
    let done = answer(&CHROMIUM.replace("SAVPF 111 63 9 0 8", "SAVPF 9 0 8"));
    assert_eq!(m_lines(&done.sdp), ["m=audio 10000 UDP/TLS/RTP/SAVPF 0 126"]);
    assert_eq!(done.remote.audio.codec, AudioCodec::Pcmu);
    assert_eq!(done.remote.audio.send_event, Some(EventFormat { pt: Pt(126), clock_hz: 8_000 }));
}

#[test]
fn an_offer_without_candidates_is_answered() {
    let offer: String = CHROMIUM.split_inclusive("\r\n").filter(|l| !l.starts_with("a=candidate")).collect();
    assert!(offer.len() < CHROMIUM.len());
    assert_eq!(answer(&offer).remote, answer(CHROMIUM).remote);
}

#[test]
fn an_offer_that_lacks_what_webrtc_needs_is_refused_with_its_reason() {
    assert_eq!(refusal(&CHROMIUM.replace("sha-256", "sha-1")), OfferError::NoFingerprint);
    assert_eq!(refusal(&CHROMIUM.replace("a=ice-pwd", "a=x-pwd")), OfferError::NoIce);
    assert_eq!(refusal(&CHROMIUM.replace("a=rtcp-mux\r\n", "")), OfferError::NoRtcpMux);
    assert_eq!(refusal(&CHROMIUM.replace("setup:actpass", "setup:holdconn")), OfferError::Setup);
    assert_eq!(refusal(&CHROMIUM.replace("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n")), OfferError::BothIceLite);
    assert_eq!(refusal(&CHROMIUM.replace("SAVPF 111 63 9 0 8 13", "SAVPF 63 9 13")), OfferError::NoCommonCodec);
    assert_eq!(refusal(&CHROMIUM.replace("m=audio 51472", "m=audio 0")), OfferError::NoAudio);
    assert_eq!(refusal(GENESYS), OfferError::Transport);
    assert!(matches!(refusal("v=0"), OfferError::NoAudio));
    assert!(matches!(refusal("nonsense"), OfferError::Malformed(SdpError::Syntax(_))));
}

#[test]
fn ice_lite_below_an_m_line_says_nothing() {
    let offer = CHROMIUM.replace("a=setup", "a=ice-lite\r\na=setup");
    assert_eq!(answer(&offer).remote, answer(CHROMIUM).remote);
}

#[test]
fn a_peer_that_insists_on_passive_gets_our_client_hello() {
    let done = answer(&CHROMIUM.replace("setup:actpass", "setup:passive"));
    assert!(has(&done.sdp, "a=setup:active"));
    assert_eq!(done.remote.role, DtlsRole::Client);
    let again = answer_browser(CHROMIUM.as_bytes(), &local(), Some(&done.agreed)).unwrap();
    assert_eq!(again.remote.role, DtlsRole::Client, "actpass in a re-offer keeps the role (RFC 8842 5.5)");
}

#[test]
fn payload_numbers_that_collide_with_rtcp_are_not_taken() {
    let offer = CHROMIUM.replace(" 111 63", " 72 63").replace(":111 ", ":72 ");
    assert_eq!(answer(&offer).remote.audio.codec, AudioCodec::Pcmu);
}

#[test]
fn the_peers_limits_bound_our_opus() {
    let params = |fmtp: &str| match answer(&CHROMIUM.replace("minptime=10;useinbandfec=1", fmtp)).remote.audio.codec {
        AudioCodec::Opus(params) => params,
        other => panic!("{other:?}"),
    };
    assert_eq!(params("maxaveragebitrate=16000;useinbandfec=0").bitrate_bps, 16_000);
    assert!(!params("useinbandfec=0").fec);
    assert!(params("useinbandfec=1").fec);
    assert_eq!(params("maxaveragebitrate=1").bitrate_bps, 6_000);
    assert_eq!(params("maxaveragebitrate=99999999999999").bitrate_bps, 32_000);
}

#[test]
fn opus_packets_have_a_length_that_opus_knows() {
    let ptime = |lines: &str| answer(&CHROMIUM.replace("a=sendrecv", lines)).remote.audio.ptime_ms;
    assert_eq!([ptime("a=ptime:40"), ptime("a=ptime:30"), ptime("a=ptime:50")], [40, 20, 40]);
    assert_eq!([ptime("a=ptime:3"), ptime("a=ptime:120"), ptime("a=ptime:60\r\na=maxptime:20")], [10, 60, 20]);
}

#[test]
fn hold_by_the_page_is_answered_in_kind() {
    let held = answer(&CHROMIUM.replace("a=sendrecv", "a=sendonly"));
    assert!(has(&held.sdp, "a=recvonly"));
    assert_eq!((held.remote.audio.send, held.remote.audio.recv), (false, true));
    let silent = answer(&CHROMIUM.replace("a=sendrecv", "a=inactive"));
    assert!(has(&silent.sdp, "a=inactive"));
    assert_eq!((silent.remote.audio.send, silent.remote.audio.recv), (false, false));
}

#[test]
fn the_version_rises_only_when_something_changes() {
    let first = answer(CHROMIUM);
    let same = answer_browser(CHROMIUM.as_bytes(), &local(), Some(&first.agreed)).unwrap();
    assert_eq!(same.sdp, first.sdp);
    let held = CHROMIUM.replace("a=sendrecv", "a=sendonly");
    let hold = answer_browser(held.as_bytes(), &local(), Some(&same.agreed)).unwrap();
    let back = answer_browser(CHROMIUM.as_bytes(), &local(), Some(&hold.agreed)).unwrap();
    assert_eq!([version(&first.sdp), version(&hold.sdp), version(&back.sdp)], [1, 2, 3]);
    assert!(text(&back.sdp).contains("o=- 4711 3 IN IP4 203.0.113.5\r\n"));
    assert_eq!(back.agreed.version(), 3);
}

#[test]
fn a_codec_in_use_is_kept_in_a_re_offer_that_prefers_another() {
    let first = answer(&CHROMIUM.replace("SAVPF 111 63 9 0 8", "SAVPF 9 0 8"));
    let again = answer_browser(CHROMIUM.as_bytes(), &local(), Some(&first.agreed)).unwrap();
    assert_eq!(again.remote.audio.codec, AudioCodec::Pcmu);
}

#[test]
fn an_ice_restart_is_seen_by_its_credentials() {
    let first = answer(CHROMIUM);
    assert!(!first.agreed.is_ice_restart(CHROMIUM.as_bytes()));
    assert!(first.agreed.is_ice_restart(CHROMIUM.replace("ice-ufrag:kX3v", "ice-ufrag:nEw1").as_bytes()));
    assert!(!first.agreed.is_ice_restart(b"nonsense"));
}

#[test]
fn our_offer_has_opus_g711_and_both_events_and_either_role() {
    let (sdp, _) = offer_browser(&local(), None);
    assert_eq!(m_lines(&sdp), ["m=audio 10000 UDP/TLS/RTP/SAVPF 111 0 8 110 126"]);
    for line in ["a=setup:actpass", "a=mid:0", "a=group:BUNDLE 0", "a=rtpmap:126 telephone-event/8000", "a=sendrecv"] {
        assert!(has(&sdp, line), "{line}");
    }
}

#[test]
fn the_browsers_answer_is_taken_and_the_next_offer_keeps_its_numbers() {
    let (sdp, state) = offer_browser(&local(), None);
    let answer = answered_by_browser(&sdp, "111 110", "a=setup:active\r\n");
    let (remote, agreed) = accept_browser_answer(&state, answer.as_bytes()).unwrap();
    assert_eq!((remote.role, remote.audio.send_pt, remote.audio.recv_pt), (DtlsRole::Server, Pt(111), Pt(111)));
    assert_eq!(remote.audio.recv_events[0], Some(EventFormat { pt: Pt(110), clock_hz: 48_000 }));
    assert_eq!(offer_browser(&local(), Some(&agreed)).0, sdp, "nothing changed, nothing is changed");
}

#[test]
fn keys_are_expected_in_each_of_the_event_formats_that_the_answer_keeps() {
    let (sdp, state) = offer_browser(&local(), None);
    let answer = answered_by_browser(&sdp, "111 0 8 110 126", "a=setup:active\r\n");
    let (remote, _) = accept_browser_answer(&state, answer.as_bytes()).unwrap();
    let event = |pt, clock_hz| Some(EventFormat { pt: Pt(pt), clock_hz });
    assert_eq!(remote.audio.send_event, event(110, 48_000));
    assert_eq!(remote.audio.recv_events, [event(110, 48_000), event(126, 8_000)], "Chromium sends 126 beside Opus");
}

#[test]
fn a_re_offer_keeps_the_m_lines_and_numbers_of_the_browsers_offer() {
    let first = answer(FIREFOX);
    let mut held = local();
    held.audio.direction = Direction::SendOnly;
    let (sdp, _) = offer_browser(&held, Some(&first.agreed));
    // 120 and 124 are video's, in an m-line of its own; 111 is free.
    assert_eq!(
        m_lines(&sdp),
        [
            "m=audio 10000 UDP/TLS/RTP/SAVPF 109 0 8 110 101",
            "m=video 0 UDP/TLS/RTP/SAVPF 120 124",
            "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
        ]
    );
    assert!(has(&sdp, "a=sendonly") && has(&sdp, "a=setup:actpass"));
    assert_eq!(version(&sdp), 2);
}

#[test]
fn an_answer_with_other_numbers_is_sent_with_these_and_expected_with_ours() {
    let (sdp, state) = offer_browser(&local(), None);
    let answer = answered_by_browser(&sdp, "96 97", "a=rtpmap:96 opus/48000/2\r\na=rtpmap:97 telephone-event/8000\r\n");
    let (remote, _) = accept_browser_answer(&state, answer.as_bytes()).unwrap();
    let audio = remote.audio;
    assert_eq!((audio.send_pt, audio.recv_pt), (Pt(96), Pt(111)));
    assert_eq!(audio.send_event.map(|e| e.pt), Some(Pt(97)));
    assert_eq!(audio.recv_events[0].map(|e| e.pt), Some(Pt(126)));
}

#[test]
fn an_answer_that_refuses_audio_is_an_error() {
    let (sdp, state) = offer_browser(&local(), None);
    let refused = answered_by_browser(&sdp, "111", "").replace("m=audio 9", "m=audio 0");
    assert_eq!(accept_browser_answer(&state, refused.as_bytes()), Err(OfferError::NoAudio));
    let foreign = answered_by_browser(&sdp, "9", "");
    assert_eq!(accept_browser_answer(&state, foreign.as_bytes()), Err(OfferError::NoCommonCodec));
}
