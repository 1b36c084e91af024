//! WAVE files (RIFF, little-endian): linear PCM of 8, 16, 24 or 32 bits and G.711, one or two channels.
//!
//! We do not read compressed formats, RF64 or floating point, because music on hold needs none of them: any tool writes PCM.

use super::g711;

/// Sampling rates that are read, Hz.
const RATES: std::ops::RangeInclusive<u32> = 4000..=192_000;
/// Longest sound, seconds.
const MAX_SECONDS: usize = 30 * 60;

const PCM: u16 = 1;
const ALAW: u16 = 6;
const ULAW: u16 = 7;
/// The format stands in the first two octets of the sub-format.
const EXTENSIBLE: u16 = 0xFFFE;

/// Why a file was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WavError {
    /// Not `RIFF … WAVE`.
    #[error("not a WAVE file")]
    NotWave,
    /// A chunk is missing or cut short: `fmt `, `data`.
    #[error("the chunk \"{0}\" is missing or cut short")]
    Chunk(&'static str),
    /// Neither linear PCM nor G.711.
    #[error("format {tag} with {bits} bits; allowed: PCM of 8, 16, 24 or 32 bits, A-law, µ-law")]
    Format {
        /// Format tag.
        tag: u16,
        /// Bits per sample.
        bits: u16,
    },
    /// Neither mono nor stereo.
    #[error("{0} channels; allowed: 1 or 2")]
    Channels(u16),
    /// Beyond 4 to 192 kHz.
    #[error("{0} Hz; allowed: 4000 to 192000")]
    Rate(u32),
    /// Longer than half an hour.
    #[error("longer than 30 minutes")]
    TooLong,
}

/// A sound as it stands in its file, its channels averaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wav {
    /// Sampling rate, Hz.
    pub rate_hz: u32,
    /// Samples, mono.
    pub pcm: Vec<i16>,
}

#[derive(Clone, Copy)]
struct Format {
    encoding: Encoding,
    channels: usize,
    rate_hz: u32,
}

#[derive(Clone, Copy)]
enum Encoding {
    /// Bytes per sample, 1 to 4.
    Linear(usize),
    Alaw,
    Ulaw,
}

/// Reads a file. A `data` chunk that claims more than there is (as programs write that cannot seek) is what is there.
pub fn read(file: &[u8]) -> Result<Wav, WavError> {
    let chunks = file.strip_prefix(b"RIFF").and_then(|rest| rest.get(4..)).and_then(|rest| rest.strip_prefix(b"WAVE"));
    let mut rest = chunks.ok_or(WavError::NotWave)?;
    let mut format = None;
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, size @ ..] = *head;
        let size = usize::try_from(u32::from_le_bytes(size)).unwrap_or(usize::MAX);
        let chunk = body.get(..size.min(body.len())).unwrap_or_default();
        match &[a, b, c, d] {
            b"fmt " if format.is_none() => format = Some(read_format(chunk)?),
            b"data" => return decode(format.ok_or(WavError::Chunk("fmt "))?, chunk),
            _ => {}
        }
        // Chunks begin at even places.
        rest = body.get(size.saturating_add(size & 1)..).unwrap_or_default();
    }
    Err(WavError::Chunk(if format.is_some() { "data" } else { "fmt " }))
}

fn read_format(chunk: &[u8]) -> Result<Format, WavError> {
    let word = |at: usize| Some(u16::from_le_bytes(*chunk.get(at..)?.first_chunk()?));
    let cut = WavError::Chunk("fmt ");
    let (tag, channels, bits) = (word(0).ok_or(cut)?, word(2).ok_or(cut)?, word(14).ok_or(cut)?);
    let rate_hz = u32::from(word(4).ok_or(cut)?) | u32::from(word(6).ok_or(cut)?) << 16;
    let tag = if tag == EXTENSIBLE { word(24).ok_or(cut)? } else { tag };
    let encoding = match (tag, bits) {
        (PCM, 8 | 16 | 24 | 32) => Encoding::Linear(usize::from(bits) / 8),
        (ALAW, 8) => Encoding::Alaw,
        (ULAW, 8) => Encoding::Ulaw,
        _ => return Err(WavError::Format { tag, bits }),
    };
    if !(1..=2).contains(&channels) {
        return Err(WavError::Channels(channels));
    }
    if !RATES.contains(&rate_hz) {
        return Err(WavError::Rate(rate_hz));
    }
    Ok(Format { encoding, channels: usize::from(channels), rate_hz })
}

fn decode(format: Format, data: &[u8]) -> Result<Wav, WavError> {
    let bytes = match format.encoding {
        Encoding::Linear(bytes) => bytes,
        Encoding::Alaw | Encoding::Ulaw => 1,
    };
    let frames = data.chunks_exact(bytes * format.channels);
    if frames.len() / format.rate_hz as usize >= MAX_SECONDS {
        return Err(WavError::TooLong);
    }
    let sample = |octets: &[u8]| -> i32 {
        let mut law = [0; 1];
        match (format.encoding, octets) {
            (Encoding::Ulaw, octets) => g711::decode_ulaw(octets, &mut law),
            (Encoding::Alaw, octets) => g711::decode_alaw(octets, &mut law),
            // 8 bits are without sign; of more than 16 the upper ones are taken.
            (Encoding::Linear(_), [one]) => return (i32::from(*one) - 128) << 8,
            (Encoding::Linear(_), [.., low, high]) => return i32::from(i16::from_le_bytes([*low, *high])),
            (Encoding::Linear(_), []) => return 0,
        };
        i32::from(law[0])
    };
    let mix = |frame: &[u8]| frame.chunks_exact(bytes).map(sample).sum::<i32>() / format.channels as i32;
    Ok(Wav { rate_hz: format.rate_hz, pcm: frames.map(|frame| mix(frame) as i16).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut format = Vec::new();
        format.extend(tag.to_le_bytes());
        format.extend(channels.to_le_bytes());
        format.extend(rate.to_le_bytes());
        format.extend((rate * u32::from(channels * bits / 8)).to_le_bytes());
        format.extend((channels * bits / 8).to_le_bytes());
        format.extend(bits.to_le_bytes());
        let chunk = |name: &[u8], body: &[u8]| {
            let mut chunk = [name, &(body.len() as u32).to_le_bytes(), body].concat();
            chunk.resize(chunk.len().next_multiple_of(2), 0);
            chunk
        };
        let body = [b"WAVE".to_vec(), chunk(b"LIST", b"odd"), chunk(b"fmt ", &format), chunk(b"data", data)].concat();
        [b"RIFF", &(body.len() as u32).to_le_bytes()[..], &body].concat()
    }

    fn pcm(tag: u16, channels: u16, bits: u16, data: &[u8]) -> Vec<i16> {
        read(&file(tag, channels, 8000, bits, data)).expect("a sound").pcm
    }

    #[test]
    fn every_encoding_is_read() {
        assert_eq!(pcm(1, 1, 8, &[0, 128, 255]), [-32_768, 0, 32_512]);
        assert_eq!(pcm(1, 1, 16, &[0x34, 0x12, 0xFF, 0xFF]), [0x1234, -1]);
        assert_eq!(pcm(1, 1, 24, &[9, 0x34, 0x12]), [0x1234]);
        assert_eq!(pcm(1, 1, 32, &[9, 9, 0x34, 0x12]), [0x1234]);
        assert_eq!(pcm(1, 2, 16, &[100, 0, 0x9C, 0xFF, 100, 0, 200, 0]), [0, 150], "two channels are averaged");
        assert_eq!(pcm(7, 1, 8, &[0x80, 0xFF]), [32_124, 0]);
        assert_eq!(pcm(6, 1, 8, &[0xAA, 0xD5]), [32_256, 8]);
    }

    #[test]
    fn an_extensible_format_is_what_its_sub_format_says() {
        let mut wave = file(0xFFFE, 1, 44_100, 16, &[1, 0]);
        let at = wave.windows(4).position(|four| four == b"fmt ").expect("a format");
        wave[at + 4..at + 8].copy_from_slice(&40u32.to_le_bytes());
        let mut more = vec![22, 0, 16, 0, 4, 0, 0, 0, 1, 0];
        more.resize(24, 0);
        wave.splice(at + 24..at + 24, more);
        assert_eq!(read(&wave), Ok(Wav { rate_hz: 44_100, pcm: vec![1] }));
    }

    #[test]
    fn a_data_chunk_that_claims_too_much_is_what_is_there() {
        let mut wave = file(1, 1, 8000, 16, &[1, 0, 2, 0, 3]);
        let at = wave.windows(4).position(|four| four == b"data").expect("data");
        wave[at + 4..at + 8].copy_from_slice(&u32::MAX.to_le_bytes());
        wave.truncate(at + 8 + 5);
        assert_eq!(read(&wave).expect("a sound").pcm, [1, 2]);
    }

    #[test]
    fn what_is_no_sound_is_refused_by_its_reason() {
        assert_eq!(read(b"OggS"), Err(WavError::NotWave));
        assert_eq!(read(b"RIFF\0\0\0\0WAVE"), Err(WavError::Chunk("fmt ")));
        let good = file(1, 1, 8000, 16, &[0; 4]);
        assert_eq!(read(&good[..good.len() - 12]), Err(WavError::Chunk("data")));
        assert_eq!(read(&file(3, 1, 8000, 32, &[])), Err(WavError::Format { tag: 3, bits: 32 }));
        assert_eq!(read(&file(1, 1, 8000, 12, &[])), Err(WavError::Format { tag: 1, bits: 12 }));
        assert_eq!(read(&file(1, 6, 8000, 16, &[])), Err(WavError::Channels(6)));
        assert_eq!(read(&file(1, 0, 8000, 16, &[])), Err(WavError::Channels(0)));
        assert_eq!(read(&file(1, 1, 0, 16, &[])), Err(WavError::Rate(0)));
        assert_eq!(read(&file(1, 1, 4000, 8, &vec![0; 4000 * MAX_SECONDS])), Err(WavError::TooLong));
    }

    #[test]
    fn every_prefix_of_a_file_is_refused_or_read_without_a_panic() {
        let wave = file(1, 2, 8000, 16, &[7; 32]);
        for len in 0..wave.len() {
            let read = read(&wave[..len]);
            assert!(read.map_or(0, |wav| wav.pcm.len()) <= 8);
        }
    }
}
