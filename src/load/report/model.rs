//! The report as it stands in a file.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Figures;
use crate::load::LoadError;
use crate::load::outcome::Second;
use crate::load::plan::LoadPlan;

/// Version of the JSON: a reader refuses others. New fields with a default leave it as it is.
pub const SCHEMA: u32 = 1;

/// Everything that was measured in one go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadReport {
    /// [`SCHEMA`] of whoever wrote it.
    pub schema: u32,
    /// Name and version of the tool.
    pub tool: String,
    /// When it was begun, seconds since 1970.
    pub begun_at: u64,
    /// The command, as given; secrets left out.
    pub command: String,
    /// Where it ran.
    pub machine: Machine,
    /// What was measured.
    pub server: Server,
    /// What was asked for; each run's own number of calls is with the run.
    pub plan: LoadPlan,
    /// Settings of the floor's codec.
    pub floor: Option<FloorSettings>,
    /// The runs in the order that they were made in.
    pub runs: Vec<Measured>,
    /// Capacities that were looked for.
    pub capacities: Vec<Capacity>,
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Its cores.
    pub cores: usize,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Kernel.
    pub kernel: String,
    /// Scheduling policy of driver, gateway and floor, where it is not the usual one: `SCHED_RR`.
    pub scheduling: Option<String>,
}

/// The server that was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Name of the profile.
    pub profile: String,
    /// Its processes; none: it was seen from the network only.
    pub pids: Vec<u32>,
    /// How the first of them was started.
    pub command: String,
    /// Core that it was pinned to by us.
    pub core: Option<usize>,
}

/// Settings of the floor's codec: to be those of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FloorSettings {
    /// Complexity of the Opus encoder.
    pub complexity: u8,
    /// Bit rate of the Opus encoder, bit/s.
    pub bitrate_bps: u32,
}

/// Who was measured in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The server.
    #[default]
    Target,
    /// The bare loop beside it.
    Floor,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measured {
    /// Who was measured.
    pub subject: Subject,
    /// Calls at the same time.
    pub calls: u32,
    /// Those of them with media.
    pub speaking: u32,
    /// Share of the floor's capacity that this is, percent; `None`: the number of calls was given.
    pub percent: Option<u32>,
    /// What it came to.
    pub figures: Figures,
    /// Second by second.
    pub seconds: Vec<Second>,
}

/// The most calls that were carried without a packet lost or late.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capacity {
    /// Whose.
    pub subject: Subject,
    /// The most that were carried.
    pub calls: u32,
    /// Why no more were.
    pub limit: String,
}

impl LoadReport {
    /// Reads a report. Fails where the file cannot be read, is no report, or has another schema.
    pub fn read(file: &Path) -> Result<LoadReport, LoadError> {
        let wrong = |reason: String| LoadError::File { file: file.to_owned(), reason };
        let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        let report: LoadReport = serde_json::from_str(&text).map_err(|error| wrong(format!("no report: {error}")))?;
        if report.schema != SCHEMA {
            return Err(wrong(format!("a report of schema {}, this tool reads {SCHEMA}", report.schema)));
        }
        Ok(report)
    }

    /// Writes the report as JSON.
    pub fn write(&self, file: &Path) -> Result<(), LoadError> {
        let wrong = |reason: String| LoadError::File { file: file.to_owned(), reason };
        let text = serde_json::to_string(self).map_err(|error| wrong(error.to_string()))?;
        fs::write(file, text + "\n").map_err(|error| wrong(error.to_string()))
    }

    /// The runs of one subject at one number of calls, or share of the floor's capacity.
    pub fn runs_of(&self, subject: Subject, point: Point) -> impl Iterator<Item = &Measured> {
        self.runs.iter().filter(move |run| run.subject == subject && run.point() == point)
    }

    /// Every point that was measured, in order.
    pub fn points(&self) -> Vec<Point> {
        let mut points: Vec<Point> = self.runs.iter().map(Measured::point).collect();
        // Shares of the floor's capacity first, then runs of another purpose.
        points.sort_unstable_by_key(|point| (point.percent.is_none(), *point));
        points.dedup();
        points
    }

    /// Capacity that was found of a subject.
    pub fn capacity_of(&self, subject: Subject) -> Option<&Capacity> {
        self.capacities.iter().find(|capacity| capacity.subject == subject)
    }
}

/// Runs of the same calls belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// Percent of the floor's capacity.
    pub percent: Option<u32>,
    /// Calls.
    pub calls: u32,
    /// Those with media.
    pub speaking: u32,
}

impl Measured {
    /// Where it belongs.
    pub fn point(&self) -> Point {
        Point { percent: self.percent, calls: self.calls, speaking: self.speaking }
    }
}

impl Machine {
    /// Reads what this machine is; what it does not tell stays empty.
    pub fn here() -> Machine {
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        let value = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.starts_with(key));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let memory = value(&read("/proc/meminfo"), "MemTotal");
        let cpus = read("/proc/cpuinfo");
        // Not those that we may use: the driver has pinned itself by then.
        let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
        Machine {
            cpu: value(&cpus, "model name"),
            cores,
            memory_mib: memory.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            scheduling: crate::load::process::scheduling().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> LoadReport {
        let run = |subject, calls| Measured {
            subject,
            calls,
            speaking: calls,
            seconds: vec![Second::default()],
            ..Measured::default()
        };
        LoadReport {
            schema: SCHEMA,
            runs: vec![run(Subject::Floor, 40), run(Subject::Target, 40), run(Subject::Target, 20)],
            capacities: vec![Capacity { subject: Subject::Floor, calls: 200, limit: "late".into() }],
            ..LoadReport::default()
        }
    }

    #[test]
    fn a_report_survives_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.json");
        report().write(&file).expect("written");
        assert_eq!(LoadReport::read(&file).expect("read"), report());
    }

    #[test]
    fn a_file_that_is_no_report_of_ours_is_told_with_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.json");
        let refused = || LoadReport::read(&file).expect_err("no report").to_string();
        assert!(refused().contains("a.json: "), "{}", refused());
        fs::write(&file, "{\"schema\": 99}").expect("written");
        assert!(refused().ends_with("a.json: a report of schema 99, this tool reads 1"), "{}", refused());
        fs::write(&file, "[").expect("written");
        assert!(refused().contains("no report"), "{}", refused());
    }

    #[test]
    fn runs_of_the_same_calls_belong_together() {
        let report = report();
        let points = report.points();
        assert_eq!(points.iter().map(|point| point.calls).collect::<Vec<_>>(), [20, 40]);
        assert_eq!(report.runs_of(Subject::Target, points[1]).count(), 1);
        assert_eq!(report.runs_of(Subject::Floor, points[0]).count(), 0);
        assert_eq!(report.capacity_of(Subject::Floor).map(|found| found.calls), Some(200));
    }
}
