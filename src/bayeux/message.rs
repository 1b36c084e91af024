//! Reads what a client sends: an array of messages, or one object, within bounds.
//!
//! Bounds come first, on the bytes: size, number of messages, depth. What the server hands on unread (`data`, `id`,
//! `subscription`) stays the bytes that came, shared with the body. We do not keep unknown fields, because nobody reads them.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::BayeuxError;

/// The bounds of one body.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes of a body.
    pub bytes: usize,
    /// Most messages of a body.
    pub messages: usize,
    /// Deepest nesting, the array of messages counted.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { bytes: 64 * 1024, messages: 64, depth: 32 }
    }
}

/// The messages of one request or frame, never none.
#[derive(Debug)]
pub struct Batch(Vec<Message>);

/// One message as it came.
#[derive(Debug)]
pub(super) struct Message {
    /// As written; checked where it is used, so that the reply can name it.
    pub(super) channel: Option<String>,
    pub(super) client: Option<String>,
    /// JSON, a string or a number; goes back as it came.
    pub(super) id: Option<Bytes>,
    /// JSON.
    pub(super) data: Option<Bytes>,
    /// JSON, a string or an array of strings.
    pub(super) subscription: Option<Bytes>,
    /// The timeout that the client asks for with a connect, in milliseconds.
    pub(super) timeout_ms: Option<u64>,
    /// The client sent advice of its own, and so wants ours.
    pub(super) asks_advice: bool,
    pub(super) ext: Ext,
}

/// The extensions that we know.
#[derive(Debug, Default)]
pub(super) struct Ext {
    pub(super) ack: Option<Ack>,
    pub(super) timesync: Option<Timesync>,
    login: Option<Login>,
}

/// What the ack extension says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ack {
    /// In a handshake: the client can acknowledge.
    Wanted(bool),
    /// In a connect: the last batch that it has.
    Batch(i64),
}

/// What the timesync extension says: the client's clock, its lag and its offset, in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Timesync {
    pub(super) tc: f64,
    #[serde(default)]
    pub(super) l: f64,
    #[serde(default)]
    pub(super) o: f64,
}

/// `ext.authentication` of a handshake; both spellings in the field are read.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Login {
    /// The user name.
    #[serde(alias = "user")]
    pub username: String,
    /// The password, in clear: never logged.
    #[serde(alias = "credentials")]
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}

#[derive(Deserialize)]
struct Raw<'a> {
    channel: Option<String>,
    #[serde(rename = "clientId")]
    client: Option<String>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    subscription: Option<&'a RawValue>,
    #[serde(borrow)]
    advice: Option<&'a RawValue>,
    #[serde(borrow)]
    ext: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawAdvice {
    timeout: Option<f64>,
}

#[derive(Deserialize)]
struct RawExt<'a> {
    #[serde(borrow)]
    ack: Option<&'a RawValue>,
    #[serde(borrow)]
    timesync: Option<&'a RawValue>,
    #[serde(borrow)]
    authentication: Option<&'a RawValue>,
}

impl Batch {
    /// Reads a body: an array of messages, or one message.
    ///
    /// # Errors
    /// A bound of `limits` ([`BayeuxError::TooLarge`], [`BayeuxError::BadCount`], [`BayeuxError::TooDeep`]), or
    /// [`BayeuxError::Malformed`].
    pub fn read(body: &Bytes, limits: &Limits) -> Result<Batch, BayeuxError> {
        if body.len() > limits.bytes {
            return Err(BayeuxError::TooLarge);
        }
        let is_array = measure(body, limits)?;
        let raws: Vec<Raw<'_>> = if is_array {
            serde_json::from_slice(body).map_err(|_| BayeuxError::Malformed)?
        } else {
            vec![serde_json::from_slice(body).map_err(|_| BayeuxError::Malformed)?]
        };
        if raws.is_empty() {
            return Err(BayeuxError::BadCount);
        }
        Ok(Batch(raws.into_iter().map(|raw| Message::of(raw, body)).collect()))
    }

    /// Returns what a handshake gives as `ext.authentication`; the shell checks it before it hands the batch on.
    pub fn login(&self) -> Option<&Login> {
        let first = self.0.first()?;
        (first.channel.as_deref() == Some("/meta/handshake")).then_some(first.ext.login.as_ref()).flatten()
    }

    /// Returns true if the first message is a handshake.
    pub fn is_handshake(&self) -> bool {
        self.0.first().is_some_and(|first| first.channel.as_deref() == Some("/meta/handshake"))
    }

    /// Returns the number of messages.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Takes the messages.
    pub(super) fn into_messages(self) -> Vec<Message> {
        self.0
    }
}

/// Checks depth and number of messages without reading them, and tells whether the body is an array.
fn measure(body: &[u8], limits: &Limits) -> Result<bool, BayeuxError> {
    let first = body.iter().find(|b| !b.is_ascii_whitespace());
    let is_array = first == Some(&b'[');
    let (mut depth, mut commas) = (0_usize, 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in body {
        if in_string {
            (in_string, escaped) = (escaped || *byte != b'"', !escaped && *byte == b'\\');
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.checked_sub(1).ok_or(BayeuxError::Malformed)?,
            b',' if is_array && depth == 1 => commas += 1,
            _ => {}
        }
        if depth > limits.depth {
            return Err(BayeuxError::TooDeep);
        }
    }
    if commas >= limits.messages { Err(BayeuxError::BadCount) } else { Ok(is_array) }
}

impl Message {
    fn of(raw: Raw<'_>, body: &Bytes) -> Message {
        let share = |value: &RawValue| body.slice_ref(value.get().as_bytes());
        let is_scalar = |value: &&RawValue| {
            value.get().starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) && value.get().len() <= 128
        };
        let advice: Option<RawAdvice> = raw.advice.and_then(|advice| serde_json::from_str(advice.get()).ok());
        Message {
            channel: raw.channel,
            client: raw.client,
            id: raw.id.filter(is_scalar).map(share),
            data: raw.data.map(share),
            subscription: raw.subscription.map(share),
            timeout_ms: advice.as_ref().and_then(|a| a.timeout).filter(|ms| *ms >= 0.0).map(|ms| ms as u64),
            asks_advice: advice.is_some(),
            ext: raw.ext.map(Ext::of).unwrap_or_default(),
        }
    }

    /// Reads `subscription`: one channel, or an array of 1 to `most`; what is beyond is not looked at.
    ///
    /// # Errors
    /// [`NotNames`]
    pub(super) fn subscriptions(&self, most: usize) -> Result<Vec<String>, NotNames> {
        let text = self.subscription.as_ref().ok_or(NotNames::Invalid)?;
        let mut names = Names { most, found: Vec::new(), is_beyond: false };
        let mut reader = serde_json::Deserializer::from_slice(text);
        let is_whole = reader.deserialize_any(&mut names).and_then(|()| reader.end()).is_ok();
        match names {
            Names { is_beyond: true, .. } => Err(NotNames::TooMany),
            Names { found, .. } if is_whole && !found.is_empty() => Ok(found),
            Names { .. } => Err(NotNames::Invalid),
        }
    }
}

/// Why a `subscription` is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotNames {
    /// More names than the bound.
    TooMany,
    /// Neither a text nor an array of texts, or an empty one.
    Invalid,
}

/// Reads names up to a bound: who sends more must not have them all read before it is refused.
struct Names {
    most: usize,
    found: Vec<String>,
    is_beyond: bool,
}

impl<'de> Visitor<'de> for &mut Names {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a channel, or at most {} of them", self.most)
    }

    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        self.found.push(name.to_owned());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<(), A::Error> {
        while self.found.len() < self.most {
            match names.next_element()? {
                Some(name) => self.found.push(name),
                None => return Ok(()),
            }
        }
        // One that is none of ours is beyond the bound too.
        self.is_beyond = !matches!(names.next_element::<serde::de::IgnoredAny>(), Ok(None));
        if self.is_beyond { Err(A::Error::custom("too many")) } else { Ok(()) }
    }
}

impl Ext {
    /// Reads the extensions that we know; one that is malformed counts as absent, because the others still hold.
    fn of(raw: &RawValue) -> Ext {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum RawAck {
            Wanted(bool),
            Batch(i64),
            Object { enabled: bool },
        }
        let Ok(ext) = serde_json::from_str::<RawExt<'_>>(raw.get()) else { return Ext::default() };
        let ack = ext.ack.and_then(|ack| serde_json::from_str(ack.get()).ok()).map(|ack| match ack {
            RawAck::Wanted(wanted) | RawAck::Object { enabled: wanted } => Ack::Wanted(wanted),
            RawAck::Batch(batch) => Ack::Batch(batch),
        });
        Ext {
            ack,
            timesync: ext.timesync.and_then(|t| serde_json::from_str(t.get()).ok()),
            login: ext.authentication.and_then(|a| serde_json::from_str(a.get()).ok()),
        }
    }
}

/// Checks that `data` is one JSON value, so that it can stand inside a message.
pub(super) fn check_json(data: &[u8]) -> Result<(), BayeuxError> {
    serde_json::from_slice::<&RawValue>(data).map(|_| ()).map_err(|_| BayeuxError::Malformed)
}
