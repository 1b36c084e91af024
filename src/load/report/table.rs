//! The report for the terminal: plain text, as wide as it needs.

use std::fmt::Write;

use super::metric::{CPU, METRICS, words};
use super::target::verdicts;
use super::{LoadReport, Point, Subject};

/// Everything that a person wants to know first: figures beside the floor's, targets, what failed.
pub fn table(report: &LoadReport) -> String {
    let mut text = head(report);
    for point in report.points() {
        text.push('\n');
        text += &figures(report, point);
    }
    for capacity in &report.capacities {
        let whose = if capacity.subject == Subject::Floor { "floor" } else { "server" };
        let _ = writeln!(text, "\ncapacity of the {whose}: {} calls; {}", capacity.calls, capacity.limit);
    }
    text += &targets(report);
    text += &failures(report);
    for warning in warnings(report) {
        let _ = writeln!(text, "\n{warning}");
    }
    text
}

fn head(report: &LoadReport) -> String {
    let machine = &report.machine;
    let mut text = format!("{} · {} · {} · {} cores\n", report.tool, report.server.profile, machine.cpu, machine.cores);
    text += &settings(report);
    text.push('\n');
    text
}

/// Settings in one line, with every figure as they must be.
pub(super) fn settings(report: &LoadReport) -> String {
    let browsers = &report.plan.browsers;
    let profile = match browsers.profile {
        crate::load::plan::BrowserProfile::Hint => "browsers obey the narrow-band hint",
        crate::load::plan::BrowserProfile::FullBand => "browsers send full band",
    };
    let floor = report.floor.map_or(String::new(), |floor| {
        format!("; the floor's Opus: complexity {}, {} bit/s, 8 kHz", floor.complexity, floor.bitrate_bps)
    });
    let core = |name: &str, core: Option<usize>| core.map_or(String::new(), |core| format!("; {name} on core {core}"));
    let policy = report.machine.scheduling.as_ref().map_or(String::new(), |policy| format!("; all under {policy}"));
    format!(
        "{} ms frames, {profile}{floor}{}{}{policy}; seed {}",
        browsers.frame_ms,
        core("server and floor", report.server.core),
        core("driver", report.plan.driver_core),
        report.plan.seed
    )
}

/// The rows of a point: label, server, floor, and their ratio where that says something.
pub(super) fn rows(report: &LoadReport, point: Point) -> Vec<[String; 4]> {
    let value = |metric: &super::metric::Metric, subject| metric.value(report, subject, point);
    METRICS
        .iter()
        .filter_map(|metric| {
            let (ours, floor) = (value(metric, Subject::Target), value(metric, Subject::Floor));
            ours.or(floor)?;
            let ratio = ours.zip(floor).filter(|(_, floor)| metric.label == CPU.label && *floor > 0.0);
            let ratio = ratio.map_or(String::new(), |(ours, floor)| format!("{:.2}", ours / floor));
            Some([metric.title(), metric.show(ours), metric.show(floor), ratio])
        })
        .collect()
}

fn figures(report: &LoadReport, point: Point) -> String {
    let rows = rows(report, point);
    let width = rows.iter().map(|row| row[0].chars().count()).max().unwrap_or(0);
    let has_floor = report.runs_of(Subject::Floor, point).next().is_some();
    let mut text = words(report, point) + "\n";
    let floor = if has_floor { format!("{:>11}{:>9}", "floor", "÷ floor") } else { String::new() };
    let _ = writeln!(text, "  {:width$}{:>11}{floor}", "", "server");
    for [label, ours, floor, ratio] in rows {
        let floor = if has_floor { format!("{floor:>11}{ratio:>9}") } else { String::new() };
        let line = format!("  {label:width$}{ours:>11}{floor}");
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn targets(report: &LoadReport) -> String {
    let verdicts = verdicts(report);
    if verdicts.is_empty() {
        return String::new();
    }
    let width =
        |of: fn(&super::target::Verdict) -> &str| verdicts.iter().map(|v| of(v).chars().count()).max().unwrap_or(0);
    let (what, target) = (width(|v| &v.what), width(|v| &v.target));
    let mut text = "\ntargets\n".to_owned();
    for verdict in &verdicts {
        let word = if verdict.is_met { "met   " } else { "MISSED" };
        let _ = writeln!(text, "  {word}  {:what$}  {:target$}  {}", verdict.what, verdict.target, verdict.measured);
    }
    text
}

fn failures(report: &LoadReport) -> String {
    let mut text = String::new();
    for (reason, count) in all_failures(report) {
        let _ = writeln!(text, "  {count:>5} × {reason}");
    }
    if text.is_empty() { text } else { format!("\nfailed calls\n{text}") }
}

/// Reasons of failed calls of all runs, most frequent first.
pub(super) fn all_failures(report: &LoadReport) -> Vec<(String, u32)> {
    let mut all = std::collections::BTreeMap::<&str, u32>::new();
    for (reason, count) in report.runs.iter().flat_map(|run| &run.figures.failures) {
        *all.entry(reason).or_default() += count;
    }
    let mut all: Vec<_> = all.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    all
}

/// What makes figures worth less.
pub(super) fn warnings(report: &LoadReport) -> Vec<String> {
    let mut all = Vec::new();
    for run in report.runs.iter().filter(|run| !run.figures.is_valid()) {
        let late = run.figures.lateness.quantile(0.99).unwrap_or(0) as f64 / 1e3;
        let whose = if run.subject == Subject::Floor { "floor" } else { "server" };
        all.push(format!(
            "INVALID: with {} calls ({whose}) the driver's own packets were {late:.1} ms late (p99): it is the driver that \
             was measured. Give it a core of its own, or fewer calls.",
            run.calls
        ));
    }
    for run in report.runs.iter().filter(|run| !run.figures.is_setup_valid()) {
        let late = run.figures.setup_lateness.quantile(0.9).unwrap_or(0) as f64 / 1e3;
        all.push(format!(
            "INVALID set-up times: with {} calls the driver's own INVITEs were {late:.1} ms late (p90), and as long what it was \
             answered has waited. Give it a core of its own, or fewer calls a second.",
            run.calls
        ));
    }
    if report.machine.cores < 2 && !report.runs.is_empty() {
        all.push("One core for driver and server: figures are worth little.".to_owned());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    #[test]
    fn the_table_has_the_server_beside_the_floor_and_says_which_targets_are_met() {
        let text = table(&sample());
        let line =
            |word: &str| text.lines().find(|line| line.contains(word)).unwrap_or_else(|| panic!("{word}: {text}"));
        let cpu: Vec<&str> = line("CPU per call-second, ms").split_whitespace().collect();
        assert_eq!(cpu[cpu.len() - 3..], ["4.40", "4.00", "1.10"], "{text}");
        assert!(line("CPU per call-second ÷ floor").trim_start().starts_with("met"), "{text}");
        assert!(line("packets lost, at 40 %").trim_start().starts_with("MISSED"), "{text}");
        assert!(line("486 Busy Here").contains("2 ×"), "{text}");
        assert!(text.contains("complexity 1, 32000 bit/s"), "{text}");
        assert!(!text.contains("INVALID"), "{text}");
    }

    #[test]
    fn figures_of_a_late_driver_are_marked() {
        let mut report = sample();
        report.runs[0].figures.lateness = [50_000].into_iter().collect();
        assert!(table(&report).contains("INVALID: with 94 calls"));
    }

    #[test]
    fn set_up_times_of_a_driver_that_began_its_calls_late_are_marked() {
        let mut report = sample();
        report.runs[0].figures.setup_lateness = [50_000].into_iter().collect();
        let text = table(&report);
        assert!(text.contains("INVALID set-up times: with 94 calls"), "{text}");
        assert!(!text.contains("INVALID: "), "{text}");
    }

    #[test]
    fn no_line_ends_in_blanks_and_an_empty_report_is_told_too() {
        assert!(table(&sample()).lines().all(|line| line == line.trim_end()));
        assert!(table(&LoadReport::default()).lines().count() >= 2);
    }
}
