//! Opus at 8 kHz mono (RFC 6716, RFC 7587), over libopus.
//!
//! We do not run it at 48 kHz, because the other side is G.711: libopus itself decodes any packet to 8 kHz, and what it encodes
//! from 8 kHz is narrow-band.

use std::time::Duration;

use opus::{Application, Bandwidth, Bitrate, Channels, Signal};

use super::{CodecError, SAMPLE_RATE_HZ};
use crate::plan::OpusParams;

/// Longest packet: 120 ms (RFC 6716 3.2.5), samples.
pub const MAX_SAMPLES: usize = 960;
/// The unit of all lengths: 2.5 ms, samples.
pub const STEP_SAMPLES: usize = 20;
/// Longest packet that [`Encoder::encode`] makes, at the highest bit rate and 120 ms (RFC 6716 3.2.1: 1275 per frame).
pub const MAX_PACKET: usize = 1275 * 6 + 7;

/// One direction of a stream, from 8 kHz PCM.
#[derive(Debug)]
pub struct Encoder {
    inner: opus::Encoder,
    fec: bool,
    dtx: bool,
    loss_percent: u8,
}

impl Encoder {
    /// Makes an encoder with the settings that were negotiated.
    ///
    /// # Errors
    /// [`CodecError::Settings`] where libopus refuses one (a bit rate or a complexity out of range) or has no memory.
    pub fn new(params: OpusParams) -> Result<Self, CodecError> {
        let set = |e: opus::Error| CodecError::Settings(e.description());
        let bitrate = i32::try_from(params.bitrate_bps).map_err(|_| CodecError::Settings("bit rate"))?;
        let mut inner = opus::Encoder::new(SAMPLE_RATE_HZ, Channels::Mono, Application::Voip).map_err(set)?;
        inner.set_complexity(i32::from(params.complexity)).map_err(set)?;
        inner.set_bitrate(Bitrate::Bits(bitrate)).map_err(set)?;
        inner.set_max_bandwidth(Bandwidth::Narrowband).map_err(set)?;
        inner.set_signal(Signal::Voice).map_err(set)?;
        inner.set_inband_fec(params.fec).map_err(set)?;
        inner.set_dtx(params.dtx).map_err(set)?;
        Ok(Encoder { inner, fec: params.fec, dtx: params.dtx, loss_percent: 0 })
    }

    /// Tells the encoder of the loss that the peer reports, 0 to 100 %; without FEC it has no use and is ignored.
    ///
    /// # Errors
    /// [`CodecError::Settings`] where libopus refuses it.
    pub fn set_loss_percent(&mut self, percent: u8) -> Result<(), CodecError> {
        let percent = percent.min(100);
        if !self.fec || percent == self.loss_percent {
            return Ok(());
        }
        self.inner.set_packet_loss_perc(i32::from(percent)).map_err(|e| CodecError::Settings(e.description()))?;
        self.loss_percent = percent;
        Ok(())
    }

    /// Encodes one frame of 2.5, 5, 10, 20, 40, 60, 80, 100 or 120 ms and returns the packet's length in bytes; 1 or 2 bytes
    /// under DTX say that nothing need be sent (RFC 7587 3.1.3).
    ///
    /// # Errors
    /// [`CodecError::FrameLength`] for another length, [`CodecError::NoRoom`] where `out` is too small for any packet.
    #[inline]
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        if !matches!(pcm.len(), 20 | 40 | 80 | 160 | 320 | 480 | 640 | 800 | 960) {
            return Err(CodecError::FrameLength(pcm.len()));
        }
        let len = self.inner.encode(pcm, out).map_err(|_| CodecError::NoRoom)?;
        if len == 0 { Err(CodecError::NoRoom) } else { Ok(len) }
    }

    /// Encodes a frame as [`Encoder::encode`] does, and as a whole even where DTX would leave it out.
    ///
    /// # Errors
    /// As [`Encoder::encode`]; [`CodecError::Settings`] where libopus does not let DTX be changed.
    pub fn encode_whole(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        let set = |e: opus::Error| CodecError::Settings(e.description());
        self.inner.set_dtx(false).map_err(set)?;
        let encoded = self.encode(pcm, out);
        self.inner.set_dtx(self.dtx).map_err(set)?;
        encoded
    }

    /// Forgets the signal so far, for a stream that begins anew; settings stay.
    pub fn reset(&mut self) -> Result<(), CodecError> {
        self.inner.reset_state().map_err(|e| CodecError::Settings(e.description()))
    }
}

/// One direction of a stream, to 8 kHz PCM.
#[derive(Debug)]
pub struct Decoder {
    inner: opus::Decoder,
}

impl Decoder {
    /// Makes a decoder.
    ///
    /// # Errors
    /// [`CodecError::Settings`] where libopus has no memory.
    pub fn new() -> Result<Self, CodecError> {
        let inner =
            opus::Decoder::new(SAMPLE_RATE_HZ, Channels::Mono).map_err(|e| CodecError::Settings(e.description()))?;
        Ok(Decoder { inner })
    }

    /// Decodes a packet of any bandwidth, mode and length and returns its samples; `[i16; 960]` holds every one.
    ///
    /// # Errors
    /// [`CodecError::Malformed`], [`CodecError::NoRoom`]; the state is good for the next packet.
    #[inline]
    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        let samples = packet_samples(packet).ok_or(CodecError::Malformed)?;
        let out = out.get_mut(..samples).ok_or(CodecError::NoRoom)?;
        self.inner.decode(packet, out, false).map_err(|_| CodecError::Malformed)
    }

    /// Rebuilds the loss before `packet` out of its in-band FEC, where it has any, else conceals it; fills `out`, whose length
    /// is that of the loss: a multiple of 20 samples (2.5 ms), at most 960. Call [`Decoder::decode`] for the packet itself next.
    ///
    /// # Errors
    /// [`CodecError::FrameLength`], [`CodecError::Malformed`].
    #[inline]
    pub fn decode_fec(&mut self, packet: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        check_length(out.len())?;
        packet_samples(packet).ok_or(CodecError::Malformed)?;
        self.inner.decode(packet, out, true).map_err(|_| CodecError::Malformed)
    }

    /// Fills `out` with what may have been lost, as [`Decoder::decode_fec`] without a packet.
    ///
    /// # Errors
    /// [`CodecError::FrameLength`].
    #[inline]
    pub fn conceal(&mut self, out: &mut [i16]) -> Result<usize, CodecError> {
        check_length(out.len())?;
        self.inner.decode(&[], out, false).map_err(|_| CodecError::FrameLength(out.len()))
    }

    /// Forgets the signal so far, for another source.
    pub fn reset(&mut self) -> Result<(), CodecError> {
        self.inner.reset_state().map_err(|e| CodecError::Settings(e.description()))
    }
}

fn check_length(samples: usize) -> Result<(), CodecError> {
    let fine = samples > 0 && samples <= MAX_SAMPLES && samples.is_multiple_of(STEP_SAMPLES);
    if fine { Ok(()) } else { Err(CodecError::FrameLength(samples)) }
}

/// Returns the samples (8 kHz) that a packet holds, 20 to 960, from its first two octets (RFC 6716 3.1, 3.2.5).
#[inline]
pub fn packet_samples(packet: &[u8]) -> Option<usize> {
    if packet.is_empty() {
        return None;
    }
    let samples = opus::packet::get_nb_samples(packet, SAMPLE_RATE_HZ).ok()?;
    (STEP_SAMPLES..=MAX_SAMPLES).contains(&samples).then_some(samples)
}

/// Returns the length of a packet, 2.5 to 120 ms.
#[inline]
pub fn packet_duration(packet: &[u8]) -> Option<Duration> {
    packet_samples(packet).map(|samples| Duration::from_micros(samples as u64 * 125))
}

#[cfg(test)]
#[path = "opus_tests.rs"]
mod tests;
