//! Replays the committed corpus of every fuzz target through the target's own body.

use std::path::Path;

/// Feeds each file of `fuzz/corpus/<target>` to `body`, and fails when there is none.
#[allow(dead_code)]
fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let file = entry.expect("a readable folder").path();
        body(&std::fs::read(&file).expect("a readable seed"));
        count += 1;
    }
    assert!(count > 0, "no seeds in {}", folder.display());
}

mod sip;

#[test]
fn sip_corpora_replay() {
    replay("sip_message", sip::sip_message);
    replay("sip_framing", sip::sip_framing);
    replay("sip_uri", sip::sip_uri);
    replay("sip_refer", sip::sip_refer);
    replay("sip_digest", sip::sip_digest);
}

mod sdp;

#[test]
fn sdp_corpus_replays() {
    replay("sdp", sdp::sdp);
}

mod endpoint;

#[test]
fn sip_endpoint_corpus_replays() {
    replay("sip_endpoint", endpoint::sip_endpoint);
}

mod webrtc;

#[test]
fn webrtc_corpora_replay() {
    replay("stun", webrtc::stun);
    replay("stun_stream", webrtc::stun_stream);
    replay("srtp_unprotect", webrtc::srtp_unprotect);
    replay("dtls_input", webrtc::dtls_input);
    replay("ice", webrtc::ice);
}

mod rtp;

#[test]
fn rtp_corpora_replay() {
    replay("rtp", rtp::rtp);
    replay("rtcp", rtp::rtcp);
    replay("dtmf", rtp::dtmf);
    replay("demux", rtp::demux);
    replay("opus_decode", rtp::opus_decode);
}

mod media;

#[test]
fn media_engine_corpus_replays() {
    replay("media_engine", media::media_engine);
}
