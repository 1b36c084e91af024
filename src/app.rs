//! The composition: binds the sockets, starts the media threads, the gateway and the listeners; and ends them again.
//!
//! ```no_run
//! # async fn example(config: crosspoint::config::Config) -> Result<(), Box<dyn std::error::Error>> {
//! let gateway = crosspoint::app::App::start(config).await?;
//! let mut events = gateway.events();
//! while let Some(event) = events.next().await {
//!     println!("{:?}", event.kind);
//! }
//! gateway.shutdown().await;
//! # Ok(()) }
//! ```

mod compose;
mod password;
mod reload;
mod remote;
mod sinks;
mod sip;

pub use password::{PasswordError, hash_password};

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::{JoinHandle, JoinSet};

pub use remote::Remote;

use crate::call::{CallEvent, Command};
use crate::config::{Config, ListenerConfig};
use crate::gateway::{Gateway, ListenerId};
use crate::http::server::Door;
use crate::http::{self, LabHint};
use crate::io::accept::{self, Gate};
use crate::io::capture;
use crate::io::desk;
use crate::io::notice;
use crate::io::resolve::NoResolver;
use crate::io::signalling::{self, Figures, Handle};
use crate::io::tally::Tally;
use crate::io::tls::{CertificateSource, Certificates, TlsError};
use crate::io::worker::{self, WorkerConfig};
use crate::webrtc::dtls::{Certificate, CertificateError};

/// How long calls have to end after a shutdown was asked for.
const SHUTDOWN_TIME: Duration = Duration::from_millis(2500);
/// How often a gateway that drains looks whether calls are left.
const DRAIN_LOOK: Duration = Duration::from_millis(100);
/// How often the certificate files are looked at.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(2);

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket could not be bound.
    #[error("{what} {address}: {error}")]
    Bind {
        /// What it is for.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// Plain HTTP beyond loopback without leave.
    #[error("listener {0}: plain HTTP beyond loopback needs allow_plain = true")]
    Plain(SocketAddr),
    /// The path of a listener's WebSocket cannot be one.
    #[error(
        "listener {0}: path = {1}: allowed: / and letters, digits, - _ . and none of /health, /metrics, /config.json"
    )]
    Path(SocketAddr, String),
    /// The certificate of a listener.
    #[error("listener {address}: {error}")]
    Tls {
        /// Which listener.
        address: SocketAddr,
        /// Why.
        error: TlsError,
    },
    /// The certificate of the browsers' media.
    #[error(transparent)]
    Dtls(#[from] CertificateError),
    /// A media thread.
    #[error("media worker: {0}")]
    Worker(std::io::Error),
    /// The task of signalling.
    #[error("signalling: {0}")]
    Signalling(std::io::Error),
    /// A sound of `[sounds]`.
    #[error("sounds.{name} = {}: {why}", .file.display())]
    Sound {
        /// Its name.
        name: String,
        /// Its file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The folder of captures.
    #[error("capture.folder = {}: {error}; allowed: a folder that can be written to, or made", .folder.display())]
    Capture {
        /// The folder.
        folder: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The TLS settings of a trunk.
    #[error("trunk {trunk}: {error}")]
    TrunkTls {
        /// Which trunk.
        trunk: String,
        /// Why.
        error: TlsError,
    },
    /// The TLS settings of a GWS.
    #[error("gws {gws}: {error}")]
    GwsTls {
        /// Which GWS.
        gws: String,
        /// Why.
        error: TlsError,
    },
    /// A sink, a GWS that is listened to, or the outbox.
    #[error("sinks: {0}")]
    Sinks(#[from] crate::io::sink::SinkError),
    /// Nothing to look up the names of trunks with.
    #[error(transparent)]
    Resolver(#[from] NoResolver),
    /// A name that DNS has no address of; said by [`check`] alone, because a name may come to be known.
    #[error("trunk {trunk}: addresses = {name}: allowed: a name that DNS knows")]
    UnknownName {
        /// Which trunk.
        trunk: String,
        /// The name.
        name: String,
    },
}

/// A gateway that is yet to start.
#[derive(Debug)]
pub struct App {
    config: Config,
    state: PathBuf,
    lab: Option<LabHint>,
    certificate_look: Duration,
    file: Option<PathBuf>,
    routes: axum::Router,
}

impl App {
    /// Takes the configuration.
    pub fn new(config: Config) -> App {
        let routes = axum::Router::new();
        App { config, state: "var".into(), lab: None, certificate_look: CERTIFICATE_LOOK, file: None, routes }
    }

    /// Keeps what is made at first use (self-signed certificates) in `folder`; by default `var`.
    pub fn state_folder(self, folder: impl Into<PathBuf>) -> App {
        App { state: folder.into(), ..self }
    }

    /// Has the phone page show how to sign in to a lab.
    pub fn lab_hint(self, hint: LabHint) -> App {
        App { lab: Some(hint), ..self }
    }

    /// Looks for changes of the file that the configuration is from, as often as for certificates and at [`Remote::reload`], and
    /// takes up its agents.
    pub fn watch_file(self, file: impl Into<PathBuf>) -> App {
        App { file: Some(file.into()), ..self }
    }

    /// Serves these, too, at each listener that is bound to loopback; their paths must be none of the gateway's own.
    pub fn routes(self, routes: axum::Router) -> App {
        App { routes, ..self }
    }

    /// Looks for changed certificate files so often; by default every 2 s.
    pub fn certificate_look(self, every: Duration) -> App {
        App { certificate_look: every, ..self }
    }

    /// Starts with the defaults of [`App::new`].
    pub async fn start(config: Config) -> Result<RunningApp, StartError> {
        App::new(config).run().await
    }

    /// Binds everything and starts. To be called within a tokio runtime.
    pub async fn run(self) -> Result<RunningApp, StartError> {
        crate::io::raise_descriptor_limit();
        let tally = Arc::new(Tally::default());
        let sockets = self.bind().await?;
        let certificate = Arc::new(Certificate::generate(self.config.media.dtls.into())?);
        let (addresses, settings) = {
            let bound = sockets.addresses();
            (bound.clone(), compose::gateway(&self.config, &bound)?)
        };
        let sounds = compose::sounds(&self.config)?;
        let dialling = sip::dialling(&self.config, &addresses.sip)?;
        let locator = sip::locator(&self.config)?;
        let upstreams = compose::upstreams(&self.config)?;
        let (sink, capture) = self.capture(&addresses, &tally)?.unzip();
        let wake = Arc::new(Notify::new());
        let mut workers = Vec::new();
        for worker in compose::workers(&self.config, &sounds) {
            let wake = wake.clone();
            let worker = WorkerConfig { capture: sink.clone(), ..worker };
            match worker::spawn(worker, certificate.clone(), move || wake.notify_one()) {
                Ok(handle) => workers.push(handle),
                Err(error) => {
                    workers.into_iter().for_each(worker::WorkerHandle::stop);
                    return Err(StartError::Worker(error));
                }
            }
        }
        drop(sink);
        let sites = workers.iter().map(worker::WorkerHandle::site).collect();
        let gateway = Gateway::new(settings, sites, certificate.fingerprint(), rand::make_rng(), Instant::now());
        let Sockets { sip: sockets, http: bound } = sockets;
        let (mut udp, mut streams) = (Vec::new(), Vec::new());
        for (at, socket) in sockets.into_iter().enumerate() {
            match socket {
                sip::Socket::Udp(socket) => udp.push((ListenerId(at), socket)),
                sip::Socket::Stream(bound) => streams.push((ListenerId(at), bound)),
            }
        }
        let desk_settings = compose::desk(&self.config);
        let (notices, notice_reader) = desk_settings.as_ref().map(|_| notice::queue(notice::QUEUE)).unzip();
        let parts = signalling::Parts {
            gateway,
            workers,
            wake,
            udp,
            tally: tally.clone(),
            dialling,
            locator,
            capture,
            notices,
        };
        let (signalling, task) =
            signalling::spawn(&signalling::Config::default(), parts).map_err(StartError::Signalling)?;
        let outward = sinks::Outward::start(&self.config, &self.state)?;
        let mut running = RunningApp {
            events: signalling.events(),
            signalling,
            task,
            stop: watch::channel(false).0,
            listeners: JoinSet::new(),
            addresses,
            drain: Duration::from_secs(u64::from(self.config.server.drain_seconds)),
            desk: None,
            reload: None,
            outward,
        };
        running.desk = desk_settings.map(|config| {
            let signalling = notice_reader.map(|reader| (running.signalling.clone(), reader));
            desk::spawn(config, desk::Links { signalling, ..running.outward.links() })
        });
        if let (Some(file), Some((desk, _))) = (&self.file, &running.desk) {
            let asked = running.reload.insert(Arc::default()).clone();
            let watch = reload::watch(file.clone(), self.certificate_look, self.config.clone(), desk.clone(), asked);
            running.listeners.spawn(watch);
        }
        let gate = sip::gate(&self.config, tally.clone());
        for stream in streams {
            let (stop, signalling) = (running.stop.subscribe(), running.signalling.clone());
            let look = self.certificate_look;
            sip::listen(&mut running.listeners, stream, gate.clone(), stop, signalling, look);
        }
        let gate = Gate::new(compose::limits(&self.config), tally);
        let gws = Arc::new(http::gws::Proxy::new(upstreams, running.stop.subscribe()));
        for (at, listener) in bound.into_iter().enumerate() {
            self.listen(&mut running, at, listener, (gate.clone(), gws.clone()));
        }
        Ok(running)
    }

    /// Makes the folder of captures and starts their writer, where there is to be one.
    fn capture(
        &self,
        bound: &Addresses,
        tally: &Arc<Tally>,
    ) -> Result<Option<(capture::Sink, capture::Capture)>, StartError> {
        let Some(config) = compose::capture(&self.config, bound) else { return Ok(None) };
        let folder = config.folder.clone();
        let started = capture::make_folder(&folder).and_then(|()| capture::spawn(config, tally.clone()));
        started.map(Some).map_err(|error| StartError::Capture { folder, error })
    }

    async fn bind(&self) -> Result<Sockets, StartError> {
        let mut sockets = Sockets { sip: Vec::new(), http: Vec::new() };
        for sip in &self.config.sip {
            sockets.sip.push(sip::bind(&self.config, sip, &self.state).await?);
        }
        for listener in &self.config.listeners {
            let address = listener.bind;
            if !listener.tls && !listener.allow_plain && !address.ip().is_loopback() {
                return Err(StartError::Plain(address));
            }
            check_path(listener)?;
            let tls = match listener.tls {
                true => Some(self.certificates(listener).map_err(|error| StartError::Tls { address, error })?),
                false => None,
            };
            let failed = |error| StartError::Bind { what: "listener", address, error };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            sockets.http.push(Bound { listener, address, tls });
        }
        Ok(sockets)
    }

    fn certificates(&self, listener: &ListenerConfig) -> Result<Tls, TlsError> {
        let source = match (&listener.certificate, &listener.key) {
            (Some(cert), Some(key)) => CertificateSource::Files { cert: cert.clone(), key: key.clone() },
            _ => CertificateSource::SelfSigned {
                folder: self.state.join("tls"),
                names: compose::certificate_names(&self.config),
            },
        };
        let certificates = Certificates::load(&source)?;
        Ok(Tls { config: certificates.server_config(&["http/1.1"])?, certificates })
    }

    fn listen(&self, running: &mut RunningApp, at: usize, bound: Bound, shared: (Arc<Gate>, Arc<http::gws::Proxy>)) {
        let (gate, gws) = shared;
        let Bound { listener, address, tls } = bound;
        let config = Arc::new(compose::http(&self.config, at, self.lab.clone()));
        let parts = http::Parts {
            config: config.clone(),
            signalling: running.signalling.clone(),
            desk: running.desk.as_ref().map(|(handle, _)| handle.clone()),
            sinks: running.outward.tally(),
            gws,
        };
        let more = if address.ip().is_loopback() { self.routes.clone() } else { axum::Router::new() };
        let router = http::router_with(parts, more);
        let local_only = tls.is_none() && address.ip().is_loopback();
        let door = Door { listener: ListenerId(self.config.sip.len() + at), local_only };
        let stop = running.stop.subscribe();
        let stop_each = stop.clone();
        let tls = tls.map(|tls| {
            running.listeners.spawn(tls.certificates.watch(self.certificate_look));
            tls.config
        });
        running.listeners.spawn(accept::run(listener, tls, gate, stop, move |connection| {
            http::server::serve(connection, door, router.clone(), config.clone(), stop_each.clone())
        }));
    }
}

struct Tls {
    config: Arc<rustls::ServerConfig>,
    certificates: Arc<Certificates>,
}

struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
}

struct Sockets {
    sip: Vec<sip::Socket>,
    http: Vec<Bound>,
}

impl Sockets {
    fn addresses(&self) -> Addresses {
        Addresses {
            sip: self.sip.iter().filter_map(sip::Socket::address).collect(),
            http: self.http.iter().map(|bound| bound.address).collect(),
        }
    }
}

/// The addresses in force, in the order of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// SIP over UDP, TCP, TLS.
    pub sip: Vec<SocketAddr>,
    /// Listeners for pages and WebSockets.
    pub http: Vec<SocketAddr>,
}

/// A running gateway. [`RunningApp::shutdown`] ends it in good order; when dropped it stops without a word to anybody.
pub struct RunningApp {
    signalling: Handle,
    events: Option<broadcast::Receiver<Arc<CallEvent>>>,
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
    addresses: Addresses,
    drain: Duration,
    desk: Option<(desk::Handle, JoinHandle<()>)>,
    /// Has the file looked at, where it is watched.
    reload: Option<Arc<Notify>>,
    outward: sinks::Outward,
}

impl RunningApp {
    /// Returns the addresses in force: what a port 0 became.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Returns the call events from here on.
    pub fn events(&self) -> Events {
        Events(self.events.as_ref().map(broadcast::Receiver::resubscribe))
    }

    /// Asks something of a call; false where the gateway has ended.
    pub async fn command(&self, command: Command) -> bool {
        self.signalling.command(command).await.is_ok()
    }

    /// Returns the figures of this moment; `None` where the gateway has ended.
    pub async fn figures(&self) -> Option<Figures> {
        self.signalling.figures().await.ok()
    }

    /// Returns what the shell dropped and refused.
    pub fn tally(&self) -> &Tally {
        self.signalling.tally()
    }

    /// Takes no new connections and no new calls (503 with Retry-After), lets calls under way go on for `server.drain_seconds` (0 by default), then ends every call with
    /// BYE and closes all sockets; that takes 3 s at the most.
    pub async fn shutdown(mut self) {
        let _ = self.stop.send(true);
        let _ = self.signalling.drain().await;
        let _ = tokio::time::timeout(self.drain, self.calls_ended()).await;
        let _ = self.signalling.shutdown(Instant::now() + SHUTDOWN_TIME).await;
        // Signalling takes half a second beyond the deadline to close its connections.
        if tokio::time::timeout(SHUTDOWN_TIME + Duration::from_secs(1), &mut self.task).await.is_err() {
            self.task.abort();
        }
        // Requests that are held and WebSockets of desktops end with it.
        if let Some((desk, task)) = self.desk.take() {
            sinks::quiet(&desk).await;
            task.abort();
        }
        self.listeners.shutdown().await;
        self.outward.finish().await;
    }
}

impl RunningApp {
    async fn calls_ended(&self) {
        while self.figures().await.is_some_and(|figures| !figures.snapshot.calls.is_empty()) {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    }
}

impl Drop for RunningApp {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        self.task.abort();
    }
}

/// The log of call events, as it grows.
#[derive(Debug)]
pub struct Events(Option<broadcast::Receiver<Arc<CallEvent>>>);

impl Events {
    /// Returns the next event; `None` once the gateway has ended. A reader that falls thousands of events behind loses
    /// the oldest; that is logged, and `sequence` shows the gap.
    pub async fn next(&mut self) -> Option<Arc<CallEvent>> {
        loop {
            match self.0.as_mut()?.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(lost)) => {
                    tracing::warn!(lost, "call events lost by a slow reader")
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

fn check_path(listener: &ListenerConfig) -> Result<(), StartError> {
    match http::is_ws_path(&listener.path) {
        true => Ok(()),
        false => Err(StartError::Path(listener.bind, listener.path.clone())),
    }
}

/// Returns what [`App::run`] would refuse, as far as that is known without binding or making anything.
pub fn check(config: &Config) -> Result<(), StartError> {
    config.listeners.iter().try_for_each(check_path)?;
    let wanted = Addresses {
        sip: config.sip.iter().map(|sip| sip.bind).collect(),
        http: config.listeners.iter().map(|listener| listener.bind).collect(),
    };
    compose::gateway(config, &wanted)?;
    compose::sounds(config)?;
    if let Some(folder) = &config.capture.folder {
        capture::check_folder(folder).map_err(|error| StartError::Capture { folder: folder.clone(), error })?;
    }
    for listener in config.listeners.iter().filter(|l| l.tls) {
        if let (Some(cert), Some(key)) = (&listener.certificate, &listener.key) {
            let source = CertificateSource::Files { cert: cert.clone(), key: key.clone() };
            Certificates::load(&source).map_err(|error| StartError::Tls { address: listener.bind, error })?;
        }
    }
    for socket in &config.sip {
        if let (Some(cert), Some(key)) = (&socket.certificate, &socket.key) {
            let source = CertificateSource::Files { cert: cert.clone(), key: key.clone() };
            Certificates::load(&source).map_err(|error| StartError::Tls { address: socket.bind, error })?;
        }
    }
    sinks::check(config, &default_state_folder())?;
    sip::dialling(config, &wanted.sip).map(drop)
}

/// Asks DNS for the names of trunks; says of the first one that it knows no address of it. A gateway starts without them
/// all the same, and asks again.
pub async fn check_names(config: &Config) -> Result<(), StartError> {
    sip::unknown_name(config).await
}

/// Returns the folder for what is made at first use: `CROSSPOINT_STATE`, else `var`.
pub fn default_state_folder() -> PathBuf {
    std::env::var_os("CROSSPOINT_STATE").map_or_else(|| Path::new("var").into(), PathBuf::from)
}

/// Returns how the configuration wants its log.
pub fn log(config: &Config) -> crate::telemetry::Config {
    let json = config.log.format == crate::config::LogFormat::Json;
    crate::telemetry::Config { filter: config.log.filter.clone(), json }
}
