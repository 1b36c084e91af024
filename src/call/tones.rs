//! Call-progress tones by country (ITU-T E.180, Supplement 2 to the E.180 series), and the notation of a cadence.
//!
//! We do not modulate amplitudes: where a country does (India, Japan, South Africa), two tones stand that far apart, whose
//! beat sounds the same.

use std::str::FromStr;
use std::time::Duration;

use crate::plan::{Cadence, TonePart};

/// Level of each sine where nothing else is said.
pub const LEVEL_DBM0: i8 = -13;
/// Parts that a cadence may have.
const MAX_PARTS: usize = 32;
/// The top of the telephone band at 8 kHz, Hz.
const MAX_HZ: u16 = 3999;
/// Longest part, ms.
const MAX_MS: u64 = 60_000;
/// The special information tone is the same everywhere (E.180 3.6).
const SPECIAL: &str = "950/330,1400/330,1800/330,0/1000";

/// What is wrong with the notation of a cadence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToneError {
    /// A frequency that is no number, or beyond the telephone band.
    #[error("a frequency is 0 (silence) to 3999 Hz, two of them joined by +")]
    Frequency,
    /// A length that is no number, none, or too long.
    #[error("a length is 1 to 60000 ms")]
    Length,
    /// No part, or too many of them.
    #[error("a cadence has 1 to 32 parts, parted by commas")]
    Parts,
}

impl FromStr for Cadence {
    type Err = ToneError;

    /// Reads `hz[+hz][/ms]` parts with commas between: `440+480/2000,0/4000`. A part without a length lasts for ever.
    /// The level is [`LEVEL_DBM0`].
    fn from_str(text: &str) -> Result<Self, ToneError> {
        let mut parts = Vec::new();
        for part in text.split(',') {
            if parts.len() == MAX_PARTS {
                return Err(ToneError::Parts);
            }
            parts.push(read_part(part.trim())?);
        }
        Ok(Cadence { parts, level_dbm0: LEVEL_DBM0 })
    }
}

fn read_part(text: &str) -> Result<TonePart, ToneError> {
    if text.is_empty() {
        return Err(ToneError::Parts);
    }
    let (tones, length) = match text.split_once('/') {
        Some((tones, ms)) => {
            let ms = ms.parse().ok().filter(|ms| (1..=MAX_MS).contains(ms)).ok_or(ToneError::Length)?;
            (tones, Duration::from_millis(ms))
        }
        None => (text, Duration::MAX),
    };
    let read = |hz: &str| hz.parse().ok().filter(|hz| *hz <= MAX_HZ).ok_or(ToneError::Frequency);
    let hz = match tones.split_once('+') {
        Some((one, other)) => [read(one)?, read(other)?],
        None => [read(tones)?, 0],
    };
    Ok(TonePart { hz, length })
}

/// What a caller hears of the progress of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tones {
    /// A number may be dialled.
    pub dial: Cadence,
    /// The called party is being alerted.
    pub ringback: Cadence,
    /// The called party is engaged.
    pub busy: Cadence,
    /// The call could not be carried.
    pub congestion: Cadence,
    /// The number is not in use.
    pub special_information: Cadence,
}

impl Tones {
    /// Returns the tones of a country, named by its two letters (ISO 3166-1) or `uk`.
    pub fn of_country(country: &str) -> Option<Tones> {
        let row = COUNTRIES.iter().find(|row| row.0.split(' ').any(|name| name.eq_ignore_ascii_case(country)))?;
        let read = |text: &str| text.parse().ok();
        Some(Tones {
            dial: read(row.1)?,
            ringback: read(row.2)?,
            busy: read(row.3)?,
            congestion: read(row.4)?,
            special_information: read(SPECIAL)?,
        })
    }

    /// Returns the names of the countries that are known.
    pub fn countries() -> impl Iterator<Item = &'static str> {
        COUNTRIES.iter().flat_map(|row| row.0.split(' '))
    }

    /// Sets the level of every sine, dBm0.
    pub fn at_level(mut self, level_dbm0: i8) -> Tones {
        for cadence in
            [&mut self.dial, &mut self.ringback, &mut self.busy, &mut self.congestion, &mut self.special_information]
        {
            cadence.level_dbm0 = level_dbm0;
        }
        self
    }
}

impl Default for Tones {
    /// Returns those of the United States.
    fn default() -> Self {
        Tones::of_country("us").expect("the table has it, and its test reads every row")
    }
}

/// Names, dial tone, ringback, busy, congestion.
const COUNTRIES: &[(&str, &str, &str, &str, &str)] = &[
    ("at", "420", "420/1000,0/5000", "420/400,0/400", "420/200,0/200"),
    ("au", "413+438", "413+438/400,0/200,413+438/400,0/2000", "425/375,0/375", "425/375,0/375"),
    ("be", "425", "425/1000,0/3000", "425/500,0/500", "425/167,0/167"),
    ("br", "425", "425/1000,0/4000", "425/250,0/250", "425/250,0/250,425/750,0/250"),
    ("ch", "425", "425/1000,0/4000", "425/500,0/500", "425/200,0/200"),
    ("cn", "450", "450/1000,0/4000", "450/350,0/350", "450/700,0/700"),
    ("cz", "425/330,0/330,425/660,0/660", "425/1000,0/4000", "425/330,0/330", "425/165,0/165"),
    ("de", "425", "425/1000,0/4000", "425/480,0/480", "425/240,0/240"),
    ("dk", "425", "425/1000,0/4000", "425/500,0/500", "425/200,0/200"),
    ("es", "425", "425/1500,0/3000", "425/200,0/200", "425/200,0/200,425/200,0/200,425/200,0/600"),
    ("fi", "425", "425/1000,0/4000", "425/300,0/300", "425/200,0/200"),
    ("fr", "440", "440/1500,0/3500", "440/500,0/500", "440/250,0/250"),
    ("gb uk", "350+440", "400+450/400,0/200,400+450/400,0/2000", "400/375,0/375", "400/400,0/350,400/225,0/525"),
    ("gr", "425/200,0/300,425/700,0/800", "425/1000,0/4000", "425/300,0/300", "425/200,0/200"),
    ("hu", "425", "425/1250,0/3750", "425/300,0/300", "425/300,0/300"),
    ("il", "414", "414/1000,0/3000", "414/500,0/500", "414/250,0/250"),
    ("in", "400+425", "400+425/400,0/200,400+425/400,0/2000", "400/750,0/750", "400/250,0/250"),
    ("it", "425/200,0/200,425/600,0/1000", "425/1000,0/4000", "425/500,0/500", "425/200,0/200"),
    ("jp", "400", "400+416/1000,0/2000", "400/500,0/500", "400/500,0/500"),
    ("mx", "425", "425/1000,0/4000", "425/250,0/250", "425/250,0/250"),
    ("nl", "425", "425/1000,0/4000", "425/500,0/500", "425/250,0/250"),
    ("no", "425", "425/1000,0/4000", "425/500,0/500", "425/200,0/200"),
    ("nz", "400", "400+450/400,0/200,400+450/400,0/2000", "400/500,0/500", "400/250,0/250"),
    ("pl", "425", "425/1000,0/4000", "425/500,0/500", "425/500,0/500"),
    ("pt", "425", "425/1000,0/5000", "425/500,0/500", "425/200,0/200"),
    ("ru", "425", "425/1000,0/4000", "425/400,0/400", "425/200,0/200"),
    ("se", "425", "425/1000,0/5000", "425/250,0/250", "425/250,0/750"),
    ("tr", "450", "450/2000,0/4000", "450/500,0/500", "450/200,0/200,450/200,0/200,450/200,0/200,450/600,0/200"),
    ("us ca", "350+440", "440+480/2000,0/4000", "480+620/500,0/500", "480+620/250,0/250"),
    ("za", "400+433", "400+433/400,0/200,400+433/400,0/2000", "400/500,0/500", "400/250,0/250"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_of_the_table_has_tones_that_sound_and_pause() {
        for country in Tones::countries() {
            let tones = Tones::of_country(country).unwrap_or_else(|| panic!("{country}"));
            for cadence in [&tones.ringback, &tones.busy, &tones.congestion, &tones.special_information] {
                assert!(cadence.parts.iter().any(|part| part.hz == [0, 0]), "{country}");
                assert!(cadence.parts.iter().any(|part| part.hz[0] >= 350), "{country}");
                assert!(cadence.parts.iter().all(|part| part.length < Duration::MAX), "{country}");
            }
            assert_ne!(tones.ringback, tones.busy, "{country}");
        }
        assert_eq!(Tones::of_country("UK"), Tones::of_country("gb"));
        assert_eq!(Tones::of_country("xx"), None);
    }

    #[test]
    fn a_cadence_is_read_as_it_is_written() {
        let part = |hz, ms| TonePart { hz, length: Duration::from_millis(ms) };
        let read = "440+480/2000, 0/4000".parse::<Cadence>();
        let parts = vec![part([440, 480], 2000), part([0, 0], 4000)];
        assert_eq!(read, Ok(Cadence { parts, level_dbm0: LEVEL_DBM0 }));
        let endless = TonePart { hz: [425, 0], length: Duration::MAX };
        assert_eq!("425".parse::<Cadence>().map(|cadence| cadence.parts), Ok(vec![endless]));
    }

    #[test]
    fn a_cadence_that_is_none_is_refused_by_its_reason() {
        let refused = |text: &str| text.parse::<Cadence>().expect_err(text);
        assert_eq!([refused(""), refused("425/1,,0/1"), refused(&"1/1,".repeat(40))], [ToneError::Parts; 3]);
        assert_eq!([refused("4000"), refused("-1/5"), refused("1+2+3"), refused("a")], [ToneError::Frequency; 4]);
        assert_eq!([refused("425/0"), refused("425/60001"), refused("425/x")], [ToneError::Length; 3]);
    }
}
