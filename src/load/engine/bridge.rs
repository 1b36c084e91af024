//! Calls over a media server that has no SIP of its own: rtpengine. Its two requests for each call run beside the conductor.

use std::future::pending;
use std::net::SocketAddr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;

use super::call::{Call, Stage};
use super::conductor::Conductor;
use super::order::{Order, SeatId, Side};
use crate::load::LoadError;
use crate::load::peer::rtpengine::{self, Ends, Met, NgError};

/// What is under way at rtpengine.
pub struct Bridge {
    ng: SocketAddr,
    /// Names the calls of this run apart from those of others, with the same seed too: rtpengine answers a request that it has
    /// seen with the response that it gave.
    run: u128,
    joins: JoinSet<(SeatId, Result<Met, NgError>)>,
    deletes: JoinSet<()>,
}

impl Bridge {
    /// Finds rtpengine.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn open(ng: SocketAddr) -> Result<Bridge, NgError> {
        rtpengine::ping(ng).await?;
        let run = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        Ok(Bridge { ng, run, joins: JoinSet::new(), deletes: JoinSet::new() })
    }

    /// The Call-ID of a seat.
    pub fn id(&self, seat: SeatId) -> String {
        format!("{:x}-{}", self.run, seat.0)
    }

    /// Brings the ends of a call together.
    pub fn join(&mut self, seat: SeatId, ends: Ends) {
        let ng = self.ng;
        self.joins.spawn(async move { (seat, rtpengine::join(ng, &ends).await) });
    }

    /// Waits for the next call whose ends know each other, or never will; cancelled without loss.
    pub async fn next(&mut self) -> (SeatId, Result<Met, NgError>) {
        loop {
            match self.joins.join_next().await {
                Some(Ok(met)) => return met,
                // A task that panicked has no call to tell of; the call's own limit ends it.
                Some(Err(_)) => {}
                None => return pending().await,
            }
        }
    }

    /// Ends a call.
    pub fn delete(&mut self, seat: SeatId) {
        let (ng, id) = (self.ng, self.id(seat));
        self.deletes.spawn(async move {
            // What it does not hear of, it forgets by itself.
            let _ = rtpengine::delete(ng, &id).await;
        });
    }

    /// Waits until all calls are ended.
    pub async fn close(mut self) {
        while self.deletes.join_next().await.is_some() {}
    }
}

impl Conductor<'_> {
    /// Has a call's ends brought together.
    pub(super) fn bring_together(&mut self, number: usize, now: Instant) {
        let call = &mut self.calls[number];
        call.invited = now;
        let (Some(browser), Some(trunk)) = (call.ends.browser.clone(), call.ends.trunk.clone()) else { return };
        let Some(bridge) = &mut self.bridge else { return };
        let (seat, direction) = (call.seat, call.outcome.direction);
        bridge.join(seat, Ends { id: bridge.id(seat), direction, browser, trunk });
    }

    /// A call's ends know each other, or never will.
    pub(super) fn met(&mut self, seat: SeatId, met: Result<Met, NgError>) -> Result<(), LoadError> {
        let now = Instant::now();
        let waits = |call: &Call| call.seat == seat && call.stage == Stage::Calling;
        let Some(number) = self.calls.iter().position(waits) else { return Ok(()) };
        let met = match met {
            Ok(met) => met,
            Err(error) => {
                self.fail(number, None, &error.to_string(), now);
                return Ok(());
            }
        };
        self.calls[number].outcome.setup_200_us =
            Some(now.saturating_duration_since(self.calls[number].invited).as_micros() as u64);
        let offered = self.calls[number].caller() == Side::Browser;
        self.meet_browser(number, met.browser, offered)?;
        self.meet_trunk(number, &met.trunk)?;
        let call = &mut self.calls[number];
        call.enter(Stage::Up, now);
        self.threads.media.give(Order::Talk(call.seat));
        Ok(())
    }
}
