//! Events published to an external CometD server.

use std::sync::Arc;

use hyper::Uri;

use super::polling::{Heard, Login, Polling};
use super::reader::Event;
use super::tally::SinkTally;
use super::{BACKOFF, MAX_BACKOFF, Sink, SinkError, Trouble};
use crate::bayeux::BayeuxError;
use crate::bayeux::channel::Channel;
use crate::bayeux::client::{Config, Output};
use crate::desk::journal::Heading;
use crate::io::client::{HttpClient, Trust};

/// An external CometD server.
#[derive(Clone, Debug)]
pub struct CometdConfig {
    /// Where it is.
    pub url: Uri,
    /// Where events are published; `{kind}` stands for the last word of their own channel, `{dn}` and `{owner}` for DN and
    /// agent (`-` where there is none).
    pub channel: String,
    /// How it is told who we are.
    pub login: Login,
    /// Whom we believe to be it.
    pub trust: Trust,
}

/// Returns the channel of an event by the pattern of [`CometdConfig::channel`]. `None`: that is no channel.
fn channel(pattern: &str, heading: &Heading<'_>) -> Option<Channel> {
    // A wildcard or a slash within a name would make another channel of it.
    let word = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.@+".contains(c) { c } else { '_' }).collect()
    };
    let kind = heading.channel.rsplit('/').next().unwrap_or_default();
    let owner = heading.owner.as_deref().unwrap_or("-");
    let name = pattern.replace("{kind}", &word(kind)).replace("{dn}", &word(&heading.dn));
    Channel::parse(&name.replace("{owner}", &word(owner))).ok()
}

/// Returns true if every event has a channel by this pattern.
pub fn is_channel(pattern: &str) -> bool {
    let data = serde_json::value::RawValue::NULL;
    let text = |text: &'static str| std::borrow::Cow::Borrowed(text);
    let heading =
        Heading { event_id: text(""), channel: text("/v2/me/calls"), owner: None, dn: text("5001"), at: 0, data };
    channel(pattern, &heading).is_some_and(|channel| !channel.is_meta())
}

/// The sink.
pub(super) struct Cometd {
    name: String,
    config: CometdConfig,
    polling: Polling,
    /// Number of the next event that the client has not got.
    handed: u64,
    /// Number of the next event that the server has not got.
    settled: u64,
    is_away: bool,
    tally: Arc<SinkTally>,
    at: usize,
}

impl Cometd {
    pub(super) fn new(
        name: &str,
        config: &CometdConfig,
        tally: Arc<SinkTally>,
        at: usize,
    ) -> Result<Cometd, SinkError> {
        let http = HttpClient::new(&config.trust).map_err(|error| SinkError::Tls { name: name.to_owned(), error })?;
        if !is_channel(&config.channel) {
            return Err(SinkError::Bad { name: name.to_owned(), what: "channel: not a channel" });
        }
        let client = Config { backoff: BACKOFF, max_backoff: MAX_BACKOFF, ..Config::default() };
        let polling = Polling::new(http, config.url.clone(), config.login.clone(), client);
        let (handed, settled) = (0, 0);
        let (name, config) = (name.to_owned(), config.clone());
        Ok(Cometd { name, config, polling, handed, settled, is_away: false, tally, at })
    }

    /// Gives the client what it has room for; an event that has no channel is settled by that.
    fn hand_over(&mut self, events: &[Event]) {
        let handed = self.handed;
        for event in events.iter().filter(|event| event.number >= handed) {
            let channel = Heading::read(&event.envelope).and_then(|heading| channel(&self.config.channel, &heading));
            let Some(channel) = channel else {
                self.refused(event.number, "no channel for it");
                self.handed = event.number + 1;
                continue;
            };
            match self.polling.client().publish(event.number, channel, event.envelope.clone()) {
                Err(BayeuxError::Full) => return,
                Ok(()) => {}
                Err(error) => self.refused(event.number, &error.to_string()),
            }
            self.handed = event.number + 1;
        }
    }

    fn refused(&self, number: u64, why: &str) {
        self.tally.refused_by_sink(self.at, 1);
        tracing::error!(sink = %self.name, number, why, "an event was refused for good");
    }

    async fn turn(&mut self) {
        match self.polling.next().await {
            Heard::Client(Output::Published(number)) => {
                self.settled = self.settled.max(number + 1);
                if std::mem::take(&mut self.is_away) {
                    tracing::info!(sink = %self.name, "events go out again");
                }
            }
            Heard::Client(Output::Refused(number, why)) => {
                self.settled = self.settled.max(number + 1);
                self.refused(number, &why);
            }
            Heard::Client(Output::Denied(why)) => self.away(&why),
            Heard::Failed(error) => self.away(&error.to_string()),
            Heard::Client(Output::Event(..) | Output::Post { .. }) => {}
        }
    }

    fn away(&mut self, why: &str) {
        self.tally.failed(self.at);
        if !std::mem::replace(&mut self.is_away, true) {
            tracing::warn!(sink = %self.name, why, "events wait for a sink");
        }
    }
}

impl Sink for Cometd {
    async fn deliver(&mut self, events: &[Event]) -> Result<usize, Trouble> {
        loop {
            self.hand_over(events);
            if self.polling.client().waiting() == 0 {
                // An event that has no channel is settled with those before it.
                self.settled = self.settled.max(self.handed);
            }
            let settled = events.iter().take_while(|event| event.number < self.settled).count();
            if settled > 0 {
                return Ok(settled);
            }
            self.turn().await;
        }
    }

    async fn idle(&mut self) {
        self.turn().await;
    }
}
