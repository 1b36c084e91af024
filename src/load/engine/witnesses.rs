//! Calls whose browser is a witness: it describes itself in its own time, and the call goes on when it has.

use std::net::IpAddr;
use std::time::Instant;

use tokio::sync::mpsc;

use super::call::Stage;
use super::conductor::Conductor;
use super::order::{Order, SeatId, Side};
use super::wire::Door;
use crate::load::LoadError;
use crate::load::witness::{Ask, Line, Said, Witness};

/// What the witnesses of a run have to tell signalling; their packets go to the media thread at once.
pub struct Witnesses {
    told: mpsc::UnboundedSender<(SeatId, Said)>,
    said: mpsc::UnboundedReceiver<(SeatId, Said)>,
}

impl Witnesses {
    /// None yet.
    pub fn new() -> Witnesses {
        let (told, said) = mpsc::unbounded_channel();
        Witnesses { told, said }
    }

    /// Calls one to a seat; it leaves when the seat is closed.
    pub fn call(&self, seat: SeatId, address: IpAddr, ssrc: u32, media: &Door) -> (mpsc::Sender<Ask>, Line) {
        let (witness, ask, line) = Witness::new(address, ssrc);
        let (told, media) = (self.told.clone(), media.clone());
        tokio::spawn(witness.live(move |said| match said {
            Said::Connected => media.give(Order::Joined(seat)),
            Said::Heard(header, payload, at) => media.give(Order::Witnessed(seat, header, payload, at)),
            Said::Described(_) | Said::Failed(_) => drop(told.send((seat, said))),
        }));
        (ask, line)
    }

    /// Waits for the next word; cancelled without loss.
    pub async fn next(&mut self) -> Option<(SeatId, Said)> {
        self.said.recv().await
    }
}

impl Conductor<'_> {
    /// Asks a call's witness, where it has one.
    pub(super) fn ask_witness(&mut self, number: usize, ask: Ask) {
        if let Some(witness) = &self.calls[number].ends.witness {
            // It is asked twice at the most; one that is gone has said why.
            let _ = witness.try_send(ask);
        }
    }

    /// True where a call waits for its browser, a witness, to write an offer.
    pub(super) fn asks_to_be_described(&mut self, number: usize) -> bool {
        let call = &self.calls[number];
        let waits = call.caller() == Side::Browser && call.ends.witness.is_some() && call.ends.described.is_none();
        if waits {
            self.ask_witness(number, Ask::Offer);
        }
        waits
    }

    /// A witness says something.
    pub(super) fn witnessed(&mut self, seat: SeatId, said: Said) -> Result<(), LoadError> {
        let now = Instant::now();
        let Some(number) = self.seats.get(&seat).copied().filter(|number| self.calls[*number].seat == seat) else {
            return Ok(());
        };
        match said {
            Said::Described(text) => {
                let call = &mut self.calls[number];
                // What is said a second time was sent already.
                let is_first = call.ends.described.replace(text).is_none();
                if !is_first || call.stage != Stage::Calling {
                    return Ok(());
                }
                match call.caller() {
                    Side::Browser => self.invite(number, now)?,
                    Side::Trunk => self.answer(number, now),
                }
            }
            Said::Failed(why) => self.fail(number, None, &format!("witness: {why}"), now),
            Said::Connected | Said::Heard(..) => {}
        }
        Ok(())
    }
}
