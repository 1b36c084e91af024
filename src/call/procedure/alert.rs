//! How an agent's phone is brought to answer: by its page, by a call of its own at the last moment, or by a leg that stands.
//!
//! ```text
//! page:      the phones ring ──talk──> each is told to answer
//! deferred:  180 is ours     ──talk──> the phones are called, and answer by themselves
//! nailed:    180 is ours, the standing leg waits muted ──talk──> it is joined
//! ```
//! An auto-answer header in an INVITE that rings would answer before `talk`: it is sent only where nothing rings.

use super::Action;
use crate::id::LegId;

/// How the phone of a DN is made to answer by NOTIFY talk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AnswerMode {
    /// The page that the agent's browser runs is told so while it rings.
    #[default]
    Page,
    /// The phone is called when it is to answer, and does so by itself.
    Deferred,
    /// One leg of the phone stands from call to call.
    Nailed,
}

/// What a wish to answer comes to.
#[derive(Debug)]
pub(super) enum Wished {
    /// These are to be carried out; the answer is still to come.
    Actions(Vec<Action>),
    /// This leg has answered already.
    Join(LegId),
}

/// The phones of a call that is being set up.
#[derive(Debug, Default)]
pub(super) struct Alert {
    mode: AnswerMode,
    /// Somebody wishes that the phone answers.
    wished: bool,
    /// Phones that ring, and whether each was told to answer.
    ringing: Vec<(LegId, bool)>,
    /// A nailed leg that waits for the wish.
    ready: Option<LegId>,
}

impl Alert {
    pub(super) fn set_mode(&mut self, mode: AnswerMode) {
        self.mode = mode;
    }

    /// Returns the nailed leg that waits.
    pub(super) fn ready(&self) -> Option<LegId> {
        self.ready
    }

    /// A phone rings. One that does not ring yet has no dialog to be told in.
    pub(super) fn rings(&mut self, leg: LegId) -> Vec<Action> {
        if !self.ringing.iter().any(|(id, _)| *id == leg) {
            self.ringing.push((leg, false));
        }
        if self.wished { self.tell() } else { Vec::new() }
    }

    /// The phone is to answer.
    pub(super) fn wish(&mut self) -> Wished {
        let first = !std::mem::replace(&mut self.wished, true);
        match (self.mode, self.ready) {
            (_, Some(leg)) => Wished::Join(leg),
            (AnswerMode::Deferred, None) if first => Wished::Actions(vec![Action::CallPhones]),
            _ => Wished::Actions(self.tell()),
        }
    }

    /// A phone answered; true where its call is joined at once.
    pub(super) fn answered(&mut self, leg: LegId) -> bool {
        let waits = self.mode == AnswerMode::Nailed && !self.wished;
        self.ready = waits.then_some(leg);
        !waits
    }

    pub(super) fn forget(&mut self, leg: LegId) {
        self.ringing.retain(|(id, _)| *id != leg);
        self.ready = self.ready.filter(|ready| *ready != leg);
    }

    /// Tells each phone that rings to answer, once.
    fn tell(&mut self) -> Vec<Action> {
        if self.mode != AnswerMode::Page {
            return Vec::new();
        }
        let unasked = self.ringing.iter_mut().filter(|(_, asked)| !asked);
        unasked
            .map(|(leg, asked)| {
                *asked = true;
                Action::AskToAnswer(*leg)
            })
            .collect()
    }
}
