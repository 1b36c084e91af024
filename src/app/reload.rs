//! Agents are taken up from the configuration's file while the gateway runs.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::compose;
use crate::config::Config;
use crate::io::desk::Handle;

/// What tells one version of a file from another: time of change, length, inode.
type Stamp = Option<(i64, i64, u64, u64)>;

/// Looks for a changed file for ever, at once when it is `asked`, and hands its agents to the desk. A file with a mistake
/// changes nothing.
pub(super) async fn watch(file: PathBuf, every: Duration, mut known: Config, desk: Handle, asked: Arc<Notify>) {
    let mut seen = stamp(&file);
    loop {
        let is_asked = tokio::select! {
            () = tokio::time::sleep(every) => false,
            () = asked.notified() => true,
        };
        let now = stamp(&file);
        // Whoever asks gets an answer, if only that the file is not there.
        if !is_asked && (now == seen || now.is_none()) {
            continue;
        }
        seen = now;
        let path = file.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || Config::load(&path)).await else { return };
        match read {
            Ok(config) => {
                if !take_up(&mut known, config, &desk, is_asked).await {
                    return;
                }
            }
            Err(error) => tracing::warn!(%error, "agents not reloaded, the old ones stay"),
        }
    }
}

/// Takes up what can be while the gateway runs; returns false once the desk has ended.
async fn take_up(known: &mut Config, config: Config, desk: &Handle, is_asked: bool) -> bool {
    let is_new = known.agents != config.agents;
    known.agents.clone_from(&config.agents);
    if *known != config {
        tracing::warn!("the file has other changes than of agents: they count from the next start on");
    }
    if !is_new {
        if is_asked {
            tracing::info!(agents = config.agents.len(), "agents are as they were");
        }
        return true;
    }
    let agents = compose::agents(&config);
    tracing::info!(agents = agents.len(), "agents reloaded");
    desk.set_agents(agents).await.is_ok()
}

fn stamp(file: &Path) -> Stamp {
    std::fs::metadata(file).ok().map(|m| (m.mtime(), m.mtime_nsec(), m.len(), m.ino()))
}
