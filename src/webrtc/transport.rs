//! One browser leg's transport: composes ICE-lite, DTLS and SRTP; sans-IO.
//!
//! Every mutation is followed by a drain of [`Transport::poll_output`], then [`Transport::poll_timeout`].

use std::sync::Arc;
use std::time::Instant;

use crate::path::Path;
use crate::plan::{BrowserRemote, DtlsFailure, IceCredentials};
use crate::webrtc::Discard;
use crate::webrtc::dtls::Certificate;

/// What a STUN datagram came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StunOutcome {
    /// A valid check: the path belongs to this leg now; the reply of this length is sent back on it.
    Reply(usize),
    /// An authentic request that is answered by an error of this length; the path is *not* validated by it.
    Refuse(usize),
    /// Dropped in silence.
    Drop(Discard),
}

/// What the transport wants done or known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Sends the first `len` bytes of the buffer.
    Transmit {
        /// Where to.
        path: Path,
        /// How many bytes of the buffer.
        len: usize,
    },
    /// ICE and DTLS are done, the fingerprint is right, SRTP keys are there. Once per DTLS association.
    Connected,
    /// The handshake failed for good.
    DtlsFailed(DtlsFailure),
    /// No valid check for 30 s, once per loss; a later valid check revives the leg.
    ConsentLost,
}

/// ICE-lite, DTLS-SRTP and SRTP of one browser leg.
#[derive(Debug)]
pub struct Transport {
    certificate: Arc<Certificate>,
}

impl Transport {
    /// Makes the transport of a leg; `local` are our credentials as they stand in the SDP.
    pub fn new(certificate: Arc<Certificate>, local: IceCredentials, now: Instant) -> Self {
        let _ = (local, now);
        Transport { certificate }
    }

    /// Takes the browser's description; nothing happens where it is unchanged. A new fingerprint or role starts a new
    /// DTLS association, while the keys of the old one last until the new one is there.
    pub fn set_remote(&mut self, remote: &BrowserRemote, now: Instant) {
        let _ = (remote, now, &self.certificate);
        todo!()
    }

    /// Takes new credentials of ours; the old ones are good until a check with the new ones nominates a pair.
    pub fn restart_ice(&mut self, local: IceCredentials) {
        let _ = local;
        todo!()
    }

    /// Returns the ufrags that checks for this leg may carry, newest first (one, or two during an ICE restart).
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }

    /// Works on a STUN datagram; the reply is written into `reply` (at least 128 bytes).
    pub fn handle_stun(&mut self, path: Path, datagram: &[u8], now: Instant, reply: &mut [u8]) -> StunOutcome {
        let _ = (path, datagram, now, reply);
        todo!()
    }

    /// Tells whether a valid check came on `path` within the last 30 s: another leg must not take it over then.
    pub fn holds(&self, path: Path, now: Instant) -> bool {
        let _ = (path, now);
        todo!()
    }

    /// Works on a DTLS datagram; only from validated paths.
    pub fn handle_dtls(&mut self, path: Path, datagram: &[u8], now: Instant) -> Result<(), Discard> {
        let _ = (path, datagram, now);
        todo!()
    }

    /// Returns the next thing to do; `buf` holds at least 1500 bytes.
    pub fn poll_output(&mut self, buf: &mut [u8]) -> Option<Output> {
        let _ = buf;
        todo!()
    }

    /// Returns when [`Transport::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Runs whatever is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }

    /// Returns where media goes: the path nominated last, or before that the first validated one.
    pub fn selected_path(&self) -> Option<Path> {
        todo!()
    }

    /// Tells whether SRTP keys are there.
    pub fn is_connected(&self) -> bool {
        todo!()
    }

    /// Opens an SRTP packet in place and returns the length of the plain RTP packet.
    pub fn unprotect_rtp(&mut self, path: Path, packet: &mut [u8]) -> Result<usize, Discard> {
        let _ = (path, packet);
        todo!()
    }

    /// Opens an SRTCP packet in place and returns the length of the plain compound packet.
    pub fn unprotect_rtcp(&mut self, path: Path, packet: &mut [u8]) -> Result<usize, Discard> {
        let _ = (path, packet);
        todo!()
    }

    /// Closes `buf[..len]`, an RTP packet, in place and returns its new length; 16 bytes of tail-room are needed.
    pub fn protect_rtp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, Discard> {
        let _ = (buf, len);
        todo!()
    }

    /// Closes `buf[..len]`, an RTCP packet, in place and returns its new length; 20 bytes of tail-room are needed.
    pub fn protect_rtcp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, Discard> {
        let _ = (buf, len);
        todo!()
    }
}
