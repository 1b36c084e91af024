//! The targets that this project measures itself by, and whether a report meets them.

use super::metric::{
    CPU, DELAY_P50, DELAY_P99, LOST, MEMORY, Metric, SETUP_CPU, SOUND_TO_BROWSER, SOUND_TO_TRUNK, TO_200,
};
use super::{LoadReport, Point, Subject};

/// One target.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What, and at how many calls.
    pub what: String,
    /// What it should be.
    pub target: String,
    /// What it is.
    pub measured: String,
    /// Whether it is met.
    pub is_met: bool,
}

/// CPU per call-second ÷ floor.
const CPU_RATIO: f64 = 1.15;
/// Delay beyond the floor's: p50 and p99, ms.
const DELAY: [f64; 2] = [0.05, 0.5];
/// Sound delay beyond the packets' that counts as none, ms: half of what an alignment at 8 kHz can tell apart over a frame.
const SOUND: f64 = 0.5;
/// Memory per call, KiB.
const KIB: f64 = 150.0;
/// CPU per set-up, ms.
const SETUP: f64 = 3.0;
/// INVITE to 200, p50, ms.
const ANSWER: f64 = 2.0;

/// All targets that the report has figures for; empty without any run of the server.
pub fn verdicts(report: &LoadReport) -> Vec<Verdict> {
    let mut all = Vec::new();
    for point in report.points() {
        beside_the_floor(report, point, &mut all);
        by_itself(report, point, &mut all);
    }
    all
}

fn at(point: Point) -> String {
    match point.percent {
        Some(percent) => format!("at {percent} % ({} calls)", point.calls),
        None if point.speaking < point.calls => format!("{} calls, {} speaking", point.calls, point.speaking),
        None => format!("{} calls", point.calls),
    }
}

fn pair(report: &LoadReport, metric: &Metric, point: Point) -> Option<(f64, f64)> {
    Some((metric.value(report, Subject::Target, point)?, metric.value(report, Subject::Floor, point)?))
}

fn beside_the_floor(report: &LoadReport, point: Point, all: &mut Vec<Verdict>) {
    if let Some((ours, floor)) = pair(report, &CPU, point) {
        all.push(Verdict {
            what: format!("CPU per call-second ÷ floor, {}", at(point)),
            target: format!("≤ {CPU_RATIO}"),
            measured: format!("{:.2} ({ours:.2} ms ÷ {floor:.2} ms)", ours / floor),
            is_met: ours <= floor * CPU_RATIO,
        });
    }
    // A late driver delays both alike: their difference tells nothing.
    let mut runs = report.runs.iter().filter(|run| run.point() == point);
    let is_valid = runs.all(|run| run.figures.is_valid());
    for (metric, name, beyond) in [(DELAY_P50, "p50", DELAY[0]), (DELAY_P99, "p99", DELAY[1])] {
        if let Some((ours, floor)) = pair(report, &metric, point) {
            let late = if is_valid { "" } else { "; invalid, the driver was late" };
            all.push(Verdict {
                what: format!("added delay {name}, {}", at(point)),
                target: format!("≤ floor + {beyond} ms"),
                measured: format!("{:+.3} ms ({ours:.3} ms, floor {floor:.3} ms){late}", ours - floor),
                is_met: is_valid && ours <= floor + beyond,
            });
        }
    }
}

fn by_itself(report: &LoadReport, point: Point, all: &mut Vec<Verdict>) {
    let value = |metric: &Metric| metric.value(report, Subject::Target, point);
    let sounds = [value(&SOUND_TO_BROWSER), value(&SOUND_TO_TRUNK)];
    if let [Some(to_browser), Some(to_trunk)] = sounds {
        all.push(Verdict {
            what: format!("sound delay beyond Opus's look-ahead, {}", at(point)),
            target: "0 both ways".to_owned(),
            measured: format!("{to_browser:.2} ms to the browser, {to_trunk:.2} ms to the trunk"),
            is_met: to_browser.max(to_trunk) <= SOUND,
        });
    }
    if let Some(lost) = value(&LOST) {
        all.push(Verdict {
            what: format!("packets lost, {}", at(point)),
            target: "0".to_owned(),
            measured: format!("{lost:.0}"),
            is_met: lost == 0.0,
        });
    }
    // Memory is that of many calls, few of which speak; of a few it is that of the process.
    let is_wide = point.calls >= 100 && point.speaking > 0 && point.speaking < point.calls;
    if let Some(kib) = value(&MEMORY).filter(|_| is_wide) {
        all.push(Verdict {
            what: format!("memory per call, {}", at(point)),
            target: format!("≤ {KIB:.0} KiB"),
            measured: format!("{kib:.0} KiB"),
            is_met: kib <= KIB,
        });
    }
    if let Some(cpu) = value(&SETUP_CPU) {
        all.push(Verdict {
            what: format!("CPU per set-up, {}", at(point)),
            target: format!("≤ {SETUP} ms"),
            measured: format!("{cpu:.2} ms"),
            is_met: cpu <= SETUP,
        });
        if let Some(answer) = value(&TO_200) {
            let mut runs = report.runs_of(Subject::Target, point);
            let late =
                if runs.all(|run| run.figures.is_setup_valid()) { "" } else { "; of it the driver's own lateness" };
            all.push(Verdict {
                what: format!("INVITE to 200, p50, {}", at(point)),
                target: format!("≤ {ANSWER} ms"),
                measured: format!("{answer:.2} ms{late}"),
                is_met: answer <= ANSWER,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    fn met(report: &LoadReport, what: &str) -> Option<bool> {
        verdicts(report).iter().find(|verdict| verdict.what.starts_with(what)).map(|verdict| verdict.is_met)
    }

    #[test]
    fn a_delay_beside_the_floor_is_met_only_where_the_driver_was_in_time() {
        let mut report = sample();
        assert_eq!(met(&report, "added delay p50"), Some(true));
        report.runs[1].figures.lateness = [50_000].into_iter().collect();
        assert_eq!(met(&report, "added delay p50"), Some(false));
        assert_eq!(met(&report, "CPU per call-second"), Some(true));
    }

    #[test]
    fn memory_is_held_against_its_target_by_many_calls_few_of_which_speak() {
        let mut report = sample();
        assert_eq!(met(&report, "memory per call"), None);
        for run in &mut report.runs {
            (run.calls, run.speaking, run.percent) = (500, 20, None);
        }
        assert_eq!(met(&report, "memory per call"), Some(true));
    }
}
