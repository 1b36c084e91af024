//! A leg: one SIP session and its media port.

use crate::id::LegId;
use crate::path::Path;
use crate::plan::LegStats;
use crate::sip::endpoint::SessionId;

use super::keys::Keys;
use super::media::LegMedia;

/// What kind of peer a leg has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LegKind {
    /// A browser: ICE, DTLS-SRTP, reached by its flow.
    Browser,
    /// The trunk: plain RTP, reached by its address.
    Trunk,
}

/// One party of a call.
#[derive(Debug)]
pub struct Leg {
    /// Its name, that of its media port too.
    pub id: LegId,
    /// What kind of peer.
    pub kind: LegKind,
    /// Its session, until it is over.
    pub session: Option<SessionId>,
    /// How the peer is reached.
    pub path: Path,
    /// Its descriptions and its worker.
    pub media: LegMedia,
    /// The port is open: opened and not yet ordered closed.
    pub open: bool,
    /// The port's last words.
    pub stats: Option<LegStats>,
    /// The DN whose phone it is; `None`: it is the trunk's.
    pub dn: Option<String>,
    /// What goes to it by INFO.
    pub keys: Keys,
}

impl Leg {
    /// Makes the leg of a phone of this DN; its port is open.
    pub fn browser(id: LegId, dn: String, session: SessionId, path: Path, media: LegMedia) -> Leg {
        Leg { kind: LegKind::Browser, dn: Some(dn), ..Leg::trunk(id, session, path, media) }
    }

    /// Makes a leg of the trunk; its port is open.
    pub fn trunk(id: LegId, session: SessionId, path: Path, media: LegMedia) -> Leg {
        Leg {
            id,
            kind: LegKind::Trunk,
            session: Some(session),
            path,
            media,
            open: true,
            stats: None,
            dn: None,
            keys: Keys::default(),
        }
    }
}
