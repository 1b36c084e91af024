//! The gateway from outside: real sockets on loopback, clients that are not ours.

#![allow(clippy::unwrap_used)]

mod client;
mod command;
#[cfg(feature = "lab")]
mod desk;
mod embed;
#[cfg(feature = "lab")]
mod lab;
mod pages;
#[cfg(feature = "lab")]
mod phone;
mod rig;
#[cfg(feature = "lab")]
mod scenarios;
#[cfg(feature = "lab")]
mod sipp;
mod tls;
mod trunk;
#[cfg(feature = "lab")]
mod tshark;
mod udp;
mod websocket;
