//! `crosspoint load`: drives any SIP/WebRTC gateway and reports what it costs, beside the floor (feature `load`).

pub mod floor;
