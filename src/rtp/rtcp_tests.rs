//! RTCP: what is written is read, and what lies is refused.

use super::*;

const BLOCK: ReportBlock = ReportBlock {
    ssrc: 0x0102_0304,
    fraction_lost: 64,
    lost: -3,
    highest_seq: 0x0001_fffe,
    jitter: 17,
    last_sr: 0xaabb_ccdd,
    delay_since_sr: 65_536,
};
const INFO: SenderInfo = SenderInfo { ntp: 0x1122_3344_5566_7788, rtp_timestamp: 9, packets: 10, octets: 1600 };

fn full(out: &mut [u8], bye: bool) -> usize {
    let report = Report { ssrc: 7, sender: Some(INFO), blocks: &[BLOCK], cname: "abcd", bye };
    write_compound(out, &report).unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    let mut out = [0xee; 128];
    let len = full(&mut out, true);
    let packets: Vec<_> = Compound::parse(&out[..len]).unwrap().packets().collect();
    assert_eq!(packets.len(), 3);
    let RtcpPacket::SenderReport { ssrc: 7, info, mut blocks } = packets[0] else { panic!("{packets:?}") };
    assert_eq!(info, INFO);
    assert_eq!((blocks.next(), blocks.next()), (Some(BLOCK), None));
    let RtcpPacket::Description { ssrc: 7, cname } = packets[1] else { panic!("{packets:?}") };
    assert_eq!(cname, b"abcd");
    let RtcpPacket::Bye(mut ssrcs) = packets[2] else { panic!("{packets:?}") };
    assert_eq!((ssrcs.next(), ssrcs.next()), (Some(7), None));
}

#[test]
fn a_receiver_report_of_nothing_has_the_octets_of_the_rfc() {
    let mut out = [0xee; 64];
    let report = Report { ssrc: 1, sender: None, blocks: &[], cname: "ab", bye: false };
    let len = write_compound(&mut out, &report).unwrap();
    let wanted = [0x80, 201, 0, 1, 0, 0, 0, 1, 0x81, 202, 0, 3, 0, 0, 0, 1, 1, 2, b'a', b'b', 0, 0, 0, 0];
    assert_eq!(&out[..len], wanted);
}

#[test]
fn cnames_of_every_length_end_with_a_zero_and_a_whole_word() {
    for len in 0..=260 {
        let cname = "n".repeat(len);
        let mut out = [0xee; 400];
        let report = Report { ssrc: 1, sender: None, blocks: &[], cname: &cname, bye: false };
        let written = write_compound(&mut out, &report).unwrap();
        assert_eq!(written % 4, 0);
        assert_eq!(out[written - 1], 0, "{len}");
        let last = Compound::parse(&out[..written]).unwrap().packets().last();
        let Some(RtcpPacket::Description { cname: read, .. }) = last else { panic!("{last:?}") };
        assert_eq!(read.len(), len.min(255));
    }
}

#[test]
fn nothing_is_written_where_there_is_no_room() {
    let mut out = [0; 128];
    let len = full(&mut out, true);
    let report = Report { ssrc: 7, sender: Some(INFO), blocks: &[BLOCK], cname: "abcd", bye: true };
    assert_eq!(write_compound(&mut out[..len - 1], &report), None);
}

#[test]
fn feedback_and_extended_reports_are_stepped_over() {
    let mut bytes = Vec::new();
    for kind in [205, 206, 207, 204] {
        bytes.extend([0x81, kind, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    }
    bytes.extend([0x81, 203, 0, 1, 0, 0, 0, 5]);
    let kinds: Vec<_> = Compound::parse(&bytes)
        .unwrap()
        .packets()
        .map(|p| match p {
            RtcpPacket::Other(kind) => kind,
            RtcpPacket::Bye(_) => 203,
            _ => 0,
        })
        .collect();
    assert_eq!(kinds, [205, 206, 207, 204, 203]);
}

#[test]
fn every_truncation_is_refused() {
    let mut out = [0; 128];
    let len = full(&mut out, true);
    let whole: Vec<_> = [28 + 24, 28 + 24 + 16].into_iter().collect();
    for cut in 0..len {
        assert_eq!(Compound::parse(&out[..cut]).is_ok(), whole.contains(&cut), "{cut}");
    }
}

#[test]
fn counts_that_contradict_the_length_are_refused() {
    let lie = [0x81, 201, 0, 1, 0, 0, 0, 1];
    assert_eq!(Compound::parse(&lie).unwrap_err(), Discard::RtcpLength, "one block in none");
    let lie = [0x80, 200, 0, 1, 0, 0, 0, 1];
    assert_eq!(Compound::parse(&lie).unwrap_err(), Discard::RtcpLength, "no sender info");
    let lie = [0x82, 203, 0, 1, 0, 0, 0, 1];
    assert_eq!(Compound::parse(&lie).unwrap_err(), Discard::RtcpLength, "two sources in one");
    assert_eq!(Compound::parse(&[0x80, 96, 0, 0]).unwrap_err(), Discard::RtcpType);
    assert_eq!(Compound::parse(&[0x40, 201, 0, 0]).unwrap_err(), Discard::Version);
}

#[test]
fn padding_stands_only_at_the_end_and_within_its_packet() {
    let padded = [0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4];
    assert_eq!(Compound::parse(&padded).unwrap().packets().count(), 1);
    let mut inner = padded.to_vec();
    inner.extend([0x80, 203, 0, 0]);
    assert_eq!(Compound::parse(&inner).unwrap_err(), Discard::Padding);
    let mut much = padded;
    much[11] = 9;
    assert_eq!(Compound::parse(&much).unwrap_err(), Discard::Padding);
}

#[test]
fn the_round_trip_is_the_arrival_less_the_delay_at_the_peer() {
    let block = ReportBlock { last_sr: 0xffff_8000, delay_since_sr: 0x8000, ..ReportBlock::default() };
    assert_eq!(block.round_trip(0x4000), Some(Duration::from_millis(250)), "across the wrap");
    assert_eq!(block.round_trip(0xffff_9000), None, "before the delay has passed");
    assert_eq!(ReportBlock::default().round_trip(5), None, "without an SR");
}

#[test]
fn ntp_time_counts_from_1900_in_binary_fractions() {
    let ntp = ntp_from_unix(Duration::from_millis(1_500));
    assert_eq!(ntp >> 32, 2_208_988_801);
    assert_eq!(ntp as u32, 0x8000_0000);
    assert_eq!(ntp_after(ntp, Duration::from_millis(500)), 2_208_988_802 << 32);
    assert_eq!(ntp_middle(0x1122_3344_5566_7788), 0x3344_5566);
    assert_eq!(duration_to_ntp_short(Duration::from_millis(250)), 0x4000);
    assert_eq!(ntp_short_to_duration(0x4000), Duration::from_millis(250));
}
