//! Packets of 20 ms of µ-law that come in any order, and at any pace.

use super::super::leg::Format;
use super::*;
use crate::plan::{AudioCodec, EventFormat, Pt};
use crate::rtp::RtpHeader;

const MS: Duration = Duration::from_millis(1);
const HOLD: Duration = Duration::from_millis(60);
/// Samples of a packet.
const FRAME: u32 = 160;

/// What waits, and the time.
struct Scene {
    waiting: Box<Waiting>,
    now: Instant,
    /// Packets that have gone on: sequence number, what each was to those before it, how long it waited.
    gone: Vec<(u16, Verdict, Duration)>,
}

impl Scene {
    fn new(hold: Duration, ms: u16, adaptive: bool) -> Scene {
        let now = Instant::now();
        let waiting = Waiting::new(hold, Dejitter { ms, adaptive }, now).expect("something waits");
        Scene { waiting, now, gone: Vec::new() }
    }

    fn hold() -> Scene {
        Scene::new(HOLD, 0, false)
    }

    /// A packet comes, with the time of its number.
    fn come(&mut self, seq: u16) -> Admission {
        self.come_as(seq, u32::from(seq) * FRAME, Verdict::Next, Format::Audio(AudioCodec::Pcmu))
    }

    fn come_as(&mut self, seq: u16, timestamp: u32, verdict: Verdict, format: Format) -> Admission {
        let header = RtpHeader { pt: Pt(0), marker: false, seq, timestamp, ssrc: 7 };
        let audio = matches!(format, Format::Audio(_)).then_some(1);
        let mut packet = PacketBuf::new();
        packet.copy_from(&seq.to_be_bytes());
        let judged = Judged { header, payload: 0..2, verdict, format };
        let admission = self.waiting.admit(&judged, audio, &packet, self.now);
        if let Admission::Pass(verdict) = admission {
            self.gone.push((seq, verdict, Duration::ZERO));
        }
        self.release();
        admission
    }

    fn release(&mut self) {
        while let Some(Released { judged, packet, waited }) = self.waiting.release(self.now) {
            assert_eq!(packet.bytes(), judged.header.seq.to_be_bytes(), "each with its own octets");
            self.gone.push((judged.header.seq, judged.verdict, waited));
            self.waiting.give_back(packet);
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.waiting.poll_timeout().filter(|due| *due <= end) {
            assert!(due > self.now, "what is due has gone");
            self.now = due;
            self.release();
        }
        self.now = end;
    }

    fn numbers(&self) -> Vec<u16> {
        self.gone.iter().map(|(seq, ..)| *seq).collect()
    }

    fn waits(&self) -> Vec<u128> {
        self.gone.iter().map(|(.., waited)| waited.as_millis()).collect()
    }
}

#[test]
fn nothing_is_made_where_nothing_is_to_wait() {
    assert!(Waiting::new(Duration::ZERO, Dejitter::default(), Instant::now()).is_none());
}

#[test]
fn what_is_behind_a_gap_goes_on_with_what_fills_it() {
    let mut scene = Scene::hold();
    assert_eq!(scene.come(65_534), Admission::Pass(Verdict::Next));
    assert_eq!([scene.come(0), scene.come(1)], [Admission::Wait; 2]);
    scene.pass(30 * MS);
    assert_eq!(
        scene.come_as(65_535, 0, Verdict::Late, Format::Audio(AudioCodec::Pcmu)),
        Admission::Pass(Verdict::Next)
    );
    assert_eq!(scene.numbers(), [65_534, 65_535, 0, 1]);
    assert!(scene.gone.iter().all(|(_, verdict, _)| *verdict == Verdict::Next), "{:?}", scene.gone);
    assert_eq!(scene.waits(), [0, 0, 30, 30]);
    assert_eq!(scene.waiting.poll_timeout(), None);
}

#[test]
fn a_gap_that_nobody_fills_is_told_when_its_time_is_up() {
    let mut scene = Scene::hold();
    scene.come(10);
    scene.come(13);
    scene.pass(20 * MS);
    scene.come(14);
    scene.pass(39 * MS);
    assert_eq!(scene.numbers(), [10], "a millisecond is left");
    scene.pass(MS);
    let rest = [(13, Verdict::Gap(2), 60 * MS), (14, Verdict::Next, 40 * MS)];
    assert_eq!(scene.gone[1..], rest, "what follows waits no longer");
    assert_eq!([scene.come(11), scene.come(12)], [Admission::Late; 2]);
}

#[test]
fn two_gaps_end_each_in_its_own_time() {
    let mut scene = Scene::hold();
    scene.come(1);
    scene.come(3);
    scene.pass(40 * MS);
    scene.come(5);
    scene.pass(30 * MS);
    assert_eq!(scene.numbers(), [1, 3]);
    scene.come(4);
    assert_eq!(scene.numbers(), [1, 3, 4, 5]);
    assert_eq!(scene.waits(), [0, 60, 0, 30]);
}

#[test]
fn what_is_there_twice_is_late_whether_it_waits_or_has_gone_on() {
    let mut scene = Scene::hold();
    scene.come(1);
    scene.come(3);
    assert_eq!([scene.come(1), scene.come(3)], [Admission::Late; 2]);
    assert!(!scene.waiting.wants(3) && scene.waiting.wants(2));
}

#[test]
fn a_flood_behind_a_gap_takes_the_room_that_there_is_and_the_missing_one_still_goes_on() {
    let mut scene = Scene::hold();
    scene.come(1);
    let admitted: Vec<_> = (3..40).map(|seq| scene.come(seq)).collect();
    assert_eq!(admitted.iter().filter(|a| **a == Admission::Wait).count(), HELD);
    assert_eq!(admitted.iter().filter(|a| **a == Admission::Late).count(), 37 - HELD);
    assert_eq!(scene.come(2), Admission::Pass(Verdict::Next));
    assert_eq!(scene.gone.len(), 2 + HELD);
    assert_eq!(scene.waiting.spare.len(), HELD, "all room is back");
}

#[test]
fn a_sequence_that_begins_anew_forgets_what_waited() {
    let far = |scene: &mut Scene| scene.come(5000);
    let restart = |scene: &mut Scene| {
        let format = Format::Audio(AudioCodec::Pcmu);
        scene.come_as(500, 0, Verdict::Restart, format)
    };
    type Begin<'a> = &'a dyn Fn(&mut Scene) -> Admission;
    let begun: [(Begin<'_>, u16, Verdict); 2] = [(&far, 5000, Verdict::Next), (&restart, 500, Verdict::Restart)];
    for (begin, seq, verdict) in begun {
        let mut scene = Scene::hold();
        scene.come(10);
        scene.come(12);
        assert_eq!(begin(&mut scene), Admission::Pass(verdict));
        scene.pass(Duration::from_secs(1));
        assert_eq!(scene.numbers(), [10, seq], "the one that waited is of another time");
        assert_eq!(scene.waiting.spare.len(), HELD);
        assert_eq!(scene.come(seq + 1), Admission::Pass(Verdict::Next));
    }
}

#[test]
fn a_dejitter_buffer_delays_the_quickest_most_and_restores_the_pace() {
    let mut scene = Scene::new(Duration::ZERO, 100, false);
    let late = [0, 30, 10, 60, 0, 100, 20, 0];
    let begun = scene.now;
    let mut arrivals: Vec<_> = (0..).zip(late).map(|(k, late)| (u64::from(k) * 20 + late, k)).collect();
    arrivals.sort_unstable();
    let mut went = Vec::new();
    for (at, seq) in arrivals {
        scene.pass((begun + Duration::from_millis(at)).duration_since(scene.now));
        scene.come(seq);
    }
    scene.pass(Duration::from_secs(1));
    for ((seq, verdict, waited), late) in scene.gone.iter().zip(late) {
        assert_eq!(*verdict, Verdict::Next);
        went.push((*seq, late + waited.as_millis() as u64));
    }
    assert_eq!(went, (0..8).map(|seq| (seq, 100)).collect::<Vec<_>>(), "each 100 ms after the quickest possible");
}

#[test]
fn a_dejitter_buffer_holds_nothing_longer_than_its_length_whatever_a_timestamp_says() {
    let mut scene = Scene::new(Duration::ZERO, 80, false);
    for (seq, timestamp) in (0..).zip([0, 0x7FFF_FFFF, 1, u32::MAX, 0x8000_0000, 160, 0]) {
        scene.come_as(seq, timestamp, Verdict::Next, Format::Audio(AudioCodec::Pcmu));
        scene.pass(7 * MS);
    }
    scene.pass(80 * MS);
    assert_eq!(scene.numbers(), (0..7).collect::<Vec<_>>());
    assert!(scene.waits().into_iter().all(|waited| waited <= 80), "{:?}", scene.waits());
}

#[test]
fn an_adaptive_buffer_waits_for_nothing_where_nothing_is_late_and_forgets_a_bad_while() {
    let mut scene = Scene::new(Duration::ZERO, 100, true);
    let even = |scene: &mut Scene, from: u16, to: u16| {
        let before = scene.gone.len();
        for seq in from..to {
            scene.come(seq);
            scene.pass(20 * MS);
        }
        scene.waits()[before..].to_vec()
    };
    assert!(even(&mut scene, 0, 100).into_iter().all(|waited| waited == 0));
    // One is 50 ms late, and those behind it come as soon as they can.
    scene.pass(50 * MS);
    (100..103).for_each(|seq| assert_ne!(scene.come(seq), Admission::Late));
    scene.pass(10 * MS);
    assert_eq!(even(&mut scene, 103, 150).last(), Some(&50));
    assert_eq!(even(&mut scene, 150, 800).last(), Some(&0), "ten seconds later it is forgotten");
}

#[test]
fn a_key_goes_on_behind_the_audio_before_it() {
    let mut scene = Scene::new(Duration::ZERO, 60, false);
    let event = Format::Event(EventFormat { pt: Pt(101), clock_hz: 8000 });
    scene.come(1);
    scene.pass(20 * MS);
    assert_eq!(scene.come_as(2, 1, Verdict::Next, event), Admission::Wait);
    scene.pass(39 * MS);
    assert!(scene.gone.is_empty());
    scene.pass(MS);
    assert_eq!(scene.numbers(), [1, 2]);
    assert_eq!(scene.come_as(3, 1, Verdict::Next, event), Admission::Pass(Verdict::Next), "nothing is before it");
}

#[test]
fn what_is_cleared_is_gone_and_its_room_is_back() {
    let mut scene = Scene::new(HOLD, 60, false);
    (0..5).for_each(|seq| assert_ne!(scene.come(seq), Admission::Late));
    scene.waiting.clear();
    assert_eq!((scene.waiting.poll_timeout(), scene.waiting.spare.len()), (None, BUFFERED));
    scene.pass(Duration::from_secs(1));
    assert!(scene.gone.is_empty());
}
