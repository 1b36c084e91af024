//! What metrics and pages may see of the gateway, copied out.

use std::time::Instant;

use super::trunks::TrunkState;
use crate::call::Direction;
use crate::id::{CallId, FlowId, WorkerId};
use crate::sip::endpoint::Stats;

/// A picture of one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Registered DNs, one entry per binding.
    pub registrations: Vec<RegistrationView>,
    /// Calls, those being released included.
    pub calls: Vec<CallView>,
    /// Open connections.
    pub flows: usize,
    /// The trunks as configured.
    pub trunks: Vec<TrunkView>,
    /// Free port pairs per worker.
    pub free_pairs: Vec<(WorkerId, usize)>,
    /// The media threads, as placing sees them.
    pub workers: Vec<WorkerView>,
    /// SIP transactions alive.
    pub transactions: usize,
    /// SIP sessions alive; those that only wait for an answer to their BYE included.
    pub sessions: usize,
    /// Entries of all tables that calls and transactions fill; zero where none is alive. A leak shows here.
    pub entries: usize,
    /// Counts since the start.
    pub counters: Counters,
    /// What the SIP endpoint dropped or turned away since the start.
    pub sip: Stats,
}

/// One media thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerView {
    /// Which.
    pub worker: WorkerId,
    /// Its load in thousandths of a core: its last report, and the calls placed since.
    pub permille: u16,
    /// Open legs.
    pub legs: usize,
    /// It takes no new calls, or those with G.711 only.
    pub is_overloaded: bool,
}

/// One trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkView {
    /// Its name.
    pub name: String,
    /// What it was used for.
    pub counters: TrunkCounters,
    /// Which of its targets answer, and which DNs are registered there.
    pub state: TrunkState,
}

/// What one trunk was used for; the figures only rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrunkCounters {
    /// Calls that came from it.
    pub inbound: u64,
    /// INVITEs sent to it.
    pub outbound: u64,
    /// INVITEs that it gave no sign of life to.
    pub silent: u64,
}

/// One binding.
#[derive(Clone, Debug)]
pub struct RegistrationView {
    /// The DN.
    pub dn: String,
    /// The connection that it is reached by.
    pub flow: Option<FlowId>,
    /// When it ends unless refreshed.
    pub expires: Instant,
}

/// One call.
#[derive(Clone, Debug)]
pub struct CallView {
    /// The call.
    pub call: CallId,
    /// The agent's DN.
    pub dn: String,
    /// The other party.
    pub peer: String,
    /// Who called.
    pub direction: Direction,
    /// How far it is.
    pub state: CallState,
    /// The last `X-Genesys-CallUUID`.
    pub call_uuid: Option<String>,
    /// When the INVITE came.
    pub since: Instant,
    /// The name of the capture that is being written.
    pub capture: Option<String>,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallState {
    /// The callee has not answered.
    Setup,
    /// Both sides talk.
    Established,
    /// It is being taken down.
    Releasing,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls begun.
    pub calls: u64,
    /// Calls answered.
    pub answered: u64,
    /// INVITEs refused by the gateway itself before a call existed.
    pub refused: u64,
    /// Requests from addresses that are neither trunk nor browser.
    pub strangers: u64,
    /// Digests that did not fit.
    pub bad_digests: u64,
    /// Requests answered 401.
    pub challenges: u64,
    /// INVITEs refused because no port pair was free.
    pub no_port: u64,
    /// INVITEs refused because the worker had too much to do.
    pub overload: u64,
    /// Calls that were offered G.711 because the worker had much to do.
    pub overload_g711: u64,
    /// INVITEs refused because there were as many calls as there may be.
    pub too_many_calls: u64,
    /// INVITEs refused because their DN had as many calls as it may have.
    pub too_many_of_dn: u64,
    /// INVITEs refused because the gateway is about to end.
    pub draining: u64,
    /// Keys that came by INFO.
    pub info_digits: u64,
    /// Keys that went to a trunk by INFO, for want of telephone-event.
    pub info_digits_sent: u64,
    /// NOTIFYs for talk or hold.
    pub notifies: u64,
    /// Legs whose browser came back on another connection.
    pub rebound: u64,
    /// Legs that a reloaded page took up again.
    pub resumed: u64,
    /// Handshakes that failed and consents that were lost, with a call.
    pub media_failures: u64,
    /// Ringing phones that could not be told to answer.
    pub deaf_pages: u64,
}
