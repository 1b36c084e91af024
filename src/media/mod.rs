//! The media plane of one worker, pure: datagrams in, datagrams out, told the time.
//!
//! RTP and RTCP (RFC 3550), telephone-event (RFC 4733), Opus in RTP (RFC 7587), G.711, STUN/DTLS/SRTP by way of
//! [`crate::webrtc`]. We do not keep a jitter buffer, because both ends have one: a packet in is a packet out.

pub mod engine;

pub use engine::{Counters, Engine, EngineConfig, Sink, Socket};
