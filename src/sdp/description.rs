//! A session description, bounded and typed.
//!
//! `sdp-types` reads and writes the lines and keeps what it does not know; the attributes that matter here are read by
//! us, leniently where peers differ (case, spaces, missing optional parts) and never by resolving anything.

use std::net::{IpAddr, SocketAddr};

use super::SdpError;
use crate::plan::{Fingerprint, IceCredentials};

/// Largest description taken, bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// Most m-lines.
pub const MAX_MEDIA: usize = 32;
/// Most attributes of one m-line, or of the session.
pub const MAX_ATTRIBUTES: usize = 512;
/// Most formats of one m-line.
pub const MAX_FORMATS: usize = 64;

/// Who sends, as seen by the writer of the description (RFC 8866 6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    #[default]
    SendRecv,
    /// The writer sends only: hold.
    SendOnly,
    /// The writer receives only.
    RecvOnly,
    /// Nobody.
    Inactive,
}

impl Direction {
    /// Makes a direction out of its halves, as seen by the writer.
    pub fn new(send: bool, recv: bool) -> Direction {
        match (send, recv) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// Returns true where the writer sends.
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Returns true where the writer receives.
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// Returns the attribute's name.
    pub fn token(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    fn from_token(token: &str) -> Option<Direction> {
        [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive]
            .into_iter()
            .find(|d| token.eq_ignore_ascii_case(d.token()))
    }
}

/// `a=setup` (RFC 4145 4, RFC 8842 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Either role.
    ActPass,
    /// The writer sends the ClientHello.
    Active,
    /// The writer waits for it.
    Passive,
    /// Not yet (`holdconn`), or a word that is not known.
    Other,
}

/// `a=rtpmap` (RFC 8866 6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpMap<'a> {
    /// Encoding name as written; compared without case.
    pub name: &'a str,
    /// RTP clock rate in Hz.
    pub clock_hz: u32,
    /// Audio channels; 1 where it is not said.
    pub channels: u8,
}

/// What an m-line's candidates are like; none is kept or resolved, since a browser's address is learnt from its checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CandidateCount {
    /// Candidates with an IP address.
    pub address: usize,
    /// Candidates with an mDNS name (`….local`).
    pub mdns: usize,
    /// Candidates with any other name, or that cannot be read.
    pub other: usize,
}

/// A parsed session description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    lines: sdp_types::Session,
}

impl Session {
    /// Parses a description within the limits of this room.
    pub fn parse(bytes: &[u8]) -> Result<Session, SdpError> {
        if bytes.len() > MAX_BYTES {
            return Err(SdpError::TooLarge(bytes.len()));
        }
        let lines = sdp_types::Session::parse(bytes).map_err(|e| SdpError::Syntax(e.to_string()))?;
        if lines.medias.len() > MAX_MEDIA {
            return Err(SdpError::TooMany("m-lines"));
        }
        if lines.attributes.len() > MAX_ATTRIBUTES || lines.medias.iter().any(|m| m.attributes.len() > MAX_ATTRIBUTES) {
            return Err(SdpError::TooMany("attributes"));
        }
        if lines.medias.iter().any(|m| m.fmt.split_ascii_whitespace().count() > MAX_FORMATS) {
            return Err(SdpError::TooMany("formats"));
        }
        Ok(Session { lines })
    }

    /// Writes the description.
    pub fn to_bytes(&self) -> Vec<u8> {
        write(&self.lines)
    }

    /// Returns `o=`: session id and version.
    pub fn origin(&self) -> (&str, u64) {
        (&self.lines.origin.sess_id, self.lines.origin.sess_version)
    }

    /// Returns the m-lines in order.
    pub fn media(&self) -> impl ExactSizeIterator<Item = Media<'_>> {
        self.lines.medias.iter().map(|lines| Media { session: &self.lines, lines })
    }

    /// Returns true where the writer is an ICE-lite agent (RFC 8839 5.3).
    pub fn is_ice_lite(&self) -> bool {
        attribute(&self.lines.attributes, "ice-lite").is_some()
    }
}

/// Writes `sdp-types` lines; CR, LF and NUL in values are left out by it.
pub(super) fn write(lines: &sdp_types::Session) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1024);
    lines.write(&mut bytes).expect("a Vec takes every byte");
    bytes
}

/// One m-line with its attributes, and the session's where it has none of its own.
#[derive(Clone, Copy, Debug)]
pub struct Media<'a> {
    session: &'a sdp_types::Session,
    lines: &'a sdp_types::Media,
}

impl<'a> Media<'a> {
    /// Returns the kind: `audio`, `video`, `application`.
    pub fn kind(&self) -> &'a str {
        &self.lines.media
    }

    /// Returns the port; 0 refuses the m-line, unless it is [bundle-only](Self::is_bundle_only).
    pub fn port(&self) -> u16 {
        self.lines.port
    }

    /// Returns the transport, `RTP/AVP` or the like.
    pub fn protocol(&self) -> &'a str {
        &self.lines.proto
    }

    /// Returns the formats as one string.
    pub fn format_list(&self) -> &'a str {
        &self.lines.fmt
    }

    /// Returns the payload types in order of preference; what is not a number up to 127 is left out.
    pub fn payload_types(&self) -> impl Iterator<Item = u8> + 'a {
        self.lines.fmt.split_ascii_whitespace().filter_map(|f| f.parse().ok()).filter(|pt| *pt < 128)
    }

    /// Returns the `a=rtpmap` of a payload type.
    pub fn rtpmap(&self, pt: u8) -> Option<RtpMap<'a>> {
        let value = self.per_format("rtpmap", pt)?;
        let mut parts = value.split('/').map(str::trim);
        Some(RtpMap {
            name: parts.next()?,
            clock_hz: parts.next()?.parse().ok()?,
            channels: parts.next().map_or(Some(1), |c| c.parse().ok())?,
        })
    }

    /// Returns one parameter of the `a=fmtp` of a payload type; names are compared without case.
    pub fn fmtp(&self, pt: u8, parameter: &str) -> Option<&'a str> {
        self.per_format("fmtp", pt)?.split(';').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case(parameter).then(|| value.trim())
        })
    }

    /// Returns the direction; the session's where the m-line has none; `sendrecv` by default.
    pub fn direction(&self) -> Direction {
        let of = |list: &[sdp_types::Attribute]| list.iter().find_map(|a| Direction::from_token(&a.attribute));
        of(&self.lines.attributes).or_else(|| of(&self.session.attributes)).unwrap_or_default()
    }

    /// Returns `a=ptime`, ms.
    pub fn ptime_ms(&self) -> Option<u32> {
        self.milliseconds("ptime")
    }

    /// Returns `a=maxptime`, ms.
    pub fn maxptime_ms(&self) -> Option<u32> {
        self.milliseconds("maxptime")
    }

    /// Returns `a=mid`.
    pub fn mid(&self) -> Option<&'a str> {
        attribute(&self.lines.attributes, "mid")
    }

    /// Returns true for an m-line that has port 0 because its bundle carries it (RFC 9143 6).
    pub fn is_bundle_only(&self) -> bool {
        attribute(&self.lines.attributes, "bundle-only").is_some()
    }

    /// Returns true where the m-line stands in a `a=group:BUNDLE`.
    pub fn is_bundled(&self) -> bool {
        self.bundle().is_some()
    }

    /// Returns true where RTP and RTCP may share a port (RFC 5761).
    pub fn has_rtcp_mux(&self) -> bool {
        attribute(&self.lines.attributes, "rtcp-mux").is_some()
            || self.tagged().is_some_and(|m| attribute(&m.attributes, "rtcp-mux").is_some())
    }

    /// Returns the ICE credentials within the lengths of RFC 8839 5.4.
    pub fn ice(&self) -> Option<IceCredentials> {
        let ufrag = self.transport_attribute("ice-ufrag")?;
        let pwd = self.transport_attribute("ice-pwd")?;
        // RFC 8839 allows letters, digits, '+' and '/'; some agents add '-', '_', '='. They are compared only.
        let is_word = |s: &str| s.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        let fits = (4..=256).contains(&ufrag.len()) && (22..=256).contains(&pwd.len());
        (fits && is_word(ufrag) && is_word(pwd))
            .then(|| IceCredentials { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() })
    }

    /// Returns the first `a=fingerprint` of SHA-256; others are passed over (RFC 8122 5).
    pub fn sha256_fingerprint(&self) -> Option<Fingerprint> {
        let of = |list: &'a [sdp_types::Attribute]| {
            list.iter()
                .filter(|a| a.attribute.eq_ignore_ascii_case("fingerprint"))
                .find_map(|a| sha256(a.value.as_deref()?))
        };
        of(&self.lines.attributes)
            .or_else(|| of(&self.session.attributes))
            .or_else(|| self.tagged().and_then(|m| of(&m.attributes)))
    }

    /// Returns `a=setup`.
    pub fn setup(&self) -> Option<Setup> {
        let word = self.transport_attribute("setup")?;
        let known = [("actpass", Setup::ActPass), ("active", Setup::Active), ("passive", Setup::Passive)];
        Some(known.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map_or(Setup::Other, |(_, s)| *s))
    }

    /// Counts the candidates.
    pub fn candidates(&self) -> CandidateCount {
        let mut count = CandidateCount::default();
        for value in self.lines.attributes.iter().filter(|a| a.attribute.eq_ignore_ascii_case("candidate")) {
            let address = value.value.as_deref().and_then(|v| v.split_ascii_whitespace().nth(4)).unwrap_or("");
            if address.parse::<IpAddr>().is_ok() {
                count.address += 1;
            } else if address.len() > 6 && address.to_ascii_lowercase().ends_with(".local") {
                count.mdns += 1;
            } else {
                count.other += 1;
            }
        }
        count
    }

    /// Returns the addresses of the UDP candidates of component 1, as they stand (RFC 8839 5.1); names are passed over.
    pub fn udp_candidates(&self) -> impl Iterator<Item = SocketAddr> + 'a {
        let lines = self.lines.attributes.iter().filter(|a| a.attribute.eq_ignore_ascii_case("candidate"));
        lines.filter_map(|line| {
            let mut words = line.value.as_deref()?.split_ascii_whitespace().skip(1);
            let (component, transport) = (words.next()?, words.next()?);
            let ip = words.nth(1)?.parse().ok()?;
            let port = words.next()?.parse().ok().filter(|port| *port != 0)?;
            (component == "1" && transport.eq_ignore_ascii_case("udp")).then(|| SocketAddr::new(ip, port))
        })
    }

    /// Returns the address of `c=`, the m-line's own before the session's; `None` for a name, which we do not resolve.
    pub fn address(&self) -> Option<IpAddr> {
        let c = self.lines.connections.first().or(self.session.connection.as_ref())?;
        c.connection_address.split('/').next()?.parse().ok()
    }

    /// Returns where RTP goes.
    pub fn rtp(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.address()?, self.port()))
    }

    /// Returns where RTCP goes: `a=rtcp` (RFC 3605), else the port after RTP's.
    pub fn rtcp(&self) -> Option<SocketAddr> {
        let rtp = self.rtp()?;
        let next = SocketAddr::new(rtp.ip(), rtp.port().checked_add(1).unwrap_or(0));
        let Some(value) = attribute(&self.lines.attributes, "rtcp") else { return Some(next) };
        let mut words = value.split_ascii_whitespace();
        let Some(port) = words.next().and_then(|p| p.parse().ok()) else { return Some(next) };
        let ip = words.nth(2).and_then(|ip| ip.parse().ok()).unwrap_or(rtp.ip());
        Some(SocketAddr::new(ip, port))
    }

    /// Returns the value of an attribute that begins with this payload type.
    fn per_format(&self, name: &str, pt: u8) -> Option<&'a str> {
        self.lines.attributes.iter().filter(|a| a.attribute.eq_ignore_ascii_case(name)).find_map(|a| {
            let (format, value) = a.value.as_deref()?.trim_start().split_once(' ')?;
            (format.parse() == Ok(pt)).then(|| value.trim())
        })
    }

    fn milliseconds(&self, name: &str) -> Option<u32> {
        let value = attribute(&self.lines.attributes, name)?.trim();
        // RFC 8866 6.4 allows a fraction; whole milliseconds are all that a G.711 packet can have.
        value.split('.').next()?.parse().ok()
    }

    /// Returns a transport attribute: of the m-line, of the session, or of the m-line that speaks for its bundle
    /// (RFC 9143 7.1.3).
    fn transport_attribute(&self, name: &str) -> Option<&'a str> {
        attribute(&self.lines.attributes, name)
            .or_else(|| attribute(&self.session.attributes, name))
            .or_else(|| attribute(&self.tagged()?.attributes, name))
    }

    /// Returns the mids of the bundle that the m-line is in.
    fn bundle(&self) -> Option<impl Iterator<Item = &'a str> + use<'a>> {
        let mid = self.mid()?;
        self.session.attributes.iter().filter(|a| a.attribute.eq_ignore_ascii_case("group")).find_map(|a| {
            let mut words = a.value.as_deref()?.split_ascii_whitespace();
            (words.next()?.eq_ignore_ascii_case("BUNDLE") && words.clone().any(|m| m == mid)).then_some(words)
        })
    }

    fn tagged(&self) -> Option<&'a sdp_types::Media> {
        let tag = self.bundle()?.next()?;
        self.session.medias.iter().find(|m| attribute(&m.attributes, "mid") == Some(tag))
    }
}

/// Returns the first value of an attribute, `""` for one without a value.
fn attribute<'a>(list: &'a [sdp_types::Attribute], name: &str) -> Option<&'a str> {
    list.iter().find(|a| a.attribute.eq_ignore_ascii_case(name)).map(|a| a.value.as_deref().unwrap_or("").trim())
}

/// Reads `sha-256 AA:BB:…`.
fn sha256(value: &str) -> Option<Fingerprint> {
    let mut words = value.split_ascii_whitespace();
    if !words.next()?.eq_ignore_ascii_case("sha-256") {
        return None;
    }
    let mut hash = [0; 32];
    let mut pairs = words.next()?.split(':');
    for byte in &mut hash {
        let pair = pairs.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(Fingerprint(hash))
}

#[cfg(test)]
mod tests;
