//! How trunks are watched and used: OPTIONS, registration, digest, dial rules.

use std::time::Duration;

use serde::Deserialize;

use super::check::File;
use super::{Config, ConfigError, DnRange, Secret};

/// A time in seconds, fractions allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Seconds(pub Duration);

impl TryFrom<f64> for Seconds {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        let time = Duration::try_from_secs_f64(seconds);
        time.map(Seconds).map_err(|_| format!("not a time; allowed: seconds, got \"{seconds}\""))
    }
}

/// Whether DNs are registered at the SIP Server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegisterConfig {
    /// It knows our address by itself.
    #[default]
    None,
    /// Each DN while a browser of it is signed in.
    Dns,
}

/// `registration` of a `[[trunk]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistrationConfig {
    /// With all targets, each by itself; else with one that is up.
    pub all: bool,
    /// What is asked for, seconds.
    pub expires_seconds: u32,
    /// Most REGISTERs per second.
    pub per_second: u32,
    /// Seconds that a DN stays registered after its last browser is gone.
    pub grace_seconds: u32,
}

impl Default for RegistrationConfig {
    fn default() -> Self {
        RegistrationConfig { all: false, expires_seconds: 1800, per_second: 50, grace_seconds: 20 }
    }
}

/// `account` of a `[[trunk]]`: what its challenges are answered with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountConfig {
    /// The one realm that is answered.
    pub realm: String,
    /// User name; the DN where it is not said.
    pub username: Option<String>,
    /// Password of DNs that have none of their own.
    pub password: Option<Secret>,
}

/// `[[route]]`: which trunk a number goes to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Beginning of the number; empty: any.
    #[serde(default)]
    pub prefix: String,
    /// Numbers; empty: any.
    #[serde(default)]
    pub numbers: Vec<DnRange>,
    /// DNs that may use it; empty: all.
    #[serde(default)]
    pub dns: Vec<DnRange>,
    /// Name of the trunk.
    pub trunk: String,
    /// Characters taken off the beginning.
    #[serde(default)]
    pub strip: usize,
    /// Put before what is left.
    #[serde(default)]
    pub add: String,
}

impl Config {
    /// Takes passwords of trunks out of the environment: `CROSSPOINT_TRUNK_<name>_PASSWORD`, where `account` names the realm.
    pub(super) fn take_trunk_passwords(&mut self, environment: &[(String, String)]) {
        for trunk in &mut self.trunks {
            let variable = trunk_variable(&trunk.name);
            let found = environment.iter().find(|(name, _)| *name == variable);
            if let (Some(account), Some((_, value))) = (&mut trunk.account, found) {
                account.password = Some(Secret(value.clone()));
            }
        }
    }

    pub(super) fn check_upkeep(&self, file: &File) -> Result<(), ConfigError> {
        for (at, trunk) in self.trunks.iter().enumerate() {
            let key = |name: &str| format!("trunk[{at}].{name}");
            let ok = trunk.ping_seconds <= 3600;
            file.must(ok, key("ping_seconds"), trunk.ping_seconds, "0 (none) to 3600")?;
            let failover = trunk.failover_seconds.0;
            let ok = (Duration::from_millis(100)..=Duration::from_secs(30)).contains(&failover);
            file.must(ok, key("failover_seconds"), failover.as_secs_f64(), "0.1 to 30")?;
            let r = &trunk.registration;
            let ok = (60..=86_400).contains(&r.expires_seconds);
            file.must(ok, key("registration.expires_seconds"), r.expires_seconds, "60 to 86400")?;
            file.must((1..=1000).contains(&r.per_second), key("registration.per_second"), r.per_second, "1 to 1000")?;
            file.must(r.grace_seconds <= 3600, key("registration.grace_seconds"), r.grace_seconds, "0 to 3600")?;
            let Some(account) = &trunk.account else { continue };
            file.must(
                !account.realm.is_empty(),
                key("account.realm"),
                "\"\"",
                "the realm of the SIP Server's challenges",
            )?;
            let own = self.dns.iter().any(|dn| dn.trunk_secret.is_some());
            let allowed = format!("a password (or {}), or trunk_secret of a [[dn]]", trunk_variable(&trunk.name));
            file.must(account.password.is_some() || own, key("account.password"), "", &allowed)?;
        }
        for (at, route) in self.routes.iter().enumerate() {
            let key = |name: &str| format!("route[{at}].{name}");
            let known: Vec<&str> = self.trunks.iter().map(|trunk| trunk.name.as_str()).collect();
            file.must(known.contains(&route.trunk.as_str()), key("trunk"), &route.trunk, &known.join(", "))?;
            let is_dialled = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+*#.-_".contains(&b));
            file.must(is_dialled(&route.prefix), key("prefix"), &route.prefix, "digits, letters, + * # . - _")?;
            file.must(is_dialled(&route.add), key("add"), &route.add, "digits, letters, + * # . - _")?;
            file.must(route.strip <= 32, key("strip"), route.strip, "0 to 32")?;
        }
        for (at, dn) in self.dns.iter().enumerate() {
            // An empty list would read as "nothing", and mean "everything".
            let ok =
                dn.dial.as_ref().is_none_or(|prefixes| !prefixes.is_empty() && prefixes.iter().all(|p| !p.is_empty()));
            file.must(ok, format!("dn[{at}].dial"), "[]", "at least one beginning of a number; without the key: all")?;
        }
        Ok(())
    }
}

fn trunk_variable(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("CROSSPOINT_TRUNK_{name}_PASSWORD")
}

#[cfg(test)]
mod tests;
