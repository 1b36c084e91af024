//! The agents' side, from the configuration's shape to what `io` and `http` ask for.

use std::time::Duration;

use crate::bayeux::Transport;
use crate::bayeux::server;
use crate::config::{CometdTransport, Config, ListenerConfig};
use crate::http::session::{CookieMode, DeskRules};
use crate::id::RunId;
use crate::io::desk;

/// Makes the settings of the agents' side; `None`: nobody could use it.
pub(in crate::app) fn desk(config: &Config) -> Option<desk::Config> {
    let anonymous = config.listeners.iter().any(|listener| listener.anonymous_cometd);
    // Sinks are told of every call, whoever works at the DN.
    if config.agents.is_empty() && !anonymous && config.sinks.is_empty() {
        return None;
    }
    let settings = super::agents::desk(config, RunId(rand::random()));
    let cometd = &config.cometd;
    let bayeux = server::Config {
        timeout: Duration::from_secs(u64::from(cometd.timeout_seconds)),
        max_interval: Duration::from_secs(u64::from(cometd.max_interval_seconds)),
        sessions: cometd.sessions,
        queue: cometd.queue,
        transports: transports(config),
        ..server::Config::default()
    };
    let login = crate::desk::login::Config {
        idle: Duration::from_secs(u64::from(cometd.idle_seconds)),
        ..crate::desk::login::Config::default()
    };
    Some(desk::Config { bayeux, login, ..desk::Config::new(settings) })
}

fn transports(config: &Config) -> Vec<Transport> {
    let each = config.cometd.transports.iter().map(|transport| match transport {
        CometdTransport::Websocket => Transport::WebSocket,
        CometdTransport::LongPolling => Transport::LongPolling,
        CometdTransport::CallbackPolling => Transport::CallbackPolling,
    });
    each.collect()
}

/// Makes the rules of a listener towards agents.
pub(super) fn rules(config: &Config, listener: &ListenerConfig) -> DeskRules {
    DeskRules {
        origins: config.cometd.origins.as_slice().into(),
        anonymous: listener.anonymous_cometd,
        csrf: config.cometd.csrf,
        cookie: match config.cometd.cookie {
            crate::config::CometdCookie::Lax => CookieMode::Lax,
            crate::config::CometdCookie::Embedded => CookieMode::Embedded,
        },
        transports: transports(config).into(),
        ..DeskRules::default()
    }
}
