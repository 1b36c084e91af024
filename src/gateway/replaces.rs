//! An INVITE that takes the place of a dialog (RFC 3891): the trunk moves a party of a call to another dialog.
//!
//! ```text
//! 400   more than one Replaces, or one that cannot be read
//! 403   the dialog is not with this trunk; a browser may not replace anything
//! 481   no such dialog, or one that rings here: only its caller may be told who answers (RFC 3891 3)
//! 486   answered already, and `early-only` asks for one that is not
//! 491   another change of the call is under way
//! 603   the dialog is over
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Gateway;
use super::identity::{self, Identity};
use super::page::{self, PAGE_TYPE};
use super::perform::answer_headers;
use super::routing::offer;
use super::transfers::status_of;
use crate::call::{Call, Direction, EventKind, Joined, Leg, Procedure, Signal};
use crate::id::{CallId, LegId};
use crate::path::Path;
use crate::sip::endpoint::{DialogId, SessionId};
use crate::sip::message::{Message, Name};
use crate::sip::refer::Replaces;

/// How long a dialog that has ended is told from one that never was: 64 × T1.
const MEMORY: Duration = Duration::from_secs(32);

/// Most ended dialogs that are remembered.
const MOST: usize = 256;

/// Dialogs that have ended lately, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Ended {
    dialogs: VecDeque<(Instant, DialogId)>,
}

impl Ended {
    /// A dialog has ended.
    pub(super) fn note(&mut self, dialog: DialogId, now: Instant) {
        while self.dialogs.len() >= MOST || self.dialogs.front().is_some_and(|(at, _)| now > *at + MEMORY) {
            self.dialogs.pop_front();
        }
        self.dialogs.push_back((now, dialog));
    }

    fn has(&self, replaces: &Replaces, now: Instant) -> bool {
        let is_it = |dialog: &DialogId| {
            dialog.call_id == replaces.call_id
                && dialog.local_tag == replaces.to_tag
                && dialog.remote_tag == replaces.from_tag
        };
        self.dialogs.iter().any(|(at, dialog)| now <= *at + MEMORY && is_it(dialog))
    }
}

/// What an INVITE replaces.
struct Replaced {
    call: CallId,
    leg: LegId,
    is_confirmed: bool,
}

impl Gateway {
    /// Takes an INVITE of the trunk that has a Replaces. The error is the status of the refusal.
    pub(super) fn replace(
        &mut self,
        session: SessionId,
        invite: &Message,
        path: Path,
        trunk: usize,
        now: Instant,
    ) -> Result<(), u16> {
        let Replaced { call, leg: old, is_confirmed } = self.replaced(invite, trunk, now)?;
        let offer = offer(invite).map_err(|refusal| refusal.status())?;
        let found = self.calls.get(call).ok_or(481u16)?;
        let (dn, worker) = (found.parties.dn.clone(), found.leg(old).ok_or(481u16)?.media.worker);
        let media = self.trunk_media(worker, trunk, path.remote().ip(), offer);
        let (leg, media, open) = media.map_err(|refusal| refusal.status())?;
        self.answer_as(session, &path, &dn);
        self.order(worker, open);
        self.endpoint.answer(session, &media.sdp, &answer_headers(), now);
        let new = Leg::trunk(leg, session, path, media);
        if is_confirmed {
            self.calls.add_leg(call, new);
            let actions = self.calls.get_mut(call).map(|call| call.replace_leg(old, leg)).unwrap_or_default();
            self.carry_out(call, actions, now);
        } else {
            self.calls.add_callee(call, new, now);
            self.signal(call, Signal::Answered { leg }, now);
        }
        self.note_uuid(call, leg, invite, now);
        self.renamed(call, invite, now);
        Ok(())
    }

    fn replaced(&self, invite: &Message, trunk: usize, now: Instant) -> Result<Replaced, u16> {
        let mut values = invite.headers(Name::Replaces);
        let (Some(value), None) = (values.next(), values.next()) else { return Err(400) };
        let replaces = Replaces::parse(value).map_err(|_| 400u16)?;
        let found = self.endpoint.find_dialog(&replaces.call_id, &replaces.to_tag, &replaces.from_tag);
        let Some(session) = found else { return Err(if self.calls.ended.has(&replaces, now) { 603 } else { 481 }) };
        let (call, leg) = self.calls.of_session(session).ok_or(603u16)?;
        let found = self.calls.get(call).ok_or(603u16)?;
        let peer = found.leg(leg).ok_or(603u16)?;
        if self.trunk_of_leg(peer) != Some(trunk) {
            return Err(403);
        }
        let is_confirmed = self.endpoint.is_confirmed(session);
        match (&found.procedure, is_confirmed) {
            (_, true) if replaces.early_only => Err(486),
            (Some(Procedure::Setup(_)), false) if found.parties.direction == Direction::Outbound => {
                Ok(Replaced { call, leg, is_confirmed })
            }
            (_, false) => Err(481),
            _ => found.may_begin().map_err(status_of).map(|()| Replaced { call, leg, is_confirmed }),
        }
    }

    /// The agent talks to whom the INVITE is from.
    fn renamed(&mut self, call: CallId, invite: &Message, now: Instant) {
        self.rename(call, identity::from_trunk(invite), now);
    }

    /// The trunk says in mid-call who the other party is (RFC 3325 in a re-INVITE or UPDATE, RFC 4916): as third-party call
    /// control moves it. One that says nothing changes nothing, nor does a party that is not the agent's own.
    pub(super) fn renamed_by(&mut self, call: CallId, leg: LegId, message: &Message, now: Instant) {
        let Some(found) = self.calls.get_mut(call) else { return };
        let is_peer = found.is_told_by(leg, None) && found.far_leg().is_some_and(|far| far.id == leg);
        let is_said = message.header(Name::PAssertedIdentity).is_some();
        if is_peer && is_said && !matches!(found.topology.joined(), Joined::Mix(_)) {
            self.rename(call, identity::from_trunk(message), now);
        }
    }

    fn rename(&mut self, call: CallId, party: Identity, now: Instant) {
        let is_other = |call: &&mut Call| {
            call.parties.peer != party.number || (call.parties.peer_name != party.name && !party.name.is_empty())
        };
        let Some(found) = self.calls.get_mut(call).filter(is_other) else { return };
        found.parties.peer.clone_from(&party.number);
        found.parties.peer_name.clone_from(&party.name);
        let phone = found.agent_leg().and_then(|agent| Some((agent.session?, agent.path)));
        self.emit(call, EventKind::ParticipantsUpdated { parties: vec![party.number.clone()] }, now);
        // Phones of another make show what their INVITE said.
        if let Some((session, _)) = phone.filter(|(_, path)| self.peers.is_page(path)) {
            let body = page::party(&party.number, &party.name);
            self.endpoint.info(session, PAGE_TYPE, body.as_bytes(), now);
        }
    }
}
