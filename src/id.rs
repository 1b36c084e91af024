//! Identifiers: newtypes, never bare strings or numbers.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id!(
    /// Names a call for the life of the process.
    CallId, "call-"
);
id!(
    /// Names a wish of the outside to have a call made, chosen by who wishes it: the call that comes of it bears it.
    DialId, "dial-"
);
id!(
    /// Names a leg of a call, and its media port; never reused.
    LegId, "leg-"
);
id!(
    /// Names one transport connection (RFC 5626 *flow*): a TCP, TLS or WebSocket connection; never reused.
    FlowId, "flow-"
);
id!(
    /// Names one bound RTP/RTCP socket pair in a worker's reserve.
    PortPairId, "pair-"
);
id!(
    /// Names a media worker thread, counted from 0.
    WorkerId, "worker-"
);

/// Names one run of the process: 64 random bits, drawn at its start. Identifiers count anew in each run; outside of it they
/// stand behind this one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run-{self}")
    }
}
