//! Room `sdp`; see `lib.rs`.
