//! `[lab]`: the stand-in Genesys of `crosspoint lab`.

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
