//! Agents, from the configuration's shape to what the desk asks for.

use std::time::Duration;

use crate::config::{Config, NotificationType};
use crate::desk::{AgentConfig, DeskConfig, PasswordHash, StatusName};
use crate::id::RunId;

/// Makes the agents. An entry without a sound password, which the check of a configuration refuses, is left out.
pub(in crate::app) fn agents(config: &Config) -> Vec<AgentConfig> {
    let agents = config.agents.iter().filter_map(|entry| {
        Some(AgentConfig {
            user: entry.user.as_str().into(),
            password: PasswordHash::parse(&entry.password.as_ref()?.0)?,
            name: entry.name.clone().unwrap_or_else(|| entry.user.clone()),
            dns: entry.dns.clone(),
            skills: entry.skills.iter().map(|(name, level)| (name.clone(), *level)).collect(),
        })
    });
    agents.collect()
}

/// Returns how messages call a change of a call's state.
pub(super) fn status(config: &Config) -> StatusName {
    match config.desk.notification_type {
        NotificationType::StatusChange => StatusName::StatusChange,
        NotificationType::StateChange => StatusName::StateChange,
    }
}

/// Makes the settings of the desk.
pub(in crate::app) fn desk(config: &Config, run: RunId) -> DeskConfig {
    let desk = &config.desk;
    DeskConfig {
        run,
        agents: agents(config),
        after_call_work: Duration::from_secs(u64::from(desk.after_call_work_seconds)),
        base_uri: desk.base_uri.clone(),
        user_data_fields: desk.user_data_fields.clone(),
        user_data_out: desk.user_data_out.clone(),
        status: status(config),
    }
}
