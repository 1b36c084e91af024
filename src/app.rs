//! Room `app`; see `lib.rs`.
