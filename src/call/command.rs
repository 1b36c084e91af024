//! What the outside may ask of a call: page, REST, NOTIFY talk and INFO are adapters to this one type.

use crate::id::CallId;

/// A wish; it may come too late, then it has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Ends the call, in whatever state it is.
    Release {
        /// Which call.
        call: CallId,
    },
}
