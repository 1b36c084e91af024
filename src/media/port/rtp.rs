//! The port of a trunk leg: plain RTP/AVP on a port pair of its own, with the rule against injection.
//!
//! What was the peer's address before is never learnt: media of another fork, or from before a transfer, still comes from
//! there. The signalled address is believed. Another one is learnt once, within [`WINDOW`] of a change of SDP, where the rule
//! allows it and the signalled source has not been heard: a stranger who sends first or later gains nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::id::PortPairId;
use crate::plan::{Latch, RtpPlan, RtpRemote};

/// Time after a change of SDP within which another source may be learnt.
const WINDOW: Duration = Duration::from_secs(2);
/// Former addresses that are remembered.
const FORMER: usize = 4;

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
    /// What was signalled before, with the source that was heard then; the latest first.
    former: Box<[Option<(SocketAddr, SocketAddr)>; FORMER]>,
}

impl RtpPort {
    pub(in crate::media) fn new(plan: &RtpPlan, now: Instant) -> Self {
        let mut port = RtpPort {
            pair: plan.pair,
            latch: plan.latch,
            remote: None,
            learnt: None,
            settled: false,
            until: None,
            former: Box::new([None; FORMER]),
        };
        if let Some(remote) = plan.remote {
            port.set_remote(remote, now);
        }
        port
    }

    /// Takes the peer's description; true where its address is another one.
    pub(in crate::media) fn set_remote(&mut self, remote: RtpRemote, now: Instant) -> bool {
        let moved = self.remote.is_none_or(|r| r.rtp != remote.rtp);
        if moved {
            if let (Some(signalled), Some(heard)) = (self.signalled(), self.target()) {
                self.former.rotate_right(1);
                self.former[0] = Some((signalled, heard));
            }
            // One that comes back, from hold say, may be learnt where it was.
            let back = |former: &Option<(SocketAddr, SocketAddr)>| former.is_some_and(|(rtp, _)| rtp == remote.rtp);
            self.former.iter_mut().filter(|former| back(former)).for_each(|former| *former = None);
            self.learnt = None;
            self.settled = false;
        }
        self.remote = Some(remote);
        self.open_window(now);
        moved
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
        let is_former = || self.former.iter().flatten().any(|(signalled, heard)| [*signalled, *heard].contains(&from));
        let learns = allowed && !is_former() && !self.settled && self.until.is_some_and(|until| now <= until);
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
