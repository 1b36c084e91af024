//! STUN binding requests as ICE sends them (RFC 8489, RFC 8445 7), over `stun-types`.

/// Returns our half of USERNAME, to find the leg that a check is for; nothing is authenticated yet.
pub fn ufrag(datagram: &[u8]) -> Option<&str> {
    let _ = datagram;
    None
}
