//! Logs: set up once, and wrappers that keep numbers and addresses of people out of them.
//!
//! Above DEBUG phone numbers and addresses are written by [`Number`] and [`Address`] only; secrets are never logged.

use std::fmt;
use std::io::IsTerminal;
use std::net::IpAddr;

use tracing_subscriber::EnvFilter;

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Filter directives, as `info` or `info,crosspoint::call=debug`.
    pub filter: String,
    /// One JSON object per line.
    pub json: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config { filter: "info".into(), json: false }
    }
}

/// The filter is not one.
#[derive(Debug, thiserror::Error)]
#[error("log filter `{filter}`: {error}")]
pub struct BadFilter {
    filter: String,
    error: String,
}

/// Starts logging to the standard error; where the program logs already that stays as it is.
pub fn start(config: &Config) -> Result<(), BadFilter> {
    let filter = EnvFilter::try_new(&config.filter)
        .map_err(|e| BadFilter { filter: config.filter.clone(), error: e.to_string() })?;
    let colours = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    // An embedding program, or a test, may have a subscriber of its own.
    let _ = if config.json { builder.json().try_init() } else { builder.try_init() };
    Ok(())
}

/// A phone number or DN in a log: its last two characters and its length.
#[derive(Clone, Copy)]
pub struct Number<'a>(pub &'a str);

impl fmt::Display for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.0.chars().count();
        if length > 3 {
            f.write_str("…")?;
            self.0.chars().skip(length - 2).try_for_each(|c| write!(f, "{}", c.escape_debug()))?;
        }
        write!(f, "({length})")
    }
}

/// An address in a log: the network that it is of (IPv4 /16, IPv6 /32); loopback in full.
#[derive(Clone, Copy)]
pub struct Address(pub IpAddr);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to_canonical() {
            ip if ip.is_loopback() => ip.fmt(f),
            IpAddr::V4(ip) => {
                let [a, b, ..] = ip.octets();
                write!(f, "{a}.{b}.x.x")
            }
            IpAddr::V6(ip) => {
                let [a, b, ..] = ip.segments();
                write!(f, "{a:x}:{b:x}:x")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_shows_its_end_only() {
        assert_eq!(Number("+4930123456").to_string(), "…56(11)");
        assert_eq!(Number("5001").to_string(), "…01(4)");
        assert_eq!(Number("112").to_string(), "(3)");
        assert_eq!(Number("50\r\n").to_string(), "…\\r\\n(4)");
    }

    #[test]
    fn an_address_shows_its_network_only() {
        let shown = |text: &str| Address(text.parse().expect("address")).to_string();
        assert_eq!(shown("203.0.113.9"), "203.0.x.x");
        assert_eq!(shown("::ffff:203.0.113.9"), "203.0.x.x");
        assert_eq!(shown("2001:db8::1"), "2001:db8:x");
        assert_eq!(shown("127.0.0.1"), "127.0.0.1");
    }

    #[test]
    fn a_broken_filter_is_refused() {
        assert!(start(&Config { filter: "crosspoint=loud".into(), json: false }).is_err());
    }
}
