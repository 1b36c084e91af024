//! How a leg reaches its peer: WebRTC to a browser, plain RTP to a trunk.

pub(super) mod browser;
pub(super) mod rtp;
