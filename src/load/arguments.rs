//! The command line of `crosspoint load`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::LoadError;
use super::measure::{Mode, Request, Target};
use super::peer::{self, PROFILES};
use super::plan::{BrowserProfile, Direction, DnRange, Ends, LoadPlan, PlanError, Transport};
use super::report::FloorSettings;

/// Drives a SIP/WebRTC gateway with browsers and trunk ends, checks the sound of each call, and reports what it costs.
///
/// Without an address of a gateway say --self: a gateway of this program is started on loopback for the run.
#[derive(Args, Clone, Debug)]
pub struct LoadArguments {
    #[command(flatten)]
    gateway: GatewayArguments,
    #[command(flatten)]
    calls: CallArguments,
    #[command(flatten)]
    measuring: MeasuringArguments,
    #[command(flatten)]
    runs: RunArguments,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The gateway")]
struct GatewayArguments {
    /// Starts a gateway of this program on loopback, with a configuration made up for the run, anew for each run.
    #[arg(long = "self", conflicts_with_all = ["browsers", "target", "trunk", "pid", "profile", "domain", "ng"])]
    own: bool,
    /// Defaults for a gateway of another make; with --help: which of its settings matter.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Lists the profiles.
    #[arg(long)]
    list_profiles: bool,
    /// Where browsers connect: wss://host:port/path or ws://…; several, by commas: taken in turn.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    browsers: Vec<String>,
    /// SIP domain of the browsers' addresses [default: the host of the URL].
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// Takes whatever certificate the gateway shows.
    #[arg(long)]
    insecure: bool,
    /// Numbers of the browsers, one call each [default: 5001-5999].
    #[arg(long, value_name = "FIRST-LAST")]
    dns: Option<DnRange>,
    /// Their password; in the environment: CROSSPOINT_LOAD_SECRET.
    #[arg(long, value_name = "PASSWORD", env = "CROSSPOINT_LOAD_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// The gateway's SIP address towards the trunk [default: 127.0.0.1:5060].
    #[arg(long, value_name = "ADDRESS")]
    target: Option<SocketAddr>,
    /// Where rtpengine takes ng requests, with --profile rtpengine [default: 127.0.0.1:22222].
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["browsers", "target"])]
    ng: Option<SocketAddr>,
    /// Where the trunk ends listen [default: 127.0.0.1:5999].
    #[arg(long, value_name = "ADDRESS")]
    trunk: Option<SocketAddr>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The calls")]
struct CallArguments {
    /// Calls at the same time [default: 20].
    #[arg(long, value_name = "N")]
    calls: Option<u32>,
    /// Those of them that have media; the others are only set up [default: all].
    #[arg(long, value_name = "N")]
    speaking: Option<u32>,
    /// New calls per second [default: 10].
    #[arg(long, value_name = "RATE")]
    ramp: Option<f64>,
    /// Seconds that all are up together; what is measured is measured there [default: 10].
    #[arg(long, value_name = "SECONDS")]
    hold: Option<f64>,
    /// Hangs each call up after so many seconds, and makes it anew.
    #[arg(long, value_name = "SECONDS")]
    renew: Option<f64>,
    /// Who calls whom: in (the trunk calls), out (browsers call), both in turn [default: both].
    #[arg(long, value_name = "WAY")]
    direction: Option<DirectionArgument>,
    /// SIP of the trunk ends: udp or tcp [default: udp].
    #[arg(long, value_name = "NAME")]
    transport: Option<TransportArgument>,
    /// Number that browsers dial [default: 9001].
    #[arg(long, value_name = "NUMBER")]
    number: Option<String>,
    /// Browsers that ignore maxplaybackrate=8000 and send full band.
    #[arg(long)]
    full_band: bool,
    /// Length of the browsers' packets in ms: 20 or 40 [default: 20].
    #[arg(long, value_name = "MS")]
    frame: Option<u8>,
    /// Browsers, the first so many calls', that are independent ones: PeerConnections of the webrtc crate. Told apart [default: 0].
    #[arg(long, value_name = "N")]
    witnesses: Option<u32>,
    /// Where tags, tones and the order of calls come from [default: 1].
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "What is measured")]
struct MeasuringArguments {
    /// Process of the gateway: its CPU time and memory are read from /proc; several, by commas.
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pid: Vec<u32>,
    /// Measures the floor beside it: a bare loop of sockets and libopus, same calls, same driver, same core (as --self does).
    #[arg(long)]
    floor: bool,
    /// Leaves the floor out with --self.
    #[arg(long, conflicts_with = "floor")]
    no_floor: bool,
    /// Complexity of the floor's Opus encoder, and of the gateway of --self.
    #[arg(long, value_name = "0-10", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=10))]
    complexity: u8,
    /// Bit rate of the floor's Opus encoder, and of the gateway of --self.
    #[arg(long, value_name = "BIT/S", default_value_t = 32_000, value_parser = clap::value_parser!(u32).range(6_000..=510_000))]
    bitrate: u32,
    /// Pins the gateway (--self, --pid) and the floor to this core [default with --self: 0].
    #[arg(long, value_name = "CORE")]
    server_core: Option<usize>,
    /// Pins the driver to this core [default with --self: 1].
    #[arg(long, value_name = "CORE")]
    driver_core: Option<usize>,
    /// Is the floor at this address, until standard input ends: what --floor starts.
    #[arg(long, value_name = "ADDRESS", hide = true)]
    be_floor: Option<SocketAddr>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The runs")]
struct RunArguments {
    /// Makes each run so many times, gateway and floor in turn; figures are medians.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=99))]
    repeat: u32,
    /// Searches for the most calls that lose no packet and have none late by more than 20 ms (p99).
    #[arg(long, conflicts_with = "at")]
    find_capacity: bool,
    /// Runs at these percents of the floor's capacity, then set-up alone, then 500 calls of which 20 speak: the targets.
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=200))]
    at: Vec<u32>,
    /// The floor's capacity, where it is known: it is not searched for.
    #[arg(long, value_name = "CALLS", requires = "at", value_parser = clap::value_parser!(u32).range(1..))]
    floor_capacity: Option<u32>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The report")]
struct OutputArguments {
    /// Writes the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the report as one HTML page that needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Compares two reports (JSON) and measures nothing.
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    compare: Vec<PathBuf>,
    /// Shows a report (JSON) once more, with --html as a page, and measures nothing.
    #[arg(long, value_name = "FILE", conflicts_with = "compare")]
    show: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DirectionArgument {
    In,
    Out,
    Both,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TransportArgument {
    Udp,
    Tcp,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Task {
    /// Runs, and where their report goes.
    Measure(Box<Request>, Output),
    /// The floor.
    BeFloor {
        /// First port.
        first: SocketAddr,
        /// Calls.
        calls: u32,
        /// Codec.
        settings: FloorSettings,
    },
    /// Text for the terminal.
    ListProfiles,
    /// Two reports.
    Compare([PathBuf; 2]),
    /// One report.
    Show(PathBuf, Output),
}

/// Where a report goes beside the terminal.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// As JSON.
    pub json: Option<PathBuf>,
    /// As a page.
    pub html: Option<PathBuf>,
}

fn wrong(field: &'static str, reason: impl Into<String>) -> LoadError {
    LoadError::Plan(PlanError { field, reason: reason.into() })
}

fn seconds(field: &'static str, value: f64) -> Result<Duration, LoadError> {
    let is_fine = value > 0.0 && value <= 1e6;
    if is_fine { Ok(Duration::from_secs_f64(value)) } else { Err(wrong(field, "more than 0 seconds")) }
}

impl LoadArguments {
    /// Makes a task of the arguments. `command` is what the report says was asked.
    pub fn task(self, command: String) -> Result<Task, LoadError> {
        let settings = FloorSettings { complexity: self.measuring.complexity, bitrate_bps: self.measuring.bitrate };
        let output = Output { json: self.output.json.clone(), html: self.output.html.clone() };
        if let Some(first) = self.measuring.be_floor {
            return Ok(Task::BeFloor { first, calls: self.calls.calls.unwrap_or(1), settings });
        }
        if self.gateway.list_profiles {
            return Ok(Task::ListProfiles);
        }
        if let [a, b] = self.output.compare.as_slice() {
            return Ok(Task::Compare([a.clone(), b.clone()]));
        }
        if let Some(file) = self.output.show {
            return Ok(Task::Show(file, output));
        }
        let is_own = self.gateway.own;
        let request = Request {
            plan: self.plan()?,
            mode: self.mode(),
            repeat: self.runs.repeat,
            floor: (self.measuring.floor || is_own) && !self.measuring.no_floor,
            settings,
            server: self.server(),
            server_core: self.measuring.server_core.or(default_core(is_own, 0)),
            command,
        };
        if !is_own {
            request.plan.check()?;
        }
        Ok(Task::Measure(Box::new(request), output))
    }

    fn mode(&self) -> Mode {
        if !self.runs.at.is_empty() {
            return Mode::At { percents: self.runs.at.clone(), capacity: self.runs.floor_capacity };
        }
        if self.runs.find_capacity { Mode::Capacity } else { Mode::Once }
    }

    fn server(&self) -> Target {
        if self.gateway.own {
            return Target::Own;
        }
        let profile = self.gateway.profile.clone().unwrap_or_else(|| "a gateway".to_owned());
        Target::Running { profile, pids: self.measuring.pid.clone() }
    }

    fn plan(&self) -> Result<LoadPlan, LoadError> {
        let mut plan = LoadPlan { seed: self.calls.seed.unwrap_or(1), ..LoadPlan::default() };
        if let Some(name) = &self.gateway.profile {
            let unknown = || wrong("--profile", format!("{name}: --list-profiles says which there are"));
            peer::find(name).ok_or_else(unknown)?.apply(&mut plan);
        }
        self.ends(&mut plan);
        self.pace(&mut plan)?;
        plan.driver_core = self.measuring.driver_core.or(default_core(self.gateway.own, 1));
        Ok(plan)
    }

    fn ends(&self, plan: &mut LoadPlan) {
        let gateway = &self.gateway;
        if !gateway.browsers.is_empty() {
            plan.browsers.urls.clone_from(&gateway.browsers);
        }
        if let Some(ng) = gateway.ng {
            plan.ends = Ends::Rtpengine { ng };
        }
        if gateway.domain.is_some() {
            plan.browsers.domain.clone_from(&gateway.domain);
        }
        plan.browsers.insecure = gateway.insecure;
        plan.browsers.dns = gateway.dns.unwrap_or(plan.browsers.dns);
        let known = if gateway.own { "a secret of this run alone" } else { "" };
        plan.browsers.secret = gateway.secret.clone().unwrap_or_else(|| known.to_owned());
        plan.trunk.target = gateway.target.unwrap_or(plan.trunk.target);
        plan.trunk.bind = gateway.trunk.unwrap_or(plan.trunk.bind);
    }

    fn pace(&self, plan: &mut LoadPlan) -> Result<(), LoadError> {
        let calls = &self.calls;
        plan.calls.concurrent = calls.calls.unwrap_or(plan.calls.concurrent);
        plan.calls.speaking = calls.speaking;
        plan.calls.witnesses = calls.witnesses.unwrap_or(0);
        plan.calls.ramp_per_s = calls.ramp.unwrap_or(plan.calls.ramp_per_s);
        plan.calls.hold = seconds("--hold", calls.hold.unwrap_or(10.0))?;
        plan.calls.renew_after = calls.renew.map(|value| seconds("--renew", value)).transpose()?;
        plan.browsers.frame_ms = calls.frame.unwrap_or(plan.browsers.frame_ms);
        if calls.full_band {
            plan.browsers.profile = BrowserProfile::FullBand;
        }
        plan.direction = match calls.direction {
            None | Some(DirectionArgument::Both) => Direction::Both,
            Some(DirectionArgument::In) => Direction::In,
            Some(DirectionArgument::Out) => Direction::Out,
        };
        if let Some(TransportArgument::Tcp) = calls.transport {
            plan.trunk.transport = Transport::Tcp;
        }
        if let Some(number) = &calls.number {
            plan.trunk.number.clone_from(number);
        }
        Ok(())
    }
}

/// With `--self` server and driver have a core each, where there are two.
fn default_core(is_own: bool, core: usize) -> Option<usize> {
    (is_own && super::process::cores() > 1).then_some(core)
}

/// The text of the profile that `load --profile NAME --help` asks for; `None`: it is the usual help that is asked for.
pub fn profile_help(arguments: impl IntoIterator<Item = String>) -> Option<&'static str> {
    let arguments: Vec<String> = arguments.into_iter().collect();
    let asks =
        arguments.iter().any(|word| word == "load") && arguments.iter().any(|word| word == "--help" || word == "-h");
    let named = arguments
        .iter()
        .zip(arguments.iter().skip(1))
        .find(|(word, _)| *word == "--profile")
        .map(|(_, name)| name.as_str());
    let name = named.or_else(|| arguments.iter().find_map(|word| word.strip_prefix("--profile=")))?;
    asks.then(|| PROFILES.iter().find(|profile| profile.name == name).map(|profile| profile.text)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        load: LoadArguments,
    }

    fn task(line: &str) -> Result<Task, String> {
        let words = std::iter::once("load").chain(line.split_whitespace());
        let parsed = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        parsed.load.task(line.to_owned()).map_err(|error| error.to_string())
    }

    fn request(line: &str) -> Request {
        match task(line) {
            Ok(Task::Measure(request, _)) => *request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_becomes_a_plan() {
        let line = "--browsers wss://a.example/ws,wss://b.example/ws --dns 100-299 --secret s --calls 150 --hold 2.5 \
                    --direction in --transport tcp --full-band --frame 40 --pid 7,8 --floor --at 40,90 --repeat 5";
        let request = request(line);
        let plan = &request.plan;
        assert_eq!((plan.browsers.urls.len(), plan.calls.concurrent, plan.browsers.frame_ms), (2, 150, 40));
        assert_eq!((plan.direction, plan.trunk.transport), (Direction::In, Transport::Tcp));
        assert_eq!((plan.calls.hold, plan.browsers.profile), (Duration::from_millis(2500), BrowserProfile::FullBand));
        assert_eq!(request.mode, Mode::At { percents: vec![40, 90], capacity: None });
        assert!(request.floor && request.repeat == 5);
        assert!(matches!(&request.server, Target::Running { pids, .. } if pids == &[7, 8]));
    }

    #[test]
    fn a_run_by_ourselves_needs_no_address_and_has_the_floor_beside_it() {
        let own = request("--self");
        assert!(matches!(own.server, Target::Own) && own.floor && !own.plan.browsers.secret.is_empty());
        assert!(!request("--self --no-floor").floor);
        assert!(task("--self --browsers wss://a/ws").is_err());
    }

    #[test]
    fn what_is_missing_or_wrong_is_told_by_its_option() {
        let told = |line: &str| task(line).expect_err("wrong");
        assert!(told("").starts_with("--browsers: "), "{}", told(""));
        assert!(told("--profile nobody").starts_with("--profile: nobody"));
        assert!(told("--self --hold 0").starts_with("--hold: "));
        assert!(told("--self --hold nan").starts_with("--hold: "));
        assert!(told("--browsers wss://a/ws --dns 9-1").contains("first-last"));
        assert!(told("--self --complexity 11").contains("11"));
    }

    #[test]
    fn a_profile_is_weaker_than_the_line() {
        let plan = request("--profile asterisk").plan;
        assert_eq!(plan.browsers.urls, ["wss://127.0.0.1:8089/ws"]);
        let plan = request("--profile asterisk --browsers ws://127.0.0.1:8088/ws --domain d").plan;
        assert_eq!((plan.browsers.urls.len(), plan.browsers.domain.as_deref()), (1, Some("d")));
    }

    #[test]
    fn rtpengine_needs_neither_browsers_nor_numbers() {
        let plan = request("--profile rtpengine --ng 127.0.0.1:2223 --calls 1200").plan;
        assert_eq!(plan.ends, Ends::Rtpengine { ng: ([127, 0, 0, 1], 2223).into() });
    }

    #[test]
    fn help_of_a_profile_is_its_own_text() {
        let help = |line: &str| profile_help(line.split_whitespace().map(str::to_owned));
        assert!(
            help("crosspoint load --profile asterisk --help").is_some_and(|text| text.contains("transcode_via_sln"))
        );
        assert!(help("crosspoint load --help --profile=freeswitch").is_some_and(|text| text.contains("opus.conf.xml")));
        assert_eq!(help("crosspoint load --profile asterisk"), None);
        assert_eq!(help("crosspoint load --help"), None);
    }
}
