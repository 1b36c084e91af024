//! The shell: sockets, threads and the clock around the pure rooms.
//!
//! ```text
//!  UDP sockets ──try──►┐                         ┌──► UDP sockets
//!  accept ─► flows ────┼─► signalling ─ Gateway ─┼──► a bounded queue per flow
//!  connect ─► flows ───┤                         │
//!  DNS ────────────────┤                         │
//!  commands, figures ──┘     ▲    │ orders       └──► call events (broadcast)
//!                    reports │    ▼
//!                          worker threads
//! ```
//!
//! Every queue is bounded; the table of all of them is in the crate's root. Full means: a datagram is dropped and counted
//! (the peer repeats it), a flow waits (TCP holds its sender back), a slow reader loses its flow, an order to a worker waits
//! in order and holds back all input, a capture misses what it may not delay.
//! We do not run one task per call, because the order of inputs is what makes the gateway's rules testable.

pub mod accept;
pub mod capture;
pub mod client;
pub mod connect;
pub mod desk;
pub mod flow;
pub mod notice;
mod ports;
pub mod resolve;
pub mod signalling;
pub mod sink;
pub mod stream;
pub mod tally;
pub mod tls;
pub mod tls_peer;
pub mod udp;
pub mod worker;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one, and returns the limit in force; `u64::MAX`: none.
pub fn raise_descriptor_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Without a hard limit the kernel still has `fs.nr_open`, whose default this is.
    let wanted = maximum.unwrap_or(1 << 20);
    if current.is_some_and(|c| c < wanted) {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
            Ok(()) => return wanted,
            Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
        }
    }
    current.unwrap_or(u64::MAX)
}

/// Returns how many calls `descriptors` open files carry, besides `fixed` files that are always open.
///
/// A call takes one connection of a browser and the RTP and RTCP sockets of its trunk leg.
pub fn calls_carried(descriptors: u64, fixed: u64) -> u64 {
    descriptors.saturating_sub(fixed) / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_raised_limit_is_the_one_in_force() {
        let raised = raise_descriptor_limit();
        assert_eq!(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), raised);
        assert!(raised >= 256, "{raised}");
    }

    #[test]
    fn a_call_takes_three_descriptors() {
        assert_eq!(calls_carried(1024, 124), 300);
        assert_eq!(calls_carried(10, 64), 0);
    }
}
