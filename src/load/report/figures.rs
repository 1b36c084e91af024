//! The figures of one run, added up from its calls.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::load::outcome::{CallOutcome, Histogram, LATE_US, Outcome, Second, Way};

/// What one run came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// From the INVITE to the first 180 or 183, µs.
    pub to_180: Histogram,
    /// From the INVITE to its 200, µs.
    pub to_200: Histogram,
    /// From the INVITE to the first audio at both ends, µs.
    pub to_audio: Histogram,
    /// Browser → trunk.
    pub to_trunk: WayFigures,
    /// Trunk → browser.
    pub to_browser: WayFigures,
    /// Browser → trunk and back, of the calls whose browser was a PeerConnection.
    pub witnesses: WayFigures,
    /// Calls that were begun.
    pub begun: u32,
    /// Those that came to nothing, by reason.
    pub failures: BTreeMap<String, u32>,
    /// What the server cost; `None`: it was not looked at.
    pub server: Option<Share>,
    /// Lateness of the driver's own packets, µs.
    pub lateness: Histogram,
    /// Lateness of the driver's INVITEs, µs.
    pub setup_lateness: Histogram,
    /// CPU time of the driver for a second of the hold, µs.
    pub driver_us_per_s: u64,
}

/// One direction of all calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WayFigures {
    /// Delay of every packet, µs.
    pub delay: Histogram,
    /// Delay of the sound beyond that of the packets, one per call, µs; the median. `None`: not measured.
    pub sound_us: Option<i64>,
    /// Jitter, one per call, µs.
    pub jitter: Histogram,
    /// Packets sent.
    pub sent: u64,
    /// Packets received.
    pub received: u64,
    /// Packets lost.
    pub lost: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets that came once more.
    pub duplicated: u64,
    /// Times without any packet for longer than two.
    pub gaps: u64,
    /// Calls whose other end's tone was found.
    pub audio_good: u32,
    /// Calls where it was not, or where another was.
    pub audio_bad: u32,
    /// Calls with too little sound to tell.
    pub audio_unknown: u32,
    /// Calls that were too short to tell, by their plan.
    pub audio_short: u32,
}

/// What the server cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Share {
    /// CPU time for a second of one call with media, µs, during the hold.
    pub cpu_us_per_call_s: Option<f64>,
    /// CPU time of the set-up of one call, µs: only of a run without media, else it is not told apart.
    pub setup_cpu_us: Option<f64>,
    /// Share of one core during the hold, 1.0: all of it.
    pub load: f64,
    /// Time that its threads were ready to run and another thread had the core, together, as a share of the hold.
    pub waited: f64,
    /// Resident memory before the first call, KiB.
    pub rss_before_kib: u64,
    /// Resident memory at the end of the hold, KiB.
    pub rss_kib: u64,
    /// Resident memory that the calls took, KiB each; below zero where memory was given back.
    pub rss_per_call_kib: f64,
}

impl WayFigures {
    fn add(&mut self, way: &Way, sounds: &mut Vec<i64>) {
        self.delay.merge(&way.delay);
        sounds.extend(way.sound_us);
        self.jitter.record(way.jitter_us);
        self.sent += way.sent;
        self.received += way.received;
        self.lost += way.lost;
        self.reordered += way.reordered;
        self.duplicated += way.duplicated;
        self.gaps += way.gaps;
        match way.audio {
            Some(audio) if audio.is_good => self.audio_good += 1,
            Some(_) => self.audio_bad += 1,
            None if way.too_short => self.audio_short += 1,
            None => self.audio_unknown += 1,
        }
    }

    /// Adds one direction of all calls together.
    fn sum<'a>(ways: impl Iterator<Item = &'a Way>) -> WayFigures {
        let mut sum = WayFigures::default();
        let mut sounds = Vec::new();
        ways.for_each(|way| sum.add(way, &mut sounds));
        sum.sound_us = median(&mut sounds);
        sum
    }

    /// Calls that it was told of.
    pub fn calls(&self) -> u32 {
        self.audio_good + self.audio_bad + self.audio_unknown
    }
}

fn median<T: Copy + Ord>(values: &mut [T]) -> Option<T> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

impl Figures {
    /// Adds up a run. `speaking`: its calls with media; `before_kib`: the server's memory before the first call.
    pub fn of(outcome: &Outcome, seconds: &[Second], speaking: u32, before_kib: Option<u64>) -> Figures {
        let calls = &outcome.calls;
        let good = || calls.iter().filter(|call| call.failure.is_none());
        let plain = |call: &&CallOutcome| !call.witness;
        let mut figures = Figures {
            to_180: good().filter(plain).filter_map(|call| call.setup_180_us).collect(),
            to_200: good().filter(plain).filter_map(|call| call.setup_200_us).collect(),
            to_audio: good().filter(plain).filter_map(|call| call.first_audio_us).collect(),
            to_trunk: WayFigures::sum(calls.iter().filter(plain).filter_map(|call| call.to_trunk.as_ref())),
            to_browser: WayFigures::sum(calls.iter().filter(plain).filter_map(|call| call.to_browser.as_ref())),
            witnesses: WayFigures::sum(
                calls.iter().filter(|c| c.witness).flat_map(|c| c.to_trunk.iter().chain(&c.to_browser)),
            ),
            begun: calls.len() as u32,
            server: before_kib.and_then(|before| Share::of(seconds, speaking, before)),
            lateness: outcome.lateness.clone(),
            setup_lateness: outcome.setup_lateness.clone(),
            driver_us_per_s: (outcome.driver_cpu_us * 1_000_000).checked_div(outcome.hold_us).unwrap_or(0),
            ..Figures::default()
        };
        for failure in calls.iter().filter_map(|call| call.failure.as_ref()) {
            *figures.failures.entry(failure.reason.clone()).or_default() += 1;
        }
        figures
    }

    /// Calls that failed.
    pub fn failed(&self) -> u32 {
        self.failures.values().sum()
    }

    /// Packets that never came, both directions.
    pub fn lost(&self) -> u64 {
        self.to_trunk.lost + self.to_browser.lost
    }

    /// Calls and directions with the wrong sound, or none.
    pub fn audio_bad(&self) -> u32 {
        let ways = [&self.to_trunk, &self.to_browser, &self.witnesses];
        ways.iter().map(|way| way.audio_bad + way.audio_unknown).sum()
    }

    /// Delay of both directions together.
    pub fn delay(&self) -> Histogram {
        let mut both = self.to_trunk.delay.clone();
        both.merge(&self.to_browser.delay);
        both
    }

    /// Tells whether the driver was in time, so that it is the target that was measured.
    pub fn is_valid(&self) -> bool {
        self.lateness.quantile(0.99).is_none_or(|late| late <= LATE_US)
    }

    /// Tells whether the driver began nine calls of ten in time: what kept it from that is in the times of their set-up too.
    /// Its clock wakes it by whole milliseconds, so that the last hundredth is late where nothing is wrong.
    pub fn is_setup_valid(&self) -> bool {
        self.setup_lateness.quantile(0.9).is_none_or(|late| late <= LATE_US)
    }
}

impl Share {
    /// Of seconds with the server's cost in them; `None`: there are none of the hold.
    fn of(seconds: &[Second], speaking: u32, before_kib: u64) -> Option<Share> {
        // The first second of the hold began before it.
        let hold: Vec<&Second> = seconds.iter().filter(|second| second.hold).collect();
        let (first, last) = (hold.first()?, hold.last()?);
        let length_us = last.t_us.saturating_sub(first.t_us);
        let cpu_us: u64 = hold.iter().skip(1).filter_map(|second| second.cpu_us).sum();
        let waited_us: u64 = hold.iter().skip(1).filter_map(|second| second.waited_us).sum();
        let rss_kib = last.rss_kib?;
        let waited = if length_us == 0 { 0.0 } else { waited_us as f64 / length_us as f64 };
        let load = if length_us == 0 { 0.0 } else { cpu_us as f64 / length_us as f64 };
        let ramp = seconds.iter().take_while(|second| !second.hold).chain([*first]);
        let ramp_us: u64 = ramp.filter_map(|second| second.cpu_us).sum();
        let calls = f64::from(last.up.max(1));
        Some(Share {
            cpu_us_per_call_s: (speaking > 0 && length_us > 0).then(|| load * 1e6 / f64::from(speaking)),
            setup_cpu_us: (speaking == 0).then(|| ramp_us as f64 / calls),
            load,
            waited,
            rss_before_kib: before_kib,
            rss_kib,
            rss_per_call_kib: (rss_kib as f64 - before_kib as f64) / calls,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::outcome::{AudioCheck, Failure};

    fn second(t_s: u64, hold: bool, cpu_us: u64, rss_kib: u64) -> Second {
        let (cpu_us, rss_kib) = (Some(cpu_us), Some(rss_kib));
        let waited_us = Some(30_000);
        Second { t_us: t_s * 1_000_000, up: 10, hold, cpu_us, waited_us, rss_kib, ..Second::default() }
    }

    fn way(delay: u64, is_good: bool) -> Way {
        let audio = Some(AudioCheck { is_good, ..AudioCheck::default() });
        Way {
            delay: [delay].into_iter().collect(),
            sound_us: Some(delay as i64),
            sent: 5,
            received: 4,
            lost: 1,
            audio,
            ..Way::default()
        }
    }

    #[test]
    fn cpu_per_call_second_is_that_between_the_hold_s_first_and_last_look() {
        let seconds = [
            second(1, false, 900_000, 1000),
            second(2, true, 500_000, 1500),
            second(3, true, 40_000, 1900),
            second(4, true, 44_000, 2000),
        ];
        let share = Share::of(&seconds, 10, 1000).expect("a hold");
        assert_eq!(share.cpu_us_per_call_s, Some(4200.0));
        assert_eq!((share.setup_cpu_us, share.rss_per_call_kib, share.waited), (None, 100.0, 0.03));
        let silent = Share::of(&seconds, 0, 1000).expect("a hold");
        assert_eq!((silent.cpu_us_per_call_s, silent.setup_cpu_us), (None, Some(140_000.0)));
        assert_eq!(Share::of(&seconds[..1], 10, 1000), None);
    }

    #[test]
    fn directions_are_added_apart_and_witnesses_beside_them() {
        let failure = Some(Failure { status: Some(486), reason: "486 Busy Here".into() });
        let outcome = Outcome {
            calls: vec![
                CallOutcome { setup_200_us: Some(700), to_trunk: Some(way(10, true)), ..CallOutcome::default() },
                CallOutcome {
                    to_trunk: Some(way(30, false)),
                    to_browser: Some(way(50, true)),
                    ..CallOutcome::default()
                },
                CallOutcome { witness: true, to_browser: Some(way(9000, true)), ..CallOutcome::default() },
                CallOutcome { setup_200_us: Some(1), failure, ..CallOutcome::default() },
            ],
            ..Outcome::default()
        };
        let figures = Figures::of(&outcome, &[], 2, None);
        assert_eq!((figures.to_200.count(), figures.begun, figures.failed()), (1, 4, 1));
        assert_eq!(figures.failures["486 Busy Here"], 1);
        assert_eq!((figures.to_trunk.audio_good, figures.to_trunk.audio_bad, figures.audio_bad()), (1, 1, 1));
        assert_eq!((figures.lost(), figures.delay().max(), figures.witnesses.delay.max()), (3, Some(50), Some(9000)));
        assert_eq!(figures.to_trunk.sound_us, Some(30));
        assert_eq!(figures.server, None);
    }

    #[test]
    fn a_call_too_short_to_tell_by_its_plan_is_no_call_without_sound() {
        let ways = [Way { too_short: true, ..Way::default() }, Way::default()];
        let calls = ways.map(|way| CallOutcome { to_trunk: Some(way), ..CallOutcome::default() });
        let figures = Figures::of(&Outcome { calls: calls.into(), ..Outcome::default() }, &[], 2, None);
        assert_eq!((figures.to_trunk.audio_short, figures.to_trunk.audio_unknown, figures.audio_bad()), (1, 1, 1));
    }

    #[test]
    fn a_driver_that_is_late_makes_its_figures_invalid() {
        let outcome = |late: u64| Outcome { lateness: [late].into_iter().collect(), ..Outcome::default() };
        assert!(Figures::of(&outcome(LATE_US), &[], 1, None).is_valid());
        assert!(!Figures::of(&outcome(LATE_US * 2), &[], 1, None).is_valid());
        let late_calls = Outcome { setup_lateness: [LATE_US * 2].into_iter().collect(), ..outcome(LATE_US) };
        let figures = Figures::of(&late_calls, &[], 1, None);
        assert!(figures.is_valid() && !figures.is_setup_valid());
    }
}
