//! Two reports side by side: what changed, and what cannot be compared.

use std::fmt::Write;

use super::metric::{METRICS, Metric};
use super::target::verdicts;
use super::{LoadReport, Point, Subject};

/// Figures of B against A at the points that both have, as text. Different settings are said before any figure.
pub fn compare(a: &LoadReport, b: &LoadReport) -> String {
    let mut text = format!("A  {}\nB  {}\n", title(a), title(b));
    let differences = differences(a, b);
    if !differences.is_empty() {
        text += "\nnot the same in both, and figures differ by that alone:\n";
        for line in &differences {
            let _ = writeln!(text, "  {line}");
        }
    }
    for (name, report) in [("A", a), ("B", b)] {
        if report.runs.iter().any(|run| !run.figures.is_valid()) {
            let _ = writeln!(text, "\n{name} has runs whose driver was late: their figures are invalid");
        }
    }
    let mut shared = false;
    for point in a.points() {
        let Some(other) = partner(b, point) else { continue };
        shared = true;
        text += &point_of(a, point, b, other);
    }
    if !shared {
        text += "\nno number of calls is in both: no figure can be compared\n";
    }
    for subject in [Subject::Target, Subject::Floor] {
        if let (Some(a), Some(b)) = (a.capacity_of(subject), b.capacity_of(subject)) {
            let whose = if subject == Subject::Floor { "floor" } else { "server" };
            let _ = writeln!(
                text,
                "\ncapacity of the {whose}: {} → {} calls{}",
                a.calls,
                b.calls,
                change(a.calls.into(), b.calls.into())
            );
        }
    }
    text += &targets(a, b);
    text
}

fn title(report: &LoadReport) -> String {
    format!("{} · {} · begun at {}", report.server.profile, report.machine.cpu, super::page::date(report.begun_at))
}

/// The point of the other report that it is fair to compare with: the same share of each floor's capacity, or the same calls.
fn partner(other: &LoadReport, point: Point) -> Option<Point> {
    let same = |it: &Point| match point.percent {
        Some(_) => it.percent == point.percent,
        None => *it == point,
    };
    other.points().into_iter().find(same)
}

/// Settings that make figures differ by themselves.
fn differences(a: &LoadReport, b: &LoadReport) -> Vec<String> {
    let mut all = Vec::new();
    let mut differ = |name: &str, a: String, b: String| {
        if a != b {
            all.push(format!("{name}: {a} / {b}"));
        }
    };
    differ("machine", format!("{:?}", a.machine.cpu), format!("{:?}", b.machine.cpu));
    differ("cores", a.machine.cores.to_string(), b.machine.cores.to_string());
    differ("kernel", a.machine.kernel.clone(), b.machine.kernel.clone());
    let policy = |report: &LoadReport| report.machine.scheduling.clone().unwrap_or_else(|| "as usual".to_owned());
    differ("scheduling", policy(a), policy(b));
    differ("server on core", format!("{:?}", a.server.core), format!("{:?}", b.server.core));
    differ("driver on core", format!("{:?}", a.plan.driver_core), format!("{:?}", b.plan.driver_core));
    differ("frame, ms", a.plan.browsers.frame_ms.to_string(), b.plan.browsers.frame_ms.to_string());
    differ("browser", format!("{:?}", a.plan.browsers.profile), format!("{:?}", b.plan.browsers.profile));
    differ("direction", format!("{:?}", a.plan.direction), format!("{:?}", b.plan.direction));
    differ("ramp, calls/s", a.plan.calls.ramp_per_s.to_string(), b.plan.calls.ramp_per_s.to_string());
    differ("transport", format!("{:?}", a.plan.trunk.transport), format!("{:?}", b.plan.trunk.transport));
    differ("floor's codec", format!("{:?}", a.floor), format!("{:?}", b.floor));
    all
}

fn change(a: f64, b: f64) -> String {
    if a == 0.0 || a == b { String::new() } else { format!("  ({:+.1} %)", (b - a) / a.abs() * 100.0) }
}

fn point_of(a: &LoadReport, point: Point, b: &LoadReport, other: Point) -> String {
    let calls = if point == other { point.calls.to_string() } else { format!("{} / {}", point.calls, other.calls) };
    let percent = point.percent.map_or(String::new(), |percent| format!("{percent} % of the floor's capacity, "));
    let mut text = format!("\n{percent}{calls} calls\n");
    let width = METRICS.iter().map(|metric| metric.title().chars().count()).max().unwrap_or(0);
    for metric in METRICS {
        let pair = (metric.value(a, Subject::Target, point), metric.value(b, Subject::Target, other));
        let (Some(x), Some(y)) = pair else { continue };
        let line = format!(
            "  {:width$}{:>11}{:>11}{}",
            metric.title(),
            metric.show(Some(x)),
            metric.show(Some(y)),
            change(x, y)
        );
        text += line.trim_end();
        text.push('\n');
    }
    text += &ratio(a, point, b, other, &super::metric::CPU);
    text
}

/// A figure ÷ floor is what machines and days differ least in.
fn ratio(a: &LoadReport, point: Point, b: &LoadReport, other: Point, metric: &Metric) -> String {
    let of = |report: &LoadReport, point| {
        Some(metric.value(report, Subject::Target, point)? / metric.value(report, Subject::Floor, point)?)
    };
    match (of(a, point), of(b, other)) {
        (Some(x), Some(y)) => format!("  {} ÷ floor: {x:.2} → {y:.2}{}\n", metric.label, change(x, y)),
        _ => String::new(),
    }
}

fn targets(a: &LoadReport, b: &LoadReport) -> String {
    let (before, after) = (verdicts(a), verdicts(b));
    let turned: Vec<_> = after
        .iter()
        .filter_map(|now| {
            let then = before.iter().find(|then| then.what == now.what && then.is_met != now.is_met)?;
            Some(format!("  {}: {} → {}\n", now.what, then.measured, now.measured))
        })
        .collect();
    if turned.is_empty() { String::new() } else { format!("\ntargets that turned\n{}", turned.concat()) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    #[test]
    fn a_figure_that_changed_is_told_with_its_share() {
        let (a, mut b) = (sample(), sample());
        for run in b.runs.iter_mut().filter(|run| run.subject == Subject::Target) {
            let server = run.figures.server.as_mut().expect("looked at");
            server.cpu_us_per_call_s = server.cpu_us_per_call_s.map(|us| us * 1.5);
        }
        let text = compare(&a, &b);
        assert!(!text.contains("not the same"), "{text}");
        let line = text.lines().find(|line| line.contains("CPU per call-second, ms")).expect("the line");
        assert!(line.contains("4.40") && line.contains("6.60") && line.ends_with("(+50.0 %)"), "{line}");
        assert!(text.contains("÷ floor: 1.10 → 1.65"), "{text}");
        assert!(text.contains("targets that turned"), "{text}");
    }

    #[test]
    fn different_settings_are_said_before_any_figure() {
        let (a, mut b) = (sample(), sample());
        b.plan.browsers.frame_ms = 40;
        b.machine.cpu = "another".into();
        let text = compare(&a, &b);
        let (said, figure) = (text.find("frame, ms: 20 / 40"), text.find("CPU per call-second"));
        assert!(said.is_some() && said < figure, "{text}");
        assert!(text.contains("machine: "), "{text}");
    }

    #[test]
    fn without_a_number_of_calls_in_common_nothing_is_compared() {
        let (a, mut b) = (sample(), sample());
        for run in &mut b.runs {
            (run.percent, run.calls) = (None, 7);
        }
        let text = compare(&a, &b);
        assert!(text.contains("no figure can be compared") && !text.contains("CPU per call-second, ms"), "{text}");
    }

    #[test]
    fn the_same_report_twice_has_no_change() {
        let text = compare(&sample(), &sample());
        assert!(!text.contains('%') || !text.contains("(+"), "{text}");
        assert!(!text.contains("turned"), "{text}");
    }
}
