//! The journal of the outbox: lines of text that say what was published, what each sink has, and which calls are open.
//!
//! ```text
//! 0f9a1e5c b 41                        a segment begins; the next event is number 41
//! 77aa01b2 o 7 {"eventId":…}           a call that was open then: sequence of its last event, and that event
//! 01c4e7d9 c 38 desktop                the sink `desktop` has all events before number 38
//! 5fe2a077 e 41 {"eventId":…}          event number 41, as sinks send it
//! ```
//!
//! The first word is the beginning of the SHA-256 of what follows, so that a torn or damaged line is told from a whole one;
//! it is left out, and reading goes on behind it. Each segment begins with all that the ones before it say, so those can
//! go as soon as every sink is past them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use aws_lc_rs::digest;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::message::CALLS;
use super::{Published, StatusName, UserName};

/// Longest event, in bytes, as it stands in the journal: the user data of a call stands in it twice, and each number and
/// name that a SIP message of 64 KiB has some times.
pub const MAX_EVENT: usize = 1024 * 1024;
/// Why a call was released that nobody released.
pub const GATEWAY_RESTART: &str = "gateway restart";

/// Why something cannot be an entry of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The data of an event is not JSON.
    #[error("not JSON")]
    NotJson,
    /// An event beyond [`MAX_EVENT`].
    #[error("the event is too long")]
    TooLong,
    /// A line that nobody wrote so.
    #[error("a damaged line")]
    Damaged,
}

/// An event as all sinks send it, and as the journal keeps it: one line of JSON.
#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "eventId")]
    event_id: &'a str,
    channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    dn: &'a str,
    at: i64,
    data: &'a RawValue,
}

/// What is read of an envelope.
#[derive(Clone, Debug, Deserialize)]
pub struct Heading<'a> {
    /// Names the event; a repetition has the same.
    #[serde(rename = "eventId", borrow)]
    pub event_id: Cow<'a, str>,
    /// Where it was published.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// The agent whose it is.
    #[serde(default, borrow)]
    pub owner: Option<Cow<'a, str>>,
    /// The DN.
    #[serde(borrow)]
    pub dn: Cow<'a, str>,
    /// When, ms since 1970.
    pub at: i64,
    /// What was published, JSON.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

impl<'a> Heading<'a> {
    /// Reads an envelope. `None`: it is none.
    pub fn read(envelope: &'a [u8]) -> Option<Heading<'a>> {
        serde_json::from_slice(envelope).ok()
    }
}

/// Writes an event as sinks send it: `{"eventId","channel","owner","dn","at","data"}`, without line ends. The end of a call
/// goes without its user data where it would be too long with it.
///
/// # Errors
/// [`JournalError::NotJson`], [`JournalError::TooLong`].
pub fn envelope(published: &Published) -> Result<Bytes, JournalError> {
    match write_envelope(published, &published.data) {
        Err(JournalError::TooLong) => brief_end(published).ok_or(JournalError::TooLong),
        other => other,
    }
}

/// Writes the end of a call without its user data. `None`: `published` is none, or too long even so.
pub fn brief_end(published: &Published) -> Option<Bytes> {
    if published.channel != CALLS || state(serde_json::from_slice(&published.data).ok()?)? != "Released" {
        return None;
    }
    let mut data: Map<String, Value> = serde_json::from_slice(&published.data).ok()?;
    data.remove("userData");
    data.get_mut("call")?.as_object_mut()?.remove("userData");
    write_envelope(published, &serde_json::to_vec(&data).ok()?).ok()
}

fn write_envelope(published: &Published, data: &[u8]) -> Result<Bytes, JournalError> {
    let data: &RawValue = serde_json::from_slice(data).map_err(|_| JournalError::NotJson)?;
    if data.get().len() > MAX_EVENT {
        return Err(JournalError::TooLong);
    }
    let compact = if data.get().contains(['\n', '\r']) { Some(on_one_line(data)?) } else { None };
    let envelope = Envelope {
        event_id: &published.event_id,
        channel: published.channel,
        owner: published.owner.as_ref().map(UserName::as_str),
        dn: &published.dn,
        at: published.at_unix_ms,
        data: compact.as_deref().unwrap_or(data),
    };
    let written = serde_json::to_vec(&envelope).map_err(|_| JournalError::NotJson)?;
    if written.len() > MAX_EVENT { Err(JournalError::TooLong) } else { Ok(Bytes::from(written)) }
}

/// Within JSON a line end is never part of a string, so it is worth no more than a space.
fn on_one_line(data: &RawValue) -> Result<Box<RawValue>, JournalError> {
    RawValue::from_string(data.get().replace(['\n', '\r'], " ")).map_err(|_| JournalError::NotJson)
}

/// One line of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A segment begins; what lines before it say of open calls is said again.
    Begin {
        /// Number of the next event.
        next: u64,
    },
    /// A call that is open.
    Open {
        /// Sequence of the call's last event.
        sequence: u64,
        /// The last event of this DN's side.
        envelope: &'a [u8],
    },
    /// A sink has all events before this number.
    Cursor {
        /// The sink's name.
        sink: &'a str,
        /// The number.
        number: u64,
    },
    /// Something was published.
    Event {
        /// Its number: one more than that of the event before.
        number: u64,
        /// The event.
        envelope: &'a [u8],
    },
}

impl<'a> Record<'a> {
    /// Appends the record's line.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (kind, number, text) = match *self {
            Record::Begin { next } => ('b', next, &b""[..]),
            Record::Open { sequence, envelope } => ('o', sequence, envelope),
            Record::Cursor { sink, number } => ('c', number, sink.as_bytes()),
            Record::Event { number, envelope } => ('e', number, envelope),
        };
        let begin = out.len();
        out.extend_from_slice(b"00000000 ");
        let body = out.len();
        out.extend_from_slice(format!("{kind} {number} ").as_bytes());
        out.extend_from_slice(text);
        let sum = sum(&out[body..]);
        out[begin..begin + 8].copy_from_slice(&sum);
        out.push(b'\n');
    }

    /// Reads a line, without its end.
    ///
    /// # Errors
    /// [`JournalError::Damaged`].
    pub fn read(line: &'a [u8]) -> Result<Record<'a>, JournalError> {
        let (told, body) = line.split_at_checked(9).ok_or(JournalError::Damaged)?;
        if told[8] != b' ' || told[..8] != sum(body) {
            return Err(JournalError::Damaged);
        }
        let mut words = body.splitn(3, |b| *b == b' ');
        let (kind, number, text) = (words.next(), words.next(), words.next().ok_or(JournalError::Damaged)?);
        let number = number.and_then(|n| std::str::from_utf8(n).ok()).and_then(|n| n.parse().ok());
        match (kind, number) {
            (Some(b"b"), Some(next)) => Ok(Record::Begin { next }),
            (Some(b"o"), Some(sequence)) => Ok(Record::Open { sequence, envelope: text }),
            (Some(b"e"), Some(number)) => Ok(Record::Event { number, envelope: text }),
            (Some(b"c"), Some(number)) => {
                Ok(Record::Cursor { sink: std::str::from_utf8(text).map_err(|_| JournalError::Damaged)?, number })
            }
            _ => Err(JournalError::Damaged),
        }
    }
}

/// The first eight hexadecimal digits of the SHA-256.
fn sum(body: &[u8]) -> [u8; 8] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let hash = digest::digest(&digest::SHA256, body);
    let mut sum = [b'0'; 8];
    for (pair, byte) in sum.chunks_exact_mut(2).zip(hash.as_ref()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    sum
}

/// Splits bytes into whole lines, each with the offset behind its end; what has no end is left out.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let len = memchr::memchr(b'\n', &bytes[from..])?;
        let line = &bytes[from..from + len];
        from += len + 1;
        Some((line, from))
    })
}

/// The calls that are open, by what was published of them.
#[derive(Clone, Debug, Default)]
pub struct OpenCalls(BTreeMap<String, OpenCall>);

#[derive(Clone, Debug, Default)]
struct OpenCall {
    /// Sequence of the last event of any side.
    sequence: u64,
    /// The last event of each DN's side that has not been released.
    sides: BTreeMap<String, Bytes>,
}

impl OpenCalls {
    /// Learns from an event; one that is not a call's is ignored.
    pub fn see(&mut self, envelope: &Bytes) {
        let Some(heading) = Heading::read(envelope).filter(|heading| heading.channel == CALLS) else { return };
        let Some((call, sequence)) = split(&heading.event_id) else { return };
        // What is said of a call without describing it (that something failed) begins and ends none.
        let state = state(heading.data);
        let goes_on = state.as_deref().is_some_and(|state| state != "Released");
        if !goes_on && !self.0.contains_key(call) {
            return;
        }
        let open = self.0.entry(call.to_owned()).or_default();
        open.sequence = open.sequence.max(sequence);
        if goes_on {
            open.sides.insert(heading.dn.into_owned(), envelope.clone());
        } else if state.is_some() {
            open.sides.remove(&*heading.dn);
        }
        if open.sides.is_empty() {
            self.0.remove(call);
        }
    }

    /// Learns from a [`Record::Open`].
    fn know(&mut self, sequence: u64, envelope: &Bytes) {
        self.see(envelope);
        if let Some(heading) = Heading::read(envelope)
            && let Some((call, _)) = split(&heading.event_id)
            && let Some(open) = self.0.get_mut(call)
        {
            open.sequence = open.sequence.max(sequence);
        }
    }

    /// Returns the number of open calls.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if no call is open.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the events that release each call, in the order of its sides, and forgets the calls.
    pub fn release(&mut self, status: StatusName, at_unix_ms: i64) -> Vec<Bytes> {
        let calls = std::mem::take(&mut self.0);
        let mut events = Vec::new();
        for (call, open) in calls {
            for (at, last) in (1..).map_while(|n| open.sequence.checked_add(n)).zip(open.sides.values()) {
                events.extend(released(&format!("{call}-{at}"), last, status, at_unix_ms));
            }
        }
        events
    }
}

/// Parts an eventId into the call's own words and the sequence.
fn split(event_id: &str) -> Option<(&str, u64)> {
    let (call, sequence) = event_id.rsplit_once('-')?;
    Some((call, sequence.parse().ok()?))
}

/// Reads the state of the call that a message describes. `None`: it describes none.
fn state(data: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        call: Option<Call<'a>>,
    }
    #[derive(Deserialize)]
    struct Call<'a> {
        #[serde(borrow)]
        state: Option<Cow<'a, str>>,
    }
    let data: Option<Data<'_>> = serde_json::from_str(data.get()).ok();
    data?.call?.state
}

/// Writes the event that releases a call whose last one is `last`: what a desktop gets at the end of any call, with the
/// reason beside it. `None`: `last` is no event of a call.
fn released(event_id: &str, last: &[u8], status: StatusName, at_unix_ms: i64) -> Option<Bytes> {
    let heading = Heading::read(last)?;
    let mut data: Map<String, Value> = serde_json::from_str(heading.data.get()).ok()?;
    let call = data.get_mut("call")?.as_object_mut()?;
    call.insert("state".to_owned(), "Released".into());
    call.insert("capabilities".to_owned(), Value::Array(Vec::new()));
    data.insert("eventId".to_owned(), event_id.into());
    data.insert("notificationType".to_owned(), status.name().into());
    data.insert("event".to_owned(), "CallReleased".into());
    data.insert("reason".to_owned(), GATEWAY_RESTART.into());
    data.insert("extensions".to_owned(), serde_json::json!({ "releaseCause": "GatewayRestart" }));
    // The guide's fields, which stand beside the call.
    data.insert("timestamp".to_owned(), at_unix_ms.into());
    data.insert("state".to_owned(), "Released".into());
    data.remove("transferredTo");
    let data = serde_json::value::to_raw_value(&data).ok()?;
    let envelope = Envelope {
        event_id,
        channel: &heading.channel,
        owner: heading.owner.as_deref(),
        dn: &heading.dn,
        at: at_unix_ms,
        data: &data,
    };
    serde_json::to_vec(&envelope).ok().map(Bytes::from)
}

/// What a journal says when all of it has been read.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// Number of the next event.
    pub next: u64,
    /// What each sink has all before.
    pub cursors: BTreeMap<String, u64>,
    /// The calls that were open.
    pub open: OpenCalls,
    /// Lines that were damaged, a torn last one included.
    pub damaged: u64,
}

impl Replay {
    /// Reads the next segment.
    pub fn take(&mut self, segment: &[u8]) {
        let mut whole = 0;
        for (line, end) in lines(segment) {
            whole = end;
            match Record::read(line) {
                Ok(record) => self.apply(record),
                Err(_) => self.damaged += 1,
            }
        }
        self.damaged += u64::from(whole < segment.len());
    }

    fn apply(&mut self, record: Record<'_>) {
        match record {
            Record::Begin { next } => {
                self.next = self.next.max(next);
                self.open = OpenCalls::default();
            }
            Record::Open { sequence, envelope } => self.open.know(sequence, &Bytes::copy_from_slice(envelope)),
            Record::Cursor { sink, number } => {
                self.next = self.next.max(number);
                self.cursors.insert(sink.to_owned(), number);
            }
            Record::Event { number, envelope } => {
                self.next = self.next.max(number.saturating_add(1));
                self.open.see(&Bytes::copy_from_slice(envelope));
            }
        }
    }
}

/// Writes what a new segment begins with.
pub fn checkpoint<'a>(
    next: u64,
    open: &OpenCalls,
    cursors: impl IntoIterator<Item = (&'a str, u64)>,
    out: &mut Vec<u8>,
) {
    Record::Begin { next }.write(out);
    for (sink, number) in cursors {
        Record::Cursor { sink, number }.write(out);
    }
    for call in open.0.values() {
        for envelope in call.sides.values() {
            Record::Open { sequence: call.sequence, envelope }.write(out);
        }
    }
}

#[cfg(test)]
mod tests;
