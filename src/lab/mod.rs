//! Room `lab`; see `lib.rs`.
