//! The command line, nothing else.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use crosspoint::app::{self, App, Remote, RunningApp};
use crosspoint::config::Config;
#[cfg(feature = "lab")]
use crosspoint::lab::scenario::Scenario;
use crosspoint::telemetry;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A media gateway between browsers (WebRTC, SIP over WebSocket) and a Genesys SIP Server (SIP, RTP).
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs the gateway.
    Serve {
        /// The configuration; `config/gateway.toml` explains every key.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Runs the gateway with a stand-in Genesys behind it, to try it on one machine.
    #[cfg(feature = "lab")]
    Lab {
        /// Another configuration than the built-in `config/lab.toml`.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Plays what a SIP Server does to the gateway, step by step, with you as the agent; `list` names the scenarios.
        #[arg(long, value_name = "NAME")]
        scenario: Option<String>,
    },
    /// Drives a SIP/WebRTC gateway with browsers and trunk ends, and reports what it costs.
    #[cfg(feature = "load")]
    Load(Box<crosspoint::load::arguments::LoadArguments>),
    /// Reads an agent's password and prints its hash, for `[[agent]]` of the configuration.
    HashPassword,
    /// Checks a configuration and says how many calls it carries.
    Check {
        /// The configuration.
        file: PathBuf,
    },
}

/// One line for the person at the terminal.
type Failure = String;

fn main() -> ExitCode {
    #[cfg(feature = "load")]
    if let Some(text) = crosspoint::load::arguments::profile_help(std::env::args()) {
        print!("{text}");
        return ExitCode::SUCCESS;
    }
    let done = match Arguments::parse().task {
        Task::Serve { config } => serve(&config),
        #[cfg(feature = "lab")]
        Task::Lab { scenario: Some(name), .. } if name == "list" => {
            print!("{}", crosspoint::lab::scenario::list());
            Ok(())
        }
        #[cfg(feature = "lab")]
        Task::Lab { config, scenario } => lab(config.as_deref(), scenario.as_deref()),
        #[cfg(feature = "load")]
        Task::Load(arguments) => {
            crosspoint::load::command::carry_out(*arguments, command()).map_err(|error| error.to_string())
        }
        Task::HashPassword => hash_password(),
        Task::Check { file } => check(&file),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("crosspoint: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The command as it was given, without its secret.
#[cfg(feature = "load")]
fn command() -> String {
    let mut words: Vec<String> = std::env::args().collect();
    if let Some(program) = words.first_mut() {
        *program = "crosspoint".to_owned();
    }
    for at in 0..words.len() {
        if words[at] == "--secret" && at + 1 < words.len() {
            words[at + 1] = "…".to_owned();
        } else if words[at].starts_with("--secret=") {
            words[at] = "--secret=…".to_owned();
        }
    }
    words.join(" ")
}

fn load(file: &Path) -> Result<Config, Failure> {
    Config::load(file).map_err(|error| error.to_string())
}

fn hash_password() -> Result<(), Failure> {
    let hash = app::hash_password().map_err(|error| error.to_string())?;
    println!("{hash}");
    Ok(())
}

fn check(file: &Path) -> Result<(), Failure> {
    let config = load(file)?;
    let in_file = |error| format!("{}: {error}", file.display());
    app::check(&config).map_err(in_file)?;
    with_runtime(async { app::check_names(&config).await.map_err(in_file) })?;
    let descriptors = crosspoint::io::raise_descriptor_limit();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let capacity = config.capacity(descriptors, cores);
    println!("{}: good", file.display());
    println!(
        "carries {} calls: {} by {descriptors} file descriptors, {} by media ports{}",
        capacity.calls(),
        capacity.by_descriptors,
        capacity.by_ports,
        capacity.by_limit.map_or(String::new(), |limit| format!(", {limit} by limits.calls")),
    );
    Ok(())
}

fn serve(file: &Path) -> Result<(), Failure> {
    let config = load(file)?;
    start_log(&config)?;
    let state = app::default_state_folder();
    let transports: Vec<_> = config.sip.iter().map(|sip| sip.transport).collect();
    with_runtime(async move {
        // From here on it ends nothing.
        let mut hangup = signal(SignalKind::hangup()).map_err(|error| error.to_string())?;
        let app = App::new(config).state_folder(state).watch_file(file);
        let running = app.run().await.map_err(|error| error.to_string())?;
        for (address, transport) in running.addresses().sip.iter().zip(transports) {
            tracing::info!(%address, ?transport, "SIP");
        }
        for address in &running.addresses().http {
            tracing::info!(%address, "pages and SIP over WebSocket");
        }
        let remote = running.remote();
        tokio::select! {
            done = run_until_asked(running) => done,
            never = reload(&remote, &mut hangup) => never,
        }
    })
}

/// Has the agents taken up at each SIGHUP.
async fn reload(remote: &Remote, hangup: &mut Signal) -> Result<(), Failure> {
    while hangup.recv().await.is_some() {
        if !remote.reload() {
            tracing::warn!("nothing to reload: there were no agents at the start");
        }
    }
    std::future::pending().await
}

fn start_log(config: &Config) -> Result<(), Failure> {
    telemetry::start(&app::log(config)).map_err(|error| error.to_string())
}

fn with_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let done = runtime.block_on(work);
    // After a second Ctrl-C nothing is waited for.
    runtime.shutdown_background();
    done
}

/// Waits for Ctrl-C or SIGTERM, and ends the gateway in good order; a second signal ends it at once.
async fn run_until_asked(running: RunningApp) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("ending all calls; once more to end at once");
    tokio::select! {
        () = running.shutdown() => Ok(()),
        _ = interrupt.recv() => Err("ended at once, calls were not released".into()),
        _ = terminate.recv() => Err("ended at once, calls were not released".into()),
    }
}

#[cfg(feature = "lab")]
const LAB: &str = include_str!("../config/lab.toml");

/// Reads the lab's configuration; that of a scenario has the keys that it needs.
#[cfg(feature = "lab")]
fn lab_config(file: Option<&Path>, scenario: Option<&str>) -> Result<(Config, Option<Scenario>), Failure> {
    let name = file.map_or("lab.toml".to_owned(), |file| file.display().to_string());
    let text = match file {
        Some(file) => std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?,
        None => LAB.to_owned(),
    };
    let environment = || std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let parse = |text: &str| Config::parse(text, &name, environment()).map_err(|error| error.to_string());
    let config = parse(&text)?;
    let Some(wanted) = scenario else { return Ok((config, None)) };
    let scenario = Scenario::find(wanted, config.lab.sip)?;
    let mut keys = scenario.config()?;
    if !keys.iter().any(|(key, _)| key == "trunk.0.ping_seconds") {
        // Nobody answers OPTIONS until the person is ready and the scenario begins.
        keys.push(("trunk.0.ping_seconds".to_owned(), "0".to_owned()));
    }
    let text = crosspoint::lab::scenario::configure(&text, &keys)?;
    Ok((parse(&text)?, Some(scenario)))
}

#[cfg(feature = "lab")]
fn lab(file: Option<&Path>, scenario: Option<&str>) -> Result<(), Failure> {
    use crosspoint::lab;

    let (config, scenario) = lab_config(file, scenario)?;
    start_log(&config)?;
    with_runtime(async move {
        let settings = lab::LabConfig::of(&config);
        let is_tls: Vec<bool> = config.listeners.iter().map(|listener| listener.tls).collect();
        let mut hint = lab::hint(&config);
        if scenario.is_some() {
            // Nobody answers them: the SIP Server of a scenario does what the scenario says.
            hint.numbers.clear();
        }
        let floor = std::sync::Arc::new(std::sync::OnceLock::new());
        let app = App::new(config).state_folder(app::default_state_folder()).lab_hint(hint.clone());
        let app = app.routes(lab::interactions::routes(floor.clone()));
        let running = app.run().await.map_err(|error| error.to_string())?;
        let of_kind = |tls: bool| -> Vec<_> {
            let addresses = running.addresses().http.iter().zip(&is_tls);
            addresses.filter(|(_, is_tls)| **is_tls == tls).map(|(address, _)| *address).collect()
        };
        let (plain, tls) = (of_kind(false), of_kind(true));
        if let Some(scenario) = scenario {
            let place = lab::scenario::Place::by_hand(settings.gateway);
            let phone = lab::phone_page(&plain, &tls);
            return tokio::select! {
                done = lab::play_by_hand(&scenario, &place, &hint, &phone) => done,
                done = run_until_asked(running) => done,
            };
        }
        let (address, queues) = (settings.sip, settings.queues.clone());
        let agents = lab::floor::of(running.remote(), &settings.queues).await;
        let agents = floor.get_or_init(|| agents).clone();
        let peer = lab::start_with(settings, Some(agents)).map_err(|error| format!("lab {address}: {error}"))?;
        println!("{}", lab::welcome(&hint, &queues, &plain, &tls));
        let done = tokio::select! {
            done = run_until_asked(running) => done,
            // The input may end (no terminal); the lab goes on.
            never = async { lab::console(&peer).await; std::future::pending().await } => never,
        };
        // The gateway's BYEs came first; the stand-in has answered them.
        peer.stop().await;
        done
    })
}
