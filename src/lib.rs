//! `crosspoint`: an embedded SIP/WebRTC media gateway between browsers and a Genesys SIP Server.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod id;
pub mod packet;
pub mod path;
pub mod plan;

pub mod codec;
pub mod rtp;
pub mod sdp;
pub mod sip;
pub mod webrtc;

pub mod call;
pub mod gateway;
pub mod media;
pub mod registrar;

pub mod app;
pub mod config;
pub mod http;
pub mod io;
pub mod telemetry;

#[cfg(feature = "lab")]
pub mod lab;
