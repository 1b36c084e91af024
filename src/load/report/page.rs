//! The report as one HTML page: nothing is fetched from anywhere, so that it can be sent and kept; light, dark, and on paper.

use std::fmt::Write;

use super::metric::{CPU, DELAY_P50, MEMORY, METRICS, TO_200, words};
use super::plot::{Axis, Plot, Scale, Series, bars, escape};
use super::table::{all_failures, rows, settings, warnings};
use super::target::verdicts;
use super::{Figures, LoadReport, Measured, Point, Subject};
use crate::load::outcome::Histogram;

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub fn page(report: &LoadReport) -> String {
    let name = escape(&report.server.profile);
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{name} under load</title><style>{STYLE}</style></head><body><main>"
    );
    html += &head(report);
    for warning in warnings(report) {
        let _ = write!(html, "<p class=\"warning\">{}</p>", escape(&warning));
    }
    if let Some(point) = main_point(report) {
        html += &tiles(report, point);
        html += &plots(report, point);
    }
    html += &targets(report);
    for point in report.points() {
        html += &figures(report, point);
    }
    html += &failures(report);
    html += &foot(report);
    html + "</main></body></html>\n"
}

/// Day and time, UTC.
pub(super) fn date(unix_s: u64) -> String {
    let (days, seconds) = (unix_s / 86_400, unix_s % 86_400);
    // Days from 1 March of the year 0, in eras of 400 years.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60)
}

fn head(report: &LoadReport) -> String {
    let machine = &report.machine;
    format!(
        "<header><h1>{} <small>under load</small></h1><p>{} · {}, {} cores, {} MiB, Linux {}</p><p>{}</p></header>",
        escape(&report.server.profile),
        date(report.begun_at),
        escape(&machine.cpu),
        machine.cores,
        machine.memory_mib,
        escape(&machine.kernel),
        escape(&settings(report)),
    )
}

/// The point that the page speaks of first: that with the most media.
fn main_point(report: &LoadReport) -> Option<Point> {
    let points = report.points().into_iter().filter(|point| report.runs_of(Subject::Target, *point).next().is_some());
    points.max_by_key(|point| point.speaking)
}

fn first(report: &LoadReport, subject: Subject, point: Point) -> Option<&Measured> {
    report.runs_of(subject, point).next()
}

fn tiles(report: &LoadReport, point: Point) -> String {
    let value = |metric: &super::metric::Metric, subject| metric.value(report, subject, point);
    let mut tiles: Vec<(String, String, String)> = Vec::new();
    let mut tile = |name: &str, value: String, beside: String| tiles.push((name.to_owned(), value, beside));
    if let Some(cpu) = value(&CPU, Subject::Target) {
        let beside = value(&CPU, Subject::Floor);
        let beside =
            beside.map_or("server only".into(), |floor| format!("{:.2} × the floor's {floor:.2} ms", cpu / floor));
        tile("CPU per call-second", format!("{cpu:.2} ms"), beside);
    }
    if let Some(delay) = value(&DELAY_P50, Subject::Target) {
        let beside = value(&DELAY_P50, Subject::Floor);
        let beside = beside.map_or("median of all packets".into(), |floor| format!("median; floor {floor:.3} ms"));
        tile("one-way delay added", format!("{delay:.3} ms"), beside);
    }
    if let Some(answer) = value(&TO_200, Subject::Target) {
        tile("INVITE to 200", format!("{answer:.2} ms"), "median".into());
    }
    let memory = report.points().into_iter().max_by_key(|point| point.calls);
    if let Some((kib, at)) = memory.and_then(|at| Some((MEMORY.value(report, Subject::Target, at)?, at))) {
        tile("memory per call", format!("{kib:.0} KiB"), format!("of {} calls", at.calls));
    }
    if let Some(capacity) = report.capacity_of(Subject::Target) {
        let floor = report.capacity_of(Subject::Floor);
        let beside = floor.map_or(capacity.limit.clone(), |floor| format!("the floor carries {}", floor.calls));
        tile("capacity", format!("{} calls", capacity.calls), beside);
    }
    let all: Vec<&Figures> =
        report.runs.iter().filter(|run| run.subject == Subject::Target).map(|run| &run.figures).collect();
    let good: u32 = all.iter().map(|f| f.to_trunk.audio_good + f.to_browser.audio_good + f.witnesses.audio_good).sum();
    let bad: u32 = all.iter().map(|f| f.audio_bad()).sum();
    let lost: u64 = all.iter().map(|f| f.lost()).sum();
    tile("right sound", format!("{good} of {}", good + bad), format!("directions of calls; {lost} packets lost"));
    let mut html = format!("<section class=\"tiles\" aria-label=\"{}\">", escape(&words(report, point)));
    for (name, value, beside) in tiles {
        let _ =
            write!(html, "<div><h2>{}</h2><b>{}</b><p>{}</p></div>", escape(&name), escape(&value), escape(&beside));
    }
    html + "</section>"
}

fn by_percentile(name: &str, class: &'static str, histogram: &Histogram) -> Series {
    let (mut seen, total) = (0u64, histogram.count() as f64);
    let mut points = Vec::new();
    for (value, count) in histogram.buckets() {
        let at = |seen: u64| (seen as f64 / total).min(1.0 - 0.5 / total);
        points.push((at(seen), value as f64 / 1e3));
        seen += count;
        points.push((at(seen), value as f64 / 1e3));
    }
    Series { name: name.to_owned(), class, points }
}

fn plot(title: &str, note: &str, body: &str) -> String {
    if body.is_empty() {
        return String::new();
    }
    format!("<figure><figcaption><h2>{}</h2><p>{}</p></figcaption>{body}</figure>", escape(title), escape(note))
}

fn plots(report: &LoadReport, point: Point) -> String {
    let share = || Axis { label: "share of calls", scale: Scale::Percentile };
    let said = words(report, point);
    let mut html = "<section class=\"plots\">".to_owned();
    html += &plot("CPU per call-second", "beside a bare loop of sockets and libopus, the floor", &cpu_bars(report));
    html += &plot("One-way delay added", &format!("by percentile of the packets; {said}"), &delay(report, point));
    if let Some(run) = first(report, Subject::Target, point) {
        let f = &run.figures;
        let series = vec![
            by_percentile("INVITE to 180", "c", &f.to_180),
            by_percentile("INVITE to 200", "a", &f.to_200),
            by_percentile("INVITE to first audio", "b", &f.to_audio),
        ];
        let axis = Axis { label: "ms", scale: Scale::Log };
        html += &plot("Set-up time", "by percentile of the calls", &Plot { x: share(), y: axis, series }.html());
        html += &over_time(run);
    }
    html + "</section>"
}

fn cpu_bars(report: &LoadReport) -> String {
    let group = |point: Point| {
        let name = point.percent.map_or(format!("{} calls", point.calls), |p| format!("{p} %, {} calls", point.calls));
        (name, vec![CPU.value(report, Subject::Target, point), CPU.value(report, Subject::Floor, point)])
    };
    let groups: Vec<_> =
        report.points().into_iter().map(group).filter(|(_, values)| values.iter().any(Option::is_some)).collect();
    bars("ms", &[("a", "server"), ("c", "floor")], &groups)
}

fn delay(report: &LoadReport, point: Point) -> String {
    let mut series = Vec::new();
    let lines = [(Subject::Target, "server", ["a", "b"]), (Subject::Floor, "floor", ["c", "d"])];
    for (subject, name, classes) in lines {
        let runs = report.runs_of(subject, point);
        let (mut to_browser, mut to_trunk) = (Histogram::default(), Histogram::default());
        for run in runs {
            to_browser.merge(&run.figures.to_browser.delay);
            to_trunk.merge(&run.figures.to_trunk.delay);
        }
        series.push(by_percentile(&format!("{name}, to the browser"), classes[0], &to_browser));
        series.push(by_percentile(&format!("{name}, to the trunk"), classes[1], &to_trunk));
    }
    let x = Axis { label: "share of packets", scale: Scale::Percentile };
    Plot { x, y: Axis { label: "ms", scale: Scale::Log }, series }.html()
}

fn over_time(run: &Measured) -> String {
    let line = |name: &str, class, of: &dyn Fn(usize) -> Option<f64>| {
        let at = |k: usize| Some((run.seconds[k].t_us as f64 / 1e6, of(k)?));
        Series { name: name.to_owned(), class, points: (0..run.seconds.len()).filter_map(at).collect() }
    };
    let second = |k: usize| &run.seconds[k];
    let time = || Axis { label: "seconds", scale: Scale::Linear };
    let calls = vec![
        line("up", "a", &|k| Some(second(k).up.into())),
        line("ringing", "b", &|k| Some(second(k).ringing.into())),
        line("failed", "e", &|k| Some(second(k).failed.into())),
    ];
    let axis = |label| Axis { label, scale: Scale::Linear };
    let mut html =
        plot("Calls", "first run of the server", &Plot { x: time(), y: axis("calls"), series: calls }.html());
    let memory = vec![line("resident", "a", &|k| Some(second(k).rss_kib? as f64 / 1024.0))];
    html += &plot("Memory of the server", "first run", &Plot { x: time(), y: axis("MiB"), series: memory }.html());
    // A look at /proc covers the time since the look before it.
    let load = |k: usize| {
        let since = second(k).t_us.saturating_sub(if k == 0 { 0 } else { second(k - 1).t_us });
        (since > 0).then_some(second(k).cpu_us? as f64 / since as f64 * 100.0)
    };
    let load = vec![line("of one core", "a", &load)];
    html + &plot("Load of the server", "first run", &Plot { x: time(), y: axis("%"), series: load }.html())
}

fn targets(report: &LoadReport) -> String {
    let verdicts = verdicts(report);
    if verdicts.is_empty() {
        return String::new();
    }
    let mut html = "<section><h2>Targets</h2><table class=\"targets\"><thead><tr><th>what</th><th>target</th><th>measured</th><th></th></tr></thead><tbody>".to_owned();
    for verdict in verdicts {
        let (class, word) = if verdict.is_met { ("met", "met") } else { ("missed", "missed") };
        let [what, target, measured] = [verdict.what, verdict.target, verdict.measured].map(|text| escape(&text));
        let _ = write!(
            html,
            "<tr><td>{what}</td><td>{target}</td><td>{measured}</td><td class=\"{class}\">{word}</td></tr>"
        );
    }
    html + "</tbody></table></section>"
}

fn figures(report: &LoadReport, point: Point) -> String {
    let mut html = format!(
        "<section><h2>{}</h2><table class=\"numbers\"><thead><tr><th></th><th>server</th><th>floor</th><th>÷ floor</th></tr></thead><tbody>",
        escape(&words(report, point))
    );
    for row in rows(report, point) {
        let [label, ours, floor, ratio] = row.map(|text| escape(&text));
        let _ = write!(html, "<tr><th>{label}</th><td>{ours}</td><td>{floor}</td><td>{ratio}</td></tr>");
    }
    html + "</tbody></table></section>"
}

fn failures(report: &LoadReport) -> String {
    let all = all_failures(report);
    if all.is_empty() {
        return String::new();
    }
    let mut html = "<section><h2>Failed calls</h2><table class=\"numbers\"><tbody>".to_owned();
    for (reason, count) in all {
        let _ = write!(html, "<tr><th>{}</th><td>{count}</td></tr>", escape(&reason));
    }
    html + "</tbody></table></section>"
}

fn foot(report: &LoadReport) -> String {
    let command = if report.server.command.is_empty() {
        String::new()
    } else {
        format!("<p>server: <code>{}</code></p>", escape(&report.server.command))
    };
    format!(
        "<footer><p><code>{}</code></p>{command}<p>{}; {} figures per run. The floor is one loop of epoll, UDP sockets and libopus \
         with the settings above: no SRTP, no RTCP, no gap logic. It ran in the same go, on the same core, driven by the same driver.</p></footer>",
        escape(&report.command),
        escape(&report.tool),
        METRICS.len(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    #[test]
    fn the_page_fetches_nothing_from_anywhere() {
        let html = page(&sample());
        for word in ["http://", "https://", "//cdn", "src=", "href=", "url(", "@import", "<script", "<link", "<img"] {
            assert!(!html.contains(word), "{word}");
        }
    }

    #[test]
    fn the_page_shows_each_plot_and_the_targets() {
        let html = page(&sample());
        for title in
            ["CPU per call-second", "One-way delay added", "Set-up time", "Calls", "Memory of the server", "Targets"]
        {
            assert!(html.contains(&format!("<h2>{title}</h2>")), "{title}");
        }
        assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
        assert!(html.matches("<svg").count() >= 6 && !html.contains("NaN"));
        assert!(html.contains("class=\"missed\"") && html.contains("class=\"met\""));
    }

    #[test]
    fn what_a_peer_says_cannot_become_markup() {
        let mut report = sample();
        report.runs[0].figures.failures.insert("<script>alert(1)</script>".into(), 1);
        report.server.command = "\"><script>".into();
        assert!(!page(&report).contains("<script"));
    }

    #[test]
    fn an_empty_report_is_a_page_too() {
        assert!(page(&LoadReport::default()).ends_with("</html>\n"));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400 + 3661), "2000-02-29 01:01 UTC");
        assert_eq!(date(1_767_225_599), "2025-12-31 23:59 UTC");
    }
}
