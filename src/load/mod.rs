//! `crosspoint load`: drives any SIP/WebRTC gateway with browsers and trunk ends, and reports what it costs (feature `load`).
//!
//! It sees a gateway from outside: only its network side, and `/proc` for what it costs. It takes the protocols' pure rooms and
//! nothing of our own gateway, so that no peer is measured with another yard than ours.
//!
//! ```text
//!  LoadPlan ──► engine: browsers (WSS, ICE, DTLS-SRTP Opus) ─┐
//!                       trunk ends (SIP, RTP G.711)          ├─ CallOutcome per call, Second per second ──► report
//!                       the floor's two plain ends           ┘
//! ```

pub mod floor;
pub mod outcome;
pub mod plan;

pub use outcome::{CallOutcome, Histogram, Outcome, Second};
pub use plan::LoadPlan;
