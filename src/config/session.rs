//! What calls to a trunk ask for: session timers (RFC 4028), acknowledged provisionals (RFC 3262).

use serde::Deserialize;

use super::check::File;
use super::{Config, ConfigError};
use crate::sip::endpoint::{Refresher, Reliable, SessionTimer};

/// `session` of a `[[trunk]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionConfig {
    /// Session-Expires, seconds; 0: none is asked for.
    pub seconds: u32,
    /// Min-SE, seconds.
    pub min_seconds: u32,
    /// Who refreshes.
    pub refresher: RefresherConfig,
    /// Whether provisionals are acknowledged.
    pub provisionals: ProvisionalsConfig,
}

impl Default for SessionConfig {
    fn default() -> Self {
        SessionConfig {
            seconds: 1800,
            min_seconds: 90,
            refresher: RefresherConfig::Any,
            provisionals: ProvisionalsConfig::No,
        }
    }
}

/// Who refreshes a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefresherConfig {
    /// The SIP Server chooses.
    #[default]
    Any,
    /// The gateway.
    Us,
    /// The SIP Server.
    Peer,
}

/// Whether provisionals to our INVITEs are acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProvisionalsConfig {
    /// 100rel is not spoken of.
    #[default]
    No,
    /// The SIP Server may.
    Supported,
    /// It must, or refuse.
    Required,
}

impl SessionConfig {
    /// Returns the session timer to ask for.
    pub fn timer(&self) -> Option<SessionTimer> {
        let refresher = match self.refresher {
            RefresherConfig::Any => None,
            RefresherConfig::Us => Some(Refresher::Us),
            RefresherConfig::Peer => Some(Refresher::Peer),
        };
        (self.seconds > 0).then_some(SessionTimer { interval_s: self.seconds, min_se_s: self.min_seconds, refresher })
    }

    /// Returns what is said of 100rel.
    pub fn reliable(&self) -> Reliable {
        match self.provisionals {
            ProvisionalsConfig::No => Reliable::No,
            ProvisionalsConfig::Supported => Reliable::Supported,
            ProvisionalsConfig::Required => Reliable::Required,
        }
    }
}

impl Config {
    pub(super) fn check_sessions(&self, file: &File) -> Result<(), ConfigError> {
        for (at, trunk) in self.trunks.iter().enumerate() {
            let key = |name: &str| format!("trunk[{at}].session.{name}");
            let session = &trunk.session;
            let least = session.min_seconds;
            file.must((90..=86_400).contains(&least), key("min_seconds"), least, "90 to 86400")?;
            let ok = session.seconds == 0 || (least..=86_400).contains(&session.seconds);
            file.must(ok, key("seconds"), session.seconds, &format!("0 (none), or {least} (min_seconds) to 86400"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(trunk: &str) -> Result<SessionConfig, String> {
        let text = format!(
            "[[trunk]]\nname = \"a\"\naddresses = [\"127.0.0.2:5060\"]\n{trunk}\n{}",
            "[[dn]]\nnumber = \"5001\"\nsecret = \"s\"\n[[listener]]\nbind = \"127.0.0.1:8443\"\n\
             [[sip]]\nbind = \"127.0.0.1:5060\"\n[media]\naddresses = [{ bind = \"127.0.0.1\" }]\n"
        );
        let config = Config::parse(&text, "f.toml", []).map_err(|error| error.to_string())?;
        Ok(config.trunks[0].session)
    }

    #[test]
    fn a_trunk_is_asked_for_half_an_hour_and_told_nothing_of_100rel() {
        let session = parse("").unwrap();
        let timer = SessionTimer { interval_s: 1800, min_se_s: 90, refresher: None };
        assert_eq!((session.timer(), session.reliable()), (Some(timer), Reliable::No));
    }

    #[test]
    fn each_key_is_read() {
        let keys = "session = { seconds = 600, min_seconds = 120, refresher = \"us\", provisionals = \"required\" }";
        let session = parse(keys).unwrap();
        let timer = SessionTimer { interval_s: 600, min_se_s: 120, refresher: Some(Refresher::Us) };
        assert_eq!((session.timer(), session.reliable()), (Some(timer), Reliable::Required));
        assert_eq!(parse("session.seconds = 0").unwrap().timer(), None);
    }

    #[test]
    fn an_interval_below_the_least_is_refused() {
        for (keys, line) in [
            ("session.min_seconds = 30", "f.toml: trunk[0].session.min_seconds = 30: allowed: 90 to 86400"),
            (
                "session.seconds = 60",
                "f.toml: trunk[0].session.seconds = 60: allowed: 0 (none), or 90 (min_seconds) to 86400",
            ),
        ] {
            assert_eq!(parse(keys), Err(line.to_owned()));
        }
    }
}
