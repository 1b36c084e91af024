//! One end of a call: its socket, how its packets are sealed, what it says and hears.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::ear::Ear;
use super::order::{Peer, Side, Speech};
use crate::load::browser::ice;
use crate::load::delay::SentTimes;
use crate::load::witness::{Line, Outgoing};
use crate::plan::{DtlsRole, Fingerprint};
use crate::rtp::rtcp::{Report, ReportBlock, SenderInfo, write_compound};
use crate::rtp::{HEADER_LEN, RtpHeader, write_header};
use crate::webrtc::srtp::{Inbound, Outbound};

/// Room for an SRTP or SRTCP tag.
const TAG: usize = 20;
/// Largest packet that is sent.
pub const PACKET: usize = 2048;

/// How packets go.
#[derive(Debug)]
pub enum Link {
    /// As they are.
    Plain {
        /// Where RTP goes, once that is known.
        rtp: Option<SocketAddr>,
        /// Where RTCP goes.
        rtcp: Option<SocketAddr>,
    },
    /// Sealed, where ICE says.
    Secure(Box<Secure>),
    /// By a witness.
    Witness {
        /// The way to it.
        line: Line,
        /// It is connected.
        joined: bool,
    },
}

/// ICE and keys.
#[derive(Debug)]
pub struct Secure {
    /// The agent.
    pub ice: ice::Agent,
    /// When the agent's next check is entered among the deadlines.
    pub armed: Option<Instant>,
    /// The keys, once hands are shaken.
    pub keys: Option<Box<(Inbound, Outbound)>>,
    /// Whom to shake hands with.
    pub peer: Option<(Fingerprint, DtlsRole)>,
    /// The background has been told to.
    pub begun: bool,
    /// Loss of consent was told.
    pub lost: bool,
}

/// One end.
#[derive(Debug)]
pub struct End {
    /// Its socket.
    pub socket: Arc<UdpSocket>,
    /// How its packets go.
    pub link: Link,
    /// What it says, once the peer is known.
    pub speech: Option<Speech>,
    /// What it hears.
    pub ear: Option<Ear>,
    /// When its frames were sent.
    pub sent: SentTimes,
    /// When the next one is due; `None`: it is silent.
    pub due: Option<Instant>,
    /// Packets sent during the hold.
    pub counted: u64,
    header: RtpHeader,
    octets: u32,
}

impl End {
    /// Makes an end that knows nobody yet.
    pub fn new(socket: UdpSocket, link: Link, ssrc: u32, seed: u64) -> End {
        let header = RtpHeader {
            pt: crate::plan::Pt(0),
            marker: true,
            seq: (seed >> 48) as u16 & 0x7fff,
            timestamp: seed as u32,
            ssrc,
        };
        End {
            socket: Arc::new(socket),
            link,
            speech: None,
            ear: None,
            sent: SentTimes::new(20),
            due: None,
            counted: 0,
            header,
            octets: 0,
        }
    }

    /// Takes what is known of the peer.
    pub fn meet(&mut self, side: Side, peer: &Peer, speech: Speech, measuring: bool, stagger: u64, now: Instant) {
        match (&mut self.link, peer) {
            (Link::Plain { rtp, rtcp }, Peer::Plain { rtp: to, rtcp: control }) => {
                *rtp = Some(*to);
                *rtcp = *control;
            }
            (Link::Secure(secure), Peer::Secure { ice, fingerprint, role, offered }) => {
                secure.ice.set_peer(ice, *offered, now);
                secure.peer = Some((*fingerprint, *role));
            }
            (Link::Witness { .. }, Peer::Witnessed) => {}
            _ => return,
        }
        if self.sent.count() == 0 {
            self.sent = SentTimes::new(speech.voice.coding().frame_ms());
        }
        self.header.pt = speech.pt;
        if self.ear.is_none() {
            self.ear = Some(Ear::new(side, speech.codec, measuring, stagger));
        }
        self.speech = Some(speech);
    }

    /// Where media goes; `None`: nowhere yet, or a witness knows.
    #[inline]
    fn target(&self) -> Option<SocketAddr> {
        match &self.link {
            Link::Plain { rtp, .. } => *rtp,
            Link::Witness { .. } => None,
            Link::Secure(secure) => secure.ice.selected().filter(|_| secure.keys.is_some()),
        }
    }

    /// Tells whether it could speak.
    pub fn is_ready(&self) -> bool {
        let joined = matches!(self.link, Link::Witness { joined: true, .. });
        self.speech.is_some() && (joined || self.target().is_some())
    }

    /// Length of a packet.
    pub fn frame(&self) -> Duration {
        Duration::from_millis(self.speech.as_ref().map_or(20, |s| u64::from(s.voice.coding().frame_ms())))
    }

    /// Sends the next packet; false where it did not go.
    #[inline]
    pub fn speak(&mut self, now_us: u64, measuring: bool, scratch: &mut [u8; PACKET]) -> bool {
        let Some(speech) = &self.speech else { return false };
        let payload = speech.voice.packet(self.sent.count());
        if let Link::Witness { line, joined: true } = &self.link {
            let packet = Outgoing { header: self.header, payload: Bytes::copy_from_slice(payload) };
            let is_sent = line.send(packet);
            let len = payload.len();
            self.advance(len, now_us);
            self.counted += u64::from(is_sent && measuring);
            return is_sent;
        }
        let Some(to) = self.target() else { return false };
        let mut len = HEADER_LEN + payload.len();
        if len + TAG > PACKET {
            return false;
        }
        write_header(scratch, &self.header);
        scratch[HEADER_LEN..len].copy_from_slice(payload);
        self.advance(len - HEADER_LEN, now_us);
        if let Link::Secure(secure) = &mut self.link {
            let Some(keys) = &mut secure.keys else { return false };
            let Ok(sealed) = keys.1.protect_rtp(scratch, len) else { return false };
            len = sealed;
        }
        let is_sent = self.socket.send_to(&scratch[..len], to).is_ok();
        self.counted += u64::from(is_sent && measuring);
        is_sent
    }

    /// Goes on to the next packet behind one of this many bytes.
    #[inline]
    fn advance(&mut self, bytes: usize, now_us: u64) {
        let Some(coding) = self.speech.as_ref().map(|speech| speech.voice.coding()) else { return };
        self.octets = self.octets.wrapping_add(bytes as u32);
        self.header.marker = false;
        self.header.seq = self.header.seq.wrapping_add(1);
        let ticks = coding.clock_hz() / 1000 * u32::from(coding.frame_ms());
        self.header.timestamp = self.header.timestamp.wrapping_add(ticks);
        self.sent.note(now_us);
    }

    /// Sends our sender report (RFC 3550 6.4.1); `control` is the socket of RTCP where that has one of its own.
    pub fn report(&mut self, control: Option<&UdpSocket>, ntp: u64, now: Instant, scratch: &mut [u8; PACKET]) {
        let to = match &self.link {
            Link::Plain { rtcp, .. } => *rtcp,
            // A witness reports by itself.
            Link::Witness { .. } => None,
            Link::Secure(_) => self.target(),
        };
        let Some(to) = to.filter(|_| self.sent.count() > 0) else { return };
        let mut blocks: [Option<ReportBlock>; 1] = [None];
        blocks[0] = self.ear.as_mut().and_then(Ear::stats).map(|stats| stats.report(now));
        let blocks: Vec<ReportBlock> = blocks.into_iter().flatten().collect();
        let sender = SenderInfo {
            ntp,
            rtp_timestamp: self.header.timestamp,
            packets: self.sent.count() as u32,
            octets: self.octets,
        };
        let cname = format!("load{:08x}", self.header.ssrc);
        let report =
            Report { ssrc: self.header.ssrc, sender: Some(sender), blocks: &blocks, cname: &cname, bye: false };
        let Some(mut len) = write_compound(scratch, &report) else { return };
        if let Link::Secure(secure) = &mut self.link {
            let Some(Ok(sealed)) = secure.keys.as_mut().map(|keys| keys.1.protect_rtcp(scratch, len)) else { return };
            len = sealed;
        }
        // A report that is lost is made up for by the next one.
        let _: io::Result<usize> = control.unwrap_or(&self.socket).send_to(&scratch[..len], to);
    }

    /// Opens what came, in place; returns the length of the plain RTP packet.
    #[inline]
    pub fn open(&mut self, packet: &mut [u8]) -> Option<usize> {
        match &mut self.link {
            Link::Plain { .. } => Some(packet.len()),
            Link::Witness { .. } => None,
            Link::Secure(secure) => secure.keys.as_mut()?.0.unprotect_rtp(packet).ok(),
        }
    }
}
