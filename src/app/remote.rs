//! A way to a running gateway for parts of the program that do not own it.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Notify;

use super::{Figures, Handle, RunningApp};
use crate::call::Command;
use crate::desk::{Answer, AttachedData, Operation, UserName};
use crate::io::desk;

/// A way to the gateway; cheap to clone, and of no use once it has ended.
#[derive(Clone)]
pub struct Remote {
    signalling: Handle,
    desk: Option<desk::Handle>,
    reload: Option<Arc<Notify>>,
}

impl RunningApp {
    /// Returns a way to the gateway that may be given away.
    pub fn remote(&self) -> Remote {
        let desk = self.desk.as_ref().map(|(handle, _)| handle.clone());
        Remote { signalling: self.signalling.clone(), desk, reload: self.reload.clone() }
    }
}

impl Remote {
    /// Asks something of a call; false where the gateway has ended.
    pub async fn command(&self, command: Command) -> bool {
        self.signalling.command(command).await.is_ok()
    }

    /// Has the agents of the configuration's file taken up at once; false where the file is not watched, or there is no
    /// agents' side.
    pub fn reload(&self) -> bool {
        self.reload.as_ref().inspect(|asked| asked.notify_one()).is_some()
    }

    /// Returns the figures of this moment; `None` where the gateway has ended.
    pub async fn figures(&self) -> Option<Figures> {
        self.signalling.figures().await.ok()
    }

    /// Returns the agents, and their changes from here on; `None` where there are none.
    pub async fn agents(&self) -> Option<desk::Agents> {
        self.desk.as_ref()?.agents().await.ok()
    }

    /// Asks something in the name of an agent; `None` where there are none.
    pub async fn operate(&self, agent: &UserName, what: Operation) -> Option<Answer> {
        self.desk.as_ref()?.operate(agent, what).await.ok()
    }

    /// Tells an agent of something else than a call; false where there are none.
    pub async fn interaction(&self, agent: UserName, data: Value) -> bool {
        match &self.desk {
            Some(desk) => desk.interaction(agent, data).await.is_ok(),
            None => false,
        }
    }

    /// Says what somebody else knows of a call; false where there are no agents.
    pub async fn told(&self, call_uuid: String, conn_id: Option<String>, data: AttachedData) -> bool {
        match &self.desk {
            Some(desk) => desk.told(call_uuid, conn_id, data).await.is_ok(),
            None => false,
        }
    }
}
