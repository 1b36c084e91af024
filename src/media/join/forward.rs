//! The payload goes on untouched: the same buffer gets a new header before it and is sent.
//!
//! We conceal nothing on this path: a browser sees the loss in the sequence numbers and does better itself, and a trunk sees
//! it in the timestamps.

use std::time::Instant;

use super::super::tap::PacketKind;
use super::transcode::Span;
use super::{Arrival, header};
use crate::codec::g711;
use crate::media::discard::Discard;
use crate::media::engine::Sink;
use crate::media::leg::{Leg, Port};
use crate::packet::PacketBuf;
use crate::plan::AudioCodec;
use crate::rtp::{HEADER_LEN, Verdict, write_header};

#[inline]
pub(super) fn forward(
    to: &mut Leg,
    codec: AudioCodec,
    arrival: &Arrival,
    span: Span,
    packet: &mut PacketBuf,
    now: Instant,
    out: &mut impl Sink,
) -> Result<(), Discard> {
    let Some(target) = to.audio else { return Err(Discard::Direction) };
    if !packet.rehead(arrival.payload.clone(), HEADER_LEN) {
        return Err(Discard::Codec);
    }
    let payload = packet.bytes_mut().get_mut(HEADER_LEN..).unwrap_or_default();
    match (codec, target.codec) {
        (AudioCodec::Pcmu, AudioCodec::Pcma) => g711::ulaw_to_alaw(payload),
        (AudioCodec::Pcma, AudioCodec::Pcmu) => g711::alaw_to_ulaw(payload),
        _ => {}
    }
    let len = payload.len();
    // A browser rebuilds or conceals what it sees missing; towards the trunk the numbers are without gaps.
    if let (Verdict::Gap(lost), Port::Browser(_)) = (arrival.verdict, &to.port) {
        to.outbound.stream.skip(lost);
    }
    let (timestamp, marker) = to.outbound.stream.place(span.at, span.len, now);
    let header = header(to, target.send_pt, timestamp, marker, len);
    write_header(packet.bytes_mut(), &header);
    to.transmit(PacketKind::Rtp, packet, now, out)
}
