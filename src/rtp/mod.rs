//! RTP, RTCP and telephone events as views and writers of bytes, with the statistics of a receiver.
//!
//! RFC 3550 sections 5.1, 6.1 to 6.6 and appendix A; RFC 4733 section 2; RFC 5506 (a reduced compound is read, never
//! written); RFC 5761 and RFC 7983 (what kind of datagram this is).
//!
//! We do not parse RTCP feedback (RFC 4585) and extended reports (RFC 3611), because a voice bridge has nothing to retransmit:
//! they are stepped over. We do not write CSRCs, header extensions or padding, because no leg negotiates them. Nothing here
//! allocates but [`DtmfSender::new`].

pub mod demux;
pub mod dtmf;
pub mod header;
pub mod rtcp;
pub mod stats;

pub use demux::{Kind, classify};
pub use dtmf::{DtmfReceiver, DtmfSender, EventPacket, EventPayload, KeyChange};
pub use header::{HEADER_LEN, RtpHeader, RtpView, write_header};
pub use rtcp::{Compound, ReportBlock, RtcpPacket, SenderInfo};
pub use stats::{ReceiverStats, Verdict};

/// Why a media packet is dropped: counted, never an error of the leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Discard {
    /// Shorter than its fixed header says.
    Short,
    /// Of another version than 2.
    Version,
    /// The list of contributing sources runs past the end.
    Csrc,
    /// The header extension runs past the end.
    Extension,
    /// Padding of no octets, or of more than there are.
    Padding,
    /// An RTCP length field runs past the end, or contradicts the count of its packet.
    RtcpLength,
    /// An RTCP packet type outside of 192 to 223.
    RtcpType,
    /// A telephone event that is no key (above 15).
    Event,
}

impl Discard {
    /// Number of reasons; `reason as usize` is below it.
    pub const COUNT: usize = 8;
    /// Every reason, in the order of its number.
    pub const ALL: [Discard; Discard::COUNT] = [
        Discard::Short,
        Discard::Version,
        Discard::Csrc,
        Discard::Extension,
        Discard::Padding,
        Discard::RtcpLength,
        Discard::RtcpType,
        Discard::Event,
    ];

    /// Returns the label for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Discard::Short => "short",
            Discard::Version => "version",
            Discard::Csrc => "csrc",
            Discard::Extension => "extension",
            Discard::Padding => "padding",
            Discard::RtcpLength => "rtcp_length",
            Discard::RtcpType => "rtcp_type",
            Discard::Event => "event",
        }
    }
}

/// Returns the big-endian 16 bits at `at`.
#[inline]
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk::<2>().map(|b| u16::from_be_bytes(*b))
}

/// Returns the big-endian 32 bits at `at`.
#[inline]
fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|b| u32::from_be_bytes(*b))
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
