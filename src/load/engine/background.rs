//! What would make the media thread late: DTLS handshakes, and looking at sound. A thread of its own, behind the others.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::ear::Window;
use super::order::{Finding, Order, SeatId, Side};
use super::wire::Door;
use crate::load::outcome::AudioCheck;
use crate::load::voice::{Decoding, LookAhead, Probe, pilot_hz};
use crate::plan::{DtlsFailure, DtlsRole, Fingerprint};
use crate::webrtc::dtls::{Certificate, Handshake, Progress};

/// How often time-outs are looked for.
const LOOK: Duration = Duration::from_millis(50);
/// How long a handshake that is done answers repetitions.
const LINGER: Duration = Duration::from_secs(10);
/// Longest window, samples of 8 kHz: its packets' timestamps are the peer's, who may write anything.
const MAX_SAMPLES: i64 = 8 * 8_000;
/// Sound behind the marker that is looked at for a pilot, samples.
const LOOKED_AT: usize = 4_000;
/// Ticks of 48 kHz in a sample of 8 kHz.
const TICKS: i64 = 6;

/// What is to be done.
pub enum Job {
    /// Hands are to be shaken with whoever is at this address.
    Begin(SeatId, Arc<UdpSocket>, SocketAddr, Fingerprint, DtlsRole),
    /// A DTLS datagram came.
    Datagram(SeatId, Vec<u8>),
    /// The call is over.
    Forget(SeatId),
    /// Some sound is to be looked at.
    Look(SeatId, LookAhead, Box<Window>),
}

struct Shaking {
    handshake: Handshake,
    socket: Arc<UdpSocket>,
    to: SocketAddr,
    fingerprint: Fingerprint,
    /// When it was done.
    done: Option<Instant>,
}

/// The thread's state.
pub struct Background {
    jobs: Receiver<Job>,
    media: Door,
    certificate: Arc<Certificate>,
    shaking: HashMap<SeatId, Shaking>,
    probe: Probe,
}

impl Background {
    /// Makes the thread's state; jobs go in by the sender, results go to the media thread.
    pub fn new(media: Door, certificate: Arc<Certificate>) -> (Sender<Job>, Background) {
        let (sender, jobs) = mpsc::channel();
        let background =
            Background { jobs, media, certificate, shaking: HashMap::new(), probe: Probe::pausing(thread::yield_now) };
        (sender, background)
    }

    /// Works until nobody can give it a job any more.
    pub fn run(mut self) {
        let mut looked = Instant::now();
        loop {
            match self.jobs.recv_timeout(LOOK) {
                Ok(job) => self.work(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look_at_time(looked);
            }
        }
    }

    fn work(&mut self, job: Job) {
        let now = Instant::now();
        match job {
            Job::Begin(seat, socket, to, fingerprint, role) => {
                let mut handshake = Handshake::new(&self.certificate, role, now);
                let progress = handshake.handle_timeout(Some(fingerprint), now);
                self.shaking.insert(seat, Shaking { handshake, socket, to, fingerprint, done: None });
                self.advance(seat, progress, now);
            }
            Job::Datagram(seat, datagram) => {
                let Some(shaking) = self.shaking.get_mut(&seat) else { return };
                let progress = shaking.handshake.handle_packet(&datagram, Some(shaking.fingerprint), now);
                self.advance(seat, progress, now);
            }
            Job::Forget(seat) => {
                self.shaking.remove(&seat);
            }
            Job::Look(seat, ahead, window) => {
                let finding = look(&mut self.probe, &window, ahead);
                self.media.give(Order::Probed(seat, window.side, finding));
            }
        }
    }

    fn look_at_time(&mut self, now: Instant) {
        self.shaking.retain(|_, shaking| shaking.done.is_none_or(|at| now < at + LINGER));
        let is_due = |shaking: &Shaking| shaking.handshake.poll_timeout().is_some_and(|at| at <= now);
        let due: Vec<SeatId> = self.shaking.iter().filter(|(_, s)| is_due(s)).map(|(seat, _)| *seat).collect();
        for seat in due {
            let Some(shaking) = self.shaking.get_mut(&seat) else { continue };
            let progress = shaking.handshake.handle_timeout(Some(shaking.fingerprint), now);
            self.advance(seat, progress, now);
        }
    }

    /// Sends what the handshake has to say, and tells how it ended.
    fn advance(&mut self, seat: SeatId, progress: Progress, now: Instant) {
        let Some(shaking) = self.shaking.get_mut(&seat) else { return };
        let mut packet = [0; 2048];
        while let Some(len) = shaking.handshake.poll_packet(&mut packet) {
            // Lost as on the network: it is repeated.
            let _ = shaking.socket.send_to(&packet[..len], shaking.to);
        }
        let result = match progress {
            Progress::Going => return,
            Progress::Done(keys) => {
                shaking.done = Some(now);
                Ok(keys)
            }
            // What follows the end does not touch the keys.
            Progress::Failed(_) | Progress::TimedOut if shaking.done.is_some() => return,
            Progress::Failed(failure) => Err(failure),
            Progress::TimedOut => Err(DtlsFailure::Handshake),
        };
        if result.is_err() {
            self.shaking.remove(&seat);
        }
        self.media.give(Order::Keys(seat, result));
    }
}

/// Decodes a window, and looks for the marker and the pilot.
pub fn look(probe: &mut Probe, window: &Window, ahead: LookAhead) -> Finding {
    let mut finding = Finding { stream: window.stream, marker: None, audio: None };
    let mut packets = window.packets.clone();
    packets.sort_by_key(|packet| packet.0);
    let Some(&(first, ..)) = packets.first() else { return finding };
    let Ok(mut decoding) = Decoding::new(window.codec) else { return finding };
    let mut sound: Vec<i16> = Vec::new();
    let mut pcm = Vec::new();
    for (place, start, end) in packets {
        // On a core that is shared, the scheduler lets a running thread finish its slice of milliseconds: the media thread is
        // late by that unless we give way ourselves.
        thread::yield_now();
        pcm.clear();
        decoding.decode(window.bytes.get(start..end).unwrap_or_default(), &mut pcm);
        let at = (place - first) / TICKS;
        if at > MAX_SAMPLES {
            break;
        }
        let at = at as usize;
        if sound.len() < at + pcm.len() {
            sound.resize(at + pcm.len(), 0);
        }
        sound[at..at + pcm.len()].copy_from_slice(&pcm);
    }
    let own = match window.side {
        Side::Trunk => ahead.to_trunk,
        Side::Browser => ahead.to_browser,
    };
    let marker = probe.marker(&sound);
    finding.marker = marker.map(|at| (window.source, first + (at as i64 - own as i64) * TICKS));
    let rest = marker.map_or(0, |at| at + Probe::marker_samples());
    let rest = sound.get(rest..).unwrap_or_default();
    let heard = probe.pilot(&rest[..rest.len().min(LOOKED_AT)]);
    finding.audio = heard.map(|heard| AudioCheck {
        is_good: heard.is_sure && heard.pilot == window.pilot,
        expected_hz: pilot_hz(window.pilot) as f32,
        measured_hz: pilot_hz(heard.pilot) as f32,
        level_db: heard.level_db,
    });
    finding
}
