//! One handshake: from the first flight to keys whose owner has been checked.

use std::collections::VecDeque;
use std::time::Instant;

use dimpl::{Dtls, Error, Output, ProtocolVersion, SrtpProfile};

use super::certificate::{Certificate, MTU, fingerprint};
use crate::plan::{DtlsFailure, DtlsRole, Fingerprint};
use crate::webrtc::srtp::{Inbound, Outbound, Profile, Side, session};

/// Flights that wait to be sent; dimpl's own queue holds ten packets.
const MAX_WAITING: usize = 32;
/// Largest certificate or record that a peer may show.
const MAX_OUTPUT: usize = 16 * 1024;

/// How far the handshake has come.
pub enum Progress {
    /// Nothing new.
    Going,
    /// Done, and the peer is the one of the SDP: the keys.
    Done(Box<(Inbound, Outbound)>),
    /// Over and failed. [`DtlsFailure::Handshake`] may be tried anew: anybody can forge a plain record.
    Failed(DtlsFailure),
    /// The handshake's time is up.
    TimedOut,
}

/// What dimpl has told.
#[derive(Debug, Default)]
struct Told {
    connected: bool,
    peer: Option<Fingerprint>,
    profile: Option<Profile>,
    material: Vec<u8>,
}

/// A handshake of one leg, and its memory afterwards: a peer that repeats its last flight gets ours again.
#[derive(Debug)]
pub struct Handshake {
    dtls: Dtls,
    role: DtlsRole,
    told: Told,
    done: bool,
    waiting: VecDeque<Vec<u8>>,
    timeout: Option<Instant>,
    scratch: Vec<u8>,
}

/// Tells whether a datagram can begin a handshake with a server: a plain record with (a fragment of) a ClientHello.
pub fn starts_handshake(datagram: &[u8]) -> bool {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    // Content type, version, epoch 0, sequence number, length; then the handshake message's type.
    matches!(datagram, [HANDSHAKE, 0xfe, _, 0, 0, _, _, _, _, _, _, _, _, CLIENT_HELLO, ..])
}

/// Tells whether a datagram holds an alert that nobody has signed. Such an alert is not believed: whoever can forge the
/// browser's address could end a handshake with it. A peer that means it falls silent, which is noticed as well.
pub fn has_plain_alert(mut datagram: &[u8]) -> bool {
    const ALERT: u8 = 21;
    while let [kind @ 20..=26, 0xfe, _, epoch @ ..] = datagram {
        let (Some([0, 0]), Some([high, low])) = (epoch.first_chunk::<2>(), datagram.get(11..13)) else { return false };
        if *kind == ALERT {
            return true;
        }
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        datagram = datagram.get(13 + len..).unwrap_or_default();
    }
    false
}

impl Handshake {
    /// Begins; a client's first flight is there to be sent at once.
    pub fn new(certificate: &Certificate, role: DtlsRole, now: Instant) -> Self {
        Handshake {
            dtls: certificate.start(role, now),
            role,
            told: Told::default(),
            done: false,
            waiting: VecDeque::new(),
            timeout: Some(now),
            scratch: vec![0; 2 * MTU],
        }
    }

    /// Works on a datagram. `remote` is the fingerprint of the SDP, once it is known.
    pub fn handle_packet(&mut self, datagram: &[u8], remote: Option<Fingerprint>, now: Instant) -> Progress {
        let worked = self.dtls.handle_timeout(now).and_then(|()| self.dtls.handle_packet(datagram));
        self.after(worked, remote)
    }

    /// Retransmits or gives up, where that is due.
    pub fn handle_timeout(&mut self, remote: Option<Fingerprint>, now: Instant) -> Progress {
        let worked = self.dtls.handle_timeout(now);
        self.after(worked, remote)
    }

    fn after(&mut self, worked: Result<(), Error>, remote: Option<Fingerprint>) -> Progress {
        let drained = self.drain();
        match worked {
            Err(Error::Timeout(_)) => Progress::TimedOut,
            Err(_) => Progress::Failed(DtlsFailure::Handshake),
            Ok(()) if !drained => Progress::Failed(DtlsFailure::Handshake),
            Ok(()) => self.check(remote),
        }
    }

    /// Hands out the keys, once the peer has shown the certificate of the SDP and proven to own it.
    pub fn check(&mut self, remote: Option<Fingerprint>) -> Progress {
        let (Some(remote), false) = (remote, self.done) else { return Progress::Going };
        if self.told.peer.is_some_and(|peer| peer != remote) {
            return Progress::Failed(DtlsFailure::Fingerprint);
        }
        if !self.told.connected {
            return Progress::Going;
        }
        if self.told.peer.is_none() {
            return Progress::Failed(DtlsFailure::Fingerprint);
        }
        let Some(profile) = self.told.profile else { return Progress::Failed(DtlsFailure::NoProfile) };
        let side = if self.role == DtlsRole::Server { Side::Server } else { Side::Client };
        let material = std::mem::take(&mut self.told.material);
        match session(profile, &material, side) {
            Ok(directions) => {
                self.done = true;
                Progress::Done(Box::new(directions))
            }
            Err(_) => Progress::Failed(DtlsFailure::NoProfile),
        }
    }

    /// Takes everything out of dimpl, down to its time-out; false where it wants more than a peer may have.
    fn drain(&mut self) -> bool {
        loop {
            let room = self.scratch.len();
            match self.dtls.poll_output(&mut self.scratch) {
                Output::Packet(packet) if self.waiting.len() < MAX_WAITING => {
                    self.waiting.push_back(packet.to_vec());
                }
                // Lost, as on the network: a retransmission makes up for it.
                Output::Packet(_) => {}
                Output::BufferTooSmall { needed } if needed <= MAX_OUTPUT && needed > room => {
                    self.scratch.resize(needed, 0);
                }
                Output::BufferTooSmall { .. } => return false,
                Output::Timeout(at) => {
                    self.timeout = Some(at);
                    return true;
                }
                Output::Connected => self.told.connected = true,
                Output::PeerCert(der) => self.told.peer = Some(fingerprint(der)),
                Output::KeyingMaterial(material, profile) => {
                    self.told.profile = known_profile(profile);
                    self.told.material = material.to_vec();
                }
                // Nobody speaks data here, and a close_notify is no hang-up.
                Output::ApplicationData(_) | Output::CloseNotify => {}
                _ => {}
            }
        }
    }

    /// Writes the next packet to send into `buf`; returns its length.
    pub fn poll_packet(&mut self, buf: &mut [u8]) -> Option<usize> {
        let packet = self.waiting.pop_front()?;
        // A buffer too small for the MTU is a caller's mistake; the flight is repeated, the call is not harmed.
        buf.get_mut(..packet.len())?.copy_from_slice(&packet);
        Some(packet.len())
    }

    /// Returns when [`Handshake::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timeout
    }

    /// The keys have been handed out.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Tells whether an authentic media packet proves that the peer has our last flight: it does where that flight
    /// is what the peer takes its keys from.
    pub fn ends_with_media(&self) -> bool {
        self.done && self.role == DtlsRole::Server && self.dtls.protocol_version() == Some(ProtocolVersion::DTLS1_2)
    }
}

fn known_profile(profile: SrtpProfile) -> Option<Profile> {
    match profile {
        SrtpProfile::AEAD_AES_128_GCM => Some(Profile::Aes128Gcm),
        SrtpProfile::AEAD_AES_256_GCM => Some(Profile::Aes256Gcm),
        SrtpProfile::AES128_CM_SHA1_80 => Some(Profile::AesCm128HmacSha1_80),
        _ => None,
    }
}
