//! STUN over a stream: frames of their own length (RFC 8489 6.2.2), or behind a length of two bytes (RFC 4571).

use crate::webrtc::Discard;

const HEADER: usize = 20;
const PREFIX: usize = 2;

/// Returns the length of the STUN message at the front of `received`; `None`: more bytes are needed.
///
/// After an error the stream cannot be followed any longer and is closed.
pub fn stun_frame(received: &[u8]) -> Result<Option<usize>, Discard> {
    let Some([kind, _, high, low, cookie @ ..]) = received.first_chunk::<8>() else {
        // Two leading zero bits tell as early as possible that this is no STUN.
        return if received.first().is_some_and(|byte| byte >> 6 != 0) {
            Err(Discard::StunMalformed)
        } else {
            Ok(None)
        };
    };
    let body = usize::from(u16::from_be_bytes([*high, *low]));
    if kind >> 6 != 0 || !body.is_multiple_of(4) || *cookie != [0x21, 0x12, 0xa4, 0x42] {
        return Err(Discard::StunMalformed);
    }
    let len = HEADER + body;
    Ok((received.len() >= len).then_some(len))
}

/// Returns the packet at the front of `received`, without its length; `None`: more bytes are needed. The next frame
/// begins behind the packet.
pub fn rfc4571_frame(received: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = received.split_first_chunk::<PREFIX>()?;
    rest.get(..usize::from(u16::from_be_bytes(*prefix)))
}
