//! The two directions of a session: keys, and the state of each SSRC.

use smallvec::SmallVec;

use super::cipher::{Cipher, RTCP_PLAIN};
use super::replay::Window;
use super::{KeyError, Profile};
use crate::webrtc::Discard;

/// SSRCs of one direction; a browser uses one or two, a few more over a long call.
const MAX_SOURCES: usize = 64;
const RTP_FIXED: usize = 12;
/// Highest ROC and sequence number (RFC 3711 9.2: at most 2^48 packets per key).
const MAX_RTP_INDEX: u64 = (1 << 48) - 1;
/// Highest SRTCP index (RFC 3711 9.2: at most 2^31 packets per key).
const MAX_RTCP_INDEX: u32 = (1 << 31) - 1;

/// Replay state by SSRC, the one used last first.
#[derive(Default)]
struct Sources(SmallVec<[(u32, Window); 4]>);

impl Sources {
    #[inline]
    fn find(&mut self, ssrc: u32) -> Option<&mut Window> {
        let at = self.0.iter().position(|(known, _)| *known == ssrc)?;
        // The SSRC that is heard stays in front: one comparison per packet.
        self.0.swap(0, at);
        self.0.first_mut().map(|(_, window)| window)
    }

    fn insert(&mut self, ssrc: u32, first: u64) {
        self.0.push((ssrc, Window::new(first)));
    }

    fn is_full(&self) -> bool {
        self.0.len() >= MAX_SOURCES
    }
}

/// What of an RTP header SRTP needs; the length is that of the part that stays plain.
#[inline]
fn rtp_header(packet: &[u8]) -> Result<(usize, u16, u32), Discard> {
    let [first, _, seq_high, seq_low, _, _, _, _, a, b, c, d] =
        *packet.first_chunk::<RTP_FIXED>().ok_or(Discard::SrtpMalformed)?;
    if first >> 6 != 2 {
        return Err(Discard::SrtpMalformed);
    }
    let mut len = RTP_FIXED + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let extension = packet.get(len..).and_then(|rest| rest.first_chunk::<4>()).ok_or(Discard::SrtpMalformed)?;
        len += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
    }
    if len > packet.len() {
        return Err(Discard::SrtpMalformed);
    }
    Ok((len, u16::from_be_bytes([seq_high, seq_low]), u32::from_be_bytes([a, b, c, d])))
}

/// SSRC of the sender of an RTCP packet.
fn rtcp_ssrc(packet: &[u8]) -> Result<u32, Discard> {
    let [first, _, _, _, a, b, c, d] = *packet.first_chunk::<RTCP_PLAIN>().ok_or(Discard::SrtpMalformed)?;
    if first >> 6 != 2 {
        return Err(Discard::SrtpMalformed);
    }
    Ok(u32::from_be_bytes([a, b, c, d]))
}

/// What the peer sends.
pub struct Inbound {
    rtp: Cipher,
    rtcp: Cipher,
    rtp_sources: Sources,
    rtcp_sources: Sources,
}

impl std::fmt::Debug for Inbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbound").field("sources", &self.rtp_sources.0.len()).finish_non_exhaustive()
    }
}

impl Inbound {
    /// Derives the session keys from the peer's master key and salt.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, KeyError> {
        let (rtp, rtcp) = (Cipher::rtp(profile, key, salt)?, Cipher::rtcp(profile, key, salt)?);
        Ok(Inbound { rtp, rtcp, rtp_sources: Sources::default(), rtcp_sources: Sources::default() })
    }

    /// Opens an SRTP packet in place; returns the length of the RTP packet. After an error the bytes are worthless.
    #[inline]
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, Discard> {
        let (header, seq, ssrc) = rtp_header(packet)?;
        let Some(window) = self.rtp_sources.find(ssrc) else {
            return self.first_rtp(packet, header, seq, ssrc);
        };
        let index = window.estimate(seq).ok_or(Discard::SrtpReplay)?;
        if index > MAX_RTP_INDEX {
            return Err(Discard::KeyExhausted);
        }
        if !window.is_fresh(index) {
            return Err(Discard::SrtpReplay);
        }
        let len = self.rtp.open_rtp(packet, header, ssrc, index)?;
        window.mark(index);
        Ok(len)
    }

    /// An SSRC that was not heard before: its ROC is 0 (RFC 3711 3.3.1), and it is kept only if authentic.
    fn first_rtp(&mut self, packet: &mut [u8], header: usize, seq: u16, ssrc: u32) -> Result<usize, Discard> {
        if self.rtp_sources.is_full() {
            return Err(Discard::SrtpSources);
        }
        let index = u64::from(seq);
        let len = self.rtp.open_rtp(packet, header, ssrc, index)?;
        self.rtp_sources.insert(ssrc, index);
        Ok(len)
    }

    /// Opens an SRTCP packet in place; returns the length of the RTCP packet. After an error the bytes are worthless.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Discard> {
        let ssrc = rtcp_ssrc(packet)?;
        let index = self.rtcp.rtcp_index(packet)?;
        let wide = u64::from(index);
        let full = self.rtcp_sources.is_full();
        match self.rtcp_sources.find(ssrc) {
            Some(window) if !window.is_fresh(wide) => Err(Discard::SrtpReplay),
            Some(window) => {
                let len = self.rtcp.open_rtcp(packet, ssrc, index)?;
                window.mark(wide);
                Ok(len)
            }
            None if full => Err(Discard::SrtpSources),
            None => {
                let len = self.rtcp.open_rtcp(packet, ssrc, index)?;
                self.rtcp_sources.insert(ssrc, wide);
                Ok(len)
            }
        }
    }
}

/// What we send.
pub struct Outbound {
    rtp: Cipher,
    rtcp: Cipher,
    sources: Sources,
    /// Index of the next SRTCP packet; one count for all our SSRCs, which is stricter than asked.
    next_rtcp: u32,
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("next_rtcp", &self.next_rtcp).finish_non_exhaustive()
    }
}

impl Outbound {
    /// Derives the session keys from our master key and salt.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, KeyError> {
        let (rtp, rtcp) = (Cipher::rtp(profile, key, salt)?, Cipher::rtcp(profile, key, salt)?);
        Ok(Outbound { rtp, rtcp, sources: Sources::default(), next_rtcp: 0 })
    }

    /// Closes the RTP packet `buf[..len]` in place; returns its new length. The tag takes up to 16 bytes behind it.
    ///
    /// A sequence number is never used twice (that would give away the key stream): [`Discard::SrtpReplay`].
    #[inline]
    pub fn protect_rtp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, Discard> {
        let (header, seq, ssrc) = rtp_header(buf.get(..len).ok_or(Discard::NoRoom)?)?;
        if let Some(window) = self.sources.find(ssrc) {
            let index = window.estimate(seq).ok_or(Discard::SrtpReplay)?;
            if index > MAX_RTP_INDEX {
                return Err(Discard::KeyExhausted);
            }
            if !window.is_fresh(index) {
                return Err(Discard::SrtpReplay);
            }
            let sealed = self.rtp.seal_rtp(buf, len, header, ssrc, index)?;
            window.mark(index);
            return Ok(sealed);
        }
        if self.sources.is_full() {
            return Err(Discard::SrtpSources);
        }
        let sealed = self.rtp.seal_rtp(buf, len, header, ssrc, u64::from(seq))?;
        self.sources.insert(ssrc, u64::from(seq));
        Ok(sealed)
    }

    /// Closes the RTCP packet `buf[..len]` in place; returns its new length. Up to 20 bytes are added behind it.
    pub fn protect_rtcp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, Discard> {
        let ssrc = rtcp_ssrc(buf.get(..len).ok_or(Discard::NoRoom)?)?;
        if self.next_rtcp > MAX_RTCP_INDEX {
            return Err(Discard::KeyExhausted);
        }
        let sealed = self.rtcp.seal_rtcp(buf, len, ssrc, self.next_rtcp)?;
        self.next_rtcp += 1;
        Ok(sealed)
    }
}
