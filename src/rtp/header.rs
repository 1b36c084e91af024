//! The RTP header, read in place (RFC 3550 5.1, 5.3.1; RFC 8285 extensions are stepped over).

use std::ops::Range;

use super::{Discard, be16, be32};
use crate::plan::Pt;

/// Length of the header that [`write_header`] writes, bytes.
pub const HEADER_LEN: usize = 12;

/// The fields of a header that the bridge works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    /// Payload type.
    pub pt: Pt,
    /// First packet after a pause, or of an event.
    pub marker: bool,
    /// Sequence number.
    pub seq: u16,
    /// Timestamp, in ticks of the payload's clock.
    pub timestamp: u32,
    /// Source.
    pub ssrc: u32,
}

/// A checked RTP packet, where it lies.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |V=2|P|X|  CC   |M|     PT      |        sequence number        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                           timestamp                           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                             SSRC                              |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  CC x CSRC, then if X: profile (16), words (16), words x 32   |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  payload …                  | if P: padding, its last octet the count |
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RtpView<'a> {
    bytes: &'a [u8],
    header: RtpHeader,
    start: usize,
    end: usize,
}

impl<'a> RtpView<'a> {
    /// Checks a datagram, without copying it.
    ///
    /// # Errors
    /// The reason to drop it. An SRTP packet must be opened first, or its padding is read from ciphertext.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Discard> {
        let Some(fixed) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(Discard::Short);
        };
        if fixed[0] >> 6 != 2 {
            return Err(Discard::Version);
        }
        let start = header_len(bytes)?;
        let mut end = bytes.len();
        if fixed[0] & 0x20 != 0 {
            let padding = usize::from(bytes[end - 1]);
            if padding == 0 || padding > end - start {
                return Err(Discard::Padding);
            }
            end -= padding;
        }
        let header = RtpHeader {
            pt: Pt(fixed[1] & 0x7f),
            marker: fixed[1] & 0x80 != 0,
            seq: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        };
        Ok(RtpView { bytes, header, start, end })
    }

    /// Returns the fields, free of the borrow.
    #[inline]
    pub fn header(&self) -> RtpHeader {
        self.header
    }

    /// Returns where the payload lies in the datagram.
    #[inline]
    pub fn payload_range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Returns the payload, without padding.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.start..self.end]
    }

    /// Returns the length of the header with CSRCs and extension, bytes.
    #[inline]
    pub fn header_len(&self) -> usize {
        self.start
    }
}

/// Returns the length of the header with CSRCs and extension, for a datagram of at least 12 bytes; it is the part that SRTP
/// leaves in clear (RFC 3711 3.1).
#[inline]
pub fn header_len(bytes: &[u8]) -> Result<usize, Discard> {
    let first = *bytes.first().ok_or(Discard::Short)?;
    let mut len = HEADER_LEN + 4 * usize::from(first & 0x0f);
    if len > bytes.len() {
        return Err(Discard::Csrc);
    }
    if first & 0x10 != 0 {
        let words = be16(bytes, len + 2).ok_or(Discard::Extension)?;
        len += 4 + 4 * usize::from(words);
        if len > bytes.len() {
            return Err(Discard::Extension);
        }
    }
    Ok(len)
}

/// Returns the SSRC of an RTP datagram, where it is long enough.
#[inline]
pub fn ssrc(bytes: &[u8]) -> Option<u32> {
    be32(bytes, 8)
}

/// Writes a header without CSRCs, extension and padding, and returns its length: 12, or 0 where `out` is shorter.
#[inline]
pub fn write_header(out: &mut [u8], header: &RtpHeader) -> usize {
    let Some(fixed) = out.first_chunk_mut::<HEADER_LEN>() else {
        return 0;
    };
    fixed[0] = 0x80;
    fixed[1] = (u8::from(header.marker) << 7) | (header.pt.0 & 0x7f);
    fixed[2..4].copy_from_slice(&header.seq.to_be_bytes());
    fixed[4..8].copy_from_slice(&header.timestamp.to_be_bytes());
    fixed[8..12].copy_from_slice(&header.ssrc.to_be_bytes());
    HEADER_LEN
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: [u8; 14] = [0x80, 0xe0, 0x12, 0x34, 0, 0, 0, 160, 0xde, 0xad, 0xbe, 0xef, 7, 8];

    #[test]
    fn a_plain_packet_is_read_field_by_field() {
        let view = RtpView::parse(&PLAIN).unwrap();
        let header = RtpHeader { pt: Pt(96), marker: true, seq: 0x1234, timestamp: 160, ssrc: 0xdead_beef };
        assert_eq!(view.header(), header);
        assert_eq!(view.payload(), [7, 8]);
        let mut written = PLAIN;
        written[..12].fill(0xaa);
        assert_eq!(write_header(&mut written, &header), 12);
        assert_eq!(written, PLAIN);
    }

    #[test]
    fn csrcs_extension_and_padding_are_cut_from_the_payload() {
        let mut packet = vec![0xb1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([9; 4]); // one CSRC
        packet.extend([0xbe, 0xde, 0, 1, 0x10, 0x80, 0, 0]); // one word of extension
        packet.extend([1, 2, 3, 0, 0, 3]); // three of payload, three of padding
        let view = RtpView::parse(&packet).unwrap();
        assert_eq!(view.header_len(), 24);
        assert_eq!(view.payload_range(), 24..27);
        assert_eq!(view.payload(), [1, 2, 3]);
    }

    #[test]
    fn every_truncation_and_every_lie_is_refused_by_its_reason() {
        assert_eq!(RtpView::parse(&PLAIN[..11]).unwrap_err(), Discard::Short);
        assert_eq!(RtpView::parse(&[]).unwrap_err(), Discard::Short);
        let mut lie = PLAIN;
        lie[0] = 0x40;
        assert_eq!(RtpView::parse(&lie).unwrap_err(), Discard::Version);
        lie[0] = 0x81;
        assert_eq!(RtpView::parse(&lie).unwrap_err(), Discard::Csrc);
        lie[0] = 0x90;
        assert_eq!(RtpView::parse(&lie).unwrap_err(), Discard::Extension);
        lie[0] = 0xa0;
        assert_eq!(RtpView::parse(&lie).unwrap_err(), Discard::Padding, "8 octets of 2");
        lie[13] = 0;
        assert_eq!(RtpView::parse(&lie).unwrap_err(), Discard::Padding, "none at all");
        lie[13] = 2;
        assert_eq!(RtpView::parse(&lie).unwrap().payload(), [0u8; 0]);
    }

    #[test]
    fn a_header_is_not_written_where_it_has_no_room() {
        let header = RtpView::parse(&PLAIN).unwrap().header();
        assert_eq!(write_header(&mut [0; 11], &header), 0);
    }
}
