//! Sound like speech, encoded once.

use crosspoint::codec::g711;
use crosspoint::codec::opus::Encoder;
use crosspoint::plan::OpusParams;

/// Frames: 10 s.
const FRAMES: usize = 500;

/// 20 ms each, in both codecs.
pub struct Voice {
    pub opus: Vec<Vec<u8>>,
    pub ulaw: Vec<Vec<u8>>,
}

/// Returns the frames; `full_band` encodes them as a browser that ignores the narrow-band hint.
pub fn packets(full_band: bool) -> Voice {
    let narrow = speech(8000.0);
    let ulaw = narrow.chunks(160).map(|frame| {
        let mut out = vec![0; 160];
        g711::encode_ulaw(frame, &mut out);
        out
    });
    let opus = if full_band {
        let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).expect("libopus");
        encoder.set_bitrate(opus::Bitrate::Bits(32_000)).expect("libopus");
        encoder.set_inband_fec(true).expect("libopus");
        // What is heard here has little above 4 kHz; a microphone has.
        encoder.set_bandwidth(opus::Bandwidth::Fullband).expect("libopus");
        let frames = speech(48_000.0);
        let mut one = |frame: &[i16]| encoder.encode_vec(frame, 1500).expect("20 ms");
        frames.chunks(960).map(&mut one).collect()
    } else {
        let params = OpusParams { complexity: 9, ..OpusParams::default() };
        let mut encoder = Encoder::new(params).expect("libopus");
        let mut one = |frame: &[i16]| {
            let mut out = [0; 1500];
            let len = encoder.encode(frame, &mut out).expect("20 ms");
            out[..len].to_vec()
        };
        narrow.chunks(160).map(&mut one).collect()
    };
    Voice { opus, ulaw: ulaw.collect() }
}

/// Voiced syllables of changing pitch and vowels with hisses between them, at `hz` samples per second.
fn speech(hz: f64) -> Vec<i16> {
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    let mut phase = 0.0_f64;
    let mut formants = [[0.0_f64; 2]; 3];
    let mut out = Vec::new();
    for n in 0..(FRAMES as f64 * hz / 50.0) as usize {
        let t = n as f64 / hz;
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        let hiss = (noise >> 40) as f64 / f64::from(1 << 24) - 0.5;
        let syllable = (t * 4.3).fract();
        let voiced = (syllable * std::f64::consts::PI).sin().powi(2);
        let pitch = 120.0 + 30.0 * (t * 1.7).sin() + 8.0 * (t * 9.0).sin();
        let before = phase;
        phase = (phase + pitch / hz).fract();
        let pulse = if phase < before { hz / 800.0 } else { 0.0 };
        let breath = if syllable > 0.85 { hiss * 2.0 } else { hiss * 0.05 };
        let vowel = (t * 4.3).floor();
        let centres = [
            300.0 + 90.0 * (vowel * 1.3).sin().abs() * 5.0,
            1000.0 + 700.0 * (vowel * 0.7).sin(),
            2500.0 + 400.0 * (vowel * 2.1).sin(),
        ];
        let mut sum = 0.0;
        for (formant, centre) in formants.iter_mut().zip(centres) {
            let (r, w) = ((-std::f64::consts::PI * 90.0 / hz).exp(), std::f64::consts::TAU * centre / hz);
            let y = (pulse * voiced + breath) * (1.0 - r) + 2.0 * r * w.cos() * formant[0] - r * r * formant[1];
            *formant = [y, formant[0]];
            sum += y;
        }
        out.push((sum * 9000.0).clamp(-30_000.0, 30_000.0) as i16);
    }
    out
}
