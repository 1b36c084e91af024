//! A browser (dimpl's client, our SRTP) and a leg's transport, 20 ms apart, in simulated time.

use std::collections::VecDeque;

use dimpl::{Config, Dtls, DtlsCertificate, Output as DtlsOutput, SrtpProfile};

use super::super::*;
use crate::plan::{AudioCodec, AudioPlan, Pt};
use crate::webrtc::dtls::DtlsVersions;
use crate::webrtc::srtp::{Profile, Side, session};
use crate::webrtc::stun::tests::Sample;

pub(super) const UFRAG: &str = "ours";
pub(super) const PWD: &str = "our-password-of-32-characters-ok";
const LATENCY: Duration = Duration::from_millis(20);

pub(super) fn path(port: u16) -> Path {
    Path::Udp { local: "192.0.2.1:10000".parse().unwrap(), remote: ([198, 51, 100, 7], port).into() }
}

/// How the browser's DTLS is set up.
#[derive(Clone, Copy, Debug)]
pub(super) enum Speaks {
    V12,
    V13,
    Auto,
}

pub(super) struct Browser {
    pub(super) dtls: Dtls,
    pub(super) certificate: DtlsCertificate,
    pub(super) keys: Option<(Inbound, Outbound)>,
    pub(super) profile: Option<SrtpProfile>,
    pub(super) connected: bool,
    pub(super) failed: bool,
    role: DtlsRole,
    timeout: Instant,
}

impl Browser {
    pub(super) fn new(speaks: Speaks, role: DtlsRole, mtu: usize, now: Instant) -> Self {
        let certificate = dimpl::certificate::generate_self_signed_certificate().unwrap();
        let config = Arc::new(Config::builder().mtu(mtu).max_queue_tx(40).build().unwrap());
        let mut dtls = match speaks {
            Speaks::V12 => Dtls::new_12(config, certificate.clone(), now),
            Speaks::V13 => Dtls::new_13(config, certificate.clone(), now),
            Speaks::Auto => Dtls::new_auto(config, certificate.clone(), now),
        };
        dtls.set_active(role == DtlsRole::Client);
        let (keys, profile) = (None, None);
        Browser { dtls, certificate, keys, profile, connected: false, failed: false, role, timeout: now }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.certificate.fingerprint().try_into().unwrap())
    }

    fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        if self.failed {
            return packets;
        }
        let mut buf = [0; 4096];
        loop {
            match self.dtls.poll_output(&mut buf) {
                DtlsOutput::Packet(packet) => packets.push(packet.to_vec()),
                DtlsOutput::Timeout(at) => {
                    self.timeout = at;
                    return packets;
                }
                DtlsOutput::Connected => self.connected = true,
                DtlsOutput::KeyingMaterial(material, profile) => {
                    let ours = match profile {
                        SrtpProfile::AEAD_AES_256_GCM => Profile::Aes256Gcm,
                        SrtpProfile::AEAD_AES_128_GCM => Profile::Aes128Gcm,
                        _ => Profile::AesCm128HmacSha1_80,
                    };
                    let side = if self.role == DtlsRole::Client { Side::Client } else { Side::Server };
                    self.profile = Some(profile);
                    self.keys = Some(session(ours, &material, side).unwrap());
                }
                _ => {}
            }
        }
    }
}

pub(super) struct Simulation {
    pub(super) now: Instant,
    pub(super) transport: Transport,
    pub(super) browser: Browser,
    pub(super) events: Vec<Output>,
    /// Datagrams under way, with their arrival.
    to_gateway: VecDeque<(Instant, Vec<u8>)>,
    to_browser: VecDeque<(Instant, Vec<u8>)>,
    /// Asked for every DTLS datagram: true loses it. Arguments: to the gateway?, how many went this way before.
    pub(super) lose: Box<dyn FnMut(bool, usize) -> bool>,
    pub(super) sent: [usize; 2],
}

impl Simulation {
    pub(super) fn new(versions: DtlsVersions, browser: Speaks, browser_role: DtlsRole, mtu: usize) -> Self {
        let now = Instant::now();
        let certificate = Arc::new(Certificate::generate(versions).unwrap());
        let local = IceCredentials { ufrag: UFRAG.to_owned(), pwd: PWD.to_owned() };
        Simulation {
            now,
            transport: Transport::new(certificate, local),
            browser: Browser::new(browser, browser_role, mtu, now),
            events: Vec::new(),
            to_gateway: VecDeque::new(),
            to_browser: VecDeque::new(),
            lose: Box::new(|_, _| false),
            sent: [0, 0],
        }
    }

    /// The usual case: DTLS 1.2, the browser is the client.
    pub(super) fn usual() -> Self {
        Self::new(DtlsVersions::V12, Speaks::V12, DtlsRole::Client, 1150)
    }

    pub(super) fn remote(&self, fingerprint: Fingerprint, role: DtlsRole) -> BrowserRemote {
        let audio = AudioPlan {
            codec: AudioCodec::Pcmu,
            send_pt: Pt(0),
            recv_pt: Pt(0),
            send_event: None,
            recv_events: [None; 2],
            recv_noise: None,
            ptime_ms: 20,
            send: true,
            recv: true,
        };
        let ice = IceCredentials { ufrag: "theirs".to_owned(), pwd: "their-password-of-22-c".to_owned() };
        BrowserRemote { ice, fingerprint, role, audio }
    }

    /// Tells the transport what the browser's SDP says.
    pub(super) fn answer(&mut self) {
        let remote = self.remote(self.browser.fingerprint(), DtlsRole::Server);
        self.transport.set_remote(&remote, self.now);
    }

    pub(super) fn check(&mut self, port: u16) -> StunOutcome {
        let check = Sample::new(UFRAG, "theirs", PWD).nominating().write();
        self.transport.handle_stun(path(port), &check, self.now, &mut [0; 128])
    }

    /// Lets time pass, with a check every second, until `until` holds or `limit` is over; tells whether it held.
    pub(super) fn run(&mut self, limit: Duration, mut until: impl FnMut(&Simulation) -> bool) -> bool {
        let end = self.now + limit;
        let mut next_check = self.now;
        self.browser.dtls.handle_timeout(self.now).unwrap();
        loop {
            self.exchange();
            if until(self) {
                return true;
            }
            let arrivals = [self.to_gateway.front(), self.to_browser.front()];
            let arrivals = arrivals.into_iter().flatten().map(|(at, _)| *at);
            let timers = [Some(self.browser.timeout), self.transport.poll_timeout(), Some(next_check)];
            let next = arrivals.chain(timers.into_iter().flatten()).min().unwrap().max(self.now);
            if next > end {
                self.now = end;
                return false;
            }
            self.now = next;
            if next_check <= self.now {
                assert!(matches!(self.check(1), StunOutcome::Reply(_)));
                next_check = self.now + Duration::from_secs(1);
            }
            if self.transport.poll_timeout().is_some_and(|at| at <= self.now) {
                self.transport.handle_timeout(self.now);
            }
            if self.browser.timeout <= self.now {
                self.browser.failed |= self.browser.dtls.handle_timeout(self.now).is_err();
                self.browser.timeout = self.now + Duration::from_secs(3600);
            }
        }
    }

    fn exchange(&mut self) {
        while self.to_gateway.front().is_some_and(|(at, _)| *at <= self.now) {
            let (_, datagram) = self.to_gateway.pop_front().unwrap();
            let _ = self.transport.handle_dtls(path(1), &datagram, self.now);
        }
        while self.to_browser.front().is_some_and(|(at, _)| *at <= self.now) {
            let (_, datagram) = self.to_browser.pop_front().unwrap();
            let worked = self.browser.dtls.handle_timeout(self.now);
            self.browser.failed |= worked.and_then(|()| self.browser.dtls.handle_packet(&datagram)).is_err();
        }
        let mut buf = [0; 1500];
        while let Some(output) = self.transport.poll_output(&mut buf) {
            match output {
                Output::Transmit { len, .. } => {
                    let lost = (self.lose)(false, self.sent[0]);
                    self.sent[0] += 1;
                    if !lost {
                        self.to_browser.push_back((self.now + LATENCY, buf[..len].to_vec()));
                    }
                }
                event => self.events.push(event),
            }
        }
        for packet in self.browser.drain() {
            let lost = (self.lose)(true, self.sent[1]);
            self.sent[1] += 1;
            if !lost {
                self.to_gateway.push_back((self.now + LATENCY, packet));
            }
        }
    }

    /// Both sides have keys.
    pub(super) fn is_up(&self) -> bool {
        self.transport.is_connected() && self.browser.keys.is_some()
    }

    /// Validates path 1, tells the SDP and runs until both sides have keys.
    pub(super) fn connect(&mut self) {
        self.answer();
        assert!(self.run(Duration::from_secs(29), Simulation::is_up), "no keys");
        assert_eq!(self.events, [Output::Connected]);
    }

    /// What the browser has sent, as it arrives now.
    pub(super) fn browser_packets(&mut self) -> Vec<Vec<u8>> {
        self.browser.dtls.handle_timeout(self.now).unwrap();
        self.browser.drain()
    }

    pub(super) fn browser_rtp(&mut self, seq: u16) -> Vec<u8> {
        let mut packet = vec![0x80, 0];
        packet.extend(seq.to_be_bytes());
        packet.extend([0, 0, 0, 0, 0, 0, 0, 9]);
        packet.extend(b"voice");
        packet.resize(17 + 16, 0);
        let len = self.browser.keys.as_mut().unwrap().1.protect_rtp(&mut packet, 17).unwrap();
        packet.truncate(len);
        packet
    }

    /// A packet of the browser's is heard, and one of ours at the browser.
    pub(super) fn voice_passes(&mut self, seq: u16) -> bool {
        let mut packet = self.browser_rtp(seq);
        let heard = self.transport.unprotect_rtp(path(1), &mut packet).is_ok_and(|len| packet[12..len] == *b"voice");
        let mut ours = vec![0x80, 0, (seq >> 8) as u8, seq as u8, 0, 0, 0, 0, 0, 0, 0, 5, 1, 2, 3];
        ours.resize(15 + 16, 0);
        let Ok(len) = self.transport.protect_rtp(&mut ours, 15) else { return false };
        heard && self.browser.keys.as_mut().unwrap().0.unprotect_rtp(&mut ours[..len]) == Ok(15)
    }
}
