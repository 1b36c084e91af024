//! Trunks that are watched, that DNs are registered at, and that fail.

mod failover;
mod high_availability;
mod liveness;
mod proving;
mod registering;
mod routes;
mod verdicts;

use std::collections::BTreeMap;
use std::time::Duration;

use crosspoint::gateway::{GatewayConfig, Health, TrunkState};
use crosspoint::path::Path;
use crosspoint::sip::message::{Builder, Message, Method, Name};

use crate::peers::{Dialog, Ua, signed_in};
use crate::rig::{PASSWORD, Rig, by_udp, config, spare_addr, trunk_addr, udp};
use crate::sdp;

/// How long OPTIONS are apart in these tests.
const PING: Duration = Duration::from_secs(30);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// One trunk that is watched, with one target or two.
fn watched(targets: usize) -> GatewayConfig {
    let mut with = config();
    with.trunks[0].policy.ping = PING;
    with.trunks[0].destinations = [trunk_addr(), spare_addr()].into_iter().take(targets).map(by_udp).collect();
    with
}

/// What a SIP Server does about a REGISTER.
type Registrar = Box<dyn FnMut(&Message) -> Message>;

/// A SIP Server that answers OPTIONS and REGISTER by itself while it is up.
struct Server {
    path: Path,
    is_up: bool,
    options: usize,
    registers: Vec<(Duration, Message)>,
    /// DN and Contact of those who are registered.
    bindings: BTreeMap<String, String>,
    registrar: Option<Registrar>,
    /// All that is left to the test.
    inbox: Vec<Message>,
}

impl Server {
    fn at(path: Path) -> Server {
        Server {
            path,
            is_up: true,
            options: 0,
            registers: Vec::new(),
            bindings: BTreeMap::new(),
            registrar: None,
            inbox: Vec::new(),
        }
    }

    fn first() -> Server {
        Server::at(udp(trunk_addr()))
    }

    fn spare() -> Server {
        Server::at(udp(spare_addr()))
    }

    /// As user agent, for calls.
    fn ua(&self) -> Ua {
        Ua::server(self.path)
    }

    fn serve(&mut self, rig: &mut Rig, at: Duration) -> bool {
        let all = rig.take(self.path);
        let busy = !all.is_empty();
        for message in all {
            if message.is_request() && message.method() == Method::Register {
                self.registers.push((at, message.clone()));
            }
            if !self.is_up {
                continue;
            }
            let answer = match message.is_request().then(|| message.method()) {
                Some(Method::Options) => {
                    self.options += 1;
                    Builder::response_to(&message, 200, None, Some("o")).build_message()
                }
                Some(Method::Register) => match &mut self.registrar {
                    Some(registrar) => registrar(&message),
                    None => self.register(&message),
                },
                _ => {
                    self.inbox.push(message);
                    continue;
                }
            };
            rig.deliver(self.path, answer.raw().clone());
        }
        busy
    }

    fn register(&mut self, request: &Message) -> Message {
        let dn = request.to().uri.split(['@', ':']).nth(1).unwrap().to_owned();
        let contact = request.contacts().next().unwrap().unwrap().uri.to_owned();
        let expires = request.number(Name::Expires).unwrap();
        if expires == 0 {
            self.bindings.remove(&dn);
        } else {
            self.bindings.insert(dn, contact.clone());
        }
        Builder::response_to(request, 200, None, Some("r"))
            .header("Contact", format!("<{contact}>;expires={expires}"))
            .build_message()
    }

    fn expires(&self) -> Vec<u32> {
        self.registers.iter().map(|(_, register)| register.number(Name::Expires).unwrap()).collect()
    }
}

/// Lets time pass, timer by timer, with servers that answer at once.
fn run(rig: &mut Rig, servers: &mut [&mut Server], by: Duration) {
    let start = rig.now;
    let until = rig.now + by;
    loop {
        while servers.iter_mut().map(|server| server.serve(rig, rig.now - start)).fold(false, |a, b| a | b) {}
        if rig.now >= until {
            return;
        }
        let next = rig.gateway.poll_timeout().unwrap_or(until).clamp(rig.now, until);
        rig.advance(next - rig.now);
    }
}

fn state(rig: &Rig) -> TrunkState {
    rig.snapshot().trunks.remove(0).state
}

fn healths(rig: &Rig) -> Vec<Health> {
    state(rig).targets.iter().map(|target| target.health).collect()
}

/// A browser that dials, and its INVITE.
fn dial(rig: &mut Rig, dn: &str, number: &str) -> (Ua, Dialog) {
    let mut browser = signed_in(rig, dn);
    let call = browser.call(rig, number, Some(&sdp::chromium_offer()), &[]);
    (browser, call)
}

/// A REGISTER with its digest; the last response is still to be taken.
fn register(rig: &mut Rig, browser: &mut Ua, cseq: u32, expires: u32) {
    let first = browser.register(cseq, expires, None);
    rig.deliver(browser.path, first);
    let challenge = rig.take_one(browser.path);
    let answer = browser.answer_challenge(&challenge, &Method::Register, "sip:gw.test", PASSWORD);
    let second = browser.register(cseq + 1, expires, Some(&answer));
    rig.deliver(browser.path, second);
}

/// Signs in while the SIP Servers answer, and returns the last response.
fn sign_in(rig: &mut Rig, servers: &mut [&mut Server], dn: &str) -> (Ua, Message) {
    let mut browser = Ua::browser(rig, dn);
    register(rig, &mut browser, 1, 600);
    run(rig, servers, Duration::from_millis(100));
    let answer = rig.take_one(browser.path);
    (browser, answer)
}

/// As [`dial`], where signing in takes the SIP Servers' word.
fn dial_with(rig: &mut Rig, servers: &mut [&mut Server], dn: &str, number: &str) -> (Ua, Dialog) {
    let mut browser = sign_in(rig, servers, dn).0;
    let call = browser.call(rig, number, Some(&sdp::chromium_offer()), &[]);
    run(rig, servers, Duration::ZERO);
    (browser, call)
}
