//! A page that was reloaded gets its call back: an INVITE that says which call it is, and that it wants no ringing.
//!
//! Our phone page answers it by itself for the sake of `X-Crosspoint-Resume: CALL[;held]`; phones of another make, where
//! the configuration lets them, by the hints that many of them know: `Call-Info: …;answer-after=0` and
//! `Alert-Info: …;info=alert-autoanswer`. The trunk hears nothing of it.

use std::time::{Duration, Instant};

use super::Gateway;
use super::flows::{RESUME, Suitor};
use crate::call::{Declined, Leg, LegMedia, ReleaseCause, Signal};
use crate::id::{CallId, LegId};
use crate::sip::endpoint::Header;

/// How long a page may take to get at its microphone and to answer.
const ANSWER: Duration = Duration::from_secs(15);

impl Gateway {
    /// Sends the phone an INVITE for the call whose leg it lost, or waits until the call lets it.
    pub(super) fn resume(&mut self, call: CallId, old: LegId, suitor: Suitor, now: Instant) {
        let Some(found) = self.calls.get(call) else { return };
        match found.may_begin() {
            Ok(()) => {}
            Err(Declined::Busy) => return self.flows.want(old, suitor, now),
            // It rang, and knows nothing of it any more: its INVITE is to end, too.
            Err(_) if found.is_summons() || found.legs.first().is_none_or(|caller| caller.id != old) => {
                return self.give_up(call, old, now);
            }
            // It was dialling: nobody is there to hear the answer.
            Err(_) => {
                self.flows.forget(old);
                let cause = ReleaseCause::FlowLost;
                return self.signal(call, Signal::Ended { leg: old, cause, reason: None }, now);
            }
        }
        let Some(worker) = found.leg(old).map(|leg| leg.media.worker) else { return };
        let (is_local, dn) = (found.parties.local, found.dn_of(old).to_owned());
        let to_far = dn == found.parties.peer;
        let leg = self.calls.next_leg();
        let beside = self.beside(call);
        let local = self.browser_local(worker, &dn, beside);
        let Ok((media, open)) = LegMedia::browser(leg, worker, local, None) else { return };
        let headers = self.resume_headers(call, old);
        let sdp = media.sdp.clone();
        let Some(session) = self.invite_browser(call, is_local && to_far, &suitor.binding, sdp, headers, now) else {
            return;
        };
        self.order(worker, open);
        self.calls.add_leg(call, Leg::browser(leg, dn, session, suitor.binding.path, media));
        if let Some(found) = self.calls.get_mut(call) {
            found.begin_resume(old, leg);
        }
        self.flows.offered(old, now + ANSWER);
        self.calls.schedule(call);
    }

    fn resume_headers(&self, call: CallId, leg: LegId) -> Vec<Header> {
        let held = self.calls.get(call).is_some_and(|call| call.holds(leg));
        let value = format!("{}{}", call.0, if held { ";held" } else { "" });
        vec![
            (RESUME.to_owned(), value.into_bytes()),
            ("Call-Info".to_owned(), format!("<sip:{}>;answer-after=0", self.realm).into_bytes()),
            ("Alert-Info".to_owned(), format!("<http://{}/>;info=alert-autoanswer", self.realm).into_bytes()),
        ]
    }

    /// The new leg is where the lost one was.
    pub(super) fn resumed(&mut self, call: CallId, old: LegId) {
        tracing::info!(%call, %old, "taken up by the reloaded page");
        self.flows.forget(old);
        self.counters.resumed += 1;
    }
}
