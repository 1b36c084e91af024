//! The sinks against peers that are not ours: an official CometD server that is killed, slowed down and cut off, and a
//! process of ours that is killed. And behind a whole gateway, with calls by SIP.
//!
//! The server comes from npm; `make test-sinks` fetches it.

#![allow(clippy::unwrap_used)]

#[cfg(feature = "lab")]
mod calls;
#[cfg(feature = "lab")]
#[path = "../wire/client.rs"]
#[allow(dead_code)]
mod client;
mod cometd;
#[cfg(feature = "lab")]
#[path = "../wire/desk.rs"]
#[allow(dead_code)]
mod desk;
#[cfg(feature = "lab")]
#[path = "../wire/desktop.rs"]
#[allow(dead_code)]
mod desktop;
#[cfg(feature = "lab")]
#[path = "../wire/exchange.rs"]
#[allow(dead_code)]
mod exchange;
mod gws;
mod killed;
#[cfg(feature = "lab")]
#[path = "../wire/lines.rs"]
#[allow(dead_code)]
mod lines;
mod logins;
mod outbox;
#[cfg(feature = "lab")]
#[path = "../wire/phone.rs"]
#[allow(dead_code)]
mod phone;
#[cfg(feature = "lab")]
#[path = "../common/ports.rs"]
mod ports;
#[path = "../common/private_ca.rs"]
mod private_ca;
#[cfg(feature = "lab")]
#[path = "../wire/rig.rs"]
#[allow(dead_code)]
mod rig;
#[cfg(feature = "lab")]
#[path = "../common/site.rs"]
#[allow(dead_code)]
mod site;
mod webhook;
