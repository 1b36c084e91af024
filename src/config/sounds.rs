//! `[sounds]`, `[hold]`, `[tones]`: what a party hears that nobody speaks to.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Config, ConfigError};
use crate::call::{ToneError, Tones};
use crate::plan::{Cadence, SoundId, Source};

/// An entry of `[sounds]`: `name = "file"` or `name = { file = "file", gain_db = -6 }`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "SoundShape")]
pub struct SoundConfig {
    /// A WAVE file.
    pub file: PathBuf,
    /// Made louder by so much.
    pub gain_db: i8,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "\"file\" or { file = \"file\", gain_db = 0 }")]
enum SoundShape {
    File(PathBuf),
    Table(SoundTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SoundTable {
    file: PathBuf,
    #[serde(default)]
    gain_db: i8,
}

impl From<SoundShape> for SoundConfig {
    fn from(shape: SoundShape) -> Self {
        match shape {
            SoundShape::File(file) => SoundConfig { file, gain_db: 0 },
            SoundShape::Table(SoundTable { file, gain_db }) => SoundConfig { file, gain_db },
        }
    }
}

/// `[hold]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HoldConfig {
    /// What a party on hold hears, where its trunk does not say.
    pub music: HoldMusic,
}

/// What a party on hold hears.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum HoldMusic {
    /// Nothing is sent.
    #[default]
    Silence,
    /// A tone pattern.
    Tone(Cadence),
    /// An entry of `[sounds]`.
    Sound(String),
}

impl TryFrom<String> for HoldMusic {
    type Error = ToneError;

    fn try_from(text: String) -> Result<Self, ToneError> {
        match text.strip_prefix("tone:") {
            Some(cadence) => cadence.parse().map(HoldMusic::Tone),
            None if text == "silence" => Ok(HoldMusic::Silence),
            None => Ok(HoldMusic::Sound(text)),
        }
    }
}

/// A cadence in its notation: `440+480/2000,0/4000`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct CadenceConfig(pub Cadence);

impl TryFrom<String> for CadenceConfig {
    type Error = ToneError;

    fn try_from(text: String) -> Result<Self, ToneError> {
        text.parse().map(CadenceConfig)
    }
}

/// `[tones]`: call-progress tones.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TonesConfig {
    /// Whose tones.
    pub country: String,
    /// Level of each sine, dBm0.
    pub level_dbm0: i8,
    /// In place of the country's dial tone.
    pub dial: Option<CadenceConfig>,
    /// In place of the country's ringback tone.
    pub ringback: Option<CadenceConfig>,
    /// In place of the country's busy tone.
    pub busy: Option<CadenceConfig>,
    /// In place of the country's congestion tone.
    pub congestion: Option<CadenceConfig>,
    /// In place of the special information tone.
    pub special_information: Option<CadenceConfig>,
}

impl Default for TonesConfig {
    fn default() -> Self {
        TonesConfig {
            country: "us".to_owned(),
            level_dbm0: crate::call::tones::LEVEL_DBM0,
            dial: None,
            ringback: None,
            busy: None,
            congestion: None,
            special_information: None,
        }
    }
}

impl TonesConfig {
    /// Returns the tones; those of an unknown country are the default.
    pub fn tones(&self) -> Tones {
        let mut tones = Tones::of_country(&self.country).unwrap_or_default();
        for (own, tone) in [
            (&self.dial, &mut tones.dial),
            (&self.ringback, &mut tones.ringback),
            (&self.busy, &mut tones.busy),
            (&self.congestion, &mut tones.congestion),
            (&self.special_information, &mut tones.special_information),
        ] {
            if let Some(CadenceConfig(own)) = own {
                tone.clone_from(own);
            }
        }
        tones.at_level(self.level_dbm0)
    }
}

impl Config {
    /// Returns the source for what is heard on hold; sounds are named by their place in `[sounds]`, in order of name.
    pub fn hold_source(&self, music: &HoldMusic) -> Source {
        match music {
            HoldMusic::Silence => Source::Nothing,
            HoldMusic::Tone(cadence) => Source::Tone(cadence.clone()),
            HoldMusic::Sound(name) => {
                let place = self.sounds.keys().position(|known| known == name).and_then(|at| u32::try_from(at).ok());
                place.map_or(Source::Nothing, |place| Source::Sound(SoundId(place)))
            }
        }
    }

    pub(super) fn check_sounds(&self, file: &super::check::File) -> Result<(), ConfigError> {
        for (name, sound) in &self.sounds {
            let ok = (-40..=20).contains(&sound.gain_db);
            file.must(ok, format!("sounds.{name}.gain_db"), sound.gain_db, "-40 to 20")?;
            let ok = name != "silence" && !name.starts_with("tone:");
            file.must(ok, "sounds", name, "a name that is neither silence nor begins with tone:")?;
        }
        let of_trunks = self.trunks.iter().enumerate();
        let of_trunks =
            of_trunks.filter_map(|(at, t)| Some((format!("trunk[{at}].hold_music"), t.hold_music.as_ref()?)));
        for (key, music) in of_trunks.chain([("hold.music".to_owned(), &self.hold.music)]) {
            if let HoldMusic::Sound(name) = music {
                let allowed = "\"silence\", \"tone:hz/ms,0/ms\", or a name of [sounds]";
                file.must(self.sounds.contains_key(name), key, name, allowed)?;
            }
        }
        let tones = &self.tones;
        let known: Vec<_> = Tones::countries().collect();
        let ok = known.iter().any(|name| name.eq_ignore_ascii_case(&tones.country));
        file.must(ok, "tones.country", &tones.country, &known.join(", "))?;
        file.must((-40..=0).contains(&tones.level_dbm0), "tones.level_dbm0", tones.level_dbm0, "-40 to 0 dBm0")
    }
}
