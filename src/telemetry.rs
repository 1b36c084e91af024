//! Room `telemetry`; see `lib.rs`.
