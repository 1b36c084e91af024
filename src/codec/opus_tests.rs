//! Opus at 8 kHz: tones, lengths, losses, settings, bad packets.

use super::*;

fn tone(hz: f64, samples: usize, from: usize) -> Vec<i16> {
    (from..from + samples).map(|n| (8000.0 * (std::f64::consts::TAU * hz * n as f64 / 8000.0).sin()) as i16).collect()
}

/// Power at one frequency (Goertzel), relative to the power of the whole.
fn share(pcm: &[i16], hz: f64) -> f64 {
    let coefficient = 2.0 * (std::f64::consts::TAU * hz / 8000.0).cos();
    let (mut a, mut b) = (0.0, 0.0);
    for x in pcm {
        (a, b) = (f64::from(*x) + coefficient * a - b, a);
    }
    let power: f64 = pcm.iter().map(|x| f64::from(*x).powi(2)).sum();
    2.0 * (a * a + b * b - coefficient * a * b) / (pcm.len() as f64 * power)
}

fn encoded(params: OpusParams, frames: usize, loss: u8) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(params).unwrap();
    encoder.set_loss_percent(loss).unwrap();
    (0..frames)
        .map(|n| {
            let mut out = [0; 400];
            let len = encoder.encode(&tone(440.0, 160, n * 160), &mut out).unwrap();
            out[..len].to_vec()
        })
        .collect()
}

#[test]
fn a_tone_survives_the_way_through_opus() {
    let mut decoder = Decoder::new().unwrap();
    let mut heard = Vec::new();
    for packet in encoded(OpusParams::default(), 50, 0) {
        let mut out = [0; MAX_SAMPLES];
        let samples = decoder.decode(&packet, &mut out).unwrap();
        assert_eq!(samples, 160);
        heard.extend_from_slice(&out[..samples]);
    }
    let settled = &heard[1600..];
    assert!(share(settled, 440.0) > 0.95, "{}", share(settled, 440.0));
    let power = settled.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / settled.len() as f64;
    let level = 10.0 * (power / (8000f64.powi(2) / 2.0)).log10();
    assert!(level.abs() < 1.0, "{level} dB");
}

#[test]
fn packets_are_narrow_band_of_one_channel() {
    for packet in encoded(OpusParams::default(), 10, 0) {
        assert_eq!(opus::packet::get_bandwidth(&packet).unwrap(), Bandwidth::Narrowband);
        assert_eq!(opus::packet::get_nb_channels(&packet).unwrap(), Channels::Mono);
    }
}

#[test]
fn every_frame_length_of_opus_goes_in_and_comes_out() {
    for samples in [20, 40, 80, 160, 320, 480, 640, 800, 960] {
        let mut encoder = Encoder::new(OpusParams::default()).unwrap();
        let mut packet = [0; MAX_PACKET];
        let len = encoder.encode(&tone(300.0, samples, 0), &mut packet).unwrap();
        assert_eq!(packet_samples(&packet[..len]), Some(samples));
        assert_eq!(packet_duration(&packet[..len]), Some(Duration::from_micros(samples as u64 * 125)));
        let mut out = [0; MAX_SAMPLES];
        assert_eq!(Decoder::new().unwrap().decode(&packet[..len], &mut out), Ok(samples));
    }
}

#[test]
fn other_lengths_are_refused() {
    let mut encoder = Encoder::new(OpusParams::default()).unwrap();
    let mut decoder = Decoder::new().unwrap();
    for samples in [0, 1, 19, 159, 161, 961, 1920] {
        let mut pcm = vec![0; samples];
        assert_eq!(encoder.encode(&pcm, &mut [0; 400]), Err(CodecError::FrameLength(samples)));
        assert_eq!(decoder.conceal(&mut pcm), Err(CodecError::FrameLength(samples)));
    }
}

#[test]
fn full_band_packets_are_decoded_to_8_khz() {
    let mut chrome = opus::Encoder::new(48_000, Channels::Stereo, Application::Audio).unwrap();
    let mut decoder = Decoder::new().unwrap();
    let mut heard = Vec::new();
    for frame in 0..50 {
        let pcm: Vec<i16> = (frame * 960..(frame + 1) * 960)
            .flat_map(|n| [(8000.0 * (std::f64::consts::TAU * 440.0 * n as f64 / 48_000.0).sin()) as i16; 2])
            .collect();
        let mut packet = [0; 1500];
        let len = chrome.encode(&pcm, &mut packet).unwrap();
        let mut out = [0; MAX_SAMPLES];
        let samples = decoder.decode(&packet[..len], &mut out).unwrap();
        assert_eq!(samples, 160);
        heard.extend_from_slice(&out[..samples]);
    }
    assert!(share(&heard[1600..], 440.0) > 0.95);
}

/// Loses one frame of a tone that had changed in it, and returns the share of the new tone in what stands in its place.
fn rebuilt(fec: bool) -> f64 {
    let mut encoder = Encoder::new(OpusParams { fec, ..OpusParams::default() }).unwrap();
    encoder.set_loss_percent(20).unwrap();
    let packets: Vec<Vec<u8>> = (0..40)
        .map(|n| {
            let mut out = [0; 400];
            let hz = if n < 30 { 300.0 } else { 1000.0 };
            let len = encoder.encode(&tone(hz, 160, n * 160), &mut out).unwrap();
            out[..len].to_vec()
        })
        .collect();
    let mut out = [0; 160];
    let mut decoder = Decoder::new().unwrap();
    for packet in &packets[..30] {
        decoder.decode(packet, &mut out).unwrap();
    }
    // Packets 30 and 31 are lost: the decoder has never heard the second tone.
    decoder.conceal(&mut out).unwrap();
    assert_eq!(decoder.decode_fec(&packets[32], &mut out), Ok(160));
    share(&out, 1000.0)
}

#[test]
fn a_lost_frame_is_rebuilt_from_the_fec_of_the_next_packet() {
    let (with, without) = (rebuilt(true), rebuilt(false));
    assert!(with > 0.2 && without < 0.01, "with {with}, without {without}");
}

#[test]
fn concealment_goes_on_with_what_was_heard() {
    let mut decoder = Decoder::new().unwrap();
    let mut out = [0; 160];
    for packet in encoded(OpusParams::default(), 20, 0) {
        decoder.decode(&packet, &mut out).unwrap();
    }
    assert_eq!(decoder.conceal(&mut out), Ok(160));
    assert!(share(&out, 440.0) > 0.5, "{}", share(&out, 440.0));
    assert_eq!(decoder.conceal(&mut [0; 480]), Ok(480));
}

#[test]
fn loss_is_told_to_the_encoder_only_where_fec_is_wanted() {
    for (fec, wanted) in [(true, 15), (false, 0)] {
        let mut encoder = Encoder::new(OpusParams { fec, ..OpusParams::default() }).unwrap();
        encoder.set_loss_percent(15).unwrap();
        assert_eq!(encoder.inner.get_packet_loss_perc().unwrap(), wanted);
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let wild = OpusParams { complexity: 11, ..OpusParams::default() };
    assert!(matches!(Encoder::new(wild), Err(CodecError::Settings(_))));
    let wild = OpusParams { bitrate_bps: u32::MAX, ..OpusParams::default() };
    assert!(matches!(Encoder::new(wild), Err(CodecError::Settings(_))));
}

#[test]
fn silence_under_dtx_becomes_packets_of_at_most_two_octets() {
    let mut encoder = Encoder::new(OpusParams { dtx: true, ..OpusParams::default() }).unwrap();
    let lengths: Vec<_> = (0..50).map(|_| encoder.encode(&[0; 160], &mut [0; 400]).unwrap()).collect();
    assert!(lengths.iter().any(|len| *len <= 2), "{lengths:?}");
}

#[test]
fn malformed_packets_and_small_outputs_are_refused_and_leave_the_state_good() {
    let mut decoder = Decoder::new().unwrap();
    let mut out = [0; MAX_SAMPLES];
    assert_eq!(decoder.decode(&[], &mut out), Err(CodecError::Malformed), "no packet is no loss");
    assert_eq!(decoder.decode(&[0xff], &mut out), Err(CodecError::Malformed), "code 3 without its count");
    assert_eq!(decoder.decode(&[0xff, 0x00], &mut out), Err(CodecError::Malformed), "code 3 of no frames");
    assert_eq!(packet_samples(&[0x1b, 0x3f]), None, "63 frames of 60 ms");
    let packet = &encoded(OpusParams::default(), 1, 0)[0];
    assert_eq!(decoder.decode(packet, &mut [0; 159]), Err(CodecError::NoRoom));
    assert_eq!(decoder.decode(packet, &mut out), Ok(160));
}
