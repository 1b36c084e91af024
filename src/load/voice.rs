//! What the ends say, encoded once: speech-like sound with a pilot tone of its own, and a marker.
//!
//! ```text
//!  0 s     0.1 s                                                    1.86 s     2.0 s, over and over
//!  | chirp | syllables on a voice of 120 Hz, beneath them the pilot | silence |
//! ```
//! A chirp from 500 to 3000 Hz says when a piece of sound was sent, to a sample. The pilot says who sent it: it lies in the
//! middle between two harmonics of the voice, and each end of a call has another one out of [`PILOTS`].
//!
//! We do not play recordings, because everybody must be able to repeat a run from its seed alone.

mod probe;
mod sound;

use std::sync::Arc;

pub use probe::{Probe, Probed};

use crate::codec::fullband::{self, BrowserEncoder};
use crate::codec::{CodecError, g711, opus};
use crate::plan::{AudioCodec, OpusParams};

/// Sample rate of what is looked at, Hz.
pub const RATE_HZ: u32 = 8_000;
/// Length of the loop, ms.
pub const LOOP_MS: u32 = 2_000;
/// Length of the marker at the loop's beginning, ms.
pub const MARKER_MS: u32 = 100;
/// How many pilot tones there are. Odd, so that two steps at a time visit all of them.
pub const PILOTS: usize = 25;
/// Bit rate of the browsers' packets: that of a browser which is asked for nothing else, and what crosspoint asks for.
pub const BITRATE_BPS: u32 = 32_000;
/// Longest packet.
const MAX_PACKET: usize = 1500;
/// Packets that a decoder hears before those that count: its state is then that of a running stream.
pub const WARM_MS: u32 = 100;

/// The frequency of a pilot, Hz: 420 to 3300.
pub fn pilot_hz(pilot: usize) -> u32 {
    420 + 120 * (pilot % PILOTS) as u32
}

/// Which packets a voice is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// PCMU, 20 ms.
    Pcmu,
    /// PCMA, 20 ms.
    Pcma,
    /// Narrow-band Opus: a browser that obeys `maxplaybackrate=8000`.
    NarrowOpus {
        /// Packet length, ms.
        frame_ms: u8,
    },
    /// Full-band Opus: a browser that ignores it.
    FullOpus {
        /// Packet length, ms.
        frame_ms: u8,
    },
}

impl Coding {
    /// Packet length, ms.
    pub fn frame_ms(self) -> u8 {
        match self {
            Coding::Pcmu | Coding::Pcma => 20,
            Coding::NarrowOpus { frame_ms } | Coding::FullOpus { frame_ms } => frame_ms,
        }
    }

    /// Clock of its RTP timestamps, Hz.
    pub fn clock_hz(self) -> u32 {
        match self {
            Coding::Pcmu | Coding::Pcma => 8_000,
            Coding::NarrowOpus { .. } | Coding::FullOpus { .. } => 48_000,
        }
    }
}

/// Two seconds of sound in packets, the first of which begins with the marker.
#[derive(Debug)]
pub struct Voice {
    coding: Coding,
    pilot: usize,
    bytes: Vec<u8>,
    /// Where each packet ends.
    ends: Vec<u32>,
}

impl Voice {
    /// Encodes the sound with this pilot.
    ///
    /// # Errors
    /// Whatever libopus says.
    pub fn new(coding: Coding, pilot: usize) -> Result<Voice, CodecError> {
        let mut voice = Voice { coding, pilot, bytes: Vec::new(), ends: Vec::new() };
        match coding {
            Coding::Pcmu | Coding::Pcma => voice.compress(&sound::make(RATE_HZ, pilot)),
            Coding::NarrowOpus { frame_ms } => {
                let mut encoder = opus::Encoder::new(narrow_params())?;
                let pcm = sound::make(RATE_HZ, pilot);
                voice.encode(&pcm, frame(RATE_HZ, frame_ms), |pcm, out| encoder.encode(pcm, out))?;
            }
            Coding::FullOpus { frame_ms } => {
                let mut encoder = BrowserEncoder::new(BITRATE_BPS)?;
                let pcm = sound::make(fullband::RATE_HZ, pilot);
                voice.encode(&pcm, frame(fullband::RATE_HZ, frame_ms), |pcm, out| encoder.encode(pcm, out))?;
            }
        }
        Ok(voice)
    }

    fn compress(&mut self, pcm: &[i16]) {
        let law = if self.coding == Coding::Pcma { g711::encode_alaw } else { g711::encode_ulaw };
        self.bytes.resize(pcm.len(), 0);
        law(pcm, &mut self.bytes);
        self.ends = (1..=pcm.len() / 160).map(|n| n as u32 * 160).collect();
    }

    /// Encodes the loop twice and keeps the second one, which follows itself.
    fn encode(
        &mut self,
        pcm: &[i16],
        frame: usize,
        mut encode: impl FnMut(&[i16], &mut [u8]) -> Result<usize, CodecError>,
    ) -> Result<(), CodecError> {
        let mut packet = [0; MAX_PACKET];
        for keeps in [false, true] {
            for pcm in pcm.chunks_exact(frame) {
                let len = encode(pcm, &mut packet)?;
                if keeps {
                    self.bytes.extend_from_slice(&packet[..len]);
                    self.ends.push(self.bytes.len() as u32);
                }
            }
        }
        Ok(())
    }

    /// How it is coded.
    pub fn coding(&self) -> Coding {
        self.coding
    }

    /// Its pilot.
    pub fn pilot(&self) -> usize {
        self.pilot
    }

    /// Packets of the loop.
    pub fn frames(&self) -> u64 {
        self.ends.len() as u64
    }

    /// The payload of the `n`-th packet since the voice began to speak.
    pub fn packet(&self, n: u64) -> &[u8] {
        let at = (n % self.frames()) as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.bytes[start..self.ends[at] as usize]
    }
}

/// What a browser does that obeys the hint.
fn narrow_params() -> OpusParams {
    OpusParams { bitrate_bps: BITRATE_BPS, complexity: 9, fec: true, dtx: false }
}

fn frame(rate_hz: u32, frame_ms: u8) -> usize {
    rate_hz as usize / 1000 * usize::from(frame_ms)
}

/// Voices of one coding, each made when it is first asked for.
#[derive(Debug)]
pub struct Choir {
    coding: Coding,
    voices: Vec<Option<Arc<Voice>>>,
}

impl Choir {
    /// Makes an empty choir.
    pub fn new(coding: Coding) -> Choir {
        Choir { coding, voices: vec![None; PILOTS] }
    }

    /// The voice with this pilot.
    ///
    /// # Errors
    /// Whatever libopus says.
    pub fn voice(&mut self, pilot: usize) -> Result<Arc<Voice>, CodecError> {
        let pilot = pilot % PILOTS;
        if let Some(voice) = &self.voices[pilot] {
            return Ok(voice.clone());
        }
        let voice = Arc::new(Voice::new(self.coding, pilot)?);
        self.voices[pilot] = Some(voice.clone());
        Ok(voice)
    }
}

/// How much later than the packets the sound comes when nothing but the codecs themselves is in between, samples at 8 kHz: to
/// the trunk by way of our Opus packets, to the browser by way of Opus packets that a gateway would make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookAhead {
    /// Browser → trunk.
    pub to_trunk: usize,
    /// Trunk → browser.
    pub to_browser: usize,
}

impl LookAhead {
    /// Measures it with the same probe that measures the target.
    ///
    /// # Errors
    /// Whatever libopus says; [`CodecError::Malformed`] where the probe does not find the marker.
    pub fn measure(browser: &Voice, probe: &mut Probe) -> Result<LookAhead, CodecError> {
        let encoded = Voice::new(Coding::NarrowOpus { frame_ms: 20 }, 0)?;
        let mut through = |voice: &Voice| {
            let frame_ms = u32::from(voice.coding.frame_ms());
            let warm = u64::from(WARM_MS.div_ceil(frame_ms));
            let mut pcm = Vec::new();
            let mut heard = Decoding::new(AudioCodec::Opus(OpusParams::default()))?;
            for n in voice.frames() - warm..voice.frames() + 10 {
                heard.decode(voice.packet(n), &mut pcm);
            }
            let start = warm as usize * frame(RATE_HZ, voice.coding.frame_ms());
            let at = probe.marker(&pcm).ok_or(CodecError::Malformed)?;
            at.checked_sub(start).ok_or(CodecError::Malformed)
        };
        Ok(LookAhead { to_trunk: through(browser)?, to_browser: through(&encoded)? })
    }
}

/// Decodes a window of what an end received.
#[derive(Debug)]
pub struct Decoding {
    codec: AudioCodec,
    opus: Option<opus::Decoder>,
}

impl Decoding {
    /// Begins a window.
    ///
    /// # Errors
    /// [`CodecError::Settings`] where libopus has no memory.
    pub fn new(codec: AudioCodec) -> Result<Decoding, CodecError> {
        let opus = matches!(codec, AudioCodec::Opus(_)).then(opus::Decoder::new).transpose()?;
        Ok(Decoding { codec, opus })
    }

    /// Appends the samples of the next packet, 8 kHz; nothing where it cannot be decoded.
    pub fn decode(&mut self, payload: &[u8], pcm: &mut Vec<i16>) {
        let before = pcm.len();
        let room = if self.opus.is_some() { opus::MAX_SAMPLES } else { payload.len() };
        pcm.resize(before + room, 0);
        let out = &mut pcm[before..];
        let samples = match (self.codec, &mut self.opus) {
            (_, Some(decoder)) => decoder.decode(payload, out).unwrap_or(0),
            (AudioCodec::Pcma, None) => g711::decode_alaw(payload, out),
            (_, None) => g711::decode_ulaw(payload, out),
        };
        pcm.truncate(before + samples);
    }
}

#[cfg(test)]
mod tests;
