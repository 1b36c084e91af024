//! The lab's task: one SIP socket, all calls, and their deadlines.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::RngExt;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;

use super::audio::Audio;
use super::call::{Call, Pending, Resend, Sequence, Side, Step};
use super::message::{self, Received, read_sdp, tag_of, uri_of, write_sdp};
use super::{Behaviour, COMPLAINTS, CallStatus, Command, Complaints, LabCall, LabConfig, Sound, speech};

/// How long a number rings.
const RING: Duration = Duration::from_millis(200);
/// How long the ends of all calls are waited for.
const STOP: Duration = Duration::from_secs(2);
/// Calls at a time; further ones are answered 503.
const CALLS: usize = 1000;
const TONE: Sound = Sound::Tone { hz: 440, dbm0: -10 };
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, NOTIFY, UPDATE, REGISTER";

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
}

impl Server {
    pub fn new(
        config: LabConfig,
        address: SocketAddr,
        commands: mpsc::Sender<Command>,
        complaints: Complaints,
    ) -> Self {
        let guid = format!("{:032X}", rand::rng().random::<u128>());
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
            guid,
            count: 0,
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
                let more = [("Contact", message.header("Contact")), ("Expires", message.header("Expires"))];
                let more: Vec<_> = more.into_iter().filter(|(_, value)| !value.is_empty()).collect();
                self.reply(&message, 200, "OK", &more);
            }
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

    /// A new call for one of our numbers.
    fn take(&mut self, invite: Received, now: Instant) {
        self.reply(&invite, 100, "Trying", &[]);
        let number = invite.dialled();
        let open = self.calls.values().filter(|c| !c.is_over()).count();
        let mut behaviour = match self.config.numbers.iter().find(|(n, _)| *n == number) {
            _ if open >= CALLS || self.stopping.is_some() => Behaviour::Refuse(503),
            Some((_, behaviour)) => behaviour.clone(),
            None => Behaviour::Refuse(404),
        };
        let has_body = !invite.body().is_empty();
        if has_body && read_sdp(&invite.body()).is_none() {
            behaviour = Behaviour::Refuse(488);
        }
        let tag = self.identifier();
        let call_id = invite.call_id();
        let call = Call {
            number,
            local: format!("{};tag={tag}", invite.header("To")),
            remote: invite.header("From"),
            target: uri_of(&invite.header("Contact")),
            peer: invite.from,
            dialog: Sequence { ours: 0, theirs: invite.cseq(), uuid: self.guid.clone() },
            call_id: call_id.clone(),
            side: Side::Taken { invite: Box::new(invite), behaviour: behaviour.clone(), response: Vec::new() },
            audio: None,
            last_report: None,
            status: watch::channel(CallStatus::Trying).0,
            pending: Pending::default(),
        };
        self.calls.insert(call_id.clone(), call);
        let (sound, answer_in) = match behaviour.clone() {
            Behaviour::Refuse(status) => return self.finish(&call_id, status, now),
            Behaviour::NoAnswer => return self.provisional(&call_id, 180, "Ringing"),
            Behaviour::Answer(sound) => (sound, RING),
            Behaviour::Time => (Sound::Speech(spoken_utc()), RING),
            Behaviour::EchoDigits => (Sound::Silence, RING),
            Behaviour::HangUpAfter(_) => (TONE, RING),
            Behaviour::EarlyMedia(wait) => (TONE, wait),
        };
        let echo_digits = behaviour == Behaviour::EchoDigits;
        let ssrc = rand::rng().random();
        let Ok(audio) = Audio::bind(self.address.ip(), sound, echo_digits, ssrc) else {
            return self.finish(&call_id, 503, now);
        };
        let early = matches!(behaviour, Behaviour::EarlyMedia(_));
        self.with(&call_id, |call, _| {
            call.audio = Some(audio);
            call.pending.at(now + answer_in, Step::Answer);
            if let (true, Side::Taken { invite, .. }) = (early, &call.side) {
                call.take_sdp(invite);
            }
        });
        if early {
            self.provisional(&call_id, 183, "Session Progress");
        } else {
            self.provisional(&call_id, 180, "Ringing");
        }
    }

    fn respond(&mut self, call_id: &str, status: u16, reason: &str, sdp: bool) -> Option<Vec<u8>> {
        let address = self.address;
        let call = self.calls.get_mut(call_id)?;
        let body = if sdp { local_sdp(call) } else { String::new() };
        let more = [
            ("Contact", format!("<sip:{}@{address}>", call.number)),
            ("X-Genesys-CallUUID", call.dialog.uuid.clone()),
            ("Allow", ALLOW.to_owned()),
        ];
        let tag = tag_of(&call.local).unwrap_or_default();
        let Side::Taken { invite, response, .. } = &mut call.side else { return None };
        let bytes = message::response(invite, status, reason, &tag, &more, &body);
        response.clone_from(&bytes);
        self.out.push((bytes.clone(), invite.from));
        Some(bytes)
    }

    fn provisional(&mut self, call_id: &str, status: u16, reason: &str) {
        self.respond(call_id, status, reason, status == 183);
        self.with(call_id, |call, _| call.set(CallStatus::Ringing));
    }

    /// Refuses: sent again until its ACK.
    fn finish(&mut self, call_id: &str, status: u16, now: Instant) {
        if let Some(bytes) = self.respond(call_id, status, reason(status), false) {
            self.with(call_id, |call, _| {
                call.pending.resend = Some(Resend::new(bytes, false, now));
                call.end(status, now);
            });
        }
    }

    fn answer(&mut self, call_id: &str, now: Instant) {
        let Some(bytes) = self.respond(call_id, 200, "OK", true) else { return };
        self.with(call_id, |call, _| {
            call.pending.resend = Some(Resend::new(bytes, false, now));
            call.set(CallStatus::Answered);
            if let Side::Taken { invite, behaviour, .. } = &call.side {
                call.take_sdp(invite);
                if let Behaviour::HangUpAfter(after) = behaviour {
                    call.pending.at(now + *after, Step::HangUp);
                }
            }
        });
    }

    /// An INVITE of a call that is known: a retransmission, or a re-INVITE.
    fn again(&mut self, invite: Received, now: Instant) {
        let call_id = invite.call_id();
        let Some(call) = self.calls.get_mut(&call_id) else { return };
        if call.dialog.theirs == invite.cseq() {
            if let Side::Taken { response, .. } = &call.side {
                self.out.push((response.clone(), invite.from));
            }
            return;
        }
        if !call.is_answered() {
            return self.reply(&invite, 481, "Call/Transaction Does Not Exist", &[]);
        }
        call.dialog.theirs = invite.cseq();
        call.learn(&invite);
        call.take_sdp(&invite);
        let more = [("Contact", format!("<sip:{}@{}>", call.number, self.address)), ("Allow", ALLOW.to_owned())];
        let sdp = answer_sdp(call, &invite);
        let bytes = message::response(&invite, 200, "OK", "", &more, &sdp);
        call.pending.resend = Some(Resend::new(bytes.clone(), false, now));
        if let Side::Taken { response, invite: last, .. } = &mut call.side {
            response.clone_from(&bytes);
            **last = invite.clone();
        }
        self.out.push((bytes, invite.from));
    }

    fn acknowledged(&mut self, ack: &Received) {
        self.with(&ack.call_id(), |call, _| {
            if ack.cseq() == call.dialog.theirs {
                call.pending.resend = None;
                call.take_sdp(ack);
            }
        });
    }

    fn cancelled(&mut self, cancel: &Received, now: Instant) {
        self.reply(cancel, 200, "OK", &[]);
        let call_id = cancel.call_id();
        if self.calls.get(&call_id).is_some_and(|c| !c.is_answered() && !c.is_over()) {
            self.finish(&call_id, 487, now);
        }
    }

    /// A customer calls a DN.
    fn make(&mut self, dn: &str, from: &str, sound: Sound, now: Instant) -> Option<LabCall> {
        let audio = Audio::bind(self.address.ip(), sound, false, rand::rng().random()).ok()?;
        let (lab, gateway) = (self.address, self.config.gateway);
        let id = self.identifier();
        let branch = format!("z9hG4bK{id}");
        let uuid = format!("{:032X}", rand::rng().random::<u128>());
        let (local, remote) = (format!("sip:{from}@{lab};tag={id}"), format!("<sip:{dn}@{gateway}>"));
        let target = format!("sip:{dn}@{gateway}");
        let call_id = format!("{id}@{}", lab.ip());
        let headers = [
            ("From", local.clone()),
            ("To", remote.clone()),
            ("Call-ID", call_id.clone()),
            ("CSeq", "1 INVITE".to_owned()),
            ("Via", format!("SIP/2.0/UDP {lab};branch={branch}")),
            ("Contact", format!("<sip:{from}@{lab}>")),
            ("Allow", ALLOW.to_owned()),
            ("Max-Forwards", "70".to_owned()),
            ("X-Genesys-CallUUID", uuid.clone()),
            ("P-Asserted-Identity", format!("<sip:{from}@{lab}>")),
            ("Session-Expires", "1800;refresher=uac".to_owned()),
            ("Min-SE", "90".to_owned()),
            ("Supported", "uui,timer".to_owned()),
        ];
        let sdp = write_sdp(audio.local, &[0, 8], Some(101), u64::from(self.count));
        let invite = message::request("INVITE", &target, &headers, &sdp)?;
        self.out.push((invite.clone(), gateway));
        let call = Call {
            side: Side::Made { branch, ack: None, cancelled: false },
            number: dn.to_owned(),
            call_id: call_id.clone(),
            // The bracket style differs between INVITE and ACK, as the SIP Server's does.
            local: format!("<sip:{from}@{lab}>;tag={id}"),
            remote,
            target,
            peer: gateway,
            dialog: Sequence { ours: 1, theirs: 0, uuid },
            audio: Some(audio),
            last_report: None,
            status: watch::channel(CallStatus::Trying).0,
            pending: Pending { resend: Some(Resend::new(invite, true, now)), steps: Vec::new() },
        };
        let seen = self.seen(&call);
        self.calls.insert(call_id, call);
        Some(seen)
    }

    fn seen(&self, call: &Call) -> LabCall {
        LabCall {
            call_id: call.call_id.clone(),
            number: call.number.clone(),
            status: call.status.subscribe(),
            commands: self.commands.clone(),
        }
    }

    fn response(&mut self, message: Received, now: Instant) {
        let (status, call_id, lab) = (message.status(), message.call_id(), self.address);
        let Some(call) = self.calls.get_mut(&call_id) else { return };
        match message.method().as_str() {
            "BYE" => {
                call.pending.resend = None;
                call.end(200, now);
                return;
            }
            "INVITE" => {}
            _ => return,
        }
        let peer = call.peer;
        let Side::Made { branch, ack, cancelled } = &call.side else { return };
        let (branch, cancelled) = (branch.clone(), *cancelled);
        if let Some(ack) = ack {
            if status >= 200 {
                self.out.push((ack.clone(), peer));
            }
            return;
        }
        call.pending.resend = None;
        match status {
            100..=199 => {
                if status > 100 {
                    call.set(CallStatus::Ringing);
                    call.take_sdp(&message);
                }
            }
            200..=299 => {
                call.learn(&message);
                call.take_sdp(&message);
                call.set(CallStatus::Answered);
                let id = self.identifier();
                self.acknowledge(&call_id, lab, &format!("z9hG4bK{id}"));
                if cancelled {
                    self.hang_up(&call_id, now);
                }
            }
            _ => {
                // The ACK of a refusal belongs to the INVITE's transaction: its branch, its Request-URI (RFC 3261 17.1.1.3).
                let to = message.header("To");
                if tag_of(&to).is_some() {
                    call.remote = to;
                }
                self.acknowledge(&call_id, lab, &branch);
                self.with(&call_id, |call, _| call.end(status, now));
            }
        }
    }

    fn acknowledge(&mut self, call_id: &str, lab: SocketAddr, branch: &str) {
        self.with(call_id, |call, out| {
            let Some(bytes) = call.request("ACK", lab, branch) else { return };
            out.push((bytes.clone(), call.peer));
            if let Side::Made { ack, .. } = &mut call.side {
                *ack = Some(bytes);
            }
        });
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
            Command::Call { dn, from, sound, reply } => {
                let call = self.make(&dn, &from, sound, now);
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
            self.make(&dn, "5550100", TONE, now);
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

/// The SDP that goes with a response: an answer where there was an offer, else an offer.
fn local_sdp(call: &Call) -> String {
    match &call.side {
        Side::Taken { invite, .. } => answer_sdp(call, invite),
        Side::Made { .. } => String::new(),
    }
}

fn answer_sdp(call: &Call, invite: &Received) -> String {
    let Some(audio) = &call.audio else { return String::new() };
    let session = u64::from(audio.local.port());
    match read_sdp(&invite.body()) {
        Some(offer) => {
            let mut sdp = write_sdp(audio.local, &[offer.pt], offer.event_pt, session);
            // RFC 3264 6.1: what only sends is only heard.
            let body = invite.body();
            for (theirs, ours) in
                [("a=sendonly", "a=recvonly"), ("a=inactive", "a=inactive"), ("a=recvonly", "a=sendonly")]
            {
                if body.lines().any(|l| l.trim_end() == theirs) {
                    sdp.push_str(ours);
                    sdp.push_str("\r\n");
                }
            }
            sdp
        }
        None => write_sdp(audio.local, &[0, 8], Some(101), session),
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        404 => "Not Found",
        480 => "Temporarily Unavailable",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        503 => "Service Unavailable",
        603 => "Decline",
        _ => "Refused",
    }
}

/// Returns what is said of the time, UTC: the machine's zone is not ours to read.
fn spoken_utc() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    speech::time(seconds % 86_400)
}
