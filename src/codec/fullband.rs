//! Opus as a browser sends it by default: full band from 48 kHz (RFC 7587 6.1). For the load generator, which makes its packets once;
//! the gateway itself runs Opus at 8 kHz only.

use opus::{Application, Bitrate, Channels};

use super::CodecError;

/// Sample rate of what is encoded, Hz.
pub const RATE_HZ: u32 = 48_000;

/// An encoder with a browser's settings: mono, VoIP, complexity 9, in-band FEC.
#[derive(Debug)]
pub struct BrowserEncoder {
    inner: opus::Encoder,
}

impl BrowserEncoder {
    /// Makes the encoder.
    ///
    /// # Errors
    /// [`CodecError::Settings`] where libopus refuses the bit rate or has no memory.
    pub fn new(bitrate_bps: u32) -> Result<Self, CodecError> {
        let set = |e: opus::Error| CodecError::Settings(e.description());
        let bitrate = i32::try_from(bitrate_bps).map_err(|_| CodecError::Settings("bit rate"))?;
        let mut inner = opus::Encoder::new(RATE_HZ, Channels::Mono, Application::Voip).map_err(set)?;
        inner.set_complexity(9).map_err(set)?;
        inner.set_bitrate(Bitrate::Bits(bitrate)).map_err(set)?;
        inner.set_inband_fec(true).map_err(set)?;
        Ok(BrowserEncoder { inner })
    }

    /// Encodes one frame of 10, 20, 40 or 60 ms (48 samples each ms) and returns the packet's length in bytes.
    ///
    /// # Errors
    /// [`CodecError::FrameLength`] for another length, [`CodecError::NoRoom`] where `out` is too small.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        if !matches!(pcm.len(), 480 | 960 | 1920 | 2880) {
            return Err(CodecError::FrameLength(pcm.len()));
        }
        self.inner.encode(pcm, out).map_err(|_| CodecError::NoRoom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browsers_packet_is_of_the_length_asked_for_and_no_other_is_taken() {
        let mut encoder = BrowserEncoder::new(32_000).expect("libopus");
        let mut out = [0; 1500];
        let len = encoder.encode(&[300; 1920], &mut out).expect("a packet");
        assert_eq!(super::super::opus::packet_samples(&out[..len]), Some(320));
        assert!(matches!(encoder.encode(&[0; 160], &mut out), Err(CodecError::FrameLength(160))));
    }
}
