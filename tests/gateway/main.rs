//! The pure gateway between scripted browsers and a scripted SIP Server, in simulated time.
#![allow(clippy::unwrap_used)]

mod admission;
mod agreeing;
mod answering;
mod calling_out;
mod capturing;
mod conferring;
mod guessing;
mod handover;
mod holding;
mod identity;
mod in_call;
mod leaks;
mod local;
mod media;
mod model;
mod nailing;
mod overload;
mod peers;
mod progress;
mod referred;
mod registering;
mod replacing;
mod requests;
mod resuming;
mod rig;
mod sdp;
mod strangers;
mod streams;
mod third_party;
mod transferring;
mod trouble;
mod trunks;
mod updating;
