//! The media plane of one worker, pure: datagrams in, datagrams out, told the time.
//!
//! RTP and RTCP (RFC 3550), telephone-event (RFC 4733), comfort noise (RFC 3389), Opus in RTP (RFC 7587), G.711, STUN/DTLS/SRTP by way of
//! [`crate::webrtc`]. We do not keep a jitter buffer unless one is asked for, because both ends have one: a packet in is a packet out. A mix alone runs on a
//! clock of its own.

mod conceal;
mod deadline;
pub mod discard;
pub mod engine;
pub mod framer;
mod hush;
mod join;
mod key;
mod leg;
mod mix;
mod news;
mod noise;
mod pause;
pub mod player;
mod port;
mod report;
mod seat;
pub mod sound;
mod stream;
pub mod tap;
pub mod timeline;
pub mod tone;
mod waiting;

pub use discard::{Discard, Discards};
pub use engine::{Counters, Engine, EngineConfig, Sink, Socket};
pub use sound::Sound;
