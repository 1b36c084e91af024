//! The configuration: one TOML file, its secrets overridden by the environment.
//!
//! [`Config`] holds the file's shape with plain types and nothing of other rooms; the application maps it to what each
//! room asks for. Every key is commented in `config/gateway.toml`. A mistake is one line: file, key, value, what is
//! allowed.
//!
//! We do not take unknown keys, because a misspelt limit is no limit; we take names for trunks alone, because a resolver
//! that is down must not change where media goes.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use crate::gateway::Overload;
use crate::webrtc::dtls::DtlsVersions;

mod audio;
mod calls;
mod capture;
mod check;
mod cometd;
mod desk;
mod dn;
mod gws;
mod lab;
mod parse;
mod session;
mod sink;
mod sounds;
mod trunk;
mod upkeep;

pub use audio::{BrowserCodecConfig, OpusConfig, OpusOverride};
pub use calls::{CallsConfig, LocalCallsConfig, RedirectsConfig};
pub use capture::CaptureConfig;
pub use check::Capacity;
pub use cometd::{CometdConfig, CometdCookie, CometdTransport};
pub use desk::{AgentEntry, DeskConfig, NotificationType};
pub use dn::{Dn, DnEntry, DnRange, Secret};
pub use gws::{GwsAgentConfig, GwsConfig};
pub use lab::{LabBehaviour, LabConfig, LabCustomer, LabNumber, LabQueue};
pub use parse::ConfigError;
pub use session::{ProvisionalsConfig, RefresherConfig, SessionConfig};
pub use sink::{OutboxConfig, SinkConfig, SinkKindConfig, SinkLoginConfig};
pub use sounds::{CadenceConfig, HoldConfig, HoldMusic, SoundConfig, TonesConfig};
pub use trunk::{DnsConfig, NetConfig, PeerAddress, PeerHost, SipConfig, SipTransport, TrunkConfig, TrunkTlsConfig};
pub use upkeep::{AccountConfig, RegisterConfig, RegistrationConfig, RouteConfig, Seconds};

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[server]`
    #[serde(default)]
    pub server: ServerConfig,
    /// `[[listener]]`: HTTPS with WSS, or HTTP with WS.
    #[serde(default, rename = "listener")]
    pub listeners: Vec<ListenerConfig>,
    /// `[[sip]]`: SIP over UDP, TCP, TLS.
    #[serde(default)]
    pub sip: Vec<SipConfig>,
    /// `[media]`
    #[serde(default)]
    pub media: MediaConfig,
    /// `[opus]`
    #[serde(default)]
    pub opus: OpusConfig,
    /// `[sounds]`: names and files.
    #[serde(default)]
    pub sounds: BTreeMap<String, SoundConfig>,
    /// `[hold]`
    #[serde(default)]
    pub hold: HoldConfig,
    /// `[tones]`
    #[serde(default)]
    pub tones: TonesConfig,
    /// `[[trunk]]`
    #[serde(default, rename = "trunk")]
    pub trunks: Vec<TrunkConfig>,
    /// `[[route]]`
    #[serde(default, rename = "route")]
    pub routes: Vec<RouteConfig>,
    /// `[dns]`: who is asked for the names of trunks.
    #[serde(default, rename = "dns")]
    pub resolver: DnsConfig,
    /// `[[dn]]`; look up by [`Config::dn`].
    #[serde(default, rename = "dn")]
    pub dns: Vec<DnEntry>,
    /// `[calls]`
    #[serde(default)]
    pub calls: CallsConfig,
    /// `[capture]`
    #[serde(default)]
    pub capture: CaptureConfig,
    /// `[outbox]`
    #[serde(default)]
    pub outbox: OutboxConfig,
    /// `[[sink]]`
    #[serde(default, rename = "sink")]
    pub sinks: Vec<SinkConfig>,
    /// `[[gws]]`
    #[serde(default)]
    pub gws: Vec<GwsConfig>,
    /// `[desk]`
    #[serde(default)]
    pub desk: DeskConfig,
    /// `[[agent]]`
    #[serde(default, rename = "agent")]
    pub agents: Vec<AgentEntry>,
    /// `[cometd]`
    #[serde(default)]
    pub cometd: CometdConfig,
    /// `[limits]`
    #[serde(default)]
    pub limits: LimitsConfig,
    /// `[log]`
    #[serde(default)]
    pub log: LogConfig,
    /// `[lab]`, for `crosspoint lab` only.
    #[serde(default)]
    pub lab: LabConfig,
    /// Secrets of single DNs out of the environment.
    #[serde(skip)]
    overrides: std::collections::HashMap<String, Secret>,
}

/// `[server]`: who we are.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Domain of the addresses of record, and digest realm.
    pub domain: String,
    /// User-Agent and Server header fields.
    pub user_agent: String,
    /// How long calls may go on after a shutdown was asked for, seconds; then they are ended with BYE.
    pub drain_seconds: u32,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig { domain: "crosspoint.invalid".to_owned(), user_agent: "crosspoint".to_owned(), drain_seconds: 0 }
    }
}

/// Digest algorithm that is asked for (RFC 8760).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum AuthAlgorithm {
    /// MD5 alone: what JsSIP and SIP.js understand.
    #[default]
    #[serde(rename = "md5")]
    Md5,
    /// SHA-256.
    #[serde(rename = "sha-256")]
    Sha256,
}

/// `[[listener]]`: one TCP listener for pages, WebSocket and metrics.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerConfig {
    /// Address and port.
    pub bind: SocketAddr,
    /// TLS; without it the address must be a loopback one.
    #[serde(default = "yes")]
    pub tls: bool,
    /// Certificate chain, PEM; without it a self-signed one is made at first use.
    pub certificate: Option<PathBuf>,
    /// Private key, PEM.
    pub key: Option<PathBuf>,
    /// Path of SIP over WebSocket.
    #[serde(default = "ws_path")]
    pub path: String,
    /// Origins allowed beside the listener's own.
    #[serde(default)]
    pub origins: Vec<String>,
    /// Origins whose pages may show the phone in a frame, beside the listener's own.
    #[serde(default)]
    pub frame_ancestors: Vec<String>,
    /// Digest algorithm for requests that come in here.
    #[serde(default)]
    pub auth: AuthAlgorithm,
    /// Serves the phone page and the dashboard.
    #[serde(default = "yes")]
    pub pages: bool,
    /// Allows plain text beyond loopback.
    #[serde(default)]
    pub allow_plain: bool,
    /// Refuses a WebSocket request that has no Origin, as no browser sends it.
    #[serde(default)]
    pub require_origin: bool,
    /// Shows `/metrics` to every address, not to loopback alone.
    #[serde(default)]
    pub public_metrics: bool,
    /// Lets anybody shake hands with CometD, and see nothing of agents.
    #[serde(default)]
    pub anonymous_cometd: bool,
}

fn yes() -> bool {
    true
}

fn ws_path() -> String {
    "/ws".to_owned()
}

/// Which media sources besides the signalled one a trunk leg believes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LatchConfig {
    /// None.
    Off,
    /// Another port of the signalled address.
    #[default]
    Port,
    /// Another address too.
    Any,
}

impl From<LatchConfig> for crate::plan::Latch {
    fn from(latch: LatchConfig) -> Self {
        match latch {
            LatchConfig::Off => crate::plan::Latch::Off,
            LatchConfig::Port => crate::plan::Latch::Port,
            LatchConfig::Any => crate::plan::Latch::Any,
        }
    }
}

/// One entry of `media.addresses`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaAddressConfig {
    /// Address that the sockets are bound to.
    pub bind: IpAddr,
    /// What peers are told (candidates, `c=`); `bind` where it is not said.
    pub advertise: Option<IpAddr>,
}

impl MediaAddressConfig {
    /// Returns what peers are told.
    pub fn advertised(&self) -> IpAddr {
        self.advertise.unwrap_or(self.bind)
    }
}

/// `[media]`: the media threads.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MediaConfig {
    /// Addresses, most preferred first.
    pub addresses: Vec<MediaAddressConfig>,
    /// Ports of browser and trunk legs.
    pub ports: PortRange,
    /// Threads; 0: one per core.
    pub workers: usize,
    /// Niceness of these threads, where the process may have it.
    pub nice: i8,
    /// Port pairs that each thread keeps bound in advance.
    pub reserve: usize,
    /// How long a packet that shows a gap waits for what is missing, ms.
    pub reorder_hold_ms: u16,
    /// For trunks that do not say.
    pub latch: LatchConfig,
    /// Versions of DTLS towards browsers.
    pub dtls: DtlsConfig,
}

/// Versions of DTLS towards browsers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum DtlsConfig {
    /// 1.2 alone: the choice of the SRTP profile is ours, so AES-GCM.
    #[default]
    #[serde(rename = "1.2")]
    V12,
    /// 1.3 where the browser has it; it is given the SRTP profile that it names first.
    #[serde(rename = "auto")]
    Auto,
}

impl From<DtlsConfig> for DtlsVersions {
    fn from(versions: DtlsConfig) -> Self {
        match versions {
            DtlsConfig::V12 => DtlsVersions::V12,
            DtlsConfig::Auto => DtlsVersions::Auto,
        }
    }
}

impl Default for MediaConfig {
    fn default() -> Self {
        MediaConfig {
            addresses: Vec::new(),
            ports: PortRange { first: 10_000, last: 20_000 },
            workers: 0,
            nice: -10,
            reserve: 32,
            reorder_hold_ms: 0,
            latch: LatchConfig::Port,
            dtls: DtlsConfig::V12,
        }
    }
}

/// A range of UDP ports, `"first-last"`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PortRange {
    /// First port, at least 1024.
    pub first: u16,
    /// Last port.
    pub last: u16,
}

impl PortRange {
    /// Returns the number of ports.
    pub fn count(&self) -> usize {
        usize::from(self.last - self.first) + 1
    }
}

impl TryFrom<String> for PortRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let ends = text.split_once('-').and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
        match ends {
            Some((first, last)) if (1024..last).contains(&first) => Ok(PortRange { first, last }),
            _ => Err(format!("not a port range; allowed: \"first-last\" within 1024 to 65535, got \"{text}\"")),
        }
    }
}

/// A codec of a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodecConfig {
    /// µ-law.
    Pcmu,
    /// A-law.
    Pcma,
}

impl From<CodecConfig> for crate::plan::AudioCodec {
    fn from(codec: CodecConfig) -> Self {
        match codec {
            CodecConfig::Pcmu => crate::plan::AudioCodec::Pcmu,
            CodecConfig::Pcma => crate::plan::AudioCodec::Pcma,
        }
    }
}

/// `limits.overload`: what becomes of new calls while a worker has too much to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverloadConfig {
    /// 503 with Retry-After.
    #[default]
    Refuse,
    /// Browsers are offered G.711 first.
    G711,
}

impl From<OverloadConfig> for Overload {
    fn from(overload: OverloadConfig) -> Overload {
        match overload {
            OverloadConfig::Refuse => Overload::Refuse,
            OverloadConfig::G711 => Overload::G711,
        }
    }
}

/// `[limits]`: what anybody may ask of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Calls at a time; 0: as many as ports and descriptors allow.
    pub calls: usize,
    /// Share of a worker's core, in percent, from which it takes no new calls as usual.
    pub overload_percent: u8,
    /// What becomes of new calls then.
    pub overload: OverloadConfig,
    /// Seconds that a DN rings before 480.
    pub ring_seconds: u32,
    /// Bindings of one DN.
    pub bindings: usize,
    /// Shortest registration, seconds.
    pub min_expires_seconds: u32,
    /// Longest registration, seconds.
    pub max_expires_seconds: u32,
    /// Requests per second from one address that is neither a trunk nor authenticated.
    pub requests_per_second: u32,
    /// Connections at a time, all listeners together.
    pub connections: usize,
    /// Connections from one address.
    pub connections_per_address: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig {
            calls: 0,
            overload_percent: 85,
            overload: OverloadConfig::Refuse,
            ring_seconds: 60,
            bindings: 10,
            min_expires_seconds: 60,
            max_expires_seconds: 3600,
            requests_per_second: 50,
            connections: 10_000,
            connections_per_address: 1000,
        }
    }
}

/// Shape of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Filter as `tracing` reads it: `info`, `warn,crosspoint=debug`.
    pub filter: String,
    /// Shape of the lines.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

#[cfg(test)]
mod tests;
