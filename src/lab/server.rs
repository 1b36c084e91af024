//! The lab's task: one SIP socket, all calls, and their deadlines.

mod joined;
mod made;
mod referred;
mod taken;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::RngExt;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use joined::Joined;
pub(super) use made::new_uuid;

use super::audio::Audio;
use super::call::{Call, Resend, Side, Step};
use super::inbound::Arrival;
use super::message::{self, Received, tag_of};
use super::registrar::Registrar;
use super::{COMPLAINTS, CallIn, Command, Complaints, LabCall, LabConfig, Sound};

/// How long a number rings.
const RING: Duration = Duration::from_millis(200);
/// How long the ends of all calls are waited for.
const STOP: Duration = Duration::from_secs(2);
/// Calls at a time; further ones are answered 503.
const CALLS: usize = 1000;
const TONE: Sound = Sound::Tone { hz: 440, dbm0: -10 };
/// What a customer hears who waits for an agent, and then while the agent's phone rings.
const ANNOUNCEMENT: Sound = Sound::Tone { hz: 620, dbm0: -16 };
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, NOTIFY, UPDATE, REGISTER, REFER";

pub(super) struct Server {
    config: LabConfig,
    address: SocketAddr,
    commands: mpsc::Sender<Command>,
    complaints: Complaints,
    calls: HashMap<String, Call>,
    out: Vec<(Vec<u8>, SocketAddr)>,
    next_customer: Option<Instant>,
    stopping: Option<Instant>,
    guid: String,
    count: u32,
    registrar: Registrar,
    joined: Joined,
}

impl Server {
    pub fn new(
        config: LabConfig,
        address: SocketAddr,
        commands: mpsc::Sender<Command>,
        complaints: Complaints,
        arrivals: Option<mpsc::Sender<Arrival>>,
    ) -> Self {
        let guid = format!("{:032X}", rand::rng().random::<u128>());
        let password = config.password.clone();
        let next_customer = config.schedule.as_ref().map(|(_, every)| Instant::now() + *every);
        Server {
            config,
            address,
            commands,
            complaints,
            calls: HashMap::new(),
            out: Vec::new(),
            next_customer,
            stopping: None,
            registrar: Registrar::new(password, guid.clone()),
            guid,
            count: 0,
            joined: Joined::new(arrivals),
        }
    }

    pub async fn run(mut self, socket: UdpSocket, mut queue: mpsc::Receiver<Command>) {
        let mut datagram = vec![0; 65_536];
        while !self.is_done() {
            let due = self.poll_timeout();
            tokio::select! {
                received = socket.recv_from(&mut datagram) => {
                    if let Ok((len, from)) = received {
                        self.receive(&datagram[..len], from, Instant::now());
                    }
                }
                Some(command) = queue.recv() => self.obey(command, Instant::now()),
                () = sleep_until(due.into()) => {}
            }
            self.handle_timeout(Instant::now());
            self.tend_joined(Instant::now());
            for (bytes, to) in std::mem::take(&mut self.out) {
                if let Err(error) = socket.send_to(&bytes, to).await {
                    tracing::debug!(%error, "lab: not sent");
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        let all_over = || self.calls.values().all(|c| c.is_over() && c.pending.resend.is_none());
        self.stopping.is_some_and(|until| Instant::now() >= until || all_over())
    }

    fn poll_timeout(&self) -> Instant {
        let calls = self.calls.values().filter_map(|c| c.pending.next());
        let hour = Instant::now() + Duration::from_secs(3600);
        calls.chain(self.next_customer).chain(self.stopping).min().unwrap_or(hour)
    }

    fn identifier(&mut self) -> String {
        self.count += 1;
        format!("{}-{}", self.guid, self.count)
    }

    fn complain(&self, what: String) {
        tracing::warn!(what, "lab: rsip cannot read what the gateway sends");
        if let Ok(mut complaints) = self.complaints.lock()
            && complaints.len() < COMPLAINTS
        {
            complaints.push(what);
        }
    }

    fn receive(&mut self, datagram: &[u8], from: SocketAddr, now: Instant) {
        if datagram.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let message = match message::read(datagram, from) {
            Ok(message) => message,
            Err(what) => return self.complain(what),
        };
        if message.status() == 0 { self.request(message, now) } else { self.response(message, now) }
    }

    fn reply(&mut self, to: &Received, status: u16, reason: &str, more: &[(&str, String)]) {
        let tag = self.guid.clone();
        self.out.push((message::response(to, status, reason, &tag, more, ""), to.from));
    }

    fn request(&mut self, message: Received, now: Instant) {
        let known = self.calls.contains_key(&message.call_id());
        let in_dialog = tag_of(&message.header("To")).is_some();
        match message.method().as_str() {
            "INVITE" if known => self.again(message, now),
            "INVITE" if !in_dialog => self.take(message, now),
            "ACK" => self.acknowledged(&message),
            "CANCEL" if known => self.cancelled(&message, now),
            "OPTIONS" if !in_dialog => self.reply(&message, 200, "OK", &[("Allow", ALLOW.to_owned())]),
            "REGISTER" => {
                let answer = self.registrar.answer(&message, now);
                self.reply(&message, answer.status, answer.reason, &answer.headers);
            }
            "REFER" if known => self.referred(&message),
            "BYE" if known => {
                self.reply(&message, 200, "OK", &[]);
                self.with(&message.call_id(), |call, _| {
                    call.pending.resend = None;
                    call.end(200, now);
                });
            }
            "INFO" | "UPDATE" | "NOTIFY" | "OPTIONS" if known => self.reply(&message, 200, "OK", &[]),
            "INVITE" | "BYE" | "CANCEL" | "INFO" | "UPDATE" | "NOTIFY" | "PRACK" | "OPTIONS" => {
                self.reply(&message, 481, "Call/Transaction Does Not Exist", &[]);
            }
            _ => self.reply(&message, 405, "Method Not Allowed", &[("Allow", ALLOW.to_owned())]),
        }
    }

    fn with(&mut self, call_id: &str, work: impl FnOnce(&mut Call, &mut Vec<(Vec<u8>, SocketAddr)>)) {
        if let Some(call) = self.calls.get_mut(call_id) {
            work(call, &mut self.out);
        }
    }

    fn seen(&self, call: &Call) -> LabCall {
        LabCall {
            call_id: call.call_id.clone(),
            number: call.number.clone(),
            status: call.status.subscribe(),
            commands: self.commands.clone(),
        }
    }

    /// Ends a call as it stands.
    fn hang_up(&mut self, call_id: &str, now: Instant) {
        let (lab, id) = (self.address, self.identifier());
        let Some(call) = self.calls.get_mut(call_id) else { return };
        if call.is_over() {
            return;
        }
        if call.is_answered() {
            if let Some(bye) = call.request("BYE", lab, &format!("z9hG4bK{id}")) {
                self.out.push((bye.clone(), call.peer));
                call.pending.resend = Some(Resend::new(bye, false, now));
            }
            call.end(200, now);
            return;
        }
        match &mut call.side {
            Side::Taken { .. } => self.finish(call_id, 480, now),
            Side::Made { branch, cancelled, .. } => {
                *cancelled = true;
                let branch = branch.clone();
                if let Some(cancel) = call.request("CANCEL", lab, &branch) {
                    self.out.push((cancel, call.peer));
                }
                // Without an answer to the INVITE: RFC 3261 9.1, 64 × T1.
                call.pending.at(now + Duration::from_secs(32), Step::HangUp);
            }
        }
    }

    fn obey(&mut self, command: Command, now: Instant) {
        match command {
            Command::Call { call, sound, reply } => {
                let call = self.make(call, sound, now);
                let _ = reply.send(call);
            }
            Command::HangUp(call_id) => self.hang_up(&call_id, now),
            Command::Press(call_id, keys) => {
                self.with(&call_id, |call, _| call.audio.iter().for_each(|a| a.press(&keys)));
            }
            Command::Play(call_id, sound) => {
                self.with(&call_id, |call, _| call.audio.iter().for_each(|a| a.play(sound.clone())));
            }
            Command::Report(call_id, reply) => {
                let call = self.calls.get(&call_id);
                let report = call.and_then(|c| c.audio.as_ref().map(Audio::report).or_else(|| c.last_report.clone()));
                let _ = reply.send(report);
            }
            Command::Calls(reply) => {
                let _ = reply.send(self.calls.values().map(|c| self.seen(c)).collect());
            }
            Command::Contact(dn, reply) => {
                let _ = reply.send(self.registrar.contact(&dn, now).map(str::to_owned));
            }
            Command::Stop => {
                self.stopping = Some(now + STOP);
                self.next_customer = None;
                let all: Vec<String> = self.calls.keys().cloned().collect();
                all.iter().for_each(|call_id| self.hang_up(call_id, now));
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let (Some(due), Some((dn, every))) = (self.next_customer, self.config.schedule.clone())
            && due <= now
        {
            self.next_customer = Some(now + every);
            if !self.arrives(&dn) {
                let from = "5550100".to_owned();
                self.make(CallIn { dn, from, ..CallIn::default() }, TONE, now);
            }
        }
        let due: Vec<String> = self
            .calls
            .iter()
            .filter(|(_, c)| c.pending.next().is_some_and(|d| d <= now))
            .map(|(id, _)| id.clone())
            .collect();
        for call_id in due {
            self.resend(&call_id, now);
            while let Some(step) = self.calls.get_mut(&call_id).and_then(|c| c.pending.due(now)) {
                match step {
                    Step::Answer => self.answer(&call_id, now),
                    Step::HangUp if self.calls.get(&call_id).is_some_and(Call::is_answered) => {
                        self.hang_up(&call_id, now);
                    }
                    Step::HangUp => self.with(&call_id, |call, _| call.end(487, now)),
                    Step::Forget => drop(self.calls.remove(&call_id)),
                }
            }
        }
    }

    fn resend(&mut self, call_id: &str, now: Instant) {
        let Some(call) = self.calls.get_mut(call_id) else { return };
        let Some(resend) = &mut call.pending.resend else { return };
        if !resend.is_over(now) {
            if let Some(bytes) = resend.due(now) {
                self.out.push((bytes, call.peer));
            }
            return;
        }
        call.pending.resend = None;
        if call.is_answered() {
            // No ACK for the whole time: RFC 3261 13.3.1.4.
            self.hang_up(call_id, now);
        } else {
            call.end(408, now);
        }
    }
}
