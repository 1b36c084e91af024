//! The sinks against peers that are not ours: an official CometD server that is killed, slowed down and cut off, and a
//! process of ours that is killed.
//!
//! The server comes from npm; `make test-sinks` fetches it.

#![allow(clippy::unwrap_used)]

mod cometd;
mod gws;
mod killed;
mod rig;
mod webhook;
