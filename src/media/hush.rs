//! What of true silence is sent where discontinuous transmission was negotiated: hardly anything, and the encoder rests.
//!
//! ```text
//! loud ─► Encode          silence, 200 ms ─► Encode          then ─► Announce, Rest, Rest … every 400 ms: Whole, Announce, Rest …
//! ```
//! So does libopus by itself with what it takes for no speech (RFC 6716 2.1.9), but it works as hard to find that out as with
//! speech. What a G.711 trunk sends while its customer listens is silence to the bit, or nearly.

/// Samples up to this are silence: -58 dBov, two or three steps of either law of G.711.
const SILENT: i16 = 40;
/// Silence that is encoded before the encoder rests, in samples: 200 ms, so that no word's end is cut.
const HANGOVER: u32 = 1600;
/// Time between two packets in silence, in samples: 400 ms.
const REFRESH: u32 = 3200;

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is encoded.
    Encode,
    /// It is encoded whatever the encoder thinks of it: the peer shall know how the silence sounds.
    Whole,
    /// The peer is told that nothing follows.
    Announce,
    /// Nothing is sent.
    Rest,
}

/// The gate before an encoder.
#[derive(Debug, Default)]
pub(super) struct Hush {
    /// Samples of silence so far.
    quiet: u32,
    /// Samples since the last whole frame.
    rested: u32,
    /// The last packet said that nothing follows.
    pub announced: bool,
}

impl Hush {
    /// Decides on the next frame.
    #[inline]
    pub(super) fn step(&mut self, pcm: &[i16]) -> Step {
        if !is_silent(pcm) {
            (self.quiet, self.rested) = (0, 0);
            return Step::Encode;
        }
        let len = pcm.len() as u32;
        self.quiet = self.quiet.saturating_add(len);
        if self.quiet <= HANGOVER {
            return Step::Encode;
        }
        self.rested += len;
        if self.rested >= REFRESH {
            self.rested = 0;
            Step::Whole
        } else if self.announced {
            Step::Rest
        } else {
            Step::Announce
        }
    }
}

#[inline]
fn is_silent(pcm: &[i16]) -> bool {
    pcm.iter().all(|sample| (-SILENT..=SILENT).contains(sample))
}

/// Returns the packet that says that nothing follows frames of so many samples: an empty one of narrow-band SILK
/// (RFC 6716 3.1, 3.2.1).
pub(super) fn announcement(samples: usize) -> u8 {
    let config = match samples {
        ..160 => 0,
        160..320 => 1,
        320..480 => 2,
        _ => 3,
    };
    config << 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_a_packet_of_its_length() {
        for samples in [80, 160, 320, 480] {
            assert_eq!(crate::codec::opus::packet_samples(&[announcement(samples)]), Some(samples));
        }
    }

    #[test]
    fn silence_is_sent_for_200_ms_and_then_refreshed_every_400_ms() {
        let mut hush = Hush::default();
        let mut step = |pcm: &[i16]| {
            let step = hush.step(pcm);
            hush.announced = matches!(step, Step::Announce) || (hush.announced && step == Step::Rest);
            step
        };
        assert_eq!(step(&[400; 160]), Step::Encode);
        assert_eq!([0; 10].map(|_| step(&[8; 160])), [Step::Encode; 10]);
        for _ in 0..3 {
            assert_eq!(step(&[0; 160]), Step::Announce);
            assert_eq!([0; 18].map(|_| step(&[-8; 160])), [Step::Rest; 18]);
            assert_eq!(step(&[8; 160]), Step::Whole);
        }
        assert_eq!(step(&[0, 0, 41]), Step::Encode, "the first sample of a word");
        assert_eq!(step(&[0; 160]), Step::Encode);
    }
}
