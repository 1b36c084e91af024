//! What is measured in one go, and in which order: the server and the floor in turn, by the same driver.
//!
//! ```text
//!  once       target, floor, target, floor …                    as often as repeated
//!  capacity   the floor, then the target: calls are doubled until packets are lost or late, then halved between
//!  at         the floor's capacity; for each share of it target, floor, target, floor …; set-up alone; many calls, few of
//!             which speak
//! ```
//!
//! The two are never under load at the same time: an idle process on the server's core costs nothing that we could measure, and
//! figures of the same minute differ less than those of the same number.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

use super::outcome::{Outcome, Second};
use super::plan::{Ends, LoadPlan};
use super::process::{self, Cost, Processes};
use super::report::{Capacity, Figures, FloorSettings, LoadReport, Machine, Measured, SCHEMA, Server, Subject};
use super::{LoadError, child};

/// Above this delay (p99, µs) a packet counts as late in the search for a capacity: a frame.
const LATE_US: u64 = 20_000;
/// Where the search begins.
const FIRST_CALLS: u32 = 16;
/// The search ends when it knows the capacity within this share.
const PRECISION: u32 = 25;
/// Set-up alone: calls without media.
const SETUP_CALLS: u32 = 100;
/// Memory: many calls, few of which speak.
const MEMORY_CALLS: [u32; 2] = [500, 20];

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Request {
    /// The calls.
    pub plan: LoadPlan,
    /// Which runs.
    pub mode: Mode,
    /// How often each is made.
    pub repeat: u32,
    /// Whether the floor runs beside it.
    pub floor: bool,
    /// Settings of the floor's codec: those of the server.
    pub settings: FloorSettings,
    /// Who the server is.
    pub server: Target,
    /// Core of the server and the floor.
    pub server_core: Option<usize>,
    /// The command, for the report.
    pub command: String,
}

/// The server.
#[derive(Clone, Debug)]
pub enum Target {
    /// A gateway of our own, started anew for each run.
    Own,
    /// One that runs, by its profile's name and its processes; none: it is seen from the network only.
    Running {
        /// Name of its profile.
        profile: String,
        /// Its processes.
        pids: Vec<u32>,
    },
}

/// Which runs are made.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// The plan as it is.
    Once,
    /// Searches for the most calls.
    Capacity,
    /// These percents of the floor's capacity, which is searched for unless it is given; the issue's targets.
    At {
        /// Percents.
        percents: Vec<u32>,
        /// The floor's capacity, where it is known.
        capacity: Option<u32>,
    },
}

/// What goes on meanwhile.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A run begins.
    Begins(String),
    /// A second of it.
    Second(&'a Second),
}

/// Makes the runs: `drive` carries out one plan, `progress` is told of each second.
pub async fn measure<D>(
    request: &Request,
    drive: D,
    progress: impl FnMut(Progress<'_>),
) -> Result<LoadReport, LoadError>
where
    D: AsyncFn(&LoadPlan, mpsc::Sender<Second>) -> Result<Outcome, LoadError>,
{
    let mut bench = Bench { request, drive, progress, report: begin(request)?, baseline_kib: None };
    match &request.mode {
        Mode::Once => {
            let calls = request.plan.calls.concurrent;
            bench.pairs(calls, request.plan.speaking(), None).await?;
        }
        Mode::Capacity => {
            if request.floor {
                bench.capacity(Subject::Floor).await?;
            }
            bench.capacity(Subject::Target).await?;
        }
        Mode::At { percents, capacity } => bench.targets(percents, *capacity).await?,
    }
    Ok(bench.report)
}

fn begin(request: &Request) -> Result<LoadReport, LoadError> {
    let (profile, pids) = match &request.server {
        Target::Own => ("crosspoint".to_owned(), Vec::new()),
        Target::Running { profile, pids } => (profile.clone(), pids.clone()),
    };
    if let Some(core) = request.server_core {
        pids.iter().try_for_each(|pid| process::pin_process(*pid, core))?;
    }
    let command = match pids.first() {
        Some(pid) => process::command_of(*pid)?,
        None => String::new(),
    };
    let mut plan = request.plan.clone();
    plan.browsers.secret.clear();
    Ok(LoadReport {
        schema: SCHEMA,
        tool: concat!("crosspoint ", env!("CARGO_PKG_VERSION")).to_owned(),
        begun_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        command: request.command.clone(),
        machine: Machine::here(),
        server: Server { profile, pids, command, core: request.server_core },
        plan,
        floor: request.floor.then_some(request.settings),
        runs: Vec::new(),
        capacities: Vec::new(),
    })
}

struct Bench<'a, D, P> {
    request: &'a Request,
    drive: D,
    progress: P,
    report: LoadReport,
    /// Memory of a server that is not ours, before its first call.
    baseline_kib: Option<u64>,
}

/// What a run is driven against.
struct Place {
    plan: LoadPlan,
    watched: Option<Processes>,
    /// Ends with the run.
    child: Option<child::Child>,
}

impl<D, P> Bench<'_, D, P>
where
    D: AsyncFn(&LoadPlan, mpsc::Sender<Second>) -> Result<Outcome, LoadError>,
    P: FnMut(Progress<'_>),
{
    /// Target and floor in turn, as often as asked for.
    async fn pairs(&mut self, calls: u32, speaking: u32, percent: Option<u32>) -> Result<(), LoadError> {
        for _ in 0..self.request.repeat {
            let run = self.run(Subject::Target, calls, speaking, percent).await?;
            self.report.runs.push(run);
            if self.request.floor {
                let run = self.run(Subject::Floor, speaking.max(1), speaking, percent).await?;
                // The floor has no calls that do not speak; it belongs beside those that it was measured for.
                self.report.runs.push(Measured { calls, ..run });
            }
        }
        Ok(())
    }

    async fn targets(&mut self, percents: &[u32], known: Option<u32>) -> Result<(), LoadError> {
        let capacity = match known {
            Some(calls) => calls,
            None => self.capacity(Subject::Floor).await?,
        };
        for percent in percents {
            let calls = (capacity * percent / 100).max(1);
            self.pairs(calls, calls, Some(*percent)).await?;
        }
        let available = u32::try_from(self.request.plan.browsers.dns.len()).unwrap_or(u32::MAX);
        let setup = SETUP_CALLS.min(available);
        let [many, few] = MEMORY_CALLS.map(|calls| calls.min(available));
        for _ in 0..self.request.repeat {
            let run = self.run(Subject::Target, setup, 0, None).await?;
            self.report.runs.push(run);
        }
        let run = self.run(Subject::Target, many, few, None).await?;
        self.report.runs.push(run);
        Ok(())
    }

    /// Searches for the most calls that lose no packet and have none late.
    async fn capacity(&mut self, subject: Subject) -> Result<u32, LoadError> {
        let dns = u32::try_from(self.request.plan.browsers.dns.len()).unwrap_or(u32::MAX);
        let has_numbers = subject == Subject::Target && self.request.plan.ends == Ends::Sip;
        let most = if has_numbers { dns } else { 4_000 };
        let (mut good, mut bad) = (0u32, None::<u32>);
        let mut limit = format!("no more were tried than {most}");
        let mut calls = FIRST_CALLS.min(most);
        loop {
            let run = self.run(subject, calls, calls, None).await?;
            match overload(&run) {
                None => good = calls,
                Some(why) => {
                    bad = Some(calls);
                    limit = format!("with {calls} {why}");
                }
            }
            calls = match bad {
                Some(bad) if bad - good <= (good / PRECISION).max(1) => break,
                Some(bad) => good + (bad - good) / 2,
                None if good >= most => break,
                None => (good * 2).min(most),
            };
        }
        self.report.capacities.push(Capacity { subject, calls: good, limit });
        Ok(good)
    }

    async fn place(&mut self, subject: Subject, calls: u32, speaking: u32) -> Result<Place, LoadError> {
        let request = self.request;
        let mut plan = request.plan.clone();
        (plan.calls.concurrent, plan.calls.speaking) = (calls, Some(speaking));
        plan.calls.witnesses = plan.calls.witnesses.min(calls);
        if subject == Subject::Floor {
            plan.calls.witnesses = 0;
            let (child, first) = child::start_floor(calls, request.settings, request.server_core)?;
            plan.ends = Ends::Floor { first };
            let watched = Processes::watch(&[child.pid()])?;
            return Ok(Place { plan, watched: Some(watched), child: Some(child) });
        }
        match &request.server {
            Target::Own => {
                let own = child::start_gateway(&plan, request.settings, request.server_core).await?;
                plan.browsers.urls = vec![own.url];
                plan.browsers.domain = Some("load.crosspoint.invalid".to_owned());
                plan.browsers.insecure = true;
                (plan.trunk.target, plan.trunk.bind) = (own.sip, own.trunk);
                let watched = Processes::watch(&[own.child.pid()])?;
                Ok(Place { plan, watched: Some(watched), child: Some(own.child) })
            }
            Target::Running { pids, .. } => {
                let watched = if pids.is_empty() { None } else { Some(Processes::watch(pids)?) };
                Ok(Place { plan, watched, child: None })
            }
        }
    }

    /// Makes one run.
    async fn run(
        &mut self,
        subject: Subject,
        calls: u32,
        speaking: u32,
        percent: Option<u32>,
    ) -> Result<Measured, LoadError> {
        let whose = if subject == Subject::Floor { "floor" } else { "server" };
        (self.progress)(Progress::Begins(format!("{whose}: {calls} calls, {speaking} speaking")));
        let mut place = self.place(subject, calls, speaking).await?;
        place.plan.check()?;
        let mut before_kib = None;
        if let Some(watched) = &mut place.watched {
            let now = watched.cost()?.rss_kib;
            let is_ours = place.child.is_some();
            before_kib = Some(if is_ours { now } else { *self.baseline_kib.get_or_insert(now) });
        }
        let (outcome, seconds) = drive_and_watch(&self.drive, &mut place, &mut self.progress).await?;
        if let Some(child) = place.child.take() {
            child.stop().await;
        }
        let figures = Figures::of(&outcome, &seconds, speaking, before_kib);
        Ok(Measured { subject, calls, speaking, percent, figures, seconds })
    }
}

/// Drives the calls, and looks at the server whenever the engine tells a second.
async fn drive_and_watch<D>(
    drive: &D,
    place: &mut Place,
    progress: &mut impl FnMut(Progress<'_>),
) -> Result<(Outcome, Vec<Second>), LoadError>
where
    D: AsyncFn(&LoadPlan, mpsc::Sender<Second>) -> Result<Outcome, LoadError>,
{
    let (sender, mut receiver) = mpsc::channel(64);
    let began = Instant::now();
    let driving = drive(&place.plan, sender);
    tokio::pin!(driving);
    let mut seconds = Vec::new();
    let mut last = place.watched.as_mut().map_or(Ok(Cost::default()), Processes::cost)?;
    let mut outcome = None;
    loop {
        // Drained to its end, also after the engine is done; it drops its sender then.
        let mut second = tokio::select! {
            biased;
            second = receiver.recv() => match second {
                Some(second) => second,
                None => break,
            },
            done = &mut driving, if outcome.is_none() => {
                outcome = Some(done?);
                continue;
            }
        };
        if let Some(watched) = &mut place.watched {
            let cost = watched.cost()?;
            // The time of the look, not that of the telling: what is divided by it is CPU time up to the look.
            second.t_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            second.cpu_us = Some(cost.cpu_us - last.cpu_us);
            second.waited_us = Some(cost.waited_us - last.waited_us);
            second.rss_kib = Some(cost.rss_kib);
            last = cost;
        }
        progress(Progress::Second(&second));
        seconds.push(second);
    }
    let outcome = match outcome {
        Some(outcome) => outcome,
        None => driving.await?,
    };
    Ok((outcome, seconds))
}

/// Why this was too many calls; `None`: it was not.
fn overload(run: &Measured) -> Option<String> {
    let figures = &run.figures;
    let late = figures.delay().quantile(0.99).unwrap_or(0);
    if figures.failed() > 0 {
        return Some(format!("{} calls failed", figures.failed()));
    }
    if figures.lost() > 0 {
        return Some(format!("{} packets were lost", figures.lost()));
    }
    if !figures.is_valid() {
        return Some("the driver itself was late: the server may carry more".to_owned());
    }
    (late > LATE_US).then(|| format!("packets were {:.0} ms late (p99)", late as f64 / 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::outcome::{CallOutcome, Way};

    /// A server that loses packets above so many calls, and costs nothing to start.
    fn drive(capacity: u32) -> impl AsyncFn(&LoadPlan, mpsc::Sender<Second>) -> Result<Outcome, LoadError> {
        async move |plan: &LoadPlan, seconds: mpsc::Sender<Second>| {
            let calls = plan.calls.concurrent;
            let second = Second { up: calls, hold: true, ..Second::default() };
            seconds.send(second).await.expect("heard");
            let way = Way { sent: 50, lost: u64::from(calls > capacity), ..Way::default() };
            let call = CallOutcome { to_trunk: Some(way), setup_200_us: Some(900), ..CallOutcome::default() };
            Ok(Outcome { calls: vec![call; calls as usize], ..Outcome::default() })
        }
    }

    fn request(mode: Mode) -> Request {
        let mut plan = LoadPlan::default();
        plan.browsers.urls = vec!["wss://127.0.0.1:8443/ws".into()];
        plan.browsers.secret = "secret".into();
        let server = Target::Running { profile: "a peer".into(), pids: Vec::new() };
        let settings = FloorSettings { complexity: 1, bitrate_bps: 32_000 };
        Request { plan, mode, repeat: 3, floor: false, settings, server, server_core: None, command: String::new() }
    }

    #[tokio::test]
    async fn the_capacity_is_found_within_a_twenty_fifth() {
        for capacity in [5, 16, 37, 240, 900] {
            let report = measure(&request(Mode::Capacity), drive(capacity), |_| {}).await.expect("measured");
            let found = report.capacity_of(Subject::Target).expect("searched").calls;
            assert!(found <= capacity && capacity - found <= (capacity / PRECISION).max(1), "{capacity}: {found}");
        }
    }

    #[tokio::test]
    async fn a_search_ends_where_there_are_no_more_numbers() {
        let report = measure(&request(Mode::Capacity), drive(u32::MAX), |_| {}).await.expect("measured");
        let found = &report.capacities[0];
        assert_eq!((found.calls, found.limit.as_str()), (999, "no more were tried than 999"));
    }

    #[tokio::test]
    async fn shares_of_a_known_capacity_are_run_as_often_as_asked_and_then_set_up_and_memory() {
        let mode = Mode::At { percents: vec![40, 90], capacity: Some(200) };
        let mut told = Vec::new();
        let progress = |progress: Progress<'_>| {
            if let Progress::Begins(what) = progress {
                told.push(what);
            }
        };
        let report = measure(&request(mode), drive(1000), progress).await.expect("measured");
        let runs: Vec<_> = report.runs.iter().map(|run| (run.calls, run.speaking, run.percent)).collect();
        let share = |percent: u32| [(2 * percent, 2 * percent, Some(percent)); 3];
        let expected = [share(40), share(90), [(100, 0, None); 3]].concat();
        assert_eq!(runs, [expected, vec![(500, 20, None)]].concat());
        assert_eq!(told[0], "server: 80 calls, 80 speaking");
        assert_eq!(report.runs[0].figures.to_200.count(), 80);
    }

    #[tokio::test]
    async fn a_report_holds_no_secret() {
        let report = measure(&request(Mode::Once), drive(100), |_| {}).await.expect("measured");
        assert!(!serde_json::to_string(&report).expect("json").contains("\"secret\":\"secret\""));
    }

    #[tokio::test]
    async fn a_process_that_is_not_there_is_told_before_any_call() {
        let mut request = request(Mode::Once);
        request.server = Target::Running { profile: "a peer".into(), pids: vec![u32::MAX >> 1] };
        let drive = async |_: &LoadPlan, _: mpsc::Sender<Second>| -> Result<Outcome, LoadError> { panic!("driven") };
        let error = measure(&request, drive, |_| {}).await.expect_err("no such process");
        assert!(error.to_string().contains("no such process"), "{error}");
    }
}
