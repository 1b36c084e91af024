//! One browser leg's transport: composes ICE-lite, DTLS and SRTP; sans-IO.
//!
//! Every mutation is followed by a drain of [`Transport::poll_output`], then [`Transport::poll_timeout`].
//!
//! ```text
//!  DTLS:  idle ──ClientHello from a validated path (or we are the client)──► running ──keys, fingerprint──► lingering
//!           ▲                                                                  │ broken, at most 4 times        │
//!           └──────────────────────────────────────────────────────────────────┘                               │
//!         failed ◄── wrong certificate, no profile, 30 s                     over ◄── media heard, or 60 s ────┘
//! ```
//! A new fingerprint leads back to idle from anywhere; the old keys last until the new ones are there.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::path::Path;
use crate::plan::{BrowserRemote, DtlsFailure, DtlsRole, Fingerprint, IceCredentials};
use crate::webrtc::Discard;
use crate::webrtc::dtls::{Certificate, Handshake, Progress, has_plain_alert, starts_handshake};
use crate::webrtc::ice::{Agent, Check};
use crate::webrtc::srtp::{Inbound, Outbound};

/// How long the handshake is kept after its end, to repeat our last flight: a client that misses it has tried for
/// about this long before it gives up.
const LINGER: Duration = Duration::from_secs(60);
/// Handshakes begun anew after a record that broke one, before the leg is told to have failed.
const MAX_ATTEMPTS: u8 = 4;

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

/// The DTLS association of the leg.
#[derive(Debug)]
enum Association {
    Idle,
    Running(Box<Handshake>),
    Lingering(Box<Handshake>, Instant),
    Over,
    Failed,
}

/// What is to be told next.
#[derive(Clone, Copy, Debug)]
enum Event {
    Connected,
    DtlsFailed(DtlsFailure),
    ConsentLost,
}

/// ICE-lite, DTLS-SRTP and SRTP of one browser leg.
#[derive(Debug)]
pub struct Transport {
    certificate: Arc<Certificate>,
    ice: Agent,
    association: Association,
    /// Handshakes that were broken off since the fingerprint was last set.
    attempts: u8,
    remote: Option<(Fingerprint, DtlsRole)>,
    /// Where the last DTLS packet came from: flights go back there.
    dtls_path: Option<Path>,
    keys: Option<Box<(Inbound, Outbound)>>,
    events: VecDeque<Event>,
}

impl Transport {
    /// Makes the transport of a leg; `local` are our credentials as they stand in the SDP.
    pub fn new(certificate: Arc<Certificate>, local: IceCredentials) -> Self {
        Transport {
            certificate,
            ice: Agent::new(local),
            association: Association::Idle,
            attempts: 0,
            remote: None,
            dtls_path: None,
            keys: None,
            events: VecDeque::new(),
        }
    }

    /// Takes the browser's description; nothing happens where it is unchanged. A new fingerprint starts a new DTLS
    /// association, while the keys of the old one last until the new one is there. The role counts until the
    /// handshake begins.
    pub fn set_remote(&mut self, remote: &BrowserRemote, now: Instant) {
        self.ice.set_remote_ufrag(&remote.ice.ufrag);
        let changed = self.remote.is_some_and(|(fingerprint, _)| fingerprint != remote.fingerprint);
        self.remote = Some((remote.fingerprint, remote.role));
        if changed {
            self.association = Association::Idle;
            self.attempts = 0;
            self.dtls_path = None;
        }
        // The handshake may have got ahead of the SDP; it waits for the fingerprint then.
        if let Association::Running(handshake) = &mut self.association {
            let progress = handshake.check(Some(remote.fingerprint));
            self.advance(progress, now);
        }
        self.start_as_client(now);
    }

    /// Takes new credentials of ours; the old ones are good until a check with the new ones nominates a pair.
    pub fn restart_ice(&mut self, local: IceCredentials) {
        self.ice.restart(local);
    }

    /// Returns the ufrags that checks for this leg may carry, newest first (one, or two during an ICE restart).
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        self.ice.local_ufrags()
    }

    /// Works on a STUN datagram; the reply is written into `reply` (at least 128 bytes).
    pub fn handle_stun(&mut self, path: Path, datagram: &[u8], now: Instant, reply: &mut [u8]) -> StunOutcome {
        match self.ice.handle_check(path, datagram, now, reply) {
            Ok(Check::Valid(len)) => {
                self.start_as_client(now);
                StunOutcome::Reply(len)
            }
            Ok(Check::Refused(len)) => StunOutcome::Refuse(len),
            Err(discard) => StunOutcome::Drop(discard),
        }
    }

    /// Tells whether a valid check came on `path` within the last 30 s: another leg must not take it over then.
    pub fn holds(&self, path: Path, now: Instant) -> bool {
        self.ice.holds(path, now)
    }

    /// Works on a DTLS datagram; only from validated paths.
    pub fn handle_dtls(&mut self, path: Path, datagram: &[u8], now: Instant) -> Result<(), Discard> {
        if !self.ice.is_valid(path) {
            return Err(Discard::Unvalidated);
        }
        let remote = self.remote.map(|(fingerprint, _)| fingerprint);
        let we_are_client = self.remote.is_some_and(|(_, role)| role == DtlsRole::Client);
        if has_plain_alert(datagram) {
            return Err(Discard::DtlsUnexpected);
        }
        if matches!(self.association, Association::Idle) {
            if we_are_client || !starts_handshake(datagram) {
                return Err(Discard::DtlsUnexpected);
            }
            let handshake = Handshake::new(&self.certificate, DtlsRole::Server, now);
            self.association = Association::Running(Box::new(handshake));
        }
        let progress = match &mut self.association {
            Association::Running(handshake) | Association::Lingering(handshake, _) => {
                self.dtls_path = Some(path);
                handshake.handle_packet(datagram, remote, now)
            }
            Association::Idle | Association::Over | Association::Failed => return Err(Discard::DtlsUnexpected),
        };
        self.advance(progress, now);
        Ok(())
    }

    fn start_as_client(&mut self, now: Instant) {
        let Some((fingerprint, DtlsRole::Client)) = self.remote else { return };
        if !matches!(self.association, Association::Idle) || self.ice.selected().is_none() {
            return;
        }
        let mut handshake = Box::new(Handshake::new(&self.certificate, DtlsRole::Client, now));
        let progress = handshake.handle_timeout(Some(fingerprint), now);
        self.association = Association::Running(handshake);
        self.advance(progress, now);
    }

    fn advance(&mut self, progress: Progress, now: Instant) {
        let running = matches!(self.association, Association::Running(_));
        match progress {
            Progress::Going => {}
            Progress::Done(keys) => {
                self.keys = Some(keys);
                self.events.push_back(Event::Connected);
                if let Association::Running(handshake) = std::mem::replace(&mut self.association, Association::Over) {
                    self.association = Association::Lingering(handshake, now + LINGER);
                }
            }
            // What comes after the end of the handshake does not touch the keys that it made.
            Progress::Failed(_) | Progress::TimedOut if !running => self.association = Association::Over,
            Progress::Failed(DtlsFailure::Handshake) if self.attempts + 1 < MAX_ATTEMPTS => {
                self.attempts += 1;
                self.association = Association::Idle;
                self.start_as_client(now);
            }
            Progress::Failed(failure) => self.fail(failure),
            Progress::TimedOut => self.fail(DtlsFailure::Handshake),
        }
    }

    fn fail(&mut self, failure: DtlsFailure) {
        self.association = Association::Failed;
        self.events.push_back(Event::DtlsFailed(failure));
    }

    /// Returns the next thing to do; `buf` holds at least 1500 bytes.
    pub fn poll_output(&mut self, buf: &mut [u8]) -> Option<Output> {
        if let Association::Running(handshake) | Association::Lingering(handshake, _) = &mut self.association {
            let path = self.dtls_path.filter(|path| self.ice.is_valid(*path)).or_else(|| self.ice.selected());
            if let Some(path) = path
                && let Some(len) = handshake.poll_packet(buf)
            {
                return Some(Output::Transmit { path, len });
            }
        }
        self.events.pop_front().map(|event| match event {
            Event::Connected => Output::Connected,
            Event::DtlsFailed(failure) => Output::DtlsFailed(failure),
            Event::ConsentLost => Output::ConsentLost,
        })
    }

    /// Returns when [`Transport::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let dtls = match &self.association {
            Association::Running(handshake) => handshake.poll_timeout(),
            Association::Lingering(handshake, until) => {
                Some(handshake.poll_timeout().map_or(*until, |at| at.min(*until)))
            }
            Association::Idle | Association::Over | Association::Failed => None,
        };
        [dtls, self.ice.poll_timeout()].into_iter().flatten().min()
    }

    /// Runs whatever is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.ice.handle_timeout(now) {
            self.events.push_back(Event::ConsentLost);
        }
        let remote = self.remote.map(|(fingerprint, _)| fingerprint);
        let progress = match &mut self.association {
            Association::Lingering(_, until) if *until <= now => {
                self.association = Association::Over;
                return;
            }
            Association::Running(handshake) | Association::Lingering(handshake, _) => {
                handshake.handle_timeout(remote, now)
            }
            Association::Idle | Association::Over | Association::Failed => return,
        };
        self.advance(progress, now);
    }

    /// Returns where media goes: the path nominated last, or before that the first validated one.
    #[inline]
    pub fn selected_path(&self) -> Option<Path> {
        self.ice.selected()
    }

    /// Tells whether SRTP keys are there.
    #[inline]
    pub fn is_connected(&self) -> bool {
        self.keys.is_some()
    }

    #[inline]
    fn inbound(&mut self, path: Path) -> Result<&mut Inbound, Discard> {
        if !self.ice.is_valid(path) {
            return Err(Discard::Unvalidated);
        }
        self.keys.as_mut().map(|keys| &mut keys.0).ok_or(Discard::NoKeys)
    }

    /// Ends the linger as soon as media proves that the peer has our last flight.
    #[inline]
    fn heard_media(&mut self) {
        if let Association::Lingering(handshake, _) = &self.association
            && handshake.ends_with_media()
        {
            self.association = Association::Over;
        }
    }

    /// Opens an SRTP packet in place and returns the length of the plain RTP packet. Packets of a leg on hold go
    /// through here as well: the rollover counter is lost after 32,767 packets that were not seen.
    #[inline]
    pub fn unprotect_rtp(&mut self, path: Path, packet: &mut [u8]) -> Result<usize, Discard> {
        let len = self.inbound(path)?.unprotect_rtp(packet)?;
        self.heard_media();
        Ok(len)
    }

    /// Opens an SRTCP packet in place and returns the length of the plain compound packet.
    pub fn unprotect_rtcp(&mut self, path: Path, packet: &mut [u8]) -> Result<usize, Discard> {
        let len = self.inbound(path)?.unprotect_rtcp(packet)?;
        self.heard_media();
        Ok(len)
    }

    /// Closes `buf[..len]`, an RTP packet, in place and returns its new length; 16 bytes of tail-room are needed.
    #[inline]
    pub fn protect_rtp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, Discard> {
        self.keys.as_mut().ok_or(Discard::NoKeys)?.1.protect_rtp(buf, len)
    }

    /// Closes `buf[..len]`, an RTCP packet, in place and returns its new length; 20 bytes of tail-room are needed.
    pub fn protect_rtcp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, Discard> {
        self.keys.as_mut().ok_or(Discard::NoKeys)?.1.protect_rtcp(buf, len)
    }
}
