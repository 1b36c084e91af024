//! The outbox, its sinks, and each GWS that is listened to.

use std::path::Path;
use std::time::Duration;

use crate::bayeux::message;
use crate::config::{Config, GwsConfig, SinkConfig, SinkKindConfig, SinkLoginConfig};
use crate::io::client::{Trust, address};
use crate::io::sink;

const MB: u64 = 1_000_000;

/// Makes the settings of the outbox; `None`: nobody needs it. Without a sink it is for agents' desktops, which hear of calls that
/// a restart ended. `state` is the folder of what is made at first use.
pub(in crate::app) fn sinks(config: &Config, state: &Path) -> Option<sink::Config> {
    let sinks: Vec<_> = config.sinks.iter().filter_map(one).collect();
    let folder = config.outbox.folder.clone().unwrap_or_else(|| state.join("outbox"));
    let max_bytes = u64::from(config.outbox.max_mb) * MB;
    let is_wanted = !sinks.is_empty() || !config.agents.is_empty();
    is_wanted.then(|| sink::Config { folder, max_bytes, sinks, status: super::agents::status(config) })
}

/// `None`: its address is none, which the configuration was checked for.
fn one(sink: &SinkConfig) -> Option<sink::SinkConfig> {
    let url = || address(sink.url.as_ref()?);
    let trust = Trust { ca: sink.ca.clone(), unverified: !sink.verify };
    let kind = match sink.kind {
        SinkKindConfig::Cometd => {
            let (url, channel) = (url()?, sink.channel().to_owned());
            sink::SinkKind::Cometd(sink::CometdConfig { url, channel, login: login(sink)?, trust })
        }
        SinkKindConfig::Webhook => sink::SinkKind::Webhook(sink::WebhookConfig {
            url: url()?,
            secret: sink.secret.as_ref().map(|secret| secret.0.clone()),
            batch: sink.batch.unwrap_or(100),
            patience: Duration::from_secs(u64::from(sink.timeout_seconds.unwrap_or(10))),
            trust,
        }),
        SinkKindConfig::Lines => sink::SinkKind::Lines(sink::LinesConfig {
            file: sink.file.clone()?,
            max_bytes: u64::from(sink.max_mb.unwrap_or(100)) * MB,
            keep: sink.keep.unwrap_or(5),
        }),
    };
    Some(sink::SinkConfig { name: sink.name.clone(), kind })
}

fn login(sink: &SinkConfig) -> Option<sink::Login> {
    let account = || {
        let password = sink.password.as_ref()?.0.clone();
        Some(message::Login { username: sink.username.clone()?, password })
    };
    Some(match sink.login {
        SinkLoginConfig::None => sink::Login::None,
        SinkLoginConfig::Basic => sink::Login::Basic(account()?),
        SinkLoginConfig::Handshake => sink::Login::Handshake(account()?),
        SinkLoginConfig::Session => sink::Login::Session { login: account()?, url: address(sink.login_url.as_ref()?)? },
    })
}

/// Makes the subscriptions at each GWS.
pub(in crate::app) fn subscriptions(config: &Config) -> Vec<sink::GwsConfig> {
    config.gws.iter().filter(|gws| !gws.agents.is_empty()).filter_map(gws).collect()
}

fn gws(gws: &GwsConfig) -> Option<sink::GwsConfig> {
    let base = gws.url.trim_end_matches('/');
    let accounts = gws.agents.iter().filter_map(|agent| {
        let password = agent.password.as_ref()?.0.clone();
        Some(sink::GwsAccount(message::Login { username: agent.username.clone(), password }))
    });
    Some(sink::GwsConfig {
        name: gws.name.clone(),
        cometd: address(&format!("{base}{}", gws.cometd))?,
        session: address(&format!("{base}{}", gws.login))?,
        accounts: accounts.collect(),
        trust: Trust { ca: gws.ca.clone(), unverified: !gws.verify },
    })
}
