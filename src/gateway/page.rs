//! What the phone page asks for, and is told, within the dialog of a call: INFO `application/vnd.crosspoint+json`
//! (RFC 6086), one small JSON object (RFC 8259).
//!
//! ```text
//! up:   {"command":"transfer","to":"6001"}              blind
//!       {"command":"transfer","with":"CALL-ID"}         attended: `with` is the agent's other call
//!       {"command":"conference","with":"CALL-ID"}
//!       {"command":"hold"}   {"command":"retrieve"}     retrieve also takes a transfer back
//! down: {"event":"transfer","status":180,"last":false}  how far a transfer is, as a sipfrag tells it
//!       {"event":"party","number":"1004","name":"Ann"}  whom the call is with from here on
//! ```
//! The Call-ID is that of the other dialog between the page and the gateway. What is unknown, doubled or too long is
//! refused whole: a page that we do not understand is not half obeyed.

use std::fmt;

use serde::Deserialize;

/// The media type of such an INFO.
pub const PAGE_TYPE: &str = "application/vnd.crosspoint+json";

/// Longest body that is read.
const MAX_BODY: usize = 1024;

/// Longest number that may be dialled.
const MAX_NUMBER: usize = 64;

/// Longest Call-ID that is looked for.
const MAX_CALL_ID: usize = 256;

/// A wish of the page; `Display` writes the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageCommand {
    /// The other party waits.
    Hold,
    /// The other party is talked to again.
    Retrieve,
    /// The call goes to this number, the agent leaves.
    Transfer {
        /// Letters, digits and `+*#._-`.
        to: String,
    },
    /// The call is joined with the agent's other call, the agent leaves both.
    Complete {
        /// Call-ID of the page's other dialog.
        with: String,
    },
    /// The call and the agent's other call become one of three.
    Conference {
        /// Call-ID of the page's other dialog.
        with: String,
    },
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Above 1 KiB.
    #[error("body too long")]
    TooLong,
    /// No JSON object of the known members, each at most once.
    #[error("not one flat object of known members")]
    Syntax,
    /// A command that there is not, or one with a member missing or in excess.
    #[error("no such command")]
    Command,
    /// A `to` that is no number, or a `with` that is no Call-ID.
    #[error("bad value")]
    Value,
}

/// The members as they stand in the body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    command: String,
    to: Option<String>,
    with: Option<String>,
}

impl PageCommand {
    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<PageCommand, PageError> {
        if body.len() > MAX_BODY {
            return Err(PageError::TooLong);
        }
        let members: Members = serde_json::from_slice(body).map_err(|_| PageError::Syntax)?;
        match (members.command.as_str(), members.to, members.with) {
            ("hold", None, None) => Ok(PageCommand::Hold),
            ("retrieve", None, None) => Ok(PageCommand::Retrieve),
            ("transfer", Some(to), None) if is_number(&to) => Ok(PageCommand::Transfer { to }),
            ("transfer", None, Some(with)) if is_call_id(&with) => Ok(PageCommand::Complete { with }),
            ("conference", None, Some(with)) if is_call_id(&with) => Ok(PageCommand::Conference { with }),
            ("transfer", Some(_), None) | ("transfer" | "conference", None, Some(_)) => Err(PageError::Value),
            _ => Err(PageError::Command),
        }
    }
}

impl fmt::Display for PageCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (command, member) = match self {
            PageCommand::Hold => ("hold", None),
            PageCommand::Retrieve => ("retrieve", None),
            PageCommand::Transfer { to } => ("transfer", Some(("to", to))),
            PageCommand::Complete { with } => ("transfer", Some(("with", with))),
            PageCommand::Conference { with } => ("conference", Some(("with", with))),
        };
        write!(f, "{{\"command\":\"{command}\"")?;
        if let Some((name, value)) = member {
            // A Call-ID may hold a quotation mark or a backslash.
            write!(f, ",\"{name}\":{}", serde_json::Value::from(value.as_str()))?;
        }
        f.write_str("}")
    }
}

/// Returns true for what may be dialled: letters, digits and `+*#._-`, 64 characters at most.
pub fn is_number(text: &str) -> bool {
    let sound = |b: u8| b.is_ascii_alphanumeric() || b"+*#._-".contains(&b);
    (1..=MAX_NUMBER).contains(&text.len()) && text.bytes().all(sound)
}

fn is_call_id(text: &str) -> bool {
    (1..=MAX_CALL_ID).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Writes how far a transfer is; `last`: nothing more is to come of it.
pub fn progress(status: u16, last: bool) -> String {
    format!("{{\"event\":\"transfer\",\"status\":{status},\"last\":{last}}}")
}

/// Writes with whom the call is; both may be empty.
pub fn party(number: &str, name: &str) -> String {
    let text = serde_json::Value::from;
    format!("{{\"event\":\"party\",\"number\":{},\"name\":{}}}", text(number), text(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_read_and_written() {
        let with = "a1\"b\\c@198.51.100.7".to_owned();
        let commands = [
            PageCommand::Hold,
            PageCommand::Retrieve,
            PageCommand::Transfer { to: "+4989123#*".into() },
            PageCommand::Complete { with: with.clone() },
            PageCommand::Conference { with },
        ];
        for command in commands {
            assert_eq!(PageCommand::parse(command.to_string().as_bytes()), Ok(command));
        }
        let spaced = b" {\"to\" : \"6001\" ,\r\n \"command\":\"transfer\"} ";
        assert_eq!(PageCommand::parse(spaced), Ok(PageCommand::Transfer { to: "6001".into() }));
    }

    #[test]
    fn what_is_no_flat_object_of_known_members_is_refused() {
        let texts = [
            "",
            "transfer",
            "[]",
            "{}",
            "{\"command\":\"hold\"} x",
            "{\"command\":\"hold\",\"command\":\"hold\"}",
            "{\"command\":\"hold\",\"loud\":true}",
            "{\"command\":1}",
            "{\"command\":\"transfer\",\"to\":{\"to\":\"6001\"}}",
            "{\"command\":\"transfer\",\"to\":6001}",
        ];
        for text in texts {
            assert_eq!(PageCommand::parse(text.as_bytes()), Err(PageError::Syntax), "{text}");
        }
        assert_eq!(PageCommand::parse(b"{\"command\":\"\xff\"}"), Err(PageError::Syntax));
    }

    #[test]
    fn a_command_with_too_few_or_too_many_members_is_refused() {
        let texts = [
            "{\"command\":\"dance\"}",
            "{\"command\":\"transfer\"}",
            "{\"command\":\"hold\",\"to\":\"6001\"}",
            "{\"command\":\"transfer\",\"to\":\"6001\",\"with\":\"c\"}",
            "{\"command\":\"conference\",\"to\":\"6001\"}",
        ];
        for text in texts {
            assert_eq!(PageCommand::parse(text.as_bytes()), Err(PageError::Command), "{text}");
        }
    }

    #[test]
    fn a_value_that_could_break_out_of_a_uri_or_a_header_is_refused() {
        for to in ["", "6001@evil.example", "6001;x=y", "6001?Replaces=c", "60 01", "6001\\r\\nX: y", "\\u0000", "é"] {
            let text = format!("{{\"command\":\"transfer\",\"to\":\"{to}\"}}");
            assert_eq!(PageCommand::parse(text.as_bytes()), Err(PageError::Value), "{text}");
        }
        for with in ["", "a b", "a\\r\\nb", "\\u0007"] {
            let text = format!("{{\"command\":\"conference\",\"with\":\"{with}\"}}");
            assert_eq!(PageCommand::parse(text.as_bytes()), Err(PageError::Value), "{text}");
        }
    }

    #[test]
    fn lengths_are_bounded() {
        let to = |length| format!("{{\"command\":\"transfer\",\"to\":\"{}\"}}", "1".repeat(length));
        assert!(PageCommand::parse(to(64).as_bytes()).is_ok());
        assert_eq!(PageCommand::parse(to(65).as_bytes()), Err(PageError::Value));
        assert_eq!(PageCommand::parse(to(2000).as_bytes()), Err(PageError::TooLong));
        let with = |length| format!("{{\"command\":\"transfer\",\"with\":\"{}\"}}", "c".repeat(length));
        assert!(PageCommand::parse(with(256).as_bytes()).is_ok());
        assert_eq!(PageCommand::parse(with(257).as_bytes()), Err(PageError::Value));
        assert_eq!(PageCommand::parse("[".repeat(1024).as_bytes()), Err(PageError::Syntax));
    }
}
