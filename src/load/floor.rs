//! The floor: what a call costs at least. A bare loop of epoll, UDP sockets and libopus with the gateway's settings, against
//! which the gateway is measured in the same run.
//!
//! ```text
//!  port 2k   ── Opus  ─► decoded at 8 kHz ─► µ-law ─► port 2k+1
//!            ◄─ Opus  ── encoded, 20 ms   ◄─ µ-law ──
//! ```
//!
//! A port sends to whoever it heard last. We do no SRTP, no RTCP, no gap logic and no statistics, because the floor is what
//! remains without them (RFC 3550 5.1 for the header, RFC 7587 for the clock of Opus).

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use crate::codec::g711;
use crate::codec::opus::{Decoder, Encoder, MAX_SAMPLES};
use crate::plan::{OpusParams, Pt};
use crate::rtp::{HEADER_LEN, RtpHeader, RtpView, write_header};

/// How often the loop looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);
/// Kernel buffer of a socket, bytes: as the gateway asks for a trunk port.
const BUFFER: usize = 128 * 1024;
/// Longest datagram.
const DATAGRAM: usize = 2048;
/// Payload type of Opus; that of PCMU is 0 (RFC 3551 table 4).
const OPUS: Pt = Pt(111);

/// What a floor is made for.
#[derive(Clone, Copy, Debug)]
pub struct FloorConfig {
    /// Address of the first port; further ones follow it. Port 0: any free ones.
    pub first: SocketAddr,
    /// Calls, each of two ports.
    pub calls: u16,
    /// Settings of the encoders.
    pub opus: OpusParams,
}

/// One end of a call.
struct End {
    socket: UdpSocket,
    peer: Option<SocketAddr>,
    seq: u16,
    timestamp: u32,
}

/// One call.
struct Call {
    browser: End,
    trunk: End,
    decoder: Decoder,
    encoder: Encoder,
}

/// A floor whose ports are bound.
pub struct Floor {
    poll: Poll,
    calls: Vec<Call>,
}

impl End {
    fn bind(address: SocketAddr, token: usize, poll: &Poll) -> io::Result<End> {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
        socket.set_recv_buffer_size(BUFFER)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let mut socket = UdpSocket::from_std(socket.into());
        poll.registry().register(&mut socket, Token(token), Interest::READABLE)?;
        Ok(End { socket, peer: None, seq: 0, timestamp: 0 })
    }

    /// Receives a datagram and notes whom it is from; `None`: there is none.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.socket.recv_from(buffer) {
            Ok((len, from)) => {
                self.peer = Some(from);
                Ok(Some(len))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            // An ICMP error of what was sent before.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Some(0)),
            Err(error) => Err(error),
        }
    }

    /// Puts the header before the payload and sends both, where there is a peer. What the kernel does not take is lost.
    fn send(&mut self, packet: &mut [u8], pt: Pt, ticks: u32) {
        let header = RtpHeader { pt, marker: false, seq: self.seq, timestamp: self.timestamp, ssrc: 1 };
        self.seq = self.seq.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(ticks);
        write_header(packet, &header);
        if let Some(peer) = self.peer {
            let _ = self.socket.send_to(packet, peer);
        }
    }
}

impl Call {
    /// Carries everything that waits at one of the two ports.
    fn carry(&mut self, from_trunk: bool, room: &mut Room) -> io::Result<()> {
        let (from, to) =
            if from_trunk { (&mut self.trunk, &mut self.browser) } else { (&mut self.browser, &mut self.trunk) };
        while let Some(len) = from.receive(&mut room.datagram)? {
            let Ok(view) = RtpView::parse(&room.datagram[..len]) else { continue };
            if from_trunk {
                let samples = g711::decode_ulaw(view.payload(), &mut room.pcm);
                let Ok(len) = self.encoder.encode(&room.pcm[..samples], &mut room.out[HEADER_LEN..]) else { continue };
                to.send(&mut room.out[..HEADER_LEN + len], OPUS, samples as u32 * 6);
            } else {
                let Ok(samples) = self.decoder.decode(view.payload(), &mut room.pcm) else { continue };
                let len = g711::encode_ulaw(&room.pcm[..samples], &mut room.out[HEADER_LEN..]);
                to.send(&mut room.out[..HEADER_LEN + len], Pt(0), samples as u32);
            }
        }
        Ok(())
    }
}

/// What one packet at a time is worked in.
struct Room {
    datagram: [u8; DATAGRAM],
    out: [u8; DATAGRAM],
    pcm: [i16; MAX_SAMPLES],
}

impl Floor {
    /// Binds all ports. Fails where one cannot be bound or libopus refuses the settings.
    pub fn bind(config: &FloorConfig) -> io::Result<Floor> {
        let poll = Poll::new()?;
        let mut calls = Vec::with_capacity(usize::from(config.calls));
        for k in 0..config.calls {
            let port = |half: u16| match config.first.port() {
                0 => Ok(0),
                first => first.checked_add(2 * k + half).ok_or(io::ErrorKind::AddrNotAvailable),
            };
            let at = |half| Ok::<_, io::Error>(SocketAddr::new(config.first.ip(), port(half)?));
            calls.push(Call {
                browser: End::bind(at(0)?, 2 * usize::from(k), &poll)?,
                trunk: End::bind(at(1)?, 2 * usize::from(k) + 1, &poll)?,
                decoder: Decoder::new().map_err(io::Error::other)?,
                encoder: Encoder::new(config.opus).map_err(io::Error::other)?,
            });
        }
        Ok(Floor { poll, calls })
    }

    /// Returns the addresses of each call: where Opus is taken, and where µ-law.
    pub fn addresses(&self) -> io::Result<Vec<(SocketAddr, SocketAddr)>> {
        self.calls.iter().map(|c| Ok((c.browser.socket.local_addr()?, c.trunk.socket.local_addr()?))).collect()
    }

    /// Carries packets until `stop` is set, which is seen within 100 ms.
    pub fn run(&mut self, stop: &AtomicBool) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut room = Room { datagram: [0; DATAGRAM], out: [0; DATAGRAM], pcm: [0; MAX_SAMPLES] };
        while !stop.load(Ordering::Acquire) {
            match self.poll.poll(&mut events, Some(LOOK)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            for event in &events {
                let token = event.token().0;
                if let Some(call) = self.calls.get_mut(token / 2) {
                    call.carry(token % 2 == 1, &mut room)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_packet_of_either_codec_comes_out_of_the_other_port_as_the_other_codec() {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = FloorConfig { first: loopback, calls: 2, opus: OpusParams::default() };
        let mut floor = Floor::bind(&config).expect("ports");
        let (browser_port, trunk_port) = floor.addresses().expect("bound")[1];
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let running = std::thread::spawn(move || floor.run(&seen));
        let ends = [browser_port, trunk_port].map(|port| {
            let socket = UdpSocket::bind(loopback).expect("a port");
            socket.connect(port).expect("loopback");
            socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
            socket
        });
        let packet = |pt: u8, seq: u16, payload: &[u8]| {
            let mut packet = vec![0; HEADER_LEN];
            write_header(&mut packet, &RtpHeader { pt: Pt(pt), marker: false, seq, timestamp: 0, ssrc: 7 });
            packet.extend_from_slice(payload);
            packet
        };
        let mut coded = [0; 1275];
        let len = Encoder::new(config.opus).expect("libopus").encode(&[500; 160], &mut coded).expect("Opus");
        // Each end is heard of by its first packet: what comes before that goes nowhere.
        ends[0].send(&packet(111, 0, &coded[..len])).expect("sent");
        ends[1].send(&packet(0, 0, &[0x55; 160])).expect("sent");
        let mut heard = [0; DATAGRAM];
        let len = ends[0].recv(&mut heard).expect("Opus");
        let view = RtpView::parse(&heard[..len]).expect("RTP");
        assert_eq!(view.header().pt, OPUS);
        assert_eq!(crate::codec::opus::packet_samples(view.payload()), Some(160));
        ends[0].send(&packet(111, 1, &coded[..10])).expect("sent");
        let len = ends[1].recv(&mut heard).expect("PCMU");
        assert_eq!((RtpView::parse(&heard[..len]).expect("RTP").header().pt, len), (Pt(0), HEADER_LEN + 160));
        stop.store(true, Ordering::Release);
        running.join().expect("no panic").expect("no error");
    }
}
