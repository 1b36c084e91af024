//! The shell: sockets, threads and the clock around the pure rooms.

pub mod worker;
