//! Chat, e-mail and work items for agents: what a person makes by hand, since the lab has no media server for them.
//!
//! ```text
//! POST /api/v2/lab/interactions  {"channel":"chat","text":"Where is my order?"}
//!   200  {"statusCode":0,"id":"…","agent":"…"}      told on /v2/me/interactions
//!   400  {"statusCode":2,"statusMessage":"…"}       no channel of these three, or a body that cannot be read
//!   403  {"statusCode":20,"statusMessage":"…"}      a page of another origin asks
//!   404  {"statusCode":4,"statusMessage":"…"}       nobody of that name is at work; without a name, nobody is ready
//! ```
//! It goes to the agent that it names, else to the one who is longest ready.

use std::sync::{Arc, OnceLock};

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use rand::RngExt;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::inbound::Floor;
use crate::http::{Link, origin};

/// Where it is asked for.
pub const PATH: &str = "/api/v2/lab/interactions";

/// The longest body, bytes.
const MAX_BODY: usize = 16 << 10;

/// What sort of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Somebody writes on a web page.
    Chat,
    /// Somebody has written.
    Email,
    /// A task of another program.
    WorkItem,
}

impl Channel {
    /// Returns the channel of this name.
    pub fn find(name: &str) -> Option<Channel> {
        [Channel::Chat, Channel::Email, Channel::WorkItem].into_iter().find(|channel| channel.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Channel::Chat => "chat",
            Channel::Email => "email",
            Channel::WorkItem => "workitem",
        }
    }
}

impl From<Channel> for Wanted {
    fn from(channel: Channel) -> Wanted {
        Wanted { channel, agent: None, from: None, subject: None, text: None, user_data: Map::new() }
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wanted {
    /// Its sort.
    pub channel: Channel,
    /// For whom; `None`: whoever is longest ready.
    pub agent: Option<String>,
    /// Who writes.
    pub from: Option<String>,
    /// What it is about.
    pub subject: Option<String>,
    /// What is written.
    pub text: Option<String>,
    /// What is known of the customer.
    #[serde(default)]
    pub user_data: Map<String, Value>,
}

/// Returns what an agent is told of a new one. What was not said is left out.
pub fn event(wanted: &Wanted, id: &str) -> Value {
    let mut interaction = Map::new();
    interaction.insert("id".into(), id.into());
    interaction.insert("channel".into(), wanted.channel.name().into());
    interaction.insert("state".into(), "Invited".into());
    for (key, said) in [("from", &wanted.from), ("subject", &wanted.subject), ("text", &wanted.text)] {
        interaction.extend(said.clone().map(|said| (key.to_owned(), Value::from(said))));
    }
    interaction.insert("userData".into(), wanted.user_data.clone().into());
    json!({ "notificationType": "StatusChange", "interaction": interaction })
}

/// Tells an agent; returns its name, or `None` where nobody can be told.
pub fn deliver(floor: &dyn Floor, wanted: &Wanted, id: &str) -> Option<String> {
    let longest_ready = || {
        let agents = floor.agents();
        let free = agents.into_iter().filter(|agent| agent.is_free);
        free.min_by_key(|agent| agent.since).map(|agent| agent.user)
    };
    let user = wanted.agent.clone().or_else(longest_ready)?;
    floor.interaction(&user, event(wanted, id)).then_some(user)
}

/// Makes the name of one.
pub(super) fn new_id() -> String {
    format!("{:032X}", rand::rng().random::<u128>())
}

/// Returns the route, for [`App::routes`](crate::app::App::routes). Agents are told of once the floor is there.
pub fn routes(floor: Arc<OnceLock<Arc<dyn Floor>>>) -> Router {
    Router::new().route(PATH, post(make)).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(floor)
}

/// A body of `application/json` alone is read: a page of another origin cannot send one unasked, and is refused if it does.
async fn make(
    State(floor): State<Arc<OnceLock<Arc<dyn Floor>>>>,
    Extension(link): Extension<Link>,
    headers: HeaderMap,
    body: Result<Json<Wanted>, JsonRejection>,
) -> Response {
    if origin::is_foreign(&link, &headers) {
        return refused(StatusCode::FORBIDDEN, 20, "Pages of other origins may not.");
    }
    let wanted = match body {
        Ok(Json(wanted)) => wanted,
        Err(why) => return refused(StatusCode::BAD_REQUEST, 2, &why.body_text()),
    };
    let id = new_id();
    match floor.get().and_then(|floor| deliver(floor.as_ref(), &wanted, &id)) {
        Some(agent) => Json(json!({ "statusCode": 0, "id": id, "agent": agent })).into_response(),
        None => refused(StatusCode::NOT_FOUND, 4, "No such agent is at work."),
    }
}

fn refused(status: StatusCode, code: u8, why: &str) -> Response {
    (status, Json(json!({ "statusCode": code, "statusMessage": why }))).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::lab::routing::Agent;

    #[derive(Default)]
    struct Two(Mutex<Vec<(String, Value)>>);

    impl Floor for Two {
        fn agents(&self) -> Vec<Agent> {
            let start = Instant::now();
            let agent = |user: &str, is_free, after| Agent {
                user: user.to_owned(),
                dn: String::new(),
                skills: Vec::new(),
                is_free,
                since: start + Duration::from_secs(after),
            };
            vec![agent("busy", false, 0), agent("late", true, 9), agent("early", true, 3)]
        }

        fn not_ready(&self, _user: &str) {}

        fn told(&self, _call_uuid: &str, _conn_id: &str, _user_data: &[(String, String)]) {}

        fn interaction(&self, user: &str, data: Value) -> bool {
            self.0.lock().unwrap().push((user.to_owned(), data));
            user != "nobody"
        }
    }

    fn wanted(text: &str) -> Wanted {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_interaction_goes_to_whom_it_names_else_to_who_is_longest_ready() {
        let floor = Two::default();
        assert_eq!(deliver(&floor, &wanted(r#"{"channel":"chat"}"#), "1").as_deref(), Some("early"));
        let named = wanted(r#"{"channel":"workitem","agent":"busy"}"#);
        assert_eq!(deliver(&floor, &named, "2").as_deref(), Some("busy"));
        assert_eq!(deliver(&floor, &wanted(r#"{"channel":"email","agent":"nobody"}"#), "3"), None);
    }

    #[test]
    fn an_event_says_what_was_said_and_nothing_else() {
        let data = event(&wanted(r#"{"channel":"chat","from":"Ann","userData":{"customer_id":"98765"}}"#), "7");
        let interaction = json!({
            "id": "7", "channel": "chat", "state": "Invited", "from": "Ann", "userData": { "customer_id": "98765" }
        });
        assert_eq!(data, json!({ "notificationType": "StatusChange", "interaction": interaction }));
        assert!(serde_json::from_str::<Wanted>(r#"{"channel":"fax"}"#).is_err());
    }
}
