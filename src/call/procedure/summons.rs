//! A call that the trunk wants an agent's phone to make (a REFER outside any dialog; genesys.md, `refer-enabled`): the phone
//! is called first, and the number when the phone has answered.
//!
//! ```text
//!  calling ──2xx of a phone──> set-up (the other phones are cancelled)
//!     └──refused by all, no answer in time──> release
//! ```

use std::time::{Duration, Instant};

use super::setup::SetupLimits;
use super::{Action, Next, Signal, Step};
use crate::call::cause::ReleaseCause;
use crate::id::LegId;

/// Reason header for phones that rang in vain (RFC 3326 2).
const ELSEWHERE: &[u8] = b"SIP;cause=200;text=\"Call completed elsewhere\"";

/// The agent's phones are being called.
#[derive(Debug)]
pub struct Summons {
    phones: Vec<LegId>,
    /// Those that ring and were told to answer.
    told: Vec<LegId>,
    /// A page is told to answer; other phones know it by their INVITE.
    tells: bool,
    until: Instant,
    /// How patient the call is then.
    limits: SetupLimits,
    tone: Duration,
}

impl Summons {
    /// Begins; phones are added by [`Summons::add_phone`]. `tells`: they are pages, which are told to answer. `tone`: how
    /// long the agent hears that the number is busy, say.
    pub fn begin(tells: bool, until: Instant, limits: SetupLimits, tone: Duration) -> Summons {
        Summons { phones: Vec::new(), told: Vec::new(), tells, until, limits, tone }
    }

    /// Another phone was sent an INVITE.
    pub fn add_phone(&mut self, leg: LegId) {
        self.phones.push(leg);
    }

    pub(super) fn deadline(&self) -> Instant {
        self.until
    }

    pub(super) fn on(&mut self, signal: Signal, now: Instant) -> Step {
        match signal {
            Signal::Ringing { leg, .. } if self.tells && !self.told.contains(&leg) => {
                self.told.push(leg);
                Step::stay(vec![Action::AskToAnswer(leg)])
            }
            Signal::Answered { leg } if self.phones.contains(&leg) => {
                self.phones.retain(|phone| *phone != leg);
                let next = Next::Summoned { phone: leg, limits: self.limits, tone: self.tone };
                Step { actions: self.drop_phones(ELSEWHERE), next }
            }
            Signal::Answered { leg } => Step::stay(vec![Action::HangUp { leg, reason: ELSEWHERE.to_vec() }]),
            Signal::Refused { leg, status, .. } => self.refused(leg, status),
            Signal::Ended { leg, .. } => self.refused(leg, 480),
            Signal::NoTarget if self.phones.is_empty() => over(Vec::new(), 480),
            Signal::Release(cause) => {
                let actions = self.drop_phones(cause.reason().as_bytes());
                Step::release(actions, cause, None)
            }
            Signal::Deadline { .. } if now >= self.until => {
                over(self.drop_phones(b"SIP;cause=480;text=\"No answer\""), 480)
            }
            _ => Step::stay(Vec::new()),
        }
    }

    fn refused(&mut self, leg: LegId, status: u16) -> Step {
        if !self.phones.contains(&leg) {
            return Step::stay(Vec::new());
        }
        self.phones.retain(|phone| *phone != leg);
        let actions = vec![Action::CloseMedia(leg), Action::Forget(leg)];
        if self.phones.is_empty() { over(actions, status) } else { Step::stay(actions) }
    }

    fn drop_phones(&mut self, reason: &[u8]) -> Vec<Action> {
        let each =
            |leg| [Action::HangUp { leg, reason: reason.to_vec() }, Action::CloseMedia(leg), Action::Forget(leg)];
        self.phones.drain(..).flat_map(each).collect()
    }
}

fn over(actions: Vec<Action>, status: u16) -> Step {
    Step::release(actions, ReleaseCause::Refused(status), None)
}
