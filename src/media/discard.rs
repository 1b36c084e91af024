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

/// Variants of the media room itself.
const OWN: usize = 11;
/// Number of reasons in all.
pub const REASONS: usize = OWN + RtpDiscard::COUNT + WebRtcDiscard::COUNT;

impl Discard {
    /// Returns the place of the reason among all of them, below [`REASONS`].
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
            Discard::Rtp(reason) => OWN + reason as usize,
            Discard::WebRtc(reason) => OWN + RtpDiscard::COUNT + reason as usize,
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

    /// Returns how many were dropped in all.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}
