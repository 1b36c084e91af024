//! Room `gateway`; see `lib.rs`.
