//! The gateway from outside: real sockets on loopback, clients that are not ours.

#![allow(clippy::unwrap_used)]

mod client;
mod command;
mod embed;
mod pages;
mod rig;
mod tls;
mod udp;
mod websocket;
