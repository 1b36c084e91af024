//! SRTP and SRTCP in place: AES-GCM (RFC 7714) and AES_CM_128_HMAC_SHA1_80 (RFC 3711), keyed by DTLS (RFC 5764).
//!
//! A session has two directions, [`Inbound`] and [`Outbound`]. State is kept per SSRC: the rollover counter (ROC)
//! and a replay window of 128 packets. Both are counted in packets, not in time: they survive silence of any length.
//!
//! ```text
//!  RTP header (plain) │ payload (encrypted) │ tag 10 or 16                                     SRTP
//!  RTCP header, SSRC  │ rest (encrypted)    │ tag 16 │ E + index 4                              SRTCP, AES-GCM
//!  RTCP header, SSRC  │ rest (encrypted)    │ E + index 4 │ tag 10                              SRTCP, AES-CM
//! ```
//! We do not do MKI, key derivation rates or re-keying, because DTLS-SRTP negotiates none of them. We do not take
//! SRTCP packets with E=0: under AES-CM a peer would otherwise have them believed that never encrypts.

mod cipher;
mod kdf;
mod replay;
mod session;
#[cfg(test)]
mod tests;

pub use session::{Inbound, Outbound};

/// An SRTP protection profile of RFC 5764 4.1.2 and RFC 7714 14.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// SRTP_AEAD_AES_128_GCM (0x0007).
    Aes128Gcm,
    /// SRTP_AEAD_AES_256_GCM (0x0008).
    Aes256Gcm,
    /// SRTP_AES128_CM_HMAC_SHA1_80 (0x0001).
    AesCm128HmacSha1_80,
}

impl Profile {
    /// Length of a master key in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Profile::Aes128Gcm | Profile::AesCm128HmacSha1_80 => 16,
            Profile::Aes256Gcm => 32,
        }
    }

    /// Length of a master salt in bytes.
    pub const fn salt_len(self) -> usize {
        match self {
            Profile::Aes128Gcm | Profile::Aes256Gcm => 12,
            Profile::AesCm128HmacSha1_80 => 14,
        }
    }

    /// Length of an authentication tag in bytes.
    pub const fn tag_len(self) -> usize {
        match self {
            Profile::Aes128Gcm | Profile::Aes256Gcm => 16,
            Profile::AesCm128HmacSha1_80 => 10,
        }
    }

    /// Length of what the DTLS exporter yields: both keys, both salts (RFC 5764 4.2).
    pub const fn material_len(self) -> usize {
        2 * (self.key_len() + self.salt_len())
    }
}

/// Why a session cannot be keyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A key or salt is not as long as the profile says.
    #[error("keying material has the wrong length")]
    Length,
    /// The crypto library refused the key.
    #[error("the crypto library refused the key")]
    Refused,
}

/// Which side of the DTLS handshake we were; decides whose keys are whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We were the client.
    Client,
    /// We were the server.
    Server,
}

/// Makes both directions out of what the DTLS exporter yields: client key, server key, client salt, server salt.
pub fn session(profile: Profile, material: &[u8], side: Side) -> Result<(Inbound, Outbound), KeyError> {
    if material.len() != profile.material_len() {
        return Err(KeyError::Length);
    }
    let (keys, salts) = material.split_at(2 * profile.key_len());
    let (client_key, server_key) = keys.split_at(profile.key_len());
    let (client_salt, server_salt) = salts.split_at(profile.salt_len());
    let client = (client_key, client_salt);
    let server = (server_key, server_salt);
    let (theirs, ours) = if side == Side::Server { (client, server) } else { (server, client) };
    Ok((Inbound::new(profile, theirs.0, theirs.1)?, Outbound::new(profile, ours.0, ours.1)?))
}
