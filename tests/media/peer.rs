//! A browser's end of the transport in simulated time: checks, DTLS as the client, SRTP.

use aws_lc_rs::hmac;
use crosspoint::id::LegId;
use crosspoint::media::{Engine, EngineConfig, Sink, Socket};
use crosspoint::packet::PacketBuf;
use crosspoint::path::Path;
use crosspoint::plan::*;
use crosspoint::rtp::{HEADER_LEN, Kind, RtpHeader, RtpView, classify, write_header};
use crosspoint::webrtc::transport::{Output, StunOutcome, Transport};
use std::net::SocketAddr;

use crate::rig::{A, B, Heard, Rig, Sent, Speaker, certificate, pair, remote};

pub const CNAME: &str = "4f3c2b1a00c0ffee";
pub const PWD: &str = "a-password-of-32-characters-yes-";

pub fn local() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 10_000))
}

pub fn home() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 7], 5000))
}

/// A binding request with USE-CANDIDATE (RFC 8445 7.1).
pub fn check(name: &str) -> Vec<u8> {
    binding(name, true)
}

/// A binding request, with USE-CANDIDATE or without.
pub fn binding(name: &str, nominates: bool) -> Vec<u8> {
    let mut message = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    message.extend([9; 12]);
    message.extend([0, 6, 0, name.len() as u8]);
    message.extend(name.as_bytes());
    message.resize(message.len().next_multiple_of(4), 0);
    if nominates {
        message.extend([0, 0x25, 0, 0]);
    }
    let len = message.len() - 20 + 24;
    message[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, PWD.as_bytes()), &message);
    message.extend([0, 8, 0, 20]);
    message.extend(tag.as_ref());
    message
}

fn described(role: DtlsRole, ufrag: &str, audio: AudioPlan) -> BrowserRemote {
    let ice = IceCredentials { ufrag: ufrag.into(), pwd: PWD.into() };
    BrowserRemote { ice, fingerprint: certificate().fingerprint(), role, audio }
}

/// A browser.
pub struct Browser {
    pub transport: Transport,
    pub connected: bool,
    pub home: SocketAddr,
}

impl Browser {
    fn path(&self) -> Path {
        Path::Udp { local: self.home, remote: local() }
    }

    /// Works off what the engine has sent to us and answers it, until nobody has anything to say.
    pub fn shake(&mut self, rig: &mut Rig) {
        for _ in 0..50 {
            let mut buffer = [0; 2048];
            let mut quiet = true;
            while let Some(output) = self.transport.poll_output(&mut buffer) {
                quiet = false;
                match output {
                    Output::Transmit { len, .. } => from_address(self.home, rig, &buffer[..len]),
                    Output::Connected => self.connected = true,
                    other => panic!("{other:?}"),
                }
            }
            while rig.engine.work_handshakes(1, rig.now, &mut rig.out) {}
            for datagram in to_address(self.home, rig) {
                quiet = false;
                if (20..64).contains(&datagram[0]) {
                    let path = self.path();
                    self.transport.handle_dtls(path, &datagram, rig.now).expect("from a valid path");
                }
            }
            if quiet {
                return;
            }
        }
        panic!("no end to the handshake");
    }

    /// Checks the path both ways and shakes hands.
    fn connect(&mut self, ours: &str, theirs: &str, rig: &mut Rig) {
        from_address(self.home, rig, &check(&format!("{ours}:{theirs}")));
        assert_eq!(to_address(self.home, rig).len(), 1, "the check is answered");
        let (path, check) = (self.path(), check(&format!("{theirs}:{ours}")));
        let outcome = self.transport.handle_stun(path, &check, rig.now, &mut [0; 256]);
        assert!(matches!(outcome, StunOutcome::Reply(_)), "{outcome:?}");
        self.shake(rig);
        assert!(self.connected);
    }

    /// Sends the next packet of a speaker.
    pub fn speak(&mut self, rig: &mut Rig, speaker: &mut Speaker) {
        let (header, payload) = speaker.next(20);
        let sealed = self.seal(&header, &payload);
        from_address(self.home, rig, &sealed);
    }

    /// Takes what it was sent, and reads what is audio.
    pub fn heard(&mut self, rig: &mut Rig) -> Vec<Heard> {
        let packets = to_address(self.home, rig).into_iter().filter(|packet| classify(packet) == Kind::Rtp);
        packets
            .map(|packet| {
                let plain = self.open(packet);
                let view = RtpView::parse(&plain).expect("RTP");
                Heard { header: view.header(), payload: view.payload().to_vec() }
            })
            .collect()
    }

    /// Makes an SRTP packet.
    pub fn seal(&mut self, header: &RtpHeader, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LEN + payload.len() + 32];
        write_header(&mut bytes, header);
        bytes[HEADER_LEN..HEADER_LEN + payload.len()].copy_from_slice(payload);
        let len = self.transport.protect_rtp(&mut bytes, HEADER_LEN + payload.len()).expect("keys");
        bytes.truncate(len);
        bytes
    }

    /// Makes an SRTCP packet.
    pub fn seal_rtcp(&mut self, compound: &[u8]) -> Vec<u8> {
        let mut bytes = [compound, &[0; 32]].concat();
        let len = self.transport.protect_rtcp(&mut bytes, compound.len()).expect("keys");
        bytes.truncate(len);
        bytes
    }

    pub fn open_rtcp(&mut self, mut packet: Vec<u8>) -> Vec<u8> {
        let len = self.transport.unprotect_rtcp(self.path(), &mut packet).expect("authentic");
        packet.truncate(len);
        packet
    }

    pub fn open(&mut self, mut packet: Vec<u8>) -> Vec<u8> {
        let len = self.transport.unprotect_rtp(self.path(), &mut packet).expect("authentic");
        packet.truncate(len);
        packet
    }
}

/// A datagram from the browser's address arrives.
pub fn from_home(rig: &mut Rig, datagram: &[u8]) {
    from_address(home(), rig, datagram);
}

fn from_address(home: SocketAddr, rig: &mut Rig, datagram: &[u8]) {
    let mut packet = PacketBuf::new();
    packet.copy_from(datagram);
    rig.engine.handle_datagram(Socket::Browser(0), home, &mut packet, rig.now, &mut rig.out);
}

/// Takes what the browser was sent.
pub fn to_home(rig: &mut Rig) -> Vec<Vec<u8>> {
    to_address(home(), rig)
}

pub fn to_address(home: SocketAddr, rig: &mut Rig) -> Vec<Vec<u8>> {
    let (mine, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut rig.out.0)
        .into_iter()
        .partition(|(socket, to, _)| *socket == Socket::Browser(0) && *to == home);
    rig.out.0 = rest;
    mine.into_iter().map(|(.., bytes)| bytes).collect()
}

/// A browser leg `A`, joined with a trunk leg `B`, before its first check.
pub fn rig(browser: AudioPlan, trunk: AudioPlan) -> (Rig, Browser) {
    let now = std::time::Instant::now();
    let config = EngineConfig {
        certificate: certificate(),
        browser: vec![local()],
        ntp_at_start: 1 << 40,
        sounds: [].into(),
        reorder_hold: std::time::Duration::ZERO,
    };
    let mut rig = Rig { engine: Engine::new(config, 7, now), now, out: Sent::default() };
    let ours = IceCredentials { ufrag: "gateway".into(), pwd: PWD.into() };
    let theirs = Some(described(DtlsRole::Server, "browser", browser));
    rig.order(Order::OpenBrowser(A, Box::new(BrowserPlan { ice: ours, ssrc: 1, cname: CNAME.into(), remote: theirs })));
    let trunk = Some(remote(B, trunk));
    rig.order(Order::OpenRtp(
        B,
        Box::new(RtpPlan { pair: pair(B), ssrc: 2, latch: Latch::Off, dejitter: Default::default(), remote: trunk }),
    ));
    rig.order(Order::Connect(Topology::Pair(A, B)));
    let mut transport = Transport::new(certificate(), IceCredentials { ufrag: "browser".into(), pwd: PWD.into() });
    transport.set_remote(&described(DtlsRole::Client, "gateway", browser), now);
    (rig, Browser { transport, connected: false, home: home() })
}

/// A browser leg that is connected.
pub fn connected(browser: AudioPlan, trunk: AudioPlan) -> (Rig, Browser) {
    let (mut rig, mut peer) = self::rig(browser, trunk);
    peer.connect("gateway", "browser", &mut rig);
    (rig, peer)
}

/// Opens a further browser leg and connects it, from an address of its own.
pub fn another(rig: &mut Rig, leg: LegId, audio: AudioPlan) -> Browser {
    let ours = IceCredentials { ufrag: "second".into(), pwd: PWD.into() };
    let remote = Some(described(DtlsRole::Server, "page", audio));
    let plan = BrowserPlan { ice: ours, ssrc: 3, cname: "another".into(), remote };
    rig.order(Order::OpenBrowser(leg, Box::new(plan)));
    let mut transport = Transport::new(certificate(), IceCredentials { ufrag: "page".into(), pwd: PWD.into() });
    transport.set_remote(&described(DtlsRole::Client, "second", audio), rig.now);
    let home = SocketAddr::from(([198, 51, 100, 8], 6000));
    let mut browser = Browser { transport, connected: false, home };
    browser.connect("second", "page", rig);
    browser
}

/// Sends nowhere, and counts.
#[derive(Default)]
pub struct Drain(pub usize);

impl Sink for Drain {
    fn send(&mut self, _: Socket, _: SocketAddr, datagram: &[u8]) {
        self.0 += usize::from(!datagram.is_empty());
    }
}
