//! Room `http`; see `lib.rs`.
