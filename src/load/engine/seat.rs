//! One call at the media thread: two ends that hear each other through the target.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ear::{Ear, Window};
use super::end::{End, Link, PACKET, Secure};
use super::order::{Finding, Peer, SeatPlan, Side, Speech};
use crate::load::browser::ice::{self, Heard};
use crate::load::outcome::Way;
use crate::load::voice::LookAhead;
use crate::plan::{DtlsRole, Fingerprint};
use crate::rtp::{Kind, RtpHeader, RtpView, classify};
use crate::webrtc::dtls::starts_handshake;
use crate::webrtc::srtp::{Inbound, Outbound};

/// What a datagram came to.
#[derive(Debug, Default)]
pub struct Came {
    /// It was audio of this call.
    pub is_audio: bool,
    /// With it both ends have heard each other, the later one at this time.
    pub heard: Option<Instant>,
    /// It is for the background.
    pub dtls: Option<Vec<u8>>,
    /// ICE may have something to send.
    pub ice: bool,
}

/// One call.
#[derive(Debug)]
pub struct Seat {
    browser: End,
    trunk: End,
    rtcp: Option<UdpSocket>,
    /// What the codecs themselves delay.
    pub ahead: LookAhead,
    seed: u64,
    speaks: bool,
    talking: bool,
    /// It has fallen silent, and its figures are not told yet.
    owes: bool,
    /// Its sockets are no longer heard.
    pub closed: bool,
}

impl Seat {
    /// Takes the sockets. Fails where one cannot be made non-blocking.
    pub fn new(plan: SeatPlan, now: Instant) -> io::Result<Seat> {
        for socket in [&plan.browser, &plan.rtp].into_iter().chain(&plan.rtcp) {
            socket.set_nonblocking(true)?;
        }
        let plain = || Link::Plain { rtp: None, rtcp: None };
        let secure = |ice| {
            Link::Secure(Box::new(Secure {
                ice: ice::Agent::new(ice, plan.seed, now),
                armed: None,
                keys: None,
                peer: None,
                begun: false,
                lost: false,
            }))
        };
        let browser = match plan.witness {
            Some(line) => Link::Witness { line, joined: false },
            None => plan.ice.map_or_else(plain, secure),
        };
        Ok(Seat {
            browser: End::new(plan.browser, browser, plan.ssrc, plan.seed),
            trunk: End::new(plan.rtp, plain(), !plan.ssrc, plan.seed.rotate_left(21)),
            rtcp: plan.rtcp,
            ahead: plan.ahead,
            seed: plan.seed,
            speaks: plan.speaks,
            talking: false,
            owes: false,
            closed: false,
        })
    }

    /// The socket of this number: 0 the browser's, 1 and 2 the trunk's RTP and RTCP.
    pub fn socket(&self, which: u64) -> Option<&UdpSocket> {
        match which {
            0 => Some(&self.browser.socket),
            1 => Some(&self.trunk.socket),
            2 => self.rtcp.as_ref(),
            _ => None,
        }
    }

    /// One of the ends.
    #[inline]
    pub fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Browser => &mut self.browser,
            Side::Trunk => &mut self.trunk,
        }
    }

    /// An end, and the one that it hears.
    #[inline]
    fn pair(&mut self, side: Side) -> (&mut End, &mut End) {
        match side {
            Side::Browser => (&mut self.browser, &mut self.trunk),
            Side::Trunk => (&mut self.trunk, &mut self.browser),
        }
    }

    /// Takes what is known of an end's peer.
    pub fn meet(&mut self, side: Side, peer: &Peer, speech: Speech, measuring: bool, now: Instant) {
        let stagger = self.seed >> 8;
        self.end(side).meet(side, peer, speech, measuring, stagger, now);
    }

    /// The call is answered; true at the first time.
    pub fn talk(&mut self) -> bool {
        !std::mem::replace(&mut self.talking, true)
    }

    /// Tells whether it is answered and not yet ended.
    pub fn is_talking(&self) -> bool {
        self.talking
    }

    /// Lets the ends speak that can and do not yet; returns when their first packets are due, each at a phase of its own.
    pub fn begin_to_speak(&mut self, now: Instant) -> [Option<(Side, Instant)>; 2] {
        if !self.talking || !self.speaks {
            return [None, None];
        }
        let seed = self.seed;
        let mut begin = |side: Side, draw: u64| {
            let end = self.end(side);
            if end.due.is_some() || !end.is_ready() {
                return None;
            }
            let frame_us = end.frame().as_micros() as u64;
            let at = now + Duration::from_micros(draw % frame_us);
            end.due = Some(at);
            Some((side, at))
        };
        [begin(Side::Browser, seed >> 16), begin(Side::Trunk, seed >> 32)]
    }

    /// The speaker's next frame is about to go out: the listener may open or hand out a window.
    #[inline]
    pub fn follow(&mut self, speaker: Side) -> Option<Box<Window>> {
        let (speaker, listener) = self.pair(speaker);
        let (speech, ear) = (speaker.speech.as_ref()?, listener.ear.as_mut()?);
        ear.follow(speaker.sent.count(), speech.voice.frames(), speaker.sent.frame(), speech.voice.pilot())
    }

    /// Takes a datagram that stands in `buffer[..len]`; replies of ICE are written over it.
    #[inline]
    pub fn receive(
        &mut self,
        side: Side,
        from: SocketAddr,
        buffer: &mut [u8],
        len: usize,
        now: Instant,
        now_us: u64,
    ) -> Came {
        match classify(&buffer[..len]) {
            Kind::Rtp => self.hear(side, &mut buffer[..len], now, now_us),
            Kind::Stun => self.receive_stun(side, from, buffer, len, now),
            Kind::Dtls => self.receive_dtls(side, &buffer[..len]),
            Kind::Rtcp | Kind::TurnChannel | Kind::Drop => Came::default(),
        }
    }

    #[inline]
    fn hear(&mut self, side: Side, packet: &mut [u8], now: Instant, now_us: u64) -> Came {
        let Some(len) = self.end(side).open(packet) else { return Came::default() };
        let Ok(view) = RtpView::parse(&packet[..len]) else { return Came::default() };
        self.heard(side, &view.header(), view.payload(), now, now_us)
    }

    #[inline]
    fn heard(&mut self, side: Side, header: &RtpHeader, payload: &[u8], now: Instant, now_us: u64) -> Came {
        let (listener, speaker) = self.pair(side);
        let (Some(speech), Some(ear)) = (&listener.speech, &mut listener.ear) else { return Came::default() };
        if header.pt != speech.pt {
            return Came::default();
        }
        let is_first = ear.hear(header, payload, now, now_us, &speaker.sent);
        let both = speaker.ear.as_ref().is_some_and(|ear| ear.heard_at().is_some());
        Came { is_audio: true, heard: (is_first && both).then_some(now), ..Came::default() }
    }

    /// Takes a packet that the witness has heard.
    pub fn witnessed(&mut self, header: &RtpHeader, payload: &[u8], now: Instant, now_us: u64) -> Came {
        self.heard(Side::Browser, header, payload, now, now_us)
    }

    /// The witness is connected; true for a call that has one.
    pub fn join(&mut self) -> bool {
        let Link::Witness { joined, .. } = &mut self.browser.link else { return false };
        *joined = true;
        true
    }

    fn receive_stun(&mut self, side: Side, from: SocketAddr, buffer: &mut [u8], len: usize, now: Instant) -> Came {
        let end = self.end(side);
        let Link::Secure(secure) = &mut end.link else { return Came::default() };
        let mut reply = [0; 256];
        match secure.ice.handle(from, &buffer[..len], now, &mut reply) {
            Ok(Heard::Reply(len)) => {
                // Lost as on the network: the check is repeated.
                let _ = end.socket.send_to(&reply[..len], from);
            }
            Ok(Heard::Selected(_) | Heard::Nothing) => secure.lost = false,
            Err(_) => return Came::default(),
        }
        Came { ice: true, ..Came::default() }
    }

    fn receive_dtls(&mut self, side: Side, datagram: &[u8]) -> Came {
        let Link::Secure(secure) = &mut self.end(side).link else { return Came::default() };
        // A ClientHello may be ahead of our own ICE; it is repeated.
        let is_for_us = secure.begun || starts_handshake(datagram);
        Came { dtls: is_for_us.then(|| datagram.to_vec()), ..Came::default() }
    }

    /// Sends the checks that are due; true where consent is lost, once.
    pub fn check(&mut self, at: Instant, now: Instant, scratch: &mut [u8; PACKET]) -> bool {
        let Link::Secure(secure) = &mut self.browser.link else { return false };
        if secure.armed == Some(at) {
            secure.armed = None;
        }
        while let Some((to, len)) = secure.ice.poll_check(now, scratch) {
            // Lost as on the network: it is repeated.
            let _ = self.browser.socket.send_to(&scratch[..len], to);
        }
        secure.ice.is_lost(now) && !std::mem::replace(&mut secure.lost, true)
    }

    /// Returns when the next check is due, where that is not known already.
    pub fn arm(&mut self, now: Instant) -> Option<Instant> {
        let Link::Secure(secure) = &mut self.browser.link else { return None };
        let at = secure.ice.poll_timeout()?.max(now);
        if secure.armed.is_some_and(|armed| armed <= at) {
            return None;
        }
        secure.armed = Some(at);
        Some(at)
    }

    /// Returns whom to shake hands with, once, when ICE has found the way.
    pub fn begin_handshake(&mut self) -> Option<(Arc<UdpSocket>, SocketAddr, Fingerprint, DtlsRole)> {
        let Link::Secure(secure) = &mut self.browser.link else { return None };
        let (to, (fingerprint, role)) = (secure.ice.selected()?, secure.peer?);
        let is_first = !std::mem::replace(&mut secure.begun, true);
        is_first.then(|| (self.browser.socket.clone(), to, fingerprint, role))
    }

    /// Takes the keys of the browser's end.
    pub fn set_keys(&mut self, keys: Box<(Inbound, Outbound)>) {
        if let Link::Secure(secure) = &mut self.browser.link {
            secure.keys = Some(keys);
        }
    }

    /// Takes what a window of an end came to.
    pub fn take(&mut self, side: Side, finding: Finding) {
        let (listener, speaker) = self.pair(side);
        if let Some(ear) = &mut listener.ear {
            ear.take(finding, &speaker.sent);
        }
    }

    /// Sends both ends' reports.
    pub fn report(&mut self, ntp: u64, now: Instant, scratch: &mut [u8; PACKET]) {
        self.browser.report(None, ntp, now, scratch);
        self.trunk.report(self.rtcp.as_ref(), ntp, now, scratch);
    }

    /// Begins or ends to count.
    pub fn measure(&mut self, on: bool) {
        for end in [&mut self.browser, &mut self.trunk] {
            if on {
                end.counted = 0;
            }
            end.ear.iter_mut().for_each(|ear| ear.measure(on));
        }
    }

    /// Falls silent.
    pub fn quiet(&mut self) {
        self.talking = false;
        self.owes = true;
        (self.browser.due, self.trunk.due) = (None, None);
    }

    /// Whether the background looks at sound of it: what is counted is not whole before that is done.
    pub fn is_looked_at(&self) -> bool {
        [&self.browser, &self.trunk].iter().any(|end| end.ear.as_ref().is_some_and(Ear::is_looked_at))
    }

    /// Tells what was counted, once, when it is silent and whole: to the trunk, to the browser.
    pub fn take_figures(&mut self) -> Option<(Way, Way)> {
        if self.is_looked_at() || !std::mem::take(&mut self.owes) {
            return None;
        }
        let (browser, trunk) = (self.browser.counted, self.trunk.counted);
        let frames = (self.browser.frame(), self.trunk.frame());
        let figures =
            |end: &mut End, sent, frame| end.ear.as_mut().map(|ear| ear.figures(sent, frame)).unwrap_or_default();
        Some((figures(&mut self.trunk, browser, frames.0), figures(&mut self.browser, trunk, frames.1)))
    }
}
