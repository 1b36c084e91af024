//! How two legs are joined: the payload is forwarded untouched where both speak the same codec in frames of the same
//! length, else transcoded. Judged per packet, so that a peer that changes its frame length is followed.

mod forward;
mod paused;
mod seated;
mod transcode;

use std::time::Instant;

use super::discard::Discard;
use super::engine::Sink;
use super::framer::{MAX_FRAME, MAX_PTIME};
use super::leg::{Leg, is_opus, scale};
use super::pause::Filler;
use super::timeline::Timeline;
use crate::packet::PacketBuf;
use crate::plan::{AudioCodec, Pt};
use crate::rtp::{RtpHeader, Verdict};

pub(super) use paused::{fall_silent, fill_pause};
pub(super) use seated::{hear, speak};
pub(super) use transcode::send_frame;

/// What one packet at a time is worked in.
#[derive(Debug)]
pub(super) struct Scratch {
    pub pcm: Box<[i16; MAX_FRAME]>,
    pub frame: Box<[i16; MAX_PTIME]>,
    pub packet: PacketBuf,
}

impl Scratch {
    pub(super) fn new() -> Self {
        Scratch { pcm: Box::new([0; MAX_FRAME]), frame: Box::new([0; MAX_PTIME]), packet: PacketBuf::new() }
    }
}

/// A received audio packet that was judged.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub timestamp: u32,
    /// Within the packet.
    pub payload: std::ops::Range<usize>,
    pub verdict: Verdict,
}

/// Carries an audio packet of leg `from` to leg `to`.
#[expect(clippy::too_many_arguments, reason = "both legs, the packet and the time meet")]
#[inline]
pub(super) fn carry(
    from: &mut Leg,
    to: &mut Leg,
    codec: AudioCodec,
    arrival: &Arrival,
    packet: &mut PacketBuf,
    scratch: &mut Scratch,
    now: Instant,
    out: &mut impl Sink,
) -> Result<(), Discard> {
    let Some(target) = to.audio else { return Err(Discard::Direction) };
    let at = begin(from, to, codec, arrival, scratch, now, out);
    if !hears(to) {
        return miss(from, to);
    }
    let payload = packet.bytes().get(arrival.payload.clone()).ok_or(Discard::Codec)?;
    let len = samples(codec, payload).filter(|len| (1..=MAX_FRAME).contains(len)).ok_or(Discard::Codec)?;
    let falls_silent = is_opus(codec) && !is_opus(target.codec) && payload.len() <= transcode::DTX;
    let lost = match arrival.verdict {
        Verdict::Gap(lost) => usize::from(lost) * len,
        _ => 0,
    };
    let resumed = paused::resume(from, to, at, lost, scratch, now, out);
    let gap = from.inbound.expected.map_or(0, |expected| at - expected);
    let span = transcode::Span { at, len, gap, lost: lost > 0, resumed };
    let sent = if forwards(codec, target.codec, len, to) {
        forward::forward(to, codec, arrival, span, packet, now, out)
    } else {
        transcode::transcode(from, to, codec, arrival, span, packet, scratch, now, out)
    };
    from.inbound.expected = Some(at + len as i64);
    if falls_silent {
        paused::begin(from, to, len, Filler::Decoder, now);
    }
    sent
}

/// Returns the source time of a packet; one that begins a sequence ends what was said before it.
#[inline]
fn begin(
    from: &mut Leg,
    to: &mut Leg,
    codec: AudioCodec,
    arrival: &Arrival,
    scratch: &mut Scratch,
    now: Instant,
    out: &mut impl Sink,
) -> i64 {
    let timeline = from.inbound.timeline.get_or_insert_with(|| Timeline::start(arrival.timestamp));
    let at = timeline.at(arrival.timestamp, scale(codec));
    if arrival.verdict == Verdict::Restart {
        transcode::finish(to, scratch, now, out);
        to.outbound.stream.rebase();
        from.inbound.expected = None;
    }
    at
}

/// Tells whether a leg is to hear anything: it can be sent to, and no key is down.
#[inline]
fn hears(to: &Leg) -> bool {
    to.can_send() && !to.outbound.key.sender.is_down()
}

/// A packet is not heard; what comes after it misses nothing.
fn miss(from: &mut Leg, to: &mut Leg) -> Result<(), Discard> {
    from.inbound.expected = None;
    from.inbound.pause = None;
    to.outbound.framer.clear();
    if to.can_send() { Ok(()) } else { Err(Discard::Direction) }
}

/// Tells whether the payload can go on as it is (or by a table, between the two laws of G.711).
#[inline]
fn forwards(source: AudioCodec, target: AudioCodec, len: usize, to: &Leg) -> bool {
    match (is_opus(source), is_opus(target)) {
        (true, true) => true,
        (false, false) => to.outbound.framer.is_empty() && to.outbound.framer.frame() == len,
        _ => false,
    }
}

/// Returns the length of a payload in samples at 8 kHz.
#[inline]
fn samples(codec: AudioCodec, payload: &[u8]) -> Option<usize> {
    match codec {
        AudioCodec::Opus(_) => crate::codec::opus::packet_samples(payload),
        AudioCodec::Pcmu | AudioCodec::Pcma => Some(payload.len()),
    }
}

/// Makes the header of the next packet of a leg.
#[inline]
fn header(to: &mut Leg, pt: Pt, timestamp: u32, marker: bool, payload: usize) -> RtpHeader {
    let seq = to.outbound.stream.number(payload);
    RtpHeader { pt, marker, seq, timestamp, ssrc: to.outbound.stream.ssrc }
}
