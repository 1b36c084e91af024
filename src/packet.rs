//! Room `packet`; see `lib.rs`.
