//! Offer and answer towards the trunk: plain RTP/AVP.

use super::{Agreed, Answer, OfferError, OfferState, RtpLocal};
use crate::plan::RtpRemote;

/// Answers the trunk peer's offer.
pub fn answer_rtp(offer: &[u8], local: &RtpLocal, previous: Option<&Agreed>) -> Result<Answer<RtpRemote>, OfferError> {
    let _ = (offer, local, previous);
    todo!()
}

/// Writes an offer to the trunk peer.
pub fn offer_rtp(local: &RtpLocal, previous: Option<&Agreed>) -> (Vec<u8>, OfferState) {
    let _ = (local, previous);
    todo!()
}

/// Reads the trunk peer's answer to our offer.
pub fn accept_rtp_answer(state: &OfferState, answer: &[u8]) -> Result<(RtpRemote, Agreed), OfferError> {
    let _ = (state, answer);
    todo!()
}
