//! A whole gateway on ports of its own, with a sipp trunk or the lab's stand-in behind it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crosspoint::app::{App, RunningApp};
use crosspoint::config::Config;
use crosspoint::lab;

use crate::agent::{Agent, Library, SignIn};
use crate::page_server::PageServer;
use crate::proxy::Proxy;
use crate::webdriver::{Kind, free_port};

/// Domain of the addresses of record.
pub const DOMAIN: &str = "crosspoint.test";
/// Password of every DN.
pub const PASSWORD: &str = "correct horse";

/// A running gateway, and the page of its agents.
pub struct Rig {
    pub app: RunningApp,
    page_origin: String,
    page: std::sync::Mutex<Option<PageServer>>,
    _state: tempfile::TempDir,
}

/// Media ports that no other rig of this process uses, below those that the system gives out.
pub fn media_ports() -> (u16, u16) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 28_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 70 * 64;
    (first, first + 63)
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
        Rig::run(page, &lab::scenario::configure(&text, keys).expect("a configuration")).await
    }

    /// As [`Rig::start`], with media at another address of this machine, and other versions of DTLS.
    pub async fn with_media(media: Ipv4Addr, dtls: &str, trunk: SocketAddr, more: &str) -> Rig {
        let page = PageServer::start().await;
        let text = text(media, dtls, trunk, more, &page.origin());
        Rig::run(page, &text).await
    }

    async fn run(page: PageServer, text: &str) -> Rig {
        let origin = page.origin();
        let config = Config::parse(text, "test.toml", []).expect("a good configuration");
        let state = tempfile::tempdir().expect("a folder");
        let app = App::new(config).state_folder(state.path()).run().await.expect("the gateway starts");
        Rig { app, page_origin: origin, page: std::sync::Mutex::new(Some(page)), _state: state }
    }

    /// Address of the gateway's SIP socket.
    pub fn sip(&self) -> SocketAddr {
        self.app.addresses().sip[0]
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
    let (first, last) = media_ports();
    format!(
        r#"
        [server]
        domain = "{DOMAIN}"
        [[sip]]
        bind = "127.0.0.1:0"
        [[listener]]
        bind = "127.0.0.1:0"
        origins = ["{origin}"]
        [[listener]]
        bind = "127.0.0.1:0"
        tls = false
        origins = ["{origin}"]
        [media]
        addresses = [{{ bind = "{media}" }}]
        ports = "{first}-{last}"
        workers = 1
        reserve = 4
        dtls = "{dtls}"
        [[trunk]]
        name = "genesys"
        addresses = ["{trunk}"]
        [[dn]]
        number = "5001-5999"
        secret = "{PASSWORD}"
        {more}
        "#
    )
}

/// A sipp that plays the trunk, ended by its own pid.
pub struct Sipp {
    child: Child,
    folder: tempfile::TempDir,
}

impl Sipp {
    /// Waits for one call and echoes its media.
    pub fn answers(port: u16) -> Sipp {
        Sipp::spawn("uas_echo.xml", port, &[])
    }

    /// Calls `dn` at the gateway from `port`, which the gateway knows as its trunk, and echoes the media.
    pub fn calls(port: u16, gateway: SocketAddr, dn: &str) -> Sipp {
        Sipp::spawn("uac_echo.xml", port, &["-s", dn, &gateway.to_string()])
    }

    /// Calls `dn` as [`Sipp::calls`] does, and has its phone answer by NOTIFY talk.
    pub fn talks(port: u16, gateway: SocketAddr, dn: &str) -> Sipp {
        Sipp::spawn("uac_talk.xml", port, &["-s", dn, &gateway.to_string()])
    }

    fn spawn(scenario: &str, port: u16, more: &[&str]) -> Sipp {
        let folder = tempfile::tempdir().expect("a folder");
        let scenario: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/sipp").join(scenario);
        let child = Command::new("sipp")
            .current_dir(folder.path())
            .args(["-sf", &scenario.to_string_lossy(), "-m", "1", "-i", "127.0.0.1", "-p", &port.to_string()])
            .args(["-mi", "127.0.0.1", "-mp", &media_port().to_string(), "-rtp_echo", "-nostdin", "-trace_err"])
            .args(["-trace_msg", "-timeout", "60"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("sipp: {e}; `make test` installs it"));
        Sipp { child, folder }
    }

    /// Waits for the end of the scenario; anything but success fails with what sipp has to say.
    pub async fn succeeds(mut self) {
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                assert!(status.success(), "sipp ended with {status}: {}", self.words());
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("sipp does not end: {}", self.words());
    }

    /// Its error and message logs.
    fn words(&self) -> String {
        let files = std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten();
        files.filter_map(|f| std::fs::read_to_string(f.path()).ok()).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An even port for sipp's media; it takes the next two as well.
fn media_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let _ = free_port();
    36_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 100 * 8
}
