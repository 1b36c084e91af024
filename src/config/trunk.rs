//! `[[sip]]` and `[[trunk]]`: our SIP sockets and the peers that they reach.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use super::check::File;
use super::{
    AccountConfig, CodecConfig, Config, ConfigError, HoldMusic, LatchConfig, RegisterConfig, RegistrationConfig,
    Seconds, SessionConfig,
};
use crate::path::{Net, Transport};

/// What a SIP socket or a SIP peer speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SipTransport {
    /// Datagrams.
    #[default]
    Udp,
    /// A stream.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl From<SipTransport> for Transport {
    fn from(transport: SipTransport) -> Transport {
        match transport {
            SipTransport::Udp => Transport::Udp,
            SipTransport::Tcp => Transport::Tcp,
            SipTransport::Tls => Transport::Tls,
        }
    }
}

/// `[[sip]]`: one SIP socket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SipConfig {
    /// Address and port of the socket.
    pub bind: SocketAddr,
    /// What it speaks.
    #[serde(default)]
    pub transport: SipTransport,
    /// What peers are told (Via, Contact); `bind` where it is not said.
    pub advertise: Option<SocketAddr>,
    /// Certificate chain of a TLS socket, PEM; without it a self-signed one is made at first use.
    pub certificate: Option<PathBuf>,
    /// Private key, PEM.
    pub key: Option<PathBuf>,
}

impl SipConfig {
    /// Returns what peers are told.
    pub fn advertised(&self) -> SocketAddr {
        self.advertise.unwrap_or(self.bind)
    }

    fn is_udp(&self) -> bool {
        self.transport == SipTransport::Udp
    }
}

/// `[[trunk]]`: one SIP peer, a group of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrunkConfig {
    /// Name, for logs and metrics.
    pub name: String,
    /// Addresses or names of the peer, tried in order; requests from any of them are believed.
    pub addresses: Vec<PeerAddress>,
    /// What those addresses speak that do not say; without it UDP for an address, and what DNS says for a name.
    pub transport: Option<SipTransport>,
    /// Further networks whose requests are believed.
    #[serde(default)]
    pub sources: Vec<NetConfig>,
    /// Rules for TLS connections to it.
    pub tls: Option<TrunkTlsConfig>,
    /// Requests over 1300 bytes go by TCP where the address is one by UDP.
    pub large_over_tcp: Option<bool>,
    /// Codecs in order of preference.
    #[serde(default = "both_laws")]
    pub codecs: Vec<CodecConfig>,
    /// It may send comfort noise in place of silence.
    #[serde(default)]
    pub comfort_noise: bool,
    /// How long what it sends waits at the most, ms; 0: not at all.
    #[serde(default)]
    pub dejitter_ms: u16,
    /// It waits for as long as the last seconds needed only.
    #[serde(default)]
    pub dejitter_adaptive: bool,
    /// The rule against media from elsewhere; `media.latch` where it is not said.
    pub latch: Option<LatchConfig>,
    /// Which advertised media address its legs use; the first where it is not said.
    pub media: Option<IpAddr>,
    /// Header fields that go along with a call to browsers, whole or with `*` at the end.
    pub carry: Option<Vec<String>>,
    /// Header fields of browsers that the trunk hears.
    pub carry_out: Option<Vec<String>>,
    /// What its parties hear on hold; `hold.music` where it is not said.
    pub hold_music: Option<HoldMusic>,
    /// It takes REFER and does transfers itself; else the gateway does them.
    #[serde(default)]
    pub refer: bool,
    /// Seconds between two OPTIONS to each target; 0: none.
    #[serde(default = "ping_seconds")]
    pub ping_seconds: u32,
    /// How long a new call waits for any response before the next target is tried.
    #[serde(default = "failover_seconds")]
    pub failover_seconds: Seconds,
    /// Whether DNs are registered there.
    #[serde(default)]
    pub register: RegisterConfig,
    /// How they are.
    #[serde(default)]
    pub registration: RegistrationConfig,
    /// What its challenges are answered with.
    pub account: Option<AccountConfig>,
    /// What its calls ask for.
    #[serde(default)]
    pub session: SessionConfig,
    /// What becomes of a 3xx.
    #[serde(default)]
    pub redirects: super::RedirectsConfig,
    /// How Opus is spoken with the browsers of its calls; `[opus]` where it is not said.
    #[serde(default)]
    pub opus: super::OpusOverride,
}

fn ping_seconds() -> u32 {
    30
}

fn failover_seconds() -> Seconds {
    Seconds(std::time::Duration::from_secs(2))
}

fn both_laws() -> Vec<CodecConfig> {
    vec![CodecConfig::Pcmu, CodecConfig::Pcma]
}

/// `trunk.tls`: whom we believe to be the peer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrunkTlsConfig {
    /// Authorities that are believed, PEM.
    pub ca: Option<PathBuf>,
    /// Name that the certificate must have; without it the name or address that we connect to.
    pub name: Option<String>,
    /// Our certificate chain, for peers that ask for one, PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// Without it anybody is believed.
    #[serde(default = "super::yes")]
    pub verify: bool,
}

/// One entry of `trunk.addresses`: `host`, `host:port`, either with `;transport=udp|tcp|tls`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PeerAddress {
    /// Who.
    pub host: PeerHost,
    /// Its port; without one the default, or what DNS says.
    pub port: Option<u16>,
    /// What it speaks.
    pub transport: Option<SipTransport>,
}

/// The host of a [`PeerAddress`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerHost {
    /// An address.
    Ip(IpAddr),
    /// A name, looked up by RFC 3263.
    Name(String),
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> PeerAddress {
        PeerAddress { host: PeerHost::Ip(address.ip()), port: Some(address.port()), transport: None }
    }
}

impl std::fmt::Display for PeerHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PeerHost::Ip(ip) => ip.fmt(f),
            PeerHost::Name(name) => f.write_str(name),
        }
    }
}

impl TryFrom<String> for PeerAddress {
    type Error = String;

    fn try_from(text: String) -> Result<PeerAddress, String> {
        let allowed = "allowed: \"host\" or \"host:port\", with \";transport=udp\", tcp or tls";
        parse_address(&text).ok_or_else(|| format!("not the address of a SIP peer; {allowed}, got \"{text}\""))
    }
}

fn parse_address(text: &str) -> Option<PeerAddress> {
    let (address, parameter) = text.split_once(';').map_or((text, None), |(address, rest)| (address, Some(rest)));
    let transport = match parameter {
        None => None,
        Some(parameter) => Some(match parameter.trim().strip_prefix("transport=")? {
            "udp" => SipTransport::Udp,
            "tcp" => SipTransport::Tcp,
            "tls" => SipTransport::Tls,
            _ => return None,
        }),
    };
    let address = address.trim();
    let ip = |ip, port| Some(PeerAddress { host: PeerHost::Ip(ip), port, transport });
    if let Ok(address) = address.parse::<SocketAddr>() {
        return ip(address.ip(), Some(address.port()));
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return ip(address, None);
    }
    let (host, port) = match address.split_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (address, None),
    };
    is_name(host).then(|| PeerAddress { host: PeerHost::Name(host.to_ascii_lowercase()), port, transport })
}

/// A host name: labels of letters, digits, `-` and `_`, the last one not all digits (RFC 1123 2.1).
fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let is_sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        (1..=63).contains(&label.len())
            && label.bytes().all(is_sound)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let labels = || host.trim_end_matches('.').split('.');
    host.len() <= 253
        && labels().all(is_label)
        && labels().next_back().is_some_and(|last| last.bytes().any(|b| !b.is_ascii_digit()))
}

impl PeerAddress {
    /// Returns what it speaks; `None`: DNS says.
    pub fn transport(&self, trunk: &TrunkConfig) -> Option<SipTransport> {
        let told = self.transport.or(trunk.transport);
        match (&self.host, self.port) {
            // RFC 3263 4.1: neither an address nor a port leaves anything to look up.
            (PeerHost::Ip(_), _) | (PeerHost::Name(_), Some(_)) => Some(told.unwrap_or_default()),
            (PeerHost::Name(_), None) => told,
        }
    }

    /// Returns its address, unless it is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.host {
            PeerHost::Ip(ip) => Some(ip),
            PeerHost::Name(_) => None,
        }
    }

    /// Returns where it is, unless it is a name.
    pub fn socket(&self, trunk: &TrunkConfig) -> Option<SocketAddr> {
        let transport = Transport::from(self.transport(trunk)?);
        Some(SocketAddr::new(self.ip()?, self.port.unwrap_or(transport.default_port())))
    }
}

impl std::fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.host, self.port) {
            (PeerHost::Ip(ip), Some(port)) => write!(f, "{}", SocketAddr::new(*ip, port)),
            (PeerHost::Ip(ip), None) => write!(f, "{ip}"),
            (PeerHost::Name(name), Some(port)) => write!(f, "{name}:{port}"),
            (PeerHost::Name(name), None) => f.write_str(name),
        }
    }
}

/// One entry of `trunk.sources`: an address, or a network `address/bits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct NetConfig(pub Net);

impl TryFrom<String> for NetConfig {
    type Error = String;

    fn try_from(text: String) -> Result<NetConfig, String> {
        let refused = |_| format!("not a network; allowed: an IP address, or \"address/bits\", got \"{text}\"");
        text.parse().map(NetConfig).map_err(refused)
    }
}

impl Config {
    pub(super) fn check_sip(&self, file: &File) -> Result<(), ConfigError> {
        for (at, sip) in self.sip.iter().enumerate() {
            let key = |name: &str| format!("sip[{at}].{name}");
            let told = sip.advertised();
            let ok = !told.ip().is_unspecified() && !told.ip().is_multicast();
            file.must(ok, key("advertise"), told, "the \"address:port\" that peers can reach")?;
            let is_same =
                |other: &SipConfig| other.bind == sip.bind && other.bind.port() != 0 && other.is_udp() == sip.is_udp();
            let twice = self.sip.iter().take(at).any(is_same);
            file.must(!twice, key("bind"), sip.bind, "each address once for UDP and once for TCP or TLS")?;
            let clash = sip.is_udp() && (self.media.ports.first..=self.media.ports.last).contains(&sip.bind.port());
            file.must(!clash, key("bind"), sip.bind, "a port outside of media.ports")?;
            let both = sip.certificate.is_some() == sip.key.is_some();
            file.must(both, key("key"), if both { "" } else { "one of two" }, "certificate and key, or neither")?;
            let file_of =
                |path: &Option<PathBuf>| path.as_ref().map_or(String::new(), |path| path.display().to_string());
            let fits = sip.certificate.is_none() || sip.transport == SipTransport::Tls;
            file.must(fits, key("certificate"), file_of(&sip.certificate), "only with transport = \"tls\"")?;
        }
        Ok(())
    }

    pub(super) fn check_trunks(&self, file: &File) -> Result<(), ConfigError> {
        for (at, trunk) in self.trunks.iter().enumerate() {
            let key = |name: &str| format!("trunk[{at}].{name}");
            let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            let ok = !trunk.name.is_empty() && trunk.name.bytes().all(is_name);
            file.must(ok, key("name"), &trunk.name, "letters, digits, - _ .")?;
            let others = || self.trunks.iter().take(at);
            file.must(others().all(|t| t.name != trunk.name), key("name"), &trunk.name, "each name once")?;
            file.must(!trunk.addresses.is_empty(), key("addresses"), "[]", "at least one \"host:port\"")?;
            for address in &trunk.addresses {
                self.check_address(at, trunk, address, file)?;
            }
            self.check_trunk_tls(&key, trunk, file)?;
            file.must(trunk.dejitter_ms <= 200, key("dejitter_ms"), trunk.dejitter_ms, "0 (off) to 200 ms")?;
            let idle = trunk.dejitter_adaptive && trunk.dejitter_ms == 0;
            file.must(!idle, key("dejitter_adaptive"), true, "false, or dejitter_ms above 0")?;
            file.must(!trunk.codecs.is_empty(), key("codecs"), "[]", "\"pcmu\", \"pcma\"")?;
            if let Some(media) = trunk.media {
                let known = self.media.addresses.iter().any(|a| a.advertised() == media);
                let fits = trunk.addresses.iter().filter_map(PeerAddress::ip).all(|ip| ip.is_ipv4() == media.is_ipv4());
                let allowed = "an advertised address of media.addresses, of the family of the trunk's addresses";
                file.must(known && fits, key("media"), media, allowed)?;
            }
        }
        Ok(())
    }

    fn check_address(
        &self,
        at: usize,
        trunk: &TrunkConfig,
        address: &PeerAddress,
        file: &File,
    ) -> Result<(), ConfigError> {
        let key = format!("trunk[{at}].addresses");
        file.must(address.port != Some(0), &key, address, "a port of 1 to 65535, or none")?;
        let transport = address.transport(trunk);
        let has_socket = |sip: &SipConfig| {
            transport.is_none_or(|transport| transport == sip.transport)
                && address.ip().is_none_or(|ip| ip.is_ipv4() == sip.bind.is_ipv4())
        };
        let allowed = "an address that a [[sip]] socket of its transport and family reaches";
        file.must(self.sip.iter().any(has_socket), &key, address, allowed)?;
        let Some(ip) = address.ip() else { return Ok(()) };
        file.must(!ip.is_unspecified() && !ip.is_multicast(), &key, address, "the \"address:port\" of a SIP peer")?;
        let is_same = |other: &TrunkConfig| {
            let same = |a: &PeerAddress| a.socket(other) == address.socket(trunk) && a.transport(other) == transport;
            other.addresses.iter().any(same)
        };
        file.must(!self.trunks.iter().take(at).any(is_same), &key, address, "each address in one trunk")?;
        let mut others = trunk.addresses.iter().filter_map(PeerAddress::ip);
        let alike = others.all(|other| other.is_ipv4() == ip.is_ipv4());
        file.must(alike, &key, address, "addresses of one family, IPv4 or IPv6")?;
        let reached = self.media.addresses.iter().any(|a| a.bind.is_ipv4() == ip.is_ipv4());
        file.must(reached, &key, address, "a family that media.addresses has an address of")
    }

    fn check_trunk_tls(
        &self,
        key: &impl Fn(&str) -> String,
        trunk: &TrunkConfig,
        file: &File,
    ) -> Result<(), ConfigError> {
        let needed = trunk.addresses.iter().any(|a| a.transport(trunk) == Some(SipTransport::Tls));
        let Some(tls) = &trunk.tls else {
            return file.must(
                !needed,
                key("tls"),
                "none",
                "{ ca = \"file\" } for a peer by TLS, or { verify = false }",
            );
        };
        let ok = tls.ca.is_some() || !tls.verify;
        file.must(ok, key("tls.ca"), "none", "the file with the authorities that are believed, or verify = false")?;
        let both = tls.certificate.is_some() == tls.key.is_some();
        file.must(both, key("tls.key"), if both { "" } else { "one of two" }, "certificate and key, or neither")?;
        let name = tls.name.as_deref().unwrap_or("name");
        let ok = is_name(name) || name.parse::<IpAddr>().is_ok();
        file.must(ok, key("tls.name"), name, "a host name or an address")
    }
}

/// `[dns]`: who is asked for the names of trunks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DnsConfig {
    /// Name servers; none: those of the system.
    pub servers: Vec<SocketAddr>,
}
