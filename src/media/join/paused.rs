//! Pauses that a peer has told of, towards who hears it.

use std::time::Instant;

use super::transcode::{OPUS_STEP, decoder, emit, finish};
use super::{Arrival, Scratch, hears, miss};
use crate::media::conceal::MAX_CONCEALED;
use crate::media::discard::Discard;
use crate::media::engine::Sink;
use crate::media::leg::{Inbound, Leg};
use crate::media::noise::Noise;
use crate::media::pause::{FRAME, Filler, Pause};
use crate::packet::PacketBuf;
use crate::plan::AudioCodec;

/// Most time that is taken out at once, samples.
const MOST_AHEAD: i64 = MAX_CONCEALED;

/// Takes a packet of comfort noise: the first begins a pause, those after it describe the noise anew.
pub(in crate::media) fn fall_silent(
    from: &mut Leg,
    to: &mut Leg,
    arrival: &Arrival,
    packet: &PacketBuf,
    scratch: &mut Scratch,
    now: Instant,
    out: &mut impl Sink,
) -> Result<(), Discard> {
    // On the clock of the audio (RFC 3389 4).
    let codec = from.audio.map_or(AudioCodec::Pcmu, |audio| audio.codec);
    let at = super::begin(from, to, codec, arrival, scratch, now, out);
    if !hears(to) {
        return miss(from, to);
    }
    let payload = packet.bytes().get(arrival.payload.clone()).ok_or(Discard::Codec)?;
    // Any seed will do, as long as it is not the same for all.
    let noise = from.inbound.noise.get_or_insert_with(|| Box::new(Noise::new(arrival.timestamp)));
    if !noise.describe(payload) {
        return Err(Discard::Codec);
    }
    if from.inbound.pause.is_some() {
        return Ok(());
    }
    if from.inbound.expected.is_some_and(|expected| expected != at) {
        finish(to, scratch, now, out);
    }
    fill(from, to, Filler::Noise, at, FRAME, scratch, now, out)?;
    from.inbound.expected = Some(at + FRAME as i64);
    begin(from, to, FRAME, Filler::Noise, now);
    Ok(())
}

/// Begins a pause behind a frame of so many samples, which is sent.
pub(super) fn begin(from: &mut Leg, to: &mut Leg, len: usize, filler: Filler, now: Instant) {
    let Some(at) = from.inbound.expected else { return };
    let mut pause = Pause::begin(at, len, filler, now);
    let ahead = std::mem::take(&mut from.inbound.ahead);
    if ahead > 0 {
        pause.hold_back(ahead);
        to.outbound.stream.pull_back(ahead);
        from.inbound.expected = Some(pause.at);
    }
    from.inbound.pause = Some(pause);
}

/// Sends the frames of a pause that are due.
pub(in crate::media) fn fill_pause(
    from: &mut Leg,
    to: &mut Leg,
    scratch: &mut Scratch,
    now: Instant,
    out: &mut impl Sink,
) -> Result<(), Discard> {
    while let Some(pause) = &mut from.inbound.pause {
        let Some(at) = pause.next(now) else { break };
        let filler = pause.filler;
        if !hears(to) {
            // What is not heard now is not heard later either.
            return miss(from, to);
        }
        fill(from, to, filler, at, FRAME, scratch, now, out)?;
        from.inbound.expected = Some(at + FRAME as i64);
    }
    Ok(())
}

/// Ends a pause before audio of source time `at`, in front of which so many samples are `lost`; true where there was one.
#[inline]
pub(super) fn resume(
    from: &mut Leg,
    to: &mut Leg,
    at: i64,
    lost: usize,
    scratch: &mut Scratch,
    now: Instant,
    out: &mut impl Sink,
) -> bool {
    let Some(pause) = from.inbound.pause.take() else { return false };
    let missing = at - pause.at - lost as i64;
    let whole = missing - missing.rem_euclid(OPUS_STEP);
    if (1..=MAX_CONCEALED).contains(&whole) {
        // What cannot be sent is not missed either.
        let _ = fill(from, to, pause.filler, pause.at, whole as usize, scratch, now, out);
        from.inbound.expected = Some(at - lost as i64);
    } else if missing < 0 && lost == 0 {
        from.inbound.ahead = (from.inbound.ahead - missing).min(MOST_AHEAD);
    }
    true
}

/// Makes and sends so many samples of a pause.
#[expect(clippy::too_many_arguments, reason = "both legs, the noise and the time meet")]
fn fill(
    from: &mut Leg,
    to: &mut Leg,
    filler: Filler,
    at: i64,
    len: usize,
    scratch: &mut Scratch,
    now: Instant,
    out: &mut impl Sink,
) -> Result<(), Discard> {
    let pcm = scratch.pcm.get_mut(..len).ok_or(Discard::Codec)?;
    make(&mut from.inbound, filler, pcm)?;
    emit(to, at, len, scratch, now, out)
}

fn make(inbound: &mut Inbound, filler: Filler, pcm: &mut [i16]) -> Result<(), Discard> {
    match filler {
        Filler::Noise => {
            if let Some(noise) = &mut inbound.noise {
                noise.fill(pcm);
            }
        }
        Filler::Decoder => {
            decoder(inbound)?.conceal(pcm).map_err(|_| Discard::Codec)?;
        }
    }
    inbound.conceal.hear(pcm);
    Ok(())
}
