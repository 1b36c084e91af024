//! How loaded a worker is, as far as signalling knows, and whether it takes another call.
//!
//! A worker tells once a second what share of its core it used ([`Report::Load`](crate::plan::Report)). Until the next
//! report each call placed since is counted in at what a call cost this worker so far, half of it for those placed in the
//! second before: a burst of calls is neither sent to one worker as a herd, nor let in unseen. A threshold that was
//! reached is left only five percent below it, so that calls at the brink are not let in and refused by turns.

/// A worker's report that is the limit of what it can do, in thousandths.
const WHOLE: i64 = 1000;
/// How far below a threshold the load must be before it is left, in thousandths.
const BACK: i64 = 50;
/// What a call costs as long as nothing is known, in millionths of a core.
const USUAL_COST: i64 = 4_000;
/// What a call may be thought to cost.
const COST: std::ops::RangeInclusive<i64> = 200..=50_000;
/// From so many calls on a report says what one of them costs.
const ENOUGH: i64 = 8;
/// Loads are compared in steps of one percent; within a step the number of legs decides.
const STEP: i64 = 10;

/// What to do with a new call while the load is high.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overload {
    /// It gets 503 with Retry-After.
    #[default]
    Refuse,
    /// Its browsers are offered G.711 first, which costs hardly any work; 503 when half of what was left is used too.
    G711,
}

/// When a worker takes no more calls as usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverloadPolicy {
    /// Share of a core, in percent (1 to 100); 100 is hardly ever reached.
    pub percent: u8,
    /// What follows.
    pub answer: Overload,
}

impl Default for OverloadPolicy {
    fn default() -> Self {
        OverloadPolicy { percent: 85, answer: Overload::Refuse }
    }
}

/// What a worker takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Room {
    /// Any call.
    Free,
    /// Calls with G.711.
    Tight,
    /// No call.
    None,
}

/// A bound with hysteresis.
#[derive(Debug)]
struct Threshold {
    at: i64,
    is_over: bool,
}

impl Threshold {
    fn rise(&mut self, load: i64) {
        self.is_over |= load >= self.at;
    }

    fn settle(&mut self, load: i64) {
        self.is_over = load >= if self.is_over { self.at - BACK } else { self.at };
    }
}

/// The load of one worker.
#[derive(Debug)]
pub(super) struct Load {
    /// The last report, in thousandths; before the first one nothing is guessed.
    told: Option<i64>,
    /// Calls placed less calls ended, since the last report and in the time before it.
    fresh: i64,
    before: i64,
    /// What a call costs, in millionths.
    cost: i64,
    tight: Threshold,
    full: Threshold,
}

impl Load {
    pub(super) fn new(policy: OverloadPolicy) -> Load {
        let at = i64::from(policy.percent.clamp(1, 100)) * WHOLE / 100;
        let full = match policy.answer {
            Overload::Refuse => at,
            Overload::G711 => (at + WHOLE) / 2,
        };
        let threshold = |at| Threshold { at, is_over: false };
        Load { told: None, fresh: 0, before: 0, cost: USUAL_COST, tight: threshold(at), full: threshold(full) }
    }

    /// Takes a report; `calls` is the number of calls on the worker.
    pub(super) fn report(&mut self, permille: u16, calls: usize) {
        let told = i64::from(permille).min(WHOLE);
        self.told = Some(told);
        self.before = std::mem::take(&mut self.fresh);
        let calls = i64::try_from(calls).unwrap_or(i64::MAX);
        if calls >= ENOUGH {
            self.cost = (told * 1000 / calls).clamp(*COST.start(), *COST.end());
        }
        let load = self.permille();
        self.tight.settle(load);
        self.full.settle(load);
    }

    /// A call was placed.
    pub(super) fn place(&mut self) {
        self.fresh += 1;
        let load = self.permille();
        self.tight.rise(load);
        self.full.rise(load);
    }

    /// A call is over.
    pub(super) fn unplace(&mut self) {
        self.fresh -= 1;
    }

    /// Returns the load at this moment, in thousandths of a core.
    pub(super) fn permille(&self) -> i64 {
        let Some(told) = self.told else { return 0 };
        let calls = 2 * self.fresh + self.before;
        (told + calls * self.cost / 2000).clamp(0, WHOLE)
    }

    /// Returns what the worker takes.
    pub(super) fn room(&self) -> Room {
        match (self.full.is_over, self.tight.is_over) {
            (true, _) => Room::None,
            (false, true) => Room::Tight,
            (false, false) => Room::Free,
        }
    }

    /// Returns by what workers are compared: the least is the best.
    pub(super) fn rank(&self) -> (Room, i64) {
        (self.room(), self.permille() / STEP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(answer: Overload) -> Load {
        Load::new(OverloadPolicy { percent: 85, answer })
    }

    #[test]
    fn a_threshold_is_left_five_percent_below() {
        let mut load = load(Overload::Refuse);
        for (permille, room) in [(849, Room::Free), (850, Room::None), (801, Room::None), (799, Room::Free)] {
            load.report(permille, 0);
            assert_eq!(load.room(), room, "{permille}");
        }
        load.report(849, 0);
        assert_eq!(load.room(), Room::Free, "and reached at its own height again");
    }

    #[test]
    fn a_burst_is_seen_before_the_next_report() {
        let mut load = load(Overload::Refuse);
        load.report(600, 100);
        let taken = std::iter::repeat_with(|| load.place()).take(42).count();
        assert_eq!((taken, load.room(), load.permille()), (42, Room::None, 852), "600 + 42 calls of 6 each");
    }

    #[test]
    fn calls_of_the_second_before_count_half_and_then_no_more() {
        let mut load = load(Overload::Refuse);
        load.report(0, 0);
        (0..10).for_each(|_| load.place());
        assert_eq!(load.permille(), 40);
        load.report(20, 0);
        assert_eq!(load.permille(), 40, "half of them are in the report");
        load.report(40, 0);
        assert_eq!(load.permille(), 40, "now all are");
        (0..10).for_each(|_| load.unplace());
        assert_eq!(load.permille(), 0);
    }

    #[test]
    fn with_g711_a_worker_is_tight_before_it_is_full() {
        let mut load = load(Overload::G711);
        for (permille, room) in [(850, Room::Tight), (924, Room::Tight), (925, Room::None), (876, Room::None)] {
            load.report(permille, 0);
            assert_eq!(load.room(), room, "{permille}");
        }
        load.report(874, 0);
        assert_eq!(load.room(), Room::Tight);
        load.report(799, 0);
        assert_eq!(load.room(), Room::Free);
    }

    #[test]
    fn what_is_fuller_ranks_behind_what_is_merely_busier() {
        let (mut over, mut busy) = (load(Overload::Refuse), load(Overload::Refuse));
        over.report(850, 0);
        over.report(810, 0);
        busy.report(840, 0);
        assert!(busy.rank() < over.rank());
    }
}
