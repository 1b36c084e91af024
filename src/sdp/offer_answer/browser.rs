//! Offer and answer towards a browser: ICE-lite, DTLS-SRTP, rtcp-mux, BUNDLE.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sdp_types::{Attribute, Media as MediaLines};

use super::codecs::{self, Encoding, Formats};
use super::{Agreed, Answer, AudioWish, BrowserLocal, OfferState, Slot};
use crate::plan::{BrowserRemote, DtlsRole, Pt};
use crate::sdp::OfferError;
use crate::sdp::description::{Direction, Media, Session, Setup};

/// Transports of a browser's audio; the last is what JSEP writes while TCP candidates are in use (RFC 9429 5.1.2).
pub(super) const PROTOCOLS: &[&str] =
    &["UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP", "TCP/DTLS/RTP/SAVPF"];

/// Answers a browser's offer: ICE-lite, `setup:passive` (active only for a passive peer), one codec and its events, the
/// other m-lines refused in place. Candidates of the offer are not needed: there may be none yet.
///
/// The offer may have any content; work is bounded by the limits of [`Session::parse`].
pub fn answer_browser(
    offer: &[u8],
    local: &BrowserLocal,
    previous: Option<&Agreed>,
) -> Result<Answer<BrowserRemote>, OfferError> {
    let session = Session::parse(offer)?;
    let (audio_slot, audio) = super::find_audio(&session, previous, PROTOCOLS)?;
    let (ice, fingerprint) = transport_of(&session, &audio)?;
    let role = match audio.setup() {
        None | Some(Setup::ActPass) => previous.and_then(|p| p.role).unwrap_or(DtlsRole::Server),
        Some(Setup::Active) => DtlsRole::Server,
        Some(Setup::Passive) => DtlsRole::Client,
        Some(Setup::Other) => return Err(OfferError::Setup),
    };
    let formats = codecs::read_formats(&audio, true);
    let choice = codecs::choose(&audio, &formats, &local.audio, previous.and_then(|p| p.codec))?;
    let plan = super::plan(&choice, local.audio.direction, audio.direction(), true);

    let mut agreed = Agreed {
        slots: super::slots(&session),
        audio_slot,
        bundled: audio.is_bundled(),
        formats: previous.map(|p| p.formats.clone()).unwrap_or_default(),
        codec: Some(Encoding::of(&choice.codec)),
        role: Some(role),
        remote_ice: Some(ice.clone()),
        theirs: audio.direction(),
        ..Agreed::default()
    };
    codecs::remember(&mut agreed.formats, &formats);
    let setup = match role {
        DtlsRole::Server => "passive",
        DtlsRole::Client => "active",
    };
    let wording = Wording {
        formats: super::chosen_formats(&choice),
        setup,
        direction: Direction::new(plan.send, plan.recv),
        ptime_ms: choice.ptime_ms,
    };
    let lines = describe(local, &agreed, &wording);
    let sdp = agreed.seal(lines, previous);
    Ok(Answer { sdp, remote: BrowserRemote { ice, fingerprint, role, audio: plan }, agreed })
}

/// Writes an offer to a browser: `setup:actpass`, all codecs of the wish, events at 48000 (beside Opus) and 8000.
/// After an exchange, numbers and m-lines are those of before, with the codec in use first.
pub fn offer_browser(local: &BrowserLocal, previous: Option<&Agreed>) -> (Vec<u8>, OfferState) {
    let formats = codecs::offered_formats(&local.audio, previous, usual_number);
    let mut offered = previous.cloned().unwrap_or_else(|| Agreed {
        slots: vec![Slot {
            kind: "audio".to_owned(),
            protocol: "UDP/TLS/RTP/SAVPF".to_owned(),
            formats: String::new(),
            mid: Some("0".to_owned()),
        }],
        bundled: true,
        ..Agreed::default()
    });
    codecs::remember(&mut offered.formats, &formats);
    // One line for the whole m-line: that of the codec that comes first.
    let ptime_ms = formats.first().map_or(local.audio.ptime_ms, |(_, first)| local.audio.ptime_of(*first));
    let wording = Wording { formats: formats.clone(), setup: "actpass", direction: local.audio.direction, ptime_ms };
    let lines = describe(local, &offered, &wording);
    let sdp = offered.seal(lines, previous);
    (sdp, OfferState { offered, formats, audio: local.audio.clone(), own: None })
}

/// Reads the browser's answer to our offer.
pub fn accept_browser_answer(state: &OfferState, answer: &[u8]) -> Result<(BrowserRemote, Agreed), OfferError> {
    let session = Session::parse(answer)?;
    let audio = super::answered_audio(&session, &state.offered)?;
    if !PROTOCOLS.iter().any(|p| audio.protocol().eq_ignore_ascii_case(p)) {
        return Err(OfferError::Transport);
    }
    let (ice, fingerprint) = transport_of(&session, &audio)?;
    let role = match audio.setup() {
        None | Some(Setup::Active | Setup::ActPass) => DtlsRole::Server,
        Some(Setup::Passive) => DtlsRole::Client,
        Some(Setup::Other) => return Err(OfferError::Setup),
    };
    let plan = super::answered_plan(state, &audio, true, true)?;
    let mut agreed = state.offered.clone();
    agreed.codec = Some(Encoding::of(&plan.codec));
    agreed.role = Some(role);
    agreed.remote_ice = Some(ice.clone());
    agreed.theirs = audio.direction();
    agreed.bundled &= audio.is_bundled();
    Ok((BrowserRemote { ice, fingerprint, role, audio: plan }, agreed))
}

/// Returns what the transport needs of the browser.
fn transport_of(
    session: &Session,
    audio: &Media,
) -> Result<(crate::plan::IceCredentials, crate::plan::Fingerprint), OfferError> {
    if session.is_ice_lite() {
        return Err(OfferError::BothIceLite);
    }
    if !audio.has_rtcp_mux() {
        return Err(OfferError::NoRtcpMux);
    }
    let ice = audio.ice().ok_or(OfferError::NoIce)?;
    let fingerprint = audio.sha256_fingerprint().ok_or(OfferError::NoFingerprint)?;
    Ok((ice, fingerprint))
}

/// The numbers that browsers use, so that traces look familiar.
fn usual_number(encoding: Encoding, wish: &AudioWish) -> Pt {
    match encoding {
        Encoding::Pcmu => Pt(0),
        Encoding::Pcma => Pt(8),
        Encoding::Opus => Pt(111),
        Encoding::Event(48_000) => Pt(110),
        Encoding::Noise => Pt(13),
        Encoding::Event(_) | Encoding::Foreign => wish.event_pt,
    }
}

/// What differs between descriptions of one leg.
struct Wording {
    formats: Formats,
    setup: &'static str,
    direction: Direction,
    ptime_ms: u8,
}

fn describe(local: &BrowserLocal, agreed: &Agreed, wording: &Wording) -> sdp_types::Session {
    let first = local.candidates.first().copied();
    let (address, port) = first.map_or((IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9), |c| (c.ip(), c.port()));
    let mut lines = super::session_lines(local.session_id, address);
    let slot = agreed.slots.get(agreed.audio_slot);
    let mid = slot.and_then(|s| s.mid.as_deref());
    if let Some(mid) = mid.filter(|_| agreed.bundled) {
        lines.attributes.push(Attribute::with_value("group", format!("BUNDLE {mid}")));
    }
    lines.attributes.push(Attribute::new("ice-lite"));
    lines.attributes.push(Attribute::with_value("msid-semantic", "WMS *"));
    if let Some(slot) = slot {
        let mut audio = super::media_line(slot, port, super::numbers(&wording.formats));
        audio.attributes.extend(mid.map(|mid| Attribute::with_value("mid", mid)));
        audio_attributes(&mut audio, local, wording);
        lines.medias = super::media_lines(agreed, audio);
    }
    lines
}

fn audio_attributes(audio: &mut MediaLines, local: &BrowserLocal, wording: &Wording) {
    let mut put = |name: &str, value: String| audio.attributes.push(Attribute::with_value(name, value));
    put("ice-ufrag", local.ice.ufrag.clone());
    put("ice-pwd", local.ice.pwd.clone());
    let hash = local.fingerprint.0.map(|byte| format!("{byte:02X}")).join(":");
    put("fingerprint", format!("sha-256 {hash}"));
    put("setup", wording.setup.to_owned());
    audio.attributes.push(Attribute::new("rtcp-mux"));
    audio.attributes.push(Attribute::new(wording.direction.token()));
    audio.attributes.extend(codecs::format_attributes(&wording.formats, &local.audio));
    let mut put = |name: &str, value: String| audio.attributes.push(Attribute::with_value(name, value));
    put("ptime", wording.ptime_ms.to_string());
    if wording.direction.sends() {
        // Without a stream of its own the track would come to the page without any.
        put("msid", "crosspoint audio".to_owned());
    }
    put("ssrc", format!("{} cname:{}", local.ssrc, local.cname));
    for (at, candidate) in local.candidates.iter().enumerate() {
        put("candidate", host_candidate(at, *candidate));
    }
    audio.attributes.push(Attribute::new("end-of-candidates"));
}

/// Writes a host candidate; the priority falls with its place (RFC 8445 5.1.2.1: type preference 126, component 1).
fn host_candidate(at: usize, address: SocketAddr) -> String {
    let local_preference = 65_535_u32.saturating_sub(u32::try_from(at).unwrap_or(u32::MAX));
    let priority = (126 << 24) + (local_preference << 8) + 255;
    format!("{} 1 udp {priority} {} {} typ host", at + 1, address.ip(), address.port())
}
