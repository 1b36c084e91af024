//! Keys across losses, segments, clocks and stragglers.

use std::time::Instant;

use super::*;
use crate::plan::Digit;

const MS: Duration = Duration::from_millis(1);

/// All packets of the keys that were queued, with 20 ms slots.
fn play(sender: &mut DtmfSender, clock_hz: u32) -> Vec<EventPacket> {
    let slot = clock_hz / 50;
    let mut packets = Vec::new();
    for n in 0..400 {
        packets.extend(sender.next(1000 + n * slot, slot));
        if !sender.is_active() {
            break;
        }
    }
    packets
}

/// Every key that a receiver reports of these packets, one each 20 ms.
fn hear(packets: &[EventPacket], clock_hz: u32) -> (Vec<u8>, Vec<Digit>) {
    let mut receiver = DtmfReceiver::new(clock_hz);
    let (mut down, mut up) = (Vec::new(), Vec::new());
    let mut now = Instant::now();
    for packet in packets {
        now += 20 * MS;
        let change = receiver.receive(packet.timestamp, packet.payload, now);
        up.extend(change.up);
        down.extend(change.down);
        up.extend(change.down_and_up);
        up.extend(receiver.handle_timeout(now));
    }
    up.extend(receiver.handle_timeout(now + 200 * MS));
    (down, up)
}

fn key(event: u8, ms: u32, clock_hz: u32) -> Vec<EventPacket> {
    let mut sender = DtmfSender::new(clock_hz, 10);
    assert!(sender.send(Digit { event, duration: ms * MS }));
    play(&mut sender, clock_hz)
}

#[test]
fn a_payload_survives_its_bytes() {
    let payload = EventPayload { event: 11, end: true, volume: 10, duration: 0x1234 };
    assert_eq!(payload.to_bytes(), [11, 0x8a, 0x12, 0x34]);
    assert_eq!(EventPayload::parse(&payload.to_bytes()), Ok(payload));
    assert_eq!(payload.write(&mut [0; 3]), 0);
}

#[test]
fn short_payloads_and_events_that_are_no_keys_are_refused() {
    assert_eq!(EventPayload::parse(&[1, 0, 0]), Err(Discard::Short));
    assert_eq!(EventPayload::parse(&[16, 0, 0, 0]), Err(Discard::Event));
}

#[test]
fn keys_and_characters_agree_both_ways() {
    for event in 0..=LAST_KEY {
        assert_eq!(key_char(event).and_then(key_event), Some(event));
    }
    assert_eq!((key_char(16), key_event('x'), key_event('d')), (None, None, Some(15)));
}

#[test]
fn a_key_is_updated_each_slot_and_ended_three_times() {
    let packets = key(5, 100, 8000);
    let durations: Vec<_> = packets.iter().map(|p| (p.payload.duration, p.payload.end, p.marker)).collect();
    let wanted = [(160, false, true), (320, false, false), (480, false, false), (640, false, false)];
    assert_eq!(durations[..4], wanted);
    assert_eq!(durations[4..], [(800, true, false); 3]);
    assert!(packets.iter().all(|p| p.timestamp == 1000 && p.payload.event == 5 && p.payload.volume == 10));
}

#[test]
fn a_key_held_3_s_at_48_khz_goes_out_in_segments_and_is_heard_as_one() {
    let packets = key(1, 3000, 48_000);
    let segments: std::collections::BTreeSet<_> = packets.iter().map(|p| p.timestamp).collect();
    assert_eq!(segments.into_iter().collect::<Vec<_>>(), [1000, 1000 + 65_535, 1000 + 2 * 65_535]);
    assert_eq!(packets.iter().filter(|p| p.payload.end).count(), 3);
    assert_eq!(packets.iter().filter(|p| p.marker).count(), 1);
    assert_eq!(packets.iter().filter(|p| p.payload.duration == 0xffff && !p.payload.end).count(), 2);
    assert_eq!(hear(&packets, 48_000), (vec![1], vec![Digit { event: 1, duration: 3000 * MS }]));
}

#[test]
fn segments_that_begin_a_slot_late_as_browsers_send_them_are_one_key() {
    let mut packets = Vec::new();
    let mut payload = EventPayload { event: 7, end: false, volume: 10, duration: 0 };
    for n in 1..=68u16 {
        payload.duration = n * 960;
        packets.push(EventPacket { timestamp: 0, marker: n == 1, payload });
    }
    let timestamp = 69 * 960;
    for n in 1..=10u16 {
        payload.duration = n * 960;
        payload.end = n == 10;
        packets.push(EventPacket { timestamp, marker: false, payload });
    }
    let (down, up) = hear(&packets, 48_000);
    assert_eq!(down, [7]);
    assert_eq!(up, [Digit { event: 7, duration: 79 * 20 * MS }]);
}

#[test]
fn a_key_is_reported_once_across_its_three_ends() {
    let packets = key(9, 80, 8000);
    assert_eq!(hear(&packets, 8000), (vec![9], vec![Digit { event: 9, duration: 80 * MS }]));
}

#[test]
fn a_key_survives_the_loss_of_any_packets_but_one() {
    let packets = key(3, 100, 48_000);
    for alone in &packets {
        let (down, up) = hear(std::slice::from_ref(alone), 48_000);
        assert_eq!((down.len(), up.len()), (1, 1), "{alone:?}");
    }
    for lost in 0..1 << packets.len() {
        let some: Vec<_> = packets.iter().enumerate().filter(|(n, _)| lost >> n & 1 == 0).map(|(_, p)| *p).collect();
        let (down, up) = hear(&some, 48_000);
        let wanted = usize::from(!some.is_empty());
        assert_eq!((down.len(), up.len()), (wanted, wanted), "{lost:b}");
    }
}

#[test]
fn lost_ends_are_made_up_by_the_next_key_or_by_silence() {
    let mut sender = DtmfSender::new(8000, 10);
    assert!(sender.send(Digit { event: 1, duration: 100 * MS }) && sender.send(Digit { event: 1, duration: 60 * MS }));
    let mut packets = play(&mut sender, 8000);
    packets.retain(|p| !p.payload.end);
    let (down, up) = hear(&packets, 8000);
    assert_eq!(down, [1, 1]);
    assert_eq!(up.iter().map(|d| d.duration).collect::<Vec<_>>(), [80 * MS, 40 * MS]);
}

#[test]
fn a_straggler_of_an_ended_key_is_no_new_key() {
    let packets = key(2, 100, 8000);
    let mut reordered = packets.clone();
    reordered.push(packets[1]);
    assert_eq!(hear(&reordered, 8000).0, [2]);
    let mut twice = packets.clone();
    twice.extend(key(4, 60, 8000).iter().map(|p| EventPacket { timestamp: p.timestamp + 2400, ..*p }));
    twice.insert(9, packets[0]);
    let (down, up) = hear(&twice, 8000);
    assert_eq!((down, up.len()), (vec![2, 4], 2));
}

#[test]
fn a_source_that_begins_anew_with_an_older_clock_is_heard() {
    let mut receiver = DtmfReceiver::new(8000);
    let end = EventPayload { event: 6, end: true, volume: 10, duration: 800 };
    let now = Instant::now();
    assert!(receiver.receive(4_000_000, end, now).down_and_up.is_some());
    assert!(receiver.receive(1000, end, now).down_and_up.is_some(), "500 s back is no straggler");
    assert_eq!(receiver.set_clocks(48_000, 48_000), None);
    assert!(receiver.receive(1000, end, now).down_and_up.is_some());
}

#[test]
fn the_same_key_has_the_same_length_on_both_clocks() {
    for (from, to) in [(48_000, 8_000), (8_000, 48_000)] {
        let (_, up) = hear(&key(8, 260, from), from);
        let mut sender = DtmfSender::new(to, 10);
        assert!(sender.send(up[0]));
        let packets = play(&mut sender, to);
        let end = packets.iter().find(|p| p.payload.end).unwrap();
        assert_eq!(u32::from(end.payload.duration), to * 260 / 1000);
        assert_eq!(hear(&packets, to).1, up);
    }
}

#[test]
fn a_held_key_lasts_until_it_is_released_and_is_as_long_as_the_peer_says() {
    let mut sender = DtmfSender::new(8000, 10);
    assert!(sender.press(5, 12));
    let mut slots = 0..;
    let mut slot = || slots.next().unwrap() * 160;
    let mut held = Vec::new();
    for n in 0..10 {
        // The third and fourth update do not come.
        if n != 2 && n != 3 {
            sender.hold((n + 1) * 20 * MS);
        }
        held.extend(sender.next(slot(), 160));
    }
    assert!(held.iter().all(|p| !p.payload.end && p.payload.volume == 12));
    let durations: Vec<_> = held.iter().map(|p| p.payload.duration).collect();
    assert_eq!(durations, [160, 320, 320, 320, 800, 960, 1120, 1280, 1440, 1600]);
    sender.release(230 * MS);
    let rest: Vec<_> = (0..10).filter_map(|_| sender.next(slot(), 160)).map(|p| p.payload).collect();
    assert_eq!(rest.iter().map(|p| (p.duration, p.end)).collect::<Vec<_>>(), [(1840, true); 3]);
}

#[test]
fn a_release_shorter_than_what_was_sent_never_turns_the_duration_back() {
    let mut sender = DtmfSender::new(8000, 10);
    sender.press(5, 10);
    sender.hold(100 * MS);
    sender.next(0, 160);
    sender.release(20 * MS);
    assert_eq!(sender.next(160, 160).map(|p| (p.payload.duration, p.payload.end)), Some((800, true)));
}

#[test]
fn a_key_of_which_nothing_but_the_end_came_is_sent_with_its_whole_length() {
    let mut sender = DtmfSender::new(48_000, 10);
    assert!(sender.press(5, 10));
    sender.release(100 * MS);
    let packets = play(&mut sender, 48_000);
    let shown: Vec<_> = packets.iter().map(|p| (p.payload.duration, p.payload.end, p.marker)).collect();
    assert_eq!(shown, [(4800, true, true), (4800, true, false), (4800, true, false)]);
}

#[test]
fn an_absurd_length_is_neither_a_burst_nor_endless() {
    let mut sender = DtmfSender::new(48_000, 10);
    assert!(sender.press(1, 10));
    sender.release(Duration::from_secs(500_000));
    assert!(play(&mut sender, 48_000).len() < 10);
    assert!(sender.send(Digit { event: 1, duration: Duration::MAX }));
    let slots = (0..).take_while(|n| {
        sender.next(n * 960, 960);
        sender.is_active()
    });
    assert!((490..520).contains(&slots.count()), "10 s");
}

#[test]
fn a_key_carried_for_3_s_has_the_segments_of_either_clock() {
    for (from, to, segments) in [(48_000u32, 8000u32, 1), (8000, 48_000, 3), (48_000, 48_000, 3), (8000, 8000, 1)] {
        let (mut receiver, mut sender) = (DtmfReceiver::new(from), DtmfSender::new(to, 10));
        let (mut sent, mut now) = (Vec::new(), Instant::now());
        for (packet, n) in key(1, 3000, from).iter().zip(0..) {
            now += 20 * MS;
            let change = receiver.receive(packet.timestamp, packet.payload, now);
            if let Some(event) = change.down {
                assert!(sender.press(event, 10));
            }
            receiver.held().into_iter().for_each(|held| sender.hold(held.duration));
            change.up.into_iter().for_each(|up| sender.release(up.duration));
            sent.extend(sender.next(n * (to / 50), to / 50));
        }
        sent.extend((0..2).filter_map(|_| sender.next(0, to / 50)));
        let begun: std::collections::BTreeSet<_> = sent.iter().map(|p| p.timestamp).collect();
        assert_eq!(begun.len(), segments, "{from} to {to}");
        assert_eq!(sent.iter().filter(|p| p.payload.end).count(), 3);
        assert_eq!(hear(&sent, to), (vec![1], vec![Digit { event: 1, duration: 3000 * MS }]), "{from} to {to}");
    }
}

#[test]
fn durations_at_8_khz_on_a_stream_of_48_khz_are_one_key_across_segments() {
    let (mut receiver, mut sender) = (DtmfReceiver::new(8000), DtmfSender::new(8000, 10));
    assert_eq!(receiver.set_clocks(8000, 48_000), None);
    sender.set_clocks(8000, 48_000);
    assert!(sender.send(Digit { event: 1, duration: 9000 * MS }));
    let mut ups = Vec::new();
    let mut now = Instant::now();
    for n in 0..460 {
        now += 20 * MS;
        if let Some(packet) = sender.next(n * 960, 160) {
            assert!(packet.timestamp == 0 || packet.timestamp == 0xffff * 6, "{packet:?}");
            ups.extend(receiver.receive(packet.timestamp, packet.payload, now).up);
        }
    }
    assert_eq!(ups, [Digit { event: 1, duration: 9000 * MS }]);
}

#[test]
fn audio_is_silent_from_the_press_to_the_first_end() {
    let mut sender = DtmfSender::new(8000, 10);
    assert!(!sender.is_down() && sender.send(Digit { event: 1, duration: 60 * MS }));
    let down: Vec<_> = (0..6)
        .map(|n| {
            let before = sender.is_down();
            sender.next(n * 160, 160);
            before
        })
        .collect();
    assert_eq!(down, [true, true, true, false, false, false]);
    assert!(!sender.is_active() && sender.needs_slot(), "the pause");
    sender.next(0, 160);
    assert!(!sender.needs_slot());
}

#[test]
fn queued_keys_are_parted_by_a_pause_and_bounded() {
    let mut sender = DtmfSender::new(8000, 10);
    for n in 0..32 {
        assert!(sender.send(Digit { event: n % 16, duration: 60 * MS }));
    }
    assert!(!sender.send(Digit { event: 1, duration: 60 * MS }), "33 keys");
    sender.clear();
    assert!(!sender.send(Digit { event: 16, duration: 60 * MS }), "no key");
    assert!(sender.send(Digit { event: 1, duration: 60 * MS }) && sender.send(Digit { event: 2, duration: 60 * MS }));
    let slots: Vec<_> = (0..12).map(|n| sender.next(n * 160, 160).map(|p| p.payload.event)).collect();
    let wanted = [[Some(1); 5].as_slice(), &[None; 2], &[Some(2); 5]].concat();
    assert_eq!(slots, wanted);
}
