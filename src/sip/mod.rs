//! Room `sip`; see `lib.rs`.
