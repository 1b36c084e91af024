use super::*;
use crate::sdp::shapes::{BLACK_HOLE, CHROMIUM, FIREFOX, GENESYS, SAFARI};

fn parse(text: &str) -> Session {
    Session::parse(text.as_bytes()).unwrap()
}

fn audio(session: &Session) -> Media<'_> {
    session.media().next().unwrap()
}

/// A session with one audio m-line and these lines behind it.
fn with_lines(lines: &str) -> Session {
    parse(&format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 96\r\n{lines}"))
}

#[test]
fn what_the_peers_write_comes_back_byte_for_byte() {
    for shape in [CHROMIUM, FIREFOX, SAFARI, GENESYS, BLACK_HOLE] {
        // The order of `c=` and `t=` is that of RFC 8866 in all of them.
        assert_eq!(String::from_utf8(parse(shape).to_bytes()).unwrap(), shape);
    }
}

#[test]
fn lines_may_end_in_lf_alone() {
    let session = parse(&GENESYS.replace("\r\n", "\n"));
    assert_eq!(session, parse(GENESYS));
}

#[test]
fn an_oversized_description_is_refused_before_it_is_read() {
    let big = format!("{GENESYS}a=x:{}\r\n", "y".repeat(MAX_BYTES));
    assert_eq!(Session::parse(big.as_bytes()), Err(SdpError::TooLarge(big.len())));
}

#[test]
fn thousands_of_m_lines_attributes_or_formats_are_refused() {
    let lines = format!("{GENESYS}{}", "m=video 0 RTP/AVP 96\r\n".repeat(2_000));
    assert_eq!(Session::parse(lines.as_bytes()), Err(SdpError::TooMany("m-lines")));
    let candidates = format!("{CHROMIUM}{}", "a=candidate:1 1 udp 1 x.local 9 typ host\r\n".repeat(1_000));
    assert_eq!(Session::parse(candidates.as_bytes()), Err(SdpError::TooMany("attributes")));
    let formats = GENESYS.replace(" 8 0 101", &" 8".repeat(1_000));
    assert_eq!(Session::parse(formats.as_bytes()), Err(SdpError::TooMany("formats")));
}

#[test]
fn broken_lines_are_errors() {
    for broken in
        ["", "v=1\r\n", "hello", "v=0\r\nm=audio\r\n", "v=0\r\nm=audio 99999 RTP/AVP 0\r\n", "v=0\r\n\0=x\r\n"]
    {
        assert!(matches!(Session::parse(broken.as_bytes()), Err(SdpError::Syntax(_))), "{broken:?}");
    }
}

#[test]
fn mdns_candidates_are_counted_and_not_resolved() {
    let session = parse(CHROMIUM);
    assert_eq!(audio(&session).candidates(), CandidateCount { address: 1, mdns: 1, other: 0 });
    let odd = with_lines("a=candidate:x\r\na=candidate\r\na=candidate:1 1 udp 1 host.example.com 9 typ host\r\n");
    assert_eq!(audio(&odd).candidates(), CandidateCount { address: 0, mdns: 0, other: 3 });
}

#[test]
fn the_sha_256_fingerprint_is_picked_out_of_several() {
    let session = parse(FIREFOX);
    assert_eq!(audio(&session).sha256_fingerprint().unwrap().0[..2], [0x12, 0xDF]);
}

#[test]
fn a_fingerprint_of_another_length_or_alphabet_is_none() {
    let good = "AA:".repeat(31) + "AA";
    assert!(audio(&with_lines(&format!("a=fingerprint:SHA-256 {good}\r\n"))).sha256_fingerprint().is_some());
    for bad in [good[3..].to_owned(), good.clone() + ":AA", good.replacen("AA", "GG", 1), good.replacen("AA", "+A", 1)]
    {
        assert_eq!(audio(&with_lines(&format!("a=fingerprint:sha-256 {bad}\r\n"))).sha256_fingerprint(), None, "{bad}");
    }
}

#[test]
fn transport_attributes_are_found_in_the_m_line_that_speaks_for_the_bundle() {
    let session = parse(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE v a\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
         a=setup:active\r\na=rtcp-mux\r\n\
         m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\na=bundle-only\r\n",
    );
    let audio = session.media().nth(1).unwrap();
    assert_eq!(audio.ice().unwrap().ufrag, "abcd");
    assert_eq!((audio.setup(), audio.has_rtcp_mux()), (Some(Setup::Active), true));
}

#[test]
fn ice_credentials_have_the_lengths_of_the_rfc() {
    let with = |ufrag: &str, pwd: &str| with_lines(&format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n"));
    let pwd = "p".repeat(22);
    assert!(audio(&with("abcd", &pwd)).ice().is_some());
    for (ufrag, pwd) in [("abc", pwd.as_str()), ("abcd", &pwd[1..]), (&"u".repeat(257), &pwd), ("a:cd", &pwd)] {
        assert_eq!(audio(&with(ufrag, pwd)).ice(), None, "{ufrag}");
    }
}

#[test]
fn the_direction_of_the_session_holds_where_the_m_line_has_none() {
    assert_eq!(audio(&with_lines("")).direction(), Direction::SendRecv);
    assert_eq!(audio(&with_lines("a=sendonly\r\n")).direction(), Direction::SendOnly);
    let held = parse(&GENESYS.replace("t=0 0\r\n", "t=0 0\r\na=inactive\r\n"));
    assert_eq!(audio(&held).direction(), Direction::Inactive);
}

#[test]
fn rtcp_goes_to_the_next_port_or_where_rfc_3605_says() {
    let rtcp = |lines: &str| audio(&with_lines(lines)).rtcp().map(|a| a.to_string());
    assert_eq!(rtcp("c=IN IP4 192.0.2.9\r\n").as_deref(), Some("192.0.2.9:4001"));
    assert_eq!(rtcp("c=IN IP4 192.0.2.9\r\na=rtcp:5007\r\n").as_deref(), Some("192.0.2.9:5007"));
    let other = "c=IN IP4 192.0.2.9\r\na=rtcp:5007 IN IP4 192.0.2.10\r\n";
    assert_eq!(rtcp(other).as_deref(), Some("192.0.2.10:5007"));
}

#[test]
fn the_address_is_the_m_lines_own_before_the_sessions() {
    let session =
        parse(&GENESYS.replace("m=audio 20318", "m=audio 4 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\nm=audio 20318"));
    let found: Vec<String> = session.media().map(|m| m.rtp().unwrap().to_string()).collect();
    assert_eq!(found, ["[2001:db8::1]:4", "192.0.2.90:20318"]);
}

#[test]
fn a_name_in_the_connection_line_is_no_address() {
    assert_eq!(audio(&with_lines("c=IN IP4 media.example.com\r\n")).address(), None);
}

#[test]
fn parameters_of_formats_are_read_without_case_and_by_number() {
    let session = with_lines("a=rtpmap:96 Opus/48000/2\r\na=fmtp:96 UseInbandFEC=1; maxaveragebitrate=24000\r\n");
    let audio = audio(&session);
    assert_eq!(audio.rtpmap(96), Some(RtpMap { name: "Opus", clock_hz: 48_000, channels: 2 }));
    assert_eq!(audio.fmtp(96, "useinbandfec"), Some("1"));
    assert_eq!(audio.fmtp(96, "maxaveragebitrate"), Some("24000"));
    assert_eq!((audio.rtpmap(9), audio.fmtp(0, "useinbandfec")), (None, None));
}

#[test]
fn payload_types_over_127_are_left_out() {
    let session = parse(&GENESYS.replace(" 8 0 101", " 8 128 300 -1 0 x 101"));
    assert_eq!(audio(&session).payload_types().collect::<Vec<_>>(), [120, 18, 97, 9, 8, 0, 101]);
}

#[test]
fn udp_candidates_of_the_first_component_are_taken_and_names_are_not() {
    let session = with_lines(
        "a=candidate:1 1 UDP 2130706431 192.0.2.7 4000 typ host\r\na=candidate:2 2 udp 1 192.0.2.7 4001 typ host\r\n\
         a=candidate:3 1 tcp 1 192.0.2.7 9 typ host tcptype active\r\na=candidate:4 1 udp 1 x.local 4002 typ host\r\n\
         a=candidate:5 1 udp 1 2001:db8::1 4003 typ host\r\na=candidate:6 1 udp\r\na=candidate:7 1 udp 1 192.0.2.8 0 typ host\r\n",
    );
    let found: Vec<_> = audio(&session).udp_candidates().collect();
    assert_eq!(
        found,
        ["192.0.2.7:4000".parse::<std::net::SocketAddr>().unwrap(), "[2001:db8::1]:4003".parse().unwrap()]
    );
}
