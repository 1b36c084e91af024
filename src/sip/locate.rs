//! Where a name's servers are (RFC 3263 4): which records to ask for, and in which order their targets are tried.

use std::net::SocketAddr;

use crate::path::Transport;

/// One server of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResolvedTarget {
    /// What it speaks.
    pub transport: Transport,
    /// Where.
    pub addr: SocketAddr,
}
