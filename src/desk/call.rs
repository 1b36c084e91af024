//! A call as the desks of its agents have it.
//!
//! ```text
//!  Dialing ──┐                  ┌──hold──> Held ──┐
//!            ├──answered──> Established <──retrieve┘        each ──> Released, and forgotten
//!  Ringing ──┘
//! ```
//! A call between two of our own numbers has two sides, each with its own state: the one dials, the other one rings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::agent::UserName;
use super::operation::{AttachedData, CallOperation, MAX_PAIRS};
use crate::call::{self, CallEvent, Direction};
use crate::id::{CallId, DialId};

/// Most bytes of the user data of one call, as JSON.
const MAX_BYTES: usize = 65_536;
/// The header field by which a trunk (the lab, or a site that maps it) tells a call's ConnID.
const CONN_ID: &str = "X-Genesys-ConnID";
/// Longest ConnID; real ones have 16 hexadecimal digits.
const MAX_CONN_ID: usize = 64;
/// Former CallUUIDs by which a call can still be named.
const MAX_FORMER: usize = 4;

/// State of a call at one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallState {
    /// The agent calls.
    Dialing,
    /// The agent is called.
    Ringing,
    /// The parties talk.
    Established,
    /// The agent has the other party on hold.
    Held,
    /// It is over.
    Released,
}

impl CallState {
    /// Returns the name that messages use.
    pub fn name(self) -> &'static str {
        match self {
            CallState::Dialing => "Dialing",
            CallState::Ringing => "Ringing",
            CallState::Established => "Established",
            CallState::Held => "Held",
            CallState::Released => "Released",
        }
    }

    pub(super) fn is_talking(self) -> bool {
        matches!(self, CallState::Established | CallState::Held)
    }
}

/// Where a number stands in a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) dn: &'a str,
    pub(super) peer: &'a str,
    pub(super) direction: Direction,
    pub(super) is_second: bool,
}

/// A call at one number.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) dn: String,
    pub(super) peer: String,
    pub(super) direction: Direction,
    /// Whose desktop shows it.
    pub(super) owner: Option<UserName>,
    /// `None` before there is anything to show.
    pub(super) state: Option<CallState>,
    pub(super) was_answered: bool,
    /// What happens in the call is told as the other agent's: this one is called, or a guest of a conference.
    pub(super) is_second: bool,
    /// The consultation that waits for the other party to be on hold.
    pub(super) wanted: Option<Wanted>,
    /// What its agent asked last, to tell what was declined.
    pub(super) asked: Option<&'static str>,
    /// The other party has put this one on hold.
    pub(super) is_held_by_peer: bool,
    /// What its desktop knows of [`Sight::beside`].
    pub(super) told_beside: [bool; 3],
    /// Its place among the sides that the call has had.
    number: u32,
    /// Events so far.
    sequence: u64,
}

impl Side {
    /// Returns the identifier of its next event, behind the run's.
    pub(super) fn next_event(&mut self, call: CallId) -> String {
        let sequence = self.sequence;
        self.sequence += 1;
        match self.number {
            0 => format!("{call}-{sequence}"),
            number => format!("{call}.{number}-{sequence}"),
        }
    }
}

/// Who told what of a call.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) call_uuid: Option<String>,
    former: Vec<String>,
    pub(super) conn_id: Option<String>,
    pub(super) dnis: Option<String>,
    pub(super) data: AttachedData,
    /// A desktop has changed them.
    pub(super) is_ruled: bool,
    /// Header fields that `data` has been told by already.
    fields: Option<call::UserData>,
    /// What somebody else said last that the user data are, and by which CallUUID.
    told: Option<(String, AttachedData)>,
}

/// How a call hangs together with another one of its agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Consultation {
    pub(super) parent: CallId,
}

/// A consultation that begins when the other party is on hold.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) user: UserName,
    pub(super) to: String,
    pub(super) data: AttachedData,
    pub(super) operation: &'static str,
    pub(super) at: Instant,
}

/// How long the other party may take to be put on hold.
const HOLD_TIME: Duration = Duration::from_secs(32);

impl Wanted {
    /// Returns true while it may still come about.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < HOLD_TIME
    }
}

/// A call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: CallId,
    pub(super) sides: Vec<Side>,
    sides_made: u32,
    pub(super) facts: Facts,
    /// Numbers of all parties but the agent, once they are more than one, or others than at first.
    pub(super) parties: Option<Vec<String>>,
    pub(super) consultation: Option<Consultation>,
    pub(super) dial: Option<DialId>,
    /// The number that handed it on, while events still bear it: it has left.
    pub(super) left: Option<String>,
    pub(super) answered_at: Option<Instant>,
    pub(super) is_captured: bool,
}

impl Call {
    pub(super) fn new(event: &CallEvent) -> Call {
        Call {
            id: event.call,
            sides: Vec::new(),
            sides_made: 0,
            facts: Facts::default(),
            parties: None,
            consultation: None,
            dial: event.dial,
            left: None,
            answered_at: None,
            is_captured: false,
        }
    }

    pub(super) fn add_side(&mut self, place: Place<'_>, owner: Option<UserName>) -> &mut Side {
        let number = self.sides_made;
        self.sides_made += 1;
        self.sides.push(Side {
            dn: place.dn.to_owned(),
            peer: place.peer.to_owned(),
            direction: place.direction,
            owner,
            state: None,
            was_answered: false,
            is_second: place.is_second,
            wanted: None,
            asked: None,
            is_held_by_peer: false,
            told_beside: [false; 3],
            number,
            sequence: 0,
        });
        self.sides.last_mut().expect("it has just been added")
    }

    /// Returns whose desktops show it.
    pub(super) fn owners(&self) -> Vec<UserName> {
        self.sides.iter().filter_map(|side| side.owner.clone()).collect()
    }

    pub(super) fn side_of(&self, user: &UserName) -> Option<&Side> {
        self.sides.iter().find(|side| side.owner.as_ref() == Some(user))
    }

    pub(super) fn side_of_mut(&mut self, user: &UserName) -> Option<&mut Side> {
        self.sides.iter_mut().find(|side| side.owner.as_ref() == Some(user))
    }

    /// Says whether the other party of a side is one of our numbers, reached without a trunk.
    pub(super) fn is_local(&self, side: &Side) -> bool {
        self.sides.iter().any(|other| other.dn == side.peer)
    }

    pub(super) fn is_conference(&self) -> bool {
        self.parties.as_ref().is_some_and(|parties| parties.len() > 1)
    }

    /// Returns the numbers of those that the side talks with.
    pub(super) fn participants<'a>(&'a self, side: &'a Side) -> Vec<&'a str> {
        let Some(parties) = &self.parties else { return vec![&side.peer] };
        let near = self.sides.iter().find(|other| !other.is_second).filter(|_| side.is_second);
        let others = parties.iter().filter(|party| **party != side.dn).map(String::as_str);
        near.into_iter().map(|near| near.dn.as_str()).chain(others).collect()
    }
}

impl Facts {
    /// Takes the key to the CTI call; returns true where it is another one.
    pub(super) fn take_uuid(&mut self, uuid: Option<&String>) -> bool {
        if uuid.is_none() || uuid == self.call_uuid.as_ref() {
            return false;
        }
        if let Some(former) = std::mem::replace(&mut self.call_uuid, uuid.cloned()) {
            self.former.truncate(MAX_FORMER - 1);
            self.former.insert(0, former);
        }
        true
    }

    /// Takes what header fields say that they have not said before; returns true where user data or ConnID change. A pair that
    /// somebody took away does not come back by the field that it came with.
    pub(super) fn take_fields(&mut self, fields: &call::UserData, prefixes: &[String]) -> bool {
        if self.fields.as_ref().is_some_and(|known| Arc::ptr_eq(known, fields)) {
            return false;
        }
        let known = self.fields.replace(Arc::clone(fields)).unwrap_or_default();
        let new: Vec<&(String, String)> = fields.iter().filter(|field| !known.contains(field)).collect();
        let conn_id = new.iter().find(|(name, value)| name.eq_ignore_ascii_case(CONN_ID) && is_conn_id(value));
        let is_named_anew = conn_id.is_some_and(|(_, value)| self.conn_id.as_ref() != Some(value));
        if let Some((_, value)) = conn_id {
            self.conn_id = Some(value.clone());
        }
        let new = new.into_iter();
        let pairs =
            new.filter_map(|(name, value)| Some((key(name, prefixes)?.to_owned(), Value::from(value.as_str()))));
        let pairs: AttachedData = pairs.collect();
        self.attach(pairs) || is_named_anew
    }

    /// Takes what somebody else says that the user data of the call are, all of them; returns true where they change. Only
    /// what it says anew counts: a pair that a desktop took away does not come back by its repetition, and one that is gone
    /// there goes here, unless a desktop has given it another value.
    pub(super) fn take_told(&mut self, uuid: &str, data: AttachedData, prefixes: &[String]) -> bool {
        let data = within_bounds(data);
        let (known_by, known) = self.told.take().unzip();
        let is_known = |pair: &str, value: &Value| match &known {
            Some(known) => known.get(pair) == Some(value),
            None => self
                .fields
                .iter()
                .flat_map(|fields| fields.iter())
                .any(|(name, text)| key(name, prefixes) == Some(pair) && value.as_str() == Some(text.as_str())),
        };
        let new = data.iter().filter(|(key, value)| !is_known(key, value));
        let new: AttachedData = new.map(|(key, value)| (key.clone(), value.clone())).collect();
        // Another CTI call need not know what belonged to the one before it.
        let before = known.filter(|_| known_by.as_deref() == Some(uuid)).unwrap_or_default();
        let mut changed = false;
        for (key, value) in before {
            if !data.contains_key(&key) && self.data.get(&key) == Some(&value) {
                self.data.remove(&key);
                changed = true;
            }
        }
        self.told = Some((uuid.to_owned(), data));
        self.attach(new) || changed
    }

    /// Says whether header fields or somebody else told a pair of this key.
    pub(super) fn was_told(&self, pair: &str, prefixes: &[String]) -> bool {
        let fields = self.fields.iter().flat_map(|fields| fields.iter());
        fields.filter_map(|(name, _)| key(name, prefixes)).any(|known| known == pair)
            || self.told.as_ref().is_some_and(|(_, told)| told.contains_key(pair))
    }

    /// Puts pairs over those of the same key, as far as there is room; returns true where that changes anything.
    pub(super) fn attach(&mut self, pairs: AttachedData) -> bool {
        let mut changed = false;
        let mut size: usize = size(&self.data);
        for (key, value) in pairs {
            let old = self.data.get(&key);
            if old == Some(&value) {
                continue;
            }
            let more = pair_size(&key, &value);
            let less = old.map_or(0, |old| pair_size(&key, old));
            if size - less + more > MAX_BYTES || (old.is_none() && self.data.len() >= MAX_PAIRS) {
                continue;
            }
            size = size - less + more;
            self.data.insert(key, value);
            changed = true;
        }
        changed
    }

    /// Says whether pairs have room beside those that are there.
    pub(super) fn has_room(&self, pairs: &AttachedData) -> bool {
        let new = pairs.keys().filter(|key| !self.data.contains_key(*key)).count();
        self.data.len() + new <= MAX_PAIRS && size(&self.data) + size(pairs) <= MAX_BYTES
    }

    pub(super) fn is_named(&self, name: &str) -> bool {
        self.has_uuid(name) || self.conn_id.as_deref() == Some(name)
    }

    pub(super) fn has_uuid(&self, name: &str) -> bool {
        self.call_uuid.as_deref() == Some(name) || self.former.iter().any(|former| former == name)
    }
}

pub(super) fn is_conn_id(value: &str) -> bool {
    (1..=MAX_CONN_ID).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Returns the key of user data that a header field holds, if it holds any.
fn key<'a>(field: &'a str, prefixes: &[String]) -> Option<&'a str> {
    let behind = |prefix: &String| {
        let (start, rest) = field.split_at_checked(prefix.len())?;
        (start.eq_ignore_ascii_case(prefix) && !rest.is_empty()).then_some(rest)
    };
    prefixes.iter().find_map(behind)
}

/// Keeps as much of user data as one call may have, by the order of the keys.
fn within_bounds(data: AttachedData) -> AttachedData {
    let mut size = 0;
    let fits = |(key, value): &(String, Value)| {
        size += pair_size(key, value);
        size <= MAX_BYTES
    };
    data.into_iter().take(MAX_PAIRS).take_while(fits).collect()
}

pub(super) fn size(data: &AttachedData) -> usize {
    data.iter().map(|(key, value)| pair_size(key, value)).sum()
}

/// Bytes of a pair as JSON, with what stands between pairs.
fn pair_size(key: &str, value: &Value) -> usize {
    text_size(key) + value_size(value) + 2
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 24,
        Value::String(text) => text_size(text),
        Value::Array(values) => 2 + values.iter().map(|value| value_size(value) + 1).sum::<usize>(),
        Value::Object(map) => 2 + size(map),
    }
}

/// Bytes of a text as JSON (RFC 8259 7), its quotes counted.
fn text_size(text: &str) -> usize {
    let byte = |byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    2 + text.bytes().map(byte).sum::<usize>()
}

/// What decides what an agent can do with a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) state: CallState,
    pub(super) is_conference: bool,
    /// The agent has another call whose party this one's can be joined with.
    pub(super) can_transfer: bool,
    /// The agent has another call that can be made one with this.
    pub(super) can_confer: bool,
    /// One of them is on hold, the other one is not.
    pub(super) can_swap: bool,
}

/// What can be done with user data.
const DATA: [&str; 4] = ["AttachUserData", "UpdateUserData", "DeleteUserData", "DeleteUserDataPair"];

impl Sight {
    /// Returns what can be done, by the names of the operations.
    pub(super) fn capabilities(self) -> Vec<&'static str> {
        let mut all: Vec<&str> = match self.state {
            CallState::Released => return Vec::new(),
            CallState::Ringing => vec!["Answer"],
            CallState::Dialing => vec!["Hangup"],
            _ if self.is_conference => vec!["Hangup", "SendDtmf"],
            CallState::Established => vec![
                "Hangup",
                "Hold",
                "SendDtmf",
                "InitiateTransfer",
                "InitiateConference",
                "SingleStepTransfer",
                "SingleStepConference",
            ],
            CallState::Held => {
                vec!["Hangup", "Retrieve", "InitiateTransfer", "InitiateConference", "SingleStepTransfer"]
            }
        };
        let both = [
            ("SwapCalls", self.can_swap),
            ("CompleteTransfer", self.can_transfer && self.state.is_talking()),
            ("CompleteConference", self.can_confer && self.state.is_talking()),
        ];
        all.extend(both.into_iter().filter(|(_, can)| *can).map(|(name, _)| name));
        all.extend(DATA);
        all
    }

    /// Returns what other calls of the agent decide.
    pub(super) fn beside(self) -> [bool; 3] {
        [self.can_transfer, self.can_confer, self.can_swap]
    }

    /// Says whether an operation may be tried. A call that rings can be refused, which GWS does not list.
    pub(super) fn allows(self, what: &CallOperation) -> bool {
        let name = match what {
            CallOperation::ClearCall => "Hangup",
            other => other.name(),
        };
        let refuses = name == "Hangup" && self.state == CallState::Ringing;
        let answers_consultation = name == "CompleteTransfer" && self.state == CallState::Dialing && self.can_transfer;
        refuses || answers_consultation || self.capabilities().contains(&name)
    }
}
