//! Ports for the gateway of `--self`: blocks in a row that nobody holds, below the ports that the kernel gives out by itself.
//!
//! The first port of each block is held by us as long as the gateway may use them: whoever looks for blocks beside us finds it
//! taken, before the gateway has bound a port of its own. The gateway passes over a port that it cannot have.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::LoadError;
use super::plan::LoadPlan;

/// Where blocks begin.
const FIRST: u16 = 10_000;
/// Length of a block.
const BLOCK: u16 = 1_000;
/// Pairs that a gateway binds in advance, and keeps beyond the calls.
const RESERVE: u64 = 64;
/// Ports at the end of the last block that are free for TCP too: those of its listeners, and of its peer.
const LISTENERS: u16 = 3;
/// How long a gateway lets a pair rest that a call has had.
const REST: Duration = Duration::from_secs(2);
/// Where the kernel's own ports begin, unless it says otherwise.
const KERNELS: u16 = 32_768;

/// Free ports of loopback.
#[derive(Debug)]
pub struct OwnPorts {
    first: u16,
    /// The first of each block.
    claims: Vec<UdpSocket>,
}

impl OwnPorts {
    /// Finds enough for the calls of a plan. Fails where no so many are free in a row.
    pub fn find(plan: &LoadPlan) -> Result<OwnPorts, LoadError> {
        let needed = needed(plan);
        let end = kernels_ports();
        let blocks = needed.div_ceil(u64::from(BLOCK));
        let mut claims = Vec::new();
        for first in (FIRST..end.saturating_sub(BLOCK - 1)).step_by(usize::from(BLOCK)) {
            match claim(first) {
                Some(socket) => claims.push(socket),
                None => claims.clear(),
            }
            if claims.len() as u64 == blocks {
                let first = first + BLOCK - BLOCK * claims.len() as u16;
                return Ok(OwnPorts { first, claims });
            }
        }
        let reason = format!("no {needed} UDP ports of loopback are free in a row between {FIRST} and {end}");
        Err(LoadError::Child { name: "gateway", reason })
    }

    fn end(&self) -> u16 {
        self.first + BLOCK * self.claims.len() as u16
    }

    /// Those for media.
    pub fn media(&self) -> RangeInclusive<u16> {
        self.first + 1..=self.end() - LISTENERS - 1
    }

    /// Those for signalling, by UDP and TCP.
    pub fn signalling(&self) -> [u16; LISTENERS as usize] {
        std::array::from_fn(|at| self.end() - LISTENERS + at as u16)
    }
}

/// Ports that the calls of a plan take: two each, also while they rest, and one for the browsers and one of ours in each block.
fn needed(plan: &LoadPlan) -> u64 {
    let calls = u64::from(plan.calls.concurrent);
    let again = plan.calls.renew_after.map_or(0.0, |lasting| REST.as_secs_f64() / lasting.as_secs_f64().max(0.1));
    let pairs = calls + (calls as f64 * again).ceil() as u64 + RESERVE;
    let ports = 2 * pairs + 1 + u64::from(LISTENERS);
    // Two of each block are no pair: ours and its neighbour.
    ports + 2 * ports.div_ceil(u64::from(BLOCK) - 2)
}

fn kernels_ports() -> u16 {
    let said = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
    said.and_then(|said| said.split_whitespace().next()?.parse().ok()).unwrap_or(KERNELS)
}

/// Holds the first port of a block, where nobody holds any of it.
fn claim(first: u16) -> Option<UdpSocket> {
    let bind = |port: u16| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok();
    let ours = bind(first)?;
    let last = first + (BLOCK - 1);
    let is_free = (first + 1..=last).all(|port| bind(port).is_some())
        && (last + 1 - LISTENERS..=last).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    is_free.then_some(ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(calls: u32, renew_after: Option<Duration>) -> LoadPlan {
        let mut plan = LoadPlan::default();
        (plan.calls.concurrent, plan.calls.renew_after) = (calls, renew_after);
        plan
    }

    #[test]
    fn two_that_look_for_ports_get_different_ones_before_either_has_used_any() {
        let plan = plan(700, None);
        let one = OwnPorts::find(&plan).expect("free ports");
        let other = OwnPorts::find(&plan).expect("free ports");
        assert!(one.signalling().iter().all(|port| !other.signalling().contains(port) && !one.media().contains(port)));
        let (one, other) = (one.media(), other.media());
        assert!(one.end() < other.start() || other.end() < one.start(), "{one:?} {other:?}");
        assert!(other.clone().count() >= 2 * 700 && *other.end() < kernels_ports(), "{other:?}");
    }

    #[test]
    fn a_block_of_which_somebody_holds_one_port_is_not_free() {
        let theirs = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = theirs.local_addr().expect("bound").port();
        assert!(claim(port - BLOCK / 2).is_none());
    }

    #[test]
    fn calls_that_are_made_anew_need_more_and_more_than_there_are_is_told() {
        assert!(needed(&plan(300, Some(Duration::from_secs(2)))) > needed(&plan(300, None)) + 500);
        let error = OwnPorts::find(&plan(20_000, None)).expect_err("not so many").to_string();
        assert!(error.starts_with("gateway: no 40"), "{error}");
    }
}
