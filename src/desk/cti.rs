//! Calls of ours that are parts of one call of the SIP Server: they bear its CallUUID, as that of an agent who hands a customer
//! on and that of the colleague do. User data and ConnID are of that one call, so what a desktop does to them at one part
//! counts for all, and for a part that begins soon after.

use std::time::Instant;

use super::call::{Call, Facts};
use super::happened::Happened;
use super::operation::CallOperation;
use super::perform::change_data;
use super::{AttachedData, Desk};
use crate::id::CallId;

impl Desk {
    /// Returns the other calls of the same CallUUID.
    fn parts(&self, id: CallId, uuid: &str) -> Vec<CallId> {
        let calls = self.calls.values().filter(|call| call.id != id && call.facts.call_uuid.as_deref() == Some(uuid));
        calls.map(|call| call.id).collect()
    }

    /// A call has got its CallUUID: what is known of another part holds here; returns true where that changes anything.
    pub(super) fn join_parts(&self, call: &mut Call) -> bool {
        let Some(uuid) = &call.facts.call_uuid else { return false };
        let ruled = self.parts(call.id, uuid).into_iter().filter_map(|id| self.calls.get(&id));
        let Some(older) = ruled.map(|part| &part.facts).find(|facts| facts.is_ruled) else { return false };
        call.facts.inherit(older, &self.config.user_data_fields)
    }

    /// User data were changed at one part.
    pub(super) fn change_parts(&mut self, of: &Call, what: &CallOperation, now: Instant) {
        let Some(uuid) = &of.facts.call_uuid else { return };
        for id in self.parts(of.id, uuid) {
            let Some(mut part) = self.calls.remove(&id) else { continue };
            // A part that has no room for it goes without.
            if change_data(&mut part, what.clone()) == Ok(true) {
                self.tell_all(&mut part, &Happened::data(), now);
            }
            self.calls.insert(id, part);
        }
    }

    /// A part is over: where it was the last one, what desktops have said is kept for the next one.
    pub(super) fn leave_parts(&mut self, call: &mut Call, now: Instant) {
        let Some(uuid) = call.facts.call_uuid.clone().filter(|_| call.facts.is_ruled) else { return };
        if self.parts(call.id, &uuid).is_empty() {
            let conn_id = call.facts.conn_id.take();
            self.strays.early.keep(uuid, conn_id, Some(std::mem::take(&mut call.facts.data)), now);
        }
    }
}

impl Facts {
    /// Takes over what desktops made of the data at another part: it is newer than the header fields that both came with.
    fn inherit(&mut self, older: &Facts, prefixes: &[String]) -> bool {
        let own = std::mem::take(&mut self.data);
        let is_deleted = |key: &String| !older.data.contains_key(key) && older.was_told(key, prefixes);
        let kept: AttachedData =
            own.iter().filter(|(key, _)| !is_deleted(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
        self.data = kept;
        self.attach(older.data.clone());
        self.is_ruled = true;
        let is_named = self.conn_id.is_none() && older.conn_id.is_some();
        if is_named {
            self.conn_id.clone_from(&older.conn_id);
        }
        is_named || self.data != own
    }
}
