//! `[lab]`: the stand-in Genesys of `crosspoint lab`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Deserialize;

/// `[lab]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LabConfig {
    /// Where the stand-in speaks SIP over UDP; its media has the same address.
    pub sip: SocketAddr,
    /// Where it sends calls for DNs: one of the gateway's SIP sockets.
    pub gateway: SocketAddr,
    /// A customer calls every so many seconds; 0: on demand only.
    pub customer_every_seconds: u32,
    /// The DN that customers call on schedule.
    pub customer_calls: String,
    /// Password that DNs need to register at the stand-in; without it none is asked for.
    pub password: Option<String>,
    /// Numbers that can be dialled.
    #[serde(rename = "number")]
    pub numbers: Vec<LabNumber>,
    /// Numbers that are routed to agents.
    #[serde(rename = "queue")]
    pub queues: Vec<LabQueue>,
    /// Who calls them.
    pub customer: LabCustomer,
}

/// `[[lab.queue]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabQueue {
    /// What customers dial.
    pub number: String,
    /// What an agent must be good at; without it nothing in particular.
    pub skill: Option<String>,
    /// How good at least.
    #[serde(default = "one")]
    pub level: u8,
    /// How long an agent is rung before it becomes NotReady and the next one is.
    #[serde(default = "fifteen")]
    pub answer_seconds: u16,
}

fn one() -> u8 {
    1
}

fn fifteen() -> u16 {
    15
}

/// `[lab.customer]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LabCustomer {
    /// Its number (ANI).
    pub number: String,
    /// How long it waits for an agent; 0: for ever.
    pub patience_seconds: u16,
    /// What is known of it.
    pub user_data: BTreeMap<String, String>,
}

impl Default for LabCustomer {
    fn default() -> Self {
        let data = [("customer_id", "98765"), ("account_type", "premium"), ("call_reason", "support")];
        LabCustomer {
            number: "5551234567".to_owned(),
            patience_seconds: 120,
            user_data: data.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        }
    }
}

impl Default for LabConfig {
    fn default() -> Self {
        let number = |number: &str, does| LabNumber { number: number.to_owned(), does, text: None };
        LabConfig {
            sip: SocketAddr::from(([127, 0, 0, 2], 5060)),
            gateway: SocketAddr::from(([127, 0, 0, 1], 5060)),
            customer_every_seconds: 0,
            customer_calls: "5001".to_owned(),
            password: None,
            numbers: vec![
                number("6001", LabBehaviour::Echo),
                number("6002", LabBehaviour::Tone),
                number("6003", LabBehaviour::Time),
                number("6004", LabBehaviour::Text),
                number("6005", LabBehaviour::Refuse),
                number("6006", LabBehaviour::Busy),
                number("6007", LabBehaviour::NoAnswer),
                number("6008", LabBehaviour::EarlyMedia),
                number("6009", LabBehaviour::HangUp),
                number("6010", LabBehaviour::Digits),
            ],
            queues: Vec::new(),
            customer: LabCustomer::default(),
        }
    }
}

/// `[[lab.number]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabNumber {
    /// What is dialled.
    pub number: String,
    /// What happens then.
    pub does: LabBehaviour,
    /// What `text` says: the first 200 characters, up to 20 s.
    pub text: Option<String>,
}

/// What a number of the lab does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabBehaviour {
    /// Sends back what it hears.
    Echo,
    /// Plays a tone.
    Tone,
    /// Speaks the time.
    Time,
    /// Speaks a text.
    Text,
    /// 603.
    Refuse,
    /// 486.
    Busy,
    /// Rings for ever.
    NoAnswer,
    /// 183 with sound, then 200.
    EarlyMedia,
    /// Answers with a tone, hangs up after 5 s.
    HangUp,
    /// Sends back the keys that it hears.
    Digits,
}
