//! Which formats of an m-line are ours, and which of them is chosen.

use super::{Agreed, AudioWish, OfferError};
use crate::plan::{AudioCodec, EventFormat, OpusParams, Pt};
use crate::sdp::description::Media;

/// Shortest and longest packets that we send, ms.
const PTIME_MS: std::ops::RangeInclusive<u32> = 10..=60;
/// What Opus can be asked for, bit/s (RFC 7587 6.1).
const OPUS_BPS: std::ops::RangeInclusive<u32> = 6_000..=510_000;

/// An RTP payload format as far as we tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// PCMU/8000.
    Pcmu,
    /// PCMA/8000.
    Pcma,
    /// opus/48000/2.
    Opus,
    /// telephone-event, with its clock in Hz.
    Event(u32),
    /// CN/8000 (RFC 3389 4).
    Noise,
    /// Anything else: known only so that its number is not used for something of ours.
    Foreign,
}

impl Encoding {
    pub(super) fn of(codec: &AudioCodec) -> Encoding {
        match codec {
            AudioCodec::Pcmu => Encoding::Pcmu,
            AudioCodec::Pcma => Encoding::Pcma,
            AudioCodec::Opus(_) => Encoding::Opus,
        }
    }

    /// Returns `a=rtpmap` without its number.
    fn rtpmap(self) -> Option<String> {
        match self {
            Encoding::Pcmu => Some("PCMU/8000".to_owned()),
            Encoding::Pcma => Some("PCMA/8000".to_owned()),
            Encoding::Opus => Some("opus/48000/2".to_owned()),
            Encoding::Event(clock_hz) => Some(format!("telephone-event/{clock_hz}")),
            Encoding::Noise => Some("CN/8000".to_owned()),
            Encoding::Foreign => None,
        }
    }

    /// Tells whether comfort noise belongs to it: Opus has its own.
    fn takes_noise(self) -> bool {
        matches!(self, Encoding::Pcmu | Encoding::Pcma)
    }

    /// Returns the clock of the events beside this codec (RFC 4733 2.4.1: that of the audio), most fitting first.
    /// 8000 beside Opus is what some browsers' lists are cut down to, and is understood by all.
    fn event_clocks(self) -> &'static [u32] {
        match self {
            Encoding::Opus => &[48_000, 8_000],
            _ => &[8_000],
        }
    }
}

/// Returns what each payload type of the m-line is; `muxed`: RTCP shares the port, so that 64 to 95 cannot be told from
/// it (RFC 5761 4).
pub(super) fn read_formats(media: &Media, muxed: bool) -> Formats {
    let mut formats: Formats = Vec::new();
    for pt in media.payload_types() {
        if formats.iter().any(|(known, _)| known.0 == pt) || (muxed && (64..96).contains(&pt)) {
            continue;
        }
        let encoding = match media.rtpmap(pt) {
            Some(map) => match (map.name.to_ascii_lowercase().as_str(), map.clock_hz, map.channels) {
                ("pcmu", 8_000, 1) => Encoding::Pcmu,
                ("pcma", 8_000, 1) => Encoding::Pcma,
                ("opus", 48_000, _) => Encoding::Opus,
                ("telephone-event", clock_hz, _) => Encoding::Event(clock_hz),
                ("cn", 8_000, 1) => Encoding::Noise,
                _ => Encoding::Foreign,
            },
            // Static types need no rtpmap (RFC 3551 6).
            None => match pt {
                0 => Encoding::Pcmu,
                8 => Encoding::Pcma,
                13 => Encoding::Noise,
                _ => Encoding::Foreign,
            },
        };
        formats.push((Pt(pt), encoding));
    }
    formats
}

/// Payload numbers and what they stand for, in order of preference.
pub(super) type Formats = Vec<(Pt, Encoding)>;

/// A codec and its events, as chosen out of a peer's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub codec: AudioCodec,
    pub pt: Pt,
    pub event: Option<EventFormat>,
    /// Its comfort noise, where both sides want it.
    pub noise: Option<Pt>,
    pub ptime_ms: u8,
}

/// Chooses out of an offer: the codec in use if it is still there, else the first of ours that is offered.
pub(super) fn choose(
    media: &Media,
    formats: &[(Pt, Encoding)],
    wish: &AudioWish,
    current: Option<Encoding>,
) -> Result<Choice, OfferError> {
    let wished = |e: Encoding| wish.codecs.iter().find(|c| Encoding::of(c) == e);
    let offered = |e: Encoding| formats.iter().find(|(_, known)| *known == e).map(|(pt, _)| *pt);
    let kept = current.and_then(|e| Some((wished(e)?, offered(e)?)));
    let (codec, pt) = kept
        .or_else(|| wish.codecs.iter().find_map(|c| Some((c, offered(Encoding::of(c))?))))
        .ok_or(OfferError::NoCommonCodec)?;
    Ok(with_details(media, formats, wish, codec, pt))
}

/// Takes the first codec of an answer that we offered (RFC 3264 6.1: the answerer's preference).
pub(super) fn take(media: &Media, formats: &[(Pt, Encoding)], wish: &AudioWish) -> Result<Choice, OfferError> {
    let (codec, pt) = formats
        .iter()
        .find_map(|(pt, e)| Some((wish.codecs.iter().find(|c| Encoding::of(c) == *e)?, *pt)))
        .ok_or(OfferError::NoCommonCodec)?;
    Ok(with_details(media, formats, wish, codec, pt))
}

fn with_details(media: &Media, formats: &[(Pt, Encoding)], wish: &AudioWish, codec: &AudioCodec, pt: Pt) -> Choice {
    let encoding = Encoding::of(codec);
    let event = encoding.event_clocks().iter().find_map(|&clock_hz| {
        let (pt, _) = formats.iter().find(|(_, e)| *e == Encoding::Event(clock_hz))?;
        Some(EventFormat { pt: *pt, clock_hz })
    });
    let noise = formats.iter().find(|(_, e)| *e == Encoding::Noise).map(|(pt, _)| *pt);
    let noise = noise.filter(|_| wish.noise && encoding.takes_noise());
    let codec = match codec {
        AudioCodec::Opus(ours) => AudioCodec::Opus(opus_towards(media, pt, ours)),
        plain => *plain,
    };
    Choice { codec, pt, event, noise, ptime_ms: ptime(media, wish.ptime_of(encoding), encoding) }
}

/// Bounds our encoder by what the peer wants to receive (RFC 7587 6.1).
fn opus_towards(media: &Media, pt: Pt, ours: &OpusParams) -> OpusParams {
    let says = |name| media.fmtp(pt.0, name);
    let most = says("maxaveragebitrate").and_then(|v| v.parse().ok()).unwrap_or(u32::MAX);
    OpusParams {
        bitrate_bps: ours.bitrate_bps.min(most).clamp(*OPUS_BPS.start(), *OPUS_BPS.end()),
        complexity: ours.complexity.min(10),
        fec: ours.fec && says("useinbandfec") == Some("1"),
        dtx: ours.dtx && says("usedtx") == Some("1"),
    }
}

/// Returns the length of our packets: the peer's ptime, else ours, at most its maxptime, in steps that the codec has.
fn ptime(media: &Media, wish_ms: u8, encoding: Encoding) -> u8 {
    let most = media.maxptime_ms().unwrap_or(*PTIME_MS.end()).clamp(*PTIME_MS.start(), *PTIME_MS.end());
    let wanted = media.ptime_ms().filter(|ms| *ms > 0).unwrap_or(u32::from(wish_ms));
    let ms = wanted.clamp(*PTIME_MS.start(), most);
    let ms = match (encoding, ms / 10 * 10) {
        (Encoding::Opus, 30) => 20,
        (Encoding::Opus, 50) => 40,
        (_, ms) => ms,
    };
    u8::try_from(ms).expect("at most 60")
}

/// Returns the formats of an offer of ours: the codec in use first, each with the number it had before, if any.
pub(super) fn offered_formats(
    wish: &AudioWish,
    previous: Option<&Agreed>,
    numbers: fn(Encoding, &AudioWish) -> Pt,
) -> Formats {
    let known: &[(Pt, Encoding)] = previous.map_or(&[], |p| &p.formats);
    let mut encodings: Vec<Encoding> = wish.codecs.iter().map(Encoding::of).collect();
    if let Some(at) = previous.and_then(|p| p.codec).and_then(|c| encodings.iter().position(|e| *e == c)) {
        encodings[..=at].rotate_right(1);
    }
    if encodings.contains(&Encoding::Opus) {
        encodings.push(Encoding::Event(48_000));
    }
    encodings.push(Encoding::Event(8_000));
    if wish.noise && encodings.iter().any(|e| e.takes_noise()) {
        encodings.push(Encoding::Noise);
    }
    let mut formats: Formats = Vec::with_capacity(encodings.len());
    for encoding in encodings {
        let taken =
            |pt: Pt| known.iter().any(|(k, e)| *k == pt && *e != encoding) || formats.iter().any(|(k, _)| *k == pt);
        let before = known.iter().find(|(_, e)| *e == encoding).map(|(pt, _)| *pt);
        let usual = std::iter::once(numbers(encoding, wish)).chain((96..128).map(Pt));
        // With all 32 dynamic numbers taken by the peer's own formats, this one is left out.
        let Some(pt) = before.into_iter().chain(usual).find(|pt| !taken(*pt)) else { continue };
        formats.push((pt, encoding));
    }
    formats
}

/// Returns rtpmap and fmtp lines of formats; `wish` says what we ask of Opus.
pub(super) fn format_attributes(formats: &[(Pt, Encoding)], wish: &AudioWish) -> Vec<sdp_types::Attribute> {
    let mut lines = Vec::with_capacity(2 * formats.len());
    for (pt, encoding) in formats {
        let Some(map) = encoding.rtpmap() else { continue };
        lines.push(sdp_types::Attribute::with_value("rtpmap", format!("{} {map}", pt.0)));
        let fmtp = match encoding {
            Encoding::Event(_) => Some("0-15".to_owned()),
            Encoding::Opus => wish.codecs.iter().find_map(|c| match c {
                AudioCodec::Opus(ours) => Some(opus_fmtp(ours, wish.narrowband)),
                _ => None,
            }),
            _ => None,
        };
        if let Some(value) = fmtp {
            lines.push(sdp_types::Attribute::with_value("fmtp", format!("{} {value}", pt.0)));
        }
    }
    lines
}

/// What the peer's encoder is asked for. Without `narrowband` its bit rate is its own affair: 32 kbit/s is plenty for
/// telephony only. `usedtx=1` says that it may pause (RFC 7587 6.1); without it nobody does.
fn opus_fmtp(ours: &OpusParams, narrowband: bool) -> String {
    let fec = u8::from(ours.fec);
    let pauses = if ours.dtx { ";usedtx=1" } else { "" };
    if narrowband {
        let bps = ours.bitrate_bps.clamp(*OPUS_BPS.start(), *OPUS_BPS.end());
        format!("maxplaybackrate=8000;sprop-maxcapturerate=8000;maxaveragebitrate={bps};useinbandfec={fec}{pauses}")
    } else {
        format!("useinbandfec={fec}{pauses}")
    }
}

/// Adds what a peer's list says about payload numbers, so that our next offer gives none of them another meaning
/// (RFC 3264 8.3.2).
pub(super) fn remember(known: &mut Formats, formats: &[(Pt, Encoding)]) {
    for (pt, encoding) in formats {
        match known.iter_mut().find(|(k, _)| k == pt) {
            Some((_, e)) => *e = *encoding,
            None => known.push((*pt, *encoding)),
        }
    }
}
