//! STUN binding requests as ICE sends them (RFC 8489, RFC 8445 7), over `stun-types`.
//!
//! Only what precedes MESSAGE-INTEGRITY is believed. Replies are written into the caller's buffer; a success is
//! written without an allocation.
//!
//! We do not answer requests that are not authentic, not even with 400 or 401, because a reply to a forged source
//! serves nobody but the forger.

pub mod check;
pub mod stream;
#[cfg(test)]
pub(super) mod tests;

use std::net::SocketAddr;

use stun_types::attribute::{AttributeType, ErrorCode, UnknownAttributes, XorMappedAddress};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, IntegrityKey, Message, MessageClass, MessageHeader, MessageWriteExt,
    MessageWriteMutSlice, ShortTermCredentials,
};
use stun_types::prelude::*;

use crate::webrtc::Discard;

/// `ufrag:ufrag`, each up to 256 characters (RFC 8839 5.4).
const MAX_USERNAME: usize = 513;
const USERNAME: AttributeType = AttributeType::new(0x0006);
const MESSAGE_INTEGRITY: AttributeType = AttributeType::new(0x0008);
const MESSAGE_INTEGRITY_SHA256: AttributeType = AttributeType::new(0x001c);
const PRIORITY: AttributeType = AttributeType::new(0x0024);
const USE_CANDIDATE: AttributeType = AttributeType::new(0x0025);
const ICE_CONTROLLED: AttributeType = AttributeType::new(0x8029);
/// Attributes below this must be understood (RFC 8489 14).
const FIRST_OPTIONAL: u16 = 0x8000;
const ATTRIBUTE_HEADER: usize = 4;

/// Returns our half of USERNAME, to find the leg that a check is for; nothing is authenticated yet.
pub fn ufrag(datagram: &[u8]) -> Option<&str> {
    Request::parse(datagram).ok().map(|request| request.ours)
}

/// A key for MESSAGE-INTEGRITY, made of a short-term password (RFC 8489 9.1.1).
#[derive(Clone, Debug)]
pub struct Key(IntegrityKey);

impl Key {
    /// Makes the key.
    pub fn new(password: &str) -> Self {
        Key(ShortTermCredentials::new(password.to_owned()).make_key())
    }
}

/// Why an authentic request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 420: an attribute that must be understood is not.
    UnknownAttribute(u16),
    /// 487: the peer believes itself controlled, and a lite agent never controls (RFC 8445 7.3.1.1).
    RoleConflict,
}

/// A binding request with a USERNAME of two halves.
#[derive(Debug)]
pub struct Request<'a> {
    message: Message<'a>,
    ours: &'a str,
    theirs: &'a str,
}

impl<'a> Request<'a> {
    /// Reads a datagram; nothing is authenticated yet.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Discard> {
        let header = MessageHeader::from_bytes(datagram).map_err(|_| Discard::StunMalformed)?;
        if usize::from(header.data_length()) + MessageHeader::LENGTH != datagram.len() {
            return Err(Discard::StunMalformed);
        }
        if !header.get_type().has_method(BINDING) || !header.get_type().has_class(MessageClass::Request) {
            return Err(Discard::StunUnexpected);
        }
        let message = Message::from_bytes(datagram).map_err(|_| Discard::StunMalformed)?;
        let (offset, attribute) = message.raw_attribute_and_offset(USERNAME).ok_or(Discard::StunUser)?;
        let len = attribute.value.len();
        if len > MAX_USERNAME {
            return Err(Discard::StunUser);
        }
        let start = offset + ATTRIBUTE_HEADER;
        let name = datagram.get(start..start + len).ok_or(Discard::StunMalformed)?;
        let name = std::str::from_utf8(name).map_err(|_| Discard::StunUser)?;
        let (ours, theirs) = name.split_once(':').ok_or(Discard::StunUser)?;
        Ok(Request { message, ours, theirs })
    }

    /// The ufrag of the receiver, in front of the colon.
    pub fn ours(&self) -> &'a str {
        self.ours
    }

    /// The ufrag of the sender, behind the colon.
    pub fn theirs(&self) -> &'a str {
        self.theirs
    }

    /// Checks MESSAGE-INTEGRITY with our password.
    pub fn verify(&self, key: &Key) -> Result<Authentic<'a, '_>, Discard> {
        let algorithm = self.message.validate_integrity_with_key(&key.0).map_err(|_| Discard::StunIntegrity)?;
        let kind = match algorithm {
            IntegrityAlgorithm::Sha1 => MESSAGE_INTEGRITY,
            IntegrityAlgorithm::Sha256 => MESSAGE_INTEGRITY_SHA256,
        };
        let (signed, _) = self.message.raw_attribute_and_offset(kind).ok_or(Discard::StunIntegrity)?;
        let (user, _) = self.message.raw_attribute_and_offset(USERNAME).ok_or(Discard::StunUser)?;
        if user > signed {
            return Err(Discard::StunIntegrity);
        }
        Ok(Authentic { request: self, algorithm, signed })
    }
}

/// A request whose MESSAGE-INTEGRITY is right.
#[derive(Debug)]
pub struct Authentic<'a, 'r> {
    request: &'r Request<'a>,
    algorithm: IntegrityAlgorithm,
    /// Where MESSAGE-INTEGRITY stands: what follows is not signed.
    signed: usize,
}

impl Authentic<'_, '_> {
    fn has(&self, kind: AttributeType) -> bool {
        self.request.message.raw_attribute_and_offset(kind).is_some_and(|(offset, _)| offset < self.signed)
    }

    /// The peer nominates the path that this came on.
    pub fn use_candidate(&self) -> bool {
        self.has(USE_CANDIDATE)
    }

    /// Returns the reason for an error reply, where there is one.
    pub fn refusal(&self) -> Option<Refusal> {
        let known = [USERNAME, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, PRIORITY, USE_CANDIDATE];
        let unknown = self
            .request
            .message
            .iter_attributes()
            .map(|(_, attribute)| attribute.get_type())
            .find(|kind| kind.value() < FIRST_OPTIONAL && !known.contains(kind));
        if let Some(kind) = unknown {
            return Some(Refusal::UnknownAttribute(kind.value()));
        }
        self.has(ICE_CONTROLLED).then_some(Refusal::RoleConflict)
    }

    /// Writes the success response for a peer seen at `peer`; returns its length.
    pub fn write_success(&self, peer: SocketAddr, key: &Key, reply: &mut [u8]) -> Result<usize, Discard> {
        if reply.len() < MessageHeader::LENGTH {
            return Err(Discard::StunReply);
        }
        let mut writer = Message::builder_success(&self.request.message, MessageWriteMutSlice::new(reply));
        let mapped = XorMappedAddress::new(peer, self.request.message.transaction_id());
        writer.add_attribute(&mapped).map_err(|_| Discard::StunReply)?;
        self.finish(writer, key)
    }

    /// Writes the error response; returns its length.
    pub fn write_refusal(&self, refusal: Refusal, key: &Key, reply: &mut [u8]) -> Result<usize, Discard> {
        if reply.len() < MessageHeader::LENGTH {
            return Err(Discard::StunReply);
        }
        let (code, reason) = match refusal {
            Refusal::UnknownAttribute(_) => (420, "Unknown Attribute"),
            Refusal::RoleConflict => (487, "Role Conflict"),
        };
        let mut writer = Message::builder_error(&self.request.message, MessageWriteMutSlice::new(reply));
        let code = ErrorCode::new(code, reason).map_err(|_| Discard::StunReply)?;
        writer.add_attribute(&code).map_err(|_| Discard::StunReply)?;
        if let Refusal::UnknownAttribute(kind) = refusal {
            let unknown = UnknownAttributes::new(&[AttributeType::new(kind)]);
            writer.add_attribute(&unknown).map_err(|_| Discard::StunReply)?;
        }
        self.finish(writer, key)
    }

    fn finish(&self, mut writer: MessageWriteMutSlice<'_>, key: &Key) -> Result<usize, Discard> {
        writer.add_message_integrity_with_key(&key.0, self.algorithm).map_err(|_| Discard::StunReply)?;
        writer.add_fingerprint().map_err(|_| Discard::StunReply)?;
        Ok(writer.finish())
    }
}
