//! What a trunk is told beside its addresses: how it is watched, and how DNs are registered there.

use std::time::Duration;

use super::super::config::{DnSet, Secret};
use crate::sip::endpoint::{Reliable, SessionTimer};

/// How a trunk is watched and used.
#[derive(Clone, Debug)]
pub struct TrunkPolicy {
    /// Time between two OPTIONS to each target; zero: none are sent, and only calls find out what is down.
    pub ping: Duration,
    /// How long a new call waits for any response of one target before the next is tried.
    pub failover: Duration,
    /// Registration of our DNs there; `None`: the SIP Server knows our address by itself.
    pub register: Option<DnRegistration>,
    /// What its challenges are answered with; `None`: not at all.
    pub account: Option<TrunkAccount>,
    /// The session timer that calls to it ask for (RFC 4028).
    pub session: Option<SessionTimer>,
    /// Whether its provisionals are acknowledged (RFC 3262).
    pub provisionals: Reliable,
}

impl Default for TrunkPolicy {
    fn default() -> Self {
        TrunkPolicy {
            ping: Duration::from_secs(30),
            failover: Duration::from_secs(2),
            register: None,
            account: None,
            session: None,
            provisionals: Reliable::No,
        }
    }
}

/// How DNs are registered at a trunk (RFC 3261 10.2), each while a browser of it is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnRegistration {
    /// With each target by itself (Business Continuity), else with one of those that are up.
    pub all_targets: bool,
    /// What is asked for.
    pub expires: Duration,
    /// Most REGISTERs per second, refreshes included.
    pub per_second: u32,
    /// How long a DN stays registered after its last browser is gone: a reload of the page must not show.
    pub grace: Duration,
}

impl Default for DnRegistration {
    fn default() -> Self {
        DnRegistration {
            all_targets: false,
            expires: Duration::from_secs(1800),
            per_second: 50,
            grace: Duration::from_secs(20),
        }
    }
}

/// The credentials for one realm; no other is answered.
#[derive(Clone, Debug)]
pub struct TrunkAccount {
    /// The trunk's realm, compared exactly.
    pub realm: String,
    /// User name; `None`: the DN that the request is from.
    pub username: Option<String>,
    /// Password for DNs that have none of their own; [`Secret::Plain`], or an HA1 of `username:realm:password`.
    pub secret: Option<Secret>,
}

/// A rule for numbers that are dialled. The rules that fit are tried in their order, the next one when the trunk of the
/// one before gives no sign of life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Beginning of the number; empty: any.
    pub prefix: String,
    /// Numbers; empty: any.
    pub numbers: Vec<DnSet>,
    /// DNs that may use the rule; empty: all.
    pub callers: Vec<DnSet>,
    /// The trunk: its place in the configuration.
    pub trunk: usize,
    /// Characters taken off the beginning of the number.
    pub strip: usize,
    /// Put before what is left.
    pub add: String,
}
