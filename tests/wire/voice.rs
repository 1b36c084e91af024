//! The media of a browser on a real socket: ICE of a full agent, DTLS as the client, Opus in SRTP. It speaks a tone.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crosspoint::codec::opus::{Encoder, MAX_PACKET};
use crosspoint::load::browser::ice::{Agent, IcePeer};
use crosspoint::load::browser::sdp::{BrowserPeer, BrowserSide, read};
use crosspoint::path::Path;
use crosspoint::plan::{AudioCodec, AudioPlan, BrowserRemote, IceCredentials, OpusParams, Pt};
use crosspoint::rtp::{HEADER_LEN, Kind, RtpHeader, classify, write_header};
use crosspoint::webrtc::dtls::{Certificate, DtlsVersions};
use crosspoint::webrtc::transport::{Output, Transport};

const SSRC: u32 = 0xB0B;
/// Samples of a packet at 8 kHz.
const FRAME: usize = 160;
const MS: Duration = Duration::from_millis(1);

pub struct Voice {
    socket: UdpSocket,
    side: BrowserSide,
    certificate: Arc<Certificate>,
}

impl Voice {
    pub fn new() -> Voice {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
        let certificate = Arc::new(Certificate::generate(DtlsVersions::V12).expect("a certificate"));
        let side = BrowserSide {
            address: socket.local_addr().expect("bound"),
            ice: IceCredentials { ufrag: "voice".into(), pwd: "voice-voice-voice-voice-voice".into() },
            fingerprint: certificate.fingerprint(),
            ssrc: SSRC,
            session_id: 7,
            frame_ms: 20,
        };
        Voice { socket, side, certificate }
    }

    pub fn address(&self) -> SocketAddr {
        self.side.address
    }

    pub fn offer(&self) -> String {
        self.side.offer()
    }

    /// Speaks so many packets of a tone to who has given this answer; returns how many were heard. It blocks.
    pub fn speak(&self, answer: &str, hz: f64, packets: usize) -> usize {
        let peer = read(answer.as_bytes(), true).expect("an answer");
        let mut ends = self.connect(&peer);
        let params = OpusParams::default();
        let mut encoder = Encoder::new(params).expect("libopus");
        let (mut heard, begun) = (0, Instant::now());
        for k in 0..packets {
            let at = |n: usize| (k * FRAME + n) as f64 * std::f64::consts::TAU * hz / 8000.0;
            let pcm: Vec<i16> = (0..FRAME).map(|n| (at(n).sin() * 9000.0) as i16).collect();
            let mut packet = vec![0; HEADER_LEN + MAX_PACKET + 64];
            let len = HEADER_LEN + encoder.encode(&pcm, &mut packet[HEADER_LEN..]).expect("encoded");
            let (seq, timestamp) = (k as u16, k as u32 * 960);
            let header = RtpHeader { pt: peer.opus, marker: k == 0, seq, timestamp, ssrc: SSRC };
            write_header(&mut packet, &header);
            let len = ends.transport.protect_rtp(&mut packet, len).expect("keys");
            self.socket.send_to(&packet[..len], ends.to).expect("sent");
            while begun.elapsed() < (k as u32 + 1) * 20 * MS {
                heard += usize::from(self.hear(&mut ends) == Some(Kind::Rtp));
            }
        }
        heard
    }

    fn connect(&self, peer: &BrowserPeer) -> Ends {
        let now = Instant::now();
        self.socket.set_read_timeout(Some(2 * MS)).expect("a socket");
        let to = *peer.ice.candidates.first().expect("a candidate");
        let mut agent = Agent::new(self.side.ice.clone(), 1, now);
        agent.set_peer(&peer.ice, true, now);
        let mut transport = Transport::new(self.certificate.clone(), self.side.ice.clone());
        let codec = AudioCodec::Opus(OpusParams::default());
        let audio = AudioPlan {
            codec,
            send_pt: Pt(111),
            recv_pt: Pt(111),
            send_event: None,
            recv_events: [None; 2],
            recv_noise: None,
            ptime_ms: 20,
            send: true,
            recv: true,
        };
        let (ice, fingerprint, role) = (peer.ice.credentials.clone(), peer.fingerprint, peer.role);
        transport.set_remote(&BrowserRemote { ice, fingerprint, role, audio }, now);
        // The gateway is lite and sends no checks; our transport waits for one.
        let mut gateway = Agent::new(peer.ice.credentials.clone(), 2, now);
        let candidates = vec![self.side.address];
        gateway.set_peer(&IcePeer { credentials: self.side.ice.clone(), candidates, is_lite: true }, true, now);
        let mut check = [0; 256];
        let (_, len) = gateway.poll_check(now, &mut check).expect("a check");
        let mut ends = Ends { agent, transport, to, path: Path::Udp { local: self.side.address, remote: to } };
        ends.transport.handle_stun(ends.path, &check[..len], now, &mut [0; 256]);
        while !ends.transport.is_connected() {
            assert!(now.elapsed() < Duration::from_secs(10), "no handshake");
            self.hear(&mut ends);
        }
        ends
    }

    /// Sends what is due, and works on at most one datagram.
    fn hear(&self, ends: &mut Ends) -> Option<Kind> {
        let now = Instant::now();
        let mut buffer = [0; 2048];
        if let Some((to, len)) = ends.agent.poll_check(now, &mut buffer) {
            self.socket.send_to(&buffer[..len], to).expect("sent");
        }
        ends.transport.handle_timeout(now);
        while ends.agent.selected().is_some()
            && let Some(output) = ends.transport.poll_output(&mut buffer)
        {
            if let Output::Transmit { len, .. } = output {
                self.socket.send_to(&buffer[..len], ends.to).expect("sent");
            }
        }
        let (len, from) = self.socket.recv_from(&mut buffer).ok()?;
        let kind = classify(&buffer[..len]);
        match kind {
            Kind::Stun => drop(ends.agent.handle(from, &buffer[..len], now, &mut [0; 256])),
            Kind::Dtls => drop(ends.transport.handle_dtls(ends.path, &buffer[..len], now)),
            Kind::Rtp => {
                ends.transport.unprotect_rtp(ends.path, &mut buffer[..len]).ok()?;
            }
            _ => {}
        }
        Some(kind)
    }
}

struct Ends {
    agent: Agent,
    transport: Transport,
    to: SocketAddr,
    path: Path,
}
