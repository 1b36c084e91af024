//! The port of a trunk leg: plain RTP/AVP on a port pair of its own, with the rule against injection.
//!
//! The signalled address is believed. Another one is learnt once, within [`WINDOW`] of a change of SDP, where the rule
//! allows it and the signalled source has not been heard: a stranger who sends first or later gains nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::id::PortPairId;
use crate::plan::{Latch, RtpPlan, RtpRemote};

/// Time after a change of SDP within which another source may be learnt.
const WINDOW: Duration = Duration::from_secs(2);

/// A plain port.
#[derive(Debug)]
pub(in crate::media) struct RtpPort {
    pub pair: PortPairId,
    latch: Latch,
    remote: Option<RtpRemote>,
    /// The source that was learnt in place of the signalled one.
    learnt: Option<SocketAddr>,
    /// The signalled source was heard: nothing else is learnt.
    settled: bool,
    until: Option<Instant>,
}

impl RtpPort {
    pub(in crate::media) fn new(plan: &RtpPlan, now: Instant) -> Self {
        let mut port =
            RtpPort { pair: plan.pair, latch: plan.latch, remote: None, learnt: None, settled: false, until: None };
        if let Some(remote) = plan.remote {
            port.set_remote(remote, now);
        }
        port
    }

    /// Takes the peer's description.
    pub(in crate::media) fn set_remote(&mut self, remote: RtpRemote, now: Instant) {
        if self.remote.is_none_or(|r| r.rtp != remote.rtp) {
            self.learnt = None;
            self.settled = false;
        }
        self.remote = Some(remote);
        self.open_window(now);
    }

    /// Gives the peer its time to be learnt, where it has not been heard yet.
    pub(in crate::media) fn open_window(&mut self, now: Instant) {
        if !self.settled && self.learnt.is_none() {
            self.until = Some(now + WINDOW);
        }
    }

    /// Tells whether RTP from this source is believed; a valid packet (`learn`) may make it so.
    #[inline]
    pub(in crate::media) fn admit(&mut self, from: SocketAddr, now: Instant) -> bool {
        if self.learnt == Some(from) {
            return true;
        }
        let Some(signalled) = self.signalled() else { return false };
        if self.learnt.is_some() {
            // The choice was made; the signalled source is the one stranger that it may go back to.
            if from == signalled {
                self.learnt = None;
                self.settled = true;
                return true;
            }
            return false;
        }
        if from == signalled {
            self.settled = true;
            return true;
        }
        let allowed = match self.latch {
            Latch::Off => false,
            Latch::Port => from.ip() == signalled.ip(),
            Latch::Any => true,
        };
        let learns = allowed && !self.settled && self.until.is_some_and(|until| now <= until);
        if learns {
            self.learnt = Some(from);
        }
        learns
    }

    /// Tells whether RTCP from this source is believed: any port of the address that RTP goes to.
    pub(in crate::media) fn admit_rtcp(&self, from: SocketAddr) -> bool {
        self.target().is_some_and(|rtp| rtp.ip() == from.ip()) || self.remote.is_some_and(|r| r.rtcp == from)
    }

    /// Returns where RTP goes.
    #[inline]
    pub(in crate::media) fn target(&self) -> Option<SocketAddr> {
        self.learnt.or_else(|| self.signalled())
    }

    /// Returns where RTCP goes.
    pub(in crate::media) fn rtcp_target(&self) -> Option<SocketAddr> {
        match self.learnt {
            Some(rtp) => Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?)),
            None => {
                self.signalled().and(self.remote.map(|r| r.rtcp)).filter(|a| a.port() != 0 && !a.ip().is_unspecified())
            }
        }
    }

    fn signalled(&self) -> Option<SocketAddr> {
        self.remote.map(|r| r.rtp).filter(|a| a.port() != 0 && !a.ip().is_unspecified())
    }
}

#[cfg(test)]
#[path = "rtp_tests.rs"]
mod tests;
