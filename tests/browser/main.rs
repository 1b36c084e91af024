//! End to end: real browsers with JsSIP and SIP.js on one side, sipp or the lab's stand-in Genesys on the other.
//!
//! `make test` installs the browsers and builds the page; sound is measured by frequency and level at each end.

mod agent;
mod calls;
mod controls;
mod desktop;
mod floor;
mod network;
mod page_server;
mod phone;
#[path = "../common/ports.rs"]
mod ports;
mod proxy;
mod resuming;
mod rig;
mod routed;
mod scenarios;
mod shift;
#[path = "../common/sipp.rs"]
mod sipp;
mod sipp_trunk;
#[path = "../common/site.rs"]
mod site;
mod sound;
mod tabs;
mod transfers;
#[path = "../wire/tshark.rs"]
mod tshark;
mod webdriver;
mod widget;
