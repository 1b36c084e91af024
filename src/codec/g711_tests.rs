//! G.711 against the tables of its text, over every sample and every octet.

use super::*;

/// The positive half of a companding law as G.711's tables 1 and 2 state it: for each segment, where its steps begin and how
/// wide they are, in the law's own units; and the unit in 16-bit steps.
struct Law {
    segments: Vec<(i32, i32)>,
    unit: i32,
}

fn ulaw() -> Law {
    // Table 2: the first interval runs from 0 to 1, then 15 of 2, then 16 each of 4, 8, … 256, up to 8159.
    Law { segments: (0..8).map(|s| ((33 << s) - 33 - (1 << s), 2 << s)).collect(), unit: 4 }
}

fn alaw() -> Law {
    // Table 1: 32 of 2, then 16 each of 4, 8, … 128, up to 4096.
    Law { segments: (0..8).map(|s| if s == 0 { (0, 2) } else { (32 << (s - 1), 2 << (s - 1)) }).collect(), unit: 8 }
}

/// Code, lower and upper decision value, and output value of every positive interval, in 16-bit steps.
fn intervals(law: &Law) -> Vec<(u8, i32, i32, i32)> {
    let mut all = Vec::new();
    for (segment, (begin, width)) in law.segments.iter().enumerate() {
        for step in 0..16 {
            let lower = begin + step * width;
            let output = lower + width / 2;
            all.push((
                (segment as u8) << 4 | step as u8,
                lower.max(0) * law.unit,
                (lower + width) * law.unit,
                output * law.unit,
            ));
        }
    }
    all
}

fn reference(law: &Law, sample: i16) -> (bool, u8) {
    // One's complement: the interval of a negative sample mirrors that of the positive one.
    let magnitude = i32::from(sample ^ (sample >> 15));
    let all = intervals(law);
    let code = all.iter().find(|(_, lower, upper, _)| (*lower..*upper).contains(&magnitude)).map_or(0x7f, |i| i.0);
    (sample < 0, code)
}

#[test]
fn every_sample_falls_into_the_interval_of_g711_table_2() {
    let law = ulaw();
    for sample in i16::MIN..=i16::MAX {
        let (negative, code) = reference(&law, sample);
        let wanted = !(code | if negative { 0x80 } else { 0 });
        assert_eq!(compress_ulaw(sample), wanted, "{sample}");
    }
}

#[test]
fn every_sample_falls_into_the_interval_of_g711_table_1() {
    let law = alaw();
    for sample in i16::MIN..=i16::MAX {
        let (negative, code) = reference(&law, sample);
        let wanted = (code | if negative { 0 } else { 0x80 }) ^ 0x55;
        assert_eq!(compress_alaw(sample), wanted, "{sample}");
    }
}

#[test]
fn every_octet_expands_to_the_output_value_of_the_tables() {
    for (code, _, _, output) in intervals(&ulaw()) {
        assert_eq!(i32::from(ULAW[usize::from(!code)]), output);
        assert_eq!(i32::from(ULAW[usize::from(!(code | 0x80))]), -output);
    }
    for (code, _, _, output) in intervals(&alaw()) {
        assert_eq!(i32::from(ALAW[usize::from((code | 0x80) ^ 0x55)]), output);
        assert_eq!(i32::from(ALAW[usize::from(code ^ 0x55)]), -output);
    }
}

#[test]
fn known_values_of_both_laws_are_met() {
    assert_eq!((compress_ulaw(0), compress_ulaw(i16::MAX), compress_ulaw(i16::MIN)), (0xff, 0x80, 0x00));
    assert_eq!((compress_alaw(0), compress_alaw(i16::MAX), compress_alaw(i16::MIN)), (0xd5, 0xaa, 0x2a));
    assert_eq!((ULAW[0x80], ULAW[0x00], ULAW[0xff], ULAW[0x7f]), (32_124, -32_124, 0, 0));
    assert_eq!((ALAW[0xaa], ALAW[0x2a], ALAW[0xd5], ALAW[0x55]), (32_256, -32_256, 8, -8));
    assert_eq!((compress_ulaw(0), compress_alaw(0)), (ULAW_SILENCE, ALAW_SILENCE));
}

#[test]
fn octets_survive_expansion_and_compression_but_for_the_negative_zero_of_ulaw() {
    for octet in 0..=255u8 {
        let back = compress_ulaw(ULAW[usize::from(octet)]);
        assert_eq!(back, if octet == 0x7f { 0xff } else { octet });
        assert_eq!(compress_alaw(ALAW[usize::from(octet)]), octet);
    }
}

#[test]
fn what_was_companded_once_is_not_changed_by_doing_it_again() {
    for sample in i16::MIN..=i16::MAX {
        let once = ULAW[usize::from(compress_ulaw(sample))];
        assert_eq!(ULAW[usize::from(compress_ulaw(once))], once);
        let once = ALAW[usize::from(compress_alaw(sample))];
        assert_eq!(ALAW[usize::from(compress_alaw(once))], once);
    }
}

#[test]
fn conversion_between_the_laws_goes_by_the_nearest_value() {
    for octet in 0..=255u8 {
        let mut converted = [octet];
        ulaw_to_alaw(&mut converted);
        assert_eq!(converted[0], compress_alaw(ULAW[usize::from(octet)]));
        let mut converted = [octet];
        alaw_to_ulaw(&mut converted);
        assert_eq!(converted[0], compress_ulaw(ALAW[usize::from(octet)]));
    }
}

#[test]
fn frames_of_unequal_length_are_worked_to_the_shorter_one() {
    let pcm: Vec<i16> = (0..160).map(|n| n * 200 - 16_000).collect();
    let mut octets = [0; 150];
    assert_eq!(encode_ulaw(&pcm, &mut octets), 150);
    let mut back = [0; 200];
    assert_eq!(decode_ulaw(&octets, &mut back), 150);
    assert_eq!(encode_alaw(&pcm, &mut octets), 150);
    assert_eq!(decode_alaw(&octets, &mut back), 150);
    for (a, b) in pcm.iter().zip(&back[..150]) {
        assert!((i32::from(*a) - i32::from(*b)).abs() <= 16 + i32::from(a.unsigned_abs()) / 32, "{a} {b}");
    }
}
