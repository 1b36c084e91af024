//! What a real GWS says of calls: subscribed with each agent's own credentials.
//!
//! GWS takes no publications. It knows what no SIP message says (the ConnID, the data attached to the call), and by the
//! CallUUID, which both know, it can be joined to our call.

use hyper::Uri;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::polling::{Heard, Login, Polling};
use super::{BACKOFF, MAX_BACKOFF, SinkError};
use crate::bayeux::channel::Pattern;
use crate::bayeux::client::{Config, Output};
use crate::bayeux::message;
use crate::io::client::{HttpClient, Trust};

/// The channel of an agent's own calls.
const CALLS: &str = "/v2/me/calls";
/// Longest message that is believed, bytes: twice what the user data of a call may have.
const MAX_MESSAGE: usize = 128 * 1024;
/// Most pairs of user data of one message.
const MAX_PAIRS: usize = 500;

/// A GWS.
#[derive(Clone, Debug)]
pub struct GwsConfig {
    /// For logs.
    pub name: String,
    /// Its CometD server.
    pub cometd: Uri,
    /// What answers a GET with `Authorization: Basic` by a session.
    pub session: Uri,
    /// The agents whose calls are heard of.
    pub accounts: Vec<GwsAccount>,
    /// Whom we believe to be it.
    pub trust: Trust,
}

/// An agent's credentials.
#[derive(Clone, Debug)]
pub struct GwsAccount(pub message::Login);

/// What a GWS said of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The call.
    pub call_uuid: String,
    /// Its ConnID.
    pub conn_id: Option<String>,
    /// The data attached to it, all of them. `None`: it said nothing of them.
    pub user_data: Option<Map<String, Value>>,
}

impl Told {
    /// Reads a message of `/v2/me/calls`. `None`: it says nothing of a call that can be joined to ours.
    pub fn read(data: &[u8]) -> Option<Told> {
        #[derive(Deserialize)]
        struct Message {
            call: Call,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Call {
            call_uuid: String,
            #[serde(default)]
            conn_id: Option<String>,
            #[serde(default)]
            user_data: Option<Map<String, Value>>,
        }
        if data.len() > MAX_MESSAGE {
            return None;
        }
        let Message { call } = serde_json::from_slice(data).ok()?;
        let user_data = call.user_data.map(|data| data.into_iter().take(MAX_PAIRS).collect());
        let conn_id = call.conn_id.filter(|id| !id.is_empty());
        let says_something = conn_id.is_some() || user_data.is_some();
        (!call.call_uuid.is_empty() && says_something).then_some(Told { call_uuid: call.call_uuid, conn_id, user_data })
    }
}

/// One agent's subscription.
pub(super) struct Subscriber {
    name: String,
    user: String,
    polling: Polling,
}

impl Subscriber {
    pub(super) fn new(config: &GwsConfig, account: &GwsAccount) -> Result<Subscriber, SinkError> {
        let bad = |what| SinkError::Bad { name: config.name.clone(), what };
        let tls = |error| SinkError::Tls { name: config.name.clone(), error };
        let http = HttpClient::new(&config.trust).map_err(tls)?;
        let calls = Pattern::parse(CALLS).map_err(|_| bad("no channel"))?;
        let client =
            Config { subscriptions: vec![calls], backoff: BACKOFF, max_backoff: MAX_BACKOFF, ..Config::default() };
        let login = Login::Session { login: account.0.clone(), url: config.session.clone() };
        let polling = Polling::new(http, config.cometd.clone(), login, client);
        Ok(Subscriber { name: config.name.clone(), user: account.0.username.clone(), polling })
    }

    /// Listens until nobody wants to know. While the desk takes nothing, the server keeps what comes.
    pub(super) async fn run(mut self, told: mpsc::Sender<Told>) {
        let mut is_away = false;
        loop {
            match self.polling.next().await {
                Heard::Client(Output::Event(channel, data)) if channel == CALLS => {
                    if std::mem::take(&mut is_away) {
                        tracing::info!(gws = %self.name, user = %self.user, "a GWS tells of calls again");
                    }
                    let Some(call) = Told::read(&data) else { continue };
                    if told.send(call).await.is_err() {
                        return;
                    }
                }
                Heard::Client(Output::Denied(why)) => self.away(&mut is_away, &why),
                Heard::Failed(error) => self.away(&mut is_away, &error.to_string()),
                Heard::Client(_) => {}
            }
        }
    }

    fn away(&self, is_away: &mut bool, why: &str) {
        if !std::mem::replace(is_away, true) {
            tracing::warn!(gws = %self.name, user = %self.user, why, "a GWS tells nothing of calls");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_that_became_empty_is_news_and_what_says_nothing_of_them_is_none() {
        let read = |call: &str| Told::read(format!(r#"{{"call":{{"callUuid":"U"{call}}}}}"#).as_bytes());
        let told = |conn_id: Option<&str>, user_data: Option<Map<String, Value>>| {
            Some(Told { call_uuid: "U".to_owned(), conn_id: conn_id.map(str::to_owned), user_data })
        };
        assert_eq!(read(r#","userData":{}"#), told(None, Some(Map::new())));
        assert_eq!(read(r#","connId":"006c""#), told(Some("006c"), None));
        assert_eq!(read(r#","connId":"006c","userData":null"#), told(Some("006c"), None));
        assert_eq!(read(r#","connId":"""#), None);
        assert_eq!(Told::read(br#"{"call":{"callUuid":"","userData":{}}}"#), None);
    }

    #[test]
    fn a_message_that_is_too_long_is_not_believed() {
        let message = |pad: usize| format!(r#"{{"call":{{"callUuid":"U","connId":"6"}},"pad":"{}"}}"#, "x".repeat(pad));
        let frame = message(0).len();
        assert!(Told::read(message(MAX_MESSAGE - frame).as_bytes()).is_some());
        assert_eq!(Told::read(message(MAX_MESSAGE - frame + 1).as_bytes()), None);
    }
}
