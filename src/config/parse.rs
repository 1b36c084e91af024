//! From text to [`Config`], and every mistake in one line.

use std::path::Path;

use super::Config;

/// What is wrong with a configuration; its `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: {why}")]
    Read {
        /// The file.
        file: String,
        /// What the system said.
        why: String,
    },
    /// Not TOML, an unknown key, a value of the wrong kind.
    #[error("{file}:{line}: {key} = {value}: {why}")]
    Shape {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Section and key.
        key: String,
        /// What stands there.
        value: String,
        /// What is wrong and what is allowed.
        why: String,
    },
    /// A value that does not make sense.
    #[error("{file}: {key} = {value}: allowed: {allowed}")]
    Value {
        /// The file.
        file: String,
        /// Section and key.
        key: String,
        /// What stands there.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

impl Config {
    /// Reads a file, takes secrets out of the environment of this process, and checks all of it.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|e| ConfigError::Read { file: file.clone(), why: one_line(&e.to_string()) })?;
        let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Config::parse(&text, &file, environment)
    }

    /// Does the same with a text and an environment; `file` is for messages only.
    pub fn parse(
        text: &str,
        file: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, ConfigError> {
        let mut config: Config = toml::from_str(text).map_err(|e| shape_error(text, file, &e))?;
        let environment: Vec<_> = environment.into_iter().collect();
        config.take_trunk_passwords(&environment);
        config.take_agent_passwords(&environment);
        config.take_sink_secrets(&environment);
        config.take_gws_passwords(&environment);
        config.take_environment(environment);
        config.check(file)?;
        Ok(config)
    }
}

/// Finds line, section and key of what `toml` complains about.
fn shape_error(text: &str, file: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let before = text.get(..at).unwrap_or(text);
    let line = before.bytes().filter(|b| *b == b'\n').count();
    let this = text.lines().nth(line).unwrap_or("").trim();
    let is_header = |l: &&str| l.trim_start().starts_with('[');
    let section = text.lines().take(line + 1).filter(is_header).last().unwrap_or("").trim();
    let section = section.split('#').next().unwrap_or("").trim().trim_matches(['[', ']']);
    let (key, value) = match this.split_once('=') {
        Some((key, value)) if !this.starts_with('[') => (key.trim(), value.trim()),
        _ => ("", ""),
    };
    let key = match (section, key) {
        (section, "") => section.to_owned(),
        ("", key) => key.to_owned(),
        (section, key) => format!("{section}.{key}"),
    };
    // A secret that was typed in the wrong place must not reach a log.
    let is_secret = ["secret", "ha1", "account", "password"].iter().any(|s| key.to_ascii_lowercase().contains(s));
    let value = if is_secret { "…".to_owned() } else { value.to_owned() };
    let why = if is_secret { "allowed: a string in quotes".to_owned() } else { explain(error.message()) };
    ConfigError::Shape { file: file.to_owned(), line: line + 1, key, value, why }
}

/// Says what is allowed where `serde` only says what is wrong.
fn explain(message: &str) -> String {
    let message = one_line(message);
    let hint = if message.contains("socket address") {
        "; allowed: \"address:port\""
    } else if message.contains("IP address") {
        "; allowed: an IPv4 or IPv6 address"
    } else {
        ""
    };
    format!("{message}{hint}")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
