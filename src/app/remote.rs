//! A way to a running gateway for parts of the program that do not own it.

use super::{Figures, Handle, RunningApp};
use crate::call::Command;

/// A way to the gateway; cheap to clone, and of no use once it has ended.
#[derive(Clone)]
pub struct Remote {
    signalling: Handle,
}

impl RunningApp {
    /// Returns a way to the gateway that may be given away.
    pub fn remote(&self) -> Remote {
        Remote { signalling: self.signalling.clone() }
    }
}

impl Remote {
    /// Asks something of a call; false where the gateway has ended.
    pub async fn command(&self, command: Command) -> bool {
        self.signalling.command(command).await.is_ok()
    }

    /// Returns the figures of this moment; `None` where the gateway has ended.
    pub async fn figures(&self) -> Option<Figures> {
        self.signalling.figures().await.ok()
    }
}
