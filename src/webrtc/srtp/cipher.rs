//! The two transforms, each over one packet in place; knows neither SSRC tables nor replay.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::EncryptingKey;
use aws_lc_rs::{constant_time, hmac};

use super::kdf::{Label, counter_key, counter_mode, derive};
use super::{KeyError, Profile};
use crate::webrtc::Discard;

/// Most bytes that a tag has.
pub(super) const MAX_TAG: usize = 16;
const CM_TAG: usize = 10;
/// Length of the E flag and the SRTCP index.
pub(super) const INDEX: usize = 4;
/// RTCP header and SSRC, which stay plain.
pub(super) const RTCP_PLAIN: usize = 8;
const ENCRYPTED: u32 = 1 << 31;

/// Session keys of one direction of SRTP, or of SRTCP.
pub(super) enum Cipher {
    Gcm { key: LessSafeKey, salt: [u8; 12] },
    Cm(Box<CounterKeys>),
}

/// Session keys of AES-CM with HMAC-SHA1; 1.7 KiB, most of it the HMAC's state.
pub(super) struct CounterKeys {
    key: EncryptingKey,
    salt: [u8; 14],
    auth: hmac::Key,
}

impl Cipher {
    /// Derives the session keys of SRTP.
    pub(super) fn rtp(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, KeyError> {
        Self::derived(profile, key, salt, [Label::RtpKey, Label::RtpAuth, Label::RtpSalt])
    }

    /// Derives the session keys of SRTCP.
    pub(super) fn rtcp(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, KeyError> {
        Self::derived(profile, key, salt, [Label::RtcpKey, Label::RtcpAuth, Label::RtcpSalt])
    }

    fn derived(profile: Profile, key: &[u8], salt: &[u8], labels: [Label; 3]) -> Result<Self, KeyError> {
        if key.len() != profile.key_len() || salt.len() != profile.salt_len() {
            return Err(KeyError::Length);
        }
        let master = counter_key(key)?;
        let [key_label, auth_label, salt_label] = labels;
        let mut session_key = [0; 32];
        let session_key = &mut session_key[..profile.key_len()];
        derive(&master, salt, key_label, session_key)?;
        let mut session_salt = [0; 14];
        derive(&master, salt, salt_label, &mut session_salt[..profile.salt_len()])?;
        let mut auth = [0; 20];
        derive(&master, salt, auth_label, &mut auth)?;
        Self::with_session_keys(profile, session_key, session_salt, &auth)
    }

    /// Takes session keys as they are; `salt` is padded with zeros to 14 bytes, `auth` is for AES-CM alone.
    pub(super) fn with_session_keys(
        profile: Profile,
        key: &[u8],
        salt: [u8; 14],
        auth: &[u8; 20],
    ) -> Result<Self, KeyError> {
        let algorithm = match profile {
            Profile::Aes128Gcm => &AES_128_GCM,
            Profile::Aes256Gcm => &AES_256_GCM,
            Profile::AesCm128HmacSha1_80 => {
                let auth = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth);
                return Ok(Cipher::Cm(Box::new(CounterKeys { key: counter_key(key)?, salt, auth })));
            }
        };
        let key = UnboundKey::new(algorithm, key).map_err(|_| KeyError::Length)?;
        let mut short = [0; 12];
        short.copy_from_slice(&salt[..12]);
        Ok(Cipher::Gcm { key: LessSafeKey::new(key), salt: short })
    }

    /// Length of the tag.
    #[inline]
    pub(super) fn tag_len(&self) -> usize {
        match self {
            Cipher::Gcm { .. } => MAX_TAG,
            Cipher::Cm(_) => CM_TAG,
        }
    }

    /// Closes the RTP packet `buf[..len]` whose payload begins at `header`; returns the new length.
    #[inline]
    pub(super) fn seal_rtp(
        &self,
        buf: &mut [u8],
        len: usize,
        header: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, Discard> {
        let end = len + self.tag_len();
        if buf.len() < end || header > len {
            return Err(Discard::NoRoom);
        }
        let (packet, rest) = buf.split_at_mut(len);
        match self {
            Cipher::Gcm { key, salt } => {
                let (header, payload) = packet.split_at_mut(header);
                let nonce = gcm_nonce_rtp(salt, ssrc, index);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(&*header), payload);
                rest[..MAX_TAG].copy_from_slice(tag.map_err(|_| Discard::KeyExhausted)?.as_ref());
            }
            Cipher::Cm(keys) => {
                let CounterKeys { key, salt, auth } = &**keys;
                if !counter_mode(key, cm_iv(salt, ssrc, index), &mut packet[header..]) {
                    return Err(Discard::KeyExhausted);
                }
                let tag = cm_tag_rtp(auth, packet, index);
                rest[..CM_TAG].copy_from_slice(&tag.as_ref()[..CM_TAG]);
            }
        }
        Ok(end)
    }

    /// Opens the SRTP packet whose payload begins at `header`; returns the plain length.
    #[inline]
    pub(super) fn open_rtp(&self, packet: &mut [u8], header: usize, ssrc: u32, index: u64) -> Result<usize, Discard> {
        let len = packet.len().checked_sub(self.tag_len()).ok_or(Discard::SrtpMalformed)?;
        if header > len {
            return Err(Discard::SrtpMalformed);
        }
        match self {
            Cipher::Gcm { key, salt } => {
                let (header, sealed) = packet.split_at_mut(header);
                let nonce = gcm_nonce_rtp(salt, ssrc, index);
                key.open_in_place(nonce, Aad::from(&*header), sealed).map_err(|_| Discard::SrtpAuth)?;
            }
            Cipher::Cm(keys) => {
                let CounterKeys { key, salt, auth } = &**keys;
                let (packet, tag) = packet.split_at_mut(len);
                let right = cm_tag_rtp(auth, packet, index);
                constant_time::verify_slices_are_equal(&right.as_ref()[..CM_TAG], tag)
                    .map_err(|_| Discard::SrtpAuth)?;
                counter_mode(key, cm_iv(salt, ssrc, index), &mut packet[header..]);
            }
        }
        Ok(len)
    }

    /// Closes the RTCP packet `buf[..len]`; returns the new length.
    pub(super) fn seal_rtcp(&self, buf: &mut [u8], len: usize, ssrc: u32, index: u32) -> Result<usize, Discard> {
        let end = len + INDEX + self.tag_len();
        if buf.len() < end || len < RTCP_PLAIN {
            return Err(Discard::NoRoom);
        }
        let word = (ENCRYPTED | index).to_be_bytes();
        match self {
            Cipher::Gcm { key, salt } => {
                let (packet, rest) = buf.split_at_mut(len);
                let (header, payload) = packet.split_at_mut(RTCP_PLAIN);
                let aad = Aad::from(rtcp_aad(header, word));
                let tag = key.seal_in_place_separate_tag(gcm_nonce_rtcp(salt, ssrc, index), aad, payload);
                rest[..MAX_TAG].copy_from_slice(tag.map_err(|_| Discard::KeyExhausted)?.as_ref());
                rest[MAX_TAG..MAX_TAG + INDEX].copy_from_slice(&word);
            }
            Cipher::Cm(keys) => {
                let CounterKeys { key, salt, auth } = &**keys;
                if !counter_mode(key, cm_iv(salt, ssrc, u64::from(index)), &mut buf[RTCP_PLAIN..len]) {
                    return Err(Discard::KeyExhausted);
                }
                buf[len..len + INDEX].copy_from_slice(&word);
                let tag = hmac::sign(auth, &buf[..len + INDEX]);
                buf[len + INDEX..end].copy_from_slice(&tag.as_ref()[..CM_TAG]);
            }
        }
        Ok(end)
    }

    /// Reads E and the index of an SRTCP packet: where they stand depends on the transform.
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Result<u32, Discard> {
        let after = match self {
            Cipher::Gcm { .. } => 0,
            Cipher::Cm(_) => CM_TAG,
        };
        let end = packet.len().checked_sub(after).ok_or(Discard::SrtpMalformed)?;
        let word = packet.get(..end).and_then(|p| p.last_chunk::<INDEX>()).ok_or(Discard::SrtpMalformed)?;
        let word = u32::from_be_bytes(*word);
        if word & ENCRYPTED == 0 {
            return Err(Discard::SrtcpClear);
        }
        Ok(word & !ENCRYPTED)
    }

    /// Opens an SRTCP packet with the index that it bears; returns the plain length.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, index: u32) -> Result<usize, Discard> {
        let len = packet.len().checked_sub(INDEX + self.tag_len()).ok_or(Discard::SrtpMalformed)?;
        if len < RTCP_PLAIN {
            return Err(Discard::SrtpMalformed);
        }
        match self {
            Cipher::Gcm { key, salt } => {
                let (packet, word) = packet.split_at_mut(len + MAX_TAG);
                let (header, sealed) = packet.split_at_mut(RTCP_PLAIN);
                let word: [u8; INDEX] = (&*word).try_into().map_err(|_| Discard::SrtpMalformed)?;
                key.open_in_place(gcm_nonce_rtcp(salt, ssrc, index), Aad::from(rtcp_aad(header, word)), sealed)
                    .map_err(|_| Discard::SrtpAuth)?;
            }
            Cipher::Cm(keys) => {
                let CounterKeys { key, salt, auth } = &**keys;
                let (signed, tag) = packet.split_at_mut(len + INDEX);
                let right = hmac::sign(auth, signed);
                constant_time::verify_slices_are_equal(&right.as_ref()[..CM_TAG], tag)
                    .map_err(|_| Discard::SrtpAuth)?;
                counter_mode(key, cm_iv(salt, ssrc, u64::from(index)), &mut signed[RTCP_PLAIN..len]);
            }
        }
        Ok(len)
    }
}

/// IV of AES-CM (RFC 3711 4.1.1).
#[inline]
fn cm_iv(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut iv = (u128::from(ssrc) << 64 | u128::from(index) << 16).to_be_bytes();
    for (byte, salt) in iv.iter_mut().zip(salt) {
        *byte ^= *salt;
    }
    iv
}

/// Tag over the packet and the ROC (RFC 3711 4.2).
#[inline]
fn cm_tag_rtp(auth: &hmac::Key, packet: &[u8], index: u64) -> hmac::Tag {
    let mut context = hmac::Context::with_key(auth);
    context.update(packet);
    context.update(&((index >> 16) as u32).to_be_bytes());
    context.sign()
}

/// IV of AES-GCM for SRTP (RFC 7714 8.1).
#[inline]
fn gcm_nonce_rtp(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    let mut iv = [0; 12];
    iv[2..6].copy_from_slice(&ssrc.to_be_bytes());
    iv[6..].copy_from_slice(&index.to_be_bytes()[2..]);
    salted(iv, salt)
}

/// IV of AES-GCM for SRTCP (RFC 7714 9.1).
fn gcm_nonce_rtcp(salt: &[u8; 12], ssrc: u32, index: u32) -> Nonce {
    let mut iv = [0; 12];
    iv[2..6].copy_from_slice(&ssrc.to_be_bytes());
    iv[8..].copy_from_slice(&index.to_be_bytes());
    salted(iv, salt)
}

#[inline]
fn salted(mut iv: [u8; 12], salt: &[u8; 12]) -> Nonce {
    for (byte, salt) in iv.iter_mut().zip(salt) {
        *byte ^= *salt;
    }
    Nonce::assume_unique_for_key(iv)
}

/// Associated data of an encrypted SRTCP packet (RFC 7714 9.2); `header` is of 8 bytes.
fn rtcp_aad(header: &[u8], word: [u8; INDEX]) -> [u8; RTCP_PLAIN + INDEX] {
    let mut aad = [0; RTCP_PLAIN + INDEX];
    aad[..RTCP_PLAIN].copy_from_slice(header);
    aad[RTCP_PLAIN..].copy_from_slice(&word);
    aad
}
