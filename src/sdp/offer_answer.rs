//! Offer and answer (RFC 3264) as the gateway asks for them: one audio m-line per leg, the rest refused in place.
//!
//! A leg keeps one [`Agreed`]: the outcome of its last exchange, by which the next one stays stable (RFC 3264 8):
//! session id, payload numbers, m-line order, `a=mid`, and a version that rises only when the text changes.
//!
//! ```text
//! peer offers:  answer_browser / answer_rtp (offer, local, previous) -> Answer { sdp, remote, agreed }
//! we offer:     offer_browser / offer_rtp (local, previous) -> (sdp, OfferState)
//!               accept_browser_answer / accept_rtp_answer (state, answer) -> (remote, Agreed)
//! ```
//! A refused exchange changes nothing: the caller keeps the `Agreed` that it has.

use std::net::SocketAddr;

use crate::plan::{AudioCodec, DtlsRole, Fingerprint, IceCredentials, OpusParams, Pt};

mod browser;
mod codecs;
mod rtp;

pub use browser::{accept_browser_answer, answer_browser, offer_browser};
pub use rtp::{accept_rtp_answer, answer_rtp, offer_rtp};

use super::OfferError;
use super::description::Direction;

/// What we wish of the audio m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioWish {
    /// Codecs in order of preference; Opus with our parameters (bit rate both asked for and sent).
    pub codecs: Vec<AudioCodec>,
    /// Asks the peer for narrow-band Opus (`maxplaybackrate=8000`): set where the other leg is narrow-band.
    pub narrowband: bool,
    /// Packet length to offer, ms (10 to 60); the peer's `a=ptime` and `a=maxptime` go before it.
    pub ptime_ms: u8,
    /// Most that we want: an answer is never wider than the offer allows (RFC 3264 6.1).
    pub direction: Direction,
    /// Payload type of telephone-event/8000 in our offers (101 towards Genesys, 126 towards browsers).
    pub event_pt: Pt,
}

impl AudioWish {
    /// Returns the wish for a browser leg: Opus first, then G.711, 20 ms, both ways, narrow-band.
    pub fn browser(opus: OpusParams) -> AudioWish {
        AudioWish {
            codecs: vec![AudioCodec::Opus(opus), AudioCodec::Pcmu, AudioCodec::Pcma],
            narrowband: true,
            ptime_ms: 20,
            direction: Direction::SendRecv,
            event_pt: Pt(126),
        }
    }

    /// Returns the wish for a trunk leg: these codecs, 20 ms, both ways, events on 101.
    pub fn trunk(codecs: Vec<AudioCodec>) -> AudioWish {
        AudioWish { codecs, narrowband: true, ptime_ms: 20, direction: Direction::SendRecv, event_pt: Pt(101) }
    }
}

/// Our side of a browser leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserLocal {
    /// Host candidates as advertised, most preferred first.
    pub candidates: Vec<SocketAddr>,
    /// Our ICE credentials; fresh ones when the browser restarts ICE ([`Agreed::is_ice_restart`]).
    pub ice: IceCredentials,
    /// Hash of our certificate.
    pub fingerprint: Fingerprint,
    /// SSRC that we send with.
    pub ssrc: u32,
    /// RTCP canonical name: letters, digits, `-`.
    pub cname: String,
    /// `o=` session id: below 2^62, the same for the life of the leg.
    pub session_id: u64,
    /// What we wish of the audio.
    pub audio: AudioWish,
}

/// Our side of a trunk leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpLocal {
    /// Our RTP address and port as advertised; RTCP is the next port.
    pub rtp: SocketAddr,
    /// `o=` session id: below 2^62, the same for the life of the leg.
    pub session_id: u64,
    /// What we wish of the audio.
    pub audio: AudioWish,
}

/// The answer to a peer's offer, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<R> {
    /// The session description to send.
    pub sdp: Vec<u8>,
    /// What the media threads need to know.
    pub remote: R,
    /// To be kept by the leg once the answer is sent.
    pub agreed: Agreed,
}

/// What a leg remembers of its last exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    version: u64,
    text: Vec<u8>,
    slots: Vec<Slot>,
    audio_slot: usize,
    formats: Vec<(Pt, codecs::Encoding)>,
    codec: Option<codecs::Encoding>,
    role: Option<DtlsRole>,
    remote_ice: Option<IceCredentials>,
}

/// An offer of ours that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferState {
    offered: Agreed,
    audio: AudioWish,
    own: Option<SocketAddr>,
}

/// One m-line, to be written again in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    kind: String,
    protocol: String,
    formats: String,
    mid: Option<String>,
}

impl Agreed {
    /// Returns true where this offer of the browser restarts ICE (RFC 8839 4.4.1.1.1): the answer then needs fresh
    /// credentials in [`BrowserLocal::ice`], and the media thread an `Order::RestartIce`.
    pub fn is_ice_restart(&self, offer: &[u8]) -> bool {
        let _ = offer;
        todo!()
    }
}
