//! Empties the taps of captured legs, off the packet path: every tenth of a second, and when one is closed.
//!
//! What the writer has no room for stays in its tap, and when that is full packets are missed and counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::id::{CallId, LegId};
use crate::io::capture::{Batch, Sink};
use crate::media::Engine;
use crate::media::tap::{Tap, tapped};
use crate::plan::Order;

/// How often taps are emptied: a tap has room for seconds.
const EVERY: Duration = Duration::from_millis(100);

/// A leg that is tapped.
#[derive(Debug)]
struct Open {
    leg: LegId,
    call: CallId,
    locals: Arc<[SocketAddr]>,
}

/// The tapped legs of a worker.
#[derive(Debug)]
pub(super) struct Taps {
    sink: Option<Sink>,
    open: Vec<Open>,
    due: Instant,
}

impl Taps {
    pub(super) fn new(sink: Option<Sink>, now: Instant) -> Taps {
        Taps { sink, open: Vec::new(), due: now }
    }

    /// Returns when [`Taps::empty`] is due; `None`: nothing is tapped.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        (!self.open.is_empty()).then_some(self.due)
    }

    /// Takes note of what an order that was carried out means for taps; `locals` are our addresses of its leg.
    pub(super) fn ordered(&mut self, order: &Order, engine: &mut Engine, locals: Arc<[SocketAddr]>, now: Instant) {
        self.empty_closed(engine);
        let &Order::Tap(leg, Some(call)) = order else { return };
        let Some(tap) = engine.tap(leg) else { return };
        if let Some(at) = self.open.iter().position(|open| open.leg == leg) {
            // It was another capture's until now.
            let known = self.open.swap_remove(at);
            self.hand_over(&known, tap);
        }
        if self.open.is_empty() {
            self.due = now + EVERY;
        }
        self.open.push(Open { leg, call, locals });
    }

    /// Hands over what was tapped, where it is time.
    pub(super) fn empty(&mut self, engine: &mut Engine, now: Instant) {
        if self.open.is_empty() || now < self.due {
            return;
        }
        self.due = now + EVERY;
        for open in &self.open {
            if let Some(tap) = engine.tap(open.leg) {
                self.hand_over(open, tap);
            }
        }
    }

    fn empty_closed(&mut self, engine: &mut Engine) {
        while let Some((leg, mut tap)) = engine.poll_closed_tap() {
            let Some(at) = self.open.iter().position(|open| open.leg == leg) else { continue };
            let known = self.open.swap_remove(at);
            self.hand_over(&known, &mut tap);
            if let Some(sink) = &self.sink {
                let mut left = Vec::new();
                let missed = tap.drain(&mut left);
                sink.missed(missed + tapped(&left).count() as u64);
            }
        }
    }

    /// Empties a tap, if the writer has room.
    fn hand_over(&self, open: &Open, tap: &mut Tap) {
        let Some(sink) = self.sink.as_ref().filter(|sink| sink.has_room()) else { return };
        let mut packets = Vec::with_capacity(tap.len());
        sink.missed(tap.drain(&mut packets));
        if !packets.is_empty() {
            let (call, opened, locals) = (open.call, tap.opened(), open.locals.clone());
            sink.media(Batch { call, opened, locals, packets });
        }
    }
}
