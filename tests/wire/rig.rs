//! A gateway on ports of its own: the whole program, or the web side and signalling alone with other limits.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crosspoint::app::{App, RunningApp, StartError};
use crosspoint::config::Config;
use crosspoint::gateway::{
    CallPolicy, DnRule, DnSet, Gateway, GatewayConfig, Listener, ListenerId, MediaPolicy, RegistrationPolicy, Secret,
};
use crosspoint::http::server::Door;
use crosspoint::http::{self, PageConfig};
use crosspoint::io::accept::{self, Gate, Limits};
use crosspoint::io::connect::Dialling;
use crosspoint::io::desk;
use crosspoint::io::signalling::{self, Handle};
use crosspoint::io::tally::{Count, Tally};
use crosspoint::path::Transport;
use crosspoint::plan::Fingerprint;
use crosspoint::sip::endpoint::SourceLimit;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

use crate::ports::Ranges;
use crate::site::Site;

pub const PASSWORD: &str = "correct horse";
pub const DOMAIN: &str = "crosspoint.test";

/// The whole program: a SIP socket, an HTTPS and an HTTP listener.
pub struct Rig {
    pub app: RunningApp,
    pub folder: tempfile::TempDir,
}

/// Three times the rigs of a whole run: one that lives for 32 s keeps its own while others come and go.
static PORTS: Ranges = Ranges::new(20_500..31_700, 32);

/// Returns media ports that no other test has, the first and the last.
pub fn media_ports() -> (u16, u16) {
    PORTS.next()
}

pub fn config(more: &str) -> Config {
    Config::parse(&text(more), "test.toml", []).expect("a good configuration")
}

pub fn text(more: &str) -> String {
    let listeners = r#"
        [[listener]]
        bind = "127.0.0.1:0"
        [[listener]]
        bind = "127.0.0.1:0"
        tls = false
        origins = ["https://desk.example"]
    "#;
    let site = Site {
        domain: DOMAIN,
        password: PASSWORD,
        listeners,
        sip: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        media: Ipv4Addr::LOCALHOST,
        ports: PORTS.next(),
        media_keys: "reserve = 2",
        trunk: ("genesys", SocketAddr::from((Ipv4Addr::LOCALHOST, 5999))),
    };
    site.text(more)
}

impl Rig {
    pub async fn start() -> Rig {
        Rig::with(config("")).await
    }

    pub async fn with(config: Config) -> Rig {
        let folder = tempfile::tempdir().expect("folder");
        let app = Rig::try_with(config, folder.path()).await.expect("started");
        Rig { app, folder }
    }

    pub async fn try_with(config: Config, folder: &Path) -> Result<RunningApp, StartError> {
        App::new(config).state_folder(folder).certificate_look(Duration::from_millis(20)).run().await
    }

    pub fn https(&self) -> SocketAddr {
        self.app.addresses().http[0]
    }

    pub fn http(&self) -> SocketAddr {
        self.app.addresses().http[1]
    }

    pub fn sip(&self) -> SocketAddr {
        self.app.addresses().sip[0]
    }
}

/// One plain listener and signalling, without media threads.
pub struct Web {
    pub address: SocketAddr,
    pub signalling: Handle,
    _stop: watch::Sender<bool>,
}

pub fn rules() -> http::Config {
    let page = PageConfig { ws_path: "/ws".into(), domain: DOMAIN.into(), lab: None, desk: false, gws: Vec::new() };
    http::Config { page: Some(page), ..http::Config::default() }
}

impl Web {
    pub async fn start(rules: http::Config, limits: Limits) -> Web {
        Web::with_desk(rules, limits, None).await
    }

    /// With the agents' side, too.
    pub async fn with_desk(rules: http::Config, limits: Limits, desk: Option<desk::Handle>) -> Web {
        Web::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), rules, limits, desk).await
    }

    /// At an address that another one had, too.
    pub async fn at(address: SocketAddr, rules: http::Config, limits: Limits, desk: Option<desk::Handle>) -> Web {
        let listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(error) if address.port() == 0 => panic!("{error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let address = listener.local_addr().expect("bound");
        let web = Listener { transport: Transport::Ws, bind: address, advertise: address.to_string(), sha256: false };
        let config = GatewayConfig {
            realm: DOMAIN.into(),
            user_agent: "crosspoint".into(),
            listeners: vec![web],
            trunks: Vec::new(),
            routes: Vec::new(),
            dns: vec![DnRule {
                dns: DnSet::One("5001".into()),
                secret: Secret::Plain(PASSWORD.into()),
                sha256: false,
                dial: Vec::new(),
                trunk_secret: None,
                ring: None,
                answer: crosspoint::call::AnswerMode::Page,
                resume: false,
                opus: Default::default(),
                codecs: Vec::new(),
                calls: 10,
            }],
            registration: RegistrationPolicy::default(),
            calls: CallPolicy::default(),
            media: MediaPolicy::default(),
            source_limit: SourceLimit::default(),
            tones: crosspoint::call::Tones::default(),
            hold: crosspoint::plan::Source::Nothing,
            capture: crosspoint::gateway::CapturePolicy::default(),
        };
        let gateway = Gateway::new(config, Vec::new(), Fingerprint([7; 32]), StdRng::seed_from_u64(1), Instant::now());
        let tally = Arc::new(Tally::default());
        let parts = signalling::Parts {
            gateway,
            workers: Vec::new(),
            wake: Arc::new(Notify::new()),
            udp: Vec::new(),
            tally: tally.clone(),
            dialling: Dialling::default(),
            locator: None,
            capture: None,
            notices: None,
        };
        let (signalling, _) = signalling::spawn(&signalling::Config::default(), parts).expect("spawned");
        let rules = Arc::new(rules);
        let router = http::router(http::Parts {
            config: rules.clone(),
            signalling: signalling.clone(),
            desk,
            gws: Default::default(),
            sinks: None,
        });
        let stop = watch::channel(false).0;
        let (stop_accept, stop_each) = (stop.subscribe(), stop.subscribe());
        let door = Door { listener: ListenerId(0), local_only: true };
        tokio::spawn(accept::run(listener, None, Gate::new(limits, tally), stop_accept, move |connection| {
            http::server::serve(connection, door, router.clone(), rules.clone(), stop_each.clone())
        }));
        Web { address, signalling, _stop: stop }
    }

    /// Waits until something was counted.
    pub async fn counted(&self, count: Count) {
        eventually(|| self.signalling.tally().get(count) > 0).await;
    }

    /// Waits until so many flows are open.
    pub async fn flows(&self, wanted: usize) {
        let reached = tokio::time::timeout(Duration::from_secs(10), async {
            while self.signalling.figures().await.expect("alive").snapshot.flows != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        reached.await.expect("the flows come and go");
    }
}

/// Waits until `met`, at most 10 s.
pub async fn eventually(met: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !met() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("it happens within 10 s");
}
