//! Offer and answer towards the trunk: plain RTP/AVP.

use std::net::{IpAddr, SocketAddr};

use sdp_types::Attribute;

use super::codecs::{self, Encoding, Formats};
use super::{Agreed, Answer, AudioWish, OfferState, RtpLocal, Slot};
use crate::plan::{Pt, RtpRemote};
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
    let (audio_slot, audio) = super::find_audio(&session, previous, PROTOCOLS)?;
    let (rtp, rtcp) = addresses(&audio, local.rtp)?;
    let formats = codecs::read_formats(&audio, false);
    let choice = codecs::choose(&audio, &formats, &local.audio, previous.and_then(|p| p.codec))?;
    let takes = takes_media(rtp, local.rtp);
    let plan = super::plan(&choice, local.audio.direction, audio.direction(), takes);

    let mut agreed = Agreed {
        slots: super::slots(&session),
        audio_slot,
        formats: previous.map(|p| p.formats.clone()).unwrap_or_default(),
        codec: Some(Encoding::of(&choice.codec)),
        theirs: Direction::new(audio.direction().sends(), audio.direction().receives() && takes),
        ..Agreed::default()
    };
    codecs::remember(&mut agreed.formats, &formats);
    let direction = Direction::new(plan.send, plan.recv);
    let lines = describe(local, &agreed, &super::chosen_formats(&choice), direction, choice.ptime_ms);
    let sdp = agreed.seal(lines, previous);
    Ok(Answer { sdp, remote: RtpRemote { rtp, rtcp, audio: plan }, agreed })
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
    let mut offered = previous.cloned().unwrap_or_else(|| Agreed {
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
    (sdp, OfferState { offered, formats, audio: local.audio.clone(), own: Some(local.rtp) })
}

/// Reads the trunk peer's answer to our offer. An answer that mirrors the offer, as a SIP Server writes it into the ACK
/// of a call that it gives up, leaves `send` false: nothing is ever sent to ourselves.
pub fn accept_rtp_answer(state: &OfferState, answer: &[u8]) -> Result<(RtpRemote, Agreed), OfferError> {
    let session = Session::parse(answer)?;
    let audio = super::answered_audio(&session, &state.offered)?;
    if !PROTOCOLS.iter().any(|p| audio.protocol().eq_ignore_ascii_case(p)) {
        return Err(OfferError::Transport);
    }
    let own = state.own.ok_or(OfferError::NoAddress)?;
    let (rtp, rtcp) = addresses(&audio, own)?;
    let takes = takes_media(rtp, own);
    let plan = super::answered_plan(state, &audio, false, takes)?;
    let mut agreed = state.offered.clone();
    agreed.theirs = Direction::new(audio.direction().sends(), audio.direction().receives() && takes);
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

fn takes_media(rtp: SocketAddr, own: SocketAddr) -> bool {
    !rtp.ip().is_unspecified() && rtp.port() != 0 && rtp != own
}

fn usual_number(encoding: Encoding, wish: &AudioWish) -> Pt {
    match encoding {
        Encoding::Pcmu => Pt(0),
        Encoding::Pcma => Pt(8),
        Encoding::Opus => Pt(120),
        Encoding::Event(48_000) => Pt(102),
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
