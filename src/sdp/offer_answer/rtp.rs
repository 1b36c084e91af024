//! Offer and answer towards the trunk: plain RTP/AVP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sdp_types::Attribute;

use super::codecs::{self, Encoding, Formats};
use super::{Agreed, Answer, AudioWish, OfferState, RtpLocal, Slot};
use crate::plan::{AudioCodec, AudioPlan, Pt, RtpRemote};
use crate::sdp::OfferError;
use crate::sdp::description::{Direction, Media, Session};

/// Transports of a trunk's audio.
const PROTOCOLS: &[&str] = &["RTP/AVP", "RTP/AVPF"];

/// Answers the trunk peer's offer with one codec and its events.
///
/// Hold comes in three shapes (RFC 3264 8.4): `sendonly`, `inactive`, and the old `c=0.0.0.0`; each leaves
/// [`AudioPlan::send`](crate::plan::AudioPlan::send) false.
pub fn answer_rtp(offer: &[u8], local: &RtpLocal, previous: Option<&Agreed>) -> Result<Answer<RtpRemote>, OfferError> {
    let session = Session::parse(offer)?;
    if session.media().len() == 0 && previous.is_none_or(|before| before.slots.is_empty()) {
        return Ok(answer_nothing(local, previous));
    }
    let (audio_slot, audio) = super::find_audio(&session, previous, PROTOCOLS)?;
    let (rtp, rtcp) = addresses(&audio, local.rtp)?;
    let formats = codecs::read_formats(&audio, false);
    let choice = codecs::choose(&audio, &formats, &local.audio, previous.and_then(|p| p.codec))?;
    let mirrored = is_mirrored(&session, rtp, local.rtp, local.session_id);
    let takes = takes_media(rtp) && !mirrored;
    let plan = super::plan(&choice, local.audio.direction, audio.direction(), takes);

    let mut agreed = Agreed {
        slots: super::slots(&session),
        audio_slot,
        formats: previous.map(|p| p.formats.clone()).unwrap_or_default(),
        codec: Some(Encoding::of(&choice.codec)),
        theirs: Direction::new(audio.direction().sends(), audio.direction().receives() && takes),
        mirrored,
        ..Agreed::default()
    };
    codecs::remember(&mut agreed.formats, &formats);
    let direction = Direction::new(plan.send, plan.recv);
    let lines = describe(local, &agreed, &super::chosen_formats(&choice), direction, choice.ptime_ms);
    let sdp = agreed.seal(lines, previous);
    Ok(Answer { sdp, remote: RtpRemote { rtp, rtcp, audio: plan }, agreed })
}

/// Answers an offer without any m-line (RFC 3264 5, RFC 3725 flow IV): there will be audio when a re-INVITE offers it.
fn answer_nothing(local: &RtpLocal, previous: Option<&Agreed>) -> Answer<RtpRemote> {
    let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let audio = AudioPlan {
        codec: local.audio.codecs.first().copied().unwrap_or(AudioCodec::Pcmu),
        send_pt: Pt(0),
        recv_pt: Pt(0),
        send_event: None,
        recv_events: [None; 2],
        recv_noise: None,
        ptime_ms: local.audio.ptime_ms,
        send: false,
        recv: false,
    };
    let mut agreed = Agreed { theirs: Direction::Inactive, ..Agreed::default() };
    let sdp = agreed.seal(super::session_lines(local.session_id, local.rtp.ip()), previous);
    Answer { sdp, remote: RtpRemote { rtp: nowhere, rtcp: nowhere, audio }, agreed }
}

/// Returns where a trunk peer's offer wants its audio, so that our address can be of the same family.
pub fn offered_address(offer: &[u8]) -> Option<IpAddr> {
    let session = Session::parse(offer).ok()?;
    let (_, audio) = super::find_audio(&session, None, PROTOCOLS).ok()?;
    Some(audio.rtp()?.ip())
}

/// Writes an offer to the trunk peer: all codecs of the wish, the one in use first, and events.
pub fn offer_rtp(local: &RtpLocal, previous: Option<&Agreed>) -> (Vec<u8>, OfferState) {
    let formats = codecs::offered_formats(&local.audio, previous, usual_number);
    let mut offered = previous.filter(|before| !before.slots.is_empty()).cloned().unwrap_or_else(|| Agreed {
        slots: vec![Slot {
            kind: "audio".to_owned(),
            protocol: "RTP/AVP".to_owned(),
            formats: String::new(),
            mid: None,
        }],
        ..Agreed::default()
    });
    codecs::remember(&mut offered.formats, &formats);
    let lines = describe(local, &offered, &formats, local.audio.direction, local.audio.ptime_ms);
    let sdp = offered.seal(lines, previous);
    (sdp, OfferState { offered, formats, audio: local.audio.clone(), own: Some((local.rtp, local.session_id)) })
}

/// Reads the trunk peer's answer to our offer. An answer that mirrors the offer, as a SIP Server writes it into the ACK
/// of a call that it gives up, leaves `send` false: nothing is ever sent to ourselves.
pub fn accept_rtp_answer(state: &OfferState, answer: &[u8]) -> Result<(RtpRemote, Agreed), OfferError> {
    let session = Session::parse(answer)?;
    let audio = super::answered_audio(&session, &state.offered)?;
    if !PROTOCOLS.iter().any(|p| audio.protocol().eq_ignore_ascii_case(p)) {
        return Err(OfferError::Transport);
    }
    let (own, session_id) = state.own.ok_or(OfferError::NoAddress)?;
    let (rtp, rtcp) = addresses(&audio, own)?;
    let mirrored = is_mirrored(&session, rtp, own, session_id);
    let takes = takes_media(rtp) && !mirrored;
    let plan = super::answered_plan(state, &audio, false, takes)?;
    let mut agreed = state.offered.clone();
    agreed.theirs = Direction::new(audio.direction().sends(), audio.direction().receives() && takes);
    agreed.mirrored = mirrored;
    agreed.codec = Some(Encoding::of(&plan.codec));
    Ok((RtpRemote { rtp, rtcp, audio: plan }, agreed))
}

/// Returns the peer's RTP and RTCP addresses, of our own address family; unspecified ones are a hold.
fn addresses(audio: &Media, own: SocketAddr) -> Result<(SocketAddr, SocketAddr), OfferError> {
    let rtp = audio.rtp().ok_or(OfferError::NoAddress)?;
    let rtcp = audio.rtcp().ok_or(OfferError::NoAddress)?;
    let is_usable = |ip: IpAddr| {
        let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
        ip.is_unspecified() || (!ip.is_multicast() && !is_broadcast && ip.is_ipv4() == own.is_ipv4())
    };
    if !is_usable(rtp.ip()) {
        return Err(OfferError::NoAddress);
    }
    let rtcp = if is_usable(rtcp.ip()) && rtcp.ip().is_ipv4() == rtp.ip().is_ipv4() {
        rtcp
    } else {
        SocketAddr::new(rtp.ip(), rtcp.port())
    };
    Ok((rtp, rtcp))
}

fn takes_media(rtp: SocketAddr) -> bool {
    !rtp.ip().is_unspecified() && rtp.port() != 0
}

/// Returns true where a description leads back to ourselves: by its address, or by an `o=` that is ours though what stands
/// in between has written another address into it.
fn is_mirrored(session: &Session, rtp: SocketAddr, own: SocketAddr, session_id: u64) -> bool {
    rtp == own || session.origin().0.parse() == Ok(session_id)
}

fn usual_number(encoding: Encoding, wish: &AudioWish) -> Pt {
    match encoding {
        Encoding::Pcmu => Pt(0),
        Encoding::Pcma => Pt(8),
        Encoding::Opus => Pt(120),
        Encoding::Event(48_000) => Pt(102),
        Encoding::Noise => Pt(13),
        Encoding::Event(_) | Encoding::Foreign => wish.event_pt,
    }
}

fn describe(
    local: &RtpLocal,
    agreed: &Agreed,
    formats: &Formats,
    direction: Direction,
    ptime_ms: u8,
) -> sdp_types::Session {
    let mut lines = super::session_lines(local.session_id, local.rtp.ip());
    if let Some(slot) = agreed.slots.get(agreed.audio_slot) {
        let mut audio = super::media_line(slot, local.rtp.port(), super::numbers(formats));
        audio.attributes = codecs::format_attributes(formats, &local.audio);
        audio.attributes.push(Attribute::with_value("ptime", ptime_ms.to_string()));
        audio.attributes.push(Attribute::new(direction.token()));
        lines.medias = super::media_lines(agreed, audio);
    }
    lines
}
