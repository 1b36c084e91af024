//! Room `codec`; see `lib.rs`.
