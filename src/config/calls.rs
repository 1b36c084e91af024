//! `[calls]`: what becomes of calls whose browser is lost, and of those between two DNs; what is carried along.

use serde::Deserialize;

use super::{Config, ConfigError, TrunkConfig};
use crate::gateway::{Carry, LocalCalls};

/// `[calls]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallsConfig {
    /// Seconds that a call lives on after its browser's connection was lost; 0: none.
    pub grace_seconds: u32,
    /// Seconds that a browser hears busy or congestion before it is told that its call is refused, 0 to 30; 0: none.
    pub refusal_tone_seconds: u32,
    /// Whether calls between two DNs stay here.
    pub local_calls: LocalCallsConfig,
    /// Seconds that the target of a transfer may ring before the call is given back.
    pub transfer_seconds: u32,
    /// The others of a conference of three stay joined when the agent leaves.
    pub conference_stays: bool,
}

impl Default for CallsConfig {
    fn default() -> Self {
        CallsConfig {
            grace_seconds: 20,
            refusal_tone_seconds: 0,
            local_calls: LocalCallsConfig::Never,
            transfer_seconds: 60,
            conference_stays: false,
        }
    }
}

/// What becomes of a 3xx of the trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedirectsConfig {
    /// The number that it names is called at the same trunk.
    #[default]
    Follow,
    /// The browser's call is refused.
    Refuse,
}

/// Whether calls between two DNs stay here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocalCallsConfig {
    /// They go out to the trunk.
    #[default]
    Never,
    /// Only while the trunk is down.
    TrunkDown,
    /// Wherever the DN that is called is registered.
    Always,
}

impl From<LocalCallsConfig> for LocalCalls {
    fn from(local: LocalCallsConfig) -> LocalCalls {
        match local {
            LocalCallsConfig::Never => LocalCalls::Never,
            LocalCallsConfig::TrunkDown => LocalCalls::TrunkDown,
            LocalCallsConfig::Always => LocalCalls::Always,
        }
    }
}

impl TrunkConfig {
    /// Returns what is carried along.
    pub fn carried(&self) -> Carry {
        let all = Carry::default();
        Carry {
            inbound: self.carry.clone().unwrap_or(all.inbound),
            outbound: self.carry_out.clone().unwrap_or(all.outbound),
        }
    }
}

impl Config {
    pub(super) fn check_calls(&self, file: &super::check::File) -> Result<(), ConfigError> {
        let grace = self.calls.grace_seconds;
        file.must(grace <= 600, "calls.grace_seconds", grace, "0 to 600")?;
        let transfer = self.calls.transfer_seconds;
        file.must((5..=300).contains(&transfer), "calls.transfer_seconds", transfer, "5 to 300")?;
        let tone = self.calls.refusal_tone_seconds;
        file.must(tone <= 30, "calls.refusal_tone_seconds", tone, "0 to 30")?;
        for (at, trunk) in self.trunks.iter().enumerate() {
            let fields = [("carry", &trunk.carry), ("carry_out", &trunk.carry_out)];
            for (key, name) in fields.iter().flat_map(|(key, list)| list.iter().flatten().map(move |name| (key, name)))
            {
                let bare = name.strip_suffix('*').unwrap_or(name);
                let is_name = bare.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
                let ok = !bare.is_empty() && is_name && (bare != name.as_str() || Carry::is_carriable(bare));
                let allowed =
                    "a header field that belongs to the call, not to the dialog or the hop, or a beginning and *";
                file.must(ok, format!("trunk[{at}].{key}"), name, allowed)?;
            }
        }
        Ok(())
    }
}
