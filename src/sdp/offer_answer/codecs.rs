//! Which formats of an m-line are ours, and which of them is chosen.

/// An RTP payload format as far as we tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// PCMU/8000.
    Pcmu,
}
