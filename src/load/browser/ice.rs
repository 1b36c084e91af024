//! A browser's ICE agent: one host candidate, full (RFC 8445), for one component.
//!
//! It checks every candidate of the peer, with USE-CANDIDATE where it controls, takes the first that answers, answers the checks
//! of a full peer, and renews consent (RFC 7675). It controls where it offered, or where the peer is lite (RFC 8445 6.1.1).
//!
//! ```text
//!  checking ──first response──► selected ──a check each 5 s──► selected   (30 s without a response: lost)
//! ```
//! We do not freeze or pair candidates, because there is one local candidate and one stream; we do not trickle, because our
//! only candidate is known at once.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::plan::IceCredentials;
use crate::webrtc::Discard;
use crate::webrtc::stun::check::{BindingRequest, BindingResponse, Role};
use crate::webrtc::stun::{Key, Request};

/// First repetition of a check; RFC 8445 14.3 asks for 500 ms where the round trip is unknown, browsers take less.
const FIRST: Duration = Duration::from_millis(50);
/// Longest distance of repetitions.
const SLOWEST: Duration = Duration::from_millis(800);
/// RFC 7675 5.1: each 5 s, 0.8 to 1.2 of it.
const CONSENT: Duration = Duration::from_secs(5);
/// RFC 7675 5.1.
const LOST: Duration = Duration::from_secs(30);
/// Candidates of the peer that are checked.
const MAX_CANDIDATES: usize = 16;
/// Host candidate of IPv4, component 1, as a peer-reflexive one (RFC 8445 5.1.2.1).
const PRIORITY: u32 = (110 << 24) + (65_535 << 8) + 255;

/// What the peer's description says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IcePeer {
    /// Its credentials.
    pub credentials: IceCredentials,
    /// Its candidates with an address.
    pub candidates: Vec<SocketAddr>,
    /// It is a lite agent.
    pub is_lite: bool,
}

#[derive(Debug)]
struct Candidate {
    address: SocketAddr,
    /// The check that waits for its response.
    transaction: Option<u128>,
    next: Instant,
    wait: Duration,
}

#[derive(Debug)]
struct Peer {
    username: String,
    key: Key,
    role: Role,
    candidates: SmallVec<[Candidate; 2]>,
}

/// The agent.
#[derive(Debug)]
pub struct Agent {
    local: IceCredentials,
    key: Key,
    peer: Option<Peer>,
    selected: Option<SocketAddr>,
    /// When the selected candidate answered last.
    heard: Instant,
    /// Numbers of transactions, and the tie-breaker; told by the caller, so that a seed decides.
    numbers: u64,
}

/// What a datagram came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A check of the peer: the reply of this length is sent back.
    Reply(usize),
    /// A candidate answered, and media goes there from now on.
    Selected(SocketAddr),
    /// Consent is renewed, or nothing has changed.
    Nothing,
}

impl Agent {
    /// Makes the agent with our credentials as they stand in the SDP; `numbers` is random.
    pub fn new(local: IceCredentials, numbers: u64, now: Instant) -> Agent {
        Agent { key: Key::new(&local.pwd), local, peer: None, selected: None, heard: now, numbers }
    }

    /// Takes the peer's description; `offered`: the offer was ours.
    pub fn set_peer(&mut self, peer: &IcePeer, offered: bool, now: Instant) {
        let number = self.number();
        let role = if offered || peer.is_lite { Role::Controlling(number) } else { Role::Controlled(number) };
        let candidates = peer.candidates.iter().take(MAX_CANDIDATES);
        self.peer = Some(Peer {
            username: format!("{}:{}", peer.credentials.ufrag, self.local.ufrag),
            key: Key::new(&peer.credentials.pwd),
            role,
            candidates: candidates
                .map(|address| Candidate { address: *address, transaction: None, next: now, wait: FIRST })
                .collect(),
        });
        self.heard = now;
    }

    /// Where media goes.
    #[inline]
    pub fn selected(&self) -> Option<SocketAddr> {
        self.selected
    }

    /// Works on a STUN datagram; a reply is written into `reply` (at least 128 bytes).
    ///
    /// # Errors
    /// The reason why it was dropped.
    pub fn handle(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        now: Instant,
        reply: &mut [u8],
    ) -> Result<Heard, Discard> {
        match BindingResponse::parse(datagram) {
            Ok(response) => self.handle_response(&response, now),
            Err(Discard::StunUnexpected) => self.handle_check(from, datagram, now, reply),
            Err(discard) => Err(discard),
        }
    }

    fn handle_response(&mut self, response: &BindingResponse<'_>, now: Instant) -> Result<Heard, Discard> {
        let peer = self.peer.as_mut().ok_or(Discard::StunUnexpected)?;
        let transaction = Some(response.transaction());
        let candidate = peer.candidates.iter_mut().find(|c| c.transaction == transaction);
        let candidate = candidate.ok_or(Discard::StunUnexpected)?;
        response.verify(&peer.key)?;
        candidate.transaction = None;
        candidate.next = now + CONSENT;
        candidate.wait = FIRST;
        if !response.is_success() {
            // A role conflict or the like: it is tried again with the next check.
            return Ok(Heard::Nothing);
        }
        self.heard = now;
        if self.selected.is_some() {
            return Ok(Heard::Nothing);
        }
        self.selected = Some(candidate.address);
        Ok(Heard::Selected(candidate.address))
    }

    fn handle_check(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        now: Instant,
        reply: &mut [u8],
    ) -> Result<Heard, Discard> {
        let request = Request::parse(datagram)?;
        if request.ours() != self.local.ufrag {
            return Err(Discard::StunUser);
        }
        let len = request.verify(&self.key)?.write_success(from, &self.key, reply)?;
        // A triggered check (RFC 8445 7.3.1.4): from an address that the description does not name, too.
        if let Some(peer) = &mut self.peer
            && self.selected.is_none()
        {
            let is_full = peer.candidates.len() >= MAX_CANDIDATES;
            match peer.candidates.iter_mut().find(|candidate| candidate.address == from) {
                Some(candidate) => candidate.next = now,
                None if is_full => {}
                None => peer.candidates.push(Candidate { address: from, transaction: None, next: now, wait: FIRST }),
            }
        }
        Ok(Heard::Reply(len))
    }

    /// Writes the next check that is due; returns where it goes and its length.
    pub fn poll_check(&mut self, now: Instant, out: &mut [u8]) -> Option<(SocketAddr, usize)> {
        let number = u128::from(self.number()) << 32;
        let selected = self.selected;
        let peer = self.peer.as_mut()?;
        let is_due = |c: &&mut Candidate| c.next <= now && selected.is_none_or(|selected| selected == c.address);
        let candidate = peer.candidates.iter_mut().find(is_due)?;
        let transaction = *candidate.transaction.get_or_insert(number);
        candidate.next = now + candidate.wait;
        candidate.wait = (candidate.wait * 2).min(SLOWEST);
        let request = BindingRequest {
            transaction,
            username: &peer.username,
            priority: PRIORITY,
            role: peer.role,
            nominates: matches!(peer.role, Role::Controlling(_)),
        };
        let address = candidate.address;
        request.write(&peer.key, out).ok().map(|len| (address, len))
    }

    /// Returns when [`Agent::poll_check`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let peer = self.peer.as_ref()?;
        let checked = peer.candidates.iter().filter(|c| self.selected.is_none_or(|selected| selected == c.address));
        checked.map(|c| c.next).min()
    }

    /// Tells whether the peer has not answered for 30 s.
    pub fn is_lost(&self, now: Instant) -> bool {
        self.peer.is_some() && now >= self.heard + LOST
    }

    /// The next number of a sequence that the first one decides (splitmix64).
    fn number(&mut self) -> u64 {
        self.numbers = self.numbers.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.numbers;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Path;
    use crate::webrtc::ice::{Agent as Lite, Check};

    const LITE: &str = "password-of-the-lite-agent-24ch";
    const OURS: &str = "password-of-the-browser-24chars";

    fn credentials(ufrag: &str, pwd: &str) -> IceCredentials {
        IceCredentials { ufrag: ufrag.into(), pwd: pwd.into() }
    }

    fn address(n: u8) -> SocketAddr {
        ([192, 0, 2, n], 4000).into()
    }

    fn browser(is_lite: bool, candidates: &[u8], offered: bool, now: Instant) -> Agent {
        let mut agent = Agent::new(credentials("browser", OURS), 5, now);
        let candidates = candidates.iter().map(|n| address(*n)).collect();
        agent.set_peer(&IcePeer { credentials: credentials("lite", LITE), candidates, is_lite }, offered, now);
        agent
    }

    #[test]
    fn the_first_candidate_that_answers_is_taken_and_nominated() {
        let now = Instant::now();
        let mut agent = browser(true, &[1, 2], false, now);
        let mut lite = Lite::new(credentials("lite", LITE));
        let (mut check, mut reply) = ([0; 256], [0; 256]);
        let (first, _) = agent.poll_check(now, &mut check).expect("a check");
        assert_eq!(first, address(1), "nobody answers there");
        let (to, len) = agent.poll_check(now, &mut check).expect("a check");
        assert!(agent.poll_check(now, &mut [0; 256]).is_none(), "both are under way");
        let path = Path::Udp { local: to, remote: address(9) };
        let Ok(Check::Valid(answer)) = lite.handle_check(path, &check[..len], now, &mut reply) else { panic!() };
        assert_eq!(lite.selected(), Some(path), "nominated");
        let heard = agent.handle(to, &reply[..answer], now, &mut [0; 128]);
        assert_eq!(heard, Ok(Heard::Selected(address(2))));
        assert_eq!(agent.poll_timeout(), Some(now + CONSENT), "from now on the selected one alone is checked");
        assert_eq!(agent.handle(to, &reply[..answer], now, &mut [0; 128]), Err(Discard::StunUnexpected), "twice");
    }

    #[test]
    fn a_check_is_repeated_ever_more_slowly_and_silence_is_noticed() {
        let now = Instant::now();
        let mut agent = browser(true, &[1], true, now);
        let mut times = Vec::new();
        let mut at = now;
        while times.len() < 7 {
            agent.poll_check(at, &mut [0; 256]).expect("due");
            times.push((at - now).as_millis());
            at = agent.poll_timeout().expect("another");
        }
        assert_eq!(times, [0, 50, 150, 350, 750, 1550, 2350]);
        assert!(!agent.is_lost(now + LOST / 2) && agent.is_lost(now + LOST));
    }

    #[test]
    fn a_full_peer_is_answered_checked_in_turn_and_may_nominate() {
        let now = Instant::now();
        let mut agent = browser(false, &[], false, now);
        assert!(agent.poll_check(now, &mut [0; 256]).is_none(), "no candidate is known");
        let mut check = [0; 256];
        let request = BindingRequest {
            transaction: 3,
            username: "browser:lite",
            priority: 1,
            role: Role::Controlling(4),
            nominates: true,
        };
        let len = request.write(&Key::new(OURS), &mut check).expect("room");
        let mut reply = [0; 128];
        let heard = agent.handle(address(7), &check[..len], now, &mut reply).expect("authentic");
        let Heard::Reply(answer) = heard else { panic!("{heard:?}") };
        let response = BindingResponse::parse(&reply[..answer]).expect("a response");
        assert_eq!((response.is_success(), response.verify(&Key::new(OURS))), (true, Ok(())));
        let mut triggered = [0; 256];
        let (to, len) = agent.poll_check(now, &mut triggered).expect("a triggered check");
        assert_eq!(to, address(7));
        let read = Request::parse(&triggered[..len]).expect("a request");
        let check = read.verify(&Key::new(LITE)).expect("signed");
        assert!(!check.use_candidate(), "the offer was the peer's: it controls");
    }

    #[test]
    fn a_forged_answer_or_check_changes_nothing() {
        let now = Instant::now();
        let mut agent = browser(true, &[1], true, now);
        let mut check = [0; 256];
        let (to, len) = agent.poll_check(now, &mut check).expect("a check");
        let forger = Key::new("another-password-of-24-characters");
        let request = Request::parse(&check[..len]).expect("a request");
        let mut reply = [0; 128];
        let signed = request.verify(&Key::new(LITE)).expect("signed");
        let len = signed.write_success(to, &forger, &mut reply).expect("room");
        assert_eq!(agent.handle(to, &reply[..len], now, &mut [0; 128]), Err(Discard::StunIntegrity));
        assert_eq!(agent.selected(), None);
        let request = BindingRequest {
            transaction: 3,
            username: "browser:lite",
            priority: 1,
            role: Role::Controlling(4),
            nominates: true,
        };
        let len = request.write(&forger, &mut check).expect("room");
        assert_eq!(agent.handle(to, &check[..len], now, &mut [0; 128]), Err(Discard::StunIntegrity));
    }
}
