//! The gateway from outside: real sockets on loopback, clients that are not ours.

#![allow(clippy::unwrap_used)]

mod client;
mod command;
mod embed;
#[cfg(feature = "lab")]
mod lab;
mod pages;
mod rig;
mod tls;
mod trunk;
mod udp;
mod websocket;
