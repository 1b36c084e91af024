//! Calls that the gateway makes to our numbers.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::RngExt;
use tokio::sync::watch;

use super::super::audio::Audio;
use super::super::call::{Call, Pending, Resend, Sequence, Side, Step};
use super::super::message::{self, Received, read_sdp, tag_of, uri_of, write_sdp};
use super::super::{Behaviour, CallStatus, Sound, speech};
use super::made::new_uuid;
use super::{ALLOW, ANNOUNCEMENT, CALLS, RING, Server, TONE};

impl Server {
    /// A new call for one of our numbers.
    pub(super) fn take(&mut self, invite: Received, now: Instant) {
        self.reply(&invite, 100, "Trying", &[]);
        let number = invite.dialled();
        let open = self.calls.values().filter(|c| !c.is_over()).count();
        let mut behaviour = match self.config.numbers.iter().find(|(n, _)| *n == number) {
            _ if open >= CALLS || self.stopping.is_some() => Behaviour::Refuse(503),
            Some((_, behaviour)) => behaviour.clone(),
            None if self.is_queue(&number) => Behaviour::Queue,
            None if self.config.dns.iter().any(|range| range.contains(&number)) => Behaviour::Connect,
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
            dialog: Sequence { ours: 0, theirs: invite.cseq(), uuid: new_uuid() },
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
            Behaviour::Queue => (ANNOUNCEMENT, RING),
            Behaviour::Connect => (Sound::Silence, Duration::MAX),
        };
        let echo_digits = behaviour == Behaviour::EchoDigits;
        let ssrc = rand::rng().random();
        let Ok(audio) = Audio::bind(self.address.ip(), sound, echo_digits, ssrc) else {
            return self.finish(&call_id, 503, now);
        };
        let early = matches!(behaviour, Behaviour::EarlyMedia(_));
        self.with(&call_id, |call, _| {
            call.audio = Some(audio);
            call.pending.steps.extend(now.checked_add(answer_in).map(|at| (at, Step::Answer)));
            if let (true, Side::Taken { invite, .. }) = (early, &call.side) {
                call.take_sdp(invite);
            }
        });
        if behaviour == Behaviour::Connect || behaviour == Behaviour::Queue {
            let goes_on = match behaviour {
                Behaviour::Queue => self.queue_up(&call_id),
                _ => self.call_through(&call_id, now),
            };
            if !goes_on {
                self.finish(&call_id, 503, now);
            }
        } else if early {
            self.provisional(&call_id, 183, "Session Progress");
        } else {
            self.provisional(&call_id, 180, "Ringing");
        }
    }

    pub(super) fn respond(&mut self, call_id: &str, status: u16, reason: &str, sdp: bool) -> Option<Vec<u8>> {
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

    pub(super) fn provisional(&mut self, call_id: &str, status: u16, reason: &str) {
        self.respond(call_id, status, reason, status == 183);
        self.with(call_id, |call, _| call.set(CallStatus::Ringing));
    }

    /// Refuses: sent again until its ACK.
    pub(super) fn finish(&mut self, call_id: &str, status: u16, now: Instant) {
        if let Some(bytes) = self.respond(call_id, status, reason(status), false) {
            self.with(call_id, |call, _| {
                call.pending.resend = Some(Resend::new(bytes, false, now));
                call.end(status, now);
            });
        }
    }

    pub(super) fn answer(&mut self, call_id: &str, now: Instant) {
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
    pub(super) fn again(&mut self, invite: Received, now: Instant) {
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

    pub(super) fn acknowledged(&mut self, ack: &Received) {
        self.with(&ack.call_id(), |call, _| {
            if ack.cseq() == call.dialog.theirs {
                call.pending.resend = None;
                call.take_sdp(ack);
            }
        });
    }

    pub(super) fn cancelled(&mut self, cancel: &Received, now: Instant) {
        self.reply(cancel, 200, "OK", &[]);
        let call_id = cancel.call_id();
        if self.calls.get(&call_id).is_some_and(|c| !c.is_answered() && !c.is_over()) {
            self.finish(&call_id, 487, now);
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

pub(super) fn reason(status: u16) -> &'static str {
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
