//! A REFER outside any dialog (RFC 3515 2.4.4): it makes a dialog of its own, that lasts as long as its subscription.
//!
//! Whoever accepts it holds it. We keep no entry for it, and answer requests of the peer in it by 481: there is nothing in
//! it but our NOTIFYs.

use std::time::Instant;

use super::{Endpoint, Hop, Owner, ServerTx};
use crate::sip::dialog::Dialog;
use crate::sip::message::{Builder, Message, Method, Name};
use crate::sip::refer::{Fragment, SIPFRAG};
use crate::sip::session::REFER_LIFETIME;

/// The dialog of a REFER that was accepted.
#[derive(Debug)]
pub struct ReferDialog {
    dialog: Dialog,
    until: Instant,
    /// The peer does not want to hear how it goes (RFC 4488).
    is_silent: bool,
}

impl Endpoint {
    /// Accepts a REFER of [`Event::Request`](super::Event::Request): 202, and the NOTIFY of 100 behind it. `contact` is
    /// ours, for example `<sip:5001@192.0.2.54:5060>`.
    pub fn accept_refer(
        &mut self,
        tx: ServerTx,
        refer: &Message,
        hop: Hop,
        contact: &str,
        now: Instant,
    ) -> ReferDialog {
        let tag = self.token();
        let mut dialog = Dialog::of_callee(refer, &tag, hop);
        dialog.contact = contact.to_owned();
        let is_silent = refer.header(Name::ReferSub).is_some_and(|value| value.eq_ignore_ascii_case(b"false"));
        let mut response = Builder::response_to(refer, 202, None, Some(&tag)).header(Name::Contact, contact);
        if is_silent {
            response = response.header(Name::ReferSub, "false");
        }
        self.respond(tx, response, now);
        let mut made = ReferDialog { dialog, until: now + REFER_LIFETIME, is_silent };
        self.notify_outside(&mut made, 100, false, now);
        made
    }

    /// Tells the peer how its REFER goes: the status of the new call, and whether that was the last word.
    pub fn notify_outside(&mut self, refer: &mut ReferDialog, status: u16, is_over: bool, now: Instant) {
        if refer.is_silent {
            return;
        }
        let branch = self.branch();
        let request = refer.dialog.request(&Method::Notify, &branch).header(Name::Contact, &refer.dialog.contact);
        let left = refer.until.saturating_duration_since(now).as_secs();
        let state = if is_over { "terminated;reason=noresource".to_owned() } else { format!("active;expires={left}") };
        let request = self
            .introduce(request, Name::UserAgent)
            .header(Name::Event, "refer")
            .header(Name::SubscriptionState, state)
            .body(SIPFRAG, &Fragment::write(status.clamp(100, 699)));
        let tx = self.table.open_client(request.build_message(), refer.dialog.next_path(), now);
        self.owners.insert(tx, Owner::Nobody);
    }
}
