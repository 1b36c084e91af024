//! What the engine brings back: plain data.
//!
//! Times are microseconds as `u64`: a report is JSON, and a person reads it.

mod histogram;

use serde::{Deserialize, Serialize};

pub use histogram::Histogram;

/// Everything of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// One per call that was begun, in the order of their beginning; failed ones too.
    pub calls: Vec<CallOutcome>,
    /// When the driver should have sent a packet, to when it did, µs, during the hold: its own lateness.
    pub lateness: Histogram,
    /// When the driver should have begun a call, to when its INVITE left, µs, while calls were begun by their ramp.
    pub setup_lateness: Histogram,
    /// Length of the hold, in which the ways' figures were taken, µs.
    pub hold_us: u64,
    /// When the hold began, since the run began, µs.
    pub hold_at_us: u64,
    /// CPU time of the driver's threads during the hold, µs.
    pub driver_cpu_us: u64,
}

/// One call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallOutcome {
    /// Its number in the plan; a call that is made anew keeps it.
    pub number: u32,
    /// Since the run began, µs.
    pub started_us: u64,
    /// Who called.
    pub direction: CallDirection,
    /// Whether a PeerConnection was its browser.
    pub witness: bool,
    /// From the INVITE sent to the first 180 or 183 received, µs.
    pub setup_180_us: Option<u64>,
    /// From the INVITE sent to its 200 received, µs.
    pub setup_200_us: Option<u64>,
    /// From the INVITE sent to the first audio packet that both ends had received from each other, µs.
    pub first_audio_us: Option<u64>,
    /// Browser → trunk; `None`: the call was not to speak.
    pub to_trunk: Option<Way>,
    /// Trunk → browser.
    pub to_browser: Option<Way>,
    /// Why it came to nothing, or broke off.
    pub failure: Option<Failure>,
}

/// Who called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallDirection {
    /// The trunk called the browser.
    #[default]
    In,
    /// The browser called the trunk.
    Out,
}

/// The media of one direction of a call, during the hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Way {
    /// From the sending of the packet that bears a piece of sound to the receipt of the one that bears it, µs: what the
    /// target added.
    pub delay: Histogram,
    /// Delay of the sound itself beyond that of the packets (look-ahead of the codecs, buffers), by markers, µs; below zero
    /// only by error of measurement.
    pub sound_us: Option<i64>,
    /// Interarrival jitter at the end (RFC 3550 6.4.1), µs.
    pub jitter_us: u64,
    /// Packets sent by the one end.
    pub sent: u64,
    /// Packets received by the other.
    pub received: u64,
    /// Packets missing in the received sequence, those never seen.
    pub lost: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets that came once more; they count nowhere else.
    pub duplicated: u64,
    /// Times that nothing came for longer than two packets.
    pub gaps: u64,
    /// Whether the other end's own tone was found; `None`: too little sound came to tell.
    pub audio: Option<AudioCheck>,
    /// It was not told because the call was too short for it: one that is made anew every few seconds.
    pub too_short: bool,
}

/// Whether the other end's tone was found, and nobody else's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AudioCheck {
    /// It was.
    pub is_good: bool,
    /// Tone that the other end sends, Hz.
    pub expected_hz: f32,
    /// Strongest tone found, Hz.
    pub measured_hz: f32,
    /// Its level, dB relative to full scale.
    pub level_db: f32,
}

/// Why a call came to nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// SIP status, where that was it.
    pub status: Option<u16>,
    /// In a few words: `486 Busy Here`, `no answer to INVITE`, `DTLS: …`. Equal failures have equal words.
    pub reason: String,
}

/// How it stands, once a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Second {
    /// Since the run began, µs.
    pub t_us: u64,
    /// Calls that were begun and are not yet answered.
    pub ringing: u32,
    /// Calls that are up.
    pub up: u32,
    /// Calls that failed, from the beginning.
    pub failed: u32,
    /// Whether all calls are up and are measured.
    pub hold: bool,
    /// Packets sent to the target in this second.
    pub sent: u64,
    /// Packets received from it in this second.
    pub received: u64,
    /// Lateness of the driver's packets in this second, p99, µs. Above [`LATE_US`] the driver is what is measured.
    pub lateness_p99_us: u64,
    /// CPU time of the server in this second, µs; the engine leaves it `None`, whoever samples `/proc` puts it in.
    pub cpu_us: Option<u64>,
    /// Time in this second that threads of the server were ready to run and another thread had the core, µs; as `cpu_us`.
    pub waited_us: Option<u64>,
    /// Resident memory of the server, KiB; as `cpu_us`.
    pub rss_kib: Option<u64>,
}

/// A driver whose packets leave later than this (p99, µs) measures itself: such figures are marked invalid.
pub const LATE_US: u64 = 2_000;
