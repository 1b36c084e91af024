//! What the bridge does to a voice, to be heard and scored: speech through the engine in simulated time, both ways, with random
//! and bursty loss; writes WAV files for `score.py`. Run it by `make quality`.
//!
//! ```text
//! trunk ─ µ-law ─► engine ─ Opus ─► loss ─► libopus, as a browser: FEC, else concealment     against the decoded µ-law
//! browser ─ Opus ─► loss ─► engine ─ µ-law ─► trunk                                          against the source
//! ```
#[allow(dead_code)]
#[path = "../../tests/media/rig.rs"]
mod rig;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crosspoint::codec::{g711, opus};
use crosspoint::media::{Socket, Sound};
use crosspoint::packet::PacketBuf;
use crosspoint::plan::*;
use crosspoint::rtp::rtcp::{Report as Rtcp, ReportBlock, write_compound};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::rig::*;

const FRAME: usize = 160;
const SEEDS: u64 = 3;
/// Of all packets, in percent.
const LOSSES: [u8; 5] = [0, 1, 3, 5, 10];
/// Mean length of a burst, packets.
const BURST: f64 = 2.5;
const TEXT: &str = "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. It is easy to tell \
    the depth of a well. These days a chicken leg is a rare dish. Rice is often served in round bowls. The juice of lemons \
    makes fine punch. The box was thrown beside the parked truck.";

fn opus_with(fec: bool) -> AudioCodec {
    AudioCodec::Opus(OpusParams { fec, ..OpusParams::default() })
}

/// Which packets are lost: at random, or in bursts (Gilbert's model: a packet behind a lost one is lost by another chance).
fn losses(percent: u8, bursty: bool, packets: usize, seed: u64) -> Vec<bool> {
    let mut rng = StdRng::seed_from_u64(seed);
    let share = f64::from(percent) / 100.0;
    let (begin, go_on) = if bursty { (share / (1.0 - share) / BURST, 1.0 - 1.0 / BURST) } else { (share, share) };
    let mut lost = false;
    (0..packets)
        .map(|_| {
            lost = rng.random_bool(if lost { go_on } else { begin });
            lost
        })
        .collect()
}

/// The browser tells of its loss, as its receiver reports do.
fn report(rig: &mut Rig, percent: u8) {
    let fraction_lost = (u16::from(percent) * 256 / 100) as u8;
    let block = ReportBlock { ssrc: 1, fraction_lost, ..ReportBlock::default() };
    let mut room = [0; 256];
    let compound = Rtcp { ssrc: 77, sender: None, blocks: &[block], cname: "browser", bye: false };
    let len = write_compound(&mut room, &compound).expect("room");
    let mut packet = PacketBuf::new();
    packet.copy_from(&room[..len]);
    let from = remote(A, plan(opus_with(true))).rtcp;
    rig.engine.handle_datagram(Socket::Rtcp(pair(A)), from, &mut packet, rig.now, &mut rig.out);
}

fn to_browser(frames: &[&[i16]], lost: &[bool], percent: u8, fec: bool) -> Vec<i16> {
    let mut rig = Rig::new(plan(opus_with(fec)), plan(AudioCodec::Pcmu));
    report(&mut rig, percent);
    let (mut header, _) = Speaker::new(B, plan(AudioCodec::Pcmu), 0.0).next(20);
    let mut decoder = opus::Decoder::new().expect("libopus");
    let (mut pcm, mut missing) = (Vec::new(), 0);
    for (frame, lost) in frames.iter().zip(lost) {
        let mut payload = [0; FRAME];
        g711::encode_ulaw(frame, &mut payload);
        rig.arrive(B, header, &payload);
        (header.seq, header.timestamp) = (header.seq.wrapping_add(1), header.timestamp.wrapping_add(160));
        rig.pass(Duration::from_millis(20));
        for packet in rig.heard(A) {
            if *lost {
                missing += 1;
                continue;
            }
            let mut out = [0; 960];
            for k in (0..missing).rev() {
                // The last one lost may be in this packet.
                let made = if k == 0 && fec {
                    decoder.decode_fec(&packet.payload, &mut out[..FRAME])
                } else {
                    decoder.conceal(&mut out[..FRAME])
                };
                made.expect("libopus");
                pcm.extend_from_slice(&out[..FRAME]);
            }
            missing = 0;
            let len = decoder.decode(&packet.payload, &mut out).expect("Opus");
            pcm.extend_from_slice(&out[..len]);
        }
        rig.out.0.clear();
    }
    pcm
}

fn to_trunk(frames: &[&[i16]], lost: &[bool], percent: u8, fec: bool) -> Vec<i16> {
    let mut rig = Rig::new(plan(opus_with(fec)), plan(AudioCodec::Pcmu));
    // A browser that obeys the narrow-band hint, at the complexity of a desktop.
    let params = OpusParams { fec, complexity: 9, ..OpusParams::default() };
    let mut encoder = opus::Encoder::new(params).expect("libopus");
    encoder.set_loss_percent(percent).expect("libopus");
    let (mut header, _) = Speaker::new(A, plan(opus_with(fec)), 0.0).next(20);
    let (mut pcm, mut begun) = (Vec::new(), None);
    for (frame, lost) in frames.iter().zip(lost) {
        let mut payload = [0; 1275];
        let len = encoder.encode(frame, &mut payload).expect("a frame");
        if !lost {
            rig.arrive(A, header, &payload[..len]);
        }
        (header.seq, header.timestamp) = (header.seq.wrapping_add(1), header.timestamp.wrapping_add(960));
        rig.pass(Duration::from_millis(20));
        for packet in rig.heard(B) {
            // Where the trunk is sent nothing, it hears nothing.
            let at = packet.header.timestamp.wrapping_sub(*begun.get_or_insert(packet.header.timestamp)) as usize;
            pcm.resize(at.max(pcm.len()), 0);
            let mut out = [0; 960];
            let len = g711::decode_ulaw(&packet.payload, &mut out);
            pcm.extend_from_slice(&out[..len]);
        }
        rig.out.0.clear();
    }
    pcm
}

fn write_wav(path: &Path, pcm: &[i16]) -> std::io::Result<()> {
    let bytes = pcm.len() as u32 * 2;
    let mut file = Vec::with_capacity(44 + bytes as usize);
    file.extend(b"RIFF");
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt ");
    for word in [16u32, 0x0001_0001, 8000, 16_000, 0x0010_0002] {
        file.extend(word.to_le_bytes());
    }
    file.extend(b"data");
    file.extend(bytes.to_le_bytes());
    pcm.iter().for_each(|sample| file.extend(sample.to_le_bytes()));
    std::fs::write(path, file)
}

/// Has a voice speak, and returns it at 8 kHz.
fn speech(directory: &Path) -> Vec<i16> {
    let path = directory.join("speech.wav");
    let spoken = Command::new("espeak-ng").args(["-v", "en", "-s", "140", "-w"]).arg(&path).arg(TEXT).status();
    assert!(spoken.is_ok_and(|status| status.success()), "espeak-ng is needed: scripts/setup.sh quality");
    let file = std::fs::read(&path).expect("espeak-ng has written it");
    Sound::from_wav(&file, -3).expect("a WAVE file").samples().to_vec()
}

fn main() {
    let directory = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let Some(directory) = directory.map(std::path::PathBuf::from) else {
        println!("quality: needs a directory for what it writes; run `make quality`");
        return;
    };
    std::fs::create_dir_all(&directory).expect("a directory");
    let source = speech(&directory);
    let frames: Vec<&[i16]> = source.chunks_exact(FRAME).collect();
    let mut octets = vec![0; source.len()];
    g711::encode_ulaw(&source, &mut octets);
    let mut decoded = vec![0; source.len()];
    g711::decode_ulaw(&octets, &mut decoded);
    let write = |name: &str, pcm: &[i16]| write_wav(&directory.join(format!("{name}.wav")), pcm).expect("written");
    write("ref.source", &source);
    write("ref.ulaw", &decoded);
    for percent in LOSSES {
        for kind in ["random", "bursty"] {
            for seed in 0..if percent == 0 { 1 } else { SEEDS } {
                let lost = losses(percent, kind == "bursty", frames.len(), seed);
                for fec in [true, false] {
                    let with = if fec { "fec" } else { "plain" };
                    let name = |way| format!("{way}.{kind}.{percent}.{with}.{seed}");
                    write(&name("to_browser"), &to_browser(&frames, &lost, percent, fec));
                    write(&name("to_trunk"), &to_trunk(&frames, &lost, percent, fec));
                }
            }
        }
    }
}
