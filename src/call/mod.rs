//! A call: its legs, its topology, and at most one running procedure (RFC 3261, RFC 3264, RFC 3326).

pub mod cause;
pub mod command;
pub mod event;

pub use cause::ReleaseCause;
pub use command::Command;
pub use event::{CallEvent, Direction, EventKind};
