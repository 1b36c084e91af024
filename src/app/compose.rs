//! From the configuration file's shape to what each room asks for.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Addresses, StartError};
use crate::config::{
    AuthAlgorithm, Config, DnEntry, MediaAddressConfig, PeerAddress, PeerHost, RedirectsConfig, SipConfig,
    SipTransport, TrunkConfig,
};
use crate::gateway::{
    BrowserCodec, CallPolicy, CapturePolicy, Destination, DnRule, DnSet, GatewayConfig, Listener, MediaPolicy,
    OverloadPolicy, RegistrationPolicy, Secret, Trunk,
};
use crate::http::{self, LabHint, PageConfig};
use crate::id::WorkerId;
use crate::io::accept::Limits;
use crate::io::capture;
use crate::io::worker::{MediaAddress, WorkerConfig};
use crate::media::Sound;
use crate::path::Transport;
use crate::sip::endpoint::SourceLimit;

/// How long a closed pair of ports ignores what still arrives.
const PORT_DRAIN: Duration = Duration::from_secs(2);
/// A source that was quiet may send what it is allowed in so many seconds at once: a room of browsers that come back.
const BURST_SECONDS: u32 = 5;
/// Orders that may wait for a worker.
const ORDER_QUEUE: usize = 4096;

/// Makes the gateway's settings; `bound` are the addresses in force.
pub(super) fn gateway(config: &Config, bound: &Addresses) -> Result<GatewayConfig, StartError> {
    let cores = cores();
    let capacity = config.capacity(crate::io::raise_descriptor_limit(), cores).calls();
    Ok(GatewayConfig {
        realm: config.server.domain.clone(),
        user_agent: config.server.user_agent.clone(),
        listeners: listeners(config, bound),
        trunks: trunks(config),
        routes: trunks::routes(config),
        dns: dns(config),
        registration: RegistrationPolicy {
            min_expires: seconds(config.limits.min_expires_seconds),
            max_expires: seconds(config.limits.max_expires_seconds),
            max_bindings: config.limits.bindings,
            ..RegistrationPolicy::default()
        },
        calls: CallPolicy {
            max_calls: usize::try_from(capacity).unwrap_or(usize::MAX),
            overload: OverloadPolicy { percent: config.limits.overload_percent, answer: config.limits.overload.into() },
            ring_timeout: seconds(config.limits.ring_seconds),
            flow_grace: seconds(config.calls.grace_seconds),
            refusal_tone: seconds(config.calls.refusal_tone_seconds),
            local: config.calls.local_calls.into(),
            transfer_timeout: seconds(config.calls.transfer_seconds),
            conference_stays: config.calls.conference_stays,
            ..CallPolicy::default()
        },
        media: MediaPolicy {
            opus: config.opus.params(),
            opus_ptime_ms: config.opus.frame_ms,
            narrowband: config.opus.narrowband,
            ..MediaPolicy::default()
        },
        source_limit: SourceLimit {
            per_second: config.limits.requests_per_second,
            burst: config.limits.requests_per_second.saturating_mul(BURST_SECONDS),
        },
        tones: config.tones.tones(),
        hold: config.hold_source(&config.hold.music),
        capture: capture_policy(config),
    })
}

fn listeners(config: &Config, bound: &Addresses) -> Vec<Listener> {
    let udp = config.sip.iter().zip(&bound.sip).map(|(sip, bind)| {
        let told = advertised(sip, bind).to_string();
        Listener { transport: sip.transport.into(), bind: *bind, advertise: told, sha256: false }
    });
    let web = config.listeners.iter().zip(&bound.http).map(|(listener, bind)| {
        let advertise = match bind.ip().is_unspecified() {
            true => format!("{}:{}", config.server.domain, bind.port()),
            false => bind.to_string(),
        };
        let transport = if listener.tls { Transport::Wss } else { Transport::Ws };
        Listener { transport, bind: *bind, advertise, sha256: listener.auth == AuthAlgorithm::Sha256 }
    });
    udp.chain(web).collect()
}

/// Returns what peers are told of a SIP socket that is bound to `bind`.
fn advertised(sip: &SipConfig, bind: &SocketAddr) -> SocketAddr {
    match sip.advertised() {
        told if told.port() == 0 => SocketAddr::new(told.ip(), bind.port()),
        told => told,
    }
}

fn trunks(config: &Config) -> Vec<Trunk> {
    let has_tcp = config.sip.iter().any(|sip| sip.transport == SipTransport::Tcp);
    let each = config.trunks.iter().map(|trunk| Trunk {
        name: trunk.name.clone(),
        destinations: trunk.addresses.iter().map(|address| destination(address, trunk)).collect(),
        sources: trunk.sources.iter().map(|net| net.0).collect(),
        tls_name: trunk.tls.as_ref().and_then(|tls| tls.name.clone()),
        large_over_tcp: trunk.large_over_tcp.unwrap_or(has_tcp),
        codecs: trunk.codecs.iter().map(|codec| (*codec).into()).collect(),
        ptime_ms: 20,
        comfort_noise: trunk.comfort_noise,
        dejitter: crate::plan::Dejitter { ms: trunk.dejitter_ms, adaptive: trunk.dejitter_adaptive },
        latch: trunk.latch.unwrap_or(config.media.latch).into(),
        media: trunk.media,
        carry: trunk.carried(),
        hold: trunk.hold_music.as_ref().map(|music| config.hold_source(music)),
        refer: trunk.refer,
        policy: trunks::policy(trunk),
        follow_redirects: trunk.redirects == RedirectsConfig::Follow,
        opus: trunk.opus.into(),
    });
    each.collect()
}

fn destination(address: &PeerAddress, trunk: &TrunkConfig) -> Destination {
    let transport = address.transport(trunk).map(Transport::from);
    match (&address.host, address.socket(trunk)) {
        (PeerHost::Ip(_), Some(addr)) => Destination::Address { transport: transport.unwrap_or(Transport::Udp), addr },
        (host, _) => Destination::Name { host: host.to_string(), port: address.port, transport },
    }
}

/// The first rule that a DN is in counts: secrets of single numbers come before their ranges.
fn dns(config: &Config) -> Vec<DnRule> {
    let single = config.single_secrets().map(|(number, secret)| {
        let (known, entry) = (config.dn(number), config.dn_entry(number));
        DnRule {
            dns: DnSet::One(number.to_owned()),
            secret: Secret::Plain(secret.0.clone()),
            sha256: known.is_some_and(|dn| dn.auth == Some(AuthAlgorithm::Sha256)),
            dial: entry.and_then(|entry| entry.dial.clone()).unwrap_or_default(),
            trunk_secret: trunks::secret(entry.and_then(|entry| entry.trunk_secret.as_ref())),
            ring: known.map(|dn| seconds(dn.ring_seconds)),
            answer: known.map(|dn| dn.answer.into()).unwrap_or_default(),
            resume: known.is_some_and(|dn| dn.resume),
            opus: entry.map(|entry| entry.opus.into()).unwrap_or_default(),
            codecs: entry.map(codecs).unwrap_or_default(),
            calls: entry.map_or(0, |entry| entry.calls),
        }
    });
    single.chain(config.dns.iter().filter_map(dn)).collect()
}

fn dn(entry: &DnEntry) -> Option<DnRule> {
    let sha256 = entry.auth == Some(AuthAlgorithm::Sha256);
    let secret = match (&entry.secret, &entry.ha1) {
        (Some(secret), _) => Secret::Plain(secret.0.clone()),
        (None, Some(ha1)) if sha256 => Secret::Ha1 { md5: None, sha256: Some(ha1.0.to_ascii_lowercase()) },
        (None, Some(ha1)) => Secret::Ha1 { md5: Some(ha1.0.to_ascii_lowercase()), sha256: None },
        (None, None) => return None,
    };
    Some(DnRule {
        dns: trunks::dn_set(&entry.number),
        secret,
        sha256,
        dial: entry.dial.clone().unwrap_or_default(),
        trunk_secret: trunks::secret(entry.trunk_secret.as_ref()),
        ring: entry.ring_seconds.map(seconds),
        answer: entry.answer.into(),
        resume: entry.resume,
        opus: entry.opus.into(),
        codecs: codecs(entry),
        calls: entry.calls,
    })
}

fn codecs(entry: &DnEntry) -> Vec<BrowserCodec> {
    entry.codecs.iter().map(|codec| (*codec).into()).collect()
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Shares the ports out among the media threads, each share from an even port on.
pub(super) fn workers(config: &Config, sounds: &Arc<[Sound]>) -> Vec<WorkerConfig> {
    let count = if config.media.workers == 0 { cores() } else { config.media.workers };
    let count = u16::try_from(count).unwrap_or(u16::MAX).max(1);
    let (first, last) = (config.media.ports.first, config.media.ports.last);
    let share = (((u32::from(last) - u32::from(first) + 1) / u32::from(count)) as u16 & !1).max(2);
    let media: Vec<_> = config
        .media
        .addresses
        .iter()
        .map(|address| MediaAddress { bind: address.bind, advertise: address.advertised() })
        .collect();
    (0..count)
        .map(|at| {
            let from = first.saturating_add(at.saturating_mul(share));
            let to = from.saturating_add(share - 1).min(last);
            WorkerConfig {
                worker: WorkerId(u64::from(at)),
                media: media.clone(),
                // The first port of a share is its browsers'.
                browser_port: from,
                rtp_ports: from.saturating_add(1)..=to,
                reserve: config.media.reserve,
                reorder_hold: std::time::Duration::from_millis(u64::from(config.media.reorder_hold_ms)),
                nice: config.media.nice,
                drain: PORT_DRAIN,
                queue: ORDER_QUEUE,
                sounds: sounds.clone(),
                capture: None,
                seed: rand::random(),
            }
        })
        .collect()
}

/// Names for a self-signed certificate: the domain, and every address that we tell or are bound to.
pub(super) fn certificate_names(config: &Config) -> Vec<String> {
    let told = config.media.addresses.iter().map(|address| address.advertised());
    let bound = config.listeners.iter().map(|listener| listener.bind.ip());
    let addresses = told.chain(bound).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
    let names: BTreeSet<String> = addresses.chain([config.server.domain.clone()]).collect();
    names.into_iter().collect()
}

fn capture_policy(config: &Config) -> CapturePolicy {
    CapturePolicy {
        available: config.capture.folder.is_some(),
        always: config.capture.always,
        dns: config.capture.dns.iter().map(trunks::dn_set).collect(),
    }
}

/// Makes the settings of the captures' writer; `None`: nothing can be captured. `bound` are the addresses in force.
pub(super) fn capture(config: &Config, bound: &Addresses) -> Option<capture::Config> {
    const MB: u64 = 1_000_000;
    let first = config.media.addresses.first().map(MediaAddressConfig::advertised);
    // In a file an address that stands for all would stand for none.
    let told = |address: SocketAddr| match (address.ip().is_unspecified(), first) {
        (true, Some(ip)) => SocketAddr::new(ip, address.port()),
        _ => address,
    };
    let sip = config.sip.iter().zip(&bound.sip).map(|(sip, bound)| (*bound, advertised(sip, bound)));
    let web = bound.http.iter().map(|bound| (*bound, *bound));
    Some(capture::Config {
        folder: config.capture.folder.clone()?,
        file_bytes: u64::from(config.capture.max_mb) * MB,
        total_bytes: u64::from(config.capture.total_mb) * MB,
        locals: sip.chain(web).map(|(bound, address)| (bound, told(address))).collect(),
        automatic: capture_policy(config).is_automatic(),
    })
}

/// Makes the bounds of the accept loops.
pub(super) fn limits(config: &Config) -> Limits {
    let limits = config.limits;
    Limits { connections: limits.connections, per_source: limits.connections_per_address, ..Limits::default() }
}

/// Makes the rules of the listener at this place.
pub(super) fn http(config: &Config, at: usize, lab: Option<LabHint>) -> http::Config {
    let Some(listener) = config.listeners.get(at) else { return http::Config::default() };
    let page = PageConfig {
        ws_path: listener.path.clone(),
        domain: config.server.domain.clone(),
        lab,
        desk: !config.agents.is_empty(),
        gws: gws::places(config),
    };
    http::Config {
        ws_path: listener.path.clone(),
        origins: listener.origins.clone(),
        require_origin: listener.require_origin,
        public_metrics: listener.public_metrics,
        frame_ancestors: listener.frame_ancestors.clone(),
        connect: gws::direct(config),
        page: listener.pages.then_some(page),
        desk: desk::rules(config, listener),
        ..http::Config::default()
    }
}

mod agents;
mod desk;
mod gws;
mod sinks;
mod sounds;
#[cfg(test)]
mod tests;
mod trunks;

pub(super) use agents::agents;
pub(super) use desk::desk;
pub(super) use gws::upstreams;
pub(super) use sinks::{sinks, subscriptions};
pub(super) use sounds::sounds;
