//! How a call begins: its sockets, what is drawn for it, what its ends say.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Instant;

use rand::RngExt;

use super::call::{Call, Ends, Stage};
use super::conductor::Conductor;
use super::order::{Order, Peer, SeatId, SeatPlan, Side, Speech};
use crate::load::LoadError;
use crate::load::browser::sdp::BrowserSide;
use crate::load::outcome::{CallDirection, CallOutcome};
use crate::load::plan::{self, Direction};
use crate::load::trunk::port_pair;
use crate::load::voice::PILOTS;
use crate::plan::{AudioCodec, IceCredentials, OpusParams, Pt};
use crate::sdp::offer_answer::{AudioWish, RtpLocal};

impl Conductor<'_> {
    /// Binds a call's sockets and draws what is drawn for it.
    pub(super) fn begin(&mut self, number: usize, now: Instant) -> Result<Call, LoadError> {
        let seat = SeatId(self.next_seat);
        self.next_seat += 1;
        let direction = match (self.plan.direction, number % 2) {
            (Direction::In, _) | (Direction::Both, 0) => CallDirection::In,
            _ => CallDirection::Out,
        };
        let speaks = (number as u32) < self.plan.speaking();
        let (ssrc, seed): (u32, u64) = (self.rng.random(), self.rng.random());
        let frame_ms = self.plan.browsers.frame_ms;
        let (ip, trunk_ip) = match (&self.plan.ends, &self.sip) {
            (plan::Ends::Floor { first }, _) => {
                let ip = toward(*first)?;
                (ip, ip)
            }
            (plan::Ends::Rtpengine { ng }, _) => {
                let ip = toward(*ng)?;
                (ip, ip)
            }
            (plan::Ends::Sip, sip) => {
                let browser = sip.as_ref().and_then(|sip| sip.phones.get(number)).map(|phone| phone.local);
                let trunk = self.plan.trunk.bind.ip();
                let trunk = if trunk.is_unspecified() { toward(self.plan.trunk.target)? } else { trunk };
                (browser.unwrap_or(trunk), trunk)
            }
        };
        let at = SocketAddr::new(ip, 0);
        let browser = UdpSocket::bind(at).map_err(|source| LoadError::Bind { address: at, source })?;
        let address = browser.local_addr()?;
        let (rtp, rtcp) = port_pair(trunk_ip)?;
        let is_secure = !matches!(self.plan.ends, plan::Ends::Floor { .. });
        let is_witness = self.sip.is_some() && (number as u32) < self.plan.calls.witnesses;
        let (witness, line) = is_witness.then(|| self.witnesses.call(seat, ip, ssrc, &self.threads.media)).unzip();
        let ice = (is_secure && !is_witness).then(|| self.credentials());
        let side = ice.clone().map(|ice| BrowserSide {
            address,
            ice,
            fingerprint: self.threads.certificate.fingerprint(),
            ssrc,
            session_id: seed >> 2,
            frame_ms,
        });
        let trunk = RtpLocal {
            rtp: rtp.local_addr()?,
            session_id: seed.rotate_left(32) >> 2,
            audio: AudioWish::trunk(vec![AudioCodec::Pcmu, AudioCodec::Pcma]),
        };
        let plan =
            SeatPlan { browser, witness: line, ice, rtp, rtcp: Some(rtcp), ssrc, ahead: self.ahead, seed, speaks };
        self.threads.media.give(Order::Open(seat, Box::new(plan)));
        self.seats.insert(seat, number);
        let outcome = CallOutcome {
            number: number as u32,
            started_us: self.us(now),
            direction,
            witness: is_witness,
            ..CallOutcome::default()
        };
        Ok(Call {
            seat,
            stage: Stage::Calling,
            since: now,
            invited: now,
            speaks,
            sessions: [None, None],
            met: [false, false],
            answer_at: None,
            ends: Ends {
                browser: side,
                witness,
                described: None,
                peer: None,
                trunk: Some(trunk),
                offer: None,
                answer: None,
                agreed: None,
            },
            connected: !is_secure,
            heard: false,
            told: false,
            outcome,
        })
    }

    fn credentials(&mut self) -> IceCredentials {
        let (ufrag, first, second): (u32, u64, u64) = (self.rng.random(), self.rng.random(), self.rng.random());
        IceCredentials { ufrag: format!("{ufrag:08x}"), pwd: format!("{first:016x}{second:016x}") }
    }

    /// Makes a call: an INVITE, or the floor's two ends at once.
    pub(super) fn dial(&mut self, number: usize, now: Instant) -> Result<(), LoadError> {
        let first = match self.plan.ends {
            plan::Ends::Floor { first } => first,
            plan::Ends::Sip => {
                return if self.asks_to_be_described(number) { Ok(()) } else { self.invite(number, now) };
            }
            plan::Ends::Rtpengine { .. } => {
                self.bring_together(number, now);
                return Ok(());
            }
        };
        let port = |half: u32| {
            let port = u32::from(first.port()) + 2 * number as u32 + half;
            u16::try_from(port)
                .map(|port| SocketAddr::new(first.ip(), port))
                .map_err(|_| LoadError::Bind { address: first, source: std::io::ErrorKind::AddrNotAvailable.into() })
        };
        let peer = |rtp| Peer::Plain { rtp, rtcp: None };
        let opus = AudioCodec::Opus(OpusParams::default());
        self.meet(number, Side::Browser, peer(port(0)?), Pt(111), opus)?;
        self.meet(number, Side::Trunk, peer(port(1)?), Pt(0), AudioCodec::Pcmu)?;
        let call = &mut self.calls[number];
        call.enter(Stage::Up, now);
        self.threads.media.give(Order::Talk(call.seat));
        Ok(())
    }

    /// Tells the media thread whom an end speaks with.
    pub(super) fn meet(
        &mut self,
        number: usize,
        side: Side,
        peer: Peer,
        pt: Pt,
        codec: AudioCodec,
    ) -> Result<(), LoadError> {
        // The two ends of a call have two pilots, and no two calls that begin together have the same.
        let pilot = (self.plan.seed as usize % PILOTS + 2 * number + side as usize) % PILOTS;
        let voice = match (side, codec) {
            (Side::Browser, _) => self.voices.browsers.voice(pilot),
            (Side::Trunk, AudioCodec::Pcma) => self.voices.pcma.voice(pilot),
            (Side::Trunk, _) => self.voices.pcmu.voice(pilot),
        };
        let voice = voice.map_err(|error| LoadError::Driver(std::io::Error::other(error)))?;
        let call = &mut self.calls[number];
        call.met[side as usize] = true;
        self.threads.media.give(Order::Meet(call.seat, side, Box::new(peer), Speech { pt, codec, voice }));
        Ok(())
    }
}

/// Our address towards a target.
fn toward(target: SocketAddr) -> Result<IpAddr, LoadError> {
    let any: SocketAddr = if target.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(target)?;
    Ok(socket.local_addr()?.ip())
}
