//! Any bytes as a session description: no panic, and what we write can be read and holds its rules.

use crosspoint::plan::{AudioCodec, Fingerprint, IceCredentials, OpusParams};
use crosspoint::sdp::description::Session;
use crosspoint::sdp::offer_answer::{
    AudioWish, BrowserLocal, RtpLocal, accept_browser_answer, accept_rtp_answer, answer_browser, answer_rtp,
    offer_browser, offer_rtp,
};

/// What a site may wish of Opus and beside it: as it comes, and with all that may be set.
const WISHES: [Wish; 2] = [
    Wish { dtx: false, opus_ptime_ms: 20, narrowband: true, noise: false, g711_first: false },
    Wish { dtx: true, opus_ptime_ms: 40, narrowband: false, noise: true, g711_first: true },
];

#[derive(Clone, Copy)]
struct Wish {
    dtx: bool,
    opus_ptime_ms: u8,
    narrowband: bool,
    noise: bool,
    g711_first: bool,
}

impl Wish {
    fn add(self, mut audio: AudioWish) -> AudioWish {
        let Wish { opus_ptime_ms, narrowband, noise, g711_first, .. } = self;
        (audio.opus_ptime_ms, audio.narrowband, audio.noise) = (opus_ptime_ms, narrowband, noise);
        audio.codecs.rotate_left(usize::from(g711_first));
        audio
    }
}

fn browser(wish: Wish) -> BrowserLocal {
    BrowserLocal {
        candidates: vec!["203.0.113.5:10000".parse().expect("an address")],
        ice: IceCredentials { ufrag: "gatew4y0".to_owned(), pwd: "0123456789abcdefghijklmn".to_owned() },
        fingerprint: Fingerprint([0xAB; 32]),
        ssrc: 77,
        cname: "leg-1".to_owned(),
        session_id: 4711,
        audio: wish.add(AudioWish::browser(OpusParams { dtx: wish.dtx, ..OpusParams::default() })),
    }
}

fn trunk(wish: Wish) -> RtpLocal {
    let audio = wish.add(AudioWish::trunk(vec![AudioCodec::Pcmu, AudioCodec::Pcma]));
    RtpLocal { rtp: "192.0.2.54:10020".parse().expect("an address"), session_id: 99, audio }
}

/// Checks what every answer must hold: it can be read, has the m-lines of the offer, and one with a port where there are any.
fn check_answer(offer: &[u8], answer: &[u8]) {
    let offer = Session::parse(offer).expect("it was answered");
    let answer = Session::parse(answer).expect("our answer can be read");
    assert_eq!(offer.media().len(), answer.media().len());
    for (theirs, ours) in offer.media().zip(answer.media()) {
        assert_eq!((theirs.kind(), theirs.protocol()), (ours.kind(), ours.protocol()));
        for pt in ours.payload_types().filter(|_| ours.port() != 0) {
            assert!(theirs.payload_types().any(|p| p == pt), "only what was offered is answered");
        }
    }
    let wanted = offer.media().count().min(1);
    assert_eq!(answer.media().filter(|m| m.port() != 0).count(), wanted);
}

/// Reads any bytes as an offer and as an answer, on both kinds of legs.
pub fn sdp(data: &[u8]) {
    if let Ok(session) = Session::parse(data) {
        let written = session.to_bytes();
        let again = Session::parse(&written).expect("what was read can be written and read");
        assert_eq!(again.to_bytes(), written);
        for media in session.media() {
            assert!(media.udp_candidates().count() <= media.candidates().address);
            let _ = (media.candidates(), media.rtcp(), media.sha256_fingerprint(), media.ice(), media.direction());
        }
    }
    #[cfg(feature = "load")]
    for offered in [false, true] {
        let _ = crosspoint::load::browser::sdp::read(data, offered);
    }
    WISHES.into_iter().for_each(|wish| negotiate(data, wish));
}

/// Both kinds of legs with one wish.
fn negotiate(data: &[u8], wish: Wish) {
    if let Ok(first) = answer_browser(data, &browser(wish), None) {
        check_answer(data, &first.sdp);
        let again = answer_browser(data, &browser(wish), Some(&first.agreed)).expect("it was answered before");
        assert_eq!(again.sdp, first.sdp, "the same offer gets the same answer");
        assert!(!first.agreed.is_ice_restart(data));
        let (offer, state) = offer_browser(&browser(wish), Some(&first.agreed));
        assert_eq!(Session::parse(&offer).expect("our offer can be read").media().filter(|m| m.port() != 0).count(), 1);
        let _ = accept_browser_answer(&state, data);
    }
    if let Ok(first) = answer_rtp(data, &trunk(wish), None) {
        check_answer(data, &first.sdp);
        assert!((10..=60).contains(&first.remote.audio.ptime_ms));
        let again = answer_rtp(data, &trunk(wish), Some(&first.agreed)).expect("it was answered before");
        assert_eq!(again.sdp, first.sdp, "the same offer gets the same answer");
        let (offer, state) = offer_rtp(&trunk(wish), Some(&first.agreed));
        assert_eq!(Session::parse(&offer).expect("our offer can be read").media().filter(|m| m.port() != 0).count(), 1);
        let _ = accept_rtp_answer(&state, data);
    }
    let _ = accept_browser_answer(&offer_browser(&browser(wish), None).1, data);
    let _ = accept_rtp_answer(&offer_rtp(&trunk(wish), None).1, data);
}
