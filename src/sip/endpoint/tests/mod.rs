//! The endpoint against a scripted peer, and two endpoints over a simulated network.

mod network;
mod peer;
mod refresh;
mod reliable;
mod requests;
mod setup;
mod talking;
mod transfer;
