//! Bodies of the targets `rtp`, `rtcp`, `dtmf`, `demux` and `opus_decode`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crosspoint::codec::opus::{Decoder, MAX_SAMPLES, packet_samples};
use crosspoint::rtp::rtcp::{Report, write_compound};
use crosspoint::rtp::{
    Compound, DtmfReceiver, EventPayload, HEADER_LEN, Kind, RtcpPacket, RtpView, classify, write_header,
};
use crosspoint::webrtc::stun::Request;
use rtc_rtp::Packet;
use rtc_shared::marshal::Unmarshal;

/// Reads a packet beside `rtc-rtp`: where both take it, they agree on every field and on the payload.
pub fn rtp(data: &[u8]) {
    let Ok(view) = RtpView::parse(data) else { return };
    let header = view.header();
    let mut written = [0; HEADER_LEN];
    assert_eq!(write_header(&mut written, &header), HEADER_LEN);
    assert_eq!(written[1..], data[1..HEADER_LEN], "the fixed header survives");
    let extended = data[0] & 0x10 != 0;
    let Ok(theirs) = Packet::unmarshal(&mut Bytes::copy_from_slice(data)) else { return };
    assert_eq!(theirs.header.payload_type, header.pt.0);
    assert_eq!(theirs.header.marker, header.marker);
    assert_eq!(theirs.header.sequence_number, header.seq);
    assert_eq!(theirs.header.timestamp, header.timestamp);
    assert_eq!(theirs.header.ssrc, header.ssrc);
    // The oracle parses extension elements, and may stop within or run past the extension; the payload then differs.
    if !extended {
        assert_eq!(&theirs.payload[..], view.payload());
    }
}

/// Walks a compound: what was accepted is read to its end, and its reports can be written and read again.
pub fn rtcp(data: &[u8]) {
    let Ok(compound) = Compound::parse(data) else { return };
    for packet in compound.packets() {
        let (ssrc, sender, blocks) = match packet {
            RtcpPacket::SenderReport { ssrc, info, blocks } => (ssrc, Some(info), blocks),
            RtcpPacket::ReceiverReport { ssrc, blocks } => (ssrc, None, blocks),
            RtcpPacket::Bye(ssrcs) => {
                assert!(ssrcs.count() <= 31);
                continue;
            }
            RtcpPacket::Description { .. } | RtcpPacket::Other(_) => continue,
        };
        let blocks: Vec<_> = blocks.collect();
        assert!(blocks.iter().all(|b| b.round_trip(0x1234_5678).is_none_or(|t| t < Duration::from_secs(40_000))));
        let mut out = [0; 1500];
        let report = Report { ssrc, sender, blocks: &blocks, cname: "c", bye: true };
        let len = write_compound(&mut out, &report).expect("31 blocks have room");
        let again = Compound::parse(&out[..len]).expect("what we write we read").packets().next();
        match again.expect("a report") {
            RtcpPacket::SenderReport { ssrc: s, info, blocks: b } => {
                assert_eq!((s, Some(info)), (ssrc, sender));
                assert!(b.eq(blocks));
            }
            RtcpPacket::ReceiverReport { ssrc: s, blocks: b } => {
                assert_eq!((s, None), (ssrc, sender));
                assert!(b.eq(blocks));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Feeds events, 9 octets each (clock of arrival, timestamp, payload): no more keys go up than went down.
pub fn dtmf(data: &[u8]) {
    let mut receiver = DtmfReceiver::new(if data.len().is_multiple_of(2) { 8000 } else { 48_000 });
    let mut now = Instant::now();
    let (mut down, mut up) = (0u32, 0u32);
    for step in data.chunks_exact(9) {
        now += Duration::from_millis(u64::from(step[0]));
        up += u32::from(receiver.handle_timeout(now).is_some());
        let timestamp = u32::from_be_bytes([step[1], step[2], step[3], step[4]]);
        let Ok(payload) = EventPayload::parse(&step[5..]) else { continue };
        let change = receiver.receive(timestamp, payload, now);
        up += u32::from(change.up.is_some());
        down += u32::from(change.down.is_some());
        up += u32::from(change.down_and_up.is_some());
        assert_eq!(down - up, u32::from(receiver.held().is_some()), "a key is up, or it is held");
    }
    up += u32::from(receiver.handle_timeout(now + Duration::from_secs(1)).is_some());
    assert_eq!(down, up, "every key goes up once");
}

/// Classifies a datagram: what a reader takes goes to that reader, and nothing goes where the first octet forbids it.
pub fn demux(data: &[u8]) {
    let kind = black_box(classify(black_box(data)));
    let versioned = data.first().is_some_and(|first| first >> 6 == 2);
    match kind {
        Kind::Rtp => assert!(versioned && data.len() >= HEADER_LEN),
        Kind::Rtcp => assert!(versioned && data.len() >= 8 && (192..=223).contains(&data[1])),
        Kind::Stun => assert!(data.len() >= 20 && data[0] < 4),
        Kind::Dtls => assert!((20..64).contains(&data[0])),
        Kind::TurnChannel => assert!((64..80).contains(&data[0])),
        Kind::Drop => {}
    }
    // An empty packet of four octets names no source: sound, and of no use.
    if Compound::parse(data).is_ok() {
        assert_eq!(kind, if data.len() >= 8 { Kind::Rtcp } else { Kind::Drop });
    } else if RtpView::parse(data).is_ok() {
        assert!(matches!(kind, Kind::Rtp | Kind::Rtcp));
    }
    if Request::parse(data).is_ok() {
        assert_eq!(kind, Kind::Stun);
    }
}

/// Decodes packets, each behind an octet of its length, with FEC and concealment between them.
pub fn opus_decode(data: &[u8]) {
    let mut decoder = Decoder::new().expect("memory");
    let mut out = [0; MAX_SAMPLES];
    let mut rest = data;
    while let Some((len, tail)) = rest.split_first() {
        let (packet, next) = tail.split_at(usize::from(*len).min(tail.len()));
        rest = next;
        let _ = decoder.decode_fec(packet, &mut out[..160]);
        match decoder.decode(packet, &mut out) {
            Ok(samples) => assert_eq!(Some(samples), packet_samples(packet)),
            Err(_) => assert_eq!(decoder.conceal(&mut out[..160]), Ok(160), "the state stays good"),
        }
    }
}
