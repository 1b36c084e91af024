//! Captures: which calls are written to a file, and what belongs to each: SIP by Call-ID, media by leg.
//!
//! The gateway says so, and the shell writes: a call is none the worse for a full disk. What a call gains or loses
//! while it is captured (a target of a transfer, a phone that resumes) is noticed after each input, from the
//! table of calls. We do not tell two calls apart that a peer has given one Call-ID, because RFC 3261 8.1.1.4 forbids that.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use rand::RngExt;
use rand::rngs::StdRng;

use super::config::DnSet;
use super::{Gateway, Output};
use crate::call::{CaptureEnd, Declined, EventKind, Nailed, Parties};
use crate::id::{CallId, LegId, WorkerId};
use crate::plan::Order;

/// Which calls are captured.
#[derive(Clone, Debug, Default)]
pub struct CapturePolicy {
    /// There is a place to write to; without it no call is captured.
    pub available: bool,
    /// Every call is, from its beginning.
    pub always: bool,
    /// So are the calls of these DNs.
    pub dns: Vec<DnSet>,
}

impl CapturePolicy {
    /// Returns true if calls are captured without being asked for.
    pub fn is_automatic(&self) -> bool {
        self.available && (self.always || !self.dns.is_empty())
    }

    fn wants(&self, parties: &Parties) -> bool {
        let peer = parties.local.then_some(&parties.peer);
        let mut ours = [Some(&parties.dn), peer].into_iter().flatten();
        self.available && (self.always || ours.any(|dn| self.dns.iter().any(|set| set.contains(dn))))
    }
}

/// What the shell is to do about captures, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaptureOrder {
    /// Begin one.
    Open {
        /// Of this call.
        call: CallId,
        /// Its name: letters, digits, `-` and `_`, never used before.
        name: String,
    },
    /// SIP messages of this Call-ID belong to it, from the first one that is still known.
    Take {
        /// The capture's call.
        call: CallId,
        /// The Call-ID.
        call_id: String,
    },
    /// They do so no longer.
    Leave {
        /// The capture's call.
        call: CallId,
        /// The Call-ID.
        call_id: String,
    },
    /// End it.
    Close {
        /// The capture's call.
        call: CallId,
        /// Nothing more is to be written; else what still answers the call's last requests.
        at_once: bool,
    },
}

/// What is known of a leg that is captured.
#[derive(Debug)]
struct Heard {
    worker: WorkerId,
    tapped: bool,
    call_id: Option<String>,
}

#[derive(Debug)]
struct Captured {
    name: String,
    legs: BTreeMap<LegId, Heard>,
}

/// The captures under way.
#[derive(Debug)]
pub(super) struct Captures {
    policy: CapturePolicy,
    open: HashMap<CallId, Captured>,
    rng: StdRng,
}

impl Captures {
    pub(super) fn new(policy: CapturePolicy, rng: StdRng) -> Captures {
        Captures { policy, open: HashMap::new(), rng }
    }

    /// Returns the name of a call's capture.
    pub(super) fn name(&self, call: CallId) -> Option<&str> {
        self.open.get(&call).map(|captured| captured.name.as_str())
    }

    /// Entries of all maps that calls fill.
    pub(super) fn entries(&self) -> usize {
        self.open.len()
    }

    /// The DN first, by which a person looks for it; then what makes it the only one.
    fn make_name(&mut self, call: CallId, dn: &str) -> String {
        let dn: String = dn.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
        format!("{dn}-{call}-{:08x}", self.rng.random::<u32>())
    }
}

impl Gateway {
    /// Begins the capture of a call that the configuration wants captured; to be called when the call begins.
    pub(super) fn capture_if_wanted(&mut self, call: CallId, now: Instant) {
        if self.calls.get(call).is_some_and(|found| self.captures.policy.wants(&found.parties)) {
            self.begin_capture(call, now);
        }
    }

    /// Captures a call, or ends it, because somebody says so.
    pub(super) fn command_capture(&mut self, call: CallId, on: bool, now: Instant) {
        if !on {
            return self.end_capture(call, CaptureEnd::Asked, now);
        }
        if !self.captures.policy.available {
            return self.emit(call, EventKind::Declined { why: Declined::NoCapture, by_agent: true }, now);
        }
        self.begin_capture(call, now);
    }

    fn begin_capture(&mut self, call: CallId, now: Instant) {
        let Some(found) = self.calls.get(call).filter(|found| found.nailed != Nailed::Alone) else { return };
        if self.captures.open.contains_key(&call) || found.is_releasing() {
            return;
        }
        let name = self.captures.make_name(call, &found.parties.dn);
        self.captures.open.insert(call, Captured { name: name.clone(), legs: BTreeMap::new() });
        self.outputs.push_back(Output::Capture(CaptureOrder::Open { call, name: name.clone() }));
        self.calls.touch(call);
        self.emit(call, EventKind::CaptureStarted { name }, now);
    }

    /// Ends the capture of a call, where there is one.
    pub(super) fn end_capture(&mut self, call: CallId, why: CaptureEnd, now: Instant) {
        let Some(captured) = self.captures.open.remove(&call) else { return };
        let at_once = why != CaptureEnd::CallEnded;
        for (leg, heard) in captured.legs {
            // The ports of a call that is over are closed.
            if heard.tapped && at_once && self.calls.of_leg(leg) == Some(call) {
                self.order(heard.worker, Order::Tap(leg, None));
            }
        }
        self.outputs.push_back(Output::Capture(CaptureOrder::Close { call, at_once }));
        self.emit(call, EventKind::CaptureStopped { name: captured.name, why }, now);
    }

    /// The shell has ended a capture of itself.
    pub(super) fn capture_ended(&mut self, call: CallId, name: &str, why: CaptureEnd, now: Instant) {
        if self.captures.name(call) == Some(name) {
            self.end_capture(call, why, now);
        }
    }

    /// Tells the shell and the media threads what calls have gained and lost since the last time.
    pub(super) fn tend_captures(&mut self) {
        let touched = self.calls.take_touched();
        if self.captures.open.is_empty() {
            return;
        }
        // A leg that goes from one capture to another is let go first.
        for &call in &touched {
            self.let_legs_go(call);
        }
        for &call in &touched {
            self.take_legs(call);
        }
    }

    fn let_legs_go(&mut self, call: CallId) {
        let Some(captured) = self.captures.open.get_mut(&call) else { return };
        let calls = &self.calls;
        let gone = captured.legs.extract_if(.., |leg, _| calls.of_leg(*leg) != Some(call));
        for (leg, heard) in gone {
            // What still answers the BYE of a leg that is no more is the call's; that of one elsewhere is not.
            if calls.of_leg(leg).is_none() {
                continue;
            }
            if heard.tapped {
                self.outputs.push_back(Output::Media(heard.worker, Order::Tap(leg, None)));
            }
            if let Some(call_id) = heard.call_id {
                self.outputs.push_back(Output::Capture(CaptureOrder::Leave { call, call_id }));
            }
        }
    }

    fn take_legs(&mut self, call: CallId) {
        let (Some(captured), Some(found)) = (self.captures.open.get_mut(&call), self.calls.get(call)) else { return };
        for leg in &found.legs {
            let heard = captured.legs.entry(leg.id).or_insert_with(|| Heard {
                worker: leg.media.worker,
                tapped: false,
                call_id: None,
            });
            if heard.call_id.is_none()
                && let Some(call_id) = leg.session.and_then(|session| self.endpoint.call_id(session))
            {
                heard.call_id = Some(call_id.to_owned());
                let call_id = call_id.to_owned();
                self.outputs.push_back(Output::Capture(CaptureOrder::Take { call, call_id }));
            }
            if !heard.tapped && leg.open {
                heard.tapped = true;
                self.outputs.push_back(Output::Media(heard.worker, Order::Tap(leg.id, Some(call))));
            }
        }
    }
}
