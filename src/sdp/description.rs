//! A session description, bounded and typed.

/// Who sends, as seen by the writer of the description (RFC 8866 6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    #[default]
    SendRecv,
    /// The writer sends only: hold.
    SendOnly,
    /// The writer receives only.
    RecvOnly,
    /// Nobody.
    Inactive,
}

/// Largest description taken, bytes.
pub const MAX_BYTES: usize = 64 * 1024;
