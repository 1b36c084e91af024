//! The audio codecs, at 8 kHz mono: G.711 (ITU-T G.711), Opus (RFC 6716 by way of libopus, RFC 7587), WAVE files.
//!
//! We do not resample what is spoken, because Opus itself decodes to and encodes from 8 kHz; sounds out of files are, when
//! they are loaded. Only this room sees the `opus` crate.

pub mod fullband;
pub mod g711;
pub mod opus;
pub mod resample;
pub mod wav;

/// Samples of one channel in a second.
pub const SAMPLE_RATE_HZ: u32 = 8000;

/// Why a codec refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// libopus would not make a state, or would not take a setting.
    #[error("libopus refused its settings: {0}")]
    Settings(&'static str),
    /// A frame that is no Opus frame length: 20, 40, 80, 160, 320, 480, 640, 800 or 960 samples.
    #[error("{0} samples are no Opus frame")]
    FrameLength(usize),
    /// A packet that is none.
    #[error("not an Opus packet")]
    Malformed,
    /// The output has too little room.
    #[error("output too small")]
    NoRoom,
}
