//! Room `media`; see `lib.rs`.
