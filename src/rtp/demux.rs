//! Tells the kinds of datagram on one socket apart (RFC 7983 7, RFC 5761 4).

/// What a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// STUN (RFC 8489).
    Stun,
    /// DTLS (RFC 9147, RFC 6347).
    Dtls,
    /// TURN channel data (RFC 8656).
    TurnChannel,
    /// RTP or SRTP.
    Rtp,
    /// RTCP or SRTCP.
    Rtcp,
    /// Nothing that has a place here: ZRTP, the unassigned ranges, fragments too short to be anything.
    Drop,
}

/// Returns the kind of a datagram by its first two octets and its length.
///
/// ```text
///  first octet   0..3 STUN   20..63 DTLS   64..79 TURN channel   128..191 RTP and RTCP
///  second octet  192..223 (RTP payload types 64 to 95 with the marker): RTCP
/// ```
#[inline]
pub fn classify(datagram: &[u8]) -> Kind {
    let &[first, second, ..] = datagram else {
        return Kind::Drop;
    };
    let len = datagram.len();
    match first {
        0..=3 if len >= 20 => Kind::Stun,
        20..=63 if len >= 13 => Kind::Dtls,
        64..=79 if len >= 4 => Kind::TurnChannel,
        128..=191 if (192..=223).contains(&second) => {
            if len >= 8 {
                Kind::Rtcp
            } else {
                Kind::Drop
            }
        }
        128..=191 if len >= 12 => Kind::Rtp,
        _ => Kind::Drop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(first: u8, second: u8, len: usize) -> Kind {
        let mut datagram = vec![0; len.max(2)];
        datagram[0] = first;
        datagram[1] = second;
        classify(&datagram[..len])
    }

    #[test]
    fn the_ranges_of_rfc_7983_hold_at_both_ends() {
        let table = [
            (0, Kind::Stun),
            (3, Kind::Stun),
            (4, Kind::Drop),
            (16, Kind::Drop),
            (19, Kind::Drop),
            (20, Kind::Dtls),
            (63, Kind::Dtls),
            (64, Kind::TurnChannel),
            (79, Kind::TurnChannel),
            (80, Kind::Drop),
            (127, Kind::Drop),
            (128, Kind::Rtp),
            (191, Kind::Rtp),
            (192, Kind::Drop),
            (255, Kind::Drop),
        ];
        for (first, kind) in table {
            assert_eq!(of(first, 0, 64), kind, "{first}");
        }
    }

    #[test]
    fn rtcp_is_told_from_rtp_by_its_packet_type() {
        for (second, kind) in
            [(191, Kind::Rtp), (192, Kind::Rtcp), (200, Kind::Rtcp), (223, Kind::Rtcp), (224, Kind::Rtp)]
        {
            assert_eq!(of(0x80, second, 64), kind, "{second}");
        }
    }

    #[test]
    fn a_datagram_too_short_for_its_kind_is_dropped() {
        assert_eq!(of(0, 1, 19), Kind::Drop);
        assert_eq!(of(22, 254, 12), Kind::Drop);
        assert_eq!(of(0x80, 0, 11), Kind::Drop);
        assert_eq!(of(0x80, 200, 7), Kind::Drop);
        assert_eq!(of(0x80, 200, 1), Kind::Drop);
        assert_eq!(classify(&[]), Kind::Drop);
    }

    #[test]
    fn an_rtcp_packet_of_four_octets_is_dropped_though_it_parses() {
        assert_eq!(classify(&[0x81, 0xcf, 0, 0]), Kind::Drop);
    }
}
