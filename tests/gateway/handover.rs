//! What the tests of transfers and conferences share: consultations, REFERs, and how far they are.

use crosspoint::sip::message::{Message, Method, Name};
use crosspoint::sip::refer::Fragment;

use crate::peers::{Dialog, Talk, Ua, last_status, request};
use crate::rig::Rig;
use crate::sdp;

/// The agent's second call.
pub struct Consult {
    pub at_browser: Dialog,
    pub at_trunk: Dialog,
}

impl Consult {
    /// The tag of the trunk's side.
    pub fn trunk_tag(&self) -> String {
        tag(&self.at_trunk.local)
    }

    /// The tag of the gateway's side.
    pub fn our_tag(&self) -> String {
        tag(&self.at_trunk.remote)
    }
}

fn tag(value: &str) -> String {
    value.split(";tag=").nth(1).unwrap_or_default().to_owned()
}

/// The agent of a call dials somebody else, who rings; returns the INVITE at the trunk too.
pub fn consult_ringing(rig: &mut Rig, talk: &mut Talk, number: &str) -> (Consult, Message) {
    read(rig, &talk.browser);
    rig.take(talk.trunk.path);
    let mut at_browser = talk.browser.invite(number, Some(&sdp::chromium_offer()), &[]);
    rig.deliver(talk.browser.path, at_browser.invite.raw().clone());
    let invite = request(&rig.take(talk.trunk.path), Method::Invite);
    rig.deliver(talk.trunk.path, talk.trunk.respond(&invite, 180, None));
    at_browser.learn(&last_status(&rig.take(talk.browser.path), 183));
    let at_trunk = talk.trunk.dialog_of(&invite);
    (Consult { at_browser, at_trunk }, invite)
}

/// The agent of a call dials somebody else, who answers.
pub fn consult(rig: &mut Rig, talk: &mut Talk, number: &str) -> Consult {
    let (mut consult, invite) = consult_ringing(rig, talk, number);
    rig.deliver(talk.trunk.path, talk.trunk.respond(&invite, 200, Some(&sdp::trunk_answer_from(20_500))));
    request(&rig.take(talk.trunk.path), Method::Ack);
    talk.browser.acknowledge(rig, &mut consult.at_browser);
    consult
}

/// The Refer-To of an attended transfer, as the browser sees the other dialog.
pub fn replaces(number: &str, dialog: &Dialog, swapped: bool) -> String {
    let (to, from) = (tag(&dialog.remote), tag(&dialog.local));
    let (to, from) = if swapped { (from, to) } else { (to, from) };
    format!("<sip:{number}@gw.test?Replaces={}%3Bto-tag%3D{to}%3Bfrom-tag%3D{from}>", dialog.call_id)
}

/// The browser refers the other party; returns the response.
pub fn refer(rig: &mut Rig, talk: &mut Talk, to: &str) -> Message {
    read(rig, &talk.browser);
    let bytes = talk.browser.within(&mut talk.at_browser, Method::Refer, &[("Refer-To", to)], None);
    rig.deliver(talk.browser.path, bytes);
    let queue = rig.sent.get_mut(&talk.browser.path).expect("an answer");
    let at = queue.iter().position(|m| !m.is_request()).expect("an answer");
    queue.remove(at).expect("an answer")
}

/// The INVITE that the trunk got for a transfer.
pub fn invite_of(rig: &mut Rig, talk: &Talk) -> Message {
    request(&rig.take(talk.trunk.path), Method::Invite)
}

/// Takes all that was sent to an agent, who answers requests other than INVITE and ACK with 200.
pub fn read(rig: &mut Rig, ua: &Ua) -> Vec<Message> {
    let mut all = Vec::new();
    loop {
        let some = rig.take(ua.path);
        if some.is_empty() {
            return all;
        }
        for message in &some {
            if message.is_request() && !matches!(message.method(), Method::Invite | Method::Ack) {
                rig.deliver(ua.path, ua.respond(message, 200, None));
            }
        }
        all.extend(some);
    }
}

/// The same for the trunk.
pub fn read_as(rig: &mut Rig, ua: &Ua) -> Vec<Message> {
    read(rig, ua)
}

/// Status of a sipfrag, and whether it was the last.
pub fn frag(status: u16, last: bool) -> (u16, bool) {
    (status, last)
}

/// What the NOTIFYs among the messages tell of a REFER.
pub fn fragments(messages: &[Message]) -> Vec<(u16, bool)> {
    let notifies = messages.iter().filter(|m| m.is_request() && m.method() == Method::Notify);
    let read = notifies.map(|notify| {
        assert!(notify.header_str(Name::Event).unwrap().starts_with("refer"));
        let state = notify.header_str(Name::SubscriptionState).unwrap();
        (Fragment::parse(notify.body()).unwrap().status, state.starts_with("terminated"))
    });
    read.collect()
}
