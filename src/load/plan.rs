//! What is asked of a run: plain data, checked before anything starts.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One run of calls against one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadPlan {
    /// What the calls go through.
    pub ends: Ends,
    /// The browsers' side.
    pub browsers: Browsers,
    /// The trunk's side.
    pub trunk: Trunk,
    /// Who calls whom.
    pub direction: Direction,
    /// How many, how fast, how long.
    pub calls: Calls,
    /// Every choice of the run (tags, ports, pilot tones, which call speaks) comes from it.
    pub seed: u64,
    /// CPU core of the driver's threads; `None`: wherever the kernel puts them.
    pub driver_core: Option<usize>,
}

/// What the calls go through.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Ends {
    /// SIP on both sides: browsers over WebSocket, trunk ends over UDP or TCP.
    #[default]
    Sip,
    /// The floor of `load::floor`: plain RTP on both sides, no SIP. Call `k` sends Opus to `first` port + 2k and PCMU to the
    /// port after it; both answer to whoever sent last.
    Floor {
        /// Opus port of the first call.
        first: SocketAddr,
    },
    /// rtpengine by its ng protocol: browsers with ICE and DTLS-SRTP, trunk ends with plain RTP, the signalling played by us.
    Rtpengine {
        /// Where it takes requests.
        ng: SocketAddr,
    },
}

/// The browsers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Browsers {
    /// Where they connect (`wss://host:port/path` or `ws://…`); more than one: taken in turn.
    pub urls: Vec<String>,
    /// SIP domain of their addresses of record; `None`: the host of the URL.
    pub domain: Option<String>,
    /// Their numbers; call `k` is made by the `k`-th, one call each at a time.
    pub dns: DnRange,
    /// Their digest secret, the same for all.
    pub secret: String,
    /// Takes any certificate of the server: for test machines.
    pub insecure: bool,
    /// What they send.
    pub profile: BrowserProfile,
    /// Length of their packets, ms: 20 or 40.
    pub frame_ms: u8,
}

/// The trunk ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trunk {
    /// Where they listen for SIP; the same address (other ports) bears their RTP.
    pub bind: SocketAddr,
    /// The gateway's SIP address towards the trunk, for calls that come in.
    pub target: SocketAddr,
    /// How their SIP goes.
    pub transport: Transport,
    /// Number that a browser dials.
    pub number: String,
    /// Time from the INVITE until a trunk end answers, of which it rings all but the first instant. Zero: at once.
    pub answer_after: Duration,
}

/// How many calls, how fast, how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Calls {
    /// Calls up at the same time.
    pub concurrent: u32,
    /// Calls that have media in both directions; the others are set up, DTLS included, and stay silent. `None`: all.
    pub speaking: Option<u32>,
    /// New calls each second.
    pub ramp_per_s: f64,
    /// How long all are up together, from the last call's set-up on; what is measured is measured here.
    pub hold: Duration,
    /// Each call hangs up after this long and is made anew, as long as the run holds: figures of set-up under load.
    /// `None`: every call lasts to the end.
    pub renew_after: Option<Duration>,
    /// How many of the calls are made by `webrtc`'s PeerConnection, an independent browser.
    pub witnesses: u32,
}

/// Who calls whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The trunk calls browsers.
    In,
    /// Browsers call the trunk.
    Out,
    /// In turn.
    #[default]
    Both,
}

/// How a trunk end's SIP goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// A datagram per message.
    #[default]
    Udp,
    /// One connection per direction.
    Tcp,
}

/// What a browser does with `maxplaybackrate=8000` (RFC 7587 6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrowserProfile {
    /// Obeys: narrow-band packets.
    #[default]
    Hint,
    /// Ignores it: full-band packets.
    FullBand,
}

/// Consecutive numbers, `5001-5999`; leading zeros are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnRange {
    first: u64,
    last: u64,
    digits: usize,
}

/// A plan that cannot be carried out: which field, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct PlanError {
    /// Name of the command's option.
    pub field: &'static str,
    /// What is wrong, and what is allowed.
    pub reason: String,
}

impl Default for LoadPlan {
    fn default() -> Self {
        LoadPlan {
            ends: Ends::Sip,
            browsers: Browsers::default(),
            trunk: Trunk::default(),
            direction: Direction::Both,
            calls: Calls::default(),
            seed: 1,
            driver_core: None,
        }
    }
}

impl Default for Browsers {
    fn default() -> Self {
        Browsers {
            urls: Vec::new(),
            domain: None,
            dns: DnRange { first: 5001, last: 5999, digits: 4 },
            secret: String::new(),
            insecure: false,
            profile: BrowserProfile::Hint,
            frame_ms: 20,
        }
    }
}

impl Default for Trunk {
    fn default() -> Self {
        Trunk {
            bind: SocketAddr::from(([127, 0, 0, 1], 5999)),
            target: SocketAddr::from(([127, 0, 0, 1], 5060)),
            transport: Transport::Udp,
            number: "9001".to_owned(),
            answer_after: Duration::ZERO,
        }
    }
}

impl Default for Calls {
    fn default() -> Self {
        Calls {
            concurrent: 20,
            speaking: None,
            ramp_per_s: 10.0,
            hold: Duration::from_secs(20),
            renew_after: None,
            witnesses: 0,
        }
    }
}

/// Most calls of one run: a driver has a few sockets for each.
const MAX_CALLS: u32 = 20_000;

impl LoadPlan {
    /// Tells what cannot be carried out, by the name of the command's option.
    pub fn check(&self) -> Result<(), PlanError> {
        let wrong = |field, reason: &str| Err(PlanError { field, reason: reason.to_owned() });
        let calls = &self.calls;
        if calls.concurrent == 0 || calls.concurrent > MAX_CALLS {
            return wrong("--calls", "1 to 20000");
        }
        if !calls.ramp_per_s.is_finite() || calls.ramp_per_s <= 0.0 {
            return wrong("--ramp", "more than 0 calls per second");
        }
        if calls.hold.is_zero() {
            return wrong("--hold", "at least a second");
        }
        if calls.witnesses > calls.concurrent {
            return wrong("--witnesses", "no more than --calls");
        }
        if calls.witnesses > 0 && self.ends != Ends::Sip {
            return wrong("--witnesses", "only with a gateway that speaks SIP");
        }
        if !matches!(self.browsers.frame_ms, 20 | 40) {
            return wrong("--frame", "20 or 40 ms");
        }
        if self.ends != Ends::Sip {
            return Ok(());
        }
        if self.browsers.urls.is_empty() {
            return wrong("--browsers", "where browsers connect, wss://host:port/path");
        }
        if let Some(url) = self.browsers.urls.iter().find(|url| !is_websocket(url)) {
            return wrong("--browsers", &format!("{url}: wss://host:port/path or ws://host:port/path"));
        }
        if self.browsers.dns.len() < u64::from(calls.concurrent) {
            let reason = format!("{} has fewer numbers than --calls {}", self.browsers.dns, calls.concurrent);
            return wrong("--dns", &reason);
        }
        if self.direction != Direction::In && self.trunk.number.is_empty() {
            return wrong("--number", "what browsers dial");
        }
        Ok(())
    }

    /// Number of calls with media.
    pub fn speaking(&self) -> u32 {
        self.calls.speaking.map_or(self.calls.concurrent, |n| n.min(self.calls.concurrent))
    }
}

fn is_websocket(url: &str) -> bool {
    let rest = url.strip_prefix("wss://").or_else(|| url.strip_prefix("ws://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}

impl DnRange {
    /// How many there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(&self) -> u64 {
        self.last - self.first + 1
    }

    /// The `k`-th, counted from 0; `None` past the last.
    pub fn get(&self, k: u64) -> Option<String> {
        let number = self.first.checked_add(k).filter(|number| *number <= self.last)?;
        Some(format!("{number:0digits$}", digits = self.digits))
    }
}

impl fmt::Display for DnRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0digits$}-{:0digits$}", self.first, self.last, digits = self.digits)
    }
}

impl FromStr for DnRange {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let wrong = || PlanError { field: "--dns", reason: format!("{text}: first-last, as 5001-5999") };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        // At most 15 digits: E.164.
        let digits = |part: &str| part.len() <= 15 && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(first) || !digits(last) || first.len() != last.len() {
            return Err(wrong());
        }
        let number = |part: &str| part.parse::<u64>().map_err(|_| wrong());
        let range = DnRange { first: number(first)?, last: number(last)?, digits: first.len() };
        if range.first > range.last { Err(wrong()) } else { Ok(range) }
    }
}

impl TryFrom<String> for DnRange {
    type Error = PlanError;

    fn try_from(text: String) -> Result<Self, PlanError> {
        text.parse()
    }
}

impl From<DnRange> for String {
    fn from(range: DnRange) -> String {
        range.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> LoadPlan {
        let mut plan = LoadPlan::default();
        plan.browsers.urls = vec!["wss://127.0.0.1:8443/sip".into()];
        plan
    }

    fn refused(change: impl FnOnce(&mut LoadPlan)) -> &'static str {
        let mut plan = plan();
        change(&mut plan);
        plan.check().expect_err("a wrong plan").field
    }

    #[test]
    fn what_cannot_be_carried_out_is_told_by_the_option_that_asks_for_it() {
        assert_eq!(plan().check(), Ok(()));
        assert_eq!(refused(|p| p.browsers.urls.clear()), "--browsers");
        assert_eq!(refused(|p| p.browsers.urls.push("https://a/".into())), "--browsers");
        assert_eq!(refused(|p| p.calls.concurrent = 0), "--calls");
        assert_eq!(refused(|p| p.calls.ramp_per_s = f64::NAN), "--ramp");
        assert_eq!(refused(|p| p.calls.hold = Duration::ZERO), "--hold");
        assert_eq!(refused(|p| p.calls.witnesses = 21), "--witnesses");
        assert_eq!(refused(|p| p.browsers.frame_ms = 30), "--frame");
        assert_eq!(refused(|p| p.browsers.dns = "5001-5010".parse().unwrap()), "--dns");
        assert_eq!(refused(|p| p.trunk.number.clear()), "--number");
    }

    #[test]
    fn the_floor_needs_neither_urls_nor_numbers() {
        let ends = Ends::Floor { first: SocketAddr::from(([127, 0, 0, 1], 20_000)) };
        assert_eq!(LoadPlan { ends, ..LoadPlan::default() }.check(), Ok(()));
    }

    #[test]
    fn a_range_of_numbers_keeps_its_zeros_and_ends() {
        let range: DnRange = "0098-0101".parse().expect("a range");
        assert_eq!((range.len(), range.get(3), range.get(4)), (4, Some("0101".into()), None));
        assert_eq!(range.to_string(), "0098-0101");
        for wrong in ["", "-", "5-", "12-9", "9-12", "a-b", "1-2-3", "1234567890123456-1234567890123457"] {
            assert!(wrong.parse::<DnRange>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_plan_survives_json() {
        let text = serde_json::to_string(&plan()).expect("json");
        assert_eq!(serde_json::from_str::<LoadPlan>(&text).expect("a plan"), plan());
    }
}
