//! The other side of a check: a binding request of ours and its response (RFC 8445 7.2, RFC 8489 6.3), for an agent that is not
//! lite. The gateway never sends one; the load generator's browsers do.

use stun_types::attribute::{AttributeType, RawAttribute};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, Message, MessageClass, MessageHeader, MessageType, MessageWriteExt,
    MessageWriteMutSlice, TransactionId,
};
use stun_types::prelude::*;

use super::{ICE_CONTROLLED, Key, PRIORITY, USE_CANDIDATE, USERNAME};
use crate::webrtc::Discard;

const ICE_CONTROLLING: AttributeType = AttributeType::new(0x802a);

/// Our part in ICE, with the number that decides where both ends claim the same (RFC 8445 7.3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We nominate.
    Controlling(u64),
    /// The peer nominates.
    Controlled(u64),
}

/// A binding request to be sent.
#[derive(Clone, Copy, Debug)]
pub struct BindingRequest<'a> {
    /// Random; its response bears it. Only the lower 96 bits count.
    pub transaction: u128,
    /// The peer's ufrag, a colon, our ufrag.
    pub username: &'a str,
    /// Priority that a peer-reflexive candidate would get.
    pub priority: u32,
    /// Our part.
    pub role: Role,
    /// Bears USE-CANDIDATE.
    pub nominates: bool,
}

impl BindingRequest<'_> {
    /// Writes the request, signed with the peer's password; returns its length.
    ///
    /// # Errors
    /// [`Discard::StunReply`] where it does not fit into `out`, [`Discard::StunUser`] where the name is too long.
    pub fn write(&self, key: &Key, out: &mut [u8]) -> Result<usize, Discard> {
        if out.len() < MessageHeader::LENGTH {
            return Err(Discard::StunReply);
        }
        if self.username.len() > super::MAX_USERNAME {
            return Err(Discard::StunUser);
        }
        let kind = MessageType::from_class_method(MessageClass::Request, BINDING);
        let mut writer = Message::builder(kind, TransactionId::from(self.transaction), MessageWriteMutSlice::new(out));
        let priority = self.priority.to_be_bytes();
        let (role, number) = match self.role {
            Role::Controlling(number) => (ICE_CONTROLLING, number.to_be_bytes()),
            Role::Controlled(number) => (ICE_CONTROLLED, number.to_be_bytes()),
        };
        let mut add =
            |kind, value: &[u8]| writer.add_attribute(&RawAttribute::new(kind, value)).map_err(|_| Discard::StunReply);
        add(USERNAME, self.username.as_bytes())?;
        add(PRIORITY, &priority)?;
        add(role, &number)?;
        if self.nominates {
            add(USE_CANDIDATE, &[])?;
        }
        writer.add_message_integrity_with_key(&key.0, IntegrityAlgorithm::Sha1).map_err(|_| Discard::StunReply)?;
        writer.add_fingerprint().map_err(|_| Discard::StunReply)?;
        Ok(writer.finish())
    }
}

/// A response to a binding request.
#[derive(Debug)]
pub struct BindingResponse<'a> {
    message: Message<'a>,
}

impl<'a> BindingResponse<'a> {
    /// Reads a datagram; nothing is authenticated yet.
    ///
    /// # Errors
    /// [`Discard::StunMalformed`], and [`Discard::StunUnexpected`] for anything but a response to a binding request.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Discard> {
        let header = MessageHeader::from_bytes(datagram).map_err(|_| Discard::StunMalformed)?;
        if usize::from(header.data_length()) + MessageHeader::LENGTH != datagram.len() {
            return Err(Discard::StunMalformed);
        }
        let is_response =
            header.get_type().has_class(MessageClass::Success) || header.get_type().has_class(MessageClass::Error);
        if !header.get_type().has_method(BINDING) || !is_response {
            return Err(Discard::StunUnexpected);
        }
        let message = Message::from_bytes(datagram).map_err(|_| Discard::StunMalformed)?;
        Ok(BindingResponse { message })
    }

    /// The request's number.
    pub fn transaction(&self) -> u128 {
        u128::from(self.message.transaction_id())
    }

    /// Tells a success from an error.
    pub fn is_success(&self) -> bool {
        self.message.has_class(MessageClass::Success)
    }

    /// Checks MESSAGE-INTEGRITY with the peer's password.
    ///
    /// # Errors
    /// [`Discard::StunIntegrity`].
    pub fn verify(&self, key: &Key) -> Result<(), Discard> {
        self.message.validate_integrity_with_key(&key.0).map(|_| ()).map_err(|_| Discard::StunIntegrity)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    const PASSWORD: &str = "a-password-of-32-characters-yes-";

    fn request(role: Role, nominates: bool) -> Vec<u8> {
        let request = BindingRequest { transaction: 99, username: "them:us", priority: 5, role, nominates };
        let mut out = [0; 256];
        let len = request.write(&Key::new(PASSWORD), &mut out).expect("room");
        out[..len].to_vec()
    }

    #[test]
    fn a_check_of_ours_is_read_by_the_agent_that_answers_and_its_answer_by_us() {
        let datagram = request(Role::Controlling(7), true);
        let read = Request::parse(&datagram).expect("a request");
        assert_eq!((read.ours(), read.theirs()), ("them", "us"));
        let key = Key::new(PASSWORD);
        let checked = read.verify(&key).expect("signed");
        assert!(checked.use_candidate() && checked.refusal().is_none());
        let mut reply = [0; 128];
        let len = checked.write_success(([192, 0, 2, 9], 4).into(), &key, &mut reply).expect("room");
        let response = BindingResponse::parse(&reply[..len]).expect("a response");
        assert!(response.is_success());
        assert_eq!(response.transaction(), 99);
        assert_eq!(response.verify(&key), Ok(()));
        assert_eq!(response.verify(&Key::new("another-password-of-32-character")), Err(Discard::StunIntegrity));
    }

    #[test]
    fn a_check_of_a_controlled_agent_does_not_nominate() {
        let datagram = request(Role::Controlled(7), false);
        let read = Request::parse(&datagram).expect("a request");
        let key = Key::new(PASSWORD);
        let checked = read.verify(&key).expect("signed");
        assert!(!checked.use_candidate());
        assert_eq!(checked.refusal(), Some(super::super::Refusal::RoleConflict), "a lite agent never controls");
        assert_eq!(BindingResponse::parse(&datagram).err(), Some(Discard::StunUnexpected));
        assert_eq!(BindingResponse::parse(&datagram[..19]).err(), Some(Discard::StunMalformed));
    }

    #[test]
    fn a_check_without_room_is_not_written() {
        let role = Role::Controlling(7);
        let request = BindingRequest { transaction: 1, username: "a:b", priority: 5, role, nominates: true };
        for len in [0, 19, 30, 60] {
            assert_eq!(request.write(&Key::new(PASSWORD), &mut vec![0; len]).err(), Some(Discard::StunReply));
        }
    }
}
