//! STUN, ICE, DTLS and SRTP fed by strangers.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use crosspoint::path::Path;
use crosspoint::plan::IceCredentials;
use crosspoint::webrtc::dtls::{Certificate, DtlsVersions};
use crosspoint::webrtc::ice::{Agent, CONSENT, MAX_PATHS};
use crosspoint::webrtc::srtp::{Profile, Side, session};
use crosspoint::webrtc::stun::check::BindingResponse;
use crosspoint::webrtc::stun::stream::{rfc4571_frame, stun_frame};
use crosspoint::webrtc::stun::{Key, Request, ufrag};
use crosspoint::webrtc::transport::{Output, StunOutcome, Transport};

const UFRAG: &str = "ours";
const PWD: &str = "our-password-of-32-characters-ok";

/// Cuts the input into chunks, each behind one byte that tells what it is and two that tell its length.
fn chunks(mut data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let ([kind, high, low], rest) = data.split_first_chunk::<3>()?;
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (chunk, rest) = rest.split_at(len);
        data = rest;
        Some((*kind, chunk))
    })
}

fn path(n: u8) -> Path {
    Path::Udp { local: ([192, 0, 2, 1], 10_000).into(), remote: ([198, 51, 100, n], 4000).into() }
}

/// A binding request with these bytes as attributes, signed with `pwd`.
fn signed(attributes: &[u8], pwd: &str) -> Vec<u8> {
    let attributes = &attributes[..attributes.len().min(1200) / 4 * 4];
    let mut message = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    message.extend([7; 12]);
    message.extend(attributes);
    message[2..4].copy_from_slice(&((attributes.len() + 24) as u16).to_be_bytes());
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, pwd.as_bytes());
    let tag = hmac::sign(&key, &message);
    message.extend([0, 8, 0, 20]);
    message.extend(tag.as_ref());
    message
}

/// A request as a browser writes it.
fn check(ufrag: &str, theirs: &str, pwd: &str, nominate: bool) -> Vec<u8> {
    let name = format!("{ufrag}:{theirs}");
    let mut attributes = vec![0, 6, 0, name.len() as u8];
    attributes.extend(name.as_bytes());
    attributes.resize(attributes.len().next_multiple_of(4), 0);
    if nominate {
        attributes.extend([0, 0x25, 0, 0]);
    }
    signed(&attributes, pwd)
}

/// The part of a message that may be believed: what follows MESSAGE-INTEGRITY or FINGERPRINT must be ignored
/// (RFC 8489 14.5), however malformed it is; `rtc-stun` reads on.
fn believed(datagram: &[u8]) -> Vec<u8> {
    let mut end = 20;
    while let Some(&[high, low, len_high, len_low]) = datagram.get(end..end + 4) {
        end += 4 + usize::from(u16::from_be_bytes([len_high, len_low])).next_multiple_of(4);
        if matches!(u16::from_be_bytes([high, low]), 0x0008 | 0x001c | 0x8028) {
            break;
        }
    }
    let mut message = datagram[..end.min(datagram.len())].to_vec();
    let len = (message.len() - 20) as u16;
    message[2..4].copy_from_slice(&len.to_be_bytes());
    message
}

/// One datagram; `rtc-stun` must read the same user name out of what we take.
pub fn stun(data: &[u8]) {
    let Some((mode, data)) = data.split_first() else { return };
    let datagram = if mode & 1 == 0 { data.to_vec() } else { signed(data, PWD) };
    if let Ok(response) = BindingResponse::parse(&datagram) {
        assert!(Request::parse(&datagram).is_err(), "a response is no request");
        let _ = (response.transaction(), response.is_success(), response.verify(&Key::new(PWD)));
    }
    let found = ufrag(&datagram).map(str::to_owned);
    let Ok(request) = Request::parse(&datagram) else {
        assert_eq!(found, None);
        return;
    };
    assert_eq!(found.as_deref(), Some(request.ours()));
    let mut other = rtc_stun::message::Message { raw: believed(&datagram), ..Default::default() };
    other.decode().expect("rtc-stun takes what we take");
    let name = other.get(rtc_stun::attributes::ATTR_USERNAME).expect("rtc-stun finds the user name");
    assert_eq!(name, format!("{}:{}", request.ours(), request.theirs()).into_bytes());
    let key = Key::new(PWD);
    let Ok(authentic) = request.verify(&key) else { return };
    let mut reply = [0; 128];
    let written = match authentic.refusal() {
        Some(refusal) => authentic.write_refusal(refusal, &key, &mut reply),
        None => authentic.write_success(path(9).remote(), &key, &mut reply),
    };
    let len = written.expect("128 bytes hold every reply");
    let mut other = rtc_stun::message::Message { raw: reply[..len].to_vec(), ..Default::default() };
    other.decode().expect("rtc-stun reads our reply");
    rtc_stun::fingerprint::FINGERPRINT.check(&other).expect("our FINGERPRINT is right");
}

/// A stream: every cut is consistent, whatever came of it before.
pub fn stun_stream(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some(len)) = stun_frame(rest) {
        assert!(len >= 20 && len <= rest.len());
        assert_eq!(stun_frame(&rest[..len - 1]), Ok(None), "one byte less is not enough");
        assert_eq!(stun_frame(&rest[..len]), Ok(Some(len)));
        rest = &rest[len..];
    }
    let mut rest = data;
    while let Some(packet) = rfc4571_frame(rest) {
        assert_eq!(packet, &rest[2..2 + packet.len()]);
        rest = &rest[2 + packet.len()..];
    }
}

/// Packets as they come: raw ones are never authentic, protected ones come back as they were.
pub fn srtp_unprotect(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    let profile = [Profile::Aes128Gcm, Profile::Aes256Gcm, Profile::AesCm128HmacSha1_80][usize::from(which % 3)];
    let material: Vec<u8> = (0..profile.material_len()).map(|n| n as u8).collect();
    let (_, mut out) = session(profile, &material, Side::Client).expect("the length is the profile's");
    let (mut in_, _) = session(profile, &material, Side::Server).expect("the length is the profile's");
    for (kind, chunk) in chunks(data) {
        let mut packet = chunk.to_vec();
        match kind % 4 {
            // A forgery of 80 bits is not found by chance.
            0 => assert!(in_.unprotect_rtp(&mut packet).is_err()),
            1 => assert!(in_.unprotect_rtcp(&mut packet).is_err()),
            way => {
                packet.resize(chunk.len() + 20, 0);
                let sealed = if way == 2 {
                    out.protect_rtp(&mut packet, chunk.len())
                } else {
                    out.protect_rtcp(&mut packet, chunk.len())
                };
                let Ok(sealed) = sealed else { continue };
                let mut again = packet[..sealed].to_vec();
                let packet = &mut packet[..sealed];
                let opened = if way == 2 { in_.unprotect_rtp(packet) } else { in_.unprotect_rtcp(packet) };
                assert_eq!(opened, Ok(chunk.len()));
                assert_eq!(&packet[..chunk.len()], chunk);
                let replayed = if way == 2 { in_.unprotect_rtp(&mut again) } else { in_.unprotect_rtcp(&mut again) };
                assert!(replayed.is_err(), "seen before");
            }
        }
    }
}

fn certificate(versions: DtlsVersions) -> Arc<Certificate> {
    static CERTIFICATES: OnceLock<[Arc<Certificate>; 2]> = OnceLock::new();
    let both = CERTIFICATES.get_or_init(|| {
        [DtlsVersions::V12, DtlsVersions::Auto].map(|v| Arc::new(Certificate::generate(v).expect("a certificate")))
    });
    both[usize::from(versions == DtlsVersions::Auto)].clone()
}

/// Datagrams for a leg whose path is valid: nobody gets connected without a certificate.
pub fn dtls_input(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    let versions = if which & 1 == 0 { DtlsVersions::V12 } else { DtlsVersions::Auto };
    let local = IceCredentials { ufrag: UFRAG.to_owned(), pwd: PWD.to_owned() };
    let mut transport = Transport::new(certificate(versions), local);
    let mut now = Instant::now();
    let request = check(UFRAG, "theirs", PWD, true);
    let mut buf = [0; 1500];
    assert!(matches!(transport.handle_stun(path(1), &request, now, &mut buf), StunOutcome::Reply(_)));
    for (kind, chunk) in chunks(data).take(64) {
        now += Duration::from_millis(u64::from(kind) * 4);
        transport.handle_timeout(now);
        let _ = transport.handle_dtls(path(1), chunk, now);
        for _ in 0..200 {
            match transport.poll_output(&mut buf) {
                Some(Output::Connected) => panic!("connected without a certificate"),
                Some(Output::Transmit { path: to, .. }) => assert_eq!(to, path(1)),
                Some(_) => {}
                None => break,
            }
        }
        assert!(transport.poll_output(&mut buf).is_none(), "output without end");
        assert!(!transport.is_connected());
    }
}

/// A sequence of checks, restarts and pauses: the agent's rules hold after each.
pub fn ice(data: &[u8]) {
    let credentials = |n: u8| IceCredentials { ufrag: format!("ufrag{n}"), pwd: format!("{PWD}{n}") };
    let mut agent = Agent::new(credentials(0));
    let mut now = Instant::now();
    let mut reply = [0; 128];
    for (kind, chunk) in chunks(data).take(256) {
        let (n, on) = (chunk.first().copied().unwrap_or(0) % 4, chunk.get(1).copied().unwrap_or(0));
        match kind % 8 {
            0 => {
                let _ = agent.handle_check(path(on), chunk, now, &mut reply);
            }
            1 => {
                let attributes = chunk.get(2..).unwrap_or_default();
                let _ = agent.handle_check(path(on), &signed(attributes, &credentials(n).pwd), now, &mut reply);
            }
            2 | 3 => {
                let right = credentials(n);
                let datagram = check(&right.ufrag, "theirs", &right.pwd, kind % 8 == 3);
                if agent.handle_check(path(on), &datagram, now, &mut reply).is_ok() {
                    assert!(agent.is_valid(path(on)) && agent.holds(path(on), now));
                    assert!(kind % 8 == 2 || agent.selected() == Some(path(on)), "the latest nomination wins");
                }
            }
            4 => agent.restart(credentials(n)),
            5 => agent.set_remote_ufrag(if n == 0 { "theirs" } else { "other" }),
            6 => {
                let wrong = check(&credentials(n).ufrag, "theirs", "wrong", true);
                assert!(agent.handle_check(path(on), &wrong, now, &mut reply).is_err());
            }
            _ => {
                now += Duration::from_secs(u64::from(on));
                let before = agent.poll_timeout();
                let lost = agent.handle_timeout(now);
                assert!(!lost || before.is_some_and(|at| at <= now));
            }
        }
        assert!((1..=2).contains(&agent.local_ufrags().count()));
        assert_eq!(agent.selected().is_some(), agent.poll_timeout().is_some());
        assert!(agent.selected().is_none_or(|path| agent.is_valid(path)));
        assert!(agent.poll_timeout().is_none_or(|at| at <= now + CONSENT));
        assert!((0..=255).filter(|n| agent.is_valid(path(*n))).count() <= MAX_PATHS);
    }
}
