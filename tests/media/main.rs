//! The media plane: the engine in simulated time, and a browser leg from its first check to audio.

mod bridge;
mod browser;
mod changes;
mod digits;
mod drift;
mod feedback;
mod hostile;
mod loss;
mod mixing;
#[allow(dead_code)]
mod peer;
mod restart;
mod rig;
mod silence;
mod sources;
mod waiting;
mod worker;
