//! The model test: random scripts through the pure gateway, and what must hold when the dust has settled.
//!
//! A seed names a script. Peers register, call, answer, refuse, cancel, hang up, change their descriptions, vanish, lose,
//! repeat and garble messages; workers report; time passes. Then everything ends, and nothing may be left:
//! no call, no session, no transaction, no open port, no taken pair; every request got exactly one final response;
//! every call's log begins with `Dialing` and ends with its one `Released`.

mod handover;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crosspoint::call::{AnswerMode, CallCommand, CallEvent, Command, EventKind};
use crosspoint::gateway::{Input, LocalCalls};
use crosspoint::id::{CallId, DialId, LegId};
use crosspoint::path::Path;
use crosspoint::plan::{Digit, DtlsFailure, Report};
use crosspoint::sip::message::{Message, Method};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::peers::{Dialog, Ua};
use crate::rig::{PASSWORD, Rig, by_udp, config, spare_addr, transaction, udp};
use crate::sdp;

const SEEDS: u64 = 1000;
const STEPS: usize = 90;
const DNS: [&str; 4] = ["5001", "5002", "5003", "4000"];

/// The SIP Server is agent 0, the browsers follow.
const TRUNK: usize = 0;

struct World {
    rig: Rig,
    rng: StdRng,
    agents: Vec<Ua>,
    /// INVITEs of the gateway that wait for our whim.
    incoming: Vec<(usize, Message)>,
    /// INVITEs of ours.
    outgoing: Vec<(usize, Dialog)>,
    /// Dialogs that were confirmed at some time.
    dialogs: Vec<(usize, Dialog)>,
    last: Option<(Path, Bytes, Instant)>,
    closed: BTreeSet<Path>,
    cancelled: BTreeSet<String>,
    tainted: BTreeSet<(Path, String)>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut with = config();
        if rng.random_bool(0.3) {
            with.calls.flow_grace = Duration::ZERO;
        }
        if rng.random_bool(0.3) {
            with.trunks[0].destinations.push(by_udp(spare_addr()));
        }
        with.dns[0].resume = rng.random_bool(0.3);
        if rng.random_bool(0.3) {
            with.calls.local = LocalCalls::Always;
        }
        with.calls.ring_timeout = Duration::from_secs(rng.random_range(5..60));
        if seed % 4 == 3 {
            with.trunks[0].policy.ping = Duration::from_secs(10);
        }
        handover::configure(&mut with, &mut rng);
        with.dns[0].answer = match rng.random_range(0..8) {
            0 => AnswerMode::Deferred,
            1 => AnswerMode::Nailed,
            _ => AnswerMode::Page,
        };
        if rng.random_bool(0.3) {
            with.calls.refusal_tone = Duration::from_secs(3);
        }
        let workers = rng.random_range(1..3);
        let mut rig = Rig::seeded(with, workers, 4, seed);
        rig.mute_workers = rng.random_bool(0.1);
        let mut agents = vec![Ua::trunk()];
        agents.extend(DNS[..3].iter().map(|dn| Ua::browser(&mut rig, dn)));
        agents.push(Ua::browser(&mut rig, "5001"));
        agents.iter_mut().skip(1).for_each(|agent| agent.resumes = rng.random_bool(0.7));
        let mut world = World {
            rig,
            rng,
            agents,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            dialogs: Vec::new(),
            last: None,
            closed: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            tainted: BTreeSet::new(),
        };
        (1..world.agents.len()).for_each(|agent| world.register(agent));
        world
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn pick<T: Clone>(&mut self, among: &[T]) -> Option<T> {
        (!among.is_empty()).then(|| among[self.rng.random_range(0..among.len())].clone())
    }

    fn deliver(&mut self, path: Path, bytes: Bytes) {
        if self.closed.contains(&path) || self.chance(3) {
            return;
        }
        self.last = Some((path, bytes.clone(), self.rig.now));
        self.rig.deliver(path, bytes);
    }

    fn step(&mut self) {
        match self.rng.random_range(0..29) {
            0 => {
                let agent = self.rng.random_range(1..self.agents.len());
                self.register(agent);
            }
            1..=3 => self.call(TRUNK),
            4 | 5 => {
                let agent = self.rng.random_range(1..self.agents.len());
                self.call(agent);
            }
            6..=10 => self.respond(),
            11 => self.cancel(),
            12 => self.bye(),
            13 | 14 => self.talk(),
            15 | 26..=28 => match self.rng.random_range(0..5) {
                0 => self.vanish(),
                1 | 2 => self.cut(),
                _ => self.reload(),
            },
            16 => self.report(),
            17 => self.command(),
            18 => self.repeat(),
            19 => self.garble(),
            20..=23 => self.hand_over(),
            _ => {
                let ms =
                    if self.chance(80) { self.rng.random_range(1..2000) } else { self.rng.random_range(1..45_000) };
                self.rig.advance(Duration::from_millis(ms));
            }
        }
        self.pump();
    }

    fn register(&mut self, agent: usize) {
        let password = if self.chance(95) { PASSWORD } else { "wrong" };
        if !self.closed.contains(&self.agents[agent].path) {
            self.agents[agent].sign_in(&mut self.rig, password);
        }
    }

    fn offer(&mut self, agent: usize) -> Option<String> {
        match (self.rng.random_range(0..10), agent) {
            (0 | 1, _) => None,
            (2, _) => Some("v=0\r\nrubbish".to_owned()),
            (3, _) => Some(sdp::g729_only()),
            (_, TRUNK) => Some(sdp::genesys_offer()),
            _ => Some(sdp::chromium_offer()),
        }
    }

    fn answer(&mut self, agent: usize) -> Option<String> {
        match (self.rng.random_range(0..20), agent) {
            (0, _) => None,
            (1, _) => Some("rubbish".to_owned()),
            (_, TRUNK) => Some(sdp::trunk_answer()),
            _ => Some(sdp::chromium_answer()),
        }
    }

    fn call(&mut self, agent: usize) {
        let number = match agent {
            TRUNK => self.pick(&DNS).unwrap(),
            _ if self.chance(30) => self.pick(&DNS).unwrap(),
            _ => "1003",
        };
        let offer = self.offer(agent);
        let ua = &mut self.agents[agent];
        let dialog = ua.invite(number, offer.as_deref(), &[]);
        let (path, bytes) = (ua.path, dialog.invite.raw().clone());
        self.outgoing.push((agent, dialog));
        self.deliver(path, bytes);
    }

    fn respond(&mut self) {
        if self.incoming.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.incoming.len());
        let (agent, invite) = self.incoming[at].clone();
        let statuses = [100, 180, 180, 183, 200, 200, 200, 200, 200, 486, 603, 404, 500, 302, 401, 488, 491];
        let status = self.pick(&statuses).unwrap();
        let sdp = if matches!(status, 183 | 200) { self.answer(agent) } else { None };
        if status >= 200 && self.chance(95) {
            self.incoming.remove(at);
        }
        let ua = &self.agents[agent];
        let (path, bytes) = (ua.path, ua.respond(&invite, status, sdp.as_deref()));
        if status == 200 {
            self.dialogs.push((agent, ua.dialog_of(&invite)));
        }
        self.deliver(path, bytes);
    }

    fn cancel(&mut self) {
        let Some((agent, dialog)) = self.pick(&self.outgoing.clone()) else { return };
        // A second CANCEL over a reliable transport would be a transaction of the same branch.
        if !self.cancelled.insert(dialog.call_id.clone()) {
            return;
        }
        let bytes = self.agents[agent].cancel(&dialog, None);
        self.deliver(self.agents[agent].path, bytes);
    }

    fn bye(&mut self) {
        self.within(Method::Bye, &[], None);
    }

    fn within(&mut self, method: Method, extra: &[(&str, &str)], body: Option<(&str, &str)>) {
        if self.dialogs.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.dialogs.len());
        let (agent, dialog) = &mut self.dialogs[at];
        let ua = &mut self.agents[*agent];
        let (path, bytes) = (ua.path, ua.within(dialog, method, extra, body));
        self.deliver(path, bytes);
    }

    /// The trunk holds one of its calls and, as a rule, takes it back.
    fn trunk_holds(&mut self) {
        let of_trunk: Vec<usize> = (0..self.dialogs.len()).filter(|at| self.dialogs[*at].0 == TRUNK).collect();
        let Some(at) = self.pick(&of_trunk) else { return };
        let call_id = self.dialogs[at].1.call_id.clone();
        for host in ["0.0.0.0", "192.0.2.90"] {
            let Some(at) = self.dialogs.iter().position(|(_, dialog)| dialog.call_id == call_id) else { return };
            let (agent, dialog) = &mut self.dialogs[at];
            let ua = &mut self.agents[*agent];
            let offer = sdp::genesys(host, 20_318);
            let bytes = ua.within(dialog, Method::Invite, &[], Some(("application/sdp", &offer)));
            let path = ua.path;
            self.deliver(path, bytes);
            self.pump();
        }
    }

    fn talk(&mut self) {
        let hold = sdp::chromium("sendonly", "kX3v", 3, "actpass");
        let restart = sdp::chromium("sendrecv", "n3Wu", 4, "actpass");
        let moved = sdp::genesys("192.0.2.91", 30_000);
        let notify = |event| [("Event", event), ("Subscription-State", "active")];
        match self.rng.random_range(0..15) {
            13 | 14 => self.trunk_holds(),
            9 => self.within(Method::Notify, &notify("hold"), None),
            10 => self.within(Method::Notify, &notify("talk"), None),
            11 => self.within(Method::Invite, &[], Some(("application/sdp", &sdp::genesys("0.0.0.0", 20_318)))),
            12 => self.within(
                Method::Invite,
                &[],
                Some(("application/sdp", &sdp::chromium("sendrecv", "kX3v", 5, "actpass"))),
            ),
            0 => self.within(Method::Invite, &[], Some(("application/sdp", &hold))),
            1 => self.within(Method::Invite, &[], Some(("application/sdp", &restart))),
            2 => self.within(Method::Invite, &[], Some(("application/sdp", &moved))),
            3 => self.within(Method::Invite, &[], None),
            4 => self.within(Method::Info, &[], Some(("application/dtmf-relay", "Signal=5\r\nDuration=160"))),
            5 => self.within(Method::Notify, &[("Event", "talk"), ("Subscription-State", "active")], None),
            6 => self.within(Method::Update, &[], None),
            7 => self.within(Method::Update, &[], Some(("application/sdp", &hold))),
            _ => self.within(Method::Message, &[], Some(("text/plain", "hello"))),
        }
    }

    fn vanish(&mut self) {
        let agent = self.rng.random_range(1..self.agents.len());
        let path = self.agents[agent].path;
        self.closed.insert(path);
        self.rig.input(Input::FlowClosed(path.flow().unwrap()));
        let dn = self.agents[agent].user.clone();
        self.agents[agent] = Ua::browser(&mut self.rig, &dn);
        self.incoming.retain(|(a, _)| *a != agent);
        self.outgoing.retain(|(a, _)| *a != agent);
        self.dialogs.retain(|(a, _)| *a != agent);
        if self.chance(80) {
            self.register(agent);
        }
    }

    /// The WebSocket is lost, the page lives on: it knows its dialogs, and signs in again by another connection, perhaps
    /// before the old one is known to be dead, perhaps never.
    fn cut(&mut self) {
        let agent = self.talker();
        let old = self.agents[agent].path;
        let next = self.agents[agent].reconnected(&mut self.rig);
        self.agents[agent] = next;
        self.come_back(agent, old);
    }

    /// The page is loaded anew: it knows its instance, and no dialog.
    fn reload(&mut self) {
        let agent = self.talker();
        let old = self.agents[agent].path;
        let next = self.agents[agent].reloaded(&mut self.rig);
        self.agents[agent] = next;
        self.incoming.retain(|(a, _)| *a != agent);
        self.outgoing.retain(|(a, _)| *a != agent);
        self.dialogs.retain(|(a, _)| *a != agent);
        self.come_back(agent, old);
    }

    /// A browser, rather one that has a dialog.
    fn talker(&mut self) -> usize {
        let talking: Vec<usize> =
            self.dialogs.iter().map(|(agent, _)| *agent).filter(|agent| *agent != TRUNK).collect();
        match self.pick(&talking) {
            Some(agent) if self.chance(80) => agent,
            _ => self.rng.random_range(1..self.agents.len()),
        }
    }

    /// A page that was reloaded is given its call back, and takes it by itself.
    fn take_back(&mut self, agent: usize, path: Path, invite: &Message) {
        let ua = &self.agents[agent];
        let bytes = ua.respond(invite, 200, Some(&sdp::chromium_answer()));
        self.dialogs.push((agent, ua.dialog_of(invite)));
        self.deliver(path, bytes);
    }

    fn come_back(&mut self, agent: usize, old: Path) {
        let is_early = self.chance(30);
        if is_early {
            self.register(agent);
        }
        self.closed.insert(old);
        self.rig.input(Input::FlowClosed(old.flow().unwrap()));
        if !is_early && self.chance(85) {
            if self.chance(50) {
                let ms = self.rng.random_range(1..25_000);
                self.rig.advance(Duration::from_millis(ms));
            }
            self.register(agent);
        }
    }

    fn report(&mut self) {
        let mut legs: Vec<(LegId, crosspoint::id::WorkerId)> =
            self.rig.ports.iter().map(|(leg, port)| (*leg, port.worker)).collect();
        legs.sort();
        let Some((leg, worker)) = self.pick(&legs) else { return };
        let digit = Digit { event: 1, duration: Duration::from_millis(100) };
        let reports = [
            Report::Connected(leg),
            Report::Digit(leg, digit),
            Report::Digit(leg, digit),
            Report::ConsentLost(leg),
            Report::DtlsFailed(leg, DtlsFailure::Handshake),
            Report::Connected(LegId(u64::MAX)),
        ];
        let report = self.pick(&reports).unwrap();
        self.rig.input(Input::Media(worker, report));
    }

    fn command(&mut self) {
        let call = CallId(self.rng.random_range(1..8));
        let digit = Digit { event: 9, duration: Duration::from_millis(100) };
        let what = match self.rng.random_range(0..10) {
            0 | 1 => {
                let (dn, to) =
                    (self.pick(&DNS).unwrap().to_owned(), self.pick(&["1003", "5002", ""]).unwrap().to_owned());
                let dial = Command::Dial { dial: DialId(self.rng.random()), dn, to, told: Vec::new() };
                return self.rig.input(Input::Command(dial));
            }
            2 => CallCommand::SingleStepConference { to: "6001".to_owned() },
            3 if self.rng.random() => CallCommand::HangUp,
            3 => CallCommand::Release,
            4 => CallCommand::Answer,
            5 | 6 => CallCommand::Hold,
            7 | 8 => CallCommand::Retrieve,
            _ => CallCommand::SendDigits { digits: vec![digit; 3] },
        };
        self.ask(call, what);
    }

    /// The agent whose call it is asks, or one of any DN.
    fn ask(&mut self, call: CallId, what: CallCommand) {
        let by = match self.rng.random() {
            true => self.pick(&DNS).map(str::to_owned),
            false => None,
        };
        self.rig.input(Input::Command(Command::OnCall { call, by, what }));
    }

    /// The network delivers a datagram twice.
    fn repeat(&mut self) {
        let Some((path, bytes, at)) = self.last.clone() else { return };
        if path.flow().is_none() && self.rig.now - at < Duration::from_secs(5) {
            self.rig.deliver(path, bytes);
        }
    }

    fn garble(&mut self) {
        let Some((path, bytes, _)) = self.last.clone() else { return };
        if self.closed.contains(&path) {
            return;
        }
        self.taint(path, &bytes);
        let mut bytes = bytes.to_vec();
        for _ in 0..self.rng.random_range(1..4) {
            let at = self.rng.random_range(0..bytes.len());
            bytes[at] = self.rng.random();
        }
        let bytes = Bytes::from(bytes);
        self.taint(path, &bytes);
        self.rig.deliver(path, bytes);
    }

    /// What was garbled may be two requests in one transaction; it is not held against the gateway.
    fn taint(&mut self, path: Path, bytes: &Bytes) {
        if let Ok(message) = Message::parse(bytes.clone()) {
            self.tainted.insert(transaction(path, &message));
        }
    }

    /// Peers read what they were sent, and do what any peer does at once.
    fn pump(&mut self) {
        for _ in 0..50 {
            let sent = std::mem::take(&mut self.rig.sent);
            if sent.is_empty() {
                return;
            }
            for (path, messages) in sent {
                let spare = path == udp(spare_addr());
                let Some(agent) =
                    self.agents.iter().position(|ua| ua.path == path || (spare && ua.path.flow().is_none()))
                else {
                    continue;
                };
                for message in messages {
                    if !self.chance(4) {
                        self.read(agent, path, message);
                    }
                }
            }
        }
    }

    fn knows(&self, agent: usize, call_id: &str) -> bool {
        let known =
            self.dialogs.iter().chain(&self.outgoing).any(|(a, dialog)| *a == agent && dialog.call_id == call_id);
        known || self.incoming.iter().any(|(a, invite)| *a == agent && invite.call_id() == call_id)
    }

    fn read(&mut self, agent: usize, path: Path, message: Message) {
        if message.is_request() {
            match message.method() {
                Method::Invite if message.extension("X-Crosspoint-Resume").is_some() && self.chance(80) => {
                    self.take_back(agent, path, &message);
                }
                Method::Invite => self.incoming.push((agent, message)),
                Method::Ack => {}
                Method::Cancel => {
                    let bytes = self.agents[agent].respond(&message, 200, None);
                    self.deliver(path, bytes);
                    if self.chance(85) {
                        let branch = message.via().branch().map(str::to_owned);
                        let invite = self.incoming.iter().position(|(_, i)| i.via().branch() == branch.as_deref());
                        if let Some(at) = invite {
                            let (_, invite) = self.incoming.remove(at);
                            let bytes = self.agents[agent].respond(&invite, 487, None);
                            self.deliver(path, bytes);
                        }
                    }
                }
                _ => {
                    let status = if self.knows(agent, message.call_id()) { 200 } else { 481 };
                    let bytes = self.agents[agent].respond(&message, status, None);
                    self.deliver(path, bytes);
                }
            }
            return;
        }
        if message.cseq().method != Method::Invite || message.status() < 200 {
            return;
        }
        let invited = self.outgoing.iter().position(|(_, d)| d.call_id == message.call_id());
        let talking = self.dialogs.iter().position(|(_, d)| d.call_id == message.call_id());
        let dialog = match (invited, talking) {
            (Some(at), _) if message.cseq().number == 1 => {
                let (_, mut dialog) = self.outgoing.remove(at);
                if message.status() < 300 {
                    dialog.learn(&message);
                    self.dialogs.push((agent, dialog.clone()));
                }
                dialog
            }
            (_, Some(at)) => self.dialogs[at].1.clone(),
            _ => return,
        };
        if self.chance(92) {
            let sdp = if message.status() < 300 && self.chance(50) { self.answer(agent) } else { None };
            let bytes = self.agents[agent].ack(&dialog, &message, sdp.as_deref());
            self.deliver(path, bytes);
        }
    }

    /// Everything ends: the gateway is shut down, or all browsers vanish, and nobody says a word any more.
    fn end(&mut self) {
        if self.chance(50) {
            self.rig.input(Input::Shutdown);
        } else {
            for agent in 1..self.agents.len() {
                let path = self.agents[agent].path;
                self.closed.insert(path);
                self.rig.input(Input::FlowClosed(path.flow().unwrap()));
            }
        }
        for _ in 0..20 {
            self.rig.advance(Duration::from_secs(60));
            if self.chance(50) {
                self.pump();
            }
        }
        self.end_handed_on();
        assert!(self.rig.snapshot().calls.is_empty());
        // Without calls there are still OPTIONS, until the end of the process.
        self.rig.input(Input::Shutdown);
        self.rig.advance(Duration::from_secs(60));
        self.rig.sent.clear();
    }
}

fn check_events(seed: u64, events: &[CallEvent]) {
    let mut by_call: BTreeMap<CallId, Vec<&CallEvent>> = BTreeMap::new();
    for event in events {
        by_call.entry(event.call).or_default().push(event);
    }
    for (call, log) in by_call {
        for (n, event) in log.iter().enumerate() {
            assert_eq!(event.sequence, n as u64, "seed {seed}: {call} has a gap");
        }
        let count = |is: fn(&EventKind) -> bool| log.iter().filter(|event| is(&event.kind)).count();
        assert_eq!(log[0].kind, EventKind::Dialing, "seed {seed}: {call} begins");
        assert_eq!(count(|kind| *kind == EventKind::Dialing), 1, "seed {seed}: {call}");
        assert!(count(|kind| *kind == EventKind::Established) <= 1, "seed {seed}: {call}");
        assert_eq!(count(|kind| matches!(kind, EventKind::Released { .. })), 1, "seed {seed}: {call} ends once");
        assert!(matches!(log[log.len() - 1].kind, EventKind::Released { .. }), "seed {seed}: {call} ends");
    }
}

fn run(seed: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.end();
    world
}

fn check(seed: u64, world: &World) {
    let rig = &world.rig;
    rig.assert_clean();
    let snapshot = rig.snapshot();
    assert_eq!((snapshot.transactions, snapshot.sessions), (0, 0), "seed {seed}: left in the endpoint");
    check_events(seed, &rig.events);
    for (key, ends) in &rig.ledger {
        if world.tainted.contains(key) {
            continue;
        }
        let gone = world.closed.contains(&key.0);
        assert!(ends.len() == 1 || (gone && ends.is_empty()), "seed {seed}: {key:?} was answered {ends:?}");
    }
}

#[test]
fn a_thousand_random_scripts_leave_no_orphan_behind() {
    let only = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = only.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    let mut seen = BTreeSet::new();
    let (mut taken_up, mut dialled) = ((0, 0), 0);
    for seed in seeds {
        let script = || {
            let world = run(seed);
            check(seed, &world);
            world
        };
        let world =
            std::panic::catch_unwind(script).unwrap_or_else(|_| panic!("seed {seed} failed: SEED={seed} repeats it"));
        let counters = world.rig.snapshot().counters;
        taken_up = (taken_up.0 + counters.rebound, taken_up.1 + counters.resumed);
        let of_dial = |event: &&CallEvent| event.dial.is_some() && event.kind == EventKind::Dialing;
        dialled += world.rig.events.iter().filter(of_dial).count();
        seen.extend(world.rig.events.iter().map(|event| match &event.kind {
            EventKind::Released { cause, .. } => format!("{cause:?}"),
            other => format!("{other:?}"),
        }));
    }
    if only.is_none() {
        // The scripts reach what they are meant to reach.
        assert!(dialled > 100, "calls come of commands: {dialled}");
        assert!(taken_up.0 > 100 && taken_up.1 > 50, "calls of lost browsers are taken up: {taken_up:?}");
        for kind in [
            "Established",
            "Ringing",
            "Agent",
            "Trunk",
            "AckTimeout",
            "FlowLost",
            "ConsentLost",
            "Refused(480)",
            "Held { by_agent: true }",
            "Held { by_agent: false }",
            "Retrieved { by_agent: true }",
            "Retrieved { by_agent: false }",
        ] {
            assert!(seen.contains(kind), "no script came to {kind}: {seen:?}");
        }
        for kind in ["Transferred {", "ParticipantsUpdated", "Merged"] {
            assert!(seen.iter().any(|event| event.starts_with(kind)), "no script came to {kind}: {seen:?}");
        }
    }
}
