//! What is to be reported of a leg: a slot per leg, coalesced, never dropped.

use std::collections::VecDeque;

use crate::id::LegId;
use crate::plan::{Digit, DtlsFailure, Report};

/// Digits kept for signalling; a peer that strikes more keys before it is listened to loses the last ones.
const MAX_DIGITS: usize = 64;

/// The slot of a leg.
#[derive(Debug, Default)]
pub(super) struct News {
    connected: bool,
    consent_lost: bool,
    failed: Option<DtlsFailure>,
    digits: VecDeque<Digit>,
    /// The leg stands in the queue of legs with news.
    pub queued: bool,
}

impl News {
    pub(super) fn connected(&mut self) {
        self.connected = true;
    }

    pub(super) fn consent_lost(&mut self) {
        self.consent_lost = true;
    }

    pub(super) fn failed(&mut self, failure: DtlsFailure) {
        self.failed = Some(failure);
    }

    pub(super) fn digit(&mut self, digit: Digit) {
        if self.digits.len() < MAX_DIGITS {
            self.digits.push_back(digit);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.connected && !self.consent_lost && self.failed.is_none() && self.digits.is_empty()
    }

    /// Takes the next report out of the slot.
    pub(super) fn take(&mut self, leg: LegId) -> Option<Report> {
        if std::mem::take(&mut self.connected) {
            return Some(Report::Connected(leg));
        }
        if let Some(digit) = self.digits.pop_front() {
            return Some(Report::Digit(leg, digit));
        }
        if let Some(failure) = self.failed.take() {
            return Some(Report::DtlsFailed(leg, failure));
        }
        std::mem::take(&mut self.consent_lost).then_some(Report::ConsentLost(leg))
    }
}
