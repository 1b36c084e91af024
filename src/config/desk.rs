//! `[desk]` and `[[agent]]`: who works at the desktops, and how their calls are told.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::check::File;
use super::{Config, ConfigError, Secret};
use crate::desk::PasswordHash;
use crate::http::origin::is_origin;

/// `[desk]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeskConfig {
    /// How long an agent has to finish a call that is over, seconds; 0: none.
    pub after_call_work_seconds: u32,
    /// What the addresses of resources begin with, `https://host:port`; empty: they are paths alone.
    pub base_uri: String,
    /// Beginnings of names of the trunk's header fields that hold user data.
    pub user_data_fields: Vec<String>,
    /// Beginning of the names of header fields by which the trunk is told user data of dialled calls.
    pub user_data_out: Option<String>,
    /// How `notificationType` calls a change of a call's state.
    pub notification_type: NotificationType,
}

/// `notificationType` of a message that tells a call's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum NotificationType {
    /// As GWS 8.5.2 writes it.
    #[default]
    StatusChange,
    /// As the guide's JavaScript compares it.
    StateChange,
}

impl Default for DeskConfig {
    fn default() -> DeskConfig {
        DeskConfig {
            after_call_work_seconds: 30,
            base_uri: String::new(),
            user_data_fields: vec!["X-Genesys-UserData-".to_owned()],
            user_data_out: None,
            notification_type: NotificationType::StatusChange,
        }
    }
}

/// `[[agent]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentEntry {
    /// The name that it logs in with.
    pub user: String,
    /// Argon2 hash of its password, a PHC string.
    pub password: Option<Secret>,
    /// First and last name; the user name where it is not said.
    pub name: Option<String>,
    /// Numbers that it may work at, the usual one first.
    pub dns: Vec<String>,
    /// What it is good at, and how good: 1 to 10.
    #[serde(default)]
    pub skills: BTreeMap<String, u8>,
}

/// Most numbers of one agent.
const MAX_DNS: usize = 16;
/// Most skills of one agent.
const MAX_SKILLS: usize = 64;

impl AgentEntry {
    /// Returns the name of the environment's variable for its password hash.
    fn variable(&self) -> String {
        let user: String = self.user.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        format!("CROSSPOINT_AGENT_{user}_PASSWORD")
    }
}

impl Config {
    /// Takes password hashes out of the environment: `CROSSPOINT_AGENT_<user>_PASSWORD`, and `CROSSPOINT_AGENT_PASSWORD`
    /// for entries without any.
    pub(super) fn take_agent_passwords(&mut self, environment: &[(String, String)]) {
        let find = |variable: &str| environment.iter().find(|(name, _)| name == variable).map(|(_, value)| value);
        for agent in &mut self.agents {
            let own = find(&agent.variable());
            let general = || find("CROSSPOINT_AGENT_PASSWORD").filter(|_| agent.password.is_none());
            if let Some(value) = own.or_else(general) {
                agent.password = Some(Secret(value.clone()));
            }
        }
    }

    pub(super) fn check_desk(&self, file: &File) -> Result<(), ConfigError> {
        let desk = &self.desk;
        let time = desk.after_call_work_seconds;
        file.must(time <= 3600, "desk.after_call_work_seconds", time, "0 (none) to 3600")?;
        let base = &desk.base_uri;
        let is_base = base.is_empty() || is_origin(base);
        file.must(is_base, "desk.base_uri", base, "\"https://host\" or \"https://host:port\", nothing behind it")?;
        let is_field = |name: &str| {
            let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            (1..=64).contains(&name.len()) && name.bytes().all(sound)
        };
        for name in &desk.user_data_fields {
            file.must(is_field(name), "desk.user_data_fields", name, "the beginning of the name of a header field")?;
        }
        if let Some(name) = &desk.user_data_out {
            let is_ours = name.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("X-Genesys-"));
            let allowed =
                "the beginning of the name of a header field that does not belong to Genesys: \"X-UserData-\"";
            file.must(is_field(name) && !is_ours, "desk.user_data_out", name, allowed)?;
        }
        for (at, agent) in self.agents.iter().enumerate() {
            self.check_agent(at, agent, file)?;
        }
        Ok(())
    }

    fn check_agent(&self, at: usize, agent: &AgentEntry, file: &File) -> Result<(), ConfigError> {
        let key = |name: &str| format!("agent[{at}].{name}");
        let is_user = |user: &str| {
            let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@');
            (1..=64).contains(&user.len()) && user.bytes().all(sound)
        };
        file.must(is_user(&agent.user), key("user"), &agent.user, "1 to 64 letters, digits, - _ . @")?;
        let is_new = self.agents.iter().take(at).all(|other| other.user != agent.user);
        file.must(is_new, key("user"), &agent.user, "each name once")?;
        let is_hash = agent.password.as_ref().is_some_and(|hash| PasswordHash::parse(&hash.0).is_some());
        let allowed = format!("an Argon2 hash, here or in {}: `crosspoint hash-password` makes one", agent.variable());
        file.must(is_hash, key("password"), "…", &allowed)?;
        let name = agent.name.as_deref().unwrap_or(&agent.user);
        let ok = (1..=128).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        file.must(ok, key("name"), name, "1 to 128 printable characters")?;
        let count = agent.dns.len();
        file.must((1..=MAX_DNS).contains(&count), key("dns"), count, "1 to 16 numbers")?;
        for dn in &agent.dns {
            file.must(self.dn(dn).is_some(), key("dns"), dn, "numbers of [[dn]]")?;
        }
        file.must(agent.skills.len() <= MAX_SKILLS, key("skills"), agent.skills.len(), "up to 64 skills")?;
        for (skill, level) in &agent.skills {
            let ok = (1..=64).contains(&skill.chars().count()) && (1..=10).contains(level);
            file.must(ok, key(&format!("skills.{skill}")), level, "1 to 10, for a name of up to 64 characters")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::LEAST;
    use super::*;

    const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$pR6rZ9HU3gvrb5FS4tJ7hh4oqxDVUWwmXaqRZYc4VNM";

    fn with(agent: &str) -> String {
        format!("{LEAST}\n[[agent]]\n{agent}")
    }

    fn agent() -> String {
        format!("user = \"ann\"\npassword = \"{HASH}\"\ndns = [\"5001\"]\n")
    }

    fn error(agent: &str) -> String {
        Config::parse(&with(agent), "f.toml", []).expect_err("a mistake").to_string()
    }

    #[test]
    fn an_agent_is_read_with_its_numbers_and_skills() {
        let text = with(&format!("{}skills = {{ support = 8, sales = 1 }}\n", agent()));
        let config = Config::parse(&text, "f.toml", []).unwrap();
        let agent = &config.agents[0];
        assert_eq!((&agent.user[..], &agent.dns[..], agent.name.as_ref()), ("ann", &["5001".to_owned()][..], None));
        assert_eq!(agent.skills.clone().into_iter().collect::<Vec<_>>(), [("sales".into(), 1), ("support".into(), 8)]);
        assert_eq!(config.desk.after_call_work_seconds, 30);
    }

    #[test]
    fn a_password_comes_from_the_environment_before_the_file() {
        let env = |name: &str| [(name.to_owned(), HASH.to_owned())];
        let bare = with("user = \"a.b@c\"\ndns = [\"5001\"]\n");
        for name in ["CROSSPOINT_AGENT_a_b_c_PASSWORD", "CROSSPOINT_AGENT_PASSWORD"] {
            let config = Config::parse(&bare, "f.toml", env(name)).unwrap();
            assert_eq!(config.agents[0].password, Some(Secret(HASH.to_owned())), "{name}");
        }
        let other = HASH.replace("c2FsdHNhbHRzYWx0", "c2FsdHNhbHRzYWx1");
        let file = with(&agent().replace(HASH, &other));
        let general = Config::parse(&file, "f.toml", env("CROSSPOINT_AGENT_PASSWORD")).unwrap();
        assert_eq!(general.agents[0].password, Some(Secret(other)));
        let own = Config::parse(&file, "f.toml", env("CROSSPOINT_AGENT_ann_PASSWORD")).unwrap();
        assert_eq!(own.agents[0].password, Some(Secret(HASH.to_owned())));
    }

    #[test]
    fn each_mistake_names_what_is_allowed_and_shows_no_password() {
        let plain = agent().replace(HASH, "hunter2");
        let line = error(&plain);
        assert!(line.contains("agent[0].password = …: allowed: an Argon2 hash"), "{line}");
        assert!(!line.contains("hunter2"));
        for (from, to, wanted) in [
            ("user = \"ann\"", "user = \"ann b\"", "agent[0].user = ann b"),
            ("[\"5001\"]", "[]", "agent[0].dns = 0"),
            ("[\"5001\"]", "[\"5002\"]", "agent[0].dns = 5002: allowed: numbers of [[dn]]"),
            ("user = \"ann\"", "user = \"ann\"\nskills = { a = 11 }", "agent[0].skills.a = 11"),
            ("user = \"ann\"", "user = \"ann\"\nname = \"\"", "agent[0].name = "),
        ] {
            let line = error(&agent().replacen(from, to, 1));
            assert!(line.contains(wanted), "{line}");
        }
        let twice = error(&format!("{}[[agent]]\n{}", agent(), agent()));
        assert!(twice.contains("agent[1].user = ann: allowed: each name once"), "{twice}");
        for (desk, wanted) in [
            ("after_call_work_seconds = 3601", "desk.after_call_work_seconds = 3601"),
            ("base_uri = \"https://a/b\"", "desk.base_uri"),
            ("user_data_fields = [\"\"]", "desk.user_data_fields"),
            ("user_data_out = \"x-genesys-a\"", "desk.user_data_out"),
            ("notification_type = \"statechange\"", "expected `StatusChange` or `StateChange`"),
        ] {
            let text = format!("{LEAST}\n[desk]\n{desk}\n");
            let line = Config::parse(&text, "f.toml", []).expect_err("a mistake").to_string();
            assert!(line.contains(wanted), "{line}");
        }
    }

    #[test]
    fn the_labs_agents_have_the_password_that_the_lab_names() {
        let lab = Config::parse(include_str!("../../config/lab.toml"), "lab.toml", []).unwrap();
        let users: Vec<(&str, &str)> = lab.agents.iter().map(|a| (&a.user[..], &a.dns[0][..])).collect();
        let wanted: Vec<(String, String)> = (5001..=5005).map(|dn| (format!("agent{dn}"), dn.to_string())).collect();
        assert_eq!(users, wanted.iter().map(|(user, dn)| (&user[..], &dn[..])).collect::<Vec<_>>());
        let hash = PasswordHash::parse(&lab.agents[0].password.as_ref().unwrap().0).unwrap();
        assert!(hash.verify("crosspoint"));
        assert!(lab.agents.iter().all(|agent| !agent.skills.is_empty() && agent.password == lab.agents[0].password));
    }
}
