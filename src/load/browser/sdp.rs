//! A browser's descriptions, as Chromium writes them for one audio track, and what it reads of the peer's (RFC 9429).

use std::net::SocketAddr;

use super::ice::IcePeer;
use crate::plan::{DtlsRole, Fingerprint, IceCredentials, Pt};
use crate::sdp::SdpError;
use crate::sdp::description::{Session, Setup};

/// Our side.
#[derive(Clone, Debug)]
pub struct BrowserSide {
    /// Our only candidate.
    pub address: SocketAddr,
    /// Our credentials.
    pub ice: IceCredentials,
    /// Hash of our certificate.
    pub fingerprint: Fingerprint,
    /// SSRC that we send with.
    pub ssrc: u32,
    /// `o=` session id.
    pub session_id: u64,
    /// Length of our packets, ms.
    pub frame_ms: u8,
}

/// What the peer's description comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserPeer {
    /// Its ICE side.
    pub ice: IcePeer,
    /// The certificate that it will show.
    pub fingerprint: Fingerprint,
    /// Our role in the handshake.
    pub role: DtlsRole,
    /// Payload type of Opus, as the peer wants it.
    pub opus: Pt,
    /// `a=mid`.
    mid: String,
    /// Its formats: Opus and the events, for an answer.
    events: Option<Pt>,
}

/// Why a gateway's description is of no use to a browser.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// It cannot be read.
    #[error(transparent)]
    Malformed(#[from] SdpError),
    /// Something that a browser needs is not there.
    #[error("no {0} in the session description")]
    Missing(&'static str),
}

/// Payload types of ours, Chromium's.
const OPUS: Pt = Pt(111);
const EVENTS: Pt = Pt(110);

impl BrowserSide {
    /// Writes an offer.
    pub fn offer(&self) -> String {
        self.describe("actpass", "0", OPUS, Some(EVENTS))
    }

    /// Writes the answer to what was read.
    pub fn answer(&self, peer: &BrowserPeer) -> String {
        let setup = if peer.role == DtlsRole::Client { "active" } else { "passive" };
        self.describe(setup, &peer.mid, peer.opus, peer.events)
    }

    fn describe(&self, setup: &str, mid: &str, opus: Pt, events: Option<Pt>) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let hash = self.fingerprint.0.map(|byte| format!("{byte:02X}")).join(":");
        let (opus, ssrc, frame_ms) = (opus.0, self.ssrc, self.frame_ms);
        let formats = events.map_or(String::new(), |events| format!(" {}", events.0));
        let event_lines =
            events.map_or(String::new(), |events| format!("a=rtpmap:{} telephone-event/48000\r\n", events.0));
        format!(
            "v=0\r\no=- {id} 2 IN {family} {ip}\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mid}\r\na=msid-semantic: WMS load\r\n\
             m=audio {port} UDP/TLS/RTP/SAVPF {opus}{formats}\r\nc=IN {family} {ip}\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
             a=candidate:1 1 udp 2130706431 {ip} {port} typ host generation 0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n\
             a=ice-options:trickle\r\na=fingerprint:sha-256 {hash}\r\na=setup:{setup}\r\na=mid:{mid}\r\na=sendrecv\r\n\
             a=msid:load audio\r\na=rtcp-mux\r\na=rtpmap:{opus} opus/48000/2\r\na=fmtp:{opus} minptime=10;useinbandfec=1\r\n\
             {event_lines}a=ptime:{frame_ms}\r\na=ssrc:{ssrc} cname:load{ssrc:08x}\r\na=ssrc:{ssrc} msid:load audio\r\n",
            id = self.session_id,
            ufrag = self.ice.ufrag,
            pwd = self.ice.pwd,
        )
    }
}

/// Reads the gateway's offer (`offered` false) or its answer to ours.
///
/// # Errors
/// What a browser misses in it.
pub fn read(description: &[u8], offered: bool) -> Result<BrowserPeer, PeerError> {
    let session = Session::parse(description)?;
    let is_audio = |m: &crate::sdp::description::Media<'_>| m.kind().eq_ignore_ascii_case("audio") && m.port() != 0;
    let audio = session.media().find(is_audio).ok_or(PeerError::Missing("audio"))?;
    let credentials = audio.ice().ok_or(PeerError::Missing("ICE credentials"))?;
    let fingerprint = audio.sha256_fingerprint().ok_or(PeerError::Missing("SHA-256 fingerprint"))?;
    if !audio.has_rtcp_mux() {
        return Err(PeerError::Missing("rtcp-mux"));
    }
    let named = |name: &str| {
        audio.payload_types().find(|pt| audio.rtpmap(*pt).is_some_and(|map| map.name.eq_ignore_ascii_case(name)))
    };
    let opus = named("opus").map(Pt).ok_or(PeerError::Missing("Opus"))?;
    let is_wide =
        |pt: &u8| audio.rtpmap(*pt).is_some_and(|map| map.name == "telephone-event" && map.clock_hz == 48_000);
    let role = match audio.setup() {
        Some(Setup::Active) => DtlsRole::Server,
        Some(Setup::Passive) => DtlsRole::Client,
        // An answer must choose (RFC 8842 5.3); one that does not leaves it to us, as an offer does.
        None | Some(Setup::ActPass) => DtlsRole::Client,
        Some(Setup::Other) => return Err(PeerError::Missing("DTLS role")),
    };
    let mut candidates: Vec<SocketAddr> = audio.udp_candidates().collect();
    if candidates.is_empty() && !offered {
        // An offer may trickle what we do not wait for; its `c=` is where it is.
        candidates.extend(audio.rtp().filter(|at| !at.ip().is_unspecified() && at.port() != 9));
    }
    let ice = IcePeer { credentials, candidates, is_lite: session.is_ice_lite() };
    let mid = audio.mid().unwrap_or("0").to_owned();
    let events = audio.payload_types().find(is_wide).map(Pt);
    Ok(BrowserPeer { ice, fingerprint, role, opus, mid, events })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::OpusParams;
    use crate::sdp::offer_answer::{self, AudioWish, BrowserLocal};

    fn gateway() -> BrowserLocal {
        BrowserLocal {
            candidates: vec![([192, 0, 2, 1], 10_000).into(), ([198, 51, 100, 1], 10_000).into()],
            ice: IceCredentials { ufrag: "gateway".into(), pwd: "a-password-of-32-characters-yes-".into() },
            fingerprint: Fingerprint([7; 32]),
            ssrc: 1,
            cname: "gateway".into(),
            session_id: 4,
            audio: AudioWish::browser(OpusParams::default()),
        }
    }

    fn browser() -> BrowserSide {
        BrowserSide {
            address: ([192, 0, 2, 9], 5_000).into(),
            ice: IceCredentials { ufrag: "browser".into(), pwd: "another-password-of-32-character".into() },
            fingerprint: Fingerprint([8; 32]),
            ssrc: 77,
            session_id: 5,
            frame_ms: 20,
        }
    }

    #[test]
    fn an_offer_of_ours_is_answered_by_a_gateway_and_the_answer_is_read() {
        let offer = browser().offer();
        let answer = offer_answer::answer_browser(offer.as_bytes(), &gateway(), None).expect("an answer");
        assert_eq!(answer.remote.ice, browser().ice);
        assert_eq!(answer.remote.fingerprint, Fingerprint([8; 32]));
        let read = read(&answer.sdp, true).expect("an answer");
        assert_eq!(read.ice.candidates, gateway().candidates);
        assert!(read.ice.is_lite);
        assert_eq!((read.role, read.opus, read.fingerprint), (DtlsRole::Client, Pt(111), Fingerprint([7; 32])));
    }

    #[test]
    fn a_gateways_offer_is_answered_as_its_reader_expects() {
        let (offer, state) = offer_answer::offer_browser(&gateway(), None);
        let peer = read(&offer, false).expect("an offer");
        let answer = browser().answer(&peer);
        let (remote, _) = offer_answer::accept_browser_answer(&state, answer.as_bytes()).expect("an answer");
        assert_eq!(remote.role, DtlsRole::Server, "we are active, as Chromium is");
        assert!(remote.audio.send && remote.audio.recv);
    }

    #[test]
    fn what_a_browser_needs_and_misses_is_named() {
        let offer = String::from_utf8(offer_answer::offer_browser(&gateway(), None).0).expect("text");
        let without = |line: &str| {
            let text: String = offer.lines().filter(|l| !l.starts_with(line)).map(|l| format!("{l}\r\n")).collect();
            read(text.as_bytes(), false).err()
        };
        assert_eq!(without("a=ice-pwd"), Some(PeerError::Missing("ICE credentials")));
        assert_eq!(without("a=fingerprint"), Some(PeerError::Missing("SHA-256 fingerprint")));
        assert_eq!(without("a=rtcp-mux"), Some(PeerError::Missing("rtcp-mux")));
        assert_eq!(without("a=rtpmap:111"), Some(PeerError::Missing("Opus")));
        assert!(matches!(read(b"v=1", true), Err(PeerError::Malformed(_))));
    }
}
