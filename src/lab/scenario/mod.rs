//! Scripted scenarios: what a Genesys SIP Server does to a gateway, step by step, in the exact shapes that it sends.
//!
//! A scenario is a text of steps (`scripts/`), its messages are text templates (`shapes/`): no SIP library writes them, since
//! their oddities are the point (From without `<>`, Content-Length before Via, no rport, other brackets in ACK than in INVITE).
//! What the gateway answers is read by `rsip` and looked at message by message.
//!
//! ```text
//!  script ── parse ──► Player (no socket, no clock) ◄──► run: sockets of the SIP Server, RTP ends, agent
//!  shapes ── expand ──►   │ every message                 or a simulated network in tests
//!                         └─► Lint
//! ```
//!
//! We do not retransmit by ourselves, because a scenario says what is sent when; and we do not play the agent: a person does,
//! at the phone page, or a test.

mod catalogue;
mod check;
mod lint;
mod player;
mod run;
mod script;
#[cfg(test)]
mod tests;
mod text;
mod words;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use script::{Line, Script, Step};

pub use catalogue::names;
use catalogue::shape;
pub use player::{Input, Stage};
pub use run::{AgentDoes, Place, play};
pub use script::AgentAct;

/// A scenario that was read, on its addresses.
#[derive(Clone, Debug)]
pub struct Scenario {
    name: String,
    script: Script,
    peers: Vec<(String, SocketAddr)>,
}

impl Scenario {
    /// Reads a scenario of [`names`]. Its SIP Server is at `server`; where it has more addresses, they are the ones that
    /// follow, with the same port.
    ///
    /// # Errors
    /// One line: no such scenario, or an error in it.
    pub fn find(name: &str, server: SocketAddr) -> Result<Scenario, String> {
        let text =
            catalogue::script(name).ok_or_else(|| format!("no scenario {name}; `--scenario list` names them"))?;
        let script = script::parse(text, &catalogue::script).map_err(|why| format!("scenario {name}, {why}"))?;
        let others = script.peers.iter().zip(1..).map(|(name, n)| (name.clone(), beside(server, n)));
        let peers = [("server".to_owned(), server)].into_iter().chain(others).collect();
        Ok(Scenario { name: name.to_owned(), script, peers })
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what happens in it, one sentence.
    pub fn about(&self) -> &str {
        &self.script.about
    }

    /// Returns the addresses of the SIP Server by name, the first is `server`.
    pub fn peers(&self) -> &[(String, SocketAddr)] {
        &self.peers
    }

    /// Returns the keys of the gateway's configuration that it needs, `trunk.0.refer`, each with its value in TOML.
    ///
    /// # Errors
    /// A placeholder that is not known.
    pub fn config(&self) -> Result<Vec<(String, String)>, String> {
        let address = |name: &str| self.peers.iter().find(|(n, _)| n == name).map(|(_, a)| a.to_string());
        let ip = |name: &str| {
            let peer = name.strip_suffix(".ip")?;
            self.peers.iter().find(|(n, _)| n == peer).map(|(_, a)| a.ip().to_string())
        };
        let fill = |text: &str| text::expand(text, &|name| address(name).or_else(|| ip(name)));
        self.script.config.iter().map(|(key, value)| Ok((fill(key)?, fill(value)?))).collect()
    }

    /// Tells whether this is the first thing that happens in it.
    pub fn begins_with(&self, act: &AgentAct) -> bool {
        matches!(self.script.steps.first(), Some(Line { step: Step::Agent { act: first, .. }, .. }) if first == act)
    }

    /// Tells whether it listens to audio.
    pub fn has_media(&self) -> bool {
        self.script.steps.iter().any(|line| matches!(line.step, Step::Hear { .. }))
    }
}

fn beside(server: SocketAddr, n: u32) -> SocketAddr {
    match server.ip() {
        IpAddr::V4(ip) => SocketAddr::new(Ipv4Addr::from(u32::from(ip) + n).into(), server.port()),
        IpAddr::V6(_) => SocketAddr::new(server.ip(), server.port().wrapping_add(n as u16)),
    }
}

/// Puts keys into a configuration's text: `trunk.0.refer` is the key of the first trunk. What is there is replaced.
///
/// # Errors
/// One line: no TOML, or no such place.
pub fn configure(text: &str, keys: &[(String, String)]) -> Result<String, String> {
    let mut all: toml::Table = text.parse().map_err(|e: toml::de::Error| e.to_string())?;
    for (key, value) in keys {
        let read: toml::Table = format!("v = {value}").parse().map_err(|e| format!("{key} = {value}: {e}"))?;
        let value = read.get("v").cloned().ok_or_else(|| format!("{key}: no value"))?;
        let mut parts = key.split('.').peekable();
        let first = parts.next().unwrap_or_default();
        if parts.peek().is_none() {
            all.insert(first.to_owned(), value);
            continue;
        }
        let mut place = all.entry(first).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        while let Some(part) = parts.next() {
            let is_last = parts.peek().is_none();
            place = match place {
                toml::Value::Array(list) => {
                    let at: usize = part.parse().map_err(|_| format!("{key}: {part} is no place in a list"))?;
                    if at == list.len() {
                        list.push(toml::Value::Table(toml::Table::new()));
                    }
                    list.get_mut(at).ok_or_else(|| format!("{key}: the list has no place {at}"))?
                }
                toml::Value::Table(table) if is_last => {
                    table.insert(part.to_owned(), value.clone());
                    break;
                }
                toml::Value::Table(table) => {
                    table.entry(part).or_insert_with(|| toml::Value::Table(toml::Table::new()))
                }
                _ => return Err(format!("{key}: {part} has no keys")),
            };
        }
    }
    toml::to_string(&all).map_err(|e| e.to_string())
}

/// Returns the list that `--scenario list` prints: a line for each.
pub fn list() -> String {
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 5060));
    let width = names().iter().map(|name| name.len()).max().unwrap_or(0);
    let line = |name: &&str| {
        let about = Scenario::find(name, nowhere).map_or_else(|why| why, |s| s.about().to_owned());
        format!("{name:width$}  {about}\n")
    };
    names().iter().map(line).collect()
}
