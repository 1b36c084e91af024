//! Names of channels, and the patterns that match them (Bayeux 1.0 §2.2).
//!
//! `/a/b` is a name. `/a/*` matches the names one segment below `/a`, `/a/**` those at any depth below it; a wildcard stands
//! only at the end.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::BayeuxError;

/// Most bytes of a channel.
pub const MAX_BYTES: usize = 256;
/// Most segments of a channel.
pub const MAX_SEGMENTS: usize = 16;

/// What one can subscribe to: the name of a channel, or a pattern.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(Arc<str>);

/// The name of one channel, which has no wildcard.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Channel(Arc<str>);

/// Returns true for the bytes of a segment: printable ASCII that needs no escape in JSON or in HTML, and is no wildcard.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'*' | b'/' | b'"' | b'\\' | b'<' | b'>' | b'&')
}

/// Checks the shape, and tells whether the last segment is a wildcard.
fn check(text: &str) -> Result<bool, BayeuxError> {
    let segments = text.strip_prefix('/').ok_or(BayeuxError::BadChannel)?;
    if text.len() > MAX_BYTES {
        return Err(BayeuxError::BadChannel);
    }
    let (mut wild, mut count) = (false, 0);
    for segment in segments.split('/') {
        count += 1;
        if wild || segment.is_empty() || count > MAX_SEGMENTS {
            return Err(BayeuxError::BadChannel);
        }
        wild = matches!(segment, "*" | "**");
        if !wild && !segment.bytes().all(is_plain) {
            return Err(BayeuxError::BadChannel);
        }
    }
    Ok(wild)
}

impl Channel {
    /// Reads a name.
    ///
    /// # Errors
    /// [`BayeuxError::BadChannel`]: no leading slash, an empty segment, a wildcard, or too long.
    pub fn parse(text: &str) -> Result<Channel, BayeuxError> {
        if check(text)? { Err(BayeuxError::BadChannel) } else { Ok(Channel(Arc::from(text))) }
    }

    /// Calls `found` with each pattern that matches this name, the name itself first.
    pub(super) fn each_pattern(&self, mut found: impl FnMut(&str)) {
        found(&self.0);
        let mut pattern = String::with_capacity(self.0.len() + 3);
        for (depth, (at, _)) in self.0.rmatch_indices('/').enumerate() {
            pattern.clear();
            pattern.push_str(&self.0[..=at]);
            pattern.push('*');
            if depth == 0 {
                found(&pattern);
            }
            pattern.push('*');
            found(&pattern);
        }
    }
}

impl Pattern {
    /// Reads a name or a pattern.
    ///
    /// # Errors
    /// [`BayeuxError::BadChannel`]: no leading slash, an empty segment, a wildcard that is not the last segment, or too long.
    pub fn parse(text: &str) -> Result<Pattern, BayeuxError> {
        check(text).map(|_| Pattern(Arc::from(text)))
    }

    /// Returns true if a message on `channel` is for who subscribed to this.
    pub fn matches(&self, channel: &Channel) -> bool {
        let below = |prefix: &str| channel.0.strip_prefix(prefix).filter(|rest| !rest.is_empty());
        if let Some(prefix) = self.0.strip_suffix("**") {
            below(prefix).is_some()
        } else if let Some(prefix) = self.0.strip_suffix('*') {
            below(prefix).is_some_and(|rest| !rest.contains('/'))
        } else {
            self.0 == channel.0
        }
    }

    /// Returns true if this is below `/meta/`: the protocol's own.
    pub fn is_meta(&self) -> bool {
        is_below(&self.0, "/meta")
    }

    /// Returns true if this is below `/service/`: between one client and the server, never broadcast.
    pub fn is_service(&self) -> bool {
        is_below(&self.0, "/service")
    }

    /// Shares the text.
    pub(super) fn text(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl Channel {
    /// Returns true if this is below `/meta/`: the protocol's own.
    pub fn is_meta(&self) -> bool {
        is_below(&self.0, "/meta")
    }

    /// Returns true if this is below `/service/`: between one client and the server, never broadcast.
    pub fn is_service(&self) -> bool {
        is_below(&self.0, "/service")
    }
}

fn is_below(text: &str, root: &str) -> bool {
    text.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Deref for Channel {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Deref for Pattern {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
