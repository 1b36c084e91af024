//! How audio is spoken with a browser: as its DN wants it, else as the trunk of the call does, else as the gateway does.

use super::Gateway;
use super::config::MediaPolicy;
use crate::id::{CallId, WorkerId};
use crate::plan::{AudioCodec, OpusParams};
use crate::sdp::offer_answer::{AudioWish, BrowserLocal};

/// A codec towards browsers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BrowserCodec {
    /// Opus, with the parameters that are in force for the call.
    Opus,
    /// PCMU: goes through to a trunk that speaks it as it is.
    Pcmu,
    /// PCMA: the same.
    Pcma,
}

/// Opus as one trunk or one DN wants it; what is `None` is for others to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpusTerms {
    /// See [`OpusParams::bitrate_bps`].
    pub bitrate_bps: Option<u32>,
    /// See [`OpusParams::complexity`].
    pub complexity: Option<u8>,
    /// See [`OpusParams::fec`].
    pub fec: Option<bool>,
    /// See [`OpusParams::dtx`].
    pub dtx: Option<bool>,
    /// See [`MediaPolicy::opus_ptime_ms`].
    pub ptime_ms: Option<u8>,
    /// See [`MediaPolicy::narrowband`].
    pub narrowband: Option<bool>,
}

impl OpusTerms {
    /// Returns these terms, and the other ones where these say nothing.
    fn or(self, other: OpusTerms) -> OpusTerms {
        OpusTerms {
            bitrate_bps: self.bitrate_bps.or(other.bitrate_bps),
            complexity: self.complexity.or(other.complexity),
            fec: self.fec.or(other.fec),
            dtx: self.dtx.or(other.dtx),
            ptime_ms: self.ptime_ms.or(other.ptime_ms),
            narrowband: self.narrowband.or(other.narrowband),
        }
    }
}

/// The other side of a browser's call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Beside {
    /// A trunk, by its place in the configuration.
    Trunk(usize),
    /// Another browser: nothing is to be narrowed.
    Browser,
    /// Nobody yet.
    Nobody,
}

impl MediaPolicy {
    /// Returns what is wished of a browser's audio.
    fn wish(&self, terms: OpusTerms, codecs: &[BrowserCodec], law: Option<AudioCodec>, wide: bool) -> AudioWish {
        let ours = &self.opus;
        let opus = OpusParams {
            bitrate_bps: terms.bitrate_bps.unwrap_or(ours.bitrate_bps),
            complexity: terms.complexity.unwrap_or(ours.complexity),
            fec: terms.fec.unwrap_or(ours.fec),
            dtx: terms.dtx.unwrap_or(ours.dtx),
        };
        let codecs = if codecs.is_empty() { &self.browser_codecs } else { codecs };
        let mut codecs: Vec<AudioCodec> = codecs
            .iter()
            .map(|codec| match codec {
                BrowserCodec::Opus => AudioCodec::Opus(opus),
                BrowserCodec::Pcmu => AudioCodec::Pcmu,
                BrowserCodec::Pcma => AudioCodec::Pcma,
            })
            .collect();
        // Of the two laws that of the trunk first: then nothing need be converted.
        let first_law = codecs.iter().position(|codec| !matches!(codec, AudioCodec::Opus(_)));
        let same = law.and_then(|law| codecs.iter().position(|codec| *codec == law));
        if let (Some(first), Some(same)) = (first_law, same) {
            codecs.swap(first, same);
        }
        AudioWish {
            codecs,
            narrowband: terms.narrowband.unwrap_or(self.narrowband) && !wide,
            opus_ptime_ms: terms.ptime_ms.unwrap_or(self.opus_ptime_ms),
            ..AudioWish::browser(opus)
        }
    }
}

impl Gateway {
    /// Describes our side of a browser leg of this DN.
    pub(super) fn browser_local(&mut self, worker: WorkerId, dn: &str, beside: Beside) -> BrowserLocal {
        let trunk = match beside {
            Beside::Trunk(trunk) => self.peers.trunk(trunk),
            Beside::Browser | Beside::Nobody => None,
        };
        let (own, codecs) = self.admission.audio(dn);
        let terms = own.or(trunk.map(|trunk| trunk.opus).unwrap_or_default());
        let law = trunk.and_then(|trunk| trunk.codecs.first().copied());
        let mut wish = self.media.wish(terms, codecs, law, matches!(beside, Beside::Browser));
        if self.ports.is_tight(worker) {
            wish.codecs.sort_by_key(|codec| matches!(codec, AudioCodec::Opus(_)));
        }
        self.ports.browser(worker, wish)
    }

    /// Returns who is at the other side of a call's browser.
    pub(super) fn beside(&self, call: CallId) -> Beside {
        match self.calls.get(call) {
            Some(call) if call.parties.local => Beside::Browser,
            Some(_) => self.trunk_of_call(call).map_or(Beside::Nobody, Beside::Trunk),
            None => Beside::Nobody,
        }
    }
}
