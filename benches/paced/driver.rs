//! The far ends of all calls, paced.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crosspoint::path::Path;
use crosspoint::plan::*;
use crosspoint::rtp::{HEADER_LEN, Kind as Datagram, RtpHeader, RtpView, classify, write_header};
use crosspoint::webrtc::transport::{Output, Transport};
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};

use crate::peer::{PWD, binding};
use crate::rig::{certificate, plan};
use crate::server::OPUS;
use crate::voice::Voice;

const FRAME: Duration = Duration::from_millis(20);
/// How often a browser checks its path.
const CHECK: Duration = Duration::from_millis(2500);
/// Sent packets whose times are remembered, per direction.
const RING: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Floor,
    Gateway,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Floor => "floor",
            Kind::Gateway => "gateway",
        }
    }
}

/// One end of a call.
struct End {
    socket: UdpSocket,
    to: SocketAddr,
    sent: u32,
    /// When the packets were sent.
    times: [Option<Instant>; RING],
    /// First timestamp heard, with the frame that it stands for.
    base: Option<(u32, u32)>,
    heard: u32,
    phase: Duration,
}

pub struct Call {
    ends: [End; 2],
    transport: Option<Box<Transport>>,
    k: usize,
    checked: Instant,
}

/// What a measurement heard.
#[derive(Default)]
pub struct Heard {
    pub seconds: f64,
    pub sent: u64,
    pub lost: i64,
    /// Largest lateness of the driver itself.
    late: Duration,
    delays_ns: Vec<u32>,
}

impl Heard {
    pub fn percentile_ms(&self, share: f64) -> f64 {
        let at = (self.delays_ns.len() as f64 * share) as usize;
        self.delays_ns.get(at).map_or(f64::NAN, |ns| f64::from(*ns) / 1e6)
    }

    pub fn line(&self) -> String {
        format!(
            "p50 {:.3} p99 {:.3} p99.9 {:.3} ms, {} sent, {} lost, driver late by {:?} at most",
            self.percentile_ms(0.5),
            self.percentile_ms(0.99),
            self.percentile_ms(0.999),
            self.sent,
            self.lost,
            self.late
        )
    }
}

/// Sockets of the trunk's ends.
pub fn trunk_sockets(calls: usize) -> Vec<UdpSocket> {
    (0..calls).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a port")).collect()
}

/// Makes the far ends of all calls; those of browsers shake hands.
pub fn connect(
    kind: Kind,
    trunks: Vec<UdpSocket>,
    browser: &[SocketAddr],
    trunk: &[SocketAddr],
    fingerprint: &[u8],
    voice: &Voice,
) -> Vec<Call> {
    let mut noise = 7_u64;
    let mut phase = move || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_micros((noise >> 33) % 20_000)
    };
    let mut end = |socket: UdpSocket, to| {
        socket.set_nonblocking(true).expect("a socket");
        End { socket, to, sent: 0, times: [None; RING], base: None, heard: 0, phase: phase() }
    };
    let mut calls = Vec::new();
    for (k, socket) in trunks.into_iter().enumerate() {
        let page = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let transport = (kind == Kind::Gateway).then(|| shake(&page, browser[k], k, fingerprint));
        let ends = [end(page, browser[k]), end(socket, trunk[k])];
        if kind == Kind::Floor {
            // It sends to whom it has heard of: nothing that it would carry.
            ends.iter().for_each(|end| drop(end.socket.send_to(&[0], end.to)));
        }
        calls.push(Call { ends, transport, k: k * 37 % voice.opus.len(), checked: Instant::now() });
    }
    calls
}

/// Checks the path both ways and shakes hands as the DTLS client.
fn shake(socket: &UdpSocket, to: SocketAddr, k: usize, fingerprint: &[u8]) -> Box<Transport> {
    let local = socket.local_addr().expect("bound");
    let path = Path::Udp { local, remote: to };
    let credentials = |ufrag: String| IceCredentials { ufrag, pwd: PWD.into() };
    let mut transport = Box::new(Transport::new(certificate(), credentials(format!("page{k}"))));
    let remote = BrowserRemote {
        ice: credentials(format!("gate{k}")),
        fingerprint: Fingerprint(fingerprint.try_into().expect("SHA-256")),
        role: DtlsRole::Client,
        audio: plan(OPUS),
    };
    transport.set_remote(&remote, Instant::now());
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
    socket.send_to(&binding(&format!("gate{k}:page{k}"), true), to).expect("loopback");
    let mut buffer = [0; 2048];
    socket.recv(&mut buffer).expect("an answer to the check");
    transport.handle_stun(path, &binding(&format!("page{k}:gate{k}"), true), Instant::now(), &mut [0; 256]);
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        while let Some(output) = transport.poll_output(&mut buffer) {
            match output {
                Output::Transmit { len, .. } => drop(socket.send_to(&buffer[..len], to)),
                Output::Connected => return transport,
                other => panic!("{other:?}"),
            }
        }
        match socket.recv(&mut buffer) {
            Ok(len) if classify(&buffer[..len]) == Datagram::Dtls => {
                transport.handle_dtls(path, &buffer[..len], Instant::now()).expect("from a valid path");
            }
            Ok(_) => {}
            Err(_) => transport.handle_timeout(Instant::now()),
        }
    }
    panic!("no end to the handshake of call {k}");
}

impl Call {
    fn send(&mut self, half: usize, voice: &Voice, buffer: &mut [u8]) {
        let end = &mut self.ends[half];
        let frame = (self.k + end.sent as usize) % voice.opus.len();
        let (payload, pt, ticks) =
            if half == 0 { (&voice.opus[frame], 111, 960) } else { (&voice.ulaw[frame], 0, 160) };
        let header = RtpHeader {
            pt: Pt(pt),
            marker: end.sent == 0,
            seq: end.sent as u16,
            timestamp: end.sent.wrapping_mul(ticks),
            ssrc: 77 + half as u32,
        };
        write_header(buffer, &header);
        let mut len = HEADER_LEN + payload.len();
        buffer[HEADER_LEN..len].copy_from_slice(payload);
        if let (0, Some(transport)) = (half, &mut self.transport) {
            len = transport.protect_rtp(buffer, len).expect("keys");
        }
        end.times[end.sent as usize % RING] = Some(Instant::now());
        end.sent += 1;
        let _ = end.socket.send_to(&buffer[..len], end.to);
    }

    fn receive(&mut self, half: usize, buffer: &mut [u8], heard: &mut Heard) {
        while let Ok(mut len) = self.ends[half].socket.recv(buffer) {
            if classify(&buffer[..len]) != Datagram::Rtp {
                continue;
            }
            let now = Instant::now();
            if let (0, Some(transport)) = (half, &mut self.transport) {
                let local = self.ends[0].socket.local_addr().expect("bound");
                let path = Path::Udp { local, remote: self.ends[0].to };
                len = transport.unprotect_rtp(path, &mut buffer[..len]).expect("authentic");
            }
            let view = RtpView::parse(&buffer[..len]).expect("RTP");
            let timestamp = view.header().timestamp;
            let ticks = if half == 0 { 960 } else { 160 };
            let end = &mut self.ends[half];
            end.heard += 1;
            let (base, first) = *end.base.get_or_insert((timestamp, end.heard - 1));
            let frame = timestamp.wrapping_sub(base) / ticks + first;
            let other = &self.ends[1 - half];
            if let Some(sent) = other.times[frame as usize % RING].filter(|_| frame < other.sent) {
                heard.delays_ns.push((now - sent).as_nanos().min(u128::from(u32::MAX)) as u32);
            }
        }
    }
}

/// Lets `speaking` calls speak both ways for a while; then whatever is still on its way is waited for.
pub fn drive(calls: &mut [Call], time: Duration, voice: &Voice, speaking: usize) -> Heard {
    let epoll = epoll::create(epoll::CreateFlags::empty()).expect("epoll");
    for (k, call) in calls.iter().enumerate() {
        for (half, end) in call.ends.iter().enumerate() {
            let data = epoll::EventData::new_u64((2 * k + half) as u64);
            epoll::add(&epoll, &end.socket, data, epoll::EventFlags::IN).expect("epoll");
        }
    }
    let mut order: Vec<_> = (0..speaking).flat_map(|k| [(k, 0), (k, 1)]).collect();
    order.sort_by_key(|(k, half)| calls[*k].ends[*half].phase);
    let counts = |calls: &[Call]| {
        let ends = || calls.iter().flat_map(|c| c.ends.iter());
        (ends().map(|e| u64::from(e.sent)).sum::<u64>(), ends().map(|e| u64::from(e.heard)).sum::<u64>())
    };
    let (sent, had) = counts(calls);
    let mut heard = Heard::default();
    let mut buffer = [0; 2048];
    let begun = Instant::now();
    let frames = (time.as_millis() / FRAME.as_millis()) as u32;
    for frame in 0..frames {
        for (k, half) in &order {
            let due = begun + FRAME * frame + calls[*k].ends[*half].phase;
            loop {
                let now = Instant::now();
                if now >= due {
                    heard.late = heard.late.max(now - due);
                    break;
                }
                sleep(&epoll, due - now);
                receive(&epoll, calls, &mut buffer, &mut heard);
            }
            calls[*k].send(*half, voice, &mut buffer);
        }
        check(calls);
    }
    heard.seconds = begun.elapsed().as_secs_f64();
    let until = Instant::now() + Duration::from_millis(100);
    while Instant::now() < until {
        sleep(&epoll, until.saturating_duration_since(Instant::now()));
        receive(&epoll, calls, &mut buffer, &mut heard);
    }
    let (sent_now, had_now) = counts(calls);
    heard.sent = sent_now - sent;
    heard.lost = heard.sent as i64 - (had_now - had) as i64;
    heard.delays_ns.sort_unstable();
    heard
}

/// Waits until something is there, or for `time`, which epoll would round up to a millisecond.
fn sleep(epoll: &OwnedFd, time: Duration) {
    let time = Timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
    let _ = poll(&mut [PollFd::new(epoll, PollFlags::IN)], Some(&time));
}

fn receive(epoll: &OwnedFd, calls: &mut [Call], buffer: &mut [u8], heard: &mut Heard) {
    let none = epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) };
    let mut events = [none; 64];
    let count = epoll::wait(epoll, &mut events[..], Some(&Timespec::default())).expect("epoll");
    for event in &events[..count] {
        let at = event.data.u64() as usize;
        calls[at / 2].receive(at % 2, buffer, heard);
    }
}

fn check(calls: &mut [Call]) {
    let now = Instant::now();
    for (k, call) in calls.iter_mut().enumerate().filter(|(_, call)| call.transport.is_some()) {
        if now - call.checked >= CHECK {
            call.checked = now;
            let end = &call.ends[0];
            let _ = end.socket.send_to(&binding(&format!("gate{k}:page{k}"), true), end.to);
        }
    }
}
