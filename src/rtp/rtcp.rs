//! RTCP: reads compounds, writes SR or RR with the CNAME and BYE (RFC 3550 6.1 to 6.6), and the arithmetic of NTP time.

use std::time::Duration;

use super::{Discard, be32};

const SR: u8 = 200;
const RR: u8 = 201;
const SDES: u8 = 202;
const BYE: u8 = 203;
/// Longest CNAME (RFC 3550 6.5: eight bits of length).
const MAX_CNAME: usize = 255;
/// Seconds between 1900 and 1970 (RFC 3550 4).
const NTP_UNIX_SECS: u64 = 2_208_988_800;

/// One reception report block (RFC 3550 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// Source that it is about.
    pub ssrc: u32,
    /// Share lost since the previous report, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost since the beginning, 24 bits with sign: duplicates can make it negative.
    pub lost: i32,
    /// Extended highest sequence number: cycles in the upper 16 bits.
    pub highest_seq: u32,
    /// Interarrival jitter, ticks.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last SR; 0: none came.
    pub last_sr: u32,
    /// Delay since that SR, 65536ths of a second.
    pub delay_since_sr: u32,
}

impl ReportBlock {
    /// Length on the wire, bytes.
    pub const LEN: usize = 24;

    fn read(b: &[u8; Self::LEN]) -> Self {
        let word = |at: usize| u32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        ReportBlock {
            ssrc: word(0),
            fraction_lost: b[4],
            lost: ((word(4) << 8) as i32) >> 8,
            highest_seq: word(8),
            jitter: word(12),
            last_sr: word(16),
            delay_since_sr: word(20),
        }
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u32(self.ssrc);
        let lost = self.lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
        out.u32(u32::from(self.fraction_lost) << 24 | lost);
        out.u32(self.highest_seq);
        out.u32(self.jitter);
        out.u32(self.last_sr);
        out.u32(self.delay_since_sr);
    }

    /// Returns the round trip time that the block shows, `now` being the middle 32 bits of our NTP time (RFC 3550 6.4.1).
    ///
    /// `None` where no SR of ours was seen, or where the figures contradict our clock.
    pub fn round_trip(&self, now: u32) -> Option<Duration> {
        if self.last_sr == 0 {
            return None;
        }
        let ticks = now.wrapping_sub(self.last_sr).wrapping_sub(self.delay_since_sr);
        (ticks < 1 << 31).then(|| ntp_short_to_duration(ticks))
    }
}

/// The sender's part of an SR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// NTP time of sending.
    pub ntp: u64,
    /// The same instant on the clock of our RTP timestamps.
    pub rtp_timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload octets sent.
    pub octets: u32,
}

/// Report blocks of an SR or RR, at most 31.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a>(&'a [u8]);

impl Iterator for Blocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.0.split_first_chunk::<{ ReportBlock::LEN }>()?;
        self.0 = rest;
        Some(ReportBlock::read(block))
    }
}

/// SSRCs of a BYE, at most 31.
#[derive(Clone, Copy, Debug)]
pub struct Ssrcs<'a>(&'a [u8]);

impl Iterator for Ssrcs<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (ssrc, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*ssrc))
    }
}

/// One packet of a compound.
#[derive(Clone, Copy, Debug)]
pub enum RtcpPacket<'a> {
    /// Sender report.
    SenderReport {
        /// Who reports.
        ssrc: u32,
        /// What it sent.
        info: SenderInfo,
        /// What it received.
        blocks: Blocks<'a>,
    },
    /// Receiver report.
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
        /// What it received.
        blocks: Blocks<'a>,
    },
    /// Source description, of which the first chunk's CNAME is read.
    Description {
        /// First source described.
        ssrc: u32,
        /// Its CNAME, empty where there is none.
        cname: &'a [u8],
    },
    /// Sources that leave.
    Bye(Ssrcs<'a>),
    /// Feedback (205, 206), XR (207), APP and whatever else: stepped over.
    Other(u8),
}

/// A checked compound, where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a>(&'a [u8]);

impl<'a> Compound<'a> {
    /// Checks every header and length of a compound, without copying it.
    ///
    /// A compound need not begin with SR or RR, because browsers send reduced ones (RFC 5506).
    ///
    /// ```text
    ///  0                   1                   2                   3
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// |V=2|P|  count  |  packet type  |  length in words, minus one   |  then the next packet, to the end
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// ```
    ///
    /// # Errors
    /// The reason to drop it, as a whole.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Discard> {
        if bytes.len() < 4 {
            return Err(Discard::Short);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let (packet, next) = split(rest)?;
            let padded = packet[0] & 0x20 != 0;
            if padded && !next.is_empty() {
                return Err(Discard::Padding);
            }
            let body = unpadded(packet)?;
            let count = usize::from(packet[0] & 0x1f);
            let least = match packet[1] {
                SR => 24 + count * ReportBlock::LEN,
                RR => 4 + count * ReportBlock::LEN,
                SDES if count > 0 => 4,
                BYE => 4 * count,
                192..=223 => 0,
                _ => return Err(Discard::RtcpType),
            };
            if body.len() < least {
                return Err(Discard::RtcpLength);
            }
            rest = next;
        }
        Ok(Compound(bytes))
    }

    /// Returns the packets in their order.
    pub fn packets(&self) -> Packets<'a> {
        Packets(self.0)
    }
}

/// The packets of a [`Compound`].
#[derive(Clone, Copy, Debug)]
pub struct Packets<'a>(&'a [u8]);

impl<'a> Iterator for Packets<'a> {
    type Item = RtcpPacket<'a>;

    fn next(&mut self) -> Option<RtcpPacket<'a>> {
        let (packet, rest) = split(self.0).ok()?;
        self.0 = rest;
        let body = unpadded(packet).ok()?;
        let count = usize::from(packet[0] & 0x1f);
        let kind = packet[1];
        read(kind, count, body).or(Some(RtcpPacket::Other(kind)))
    }
}

fn read(kind: u8, count: usize, body: &[u8]) -> Option<RtcpPacket<'_>> {
    let blocks = |at: usize| body.get(at..at + count * ReportBlock::LEN).map(Blocks);
    Some(match kind {
        SR => RtcpPacket::SenderReport {
            ssrc: be32(body, 0)?,
            info: SenderInfo {
                ntp: u64::from(be32(body, 4)?) << 32 | u64::from(be32(body, 8)?),
                rtp_timestamp: be32(body, 12)?,
                packets: be32(body, 16)?,
                octets: be32(body, 20)?,
            },
            blocks: blocks(24)?,
        },
        RR => RtcpPacket::ReceiverReport { ssrc: be32(body, 0)?, blocks: blocks(4)? },
        SDES if count > 0 => RtcpPacket::Description { ssrc: be32(body, 0)?, cname: cname(body.get(4..)?) },
        BYE => RtcpPacket::Bye(Ssrcs(body.get(..4 * count)?)),
        other => RtcpPacket::Other(other),
    })
}

/// Returns the CNAME among the items of a chunk (RFC 3550 6.5), empty where there is none or its length lies.
fn cname(mut items: &[u8]) -> &[u8] {
    while let [kind, len, rest @ ..] = items {
        let len = usize::from(*len);
        if *kind == 0 || rest.len() < len {
            break;
        }
        if *kind == 1 {
            return &rest[..len];
        }
        items = &rest[len..];
    }
    &[]
}

/// Cuts the first packet, header included; its length is at least 4.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), Discard> {
    let Some(header) = bytes.first_chunk::<4>() else {
        return Err(Discard::Short);
    };
    if header[0] >> 6 != 2 {
        return Err(Discard::Version);
    }
    let len = 4 + 4 * usize::from(u16::from_be_bytes([header[2], header[3]]));
    bytes.split_at_checked(len).ok_or(Discard::RtcpLength)
}

/// Returns the body of a packet of at least 4 bytes, without header and padding.
fn unpadded(packet: &[u8]) -> Result<&[u8], Discard> {
    let body = &packet[4..];
    if packet[0] & 0x20 == 0 {
        return Ok(body);
    }
    let padding = body.last().map_or(0, |n| usize::from(*n));
    if padding == 0 || padding > body.len() {
        return Err(Discard::Padding);
    }
    Ok(&body[..body.len() - padding])
}

/// What [`write_compound`] writes.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Our SSRC.
    pub ssrc: u32,
    /// What we sent, for an SR; `None` makes an RR.
    pub sender: Option<SenderInfo>,
    /// What we received; the first 31 are written.
    pub blocks: &'a [ReportBlock],
    /// Our CNAME (RFC 7022), at most 255 bytes of it are written.
    pub cname: &'a str,
    /// We leave: a BYE closes the compound.
    pub bye: bool,
}

/// Writes SR or RR, the SDES with our CNAME, and BYE where asked for; returns the length, `None` where `out` is too short.
pub fn write_compound(out: &mut [u8], report: &Report<'_>) -> Option<usize> {
    let blocks = &report.blocks[..report.blocks.len().min(31)];
    let cname = &report.cname.as_bytes()[..report.cname.len().min(MAX_CNAME)];
    // SSRC, CNAME item, at least one zero octet, up to a whole word (RFC 3550 6.5).
    let chunk = (4 + 2 + cname.len() + 1).next_multiple_of(4);
    let sender_len = if report.sender.is_some() { 20 } else { 0 };
    let report_len = 8 + sender_len + blocks.len() * ReportBlock::LEN;
    let total = report_len + 4 + chunk + if report.bye { 8 } else { 0 };
    let mut writer = Writer { out: out.get_mut(..total)?, at: 0 };
    writer.header(if report.sender.is_some() { SR } else { RR }, blocks.len(), report_len);
    writer.u32(report.ssrc);
    if let Some(info) = &report.sender {
        writer.u32((info.ntp >> 32) as u32);
        writer.u32(info.ntp as u32);
        writer.u32(info.rtp_timestamp);
        writer.u32(info.packets);
        writer.u32(info.octets);
    }
    for block in blocks {
        block.write(&mut writer);
    }
    writer.header(SDES, 1, 4 + chunk);
    writer.u32(report.ssrc);
    writer.bytes(&[1, cname.len() as u8]);
    writer.bytes(cname);
    writer.bytes(&[0; 4][..chunk - 6 - cname.len()]);
    if report.bye {
        writer.header(BYE, 1, 8);
        writer.u32(report.ssrc);
    }
    Some(total)
}

/// Writes into a slice that was measured beforehand.
struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn u32(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }

    fn header(&mut self, kind: u8, count: usize, len: usize) {
        let words = (len / 4 - 1) as u16;
        self.bytes(&[0x80 | count as u8, kind]);
        self.bytes(&words.to_be_bytes());
    }
}

/// Returns the NTP time of a time since 1970 (RFC 3550 4): seconds in the upper 32 bits.
pub fn ntp_from_unix(since_1970: Duration) -> u64 {
    ntp_after(NTP_UNIX_SECS << 32, since_1970)
}

/// Returns the NTP time a while later.
pub fn ntp_after(ntp: u64, elapsed: Duration) -> u64 {
    let fraction = (u64::from(elapsed.subsec_nanos()) << 32) / 1_000_000_000;
    ntp.wrapping_add(elapsed.as_secs() << 32).wrapping_add(fraction)
}

/// Returns the middle 32 bits of an NTP time: 65536ths of a second.
pub fn ntp_middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// Returns a time in 65536ths of a second, at most the 18 hours that they hold.
pub fn duration_to_ntp_short(time: Duration) -> u32 {
    u32::try_from((time.as_micros() << 16) / 1_000_000).unwrap_or(u32::MAX)
}

/// Returns the time of that many 65536ths of a second.
pub fn ntp_short_to_duration(ticks: u32) -> Duration {
    Duration::from_nanos((u64::from(ticks) * 1_000_000_000) >> 16)
}

#[cfg(test)]
#[path = "rtcp_tests.rs"]
mod tests;
