//! Room `webrtc`; see `lib.rs`.
