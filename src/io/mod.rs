//! Room `io`; see `lib.rs`.
