//! A whole gateway on ports of its own, with a sipp trunk or the lab's stand-in behind it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

use crosspoint::app::{App, RunningApp};
use crosspoint::config::Config;
use crosspoint::lab;

use crate::agent::{Agent, Library, SignIn};
use crate::page_server::PageServer;
use crate::ports::Ranges;
use crate::proxy::Proxy;
use crate::sipp::Sipp;
use crate::site::Site;
use crate::webdriver::{Kind, free_port};

/// Domain of the addresses of record.
pub const DOMAIN: &str = "crosspoint.test";
/// Password of every DN.
pub const PASSWORD: &str = "correct horse";

/// A running gateway, and the page of its agents.
pub struct Rig {
    pub app: RunningApp,
    /// Where its trunk is.
    pub trunk: SocketAddr,
    /// Its configuration.
    pub text: String,
    page_origin: String,
    page: std::sync::Mutex<Option<PageServer>>,
    _state: tempfile::TempDir,
}

static PORTS: Ranges = Ranges::new(28_000..32_480, 64);

/// Media ports of one gateway: the first and the last.
pub fn media_ports() -> (u16, u16) {
    PORTS.next()
}

/// A UDP port of 127.0.0.1 that was free a moment ago.
pub fn free_udp_port() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    socket.local_addr().expect("a bound socket").port()
}

impl Rig {
    /// Starts a gateway whose trunk is at `trunk`; `more` is added to its configuration.
    pub async fn start(trunk: SocketAddr, more: &str) -> Rig {
        Rig::with_media(Ipv4Addr::LOCALHOST, "1.2", trunk, more).await
    }

    /// As [`Rig::start`]; `keys` are put into the configuration (`trunk.0.refer`, a value in TOML).
    pub async fn with_keys(trunk: SocketAddr, keys: &[(String, String)]) -> Rig {
        let page = PageServer::start().await;
        let text = text(Ipv4Addr::LOCALHOST, "1.2", trunk, "", &page.origin());
        Rig::run(page, trunk, &lab::scenario::configure(&text, keys).expect("a configuration")).await
    }

    /// As [`Rig::start`], with media at another address of this machine, and other versions of DTLS.
    pub async fn with_media(media: Ipv4Addr, dtls: &str, trunk: SocketAddr, more: &str) -> Rig {
        let page = PageServer::start().await;
        let text = text(media, dtls, trunk, more, &page.origin());
        Rig::run(page, trunk, &text).await
    }

    async fn run(page: PageServer, trunk: SocketAddr, text: &str) -> Rig {
        let origin = page.origin();
        let config = Config::parse(text, "test.toml", []).expect("a good configuration");
        let state = tempfile::tempdir().expect("a folder");
        let app = App::new(config).state_folder(state.path()).run().await.expect("the gateway starts");
        Rig {
            app,
            trunk,
            text: text.to_owned(),
            page_origin: origin,
            page: std::sync::Mutex::new(Some(page)),
            _state: state,
        }
    }

    /// Address of the gateway's SIP socket.
    pub fn sip(&self) -> SocketAddr {
        self.app.addresses().sip[0]
    }

    /// Where pages of another origin than the gateway's are, which it lets in.
    pub fn origin(&self) -> &str {
        &self.page_origin
    }

    /// What `dn` signs in with over WSS, sending a tone of `hz`.
    pub fn account(&self, dn: &str, hz: u32) -> SignIn {
        SignIn {
            url: format!("wss://localhost:{}/ws", self.app.addresses().http[0].port()),
            dn: dn.to_owned(),
            domain: DOMAIN.to_owned(),
            password: PASSWORD.to_owned(),
            hz,
        }
    }

    /// As [`Rig::account`], with a proxy between the browser and the gateway.
    pub fn account_by(&self, proxy: &Proxy, dn: &str, hz: u32) -> SignIn {
        SignIn { url: format!("wss://localhost:{}/ws", proxy.port()), ..self.account(dn, hz) }
    }

    /// Opens a browser on the allowed page, and signs in.
    pub async fn agent(&self, kind: Kind, library: Library, account: &SignIn) -> Agent {
        let page = self.page.lock().expect("not poisoned").take();
        Agent::open(kind, library, page, &self.page_origin, account).await
    }
}

/// The configuration of a gateway whose pages may come from `origin`.
fn text(media: Ipv4Addr, dtls: &str, trunk: SocketAddr, more: &str, origin: &str) -> String {
    let listeners = format!(
        r#"
        [[listener]]
        bind = "127.0.0.1:0"
        origins = ["{origin}"]
        [[listener]]
        bind = "127.0.0.1:0"
        tls = false
        origins = ["{origin}"]
        "#
    );
    let site = Site {
        domain: DOMAIN,
        password: PASSWORD,
        listeners: &listeners,
        sip: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        media,
        ports: media_ports(),
        media_keys: &format!("reserve = 4\ndtls = \"{dtls}\""),
        trunk: ("genesys", trunk),
    };
    site.text(more)
}

/// A sipp that plays the trunk, at a port of 127.0.0.1, and echoes its media.
pub struct Echo;

impl Echo {
    /// Waits for one call.
    pub fn answers(port: u16) -> Sipp {
        Echo::spawn("uas_echo", port, &[])
    }

    /// Calls `dn` at the gateway from `port`, which the gateway knows as its trunk.
    pub fn calls(port: u16, gateway: SocketAddr, dn: &str) -> Sipp {
        Echo::spawn("uac_echo", port, &["-s", dn, &gateway.to_string()])
    }

    /// Calls `dn` as [`Echo::calls`] does, and has its phone answer by NOTIFY talk.
    pub fn talks(port: u16, gateway: SocketAddr, dn: &str) -> Sipp {
        Echo::spawn("uac_talk", port, &["-s", dn, &gateway.to_string()])
    }

    fn spawn(scenario: &str, port: u16, more: &[&str]) -> Sipp {
        let media = media_port().to_string();
        let echo = ["-m", "1", "-mp", &media, "-rtp_echo"];
        let own = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Sipp::start(&format!("browser/sipp/{scenario}"), own, 60, &[&echo, more].concat())
    }
}

/// An even port for sipp's media; it takes the next two as well.
fn media_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let _ = free_port();
    36_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 100 * 8
}
