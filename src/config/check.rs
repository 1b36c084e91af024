//! What the types cannot say about a configuration, and how many calls it carries.

use std::fmt::Display;

use super::{AuthAlgorithm, Config, ConfigError, DnEntry, ListenerConfig};
use crate::http::origin::is_origin;

/// Descriptors of the process besides sockets of calls and listeners: standard streams, epoll, files, spare.
const FIXED_DESCRIPTORS: u64 = 64;
/// Descriptors of a call between a browser and the trunk: WebSocket, RTP, RTCP.
const CALL_DESCRIPTORS: u64 = 3;

/// How many calls between a browser and the trunk a configuration carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// By the number of file descriptors, one registered browser per call counted in.
    pub by_descriptors: u64,
    /// By the port range, for the legs of one media address.
    pub by_ports: u64,
    /// By `limits.calls`, if it is set.
    pub by_limit: Option<u64>,
}

impl Capacity {
    /// Returns the least of them.
    pub fn calls(&self) -> u64 {
        self.by_descriptors.min(self.by_ports).min(self.by_limit.unwrap_or(u64::MAX))
    }
}

impl Config {
    /// Works out how many calls fit. `nofile`: the limit of file descriptors; `cores`: what 0 workers stand for.
    pub fn capacity(&self, nofile: u64, cores: usize) -> Capacity {
        let workers = if self.media.workers == 0 { cores.max(1) } else { self.media.workers };
        let addresses = self.media.addresses.len();
        let reserved = workers * self.media.reserve * 2;
        // Per worker: one socket per address, the poll and its eventfd.
        let standing = self.listeners.len() + self.sip.len() + workers * (addresses + 2) + reserved;
        let left = nofile.saturating_sub(FIXED_DESCRIPTORS).saturating_sub(standing as u64);
        // The first port of each worker's share is its browsers'; pairs begin at an even port.
        let pairs = (self.media.ports.count() / workers).saturating_sub(1) / 2 * workers;
        Capacity {
            by_descriptors: left / CALL_DESCRIPTORS,
            by_ports: pairs as u64,
            by_limit: (self.limits.calls > 0).then_some(self.limits.calls as u64),
        }
    }

    pub(super) fn check(&self, file: &str) -> Result<(), ConfigError> {
        let file = File(file);
        self.check_server(&file)?;
        for (at, listener) in self.listeners.iter().enumerate() {
            check_listener(listener, &format!("listener[{at}]"), &file)?;
        }
        self.check_sip(&file)?;
        self.check_media(&file)?;
        self.check_trunks(&file)?;
        self.check_opus(&file)?;
        self.check_sounds(&file)?;
        self.check_upkeep(&file)?;
        self.check_sessions(&file)?;
        for (at, dn) in self.dns.iter().enumerate() {
            self.check_dn(at, dn, &file)?;
        }
        for number in self.overrides.keys() {
            let key = format!("CROSSPOINT_DN_{number}_SECRET");
            file.must(self.dn(number).is_some(), key, "…", "a number, or a whole entry, of [[dn]]")?;
        }
        self.check_limits(&file)?;
        self.check_calls(&file)?;
        self.check_capture(&file)?;
        self.check_gws(&file)?;
        self.check_sinks(&file)?;
        self.check_cometd(&file)?;
        self.check_desk(&file)?;
        let is_lab_number = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit() || b == b'+');
        for (at, number) in self.lab.numbers.iter().enumerate() {
            file.must(is_lab_number(&number.number), format!("lab.number[{at}].number"), &number.number, "digits")?;
        }
        Ok(())
    }

    fn check_server(&self, file: &File) -> Result<(), ConfigError> {
        let domain = &self.server.domain;
        let is_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
        let ok = !domain.is_empty() && domain.len() <= 253 && domain.bytes().all(is_host);
        file.must(ok, "server.domain", domain, "a domain name or an address")?;
        let agent = &self.server.user_agent;
        let ok = !agent.is_empty() && agent.len() <= 200 && agent.bytes().all(|b| (b' '..=b'~').contains(&b));
        file.must(ok, "server.user_agent", agent, "1 to 200 printable ASCII characters")?;
        file.must(!self.listeners.is_empty(), "listener", "[]", "at least one [[listener]]")?;
        file.must(!self.sip.is_empty(), "sip", "[]", "at least one [[sip]]")?;
        file.must(!self.trunks.is_empty(), "trunk", "[]", "at least one [[trunk]]")?;
        file.must(!self.dns.is_empty(), "dn", "[]", "at least one [[dn]]")
    }

    fn check_media(&self, file: &File) -> Result<(), ConfigError> {
        let media = &self.media;
        file.must(!media.addresses.is_empty(), "media.addresses", "[]", "at least one { bind, advertise }")?;
        for (at, address) in media.addresses.iter().enumerate() {
            let told = address.advertised();
            let ok = !told.is_unspecified() && !told.is_multicast() && told.is_ipv4() == address.bind.is_ipv4();
            let allowed = "an address of the same family that peers can reach";
            file.must(ok, format!("media.addresses[{at}].advertise"), told, allowed)?;
            let twice = media.addresses.iter().take(at).any(|other| other.bind == address.bind);
            file.must(!twice, format!("media.addresses[{at}].bind"), address.bind, "each address once")?;
        }
        file.must(media.workers <= 256, "media.workers", media.workers, "0 (one per core) to 256")?;
        file.must((1..=1024).contains(&media.reserve), "media.reserve", media.reserve, "1 to 1024 port pairs")?;
        file.must((-20..20).contains(&media.nice), "media.nice", media.nice, "-20 (before all others) to 19")?;
        let hold = media.reorder_hold_ms;
        file.must(hold <= 100, "media.reorder_hold_ms", hold, "0 (off) to 100 ms")?;
        let ports = format!("{}-{}", media.ports.first, media.ports.last);
        let enough = media.ports.count() > media.workers.max(1) * 2;
        file.must(enough, "media.ports", ports, "at least three ports per worker")
    }

    fn check_dn(&self, at: usize, dn: &DnEntry, file: &File) -> Result<(), ConfigError> {
        let key = |name: &str| format!("dn[{at}].{name}");
        if let Some(other) = self.dns.iter().take(at).find(|other| other.number.overlaps(&dn.number)) {
            let allowed = format!("numbers that are not in \"{}\" already", other.number);
            file.must(false, key("number"), &dn.number, &allowed)?;
        }
        let variable = format!("CROSSPOINT_DN_{}_SECRET", dn.number.variable());
        let either = dn.secret.is_some() != dn.ha1.is_some();
        file.must(either, key("secret"), "…", &format!("either secret (or {variable}) or ha1"))?;
        let is_empty = dn.secret.as_ref().is_some_and(|s| s.0.is_empty());
        file.must(!is_empty, key("secret"), "\"\"", "at least one character")?;
        if let Some(ha1) = &dn.ha1 {
            file.must(dn.number.is_single(), key("ha1"), "…", "a single number: the number is part of the hash")?;
            let digits = match dn.auth {
                Some(AuthAlgorithm::Sha256) => 64,
                Some(AuthAlgorithm::Md5) | None => 32,
            };
            let ok = ha1.0.len() == digits && ha1.0.bytes().all(|b| b.is_ascii_hexdigit());
            file.must(ok, key("ha1"), "…", &format!("{digits} hex digits"))?;
        }
        let ring = dn.ring_seconds.unwrap_or(1);
        file.must((1..=3600).contains(&ring), key("ring_seconds"), ring, "1 to 3600")?;
        file.must((1..=1000).contains(&dn.calls), key("calls"), dn.calls, "1 to 1000")
    }

    fn check_limits(&self, file: &File) -> Result<(), ConfigError> {
        let l = &self.limits;
        let percent = l.overload_percent;
        file.must((10..=100).contains(&percent), "limits.overload_percent", percent, "10 to 100")?;
        file.must((1..=3600).contains(&l.ring_seconds), "limits.ring_seconds", l.ring_seconds, "1 to 3600")?;
        file.must((1..=100).contains(&l.bindings), "limits.bindings", l.bindings, "1 to 100")?;
        let (least, most) = (l.min_expires_seconds, l.max_expires_seconds);
        // RFC 3261 10.3: 423 only for less than an hour.
        file.must((1..=3600).contains(&least), "limits.min_expires_seconds", least, "1 to 3600")?;
        let allowed = "limits.min_expires_seconds to 86400";
        file.must((least..=86_400).contains(&most), "limits.max_expires_seconds", most, allowed)?;
        file.must(l.requests_per_second > 0, "limits.requests_per_second", 0, "at least 1")?;
        let most = l.connections;
        file.must((1..=1_000_000).contains(&most), "limits.connections", most, "1 to 1000000")?;
        file.must(l.connections_per_address > 0, "limits.connections_per_address", 0, "at least 1")
    }
}

fn check_listener(listener: &ListenerConfig, key: &str, file: &File) -> Result<(), ConfigError> {
    let key = |name: &str| format!("{key}.{name}");
    let ok = listener.tls || listener.allow_plain || listener.bind.ip().is_loopback();
    file.must(ok, key("tls"), listener.tls, "true, or a loopback address, or allow_plain = true")?;
    let both = listener.certificate.is_some() == listener.key.is_some();
    file.must(both, key("key"), if both { "" } else { "one of two" }, "certificate and key, or neither")?;
    let ok = listener.path.starts_with('/') && listener.path.bytes().all(|b| b.is_ascii_graphic() && b != b'?');
    file.must(ok, key("path"), &listener.path, "a path that begins with /")?;
    let lists = [("origins", &listener.origins), ("frame_ancestors", &listener.frame_ancestors)];
    for (name, origin) in lists.iter().flat_map(|(name, list)| list.iter().map(move |origin| (name, origin))) {
        let allowed = "\"https://host\" or \"https://host:port\", nothing behind it";
        file.must(is_origin(origin), key(name), origin, allowed)?;
    }
    Ok(())
}

/// The file's name, for messages.
pub(super) struct File<'a>(&'a str);

impl File<'_> {
    pub(super) fn must(
        &self,
        ok: bool,
        key: impl Into<String>,
        value: impl Display,
        allowed: &str,
    ) -> Result<(), ConfigError> {
        if ok {
            return Ok(());
        }
        let value = value.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Err(ConfigError::Value { file: self.0.to_owned(), key: key.into(), value, allowed: allowed.to_owned() })
    }
}
