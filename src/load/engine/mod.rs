//! The driver: all calls of a run, from the first INVITE to the last BYE.
//!
//! ```text
//!  conductor (the caller's runtime): ramp, hold, SIP of both sides ──orders──► media (a thread): every packet of all calls
//!        ▲                                                                        │  ▲
//!        └──────────────────────── told: connected, heard, figures ───────────────┤  └─ keys, findings
//!                                                                                 └─jobs─► background (a thread): DTLS, sound
//! ```
//! The media thread does nothing that takes long, so that its packets leave when they are due; what takes long is done by a thread
//! behind it. All threads can share one core.

mod background;
mod begin;
mod bridge;
mod call;
mod conductor;
mod dialogue;
mod ear;
mod end;
mod media;
mod order;
mod seat;
mod signalling;
#[cfg(test)]
mod tests;
mod wire;
mod witnesses;

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;

use rustix::process::setpriority_process;
use rustix::thread::gettid;
use tokio::sync::mpsc;

use self::background::Background;
use self::conductor::Conductor;
use self::media::Media;
use self::order::{Order, Told};
use self::wire::{Door, Wire};
use super::LoadError;
use super::outcome::{Outcome, Second};
use super::plan::LoadPlan;
use super::process::pin_thread;
use crate::webrtc::dtls::{Certificate, DtlsVersions};

/// What the media thread has to tell: a handful for each call of the largest plan.
const TOLD: usize = 1 << 17;
/// Niceness of the thread that must not be late, where we may have it, and of the one that can wait.
const URGENT: i32 = -10;
const PATIENT: i32 = 10;

/// Makes all calls of a plan and brings back what became of them; ends when the last one has ended. `seconds` is told how it
/// stands, and misses a second where nobody takes them. Dropping the future closes all connections at once.
///
/// # Errors
/// What keeps a run from being made at all; a call that fails is no such thing.
pub async fn drive(plan: &LoadPlan, seconds: mpsc::Sender<Second>) -> Result<Outcome, LoadError> {
    plan.check()?;
    let certificate = Certificate::generate(DtlsVersions::V12).map_err(std::io::Error::other)?;
    let (threads, told) = Threads::start(Arc::new(certificate), plan.driver_core)?;
    Conductor::new(plan, &threads, told, seconds)?.run().await
}

/// The threads; they end when this is dropped.
struct Threads {
    media: Door,
    certificate: Arc<Certificate>,
}

impl Threads {
    fn start(certificate: Arc<Certificate>, core: Option<usize>) -> Result<(Threads, mpsc::Receiver<Told>), LoadError> {
        let (media, wire) = Wire::new()?;
        let (tell, told) = mpsc::channel(TOLD);
        let (jobs, background) = Background::new(media.clone(), certificate.clone());
        let jobs: Sender<_> = jobs;
        spawn("load-media", core, URGENT, move || Media::new(wire, jobs, tell).run())?;
        spawn("load-background", core, PATIENT, move || background.run())?;
        Ok((Threads { media, certificate }, told))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.media.give(Order::Stop);
    }
}

fn spawn(name: &str, core: Option<usize>, niceness: i32, run: impl FnOnce() + Send + 'static) -> Result<(), LoadError> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        if let Some(core) = core
            && let Err(error) = pin_thread(core)
        {
            tracing::warn!(%error, "a thread of the driver is not pinned");
        }
        // Without the right to it the thread is as urgent as any other; its lateness tells.
        let _ = setpriority_process(Some(gettid()), niceness);
        run();
    })?;
    Ok(())
}
