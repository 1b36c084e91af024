//! What a leg has said and heard in SDP, and the orders that follow from it (RFC 3264).

use crate::id::{LegId, PortPairId, WorkerId};
use crate::plan::{BrowserPlan, BrowserRemote, Dejitter, IceCredentials, Latch, Order, RtpPlan, RtpRemote};
use crate::sdp::OfferError;
use crate::sdp::description::Direction;
use crate::sdp::offer_answer::{
    Agreed, BrowserLocal, OfferState, RtpLocal, accept_browser_answer, accept_rtp_answer, answer_browser, answer_rtp,
    offer_browser, offer_rtp,
};

/// Our side of a leg's media.
#[derive(Debug)]
enum Side {
    Browser { local: Box<BrowserLocal>, remote: Option<Box<BrowserRemote>> },
    Trunk { local: Box<RtpLocal>, remote: Option<RtpRemote> },
}

/// The media of one leg, as signalling sees it.
#[derive(Debug)]
pub struct LegMedia {
    /// Where its port is.
    pub worker: WorkerId,
    /// Our description, as it is to be sent or was sent last.
    pub sdp: Vec<u8>,
    side: Side,
    agreed: Option<Agreed>,
    pending: Option<OfferState>,
    /// What holds again if our offer in mid-call comes to nothing: direction and description.
    before: Option<(Direction, Vec<u8>)>,
    /// Answers in provisional responses, by the fork that sent each.
    early: Vec<Early>,
}

/// An answer in a provisional response.
#[derive(Debug)]
struct Early {
    fork: String,
    sdp: Vec<u8>,
    /// It was acknowledged: its 2xx changes nothing about it (RFC 3262 5).
    is_final: bool,
}

/// Most forks of one INVITE whose early answers are kept.
const MAX_FORKS: usize = 16;

/// The bound port pair of a trunk leg and how it is used.
#[derive(Clone, Copy, Debug)]
pub struct PairUse {
    /// The pair.
    pub pair: PortPairId,
    /// SSRC that we send with.
    pub ssrc: u32,
    /// Rule against injection.
    pub latch: Latch,
    /// How long what arrives waits.
    pub dejitter: Dejitter,
}

impl Side {
    /// Takes the answer to an offer; the order is for what has changed.
    fn hear(&mut self, leg: LegId, state: &OfferState, answer: &[u8]) -> Result<(Option<Order>, Agreed), OfferError> {
        Ok(match self {
            Side::Browser { remote, .. } => {
                let (heard, agreed) = accept_browser_answer(state, answer)?;
                let changed = remote.as_deref() != Some(&heard);
                *remote = Some(Box::new(heard.clone()));
                (changed.then(|| Order::UpdateBrowser(leg, Box::new(heard))), agreed)
            }
            Side::Trunk { remote, .. } => {
                let (heard, agreed) = accept_rtp_answer(state, answer)?;
                let changed = *remote != Some(heard);
                *remote = Some(heard);
                (changed.then_some(Order::UpdateRtp(leg, heard)), agreed)
            }
        })
    }
}

impl LegMedia {
    /// Makes a browser leg's media: the answer to its offer, or an offer of ours. The order opens the port.
    pub fn browser(
        leg: LegId,
        worker: WorkerId,
        local: BrowserLocal,
        offer: Option<&[u8]>,
    ) -> Result<(LegMedia, Order), OfferError> {
        let (sdp, remote, agreed, pending) = match offer {
            Some(offer) => {
                let answer = answer_browser(offer, &local, None)?;
                (answer.sdp, Some(Box::new(answer.remote)), Some(answer.agreed), None)
            }
            None => {
                let (sdp, state) = offer_browser(&local, None);
                (sdp, None, None, Some(state))
            }
        };
        let plan = BrowserPlan {
            ice: local.ice.clone(),
            ssrc: local.ssrc,
            cname: local.cname.clone(),
            remote: remote.as_deref().cloned(),
        };
        let side = Side::Browser { local: Box::new(local), remote };
        Ok((
            LegMedia { worker, sdp, side, agreed, pending, before: None, early: Vec::new() },
            Order::OpenBrowser(leg, Box::new(plan)),
        ))
    }

    /// Makes a trunk leg's media, as [`LegMedia::browser`] does.
    pub fn trunk(
        leg: LegId,
        worker: WorkerId,
        local: RtpLocal,
        pair: PairUse,
        offer: Option<&[u8]>,
    ) -> Result<(LegMedia, Order), OfferError> {
        let (sdp, remote, agreed, pending) = match offer {
            Some(offer) => {
                let answer = answer_rtp(offer, &local, None)?;
                (answer.sdp, Some(answer.remote), Some(answer.agreed), None)
            }
            None => {
                let (sdp, state) = offer_rtp(&local, None);
                (sdp, None, None, Some(state))
            }
        };
        let plan = RtpPlan { pair: pair.pair, ssrc: pair.ssrc, latch: pair.latch, dejitter: pair.dejitter, remote };
        let side = Side::Trunk { local: Box::new(local), remote };
        Ok((
            LegMedia { worker, sdp, side, agreed, pending, before: None, early: Vec::new() },
            Order::OpenRtp(leg, Box::new(plan)),
        ))
    }

    /// Returns true where no way for keys was agreed beside the audio (RFC 4733).
    pub fn is_without_events(&self) -> bool {
        let audio = match &self.side {
            Side::Browser { remote, .. } => remote.as_deref().map(|remote| &remote.audio),
            Side::Trunk { remote, .. } => remote.as_ref().map(|remote| &remote.audio),
        };
        audio.is_some_and(|audio| audio.send_event.is_none())
    }

    /// Returns true while an offer of ours has no answer.
    pub fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    /// Returns true once the peer's description is known.
    pub fn is_known(&self) -> bool {
        match &self.side {
            Side::Browser { remote, .. } => remote.is_some(),
            Side::Trunk { remote, .. } => remote.is_some(),
        }
    }

    /// Returns the direction of the peer's last description, as the peer writes it; an address that takes no media counts
    /// as not receiving.
    pub fn peer_direction(&self) -> Direction {
        self.agreed.as_ref().map(Agreed::peer_direction).unwrap_or_default()
    }

    /// Returns true where the peer's last description is one of ours, sent back: a SIP Server gives the call up so.
    pub fn is_mirrored(&self) -> bool {
        self.agreed.as_ref().is_some_and(Agreed::is_mirrored)
    }

    /// Keeps the answer that a fork gave early: its 2xx need not repeat it (RFC 3261 13.2.1). `is_final`: the provisional
    /// was one that is acknowledged.
    pub fn note_early(&mut self, fork: &str, sdp: &[u8], is_final: bool) {
        self.early.retain(|early| early.fork != fork);
        if self.early.len() < MAX_FORKS {
            self.early.push(Early { fork: fork.to_owned(), sdp: sdp.to_vec(), is_final });
        }
    }

    /// Takes the early answer of the fork that has answered; `None` where it gave none.
    pub fn early_of(&mut self, fork: &str) -> Option<Vec<u8>> {
        let early = std::mem::take(&mut self.early);
        early.into_iter().find(|early| early.fork == fork).map(|early| early.sdp)
    }

    /// The fork wants to make an offer before its 2xx: the exchange before is over if its answer was final, and it is the
    /// only one that gave any. False: our offer has no answer yet.
    pub fn settle_early(&mut self, fork: &str) -> bool {
        let is_settled = matches!(&self.early[..], [only] if only.fork == fork && only.is_final);
        if is_settled {
            self.settle();
        }
        is_settled
    }

    /// Takes the peer's answer to our offer. `last` is false for that of a provisional response, which the final one
    /// may still replace. Without a change there is no order.
    pub fn take_answer(&mut self, leg: LegId, answer: &[u8], last: bool) -> Result<Option<Order>, OfferError> {
        let Some(state) = &self.pending else { return Ok(None) };
        let (order, agreed) = self.side.hear(leg, state, answer)?;
        self.agreed = Some(agreed);
        if last {
            self.settle();
        }
        Ok(order)
    }

    /// Takes another answer to what we have said already: that of a refresh, or of another phone that rang. Without a change
    /// there is no order.
    pub fn answered_anew(&mut self, leg: LegId, answer: &[u8]) -> Result<Option<Order>, OfferError> {
        let said = self.agreed.as_ref();
        let (_, state) = match &self.side {
            Side::Browser { local, .. } => offer_browser(local, said),
            Side::Trunk { local, .. } => offer_rtp(local, said),
        };
        let state = match said {
            Some(said) => state.said_before(said),
            None => state,
        };
        let (order, agreed) = self.side.hear(leg, &state, answer)?;
        self.agreed = Some(agreed);
        Ok(order)
    }

    /// The exchange is over though the final response said nothing: what the provisional said stands.
    pub fn settle(&mut self) {
        self.pending = None;
        self.before = None;
    }

    /// Our offer in mid-call came to nothing: all is as it was before it.
    pub fn withdraw(&mut self) {
        self.pending = None;
        if let Some((direction, sdp)) = self.before.take() {
            *self.direction() = direction;
            self.sdp = sdp;
        }
    }

    /// Most that we want: held to in offers and answers alike.
    fn direction(&mut self) -> &mut Direction {
        match &mut self.side {
            Side::Browser { local, .. } => &mut local.audio.direction,
            Side::Trunk { local, .. } => &mut local.audio.direction,
        }
    }

    /// Answers an offer in mid-call; [`LegMedia::sdp`] is then the answer. A refusal changes nothing.
    /// `fresh` is used where the browser restarted ICE (RFC 8839 4.4.1.1.1).
    pub fn answer_again(&mut self, leg: LegId, offer: &[u8], fresh: IceCredentials) -> Result<Vec<Order>, OfferError> {
        let mut orders = Vec::new();
        let previous = self.agreed.as_ref();
        match &mut self.side {
            Side::Browser { local, remote } => {
                let restart = previous.is_some_and(|agreed| agreed.is_ice_restart(offer));
                let mut next = local.clone();
                if restart {
                    next.ice = fresh;
                }
                let answer = answer_browser(offer, &next, previous)?;
                if restart {
                    orders.push(Order::RestartIce(leg, next.ice.clone()));
                }
                if remote.as_deref() != Some(&answer.remote) {
                    orders.push(Order::UpdateBrowser(leg, Box::new(answer.remote.clone())));
                }
                *local = next;
                *remote = Some(Box::new(answer.remote));
                self.sdp = answer.sdp;
                self.agreed = Some(answer.agreed);
            }
            Side::Trunk { local, remote } => {
                let answer = answer_rtp(offer, local, previous)?;
                if *remote != Some(answer.remote) {
                    orders.push(Order::UpdateRtp(leg, answer.remote));
                }
                *remote = Some(answer.remote);
                self.sdp = answer.sdp;
                self.agreed = Some(answer.agreed);
            }
        }
        Ok(orders)
    }

    /// Makes an offer in mid-call, for a re-INVITE that has none; [`LegMedia::sdp`] is then the offer.
    pub fn offer_again(&mut self) {
        let direction = *self.direction();
        self.offer_direction(direction);
    }

    /// Makes an offer in mid-call with this direction, for a re-INVITE of ours; [`LegMedia::sdp`] is then the offer.
    /// [`LegMedia::take_answer`] or [`LegMedia::withdraw`] is to follow.
    pub fn offer_direction(&mut self, direction: Direction) {
        let before = std::mem::replace(self.direction(), direction);
        let (sdp, state) = match &self.side {
            Side::Browser { local, .. } => offer_browser(local, self.agreed.as_ref()),
            Side::Trunk { local, .. } => offer_rtp(local, self.agreed.as_ref()),
        };
        let sdp = std::mem::replace(&mut self.sdp, sdp);
        self.before.get_or_insert((before, sdp));
        self.pending = Some(state);
    }
}
