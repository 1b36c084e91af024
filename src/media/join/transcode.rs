//! Decodes into one scratch frame at 8 kHz and encodes behind the header of the outgoing packet.

use std::time::Instant;

use super::super::tap::PacketKind;
use super::{Arrival, Scratch, header};
use crate::codec::g711;
use crate::codec::opus::{Decoder, Encoder};
use crate::media::conceal::MAX_CONCEALED;
use crate::media::discard::Discard;
use crate::media::engine::Sink;
use crate::media::hush::{Step, announcement};
use crate::media::leg::{Inbound, Leg, is_opus};
use crate::packet::PacketBuf;
use crate::plan::{AudioCodec, OpusParams};
use crate::rtp::{HEADER_LEN, write_header};

/// Opus works in steps of 2.5 ms.
pub(super) const OPUS_STEP: i64 = 20;
/// Room for a frame of Opus (RFC 6716 3.4 allows 1275 bytes) or 60 ms of G.711.
const PAYLOAD: usize = 1275;
/// Opus packets up to this length say that nothing need be sent (RFC 6716 2.1.9).
pub(super) const DTX: usize = 2;

/// Where a frame lies in its source's time, in samples at 8 kHz.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub at: i64,
    pub len: usize,
    /// Distance from the frame before it.
    pub gap: i64,
    /// Packets before it did not come.
    pub lost: bool,
    /// It ends a pause.
    pub resumed: bool,
}

#[expect(clippy::too_many_arguments, reason = "the one place where both legs, the packet and the time meet")]
#[inline]
pub(super) fn transcode(
    from: &mut Leg,
    to: &mut Leg,
    codec: AudioCodec,
    arrival: &Arrival,
    span: Span,
    packet: &PacketBuf,
    scratch: &mut Scratch,
    now: Instant,
    out: &mut impl Sink,
) -> Result<(), Discard> {
    let payload = packet.bytes().get(arrival.payload.clone()).ok_or(Discard::Codec)?;
    if span.lost && span.gap > 0 && span.gap <= MAX_CONCEALED {
        let missing = (span.gap - span.gap % OPUS_STEP) as usize;
        if missing > 0 && fill_gap(&mut from.inbound, codec, payload, &mut scratch.pcm[..missing]) {
            from.stats.concealed += missing.div_ceil(span.len) as u64;
            emit(to, span.at - missing as i64, missing, scratch, now, out)?;
        }
    } else if span.gap != 0 {
        finish(to, scratch, now, out);
    }
    let made_up = (span.gap != 0 || span.resumed).then_some(span.gap.clamp(0, MAX_CONCEALED) as usize);
    let len = decode(&mut from.inbound, codec, payload, made_up, &mut scratch.pcm[..])?;
    emit(to, span.at, len, scratch, now, out)
}

/// Decodes a payload and returns its samples; where it does not follow what was heard last, so many samples were made up
/// before it, or are missing.
#[inline]
pub(super) fn decode(
    inbound: &mut Inbound,
    codec: AudioCodec,
    payload: &[u8],
    made_up: Option<usize>,
    pcm: &mut [i16],
) -> Result<usize, Discard> {
    let len = match codec {
        AudioCodec::Pcmu => g711::decode_ulaw(payload, pcm),
        AudioCodec::Pcma => g711::decode_alaw(payload, pcm),
        AudioCodec::Opus(_) => decoder(inbound)?.decode(payload, pcm).map_err(|_| Discard::Codec)?,
    };
    // Opus leads over by itself.
    if let Some(made_up) = made_up.filter(|_| !is_opus(codec)) {
        inbound.conceal.lead_over(made_up, &mut pcm[..len]);
    }
    // Opus conceals by itself, but not where it goes into a mix.
    inbound.conceal.hear(&pcm[..len]);
    Ok(len)
}

/// Makes up for lost frames: by the FEC of the packet that shows the gap, by concealment before that.
pub(super) fn fill_gap(inbound: &mut Inbound, codec: AudioCodec, payload: &[u8], pcm: &mut [i16]) -> bool {
    match codec {
        AudioCodec::Pcmu | AudioCodec::Pcma => {
            inbound.conceal.fill(pcm);
            true
        }
        AudioCodec::Opus(_) => decoder(inbound).is_ok_and(|d| d.decode_fec(payload, pcm).is_ok()),
    }
}

#[inline]
pub(super) fn decoder(inbound: &mut Inbound) -> Result<&mut Decoder, Discard> {
    match &mut inbound.decoder {
        Some(decoder) => Ok(decoder),
        empty => Ok(empty.insert(Decoder::new().map_err(|_| Discard::Codec)?)),
    }
}

/// Sends the first `len` samples of the scratch frame, at once where their number is that of a frame.
#[inline]
pub(super) fn emit(
    to: &mut Leg,
    at: i64,
    len: usize,
    scratch: &mut Scratch,
    now: Instant,
    out: &mut impl Sink,
) -> Result<(), Discard> {
    let Scratch { pcm, frame, packet } = scratch;
    if to.outbound.framer.is_empty() && to.outbound.framer.frame() == len {
        return send_frame(to, at, &pcm[..len], packet, now, out);
    }
    to.outbound.framer.push(at, &pcm[..len]);
    let size = to.outbound.framer.frame();
    while let Some(at) = to.outbound.framer.pop(&mut frame[..size]) {
        send_frame(to, at, &frame[..size], packet, now, out)?;
    }
    Ok(())
}

/// Fills up and sends a begun frame: what follows does not belong to it.
pub(super) fn finish(to: &mut Leg, scratch: &mut Scratch, now: Instant, out: &mut impl Sink) {
    let size = to.outbound.framer.frame();
    to.outbound.framer.pad(size);
    if let Some(at) = to.outbound.framer.pop(&mut scratch.frame[..size]) {
        // What cannot be sent need not be finished either.
        let _ = send_frame(to, at, &scratch.frame[..size], &mut scratch.packet, now, out);
    }
    to.outbound.framer.clear();
}

/// Encodes a frame of the leg's own length at source time `at`, and sends it.
#[inline]
pub(in crate::media) fn send_frame(
    to: &mut Leg,
    at: i64,
    pcm: &[i16],
    packet: &mut PacketBuf,
    now: Instant,
    out: &mut impl Sink,
) -> Result<(), Discard> {
    let Some(plan) = to.audio else { return Err(Discard::Direction) };
    packet.received(HEADER_LEN + PAYLOAD);
    let payload = packet.bytes_mut().get_mut(HEADER_LEN..).unwrap_or_default();
    let len = match plan.codec {
        AudioCodec::Pcmu => g711::encode_ulaw(pcm, payload),
        AudioCodec::Pcma => g711::encode_alaw(pcm, payload),
        AudioCodec::Opus(params) => match encode_opus(to, params, pcm, payload)? {
            0 => return Ok(()),
            len => len,
        },
    };
    let (timestamp, marker) = to.outbound.stream.place(at, pcm.len(), now);
    let header = header(to, plan.send_pt, timestamp, marker, len);
    write_header(packet.bytes_mut(), &header);
    packet.set_len(HEADER_LEN + len);
    to.transmit(PacketKind::Rtp, packet, now, out)
}

/// Encodes a frame and returns its length; 0: under DTX it need not be sent.
#[inline]
fn encode_opus(to: &mut Leg, params: OpusParams, pcm: &[i16], payload: &mut [u8]) -> Result<usize, Discard> {
    if !params.dtx {
        return encoder(to, params)?.encode(pcm, payload).map_err(|_| Discard::Codec);
    }
    let len = match to.outbound.hush.step(pcm) {
        Step::Encode => encoder(to, params)?.encode(pcm, payload).map_err(|_| Discard::Codec)?,
        Step::Whole => encoder(to, params)?.encode_whole(pcm, payload).map_err(|_| Discard::Codec)?,
        Step::Announce => {
            *payload.first_mut().ok_or(Discard::Codec)? = announcement(pcm.len());
            1
        }
        Step::Rest => return Ok(0),
    };
    // The first of those that say that nothing follows is sent, so that the browser makes comfort noise and no loss of it.
    let silent = len <= DTX;
    let told = std::mem::replace(&mut to.outbound.hush.announced, silent);
    Ok(if silent && told { 0 } else { len })
}

#[inline]
fn encoder(to: &mut Leg, params: OpusParams) -> Result<&mut Encoder, Discard> {
    let loss = to.outbound.loss_percent;
    if to.outbound.encoder.as_ref().is_none_or(|(of, _)| *of != params) {
        let mut encoder = Encoder::new(params).map_err(|_| Discard::Codec)?;
        encoder.set_loss_percent(loss).map_err(|_| Discard::Codec)?;
        to.outbound.encoder = Some((params, encoder));
    }
    to.outbound.encoder.as_mut().map(|(_, encoder)| encoder).ok_or(Discard::Codec)
}
