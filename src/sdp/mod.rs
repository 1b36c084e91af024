//! SDP: session descriptions (RFC 8866) and the offer/answer model (RFC 3264) for the two kinds of legs.
//!
//! * [`description`]: bytes to a bounded, typed view and back; `sdp-types` reads the lines, the attributes are ours:
//!   rtpmap and fmtp (RFC 8866 6), ICE (RFC 8839), fingerprint and setup (RFC 8122, 8842), BUNDLE (RFC 9143),
//!   rtcp-mux (RFC 5761), rtcp (RFC 3605).
//! * [`offer_answer`]: what the gateway asks: answer and offer towards browsers (RFC 9429 shapes) and towards the trunk
//!   (RTP/AVP), with codecs by RFC 3551, RFC 7587 and RFC 4733.
//!
//! We do not do SDES (RFC 4568), because a key in a message is no secret beside DTLS; we do not resolve names in `c=` or
//! in mDNS candidates, because an address is learnt from authenticated packets; we take one audio m-line and refuse the
//! others with port 0 in their place; we accept no header extension, no RTCP feedback, no comfort noise and no RED.

pub mod description;
pub mod offer_answer;

#[cfg(test)]
mod shapes;

/// Why a description cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Larger than [`description::MAX_BYTES`].
    #[error("session description of {0} bytes is too large")]
    TooLarge(usize),
    /// More m-lines, attributes or formats than a browser would ever write.
    #[error("too many {0} in session description")]
    TooMany(&'static str),
    /// The lines break RFC 8866.
    #[error("malformed session description: {0}")]
    Syntax(String),
}

/// Why an offer or an answer comes to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// The description cannot be read; the request is wrong (400).
    #[error(transparent)]
    Malformed(#[from] SdpError),
    /// No audio m-line, or all of them have port 0.
    #[error("no audio in session description")]
    NoAudio,
    /// The audio m-line has a transport that this kind of leg does not speak.
    #[error("audio transport is not supported on this leg")]
    Transport,
    /// No codec in common.
    #[error("no codec in common")]
    NoCommonCodec,
    /// No `a=fingerprint` of SHA-256.
    #[error("no sha-256 fingerprint")]
    NoFingerprint,
    /// No ICE user fragment and password.
    #[error("no ICE credentials")]
    NoIce,
    /// The peer is an ICE-lite agent as we are: nobody would send checks.
    #[error("both sides are ICE-lite")]
    BothIceLite,
    /// Without `a=rtcp-mux`.
    #[error("no rtcp-mux")]
    NoRtcpMux,
    /// `a=setup` is neither of actpass, active, passive.
    #[error("a=setup is not usable")]
    Setup,
    /// `c=` is missing, or holds a name, a multicast address or one of the other address family.
    #[error("no usable connection address")]
    NoAddress,
}
