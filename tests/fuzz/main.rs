//! Replays the committed corpus of every fuzz target through the target's own body.

mod bayeux;
mod endpoint;
mod gateway;
mod http;
mod journal;
mod load;
mod media;
mod rest;
mod rtp;
mod sdp;
mod sip;
mod webrtc;

use std::collections::BTreeSet;
use std::path::Path;

type Body = fn(&[u8]);

/// Every target of `fuzz/fuzz_targets` and its body.
const TARGETS: [(&str, Body); 25] = [
    ("sip_message", sip::sip_message),
    ("sip_framing", sip::sip_framing),
    ("sip_uri", sip::sip_uri),
    ("sip_refer", sip::sip_refer),
    ("sip_digest", sip::sip_digest),
    ("sdp", sdp::sdp),
    ("sip_endpoint", endpoint::sip_endpoint),
    ("bayeux", bayeux::bayeux),
    ("rest_request", rest::rest_request),
    ("credentials", http::credentials),
    ("journal", journal::journal),
    ("stun", webrtc::stun),
    ("stun_stream", webrtc::stun_stream),
    ("srtp_unprotect", webrtc::srtp_unprotect),
    ("dtls_input", webrtc::dtls_input),
    ("ice", webrtc::ice),
    ("rtp", rtp::rtp),
    ("rtcp", rtp::rtcp),
    ("dtmf", rtp::dtmf),
    ("demux", rtp::demux),
    ("opus_decode", rtp::opus_decode),
    ("media_engine", media::media_engine),
    ("wav", media::wav),
    ("gateway_page", gateway::gateway_page),
    ("bencode", load::bencode),
];

fn fuzz(folder: &str) -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|entry| entry.expect("a readable folder").path()).collect()
}

/// Feeds each seed of these targets to its body; the name of the last one read is in the output of a failure.
fn replay(wanted: impl Fn(&str) -> bool) {
    for (target, body) in TARGETS.into_iter().filter(|(target, _)| wanted(target)) {
        let seeds = fuzz(&format!("corpus/{target}"));
        assert!(!seeds.is_empty(), "no seeds of {target}");
        for seed in seeds {
            println!("{}", seed.display());
            body(&std::fs::read(&seed).expect("a readable seed"));
        }
    }
}

#[test]
fn sip_corpora_replay() {
    replay(|target| target.starts_with("sip_"));
}

#[test]
fn all_other_corpora_replay() {
    replay(|target| !target.starts_with("sip_"));
}

#[test]
fn every_target_and_every_corpus_is_replayed() {
    let replayed: BTreeSet<_> = TARGETS.iter().map(|(target, _)| (*target).to_owned()).collect();
    for folder in ["fuzz_targets", "corpus"] {
        let stem = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
        let found: BTreeSet<_> = fuzz(folder).iter().map(|path| stem(path)).collect();
        assert_eq!(found, replayed, "{folder}");
    }
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml"));
    let manifest = manifest.expect("the manifest of the targets");
    let built: BTreeSet<_> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\"").map(str::to_owned))
        .collect();
    assert_eq!(built, replayed, "fuzz/Cargo.toml");
}
