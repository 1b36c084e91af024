//! The numbers that a report is read by: one table of them, of which the terminal's table, the page and the comparison are made.

use super::{Figures, LoadReport, Measured, Point, Subject};
use crate::load::outcome::Histogram;

/// One number of a run.
pub struct Metric {
    /// What it is.
    pub label: &'static str,
    /// Its unit; empty: a count.
    pub unit: &'static str,
    /// Digits behind the point.
    pub digits: usize,
    /// Runs of the same calls: their median, or for counts of what went wrong their sum.
    fold: Fold,
    of: fn(&Figures) -> Option<f64>,
}

#[derive(PartialEq)]
enum Fold {
    Median,
    Sum,
}

fn ms(histogram: &Histogram, share: f64) -> Option<f64> {
    histogram.quantile(share).map(|us| us as f64 / 1e3)
}

const fn median(label: &'static str, unit: &'static str, digits: usize, of: fn(&Figures) -> Option<f64>) -> Metric {
    Metric { label, unit, digits, fold: Fold::Median, of }
}

const fn count(label: &'static str, of: fn(&Figures) -> Option<f64>) -> Metric {
    Metric { label, unit: "", digits: 0, fold: Fold::Sum, of }
}

fn packets(figures: &Figures, number: u64) -> Option<f64> {
    (figures.to_trunk.sent + figures.to_browser.sent > 0).then_some(number as f64)
}

fn witnessed(figures: &Figures, number: f64) -> Option<f64> {
    (figures.witnesses.calls() > 0).then_some(number)
}

/// All of them, in the order that they are shown in.
pub const METRICS: &[Metric] = &[
    CPU,
    median("share of a core", "%", 1, |f| f.server.map(|s| s.load * 100.0)),
    median("waiting of its threads for the core", "%", 2, |f| f.server.map(|s| s.waited * 100.0)),
    MEMORY,
    SETUP_CPU,
    median("INVITE to 180, p50", "ms", 2, |f| ms(&f.to_180, 0.5)),
    median("INVITE to 180, p90", "ms", 2, |f| ms(&f.to_180, 0.9)),
    median("INVITE to 180, p99", "ms", 2, |f| ms(&f.to_180, 0.99)),
    TO_200,
    median("INVITE to 200, p90", "ms", 2, |f| ms(&f.to_200, 0.9)),
    median("INVITE to 200, p99", "ms", 2, |f| ms(&f.to_200, 0.99)),
    median("INVITE to first audio, p50", "ms", 1, |f| ms(&f.to_audio, 0.5)),
    median("INVITE to first audio, p90", "ms", 1, |f| ms(&f.to_audio, 0.9)),
    median("INVITE to first audio, p99", "ms", 1, |f| ms(&f.to_audio, 0.99)),
    median("delay added to the browser, p50", "ms", 3, |f| ms(&f.to_browser.delay, 0.5)),
    median("delay added to the browser, p99", "ms", 3, |f| ms(&f.to_browser.delay, 0.99)),
    median("delay added to the browser, p99.9", "ms", 3, |f| ms(&f.to_browser.delay, 0.999)),
    median("delay added to the trunk, p50", "ms", 3, |f| ms(&f.to_trunk.delay, 0.5)),
    median("delay added to the trunk, p99", "ms", 3, |f| ms(&f.to_trunk.delay, 0.99)),
    median("delay added to the trunk, p99.9", "ms", 3, |f| ms(&f.to_trunk.delay, 0.999)),
    SOUND_TO_BROWSER,
    SOUND_TO_TRUNK,
    median("jitter at the browser, p99 of the calls", "ms", 3, |f| ms(&f.to_browser.jitter, 0.99)),
    median("jitter at the trunk, p99 of the calls", "ms", 3, |f| ms(&f.to_trunk.jitter, 0.99)),
    LOST,
    count("packets reordered", |f| packets(f, f.to_trunk.reordered + f.to_browser.reordered)),
    count("packets duplicated", |f| packets(f, f.to_trunk.duplicated + f.to_browser.duplicated)),
    count("gaps", |f| packets(f, f.to_trunk.gaps + f.to_browser.gaps)),
    count("directions with the right sound", |f| {
        packets(f, u64::from(f.to_trunk.audio_good + f.to_browser.audio_good + f.witnesses.audio_good))
    }),
    count("directions with the right sound, of them with a PeerConnection", |f| {
        witnessed(f, f.witnesses.audio_good.into())
    }),
    count("packets lost with a PeerConnection", |f| witnessed(f, f.witnesses.lost as f64)),
    median("delay added with a PeerConnection, its own included, p50", "ms", 3, |f| ms(&f.witnesses.delay, 0.5)),
    count("directions with wrong or no sound", |f| packets(f, f.audio_bad().into())),
    count("calls begun", |f| Some(f.begun.into())),
    count("calls failed", |f| Some(f.failed().into())),
    median("the driver's share of its core", "%", 1, |f| {
        (f.driver_us_per_s > 0).then_some(f.driver_us_per_s as f64 / 1e4)
    }),
    median("the driver's own lateness, p99", "ms", 3, |f| ms(&f.lateness, 0.99)),
    median("the driver's own lateness in set-up, p90", "ms", 3, |f| ms(&f.setup_lateness, 0.9)),
    median("the driver's own lateness in set-up, p99", "ms", 3, |f| ms(&f.setup_lateness, 0.99)),
];

/// CPU for a second of a call.
pub const CPU: Metric =
    median("CPU per call-second", "ms", 2, |f| f.server.and_then(|s| s.cpu_us_per_call_s).map(|us| us / 1e3));
/// Memory of a call.
pub const MEMORY: Metric = median("memory per call", "KiB", 0, |f| f.server.map(|s| s.rss_per_call_kib));
/// CPU for the set-up of a call.
pub const SETUP_CPU: Metric =
    median("CPU per set-up", "ms", 2, |f| f.server.and_then(|s| s.setup_cpu_us).map(|us| us / 1e3));
/// Time to the answer.
pub const TO_200: Metric = median("INVITE to 200, p50", "ms", 2, |f| ms(&f.to_200, 0.5));
/// Median of the delay of all packets, ms.
pub const DELAY_P50: Metric = median("delay added, p50", "ms", 3, |f| ms(&f.delay(), 0.5));
/// 99th percentile of the delay of all packets, ms.
pub const DELAY_P99: Metric = median("delay added, p99", "ms", 3, |f| ms(&f.delay(), 0.99));
/// Sound that is held up beyond packets.
pub const SOUND_TO_BROWSER: Metric = median("sound delay beyond the packets', to the browser", "ms", 2, |f| {
    f.to_browser.sound_us.map(|us| us as f64 / 1e3)
});
/// The same, the other way.
pub const SOUND_TO_TRUNK: Metric =
    median("sound delay beyond the packets', to the trunk", "ms", 2, |f| f.to_trunk.sound_us.map(|us| us as f64 / 1e3));
/// Packets that never came.
pub const LOST: Metric = count("packets lost", |f| packets(f, f.lost()));

impl Metric {
    /// Its value over all runs of a subject at a point; `None`: it was not measured.
    pub fn value(&self, report: &LoadReport, subject: Subject, point: Point) -> Option<f64> {
        // A floor has its calls from the start: there is no memory before them.
        if subject == Subject::Floor && self.label == MEMORY.label {
            return None;
        }
        let runs = report.runs_of(subject, point);
        let mut values: Vec<f64> = runs.filter_map(|run: &Measured| (self.of)(&run.figures)).collect();
        if values.is_empty() {
            return None;
        }
        if self.fold == Fold::Sum {
            return Some(values.iter().sum());
        }
        values.sort_unstable_by(f64::total_cmp);
        Some(values[values.len() / 2])
    }

    /// The value as it is shown, without its unit.
    pub fn show(&self, value: Option<f64>) -> String {
        value.map_or("–".to_owned(), |value| format!("{value:.digits$}", digits = self.digits))
    }

    /// Label and unit.
    pub fn title(&self) -> String {
        if self.unit.is_empty() { self.label.to_owned() } else { format!("{}, {}", self.label, self.unit) }
    }
}

/// A point in words.
pub fn words(report: &LoadReport, point: Point) -> String {
    let runs = report.runs_of(Subject::Target, point).count().max(report.runs_of(Subject::Floor, point).count());
    let share = point.percent.map_or(String::new(), |percent| format!("{percent} % of the floor's capacity: "));
    let silent =
        if point.speaking < point.calls { format!(", {} of them with media", point.speaking) } else { String::new() };
    let medians = if runs > 1 { format!("; medians of {runs} runs, counts added up") } else { String::new() };
    format!("{share}{} calls{silent}{medians}", point.calls)
}
