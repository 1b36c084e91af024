//! Calls of our customers to DNs of the gateway.

use std::net::SocketAddr;
use std::time::Instant;

use rand::RngExt;
use tokio::sync::watch;

use super::super::audio::Audio;
use super::super::call::{Call, Pending, Resend, Sequence, Side};
use super::super::message::{self, Received, tag_of, write_sdp};
use super::super::{CallIn, CallStatus, LabCall, Sound};
use super::{ALLOW, Server};

/// Makes an `X-Genesys-CallUUID`: 32 characters of `[0-9A-Z]`.
pub(in crate::lab) fn new_uuid() -> String {
    format!("{:032X}", rand::rng().random::<u128>())
}

impl Server {
    /// A customer calls a DN, or is put through to one.
    pub(super) fn make(&mut self, call: CallIn, sound: Sound, now: Instant) -> Option<LabCall> {
        let CallIn { dn, from, dialled, uuid, headers: more, join } = call;
        if join.as_deref().is_some_and(|taken| !self.is_taken(taken)) {
            return None;
        }
        let audio = Audio::bind(self.address.ip(), sound, false, rand::rng().random()).ok()?;
        let lab = self.address;
        let gateway = self.registrar.address(&dn, now).unwrap_or(self.config.gateway);
        let id = self.identifier();
        let branch = format!("z9hG4bK{id}");
        let uuid = uuid.unwrap_or_else(new_uuid);
        let (local, remote) = match dialled {
            // A call that was routed keeps the number that was dialled in its To.
            Some(number) => (format!("sip:{from}@{lab};tag={id}"), format!("<sip:{number}@{lab}>")),
            None => (format!("sip:{from}@{lab};tag={id}"), format!("<sip:{dn}@{gateway}>")),
        };
        let target = format!("sip:{dn}@{gateway}");
        let call_id = format!("{id}@{}", lab.ip());
        let mut headers = vec![
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
        headers.extend(more.iter().map(|(name, value)| (name.as_str(), value.clone())));
        let sdp = write_sdp(audio.local, &[0, 8], Some(101), u64::from(self.count));
        let invite = message::request("INVITE", &target, &headers, &sdp)?;
        self.out.push((invite.clone(), gateway));
        let call = Call {
            side: Side::Made { branch, ack: None, cancelled: false, told: more },
            number: dn,
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
        self.calls.insert(call_id.clone(), call);
        if let Some(taken) = join {
            self.joined.add(taken, call_id);
        }
        Some(seen)
    }

    pub(super) fn response(&mut self, message: Received, now: Instant) {
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
        let Side::Made { branch, ack, cancelled, .. } = &call.side else { return };
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

    pub(super) fn acknowledge(&mut self, call_id: &str, lab: SocketAddr, branch: &str) {
        self.with(call_id, |call, out| {
            let Some(bytes) = call.request("ACK", lab, branch) else { return };
            out.push((bytes.clone(), call.peer));
            if let Side::Made { ack, .. } = &mut call.side {
                *ack = Some(bytes);
            }
        });
    }
}
