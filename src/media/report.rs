//! RTCP of a leg: what we report of the stream that we hear, and what we take from the peer's reports (RFC 3550 6).

use std::time::Instant;

use super::leg::Leg;
use crate::rtp::rtcp::{Compound, Report, ReportBlock, RtcpPacket, SenderInfo, ntp_middle, write_compound};
use crate::rtp::{Discard, ReceiverStats};

/// Room for SR (52 bytes), SDES with the longest CNAME (268) and BYE (8).
pub(super) const RTCP_ROOM: usize = 384;

/// The receiving side of the reports.
#[derive(Debug, Default)]
pub(super) struct Reception {
    /// Of the source that is heard.
    pub stats: Option<ReceiverStats>,
    pub round_trip_us: u32,
}

/// Writes a compound packet: SR where anything was sent since the last one, else RR; SDES; BYE as last words.
pub(super) fn write(leg: &mut Leg, room: &mut [u8], ntp: u64, now: Instant, bye: bool) -> Option<usize> {
    let stream = &leg.outbound.stream;
    let sender = stream.sent_since(leg.outbound.reported_at).then(|| SenderInfo {
        ntp,
        rtp_timestamp: stream.report_timestamp(now),
        packets: stream.packets,
        octets: stream.octets,
    });
    let block = leg.inbound.reception.stats.as_mut().map(|stats| stats.report(now));
    let blocks: &[ReportBlock] = block.as_slice();
    let cname = &*leg.outbound.cname;
    write_compound(room, &Report { ssrc: stream.ssrc, sender, blocks, cname, bye })
}

/// Takes a peer's compound packet.
pub(super) fn take(leg: &mut Leg, compound: &[u8], ntp: u64, now: Instant) -> Result<(), Discard> {
    for packet in Compound::parse(compound)?.packets() {
        let blocks = match packet {
            RtcpPacket::SenderReport { ssrc, info, blocks } => {
                if let Some(stats) = leg.inbound.reception.stats.as_mut().filter(|s| s.ssrc() == ssrc) {
                    stats.receive_sender_report(info.ntp, now);
                }
                blocks
            }
            RtcpPacket::ReceiverReport { blocks, .. } => blocks,
            _ => continue,
        };
        let ours = leg.outbound.stream.ssrc;
        for block in blocks.filter(|b| b.ssrc == ours) {
            if let Some(trip) = block.round_trip(ntp_middle(ntp)) {
                leg.inbound.reception.round_trip_us = u32::try_from(trip.as_micros()).unwrap_or(u32::MAX);
            }
            feed_back(leg, block.fraction_lost);
        }
    }
    Ok(())
}

/// Tells the encoder what is lost, smoothed downwards: FEC is worth having for a while after a burst.
fn feed_back(leg: &mut Leg, fraction: u8) {
    let percent = (u16::from(fraction) * 100).div_ceil(256) as u8;
    let before = leg.outbound.loss_percent;
    let smoothed = percent.max(before - before.div_ceil(4));
    leg.outbound.loss_percent = smoothed;
    if smoothed != before
        && let Some((_, encoder)) = &mut leg.outbound.encoder
    {
        // The encoder takes any percentage from 0 to 100.
        let _ = encoder.set_loss_percent(smoothed);
    }
}
