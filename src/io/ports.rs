//! The reserve of already bound RTP/RTCP socket pairs of a worker (RFC 3550 11: RTP even, RTCP the next port).
//!
//! A port is never written into SDP before its socket exists, and a closed pair ignores what still arrives for a while
//! before it goes out under a new id.
//!
//! ```text
//!  bind ──► ready ──(leg opened)──► used ──(leg closed)──► draining ──► ready
//!             └──────(given back)──────────────────────────────┘
//! ```

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};

use super::worker::MediaAddress;
use crate::id::{PortPairId, WorkerId};

/// Ports that one refill tries at most, so that a full range does not hold up the media.
const TRIES: usize = 64;
/// Time between refills while the range is exhausted.
const RETRY: Duration = Duration::from_millis(500);
/// Bits of a [`PortPairId`] that name the slot.
const SLOT_BITS: u32 = 20;
const GENERATION_BITS: u32 = 28;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    Used,
    Draining,
}

#[derive(Debug)]
struct Pair {
    id: PortPairId,
    state: State,
    media: usize,
    port: u16,
    rtp: UdpSocket,
    rtcp: UdpSocket,
}

/// One media address with the ports in use on it.
#[derive(Debug)]
struct Pool {
    address: MediaAddress,
    /// By half the distance from the first port.
    taken: Vec<bool>,
    cursor: usize,
    ready: usize,
}

/// How many pairs are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Levels {
    pub ready: u64,
    pub used: u64,
    pub draining: u64,
}

/// All pairs of a worker.
#[derive(Debug)]
pub(super) struct Ports {
    worker: WorkerId,
    first: u16,
    reserve: usize,
    drain: Duration,
    pools: Vec<Pool>,
    slots: Vec<Option<Pair>>,
    generation: u64,
    draining: VecDeque<(Instant, usize)>,
    retry: Option<Instant>,
    /// Times that no port was found.
    pub exhausted: u64,
    token_base: usize,
}

/// Which of the two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Rtp,
    Rtcp,
}

impl Ports {
    pub(super) fn new(
        worker: WorkerId,
        media: &[MediaAddress],
        range: RangeInclusive<u16>,
        reserve: usize,
        drain: Duration,
        token_base: usize,
    ) -> Self {
        let first = range.start().saturating_add(range.start() & 1);
        let count =
            if range.is_empty() || *range.end() <= first { 0 } else { usize::from(range.end() - first).div_ceil(2) };
        let pools =
            media.iter().map(|&address| Pool { address, taken: vec![false; count], cursor: 0, ready: 0 }).collect();
        Ports {
            worker,
            first,
            reserve,
            drain,
            pools,
            slots: Vec::new(),
            generation: 0,
            draining: VecDeque::new(),
            retry: None,
            exhausted: 0,
            token_base,
        }
    }

    /// Ends what has drained, binds what is missing, and returns the pairs that are ready because of it.
    pub(super) fn refill(&mut self, registry: &Registry, now: Instant) -> Vec<(PortPairId, SocketAddr)> {
        let mut ready = Vec::new();
        while self.draining.front().is_some_and(|&(until, _)| until <= now) {
            if let Some((_, slot)) = self.draining.pop_front() {
                self.end_drain(slot, registry, &mut ready);
            }
        }
        if self.retry.is_some_and(|at| now < at) {
            return ready;
        }
        self.retry = None;
        for media in 0..self.pools.len() {
            let mut tries = TRIES;
            while self.pools[media].ready < self.reserve {
                match self.bind_next(media, registry, &mut tries) {
                    Some(pair) => ready.push(pair),
                    None => {
                        self.exhausted += 1;
                        self.retry = Some(now + RETRY);
                        break;
                    }
                }
            }
        }
        ready
    }

    /// Returns when [`Ports::refill`] is due again.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let drained = self.draining.front().map(|&(until, _)| until);
        drained.into_iter().chain(self.retry).min()
    }

    /// Tells whether a refill would do something about the reserve at once.
    pub(super) fn is_short(&self) -> bool {
        self.retry.is_none() && self.pools.iter().any(|p| p.ready < self.reserve)
    }

    /// Hands a ready pair to a leg; false when there is no such pair, or a leg has it.
    pub(super) fn take(&mut self, id: PortPairId) -> bool {
        let Some(pair) = self.find_mut(id) else { return false };
        if pair.state != State::Ready {
            return false;
        }
        pair.state = State::Used;
        let media = pair.media;
        self.pools[media].ready -= 1;
        true
    }

    /// Takes a pair back, to drain; an unused one too, for its address stood in an SDP.
    pub(super) fn release(&mut self, id: PortPairId, now: Instant) {
        let until = now + self.drain;
        let Some(pair) = self.find_mut(id) else { return };
        let was = pair.state;
        if was == State::Draining {
            return;
        }
        pair.state = State::Draining;
        let media = pair.media;
        if was == State::Ready {
            self.pools[media].ready -= 1;
        }
        self.draining.push_back((until, slot_of(id)));
    }

    /// Returns the socket of a pair that a leg has.
    #[inline]
    pub(super) fn socket(&self, id: PortPairId, half: Half) -> Option<&UdpSocket> {
        let pair = self.slots.get(slot_of(id))?.as_ref()?;
        (pair.id == id && pair.state == State::Used).then_some(match half {
            Half::Rtp => &pair.rtp,
            Half::Rtcp => &pair.rtcp,
        })
    }

    /// Returns the address of a pair's RTP port as peers are told it.
    pub(super) fn told(&self, id: PortPairId) -> Option<SocketAddr> {
        let pair = self.slots.get(slot_of(id))?.as_ref().filter(|pair| pair.id == id)?;
        Some(self.advertised(pair.media, pair.port))
    }

    /// Finds the socket of a token; the id is `None` where no leg has the pair and what arrives is to be ignored.
    #[inline]
    pub(super) fn by_token(&self, token: Token) -> Option<(Option<PortPairId>, Half, &UdpSocket)> {
        let index = token.0.checked_sub(self.token_base)?;
        let pair = self.slots.get(index / 2)?.as_ref()?;
        let id = (pair.state == State::Used).then_some(pair.id);
        Some(if index % 2 == 0 { (id, Half::Rtp, &pair.rtp) } else { (id, Half::Rtcp, &pair.rtcp) })
    }

    /// Counts the pairs.
    pub(super) fn levels(&self) -> Levels {
        let mut levels = Levels::default();
        for pair in self.slots.iter().flatten() {
            match pair.state {
                State::Ready => levels.ready += 1,
                State::Used => levels.used += 1,
                State::Draining => levels.draining += 1,
            }
        }
        levels
    }

    fn find_mut(&mut self, id: PortPairId) -> Option<&mut Pair> {
        self.slots.get_mut(slot_of(id))?.as_mut().filter(|p| p.id == id)
    }

    fn next_id(&mut self, slot: usize) -> PortPairId {
        self.generation = (self.generation + 1) & ((1 << GENERATION_BITS) - 1);
        PortPairId(self.worker.0 << (SLOT_BITS + GENERATION_BITS) | self.generation << SLOT_BITS | slot as u64)
    }

    fn advertised(&self, media: usize, port: u16) -> SocketAddr {
        SocketAddr::new(self.pools[media].address.advertise, port)
    }

    fn end_drain(&mut self, slot: usize, registry: &Registry, ready: &mut Vec<(PortPairId, SocketAddr)>) {
        let id = self.next_id(slot);
        let Some(entry) = self.slots.get_mut(slot) else { return };
        let Some(pair) = entry.as_mut().filter(|p| p.state == State::Draining) else { return };
        let (media, port) = (pair.media, pair.port);
        if self.pools[media].ready >= self.reserve.saturating_mul(2) {
            let _ = registry.deregister(&mut pair.rtp);
            let _ = registry.deregister(&mut pair.rtcp);
            *entry = None;
            let index = usize::from(port - self.first) / 2;
            self.pools[media].taken[index] = false;
            return;
        }
        empty(&pair.rtp);
        empty(&pair.rtcp);
        pair.id = id;
        pair.state = State::Ready;
        self.pools[media].ready += 1;
        ready.push((id, self.advertised(media, port)));
    }

    fn bind_next(&mut self, media: usize, registry: &Registry, tries: &mut usize) -> Option<(PortPairId, SocketAddr)> {
        let count = self.pools[media].taken.len();
        for _ in 0..count {
            let pool = &mut self.pools[media];
            let index = pool.cursor;
            pool.cursor = (pool.cursor + 1) % count;
            if pool.taken[index] {
                continue;
            }
            *tries = tries.checked_sub(1)?;
            let port = self.first + 2 * index as u16;
            let bind = pool.address.bind;
            let Ok((rtp, rtcp)) = bind_pair(SocketAddr::new(bind, port)) else { continue };
            let slot = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
            if slot >= 1 << SLOT_BITS {
                return None;
            }
            let id = self.next_id(slot);
            let mut pair = Pair { id, state: State::Ready, media, port, rtp, rtcp };
            let token = self.token_base + 2 * slot;
            if registry.register(&mut pair.rtp, Token(token), Interest::READABLE).is_err()
                || registry.register(&mut pair.rtcp, Token(token + 1), Interest::READABLE).is_err()
            {
                return None;
            }
            if slot == self.slots.len() {
                self.slots.push(None);
            }
            self.slots[slot] = Some(pair);
            self.pools[media].taken[index] = true;
            self.pools[media].ready += 1;
            return Some((id, self.advertised(media, port)));
        }
        None
    }
}

#[inline]
fn slot_of(id: PortPairId) -> usize {
    (id.0 & ((1 << SLOT_BITS) - 1)) as usize
}

/// Throws away what waits in a socket.
fn empty(socket: &UdpSocket) {
    let mut byte = [0; 1];
    for _ in 0..4096 {
        if socket.recv_from(&mut byte).is_err() {
            break;
        }
    }
}

/// Binds a UDP socket for media: non-blocking, one address family, expedited forwarding (RFC 4594 4.1).
pub(super) fn bind_udp(address: SocketAddr, receive_buffer: usize) -> io::Result<UdpSocket> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        let _ = socket.set_tclass_v6(EXPEDITED);
    } else {
        let _ = socket.set_tos_v4(EXPEDITED);
    }
    // The kernel may grant less; media goes on with what there is.
    let _ = socket.set_recv_buffer_size(receive_buffer);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// DSCP EF in the upper six bits of the traffic class (RFC 3246).
const EXPEDITED: u32 = 0xB8;
const PAIR_BUFFER: usize = 128 * 1024;

fn bind_pair(rtp: SocketAddr) -> io::Result<(UdpSocket, UdpSocket)> {
    let rtcp = SocketAddr::new(rtp.ip(), rtp.port() + 1);
    Ok((bind_udp(rtp, PAIR_BUFFER)?, bind_udp(rtcp, PAIR_BUFFER)?))
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;
