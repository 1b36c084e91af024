//! `[[gws]]`: agent desktops' servers that the phone page reaches.

use std::path::PathBuf;

use axum::http::Uri;
use axum::http::uri::Scheme;
use serde::Deserialize;

use super::check::File;
use super::{Config, ConfigError, Secret};

/// `[[gws]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GwsConfig {
    /// Its name in the page's list and in `/gws/NAME/…`.
    pub name: String,
    /// Where it is: `http://host:port` or `https://host`, perhaps with a path.
    pub url: String,
    /// Pages call it themselves, and not through us; only for `https`.
    #[serde(default)]
    pub direct: bool,
    /// What pages may reach there.
    #[serde(default = "paths")]
    pub paths: Vec<String>,
    /// Authorities that are believed, PEM; for `https` through us.
    pub ca: Option<PathBuf>,
    /// Without it anybody is believed.
    #[serde(default = "super::yes")]
    pub verify: bool,
    /// Requests and WebSockets of pages at a time.
    #[serde(default = "connections")]
    pub connections: usize,
    /// The agents as whom the gateway listens to it: what it says of their calls goes along with ours.
    #[serde(default)]
    pub agents: Vec<GwsAgentConfig>,
    /// Its CometD server, below `url`.
    #[serde(default = "cometd")]
    pub cometd: String,
    /// What answers a GET with a Basic login by a session, below `url`.
    #[serde(default = "login")]
    pub login: String,
}

/// One of `gws.agents`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GwsAgentConfig {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Option<Secret>,
}

fn cometd() -> String {
    "/api/v2/notifications".to_owned()
}

fn login() -> String {
    "/api/v2/me".to_owned()
}

/// Returns the name of the variable that an agent's password is in.
fn variable(gws: &str, user: &str) -> String {
    let word =
        |text: &str| -> String { text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect() };
    format!("CROSSPOINT_GWS_{}_{}_PASSWORD", word(gws), word(user))
}

fn paths() -> Vec<String> {
    vec!["/genesys/cometd".to_owned(), "/api/v2".to_owned()]
}

fn connections() -> usize {
    1000
}

impl GwsConfig {
    /// Reads `url`; `None` for what is no address of a web server.
    pub fn uri(&self) -> Option<Uri> {
        let uri: Uri = self.url.parse().ok()?;
        let is_web = uri.scheme().is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
        let authority = uri.authority()?;
        let is_place = !authority.host().is_empty() && !authority.as_str().contains('@');
        (is_web && is_place && uri.query().is_none()).then_some(uri)
    }
}

impl Config {
    /// Takes passwords of agents out of the environment: `CROSSPOINT_GWS_<name>_<username>_PASSWORD`.
    pub(super) fn take_gws_passwords(&mut self, environment: &[(String, String)]) {
        for gws in &mut self.gws {
            for agent in &mut gws.agents {
                let variable = variable(&gws.name, &agent.username);
                if let Some((_, value)) = environment.iter().find(|(name, _)| *name == variable) {
                    agent.password = Some(Secret(value.clone()));
                }
            }
        }
    }

    pub(super) fn check_gws(&self, file: &File) -> Result<(), ConfigError> {
        for (at, gws) in self.gws.iter().enumerate() {
            let key = |name: &str| format!("gws[{at}].{name}");
            let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            let ok = (1..=32).contains(&gws.name.len()) && gws.name.bytes().all(is_name);
            file.must(ok, key("name"), &gws.name, "1 to 32 small letters, digits and -")?;
            let twice = self.gws.iter().take(at).any(|other| other.name == gws.name);
            file.must(!twice, key("name"), &gws.name, "each name once")?;
            let uri = gws.uri();
            file.must(
                uri.is_some(),
                key("url"),
                &gws.url,
                "\"http://host:port\" or \"https://host\", no user, no query",
            )?;
            let https = uri.is_some_and(|uri| uri.scheme() == Some(&Scheme::HTTPS));
            file.must(https || !gws.direct, key("direct"), "true", "true for https only")?;
            file.must(https || gws.ca.is_none(), key("ca"), "set", "for https only")?;
            let known = !https || gws.direct || !gws.verify || gws.ca.is_some();
            file.must(known, key("ca"), "none", "a PEM file for https, or verify = false")?;
            file.must(!gws.paths.is_empty(), key("paths"), "[]", "at least one path")?;
            for path in &gws.paths {
                let is_path = |b: u8| b.is_ascii_alphanumeric() || b"/-_.".contains(&b);
                let ok = path.len() > 1 && path.starts_with('/') && path.bytes().all(is_path) && !path.contains("..");
                file.must(ok, key("paths"), path, "/ and letters, digits, - _ . /")?;
            }
            let most = gws.connections;
            file.must((1..=100_000).contains(&most), key("connections"), most, "1 to 100000")?;
            check_agents(gws, &key, file)?;
        }
        Ok(())
    }
}

fn check_agents(gws: &GwsConfig, key: &dyn Fn(&str) -> String, file: &File) -> Result<(), ConfigError> {
    for (name, path) in [("cometd", &gws.cometd), ("login", &gws.login)] {
        let ok = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic());
        file.must(ok, key(name), path, "a path that begins with /")?;
    }
    file.must(gws.agents.len() <= 10_000, key("agents"), gws.agents.len(), "10000 of them at most")?;
    for (at, agent) in gws.agents.iter().enumerate() {
        let ok = !agent.username.is_empty() && !agent.username.contains(':');
        file.must(ok, key("agents.username"), &agent.username, "a user name, without :")?;
        let twice = gws.agents.iter().take(at).any(|other| other.username == agent.username);
        file.must(!twice, key("agents.username"), &agent.username, "each agent once")?;
        let allowed = format!("a password (or {})", variable(&gws.name, &agent.username));
        file.must(agent.password.is_some(), key("agents.password"), "", &allowed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::LEAST;
    use super::*;

    fn parsed(gws: &str) -> Result<Config, String> {
        Config::parse(&format!("{LEAST}[[gws]]\n{gws}"), "f.toml", []).map_err(|error| error.to_string())
    }

    #[test]
    fn a_gws_has_a_name_and_an_address_and_opens_two_paths() {
        let config = parsed("name = \"main\"\nurl = \"http://192.0.2.54:8090\"").expect("a good one");
        assert_eq!(config.gws[0].paths, ["/genesys/cometd", "/api/v2"]);
        assert!(parsed("name = \"m\"\nurl = \"https://gws.example/x\"\nverify = false").is_ok());
        assert!(parsed("name = \"m\"\nurl = \"https://gws.example\"\ndirect = true").is_ok());
    }

    #[test]
    fn mistakes_of_a_gws_are_one_line() {
        let good = ("name = \"m\"", "url = \"http://h:1\"");
        for (name, url, more, key) in [
            ("name = \"M\"", good.1, "", "gws[0].name"),
            ("name = \"a.b\"", good.1, "", "gws[0].name"),
            (good.0, "url = \"ftp://h\"", "", "gws[0].url"),
            (good.0, "url = \"http://u:p@h\"", "", "gws[0].url"),
            (good.0, "url = \"/x\"", "", "gws[0].url"),
            (good.0, good.1, "direct = true", "gws[0].direct"),
            (good.0, "url = \"https://h\"", "", "gws[0].ca"),
            (good.0, good.1, "paths = [\"/\"]", "gws[0].paths"),
            (good.0, good.1, "paths = [\"/a/../b\"]", "gws[0].paths"),
            (good.0, good.1, "connections = 0", "gws[0].connections"),
            (good.0, good.1, "[[gws]]\nname = \"m\"\nurl = \"http://h\"", "gws[1].name"),
        ] {
            let line = parsed(&format!("{name}\n{url}\n{more}")).expect_err("a mistake");
            assert!(!line.contains('\n') && line.contains(key), "{line} does not name {key}");
        }
    }

    #[test]
    fn agents_of_a_gws_need_a_password_from_here_or_from_the_environment() {
        let gws = "name = \"ma-in\"\nurl = \"http://h:1\"\nagents = [{ username = \"anna.b\" }]";
        let error = parsed(gws).expect_err("no password");
        assert!(error.contains("gws[0].agents.password") && error.contains("CROSSPOINT_GWS_ma_in_anna_b_PASSWORD"));
        let environment = [("CROSSPOINT_GWS_ma_in_anna_b_PASSWORD".to_owned(), "p".to_owned())];
        let config = Config::parse(&format!("{LEAST}[[gws]]\n{gws}"), "f.toml", environment).expect("a good one");
        assert_eq!(config.gws[0].agents[0].password, Some(Secret("p".to_owned())));
        let twice = gws.replace("]", ", { username = \"anna.b\", password = \"p\" }]");
        let twice = twice.replace("anna.b\" },", "anna.b\", password = \"p\" },");
        assert!(parsed(&twice).expect_err("twice").contains("each agent once"));
    }
}
