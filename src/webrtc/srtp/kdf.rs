//! Key derivation of RFC 3711 4.3 with a derivation rate of 0; for AES-256 as in RFC 6188.

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

use super::KeyError;

/// What a session key is for (RFC 3711 4.3.2).
#[derive(Clone, Copy, Debug)]
pub(super) enum Label {
    RtpKey = 0,
    RtpAuth = 1,
    RtpSalt = 2,
    RtcpKey = 3,
    RtcpAuth = 4,
    RtcpSalt = 5,
}

/// Makes the AES counter mode key of 16 or 32 bytes.
pub(super) fn counter_key(key: &[u8]) -> Result<EncryptingKey, KeyError> {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    let key = UnboundCipherKey::new(algorithm, key).map_err(|_| KeyError::Length)?;
    EncryptingKey::ctr(key).map_err(|_| KeyError::Refused)
}

/// Adds the key stream that starts at `iv` to `data`.
#[inline]
pub(super) fn counter_mode(key: &EncryptingKey, iv: [u8; 16], data: &mut [u8]) -> bool {
    key.less_safe_encrypt(data, EncryptionContext::Iv128(FixedLength::from(iv))).is_ok()
}

/// Fills `out` with the session key of `label`. A 12-byte salt (RFC 7714 11) counts as padded with zeros at its end.
pub(super) fn derive(master: &EncryptingKey, salt: &[u8], label: Label, out: &mut [u8]) -> Result<(), KeyError> {
    let mut iv = [0; 16];
    for (byte, salt) in iv.iter_mut().take(14).zip(salt) {
        *byte = *salt;
    }
    iv[7] ^= label as u8;
    out.fill(0);
    if counter_mode(master, iv, out) { Ok(()) } else { Err(KeyError::Refused) }
}
