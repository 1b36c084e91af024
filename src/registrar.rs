//! Room `registrar`; see `lib.rs`.
