//! The browser's side of the media plane: ICE-lite, DTLS-SRTP and SRTP, one [`transport::Transport`] per leg.
//!
//! STUN (RFC 8489) and ICE-lite (RFC 8445 2.5, 7675), DTLS-SRTP (RFC 5764, 8842, 8122), SRTP and SRTCP
//! (RFC 3711, 7714), RTP and RTCP on one port (RFC 5761).
//!
//! We do not gather candidates or send checks, because a gateway with a public address needs neither, and the first
//! valid packet starts the call. We do not do SDES, because a browser does not.
//!
//! ```text
//!  datagram ──► demux ──► STUN ──► ice::Agent      ── reply, validated path, selected path
//!                    ├──► DTLS ──► dtls::Handshake ── flights, keys (only from a validated path)
//!                    └──► SRTP ──► srtp::Inbound   ── plain packet, in place
//! ```
//! The keys and the ECDHE shares come from the crypto library's own generator: they are the one thing here that a
//! seed does not decide.

pub mod dtls;
pub mod ice;
pub mod srtp;
pub mod stun;
pub mod transport;

/// Why a packet of a browser leg was dropped. Counted by the media worker, never an error of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Discard {
    /// Not a STUN message, or one that contradicts its own lengths or FINGERPRINT.
    StunMalformed,
    /// A STUN message that we do not take: an indication, a response, another method.
    StunUnexpected,
    /// USERNAME is missing, over-long, or names neither our present nor our previous credentials.
    StunUser,
    /// MESSAGE-INTEGRITY is missing or wrong.
    StunIntegrity,
    /// The path had a valid check of another leg within 30 s, or the leg follows too many paths.
    StunPath,
    /// The reply does not fit into the buffer, or would be larger than an unauthenticated request.
    StunReply,
    /// From a source that no valid ICE check came from.
    Unvalidated,
    /// A DTLS record that is of no use in the present state.
    DtlsUnexpected,
    /// There are no SRTP keys yet.
    NoKeys,
    /// Too short to hold a header and an authentication tag, or no RTP/RTCP at all.
    SrtpMalformed,
    /// The authentication tag is wrong.
    SrtpAuth,
    /// Already seen, or older than the replay window.
    SrtpReplay,
    /// An SRTCP packet whose E flag is 0 (not encrypted), which we never take (RFC 3711 3.4).
    SrtcpClear,
    /// More SSRCs than a leg may use.
    SrtpSources,
    /// The buffer has no room for the authentication tag.
    NoRoom,
    /// The key has been used up (RFC 3711 9.2).
    KeyExhausted,
}

impl Discard {
    /// Number of reasons; `reason as usize` is below it.
    pub const COUNT: usize = 16;
    /// Every reason, in the order of its number.
    pub const ALL: [Discard; Discard::COUNT] = [
        Discard::StunMalformed,
        Discard::StunUnexpected,
        Discard::StunUser,
        Discard::StunIntegrity,
        Discard::StunPath,
        Discard::StunReply,
        Discard::Unvalidated,
        Discard::DtlsUnexpected,
        Discard::NoKeys,
        Discard::SrtpMalformed,
        Discard::SrtpAuth,
        Discard::SrtpReplay,
        Discard::SrtcpClear,
        Discard::SrtpSources,
        Discard::NoRoom,
        Discard::KeyExhausted,
    ];

    /// Returns the label for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Discard::StunMalformed => "stun_malformed",
            Discard::StunUnexpected => "stun_unexpected",
            Discard::StunUser => "stun_user",
            Discard::StunIntegrity => "stun_integrity",
            Discard::StunPath => "stun_path",
            Discard::StunReply => "stun_reply",
            Discard::Unvalidated => "unvalidated",
            Discard::DtlsUnexpected => "dtls_unexpected",
            Discard::NoKeys => "no_keys",
            Discard::SrtpMalformed => "srtp_malformed",
            Discard::SrtpAuth => "srtp_auth",
            Discard::SrtpReplay => "srtp_replay",
            Discard::SrtcpClear => "srtcp_clear",
            Discard::SrtpSources => "srtp_sources",
            Discard::NoRoom => "no_room",
            Discard::KeyExhausted => "key_exhausted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Discard;

    #[test]
    fn every_reason_has_its_own_number_below_the_count() {
        for (number, reason) in Discard::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
        }
    }
}
