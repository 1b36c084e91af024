//! Offer and answer (RFC 3264) as the gateway asks for them: one audio m-line per leg, the rest refused in place.
//!
//! A leg keeps one [`Agreed`]: the outcome of its last exchange, by which the next one stays stable (RFC 3264 8):
//! session id, payload numbers, m-line order, `a=mid`, and a version that rises only when the text changes.
//!
//! ```text
//! peer offers:  answer_browser / answer_rtp (offer, local, previous) -> Answer { sdp, remote, agreed }
//! we offer:     offer_browser / offer_rtp (local, previous) -> (sdp, OfferState)
//!               accept_browser_answer / accept_rtp_answer (state, answer) -> (remote, Agreed)
//! ```
//! A refused exchange changes nothing: the caller keeps the `Agreed` that it has.

use std::net::{IpAddr, SocketAddr};

use crate::plan::{AudioCodec, AudioPlan, DtlsRole, EventFormat, Fingerprint, IceCredentials, OpusParams, Pt};

mod browser;
mod codecs;
mod rtp;

pub use browser::{accept_browser_answer, answer_browser, offer_browser};
pub use rtp::{accept_rtp_answer, answer_rtp, offer_rtp, offered_address};

use self::codecs::{Choice, Encoding, Formats};
use super::OfferError;
use super::description::{self, Direction, Media, Session};

/// What we wish of the audio m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioWish {
    /// Codecs in order of preference; Opus with our parameters (bit rate both asked for and sent).
    pub codecs: Vec<AudioCodec>,
    /// Asks the peer for narrow-band Opus (`maxplaybackrate=8000`): set where the other leg is narrow-band.
    pub narrowband: bool,
    /// Packet length to offer for G.711, ms (10 to 60); the peer's `a=ptime` and `a=maxptime` go before it.
    pub ptime_ms: u8,
    /// The same for Opus: 10, 20, 40 or 60.
    pub opus_ptime_ms: u8,
    /// Most that we want: an answer is never wider than the offer allows (RFC 3264 6.1).
    pub direction: Direction,
    /// Comfort noise beside G.711 is asked for and taken (RFC 3389).
    pub noise: bool,
    /// Payload type of telephone-event/8000 in our offers (101 towards Genesys, 126 towards browsers).
    pub event_pt: Pt,
}

impl AudioWish {
    /// Returns the wish for a browser leg: Opus first, then G.711, 20 ms, both ways, narrow-band.
    pub fn browser(opus: OpusParams) -> AudioWish {
        AudioWish {
            codecs: vec![AudioCodec::Opus(opus), AudioCodec::Pcmu, AudioCodec::Pcma],
            narrowband: true,
            ptime_ms: 20,
            opus_ptime_ms: 20,
            direction: Direction::SendRecv,
            noise: false,
            event_pt: Pt(126),
        }
    }

    /// Returns the wish for a trunk leg: these codecs, 20 ms, both ways, events on 101.
    pub fn trunk(codecs: Vec<AudioCodec>) -> AudioWish {
        let direction = Direction::SendRecv;
        AudioWish {
            codecs,
            narrowband: true,
            ptime_ms: 20,
            opus_ptime_ms: 20,
            direction,
            noise: false,
            event_pt: Pt(101),
        }
    }

    /// Returns the packet length that is wished of a codec, ms.
    fn ptime_of(&self, encoding: Encoding) -> u8 {
        if encoding == Encoding::Opus { self.opus_ptime_ms } else { self.ptime_ms }
    }
}

/// Our side of a browser leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserLocal {
    /// Host candidates as advertised, most preferred first.
    pub candidates: Vec<SocketAddr>,
    /// Our ICE credentials; fresh ones when the browser restarts ICE ([`Agreed::is_ice_restart`]).
    pub ice: IceCredentials,
    /// Hash of our certificate.
    pub fingerprint: Fingerprint,
    /// SSRC that we send with.
    pub ssrc: u32,
    /// RTCP canonical name: letters, digits, `-`.
    pub cname: String,
    /// `o=` session id: below 2^62, the same for the life of the leg.
    pub session_id: u64,
    /// What we wish of the audio.
    pub audio: AudioWish,
}

/// Our side of a trunk leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpLocal {
    /// Our RTP address and port as advertised; RTCP is the next port.
    pub rtp: SocketAddr,
    /// `o=` session id: below 2^62, the same for the life of the leg.
    pub session_id: u64,
    /// What we wish of the audio.
    pub audio: AudioWish,
}

/// The answer to a peer's offer, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<R> {
    /// The session description to send.
    pub sdp: Vec<u8>,
    /// What the media threads need to know.
    pub remote: R,
    /// To be kept by the leg once the answer is sent.
    pub agreed: Agreed,
}

/// What a leg remembers of its last exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    /// `o=` version of our last description.
    version: u64,
    /// Our last description as if its version were 0.
    text: Vec<u8>,
    /// All m-lines in order; none is ever taken away (RFC 3264 8).
    slots: Vec<Slot>,
    /// Which of them is the audio.
    audio_slot: usize,
    /// The offered or answered bundle exists.
    bundled: bool,
    /// Every payload number that has had a meaning.
    formats: Formats,
    /// The codec in use.
    codec: Option<Encoding>,
    /// Our DTLS role.
    role: Option<DtlsRole>,
    /// The browser's credentials, by which a restart is seen.
    remote_ice: Option<IceCredentials>,
    /// What the peer sends and takes, as it wrote it last.
    theirs: Direction,
    /// What it wrote last was written by us.
    mirrored: bool,
}

/// An offer of ours that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferState {
    /// What holds once it is answered.
    offered: Agreed,
    /// The formats that were offered.
    formats: Formats,
    audio: AudioWish,
    /// Our address and session id, to know them again in a mirrored offer; trunk legs only.
    own: Option<(SocketAddr, u64)>,
}

/// One m-line, to be written again in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    kind: String,
    protocol: String,
    formats: String,
    mid: Option<String>,
}

impl OfferState {
    /// What the offer says was said before, by the description that holds: its number stays (RFC 3264 8).
    pub fn said_before(mut self, said: &Agreed) -> OfferState {
        self.offered.version = said.version;
        self.offered.text.clone_from(&said.text);
        self
    }
}

impl Agreed {
    /// Returns true where this offer of the browser restarts ICE (RFC 8839 4.4.1.1.1): the answer then needs fresh
    /// credentials in [`BrowserLocal::ice`], and the media thread an `Order::RestartIce`.
    pub fn is_ice_restart(&self, offer: &[u8]) -> bool {
        let Some(before) = &self.remote_ice else { return false };
        let Ok(session) = Session::parse(offer) else { return false };
        match find_audio(&session, Some(self), browser::PROTOCOLS) {
            Ok((_, audio)) => audio.ice().is_some_and(|ice| ice != *before),
            Err(_) => false,
        }
    }

    /// Returns the direction of the peer's last description, as the peer writes it. An address that takes no media
    /// (`c=0.0.0.0`, port 0, our own) counts as not receiving.
    pub fn peer_direction(&self) -> Direction {
        self.theirs
    }

    /// Returns true where the peer's last description was one of ours, known by its address or its `o=`.
    pub fn is_mirrored(&self) -> bool {
        self.mirrored
    }

    /// Returns the `o=` version of our last description.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Numbers our next description: the same as before where nothing else has changed (RFC 3264 8).
    fn seal(&mut self, mut lines: sdp_types::Session, previous: Option<&Agreed>) -> Vec<u8> {
        self.text = description::write(&lines);
        self.version = match previous {
            Some(before) if before.text == self.text => before.version,
            Some(before) => before.version + 1,
            None => 1,
        };
        lines.origin.sess_version = self.version;
        description::write(&lines)
    }
}

/// Finds the audio m-line to take: the one taken before, else the first that is not refused.
fn find_audio<'a>(
    session: &'a Session,
    previous: Option<&Agreed>,
    protocols: &[&str],
) -> Result<(usize, Media<'a>), OfferError> {
    let is_alive = |m: &Media| m.kind().eq_ignore_ascii_case("audio") && (m.port() != 0 || m.is_bundle_only());
    let is_ours = |m: &Media| is_alive(m) && protocols.iter().any(|p| m.protocol().eq_ignore_ascii_case(p));
    let before = previous.map(|p| p.audio_slot);
    let kept = session.media().enumerate().find(|(at, m)| Some(*at) == before && is_ours(m));
    let found = kept.or_else(|| session.media().enumerate().find(|(_, m)| is_ours(m)));
    found.ok_or(if session.media().any(|m| is_alive(&m)) { OfferError::Transport } else { OfferError::NoAudio })
}

/// Finds the audio m-line of an answer: it stands where we offered it (RFC 3264 6).
fn answered_audio<'a>(session: &'a Session, offered: &Agreed) -> Result<Media<'a>, OfferError> {
    let audio = session.media().nth(offered.audio_slot).ok_or(OfferError::NoAudio)?;
    let is_taken = audio.kind().eq_ignore_ascii_case("audio") && audio.port() != 0;
    if is_taken { Ok(audio) } else { Err(OfferError::NoAudio) }
}

/// Copies the m-lines of an offer.
fn slots(session: &Session) -> Vec<Slot> {
    session
        .media()
        .map(|m| Slot {
            kind: m.kind().to_owned(),
            protocol: m.protocol().to_owned(),
            formats: m.format_list().to_owned(),
            mid: m.mid().map(str::to_owned),
        })
        .collect()
}

/// Writes all m-lines in order: the audio, and the others refused.
fn media_lines(agreed: &Agreed, audio: sdp_types::Media) -> Vec<sdp_types::Media> {
    let mut lines: Vec<sdp_types::Media> = agreed
        .slots
        .iter()
        .map(|slot| {
            let mut refused = media_line(slot, 0, slot.formats.clone());
            refused.attributes.extend(slot.mid.iter().map(|mid| sdp_types::Attribute::with_value("mid", mid)));
            refused.attributes.push(sdp_types::Attribute::new(Direction::Inactive.token()));
            refused
        })
        .collect();
    match lines.get_mut(agreed.audio_slot) {
        Some(line) => *line = audio,
        None => lines.push(audio),
    }
    lines
}

fn media_line(slot: &Slot, port: u16, formats: String) -> sdp_types::Media {
    sdp_types::Media {
        media: slot.kind.clone(),
        port,
        num_ports: None,
        proto: slot.protocol.clone(),
        fmt: formats,
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}

/// Begins a description of ours, with `c=` for all m-lines.
fn session_lines(session_id: u64, address: IpAddr) -> sdp_types::Session {
    let mut lines = sdp_types::Session::new(sdp_types::Origin::with_ip_addr(session_id, 0, address), "-");
    lines.connection = Some(sdp_types::Connection::from_ip_addr(address));
    lines
}

/// Returns the numbers of formats as they stand in an m-line.
fn numbers(formats: &[(Pt, Encoding)]) -> String {
    formats.iter().map(|(pt, _)| pt.0.to_string()).collect::<Vec<_>>().join(" ")
}

/// Returns what an answer of ours lists: the codec, its events and its comfort noise.
fn chosen_formats(choice: &Choice) -> Formats {
    let events = choice.event.iter().map(|e| (e.pt, Encoding::Event(e.clock_hz)));
    std::iter::once((choice.pt, Encoding::of(&choice.codec)))
        .chain(events)
        .chain(choice.noise.map(|pt| (pt, Encoding::Noise)))
        .collect()
}

/// Works out who sends; `takes`: the peer wants to receive.
fn plan(choice: &Choice, ours: Direction, theirs: Direction, takes: bool) -> AudioPlan {
    AudioPlan {
        codec: choice.codec,
        send_pt: choice.pt,
        recv_pt: choice.pt,
        send_event: choice.event,
        recv_events: [choice.event, None],
        recv_noise: choice.noise,
        ptime_ms: choice.ptime_ms,
        send: ours.sends() && theirs.receives() && takes,
        recv: ours.receives() && theirs.sends(),
    }
}

/// Works out the plan of an answered offer: we expect the numbers of our offer, and send those of the answer.
fn answered_plan(state: &OfferState, audio: &Media, muxed: bool, takes: bool) -> Result<AudioPlan, OfferError> {
    let formats = codecs::read_formats(audio, muxed);
    let mut choice = codecs::take(audio, &formats, &state.audio)?;
    let ours = |encoding| state.formats.iter().find(|(_, e)| *e == encoding).map(|(pt, _)| *pt);
    let kept = |clock_hz: u32| {
        let in_answer = formats.iter().any(|(_, e)| *e == Encoding::Event(clock_hz));
        Some(EventFormat { pt: ours(Encoding::Event(clock_hz)).filter(|_| in_answer)?, clock_hz })
    };
    let first = choice.event.and_then(|e| kept(e.clock_hz));
    choice.event = choice.event.filter(|_| first.is_some());
    let other = [48_000, 8_000].into_iter().filter_map(kept).find(|e| Some(*e) != first);
    let recv_events = [first, other];
    let recv_pt = ours(Encoding::of(&choice.codec)).ok_or(OfferError::NoCommonCodec)?;
    choice.noise = choice.noise.and(ours(Encoding::Noise));
    let plan = plan(&choice, state.audio.direction, audio.direction(), takes);
    Ok(AudioPlan { recv_pt, recv_events, ..plan })
}

#[cfg(test)]
mod tests;
