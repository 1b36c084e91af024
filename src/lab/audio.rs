//! The RTP end of one call of the lab: a packet every 20 ms out, measurements of what comes in.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::message::Description;
use super::pcap::Recorder;
use super::sound::{Generator, Sound, measure};
use crate::codec::g711;
use crate::plan::{Digit, Pt};
use crate::rtp::dtmf::{key_char, key_event};
use crate::rtp::{DtmfReceiver, DtmfSender, EventPayload, RtpHeader, RtpView, write_header};

/// Audio kept for measuring: the last second.
const KEPT: usize = 8000;
/// One packet, samples.
const FRAME: usize = 160;
const FRAME_TIME: Duration = Duration::from_millis(20);
/// An arrival later than this after the one before it is a gap.
const GAP: Duration = Duration::from_millis(60);
/// Samples that wait between two ends that are joined: 100 ms.
const MOST_WAITING: usize = 800;
/// Keys that wait there.
const MOST_KEYS: usize = 32;
/// Tries for two ports that stand side by side.
const PAIRS: usize = 100;

/// What one call of the lab heard and sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabCallReport {
    /// RTP packets received.
    pub received: u64,
    /// RTP packets sent.
    pub sent: u64,
    /// Sequence numbers that never came.
    pub lost: u64,
    /// Pauses of more than 60 ms between two audio packets, key presses excepted.
    pub gaps: u64,
    /// Strongest frequency of the last second heard, in steps of 10 Hz; 0: silence.
    pub dominant_hz: u16,
    /// Level of the last second heard, dBm0; −99: silence.
    pub level_dbm0: f64,
    /// Audio heard since the last change of what is listened to, at most the second that is measured, ms.
    pub heard_ms: u64,
    /// Keys heard (RFC 4733).
    pub digits: String,
    /// Keys heard with their lengths.
    pub digit_lengths: Vec<Duration>,
    /// Datagrams that were no RTP of the call.
    pub strange: u64,
}

/// What one end of two that are joined has heard, and the other is to say.
#[derive(Debug, Default)]
struct Way {
    pcm: VecDeque<i16>,
    keys: VecDeque<Digit>,
}

/// Two calls of the lab that hear each other: the ways out of this end and into it.
#[derive(Clone, Debug, Default)]
struct Joint {
    heard: Arc<Mutex<Way>>,
    said: Arc<Mutex<Way>>,
}

fn open(way: &Mutex<Way>) -> MutexGuard<'_, Way> {
    way.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct State {
    report: LabCallReport,
    remote: Option<Description>,
    sound: Sound,
    generator: Option<Generator>,
    echo_digits: bool,
    joint: Option<Joint>,
    heard: Vec<i16>,
    echo: Vec<i16>,
    last_audio: Option<Instant>,
    last_seq: Option<u16>,
    receiver: DtmfReceiver,
    sender: DtmfSender,
    header: RtpHeader,
}

/// The RTP end of one call; it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Audio {
    pub local: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
    /// Reads what comes to the RTCP port, for the recording alone.
    control: Option<JoinHandle<()>>,
}

impl Drop for Audio {
    fn drop(&mut self) {
        self.task.abort();
        self.control.iter().for_each(JoinHandle::abort);
    }
}

impl Audio {
    /// Binds a port of the lab's address and begins to listen; nothing is sent before [`Audio::talk_to`].
    pub fn bind(ip: IpAddr, sound: Sound, echo_digits: bool, ssrc: u32) -> std::io::Result<Audio> {
        Audio::on(bound(ip, 0)?, sound, echo_digits, ssrc, None)
    }

    /// As [`Audio::bind`], with the RTCP port beside it; what both send and receive is recorded where there is a recorder.
    pub fn bind_pair(ip: IpAddr, sound: Sound, ssrc: u32, recorder: Option<Arc<Recorder>>) -> std::io::Result<Audio> {
        let (rtp, rtcp) = pair(ip)?;
        let mut audio = Audio::on(rtp, sound, false, ssrc, recorder.clone())?;
        audio.control = Some(tokio::spawn(watch(rtcp, recorder)));
        Ok(audio)
    }

    fn on(
        socket: UdpSocket,
        sound: Sound,
        echo_digits: bool,
        ssrc: u32,
        recorder: Option<Arc<Recorder>>,
    ) -> std::io::Result<Audio> {
        let local = socket.local_addr()?;
        let state = Arc::new(Mutex::new(State {
            report: LabCallReport { level_dbm0: -99.0, ..LabCallReport::default() },
            remote: None,
            generator: Generator::new(&sound),
            sound,
            echo_digits,
            joint: None,
            heard: Vec::new(),
            echo: Vec::new(),
            last_audio: None,
            last_seq: None,
            receiver: DtmfReceiver::new(8000),
            sender: DtmfSender::new(8000, 10),
            header: RtpHeader { pt: Pt(0), marker: true, seq: ssrc as u16, timestamp: ssrc, ssrc },
        }));
        let task = tokio::spawn(run(socket, state.clone(), recorder));
        Ok(Audio { local, state, task, control: None })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends to this peer from the next packet on.
    pub fn talk_to(&self, remote: Description) {
        self.lock().remote = Some(remote);
    }

    /// Forgets what was heard: the next report is of what comes from here on.
    pub fn listen(&self) {
        self.lock().heard.clear();
    }

    /// Plays something else from the next packet on.
    pub fn play(&self, sound: Sound) {
        let generator = Generator::new(&sound);
        let mut state = self.lock();
        state.generator = generator;
        state.sound = sound;
    }

    /// Lets both ends hear each other, and nothing else; keys go through as well.
    pub fn join(&self, other: &Audio) {
        let joint = Joint::default();
        other.lock().joint = Some(Joint { heard: joint.said.clone(), said: joint.heard.clone() });
        self.lock().joint = Some(joint);
    }

    /// Presses keys, 100 ms each.
    pub fn press(&self, keys: &str) {
        let mut state = self.lock();
        for event in keys.chars().filter_map(key_event) {
            state.sender.send(Digit { event, duration: Duration::from_millis(100) });
        }
    }

    /// Measures what has come so far.
    pub fn report(&self) -> LabCallReport {
        let (mut report, heard) = {
            let state = self.lock();
            (state.report.clone(), state.heard.clone())
        };
        (report.dominant_hz, report.level_dbm0) = measure(&heard);
        report.heard_ms = heard.len() as u64 / 8;
        report
    }
}

fn bound(ip: IpAddr, port: u16) -> std::io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind((ip, port))?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// Binds an even port and the one above it (RFC 3550 11).
fn pair(ip: IpAddr) -> std::io::Result<(UdpSocket, UdpSocket)> {
    for _ in 0..PAIRS {
        let rtp = bound(ip, 0)?;
        let port = rtp.local_addr()?.port();
        if port % 2 == 0
            && let Ok(rtcp) = bound(ip, port + 1)
        {
            return Ok((rtp, rtcp));
        }
    }
    Err(std::io::ErrorKind::AddrInUse.into())
}

async fn watch(socket: UdpSocket, recorder: Option<Arc<Recorder>>) {
    let mut datagram = [0; 2048];
    loop {
        let Ok((len, from)) = socket.recv_from(&mut datagram).await else { continue };
        keep(&recorder, from, &socket, &datagram[..len]);
    }
}

/// Records what came.
fn keep(recorder: &Option<Arc<Recorder>>, from: SocketAddr, socket: &UdpSocket, bytes: &[u8]) {
    if let (Some(recorder), Ok(local)) = (recorder, socket.local_addr()) {
        recorder.packet(from, local, bytes);
    }
}

async fn run(socket: UdpSocket, state: Arc<Mutex<State>>, recorder: Option<Arc<Recorder>>) {
    let mut ticks = interval(FRAME_TIME);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut datagram = [0; 2048];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut datagram) => {
                let Ok((len, from)) = received else { continue };
                keep(&recorder, from, &socket, &datagram[..len]);
                state.lock().unwrap_or_else(PoisonError::into_inner).receive(&datagram[..len], Instant::now());
            }
            _ = ticks.tick() => {
                let mut out = [0; 12 + FRAME];
                let next = state.lock().unwrap_or_else(PoisonError::into_inner).next(&mut out, Instant::now());
                if let Some((len, to)) = next {
                    // A peer that is gone answers with ICMP; the call's end is a matter of SIP.
                    let _ = socket.send_to(&out[..len], to).await;
                }
            }
        }
    }
}

impl State {
    fn receive(&mut self, datagram: &[u8], now: Instant) {
        let (Ok(view), Some(remote)) = (RtpView::parse(datagram), self.remote) else {
            self.report.strange += 1;
            return;
        };
        let Pt(pt) = view.header().pt;
        let seq = view.header().seq;
        if let Some(last) = self.last_seq {
            let step = seq.wrapping_sub(last);
            if (1..1000).contains(&step) {
                self.report.lost += u64::from(step) - 1;
            }
        }
        self.last_seq = Some(seq);
        self.report.received += 1;
        if Some(pt) == remote.event_pt {
            self.last_audio = None;
            if let Ok(event) = EventPayload::parse(view.payload()) {
                let change = self.receiver.receive(view.header().timestamp, event, now);
                change.up.into_iter().chain(change.down_and_up).for_each(|d| self.key(d));
            }
            return;
        }
        if pt != 0 && pt != 8 {
            self.report.strange += 1;
            return;
        }
        if self.last_audio.replace(now).is_some_and(|last| now.duration_since(last) > GAP) {
            self.report.gaps += 1;
        }
        let mut pcm = vec![0; view.payload().len()];
        if pt == 8 {
            g711::decode_alaw(view.payload(), &mut pcm)
        } else {
            g711::decode_ulaw(view.payload(), &mut pcm)
        };
        if let Some(joint) = &self.joint {
            let mut way = open(&joint.heard);
            way.pcm.extend(&pcm);
            // The other end's clock may be the slower one.
            let surplus = way.pcm.len().saturating_sub(MOST_WAITING);
            way.pcm.drain(..surplus);
        } else if self.sound == Sound::Echo && self.echo.len() < KEPT {
            self.echo.extend_from_slice(&pcm);
        }
        self.heard.extend_from_slice(&pcm);
        let surplus = self.heard.len().saturating_sub(KEPT);
        self.heard.drain(..surplus);
    }

    fn key(&mut self, digit: Digit) {
        self.report.digits.extend(key_char(digit.event));
        self.report.digit_lengths.push(digit.duration);
        if let Some(joint) = &self.joint {
            let mut way = open(&joint.heard);
            if way.keys.len() < MOST_KEYS {
                way.keys.push_back(digit);
            }
        } else if self.echo_digits {
            self.sender.send(digit);
        }
    }

    fn next(&mut self, out: &mut [u8; 12 + FRAME], now: Instant) -> Option<(usize, SocketAddr)> {
        if let Some(digit) = self.receiver.handle_timeout(now) {
            self.key(digit);
        }
        let remote = self.remote.filter(|r| r.hears && r.rtp.port() != 0)?;
        let joint = self.joint.clone();
        if let Some(joint) = &joint {
            for digit in open(&joint.said).keys.drain(..) {
                self.sender.send(digit);
            }
        }
        let timestamp = self.header.timestamp;
        self.header.timestamp = timestamp.wrapping_add(FRAME as u32);
        let mut header = RtpHeader { timestamp, pt: Pt(remote.pt), ..self.header };
        let mut len = FRAME;
        match self.sender.next(timestamp, FRAME as u32).zip(remote.event_pt) {
            Some((event, pt)) => {
                header = RtpHeader { pt: Pt(pt), marker: event.marker, timestamp: event.timestamp, ..header };
                len = event.payload.write(&mut out[12..]);
            }
            None => {
                let mut pcm = [0; FRAME];
                if let Some(joint) = &joint {
                    let mut way = open(&joint.said);
                    if way.pcm.len() >= FRAME {
                        pcm.iter_mut().zip(way.pcm.drain(..FRAME)).for_each(|(out, sample)| *out = sample);
                    }
                } else if let Some(generator) = &mut self.generator {
                    generator.fill(&mut pcm);
                } else if self.sound == Sound::Echo && self.echo.len() >= FRAME {
                    pcm.copy_from_slice(&self.echo[..FRAME]);
                    self.echo.drain(..FRAME);
                }
                if remote.pt == 8 {
                    g711::encode_alaw(&pcm, &mut out[12..])
                } else {
                    g711::encode_ulaw(&pcm, &mut out[12..])
                };
            }
        }
        write_header(out, &header);
        self.header.seq = self.header.seq.wrapping_add(1);
        self.header.marker = false;
        self.report.sent += 1;
        Some((12 + len, remote.rtp))
    }
}
