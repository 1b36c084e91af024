//! Keys that go to a peer by INFO, one at a time: requests of a dialog that overtake each other are refused (RFC 3261 12.2.2).

use std::collections::VecDeque;

use crate::plan::Digit;

/// Most keys that wait; more are not sent, as by RTP.
const WAITING: usize = 32;

/// What goes to one leg.
#[derive(Debug, Default)]
pub struct Keys {
    /// One is on its way.
    is_out: bool,
    /// The peer takes none this way.
    is_refused: bool,
    waiting: VecDeque<Digit>,
}

impl Keys {
    /// Takes a key; returned is one that is to go out.
    pub fn press(&mut self, digit: Digit) -> Option<Digit> {
        if self.is_refused {
            return None;
        }
        if self.is_out {
            if self.waiting.len() < WAITING {
                self.waiting.push_back(digit);
            }
            return None;
        }
        self.is_out = true;
        Some(digit)
    }

    /// The one on its way has its response, or none at all; returned is the next one that is to go out.
    pub fn answered(&mut self, status: Option<u16>) -> Option<Digit> {
        // Neither the method nor the body is known there.
        if matches!(status, Some(405 | 415 | 501)) {
            self.is_refused = true;
            self.waiting.clear();
        }
        let next = self.waiting.pop_front();
        self.is_out = next.is_some();
        next
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(event: u8) -> Digit {
        Digit { event, duration: Duration::from_millis(100) }
    }

    #[test]
    fn each_key_waits_for_the_response_to_the_one_before_it() {
        let mut keys = Keys::default();
        assert_eq!(keys.press(key(1)), Some(key(1)));
        assert_eq!([keys.press(key(2)), keys.press(key(3))], [None; 2]);
        assert_eq!(keys.answered(Some(200)), Some(key(2)));
        assert_eq!(keys.answered(None), Some(key(3)), "one without a response holds up nothing");
        assert_eq!(keys.answered(Some(200)), None);
        assert_eq!(keys.press(key(4)), Some(key(4)));
    }

    #[test]
    fn a_peer_that_does_not_know_them_is_sent_no_more() {
        let mut keys = Keys::default();
        keys.press(key(1));
        keys.press(key(2));
        assert_eq!(keys.answered(Some(415)), None);
        assert_eq!(keys.press(key(3)), None);
    }

    #[test]
    fn no_more_than_32_wait() {
        let mut keys = Keys::default();
        let at_once = (0..100).filter(|_| keys.press(key(5)).is_some()).count();
        assert_eq!(at_once, 1);
        let sent = std::iter::from_fn(|| keys.answered(Some(200))).count();
        assert_eq!(sent, WAITING);
    }
}
