//! `crosspoint load`: drives any SIP/WebRTC gateway with browsers and trunk ends, and reports what it costs (feature `load`).
//!
//! It sees a gateway from outside: only its network side, and `/proc` for what it costs. It takes the protocols' pure rooms and
//! nothing of our own gateway, so that no peer is measured with another yard than ours. Beside the gateway, in the same run and
//! by the same driver, it measures the [`floor`]: what those calls cost at least.
//!
//! ```text
//!  LoadPlan ──► engine: browsers (WSS, ICE, DTLS-SRTP Opus) ─┐
//!                       trunk ends (SIP, RTP G.711)          ├─ Second per second ──► measure ──► report
//!                       the floor's two plain ends           ┘  Outcome at the end       │
//!                                                                                 process (/proc of --pid)
//! ```
//!
//! The engine has one door, `engine::drive(&LoadPlan, mpsc::Sender<Second>) -> Result<Outcome, LoadError>`: a future that ends
//! when all calls have ended, and that hangs up what it can when it is dropped.

pub mod arguments;
pub mod browser;
pub mod child;
pub mod command;
pub mod delay;
pub mod engine;
pub mod floor;
pub mod measure;
pub mod outcome;
pub mod peer;
pub mod plan;
pub mod ports;
pub mod process;
pub mod report;
pub mod terminal;
pub mod trunk;
pub mod voice;
pub mod witness;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

pub use outcome::{CallOutcome, Histogram, Outcome, Second};
pub use plan::LoadPlan;

/// Why a run could not be made; a call that fails is no such reason, but an outcome.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// What is asked for cannot be carried out.
    #[error(transparent)]
    Plan(#[from] plan::PlanError),
    /// An address of ours could not be bound.
    #[error("{address}: {source}")]
    Bind {
        /// What was to be bound.
        address: SocketAddr,
        /// Why it was not.
        source: io::Error,
    },
    /// The target does not answer at all.
    #[error("{target}: {reason}")]
    Unreachable {
        /// URL or address.
        target: String,
        /// Why.
        reason: String,
    },
    /// A process that is measured cannot be seen, or is gone.
    #[error("pid {pid}: {reason}")]
    Process {
        /// Its number.
        pid: u32,
        /// Why.
        reason: String,
    },
    /// A thread could not be pinned.
    #[error("core {core}: {source}")]
    Core {
        /// Number of the core.
        core: usize,
        /// Why.
        source: io::Error,
    },
    /// A process that we start (the gateway of `--self`, the floor) did not come up.
    #[error("{name}: {reason}")]
    Child {
        /// What it is.
        name: &'static str,
        /// Why.
        reason: String,
    },
    /// A report could not be read or written.
    #[error("{}: {reason}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// All runs were made, and calls came to nothing or had the wrong sound.
    #[error("{0}")]
    Unsound(String),
    /// Ctrl-C.
    #[error("stopped before the end: no report")]
    Stopped,
    /// A thread or runtime of the driver could not be had.
    #[error("driver: {0}")]
    Driver(#[from] io::Error),
}

/// Makes the calls of a plan against a server that is seen from the network only, and tells of each second.
///
/// # Errors
/// What keeps the run from being made; calls that fail are in the report.
pub async fn run(plan: LoadPlan, mut progress: impl FnMut(&Second)) -> Result<report::LoadReport, LoadError> {
    let request = measure::Request {
        plan,
        mode: measure::Mode::Once,
        repeat: 1,
        floor: false,
        settings: report::FloorSettings::default(),
        server: measure::Target::Running { profile: "a gateway".to_owned(), pids: Vec::new() },
        server_core: None,
        command: String::new(),
    };
    let told = |told: measure::Progress<'_>| {
        if let measure::Progress::Second(second) = told {
            progress(second);
        }
    };
    measure::measure(&request, engine::drive, told).await
}
