//! Keys heard and keys sent.

use super::*;

const PTIME: Duration = Duration::from_millis(20);

fn payload(event: u8, end: bool, duration: u16) -> Payload {
    Payload { event, end, volume: 10, duration }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Polls at every 20 ms until nothing is left and returns what was sent.
fn play(sent: &mut Sent, stream: &mut Stream, clock_hz: u32, from: Instant) -> Vec<EventPacket> {
    let mut packets = Vec::new();
    let mut now = from;
    while let Some(due) = sent.due(now) {
        now = now.max(due);
        while let Some(packet) = sent.poll(stream, clock_hz, PTIME, now) {
            packets.push(packet);
        }
    }
    packets
}

#[test]
fn a_digit_of_known_length_has_updates_and_three_ends() {
    let now = Instant::now();
    let mut stream = Stream::new(1, 0, 5000);
    let mut sent = Sent::new();
    sent.enter_digit(Digit { event: 5, duration: ms(100) });
    assert!(sent.is_on());
    let packets = play(&mut sent, &mut stream, 8000, now);
    assert!(packets.iter().all(|p| p.timestamp == 5000 && p.payload.event == 5));
    assert!(packets[0].marker && packets[1..].iter().all(|p| !p.marker));
    let ends: Vec<_> = packets.iter().filter(|p| p.payload.end).collect();
    assert_eq!(ends.len(), 3);
    assert!(ends.iter().all(|p| p.payload.duration == 800));
    assert_eq!(packets.len(), 5 + 3);
    assert!(!sent.is_on());
}

#[test]
fn a_key_held_three_seconds_at_48_khz_is_sent_in_segments() {
    let now = Instant::now();
    let mut stream = Stream::new(1, 0, 0);
    stream.set_scale(6);
    let mut sent = Sent::new();
    sent.enter_digit(Digit { event: 1, duration: ms(3000) });
    let packets = play(&mut sent, &mut stream, 48_000, now);
    let mut segments: Vec<u32> = packets.iter().map(|p| p.timestamp).collect();
    segments.dedup();
    assert_eq!(segments, [0, 0xFFFF, 2 * 0xFFFF]);
    let full = packets.iter().filter(|p| p.payload.duration == 0xFFFF).collect::<Vec<_>>();
    assert_eq!(full.len(), 2);
    assert!(full.iter().all(|p| !p.payload.end));
    let last = packets.last().expect("packets");
    assert_eq!(last.timestamp + u32::from(last.payload.duration), 144_000);
    assert_eq!(packets.iter().filter(|p| p.marker).count(), 1);
}

#[test]
fn a_key_is_reported_once_whatever_is_repeated() {
    let now = Instant::now();
    let mut heard = Heard::default();
    assert_eq!(heard.hear(payload(7, false, 160), 100, 8000, now).0, Some(Change::Pressed { event: 7, volume: 10 }));
    assert_eq!(heard.hear(payload(7, false, 320), 100, 8000, now).0, Some(Change::Held));
    let digit = Digit { event: 7, duration: ms(60) };
    assert_eq!(heard.hear(payload(7, true, 480), 100, 8000, now).0, Some(Change::Released(digit)));
    for _ in 0..2 {
        assert_eq!(heard.hear(payload(7, true, 480), 100, 8000, now), (None, None));
    }
}

#[test]
fn a_key_whose_ends_are_lost_is_released_by_time() {
    let now = Instant::now();
    let mut heard = Heard::default();
    heard.hear(payload(7, false, 1600), 100, 8000, now);
    assert_eq!(heard.expire(now + ms(249)), None);
    assert_eq!(heard.expire(now + ms(250)), Some(Digit { event: 7, duration: ms(200) }));
    assert_eq!(heard.hear(payload(7, true, 1600), 100, 8000, now), (None, None), "a late end is no new key");
}

#[test]
fn a_key_after_one_whose_ends_are_lost_releases_it() {
    let now = Instant::now();
    let mut heard = Heard::default();
    heard.hear(payload(1, false, 800), 100, 8000, now);
    let (change, lost) = heard.hear(payload(1, false, 160), 4000, 8000, now);
    assert_eq!(lost, Some(Digit { event: 1, duration: ms(100) }));
    assert_eq!(change, Some(Change::Pressed { event: 1, volume: 10 }));
}

#[test]
fn a_key_of_which_only_an_end_arrives_is_struck() {
    let mut heard = Heard::default();
    let change = heard.hear(payload(9, true, 960), 1, 48_000, Instant::now()).0;
    assert_eq!(change, Some(Change::Struck { volume: 10, digit: Digit { event: 9, duration: ms(20) } }));
}

#[test]
fn segments_are_one_key() {
    let now = Instant::now();
    let mut heard = Heard::default();
    heard.hear(payload(1, false, 960), 0, 48_000, now);
    heard.hear(payload(1, false, 0xFFFF), 0, 48_000, now);
    assert_eq!(heard.hear(payload(1, false, 960), 0xFFFF, 48_000, now), (Some(Change::Held), None));
    let digit = heard.hear(payload(1, true, 48_000), 0xFFFF, 48_000, now).0;
    let length = Duration::from_micros((65_535 + 48_000) * 1_000_000 / 48_000);
    assert_eq!(digit, Some(Change::Released(Digit { event: 1, duration: length })));
}

#[test]
fn an_absurd_length_is_not_sent_as_a_burst() {
    let now = Instant::now();
    let mut stream = Stream::new(1, 0, 0);
    let mut sent = Sent::new();
    sent.press(1, 10);
    sent.release(Duration::from_secs(500_000), now);
    assert!(play(&mut sent, &mut stream, 48_000, now).len() < 10);
}

#[test]
fn events_above_the_keys_are_not_keys() {
    let mut heard = Heard::default();
    assert_eq!(heard.hear(payload(16, false, 160), 1, 8000, Instant::now()), (None, None));
}
