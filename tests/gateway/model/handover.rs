//! What random scripts do with calls that are handed on, replaced, and made one of three.

use std::time::Duration;

use crosspoint::call::{CallCommand, CallEvent, EventKind};
use crosspoint::gateway::{CallView, GatewayConfig, Input};
use crosspoint::id::CallId;
use crosspoint::sip::message::Method;
use rand::RngExt;
use rand::rngs::StdRng;

use super::{TRUNK, World};
use crate::peers::Dialog;
use crate::sdp;

/// Sets what transfers are configured by.
pub fn configure(with: &mut GatewayConfig, rng: &mut StdRng) {
    with.trunks[0].refer = rng.random_bool(0.3);
    with.calls.conference_stays = rng.random_bool(0.5);
    with.calls.transfer_timeout = Duration::from_secs(rng.random_range(5..60));
}

/// A dialog as its peer would name it in Replaces; `swapped` as JsSIP does at times.
fn named(dialog: &Dialog, swapped: bool) -> (String, String, String) {
    let tag = |value: &str| value.split(";tag=").nth(1).unwrap_or("none").to_owned();
    let (to, from) = (tag(&dialog.remote), tag(&dialog.local));
    let (to, from) = if swapped { (from, to) } else { (to, from) };
    (dialog.call_id.clone(), to, from)
}

impl World {
    /// Whoever was handed on needs no browser to talk on: those calls end with the gateway.
    pub(super) fn end_handed_on(&mut self) {
        let left: Vec<CallId> = self.rig.snapshot().calls.iter().map(|view| view.call).collect();
        for call in &left {
            let is_handed_on = |event: &CallEvent| matches!(event.kind, EventKind::Transferred { .. });
            assert!(self.rig.events.iter().any(|event| event.call == *call && is_handed_on(event)), "{call} is left");
        }
        if !left.is_empty() {
            self.rig.input(Input::Shutdown);
            self.rig.advance(Duration::from_secs(120));
        }
    }

    pub(super) fn hand_over(&mut self) {
        match self.rng.random_range(0..10) {
            0 | 1 => self.refer_to_number(),
            2 | 3 => self.refer_to_dialog(),
            4 => self.follow(),
            5 => self.replace(),
            6 => self.ask_by_page(),
            _ => self.ask_by_command(),
        }
    }

    fn refer_to_number(&mut self) {
        let to = self.pick(&["<sip:1004@gw.test>", "<sip:1005@192.0.2.81>", "rubbish", "<sip:4000@gw.test>"]).unwrap();
        let sub = if self.chance(20) { "false" } else { "true" };
        self.within(Method::Refer, &[("Refer-To", to), ("Refer-Sub", sub)], None);
    }

    /// One dialog of an agent is referred to another one of the same agent.
    fn refer_to_dialog(&mut self) {
        let Some((agent, other)) = self.pick(&self.dialogs.clone()) else { return };
        let own: Vec<usize> = (0..self.dialogs.len()).filter(|at| self.dialogs[*at].0 == agent).collect();
        let Some(at) = self.pick(&own) else { return };
        let (call_id, to, from) = named(&other, self.chance(50));
        let refer_to = format!("<sip:1004@gw.test?Replaces={call_id}%3Bto-tag%3D{to}%3Bfrom-tag%3D{from}>");
        let ua = &mut self.agents[agent];
        let bytes = ua.within(&mut self.dialogs[at].1, Method::Refer, &[("Refer-To", &refer_to)], None);
        let path = ua.path;
        self.deliver(path, bytes);
    }

    /// The trunk tells how a REFER of ours goes, whether there was one or not.
    fn follow(&mut self) {
        let status = self.pick(&[100, 180, 200, 200, 486, 503]).unwrap();
        let state = if self.chance(50) { "terminated;reason=noresource" } else { "active;expires=60" };
        let body = format!("SIP/2.0 {status} Whatever\r\n");
        let headers = [("Event", "refer"), ("Subscription-State", state)];
        self.within(Method::Notify, &headers, Some(("message/sipfrag;version=2.0", &body)));
    }

    fn replace(&mut self) {
        let of_trunk: Vec<Dialog> =
            self.dialogs.iter().filter(|(agent, _)| *agent == TRUNK).map(|(_, dialog)| dialog.clone()).collect();
        let Some(dialog) = self.pick(&of_trunk) else { return };
        let (call_id, to, from) = named(&dialog, false);
        let early = if self.chance(30) { ";early-only" } else { "" };
        let value = format!("{call_id};to-tag={to};from-tag={from}{early}");
        let ua = &mut self.agents[TRUNK];
        let dialog = ua.invite("5001", Some(&sdp::genesys_offer()), &[("Replaces", &value)]);
        let (path, bytes) = (ua.path, dialog.invite.raw().clone());
        self.outgoing.push((TRUNK, dialog));
        self.deliver(path, bytes);
    }

    fn ask_by_page(&mut self) {
        let other = self.pick(&self.dialogs.clone()).map(|(_, dialog)| dialog.call_id).unwrap_or_default();
        let bodies = [
            "{\"command\":\"transfer\",\"to\":\"1004\"}".to_owned(),
            format!("{{\"command\":\"transfer\",\"with\":\"{other}\"}}"),
            format!("{{\"command\":\"conference\",\"with\":\"{other}\"}}"),
            "{\"command\":\"hold\"}".to_owned(),
            "{\"command\":\"retrieve\"}".to_owned(),
            "{".to_owned(),
        ];
        let body = self.pick(&bodies).unwrap();
        self.within(Method::Info, &[], Some(("application/vnd.crosspoint+json", &body)));
    }

    fn ask_by_command(&mut self) {
        // A map's order is not the seed's: by name.
        let mut live = self.rig.snapshot().calls;
        live.sort_by_key(|view| view.call);
        let Some(one) = self.pick(&live) else { return };
        // Mostly two calls of one agent that both talk, else any two.
        let alike =
            |other: &&CallView| other.call != one.call && (other.dn.as_str(), other.state) == (&one.dn, one.state);
        let alike: Vec<CallId> = live.iter().filter(alike).map(|view| view.call).collect();
        let any: Vec<CallId> = live.iter().map(|view| view.call).collect();
        let Some(with) = self.pick(&alike).or_else(|| self.pick(&any)) else { return };
        let call = one.call;
        let what = match self.rng.random_range(0..5) {
            0 => CallCommand::BlindTransfer { to: "1004".into() },
            1 => CallCommand::AttendedTransfer { with },
            2 | 3 => CallCommand::Conference { with },
            _ => CallCommand::Retrieve,
        };
        self.ask(call, what);
    }
}
