//! Why a call ended, and what each side is told of it (RFC 3326).

use crate::sip::message::default_reason;

/// The one reason for which a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseCause {
    /// The agent's side sent BYE or CANCEL.
    Agent,
    /// The trunk sent BYE or CANCEL.
    Trunk,
    /// The callee, or the gateway in its place, refused with this final status.
    Refused(u16),
    /// A 2xx was never acknowledged.
    AckTimeout,
    /// The peer could not be reached any more, or its session expired.
    PeerLost,
    /// The browser's connection was lost and did not come back in time.
    FlowLost,
    /// No valid ICE check for 30 s (RFC 7675).
    ConsentLost,
    /// The DTLS handshake failed.
    DtlsFailed,
    /// The agent handed the other party on.
    Transferred,
    /// The call became a part of another one of the agent's, a conference.
    Merged,
    /// Asked for by a [`Command`](super::Command).
    Command,
    /// The gateway shuts down.
    Shutdown,
}

impl ReleaseCause {
    /// Returns the final status for a caller that has not been answered.
    pub fn status(&self) -> u16 {
        match self {
            ReleaseCause::Refused(status) => *status,
            ReleaseCause::Shutdown | ReleaseCause::PeerLost => 503,
            ReleaseCause::DtlsFailed => 488,
            ReleaseCause::Transferred | ReleaseCause::Merged => 487,
            _ => 480,
        }
    }

    /// Returns the value of the Reason header for the side that did not end the call, unless that side's own is passed on.
    pub fn reason(&self) -> String {
        match self {
            ReleaseCause::Agent | ReleaseCause::Trunk | ReleaseCause::Command => q850(16, "Normal call clearing"),
            ReleaseCause::Transferred => "SIP;cause=200;text=\"Call transferred\"".into(),
            ReleaseCause::Merged => "SIP;cause=200;text=\"Joined a conference\"".into(),
            ReleaseCause::Refused(status) => {
                format!("SIP;cause={status};text=\"{}\"", default_reason(*status))
            }
            ReleaseCause::AckTimeout => "SIP;cause=408;text=\"ACK timeout\"".into(),
            ReleaseCause::PeerLost => q850(27, "Destination out of order"),
            ReleaseCause::FlowLost => "SIP;cause=480;text=\"Connection lost\"".into(),
            ReleaseCause::ConsentLost => "SIP;cause=480;text=\"Media lost\"".into(),
            ReleaseCause::DtlsFailed => "SIP;cause=488;text=\"DTLS handshake failed\"".into(),
            ReleaseCause::Shutdown => "SIP;cause=503;text=\"Shutting down\"".into(),
        }
    }
}

fn q850(cause: u8, text: &str) -> String {
    format!("Q.850;cause={cause};text=\"{text}\"")
}
