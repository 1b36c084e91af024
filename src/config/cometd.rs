//! `[cometd]`: events for agents' desktops, and the logins behind them.

use serde::Deserialize;

use super::check::File;
use super::{Config, ConfigError};
use crate::http::origin::is_origin;

/// `[cometd]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CometdConfig {
    /// How CometD may be spoken, the preferred first.
    pub transports: Vec<CometdTransport>,
    /// Origins whose pages may use CometD and REST, beside a listener's own and its `origins`.
    pub origins: Vec<String>,
    /// How long a connect is held, seconds.
    pub timeout_seconds: u32,
    /// How long a session lives between two connects, seconds.
    pub max_interval_seconds: u32,
    /// Most sessions.
    pub sessions: usize,
    /// Most events that wait for one session.
    pub queue: usize,
    /// How long a login lives without a request, seconds.
    pub idle_seconds: u32,
    /// Requests by REST that change something must show the login's token.
    pub csrf: bool,
    /// Where browsers send the cookie of a login.
    pub cookie: CometdCookie,
}

/// A way to speak CometD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CometdTransport {
    /// WebSocket.
    Websocket,
    /// POST.
    LongPolling,
    /// GET, answered by a script.
    CallbackPolling,
}

/// Flags of the login's cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CometdCookie {
    /// `SameSite=Lax`.
    #[default]
    Lax,
    /// `SameSite=None; Secure; Partitioned`: for pages in frames of other sites.
    Embedded,
}

impl Default for CometdConfig {
    fn default() -> CometdConfig {
        CometdConfig {
            transports: vec![
                CometdTransport::Websocket,
                CometdTransport::LongPolling,
                CometdTransport::CallbackPolling,
            ],
            origins: Vec::new(),
            timeout_seconds: 60,
            max_interval_seconds: 10,
            sessions: 20_000,
            queue: 1000,
            idle_seconds: 1800,
            csrf: true,
            cookie: CometdCookie::Lax,
        }
    }
}

impl Config {
    pub(super) fn check_cometd(&self, file: &File) -> Result<(), ConfigError> {
        let c = &self.cometd;
        file.must(!c.transports.is_empty(), "cometd.transports", "[]", "at least one")?;
        for origin in &c.origins {
            let allowed = "\"https://host\" or \"https://host:port\", nothing behind it";
            file.must(is_origin(origin), "cometd.origins", origin, allowed)?;
        }
        let timeout = c.timeout_seconds;
        file.must((1..=100).contains(&timeout), "cometd.timeout_seconds", timeout, "1 to 100")?;
        let interval = c.max_interval_seconds;
        file.must((1..=3600).contains(&interval), "cometd.max_interval_seconds", interval, "1 to 3600")?;
        file.must((1..=100_000).contains(&c.sessions), "cometd.sessions", c.sessions, "1 to 100000")?;
        file.must((1..=100_000).contains(&c.queue), "cometd.queue", c.queue, "1 to 100000")?;
        let idle = c.idle_seconds;
        file.must((10..=86_400).contains(&idle), "cometd.idle_seconds", idle, "10 to 86400")?;
        for (at, listener) in self.listeners.iter().enumerate() {
            let ok = !listener.anonymous_cometd || listener.bind.ip().is_loopback();
            let key = format!("listener[{at}].anonymous_cometd");
            file.must(ok, key, listener.anonymous_cometd, "true on a loopback address only")?;
        }
        Ok(())
    }
}
