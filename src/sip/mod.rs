//! SIP: the wire, and (above it) transactions, dialogs and sessions. Pure: bytes in, bytes out, told the time.
//!
//! RFC 3261, 3581, 4475, 5118, 7118 (wire), 3262, 3311, 4028 (sessions), 2617, 7616, 8760 (digest), 3515, 3891, 3892,
//! 3420, 4488 (refer).
//! We do not do S/MIME, because no peer sends it; nor multicast Via (`maddr`, `ttl`), because a gateway has none.

mod dialog;
pub mod digest;
pub mod endpoint;
pub mod framing;
pub mod locate;
pub mod message;
pub mod refer;
mod session;
mod transaction;
pub mod uri;
