//! The gateway from outside: real sockets on loopback, clients that are not ours.

#![allow(clippy::unwrap_used)]

mod agents;
#[cfg(all(feature = "lab", feature = "load"))]
mod capturing;
mod client;
mod cometd;
mod command;
#[cfg(feature = "lab")]
mod desk;
#[cfg(feature = "lab")]
mod desktop;
mod dns;
mod embed;
#[cfg(feature = "lab")]
mod exchange;
#[cfg(feature = "lab")]
mod flow;
mod gws;
mod internal;
mod killed;
mod lab;
#[cfg(feature = "lab")]
mod lines;
#[cfg(feature = "load")]
mod load;
mod names;
mod pages;
#[cfg(feature = "lab")]
mod phone;
#[path = "../common/ports.rs"]
mod ports;
#[path = "../common/private_ca.rs"]
mod private_ca;
#[cfg(feature = "lab")]
mod rest;
mod rig;
#[cfg(feature = "lab")]
mod routed;
mod scenarios;
#[cfg(feature = "lab")]
mod schemathesis;
#[cfg(feature = "lab")]
mod sipp;
#[path = "../common/site.rs"]
mod site;
mod streams;
mod tls;
mod trunk;
#[cfg(feature = "lab")]
mod tshark;
mod udp;
#[cfg(all(feature = "lab", feature = "load"))]
mod voice;
mod websocket;
