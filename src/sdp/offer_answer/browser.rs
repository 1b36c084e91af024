//! Offer and answer towards a browser: ICE-lite, DTLS-SRTP, rtcp-mux, BUNDLE.

use super::{Agreed, Answer, BrowserLocal, OfferError, OfferState};
use crate::plan::BrowserRemote;

/// Answers a browser's offer.
pub fn answer_browser(
    offer: &[u8],
    local: &BrowserLocal,
    previous: Option<&Agreed>,
) -> Result<Answer<BrowserRemote>, OfferError> {
    let _ = (offer, local, previous);
    todo!()
}

/// Writes an offer to a browser.
pub fn offer_browser(local: &BrowserLocal, previous: Option<&Agreed>) -> (Vec<u8>, OfferState) {
    let _ = (local, previous);
    todo!()
}

/// Reads the browser's answer to our offer.
pub fn accept_browser_answer(state: &OfferState, answer: &[u8]) -> Result<(BrowserRemote, Agreed), OfferError> {
    let _ = (state, answer);
    todo!()
}
