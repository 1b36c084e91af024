//! Both kinds of legs against the shapes that the peers write.

use super::*;

mod browser_leg;
mod trunk_leg;

fn text(sdp: &[u8]) -> String {
    String::from_utf8(sdp.to_vec()).expect("our descriptions are ASCII")
}

/// Returns the m-lines and `o=` version of a description.
fn m_lines(sdp: &[u8]) -> Vec<String> {
    text(sdp).lines().filter(|l| l.starts_with("m=")).map(str::to_owned).collect()
}

fn version(sdp: &[u8]) -> u64 {
    Session::parse(sdp).expect("our own").origin().1
}

fn has(sdp: &[u8], line: &str) -> bool {
    text(sdp).lines().any(|l| l == line)
}
