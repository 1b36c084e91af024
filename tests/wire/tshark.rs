//! What tshark, Wireshark's reader, has to say of what we send: nothing.

use std::path::Path;
use std::process::Command;

use crosspoint::lab::Recorder;

/// A complaint of this severity counts: a note, a warning or an error. Below are remarks on the course of a call.
const NOTE: &str = "0x400000";

/// What tshark needs to be told of packets that no description announces: to look into them before it goes by the port,
/// for a port of ours may be another protocol's in tshark's list (37008: TZSP).
const HINTS: [&str; 10] = [
    "-o",
    "udp.try_heuristic_first:TRUE",
    "-o",
    "rtp.heuristic_rtp:TRUE",
    "--enable-heuristic",
    "sip_udp",
    "--enable-heuristic",
    "rtp_udp",
    "--enable-heuristic",
    "rtcp_udp",
];

/// Returns the fields of the packets that pass a filter, a line each.
pub fn fields(file: &Path, filter: &str, hints: &[&str], fields: &[&str]) -> Vec<String> {
    let output = Command::new("tshark")
        .args(["-r", &file.to_string_lossy(), "-Y", filter])
        .args(hints)
        .args(["-T", "fields"])
        .args(fields.iter().flat_map(|field| ["-e", field]))
        .output()
        .unwrap_or_else(|e| panic!("tshark: {e}; `make test` installs it"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn read(file: &Path, filter: &str) -> Vec<String> {
    fields(file, filter, &HINTS, &["frame.number", "frame.protocols", "_ws.expert.message"])
}

/// Asserts that tshark reads every packet from `gateway` (an IP address), each as one of `protocols`, without a complaint.
pub fn reads_without_a_complaint(recorder: &Recorder, gateway: &str, protocols: &[&str]) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), recorder.file()).expect("written");
    let ours = format!("ip.src == {gateway}");
    for protocol in protocols {
        assert!(!read(file.path(), &format!("{ours} && {protocol}")).is_empty(), "tshark saw no {protocol} of ours");
    }
    let unread = read(file.path(), &format!("{ours} && !({})", protocols.join(" || ")));
    assert_eq!(unread, [""; 0], "tshark does not know what these are");
    let complaints = read(file.path(), &format!("{ours} && (_ws.malformed || _ws.expert.severity >= {NOTE})"));
    assert_eq!(complaints, [""; 0], "tshark complains");
}
