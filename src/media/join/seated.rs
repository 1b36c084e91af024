//! Legs of a mix: what one says goes into its queue, what the others say comes out of the tick.

use std::time::Instant;

use super::transcode::{OPUS_STEP, decode, emit, fill_gap};
use super::{Arrival, Scratch, samples};
use crate::media::conceal::MAX_CONCEALED;
use crate::media::discard::Discard;
use crate::media::engine::Sink;
use crate::media::framer::MAX_FRAME;
use crate::media::leg::{Leg, scale};
use crate::media::seat::FRAME;
use crate::media::timeline::Timeline;
use crate::packet::PacketBuf;
use crate::plan::AudioCodec;
use crate::rtp::Verdict;

/// Decodes an audio packet of a leg into its seat.
#[inline]
pub(in crate::media) fn hear(
    leg: &mut Leg,
    codec: AudioCodec,
    arrival: &Arrival,
    packet: &PacketBuf,
    scratch: &mut Scratch,
) -> Result<(), Discard> {
    let Leg { seat: Some(seat), inbound, stats, .. } = leg else { return Err(Discard::Direction) };
    let timeline = inbound.timeline.get_or_insert_with(|| Timeline::start(arrival.timestamp));
    let at = timeline.at(arrival.timestamp, scale(codec));
    let payload = packet.bytes().get(arrival.payload.clone()).ok_or(Discard::Codec)?;
    let len = samples(codec, payload).filter(|len| (1..=MAX_FRAME).contains(len)).ok_or(Discard::Codec)?;
    let gap = inbound.expected.map_or(0, |expected| at - expected);
    inbound.expected = Some(at + len as i64);
    let mut made_up = None;
    if matches!(arrival.verdict, Verdict::Gap(_)) && (1..=MAX_CONCEALED).contains(&gap) {
        let missing = seat.missing(gap as usize);
        let missing = missing - missing % OPUS_STEP as usize;
        if missing > 0 && fill_gap(inbound, codec, payload, &mut scratch.pcm[..missing]) {
            stats.concealed += missing.div_ceil(len) as u64;
            seat.push(&scratch.pcm[..missing]);
            made_up = Some(missing);
        }
    }
    let len = decode(inbound, codec, payload, made_up, &mut scratch.pcm[..])?;
    seat.push(&scratch.pcm[..len]);
    Ok(())
}

/// Sends a leg of a mix what the others say in the tick of time `at`.
#[inline]
pub(in crate::media) fn speak(
    leg: &mut Leg,
    total: &[i32; FRAME],
    at: i64,
    scratch: &mut Scratch,
    now: Instant,
    out: &mut impl Sink,
) -> Result<(), Discard> {
    let can_hear = leg.can_send() && !leg.outbound.key.sender.is_down();
    let Some(seat) = leg.seat.as_mut().filter(|_| can_hear) else {
        // What is not heard now is not heard later either.
        leg.outbound.framer.clear();
        return Ok(());
    };
    seat.listen(total, &mut scratch.pcm[..FRAME]);
    emit(leg, at, FRAME, scratch, now, out)
}
