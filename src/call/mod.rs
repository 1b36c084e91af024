//! Room `call`; see `lib.rs`.
