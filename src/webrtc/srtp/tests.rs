use super::cipher::Cipher;
use super::kdf::{Label, counter_key, counter_mode, derive};
use super::*;
use crate::webrtc::Discard;

const PROFILES: [Profile; 3] = [Profile::Aes128Gcm, Profile::Aes256Gcm, Profile::AesCm128HmacSha1_80];

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The browser's outbound and our inbound side, and the other way round.
fn peers(profile: Profile) -> ((Inbound, Outbound), (Inbound, Outbound)) {
    let material: Vec<u8> = (0..profile.material_len()).map(|n| (n * 7 + 3) as u8).collect();
    (session(profile, &material, Side::Client).unwrap(), session(profile, &material, Side::Server).unwrap())
}

fn rtp(seq: u16, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 111];
    packet.extend(seq.to_be_bytes());
    packet.extend([0, 0, 3, 0x20]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

fn sealed(out: &mut Outbound, plain: &[u8]) -> Vec<u8> {
    let mut buf = plain.to_vec();
    buf.resize(plain.len() + 20, 0);
    let len = out.protect_rtp(&mut buf, plain.len()).unwrap();
    buf.truncate(len);
    buf
}

fn report(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x81, 202, 0, 2, 0, 0, 0, 7, 1, 2, b'a', b'b']);
    packet
}

fn sealed_rtcp(out: &mut Outbound, plain: &[u8]) -> Vec<u8> {
    let mut buf = plain.to_vec();
    buf.resize(plain.len() + 20, 0);
    let len = out.protect_rtcp(&mut buf, plain.len()).unwrap();
    buf.truncate(len);
    buf
}

#[test]
fn key_stream_is_that_of_rfc_3711_b_2() {
    let key = counter_key(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap();
    let iv: [u8; 16] = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
    let mut stream = [0; 48];
    assert!(counter_mode(&key, iv, &mut stream));
    assert_eq!(
        stream.to_vec(),
        hex("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0")
    );
}

#[test]
fn session_keys_are_those_of_rfc_3711_b_3() {
    let master = counter_key(&hex("E1F97A0D3E018BE0D64FA32C06DE4139")).unwrap();
    let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
    let key = |label, len| {
        let mut out = vec![0; len];
        derive(&master, &salt, label, &mut out).unwrap();
        out
    };
    assert_eq!(key(Label::RtpKey, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(key(Label::RtpSalt, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(key(Label::RtpAuth, 20), hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
}

fn rfc_7714_cipher(key: &str) -> Cipher {
    let mut salt = [0; 14];
    salt[..12].copy_from_slice(&hex("517569642070726f2071756f"));
    let key = hex(key);
    let profile = if key.len() == 32 { Profile::Aes256Gcm } else { Profile::Aes128Gcm };
    Cipher::with_session_keys(profile, &key, salt, &[0; 20]).unwrap()
}

const GALLIA: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070
                      61727465 73207472 6573";

#[test]
fn srtp_packet_is_that_of_rfc_7714_16_1() {
    let cipher = rfc_7714_cipher("000102030405060708090a0b0c0d0e0f");
    let mut packet = hex(GALLIA);
    let plain = packet.clone();
    packet.resize(plain.len() + 16, 0);
    let len = cipher.seal_rtp(&mut packet, plain.len(), 12, 0x5501_a0b2, 0xf17b).unwrap();
    assert_eq!(
        packet[..len],
        hex("8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b
             36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce")
    );
    assert_eq!(cipher.open_rtp(&mut packet, 12, 0x5501_a0b2, 0xf17b), Ok(plain.len()));
    assert_eq!(packet[..plain.len()], plain);
}

#[test]
fn srtp_packet_is_that_of_rfc_7714_16_2() {
    let cipher = rfc_7714_cipher("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    let mut packet = hex(GALLIA);
    let plain = packet.len();
    packet.resize(plain + 16, 0);
    let len = cipher.seal_rtp(&mut packet, plain, 12, 0x5501_a0b2, 0xf17b).unwrap();
    assert_eq!(
        packet[..len],
        hex("8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f
             1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13")
    );
}

#[test]
fn srtcp_packet_is_that_of_rfc_7714_17_1() {
    let cipher = rfc_7714_cipher("000102030405060708090a0b0c0d0e0f");
    let mut packet = hex("81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef
                          deadbeef deadbeef deadbeef");
    let plain = packet.clone();
    packet.resize(plain.len() + 20, 0);
    let len = cipher.seal_rtcp(&mut packet, plain.len(), 0x4d61_7273, 0x5d4).unwrap();
    assert_eq!(
        packet[..len],
        hex("81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda 4ce09b46
             86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4")
    );
    assert_eq!(cipher.rtcp_index(&packet), Ok(0x5d4));
    assert_eq!(cipher.open_rtcp(&mut packet, 0x4d61_7273, 0x5d4), Ok(plain.len()));
    assert_eq!(packet[..plain.len()], plain);
}

#[test]
fn what_one_side_protects_the_other_reads() {
    for profile in PROFILES {
        let ((mut browser_in, mut browser_out), (mut in_, mut out)) = peers(profile);
        for seq in 0..300u16 {
            let plain = rtp(65_400u16.wrapping_add(seq), 7, b"payload");
            let mut packet = sealed(&mut browser_out, &plain);
            assert_ne!(packet[12..19], plain[12..]);
            let len = in_.unprotect_rtp(&mut packet).unwrap();
            assert_eq!(packet[..len], plain, "{profile:?} {seq}");
            let mut packet = sealed(&mut out, &plain);
            assert_eq!(browser_in.unprotect_rtp(&mut packet), Ok(plain.len()));
        }
        let mut packet = sealed_rtcp(&mut browser_out, &report(7));
        assert_eq!(packet.len(), report(7).len() + 4 + profile.tag_len());
        let len = in_.unprotect_rtcp(&mut packet).unwrap();
        assert_eq!(packet[..len], report(7));
    }
}

#[test]
fn header_extension_and_csrcs_stay_plain() {
    for profile in PROFILES {
        let ((_, mut browser), (mut in_, _)) = peers(profile);
        let mut plain = rtp(1, 7, &[]);
        plain[0] = 0x92;
        plain.extend([9; 8]);
        plain.extend([0xbe, 0xde, 0, 1, 0x10, 5, 0, 0]);
        plain.extend(b"secret");
        let mut packet = sealed(&mut browser, &plain);
        assert_eq!(packet[..28], plain[..28]);
        assert_ne!(packet[28..34], plain[28..]);
        assert_eq!(in_.unprotect_rtp(&mut packet), Ok(plain.len()));
        assert_eq!(packet[..plain.len()], plain);
    }
}

#[test]
fn forged_bit_anywhere_is_refused_and_leaves_no_state() {
    for profile in PROFILES {
        let ((_, mut browser), (mut in_, _)) = peers(profile);
        let good = sealed(&mut browser, &rtp(40_000, 7, b"voice"));
        for bit in 0..good.len() * 8 {
            let mut forged = good.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(in_.unprotect_rtp(&mut forged).is_err(), "{profile:?} bit {bit}");
        }
        assert!(in_.unprotect_rtp(&mut good.clone()).is_ok());
        let good = sealed_rtcp(&mut browser, &report(7));
        for bit in 0..good.len() * 8 {
            let mut forged = good.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(in_.unprotect_rtcp(&mut forged).is_err(), "{profile:?} bit {bit}");
        }
        assert!(in_.unprotect_rtcp(&mut good.clone()).is_ok());
    }
}

#[test]
fn flood_of_invalid_packets_costs_no_source_slots_and_harms_nothing() {
    for profile in PROFILES {
        let ((_, mut browser), (mut in_, _)) = peers(profile);
        for ssrc in 0..1000 {
            assert_eq!(in_.unprotect_rtp(&mut rtp(1, ssrc, &[0; 40])), Err(Discard::SrtpAuth));
        }
        assert!(in_.unprotect_rtp(&mut sealed(&mut browser, &rtp(1, 5000, b"voice"))).is_ok());
    }
}

#[test]
fn replayed_packet_is_refused() {
    for profile in PROFILES {
        let ((_, mut browser), (mut in_, _)) = peers(profile);
        let packet = sealed(&mut browser, &rtp(5, 7, b"voice"));
        assert!(in_.unprotect_rtp(&mut packet.clone()).is_ok());
        assert_eq!(in_.unprotect_rtp(&mut packet.clone()), Err(Discard::SrtpReplay));
        let packet = sealed_rtcp(&mut browser, &report(7));
        assert!(in_.unprotect_rtcp(&mut packet.clone()).is_ok());
        assert_eq!(in_.unprotect_rtcp(&mut packet.clone()), Err(Discard::SrtpReplay));
    }
}

#[test]
fn packets_within_128_of_the_newest_may_come_late_and_once() {
    let ((_, mut browser), (mut in_, _)) = peers(Profile::Aes128Gcm);
    let packets: Vec<_> = (0..200u16).map(|seq| sealed(&mut browser, &rtp(seq, 7, b"voice"))).collect();
    assert!(in_.unprotect_rtp(&mut packets[150].clone()).is_ok());
    assert!(in_.unprotect_rtp(&mut packets[23].clone()).is_ok(), "127 behind");
    assert_eq!(in_.unprotect_rtp(&mut packets[23].clone()), Err(Discard::SrtpReplay));
    assert_eq!(in_.unprotect_rtp(&mut packets[22].clone()), Err(Discard::SrtpReplay), "128 behind");
}

#[test]
fn late_packet_from_before_the_rollover_is_read() {
    for profile in PROFILES {
        let ((_, mut browser), (mut in_, _)) = peers(profile);
        let packets: Vec<_> =
            [65_534, 65_535, 0, 1].iter().map(|seq| sealed(&mut browser, &rtp(*seq, 7, b"v"))).collect();
        for at in [0, 3, 1, 2] {
            assert!(in_.unprotect_rtp(&mut packets[at].clone()).is_ok(), "{profile:?} {at}");
        }
    }
}

#[test]
fn replay_state_and_roc_survive_a_hold_of_any_length() {
    // The sender pauses (hold) right after a rollover, and goes on where it stopped: no clock is involved.
    for profile in PROFILES {
        let ((_, mut browser), (mut in_, _)) = peers(profile);
        let before: Vec<_> =
            (0..40u16).map(|n| sealed(&mut browser, &rtp(65_520u16.wrapping_add(n), 7, b"v"))).collect();
        for packet in &before {
            assert!(in_.unprotect_rtp(&mut packet.clone()).is_ok());
        }
        for packet in &before {
            assert_eq!(in_.unprotect_rtp(&mut packet.clone()), Err(Discard::SrtpReplay));
        }
        let after = sealed(&mut browser, &rtp(65_520u16.wrapping_add(40), 7, b"v"));
        assert!(in_.unprotect_rtp(&mut after.clone()).is_ok());
        // A sender that counted on during the hold is found again within 32,767 packets.
        let later = sealed(&mut browser, &rtp(65_520u16.wrapping_add(30_000), 7, b"v"));
        assert!(in_.unprotect_rtp(&mut later.clone()).is_ok());
    }
}

#[test]
fn new_ssrc_has_its_own_state_and_the_old_one_keeps_its_own() {
    let ((_, mut browser), (mut in_, _)) = peers(Profile::Aes128Gcm);
    let old = sealed(&mut browser, &rtp(9, 1, b"v"));
    assert!(in_.unprotect_rtp(&mut old.clone()).is_ok());
    assert!(in_.unprotect_rtp(&mut sealed(&mut browser, &rtp(9, 2, b"v"))).is_ok());
    assert_eq!(in_.unprotect_rtp(&mut old.clone()), Err(Discard::SrtpReplay));
}

#[test]
fn sources_are_bounded() {
    let ((_, mut browser_a), (mut in_, _)) = peers(Profile::Aes128Gcm);
    for ssrc in 0..64 {
        assert!(in_.unprotect_rtp(&mut sealed(&mut browser_a, &rtp(1, ssrc, b"v"))).is_ok());
    }
    let ((_, mut browser_b), _) = peers(Profile::Aes128Gcm);
    let more = sealed(&mut browser_b, &rtp(1, 64, b"v"));
    assert_eq!(in_.unprotect_rtp(&mut more.clone()), Err(Discard::SrtpSources));
    assert!(in_.unprotect_rtp(&mut sealed(&mut browser_a, &rtp(2, 3, b"v"))).is_ok(), "the known ones go on");
}

#[test]
fn srtcp_with_e_0_is_refused() {
    for profile in PROFILES {
        let ((_, mut browser), (mut in_, _)) = peers(profile);
        let mut packet = sealed_rtcp(&mut browser, &report(7));
        let at = packet.len() - 4 - if profile == Profile::AesCm128HmacSha1_80 { 10 } else { 0 };
        packet[at] &= 0x7f;
        assert_eq!(in_.unprotect_rtcp(&mut packet), Err(Discard::SrtcpClear), "{profile:?}");
    }
}

#[test]
fn short_packets_of_every_length_are_refused_without_panic() {
    for profile in PROFILES {
        let (_, (mut in_, mut out)) = peers(profile);
        for len in 0..64 {
            for first in [0x00, 0x80, 0x8f, 0x90, 0x9f, 0xbf, 0xff] {
                let mut packet = vec![0xff; len];
                if let Some(byte) = packet.first_mut() {
                    *byte = first;
                }
                assert!(in_.unprotect_rtp(&mut packet.clone()).is_err());
                assert!(in_.unprotect_rtcp(&mut packet.clone()).is_err());
                let _ = out.protect_rtp(&mut packet.clone(), len);
                assert!(out.protect_rtcp(&mut packet, len + 1).is_err());
            }
        }
    }
}

#[test]
fn sequence_number_is_never_sealed_twice() {
    for profile in PROFILES {
        let ((_, mut browser), _) = peers(profile);
        sealed(&mut browser, &rtp(5, 7, b"one"));
        let mut again = rtp(5, 7, b"two");
        again.resize(again.len() + 16, 0);
        let len = again.len() - 16;
        assert_eq!(browser.protect_rtp(&mut again, len), Err(Discard::SrtpReplay));
    }
}

#[test]
fn missing_tail_room_is_an_error_and_spends_no_sequence_number() {
    let ((_, mut browser), _) = peers(Profile::Aes128Gcm);
    let mut tight = rtp(5, 7, b"one");
    tight.resize(tight.len() + 15, 0);
    let len = tight.len() - 15;
    assert_eq!(browser.protect_rtp(&mut tight, len), Err(Discard::NoRoom));
    tight.push(0);
    assert!(browser.protect_rtp(&mut tight, len).is_ok());
}

#[test]
fn material_of_the_wrong_length_is_refused() {
    assert_eq!(session(Profile::Aes128Gcm, &[0; 60], Side::Server).err(), Some(KeyError::Length));
}
