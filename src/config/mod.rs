//! Room `config`; see `lib.rs`.
