//! `[opus]`, `[[trunk]] opus` and `[[dn]] opus`: how Opus is spoken with browsers; and the codecs of a DN.

use serde::Deserialize;

use super::check::File;
use super::{Config, ConfigError};
use crate::gateway::{BrowserCodec, OpusTerms};

/// `[opus]`: how Opus is spoken with browsers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OpusConfig {
    /// Bit rate in bit/s, both asked for and sent.
    pub bitrate: u32,
    /// Encoder complexity, 0 to 10.
    pub complexity: u8,
    /// In-band forward error correction.
    pub fec: bool,
    /// Discontinuous transmission, offered and used where the browser takes it.
    pub dtx: bool,
    /// Length of packets, sent and asked for, ms: 20 or 40.
    pub frame_ms: u8,
    /// Asks browsers for narrow band where the other leg is narrow-band.
    pub narrowband: bool,
}

impl Default for OpusConfig {
    fn default() -> Self {
        let params = crate::plan::OpusParams::default();
        OpusConfig {
            bitrate: params.bitrate_bps,
            complexity: params.complexity,
            fec: params.fec,
            dtx: params.dtx,
            frame_ms: 20,
            narrowband: true,
        }
    }
}

impl OpusConfig {
    /// Returns the parameters for the media plan.
    pub fn params(&self) -> crate::plan::OpusParams {
        let OpusConfig { bitrate, complexity, fec, dtx, .. } = *self;
        crate::plan::OpusParams { bitrate_bps: bitrate, complexity, fec, dtx }
    }
}

/// `opus` of a trunk or a DN: what is not said is for the next one to say: DN, trunk, `[opus]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OpusOverride {
    /// See [`OpusConfig::bitrate`].
    pub bitrate: Option<u32>,
    /// See [`OpusConfig::complexity`].
    pub complexity: Option<u8>,
    /// See [`OpusConfig::fec`].
    pub fec: Option<bool>,
    /// See [`OpusConfig::dtx`].
    pub dtx: Option<bool>,
    /// See [`OpusConfig::frame_ms`].
    pub frame_ms: Option<u8>,
    /// See [`OpusConfig::narrowband`].
    pub narrowband: Option<bool>,
}

impl From<OpusOverride> for OpusTerms {
    fn from(own: OpusOverride) -> OpusTerms {
        OpusTerms {
            bitrate_bps: own.bitrate,
            complexity: own.complexity,
            fec: own.fec,
            dtx: own.dtx,
            ptime_ms: own.frame_ms,
            narrowband: own.narrowband,
        }
    }
}

/// A codec towards the browsers of a DN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BrowserCodecConfig {
    /// Opus, transcoded to what the trunk speaks.
    Opus,
    /// µ-law, straight through to a trunk that speaks it.
    Pcmu,
    /// A-law, the same.
    Pcma,
}

impl BrowserCodecConfig {
    /// Returns all, Opus first.
    pub(super) fn all() -> Vec<BrowserCodecConfig> {
        vec![BrowserCodecConfig::Opus, BrowserCodecConfig::Pcmu, BrowserCodecConfig::Pcma]
    }
}

impl From<BrowserCodecConfig> for BrowserCodec {
    fn from(codec: BrowserCodecConfig) -> BrowserCodec {
        match codec {
            BrowserCodecConfig::Opus => BrowserCodec::Opus,
            BrowserCodecConfig::Pcmu => BrowserCodec::Pcmu,
            BrowserCodecConfig::Pcma => BrowserCodec::Pcma,
        }
    }
}

impl Config {
    pub(super) fn check_opus(&self, file: &File) -> Result<(), ConfigError> {
        let OpusConfig { bitrate, complexity, frame_ms, .. } = self.opus;
        let all = OpusOverride {
            bitrate: Some(bitrate),
            complexity: Some(complexity),
            frame_ms: Some(frame_ms),
            ..OpusOverride::default()
        };
        check(&all, "opus", file)?;
        for (at, trunk) in self.trunks.iter().enumerate() {
            check(&trunk.opus, &format!("trunk[{at}].opus"), file)?;
        }
        for (at, dn) in self.dns.iter().enumerate() {
            check(&dn.opus, &format!("dn[{at}].opus"), file)?;
            let codecs = &dn.codecs;
            let twice = codecs.iter().enumerate().any(|(at, codec)| codecs[..at].contains(codec));
            let shown = format!("{codecs:?}").to_ascii_lowercase();
            let ok = !codecs.is_empty() && !twice;
            file.must(ok, format!("dn[{at}].codecs"), shown, "\"opus\", \"pcmu\", \"pcma\", at least one, each once")?;
        }
        Ok(())
    }
}

fn check(opus: &OpusOverride, key: &str, file: &File) -> Result<(), ConfigError> {
    let key = |name: &str| format!("{key}.{name}");
    let bitrate = opus.bitrate.unwrap_or(6_000);
    file.must((6_000..=510_000).contains(&bitrate), key("bitrate"), bitrate, "6000 to 510000 bit/s")?;
    let complexity = opus.complexity.unwrap_or(0);
    file.must(complexity <= 10, key("complexity"), complexity, "0 to 10")?;
    let frame_ms = opus.frame_ms.unwrap_or(20);
    file.must(matches!(frame_ms, 20 | 40), key("frame_ms"), frame_ms, "20 or 40")
}

#[cfg(test)]
mod tests;
