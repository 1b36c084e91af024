//! Both sides' SIP: the browsers' endpoint with their connections, the trunk's with its own.

use std::time::Instant;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::order::Side;
use crate::id::FlowId;
use crate::load::LoadError;
use crate::load::browser::phones::{Phone, State};
use crate::load::browser::websocket::{self, FromBrowser, Url};
use crate::load::plan::{Direction, LoadPlan};
use crate::load::trunk::{FromTrunk, Lines};
use crate::path::{Path, Transport};
use crate::sip::endpoint::{Endpoint, EndpointConfig, Event};

/// Messages that wait for us; whoever sends more waits.
const INBOUND: usize = 4_096;
/// Connections that are opened at a time.
const AT_A_TIME: usize = 16;

/// Both endpoints and what carries their messages.
pub struct Signalling {
    endpoints: [Endpoint; 2],
    /// The browsers, by number.
    pub phones: Vec<Phone>,
    /// The trunk's side.
    pub lines: Lines,
    from_browsers: mpsc::Receiver<FromBrowser>,
    from_trunk: mpsc::Receiver<FromTrunk>,
}

/// Something came.
#[derive(Debug)]
pub enum Came {
    /// From a browser's connection.
    Browser(FromBrowser),
    /// From the trunk's side.
    Trunk(FromTrunk),
}

fn endpoint(seed: u64) -> Endpoint {
    let config = EndpointConfig { user_agent: "crosspoint load".to_owned(), ..EndpointConfig::default() };
    let mut endpoint = Endpoint::new(config, StdRng::seed_from_u64(seed));
    // There is one peer, and it is the one that is measured.
    endpoint.set_trusted(|_| true);
    endpoint.set_reliable(|_| true);
    endpoint
}

impl Signalling {
    /// Binds, connects all browsers.
    ///
    /// # Errors
    /// [`LoadError::Bind`], [`LoadError::Unreachable`].
    pub async fn open(plan: &LoadPlan, rng: &mut StdRng) -> Result<Signalling, LoadError> {
        let (to_trunk, from_trunk) = mpsc::channel(INBOUND);
        let lines = Lines::open(&plan.trunk, plan.direction != Direction::Out, to_trunk).await?;
        let (inbound, from_browsers) = mpsc::channel(INBOUND);
        let phones = connect(plan, rng, &inbound).await?;
        let endpoints = [endpoint(rng.random()), endpoint(rng.random())];
        Ok(Signalling { endpoints, phones, lines, from_browsers, from_trunk })
    }

    /// The endpoint of a side.
    pub fn endpoint(&mut self, side: Side) -> &mut Endpoint {
        &mut self.endpoints[side as usize]
    }

    /// Waits for what comes next; cancelled without loss.
    pub async fn next(&mut self) -> Came {
        let came = tokio::select! {
            Some(message) = self.from_browsers.recv() => Some(Came::Browser(message)),
            Some(message) = self.from_trunk.recv() => Some(Came::Trunk(message)),
            else => None,
        };
        match came {
            Some(came) => came,
            // All connections are gone; time alone goes on.
            None => std::future::pending().await,
        }
    }

    /// Returns what waits already.
    pub fn waiting(&mut self) -> Option<Came> {
        let browser = self.from_browsers.try_recv().ok().map(Came::Browser);
        browser.or_else(|| self.from_trunk.try_recv().ok().map(Came::Trunk))
    }

    /// Takes what came.
    pub fn take(&mut self, came: Came, now: Instant) {
        match came {
            Came::Browser(FromBrowser::Message(number, bytes)) => {
                if let Some(phone) = self.phones.get(number) {
                    let (path, transport) = (phone.path, phone.transport());
                    self.endpoint(Side::Browser).handle_message(path, transport, bytes, now);
                }
            }
            Came::Browser(FromBrowser::Closed(number)) => {
                if let Some(phone) = self.phones.get_mut(number) {
                    phone.lose();
                }
                self.endpoint(Side::Browser).handle_flow_closed(FlowId(number as u64), now);
            }
            Came::Trunk(FromTrunk::Opened(flow, queue)) => self.lines.opened(flow, queue),
            Came::Trunk(FromTrunk::Message(path, bytes)) => {
                let transport = if path.flow().is_some() { Transport::Tcp } else { Transport::Udp };
                self.endpoint(Side::Trunk).handle_message(path, transport, bytes, now);
            }
            Came::Trunk(FromTrunk::Closed(flow)) => {
                self.lines.closed(flow);
                self.endpoint(Side::Trunk).handle_flow_closed(flow, now);
            }
        }
    }

    /// Runs what is due, and sends all that is to be sent.
    pub fn flush(&mut self, now: Instant) {
        for side in [Side::Browser, Side::Trunk] {
            if self.endpoints[side as usize].poll_timeout().is_some_and(|at| at <= now) {
                self.endpoints[side as usize].handle_timeout(now);
            }
            while let Some(transmit) = self.endpoints[side as usize].poll_transmit() {
                self.send(side, &transmit.path, transmit.bytes);
            }
        }
    }

    fn send(&mut self, side: Side, path: &Path, bytes: Bytes) {
        match side {
            Side::Trunk => self.lines.send(path, bytes),
            Side::Browser => {
                let number = path.flow().and_then(|flow| usize::try_from(flow.0).ok());
                if let Some(phone) = number.and_then(|number| self.phones.get_mut(number)) {
                    phone.send(bytes);
                }
            }
        }
    }

    /// Returns the next event of either side.
    pub fn poll_event(&mut self) -> Option<(Side, Event)> {
        [Side::Browser, Side::Trunk]
            .into_iter()
            .find_map(|side| self.endpoints[side as usize].poll_event().map(|event| (side, event)))
    }

    /// When [`Signalling::flush`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.endpoints.iter().filter_map(Endpoint::poll_timeout).min()
    }

    /// Registers as many browsers as may be under way at a time, and renews bindings; returns how many are not decided.
    pub fn register(&mut self, now: Instant) -> usize {
        let Signalling { endpoints, phones, .. } = self;
        let mut under_way = phones.iter().filter(|phone| matches!(phone.state, State::Asked(_))).count();
        for phone in phones.iter_mut() {
            let is_due = match phone.state {
                State::Idle => true,
                State::Bound(at) => at <= now,
                State::Asked(_) | State::Failed(_) => false,
            };
            if is_due && under_way < AT_A_TIME {
                phone.register(&mut endpoints[Side::Browser as usize], now);
                under_way += 1;
            }
        }
        phones.iter().filter(|phone| matches!(phone.state, State::Idle | State::Asked(_))).count()
    }

    /// Takes an event of a registration; gives it back where it is none.
    pub fn registered(&mut self, event: Event, now: Instant) -> Option<Event> {
        let Signalling { endpoints, phones, .. } = self;
        let tx = match &event {
            Event::Response { tx, .. } | Event::RequestFailed { tx, .. } => *tx,
            _ => return Some(event),
        };
        let Some(phone) = phones.iter_mut().find(|phone| phone.state == State::Asked(tx)) else { return Some(event) };
        match event {
            Event::Response { message, .. } => {
                phone.answered(&message, &mut endpoints[Side::Browser as usize], now);
            }
            _ => phone.state = State::Failed("no answer to REGISTER".to_owned()),
        }
        None
    }
}

/// Connects a browser for each call, a handful at a time.
async fn connect(
    plan: &LoadPlan,
    rng: &mut StdRng,
    inbound: &mpsc::Sender<FromBrowser>,
) -> Result<Vec<Phone>, LoadError> {
    let urls: Vec<Url> = plan.browsers.urls.iter().filter_map(|url| Url::parse(url)).collect();
    let bad = || LoadError::Unreachable { target: plan.browsers.urls.join(", "), reason: "not a URL".to_owned() };
    if urls.is_empty() || urls.len() != plan.browsers.urls.len() {
        return Err(bad());
    }
    let tls = urls.iter().any(|url| url.is_secure).then(|| websocket::tls(plan.browsers.insecure)).transpose()?;
    let count = plan.calls.concurrent as usize;
    let mut opened = Vec::new();
    opened.resize_with(count, || None);
    let mut tasks = JoinSet::new();
    for number in 0..count {
        if tasks.len() >= AT_A_TIME
            && let Some(done) = tasks.join_next().await
        {
            let (number, connected) = done.map_err(|error| LoadError::Driver(std::io::Error::other(error)))?;
            opened[number] = Some(connected?);
        }
        let (url, tls, inbound) = (urls[number % urls.len()].clone(), tls.clone(), inbound.clone());
        tasks.spawn(async move { (number, websocket::connect(&url, tls.as_ref(), number, inbound).await) });
    }
    while let Some(done) = tasks.join_next().await {
        let (number, connected) = done.map_err(|error| LoadError::Driver(std::io::Error::other(error)))?;
        opened[number] = Some(connected?);
    }
    let phones = opened.into_iter().flatten().enumerate().map(|(number, connected)| {
        let domain = plan.browsers.domain.as_deref().unwrap_or(&urls[number % urls.len()].host);
        let dn = plan.browsers.dns.get(number as u64).unwrap_or_default();
        Phone::new(number, dn, domain, &plan.browsers.secret, connected, rng.random())
    });
    Ok(phones.collect())
}
