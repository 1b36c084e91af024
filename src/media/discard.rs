//! Why a datagram was dropped: counted, never an error.

use crate::rtp::Discard as RtpDiscard;
use crate::webrtc::Discard as WebRtcDiscard;

/// A reason of the media room itself, or one of the rooms below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// From an address that no leg knows.
    UnknownPath,
    /// A STUN check for a user fragment that no leg has, or one that another leg holds the path of.
    UnknownUser,
    /// To a port pair whose leg is closed.
    NoLeg,
    /// From a source that the rule of the plain leg refuses.
    Source,
    /// Of a payload type that was not negotiated.
    PayloadType,
    /// While the direction is off (hold), or before anything was negotiated.
    Direction,
    /// Too late to be used, or a duplicate.
    Late,
    /// Out of all order.
    Wild,
    /// The codec refused it.
    Codec,
    /// Too many handshake flights wait.
    HandshakeQueue,
    /// Of a kind that has no place on this socket.
    Kind,
    /// By the RTP room.
    Rtp(RtpDiscard),
    /// By the WebRTC room.
    WebRtc(WebRtcDiscard),
}

/// The reasons of the media room itself, in the order of their numbers.
const OWN: [Discard; 11] = [
    Discard::UnknownPath,
    Discard::UnknownUser,
    Discard::NoLeg,
    Discard::Source,
    Discard::PayloadType,
    Discard::Direction,
    Discard::Late,
    Discard::Wild,
    Discard::Codec,
    Discard::HandshakeQueue,
    Discard::Kind,
];
/// Number of reasons in all.
pub const REASONS: usize = OWN.len() + RtpDiscard::COUNT + WebRtcDiscard::COUNT;

impl Discard {
    /// Returns every reason, in the order of its number.
    pub fn all() -> impl Iterator<Item = Discard> {
        let rtp = RtpDiscard::ALL.into_iter().map(Discard::Rtp);
        OWN.into_iter().chain(rtp).chain(WebRtcDiscard::ALL.into_iter().map(Discard::WebRtc))
    }

    /// Returns the label for metrics; no two reasons share one.
    pub fn name(self) -> &'static str {
        match self {
            Discard::UnknownPath => "unknown_path",
            Discard::UnknownUser => "unknown_user",
            Discard::NoLeg => "no_leg",
            Discard::Source => "source",
            Discard::PayloadType => "payload_type",
            Discard::Direction => "direction",
            Discard::Late => "late",
            Discard::Wild => "wild",
            Discard::Codec => "codec",
            Discard::HandshakeQueue => "handshake_queue",
            Discard::Kind => "kind",
            Discard::Rtp(reason) => reason.name(),
            Discard::WebRtc(reason) => reason.name(),
        }
    }

    /// Returns the place of the reason among all of them, below [`REASONS`].
    #[inline]
    pub fn index(self) -> usize {
        match self {
            Discard::UnknownPath => 0,
            Discard::UnknownUser => 1,
            Discard::NoLeg => 2,
            Discard::Source => 3,
            Discard::PayloadType => 4,
            Discard::Direction => 5,
            Discard::Late => 6,
            Discard::Wild => 7,
            Discard::Codec => 8,
            Discard::HandshakeQueue => 9,
            Discard::Kind => 10,
            Discard::Rtp(reason) => OWN.len() + reason as usize,
            Discard::WebRtc(reason) => OWN.len() + RtpDiscard::COUNT + reason as usize,
        }
    }
}

impl From<RtpDiscard> for Discard {
    fn from(reason: RtpDiscard) -> Self {
        Discard::Rtp(reason)
    }
}

impl From<WebRtcDiscard> for Discard {
    fn from(reason: WebRtcDiscard) -> Self {
        Discard::WebRtc(reason)
    }
}

/// Datagrams dropped, by reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discards {
    counts: [u64; REASONS],
}

impl Default for Discards {
    fn default() -> Self {
        Discards { counts: [0; REASONS] }
    }
}

impl Discards {
    /// Counts one.
    #[inline]
    pub fn count(&mut self, reason: Discard) {
        self.counts[reason.index()] += 1;
    }

    /// Returns how many were dropped for a reason.
    pub fn get(&self, reason: Discard) -> u64 {
        self.counts[reason.index()]
    }

    /// Returns every reason with how many were dropped for it.
    pub fn iter(&self) -> impl Iterator<Item = (Discard, u64)> {
        Discard::all().zip(self.counts)
    }

    /// Returns how many were dropped in all.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_number_and_a_name_of_its_own() {
        assert!(Discard::all().map(Discard::index).eq(0..REASONS));
        assert_eq!(Discard::all().map(Discard::name).collect::<HashSet<_>>().len(), REASONS);
    }

    #[test]
    fn what_is_counted_stands_beside_its_reason() {
        let mut discards = Discards::default();
        let reasons = [Discard::Kind, Discard::Rtp(RtpDiscard::Event), Discard::WebRtc(WebRtcDiscard::KeyExhausted)];
        reasons.into_iter().for_each(|reason| discards.count(reason));
        assert!(discards.iter().filter(|(_, count)| *count > 0).map(|(reason, _)| reason).eq(reasons));
        assert_eq!(discards.total(), 3);
    }
}
