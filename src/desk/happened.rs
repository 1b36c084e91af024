//! What a message about a call is for, and what it says of that beside the call.

use serde_json::{Map, Value, json};

use crate::call::ReleaseCause;
use crate::plan::LegStats;

/// How `notificationType` calls a change of a call's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusName {
    /// `StatusChange`, as GWS does.
    #[default]
    StatusChange,
    /// `StateChange`, as the guide does.
    StateChange,
}

impl StatusName {
    /// Returns the name that messages use.
    pub fn name(self) -> &'static str {
        match self {
            StatusName::StatusChange => "StatusChange",
            StatusName::StateChange => "StateChange",
        }
    }
}

/// What a message about a call is for.
#[derive(Debug, Default)]
pub(super) struct Happened<'a> {
    /// GWS's name of it; `None`: the state, or what goes with it, as [`StatusName`] calls that.
    pub(super) notification: Option<&'static str>,
    /// The guide's name of it.
    pub(super) event: Option<&'static str>,
    /// The number that the call was handed on to.
    pub(super) to: Option<&'a str>,
    /// What is said beyond GWS's own fields.
    pub(super) extensions: Map<String, Value>,
}

impl<'a> Happened<'a> {
    pub(super) fn status(event: Option<&'static str>) -> Happened<'a> {
        Happened { event, ..Happened::default() }
    }

    pub(super) fn data() -> Happened<'a> {
        Happened { notification: Some("AttachedDataChanged"), ..Happened::default() }
    }

    pub(super) fn participants() -> Happened<'a> {
        Happened { notification: Some("ParticipantsUpdated"), ..Happened::default() }
    }

    pub(super) fn recording() -> Happened<'a> {
        Happened { notification: Some("CallRecordingStateChange"), ..Happened::default() }
    }

    pub(super) fn transferred(to: &'a str) -> Happened<'a> {
        Happened { to: Some(to), ..Happened::status(Some("CallTransferred")) }
    }

    /// The call is over; figures are of the media of the agent's phone, and of the trunk.
    pub(super) fn released(cause: &ReleaseCause, browser: Option<LegStats>, trunk: Option<LegStats>) -> Happened<'a> {
        let (name, status) = cause_name(cause);
        let mut extensions = Map::new();
        extensions.insert("releaseCause".to_owned(), name.into());
        if let Some(status) = status {
            extensions.insert("releaseStatus".to_owned(), status.into());
        }
        let legs = [("browser", browser), ("trunk", trunk)];
        let legs = legs.into_iter().filter_map(|(name, stats)| Some((name.to_owned(), figures(&stats?))));
        let media: Map<String, Value> = legs.collect();
        if !media.is_empty() {
            extensions.insert("media".to_owned(), media.into());
        }
        Happened { extensions, ..Happened::status(Some("CallReleased")) }
    }

    /// The call is over, and the fact that said so did not come to us.
    pub(super) fn lost() -> Happened<'a> {
        let mut happened = Happened::status(Some("CallReleased"));
        happened.extensions.insert("releaseCause".to_owned(), "EventsLost".into());
        happened
    }
}

fn cause_name(cause: &ReleaseCause) -> (&'static str, Option<u16>) {
    match cause {
        ReleaseCause::Agent => ("Agent", None),
        ReleaseCause::Trunk => ("OtherParty", None),
        ReleaseCause::Refused(status) => ("Refused", Some(*status)),
        ReleaseCause::AckTimeout => ("AckTimeout", None),
        ReleaseCause::PeerLost => ("PeerLost", None),
        ReleaseCause::FlowLost => ("ConnectionLost", None),
        ReleaseCause::ConsentLost => ("MediaLost", None),
        ReleaseCause::DtlsFailed => ("HandshakeFailed", None),
        ReleaseCause::Transferred => ("Transferred", None),
        ReleaseCause::Merged => ("Conferenced", None),
        ReleaseCause::Command => ("Desktop", None),
        ReleaseCause::Shutdown => ("Shutdown", None),
    }
}

fn figures(stats: &LegStats) -> Value {
    json!({
        "received": stats.received,
        "sent": stats.sent,
        "lost": stats.lost,
        "late": stats.late,
        "concealed": stats.concealed,
        "discarded": stats.discarded,
        "jitterMs": f64::from(stats.jitter_us) / 1000.0,
        "rttMs": (stats.rtt_us > 0).then(|| f64::from(stats.rtt_us) / 1000.0),
    })
}
