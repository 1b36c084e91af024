//! Room `rtp`; see `lib.rs`.
