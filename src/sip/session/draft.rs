//! Our INVITE as it is to be written: once, and again in the same dialog attempt after 401, 407 (RFC 3261 22.2) or 422
//! (RFC 4028 7.3), each time with the next CSeq number, the same Call-ID and From tag.

use crate::sip::dialog;
use crate::sip::endpoint::{Header, Hop, OutInvite, Reliable};
use crate::sip::message::{Builder, Message, Method, Name};

/// What an INVITE of ours is made of.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) invite: OutInvite,
    pub(crate) hop: Hop,
    /// Our tag.
    pub(crate) tag: String,
    pub(crate) call_id: String,
    /// CSeq number of the INVITE that went out last.
    pub(crate) cseq: u32,
    /// Answers to challenges.
    pub(crate) credentials: Vec<Header>,
    /// How many times a 422 made the interval longer.
    raised: u8,
}

/// How many times a 422 is heeded: each proxy on the way may have an interval of its own.
const MAX_RAISES: u8 = 3;

impl Draft {
    pub(crate) fn new(invite: OutInvite, hop: Hop, tag: String, call_id: String) -> Draft {
        let call_id = invite.call_id.clone().unwrap_or(call_id);
        let cseq = invite.cseq.unwrap_or(1);
        Draft { invite, hop, tag, call_id, cseq, credentials: Vec::new(), raised: 0 }
    }

    /// Takes the Min-SE of a 422 (RFC 4028 7.3); false: there is nothing in it to try again with.
    pub(crate) fn raise(&mut self, refusal: &Message) -> bool {
        let Some(timer) = self.invite.session_expires.as_mut().filter(|_| self.raised < MAX_RAISES) else {
            return false;
        };
        self.raised += 1;
        timer.raise(refusal)
    }

    /// The INVITE up to Contact; Allow, Supported and our name are the endpoint's to add, [`Draft::finish`] does the rest.
    pub(crate) fn open(&self, branch: &str) -> Builder {
        Builder::request(&Method::Invite, &self.invite.uri)
            .header(Name::Via, dialog::via(&self.hop, branch))
            .header(Name::MaxForwards, "70")
            .header(Name::From, format!("{};tag={}", self.invite.from, self.tag))
            .header(Name::To, &self.invite.to)
            .header(Name::CallId, &self.call_id)
            .header(Name::CSeq, format!("{} INVITE", self.cseq))
            .header(Name::Contact, &self.invite.contact)
    }

    /// Adds what the user gave.
    pub(crate) fn finish(&self, request: Builder) -> Builder {
        let mut request = request;
        request = match self.invite.reliable {
            Reliable::No => request,
            Reliable::Supported => request.header(Name::Supported, "100rel"),
            Reliable::Required => request.header(Name::Supported, "100rel").header(Name::Require, "100rel"),
        };
        let timer = self.invite.session_expires.map(|timer| timer.headers()).unwrap_or_default();
        for (name, value) in timer.iter().chain(&self.credentials).chain(&self.invite.headers) {
            request = request.header(name, value);
        }
        match &self.invite.sdp {
            Some(sdp) => request.body("application/sdp", sdp),
            None => request,
        }
    }
}
