//! `[outbox]` and `[[sink]]`: where published events go beside the desktops.

use std::path::PathBuf;

use serde::Deserialize;

use super::check::File;
use super::{Config, ConfigError, Secret};
use crate::io::client::address;

/// `[outbox]`: the journal that events wait in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutboxConfig {
    /// Its folder; `outbox` in the folder of state where it is not said.
    pub folder: Option<PathBuf>,
    /// Most that it takes, MB of 1,000,000 bytes.
    pub max_mb: u32,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        OutboxConfig { folder: None, max_mb: 1000 }
    }
}

/// What a sink is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SinkKindConfig {
    /// An external CometD server.
    Cometd,
    /// A web server.
    Webhook,
    /// A file.
    Lines,
}

/// How a CometD server is told who we are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SinkLoginConfig {
    /// Not at all.
    #[default]
    None,
    /// HTTP Basic in each request.
    Basic,
    /// `ext.authentication` of the handshake.
    Handshake,
    /// One GET with HTTP Basic; the cookie that it sets goes along from then on.
    Session,
}

/// `[[sink]]`; which keys it has depends on its kind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkConfig {
    /// Names its place in the journal, its metrics, its secrets in the environment.
    pub name: String,
    /// What it is.
    pub kind: SinkKindConfig,
    /// Where it is: `cometd`, `webhook`.
    pub url: Option<String>,
    /// Where events are published: `cometd`.
    pub channel: Option<String>,
    /// How it is told who we are: `cometd`.
    #[serde(default)]
    pub login: SinkLoginConfig,
    /// What is asked for a session: `cometd` with `login = "session"`.
    pub login_url: Option<String>,
    /// User name of `login`.
    pub username: Option<String>,
    /// Password of `login`.
    pub password: Option<Secret>,
    /// What bodies are signed with: `webhook`.
    pub secret: Option<Secret>,
    /// Most events of one request: `webhook`.
    pub batch: Option<usize>,
    /// How long an answer may take: `webhook`.
    pub timeout_seconds: Option<u32>,
    /// The file: `lines`.
    pub file: Option<PathBuf>,
    /// Size from which a new file is begun, MB of 1,000,000 bytes: `lines`.
    pub max_mb: Option<u32>,
    /// Older files that are kept: `lines`.
    pub keep: Option<u32>,
    /// Authorities that are believed, PEM; the system's where it is not said.
    pub ca: Option<PathBuf>,
    /// Without it anybody is believed.
    #[serde(default = "super::yes")]
    pub verify: bool,
}

impl SinkConfig {
    /// Returns the channel that events are published to.
    pub fn channel(&self) -> &str {
        self.channel.as_deref().unwrap_or("/crosspoint/{kind}")
    }
}

/// Returns the name of the variable that a secret of a sink is in.
fn variable(name: &str, what: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("CROSSPOINT_SINK_{name}_{what}")
}

impl Config {
    /// Takes secrets of sinks out of the environment: `CROSSPOINT_SINK_<name>_PASSWORD` and `…_SECRET`.
    pub(super) fn take_sink_secrets(&mut self, environment: &[(String, String)]) {
        let find = |variable: String| {
            environment.iter().find(|(name, _)| *name == variable).map(|(_, value)| Secret(value.clone()))
        };
        for sink in &mut self.sinks {
            sink.password = find(variable(&sink.name, "PASSWORD")).or(sink.password.take());
            sink.secret = find(variable(&sink.name, "SECRET")).or(sink.secret.take());
        }
    }

    pub(super) fn check_sinks(&self, file: &File) -> Result<(), ConfigError> {
        let folder = self.outbox.folder.as_ref();
        let is_path = folder.is_none_or(|folder| !folder.as_os_str().is_empty());
        file.must(is_path, "outbox.folder", "\"\"", "a folder, or no such key")?;
        let max = self.outbox.max_mb;
        file.must((1..=1_000_000).contains(&max), "outbox.max_mb", max, "1 to 1000000")?;
        file.must(self.sinks.len() <= 32, "sink", self.sinks.len(), "32 of them at most")?;
        for (at, sink) in self.sinks.iter().enumerate() {
            let key = |name: &str| format!("sink[{at}].{name}");
            let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            let ok = (1..=32).contains(&sink.name.len()) && sink.name.bytes().all(is_name);
            file.must(ok, key("name"), &sink.name, "1 to 32 small letters, digits and -")?;
            let twice = self.sinks.iter().take(at).any(|other| other.name == sink.name);
            file.must(!twice, key("name"), &sink.name, "each name once")?;
            check_keys(sink, &key, file)?;
            match sink.kind {
                SinkKindConfig::Cometd => check_cometd(sink, &key, file)?,
                SinkKindConfig::Webhook => check_webhook(sink, &key, file)?,
                SinkKindConfig::Lines => check_lines(sink, &key, file)?,
            }
        }
        Ok(())
    }
}

/// A key that another kind has would do nothing.
fn check_keys(sink: &SinkConfig, key: &dyn Fn(&str) -> String, file: &File) -> Result<(), ConfigError> {
    use SinkKindConfig::{Cometd, Lines, Webhook};
    let keys: [(&str, bool, &[SinkKindConfig], &str); 13] = [
        ("url", sink.url.is_some(), &[Cometd, Webhook], "cometd and webhook"),
        ("channel", sink.channel.is_some(), &[Cometd], "cometd"),
        ("login", sink.login != SinkLoginConfig::None, &[Cometd], "cometd"),
        ("login_url", sink.login_url.is_some(), &[Cometd], "cometd"),
        ("username", sink.username.is_some(), &[Cometd], "cometd"),
        ("password", sink.password.is_some(), &[Cometd], "cometd"),
        ("secret", sink.secret.is_some(), &[Webhook], "webhook"),
        ("batch", sink.batch.is_some(), &[Webhook], "webhook"),
        ("timeout_seconds", sink.timeout_seconds.is_some(), &[Webhook], "webhook"),
        ("file", sink.file.is_some(), &[Lines], "lines"),
        ("max_mb", sink.max_mb.is_some(), &[Lines], "lines"),
        ("keep", sink.keep.is_some(), &[Lines], "lines"),
        ("ca", sink.ca.is_some(), &[Cometd, Webhook], "cometd and webhook"),
    ];
    for (name, is_there, kinds, of) in keys {
        file.must(
            !is_there || kinds.contains(&sink.kind),
            key(name),
            "set",
            &format!("for sinks of the kind {of} only"),
        )?;
    }
    Ok(())
}

fn check_url(url: Option<&String>, key: String, file: &File) -> Result<(), ConfigError> {
    let ok =
        url.and_then(|url| address(url)).is_some_and(|uri| uri.authority().is_some_and(|a| !a.as_str().contains('@')));
    file.must(ok, key, url.map_or("", |url| url), "\"http://host:port/path\" or \"https://host/path\", no user")
}

fn check_cometd(sink: &SinkConfig, key: &dyn Fn(&str) -> String, file: &File) -> Result<(), ConfigError> {
    check_url(sink.url.as_ref(), key("url"), file)?;
    let allowed = "a channel; {kind}, {dn} and {owner} may stand in it";
    file.must(crate::io::sink::is_channel(sink.channel()), key("channel"), sink.channel(), allowed)?;
    let has_login = sink.login != SinkLoginConfig::None;
    let is_session = sink.login == SinkLoginConfig::Session;
    file.must(sink.username.is_some() == has_login, key("username"), "", "one with `login`, none without")?;
    let allowed = format!("one with `login` (or {}), none without", variable(&sink.name, "PASSWORD"));
    file.must(sink.password.is_some() == has_login, key("password"), "…", &allowed)?;
    match is_session {
        true => check_url(sink.login_url.as_ref(), key("login_url"), file),
        false => file.must(sink.login_url.is_none(), key("login_url"), "set", "with login = \"session\" only"),
    }
}

fn check_webhook(sink: &SinkConfig, key: &dyn Fn(&str) -> String, file: &File) -> Result<(), ConfigError> {
    check_url(sink.url.as_ref(), key("url"), file)?;
    let ok = sink.secret.as_ref().is_none_or(|secret| secret.0.len() >= 16);
    file.must(ok, key("secret"), "…", "16 characters at least, or no such key: bodies are not signed")?;
    let batch = sink.batch.unwrap_or(1);
    file.must((1..=500).contains(&batch), key("batch"), batch, "1 to 500")?;
    let timeout = sink.timeout_seconds.unwrap_or(1);
    file.must((1..=300).contains(&timeout), key("timeout_seconds"), timeout, "1 to 300")
}

fn check_lines(sink: &SinkConfig, key: &dyn Fn(&str) -> String, file: &File) -> Result<(), ConfigError> {
    let ok = sink.file.as_ref().is_some_and(|file| file.file_name().is_some());
    file.must(ok, key("file"), "", "a file")?;
    let max = sink.max_mb.unwrap_or(1);
    file.must((1..=1_000_000).contains(&max), key("max_mb"), max, "1 to 1000000")?;
    let keep = sink.keep.unwrap_or(0);
    file.must(keep <= 1000, key("keep"), keep, "0 to 1000")
}

#[cfg(test)]
mod tests {
    use super::super::tests::LEAST;
    use super::*;

    fn parsed(sink: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let text = format!("{LEAST}[[sink]]\nname = \"a-b\"\n{sink}");
        Config::parse(&text, "f.toml", environment).map_err(|error| error.to_string())
    }

    #[test]
    fn a_sink_of_each_kind_needs_no_more_than_its_place() {
        let place =
            ["kind = \"cometd\"\nurl = \"https://e.example/c\"", "kind = \"webhook\"\nurl = \"http://[::1]:9/c\""];
        for sink in place.into_iter().chain(["kind = \"lines\"\nfile = \"var/events.jsonl\""]) {
            let config = parsed(sink, &[]).expect(sink);
            assert!(config.sinks[0].verify && config.sinks[0].login == SinkLoginConfig::None);
        }
    }

    #[test]
    fn secrets_of_a_sink_come_out_of_the_environment() {
        let sink = "kind = \"cometd\"\nurl = \"https://e\"\nlogin = \"basic\"\nusername = \"u\"";
        let config = parsed(sink, &[("CROSSPOINT_SINK_a_b_PASSWORD", "p")]).expect("a good one");
        assert_eq!(config.sinks[0].password, Some(Secret("p".to_owned())));
        let sink = "kind = \"webhook\"\nurl = \"https://e\"\nsecret = \"of the file, weak\"";
        let config = parsed(sink, &[("CROSSPOINT_SINK_a_b_SECRET", "0123456789abcdef")]).expect("a good one");
        assert_eq!(config.sinks[0].secret, Some(Secret("0123456789abcdef".to_owned())));
    }

    #[test]
    fn mistakes_of_a_sink_are_one_line_and_name_the_key() {
        for (sink, key) in [
            ("kind = \"cometd\"", "sink[0].url"),
            ("kind = \"webhook\"\nurl = \"ftp://e\"", "sink[0].url"),
            ("kind = \"webhook\"\nurl = \"https://u:p@e\"", "sink[0].url"),
            ("kind = \"webhook\"\nurl = \"https://e\"\nchannel = \"/a\"", "sink[0].channel"),
            ("kind = \"cometd\"\nurl = \"https://e\"\nchannel = \"/meta/a\"", "sink[0].channel"),
            ("kind = \"cometd\"\nurl = \"https://e\"\nchannel = \"/a/*\"", "sink[0].channel"),
            ("kind = \"cometd\"\nurl = \"https://e\"\nlogin = \"basic\"", "sink[0].username"),
            ("kind = \"cometd\"\nurl = \"https://e\"\nlogin = \"basic\"\nusername = \"u\"", "sink[0].password"),
            ("kind = \"cometd\"\nurl = \"https://e\"\nlogin_url = \"https://e\"", "sink[0].login_url"),
            ("kind = \"webhook\"\nurl = \"https://e\"\nsecret = \"short\"", "sink[0].secret"),
            ("kind = \"webhook\"\nurl = \"https://e\"\nbatch = 501", "sink[0].batch"),
            ("kind = \"lines\"", "sink[0].file"),
            ("kind = \"lines\"\nfile = \"/\"", "sink[0].file"),
            ("kind = \"lines\"\nfile = \"a\"\nca = \"b\"", "sink[0].ca"),
            (
                "kind = \"lines\"\nfile = \"a\"\n[[sink]]\nname = \"a-b\"\nkind = \"lines\"\nfile = \"b\"",
                "sink[1].name",
            ),
            ("kind = \"lines\"\nfile = \"a\"\n[outbox]\nmax_mb = 0", "outbox.max_mb"),
        ] {
            let error = parsed(sink, &[]).expect_err(sink);
            assert!(error.contains(key) && error.lines().count() == 1, "{sink}\n{error}");
            assert!(!error.contains("short"), "{error}");
        }
    }
}
