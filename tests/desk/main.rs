//! The official CometD clients, unmodified, against the gateway's agents' side: each version, each transport that it has.

#![allow(clippy::unwrap_used)]

mod chromium;
mod clients;
mod node;
#[path = "../common/ports.rs"]
mod ports;
mod restart;
#[path = "../wire/rig.rs"]
#[allow(dead_code)]
mod rig;
#[path = "../common/site.rs"]
#[allow(dead_code)]
mod site;
mod site_of_agents;
#[path = "../browser/webdriver.rs"]
#[allow(dead_code)]
mod webdriver;
