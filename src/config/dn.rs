//! Directory numbers, singly and as ranges, and their secrets.

use serde::Deserialize;

use super::{AuthAlgorithm, BrowserCodecConfig, Config, OpusOverride};
use crate::call::AnswerMode;

/// A password or HA1; never shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One number, or a range of numbers of the same length.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DnRange {
    first: String,
    last: String,
}

impl TryFrom<String> for DnRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_number = |s: &str| (1..=18).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        if is_number(first) && is_number(last) && first.len() == last.len() && first <= last {
            Ok(DnRange { first: first.to_owned(), last: last.to_owned() })
        } else {
            Err(format!("not a number; allowed: digits, or \"first-last\" of the same length, got \"{text}\""))
        }
    }
}

impl DnRange {
    /// Returns true where the number is in the range.
    pub fn contains(&self, number: &str) -> bool {
        // Digits of the same length compare as numbers do.
        number.len() == self.first.len()
            && number.bytes().all(|b| b.is_ascii_digit())
            && (self.first.as_str()..=self.last.as_str()).contains(&number)
    }

    /// Returns true for a single number.
    pub fn is_single(&self) -> bool {
        self.first == self.last
    }

    /// Returns the ends.
    pub fn ends(&self) -> (&str, &str) {
        (&self.first, &self.last)
    }

    pub(super) fn overlaps(&self, other: &DnRange) -> bool {
        self.contains(&other.first) || other.contains(&self.first)
    }

    /// Returns the name that the range has in environment variables: `5001`, `5001_5999`.
    pub(super) fn variable(&self) -> String {
        if self.is_single() { self.first.clone() } else { format!("{}_{}", self.first, self.last) }
    }
}

impl std::fmt::Display for DnRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_single() { f.write_str(&self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// `[[dn]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnEntry {
    /// `"5001"` or `"5001-5999"`.
    pub number: DnRange,
    /// Password.
    pub secret: Option<Secret>,
    /// Hash of `number:domain:password` in hex, for a single number.
    pub ha1: Option<Secret>,
    /// Digest algorithm; the listener's where it is not said.
    pub auth: Option<AuthAlgorithm>,
    /// Seconds before 480; `limits.ring_seconds` where it is not said.
    pub ring_seconds: Option<u32>,
    /// Beginnings of the numbers that may be dialled; all where it is not said.
    pub dial: Option<Vec<String>>,
    /// Password of the DN's own requests to trunks.
    pub trunk_secret: Option<Secret>,
    /// How the phone is made to answer by NOTIFY talk.
    #[serde(default)]
    pub answer: Answer,
    /// A phone of another make that lost its dialogs is sent a new INVITE for its call.
    #[serde(default)]
    pub resume: bool,
    /// How Opus is spoken with its phones; the trunk's terms where it is not said.
    #[serde(default)]
    pub opus: OpusOverride,
    /// Codecs towards its phones in order of preference.
    #[serde(default = "BrowserCodecConfig::all")]
    pub codecs: Vec<BrowserCodecConfig>,
    /// Calls at a time of one DN.
    #[serde(default = "calls")]
    pub calls: usize,
}

fn calls() -> usize {
    10
}

/// `[[dn]] answer`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The page that the browser runs is told.
    #[default]
    Page,
    /// The phone is called when it is to answer, with headers by which it does so by itself.
    Deferred,
    /// One leg of the phone stands from call to call.
    Nailed,
}

impl From<Answer> for AnswerMode {
    fn from(answer: Answer) -> AnswerMode {
        match answer {
            Answer::Page => AnswerMode::Page,
            Answer::Deferred => AnswerMode::Deferred,
            Answer::Nailed => AnswerMode::Nailed,
        }
    }
}

/// What is known of one DN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dn<'a> {
    /// Password, where it is known.
    pub secret: Option<&'a str>,
    /// HA1 in hex, where the password is not.
    pub ha1: Option<&'a str>,
    /// Algorithm; `None`: the listener's.
    pub auth: Option<AuthAlgorithm>,
    /// Seconds before 480.
    pub ring_seconds: u32,
    /// How the phone is made to answer by NOTIFY talk.
    pub answer: Answer,
    /// Sent a new INVITE after a page reload.
    pub resume: bool,
}

impl Config {
    /// Looks up a DN by its number.
    pub fn dn(&self, number: &str) -> Option<Dn<'_>> {
        let entry = self.dn_entry(number)?;
        let own = self.overrides.get(number).or(entry.secret.as_ref());
        Some(Dn {
            secret: own.map(|s| s.0.as_str()),
            ha1: entry.ha1.as_ref().filter(|_| own.is_none()).map(|s| s.0.as_str()),
            auth: entry.auth,
            ring_seconds: entry.ring_seconds.unwrap_or(self.limits.ring_seconds),
            answer: entry.answer,
            resume: entry.resume,
        })
    }

    /// Returns the entry of a number.
    pub fn dn_entry(&self, number: &str) -> Option<&DnEntry> {
        self.dns.iter().find(|d| d.number.contains(number))
    }

    /// Returns the secrets that the environment gives to single numbers of a range, by number.
    pub fn single_secrets(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.overrides.iter().map(|(number, secret)| (number.as_str(), secret))
    }

    /// Takes secrets out of the environment: `CROSSPOINT_DN_<number>_SECRET`, `CROSSPOINT_DN_<first>_<last>_SECRET` for
    /// a whole entry, and `CROSSPOINT_DN_SECRET` for entries without any.
    pub(super) fn take_environment(&mut self, environment: impl IntoIterator<Item = (String, String)>) {
        let mut general = None;
        for (name, value) in environment {
            let Some(rest) = name.strip_prefix("CROSSPOINT_DN_") else { continue };
            if rest == "SECRET" {
                general = Some(Secret(value));
            } else if let Some(which) = rest.strip_suffix("_SECRET") {
                match self.dns.iter_mut().find(|d| d.number.variable() == which) {
                    Some(entry) => {
                        entry.secret = Some(Secret(value));
                        entry.ha1 = None;
                    }
                    None => {
                        self.overrides.insert(which.to_owned(), Secret(value));
                    }
                }
            }
        }
        if let Some(secret) = general {
            for entry in self.dns.iter_mut().filter(|d| d.secret.is_none() && d.ha1.is_none()) {
                entry.secret = Some(secret.clone());
            }
        }
    }
}
