//! The agents of the gateway beside the lab: those of its desk; without agents in its configuration, whoever is signed in at a
//! phone and has no call is Ready for everything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use super::inbound::Floor;
use super::routing::{Agent, Queue};
use crate::app::Remote;
use crate::desk::{AgentState, AgentView, Operation, UserName};

/// Why an agent who did not answer is NotReady.
const NO_ANSWER: &str = "no answer";

/// Returns the agents of a gateway. To be called within a tokio runtime.
pub async fn of(gateway: Remote, queues: &[Queue]) -> Arc<dyn Floor> {
    match gateway.agents().await.is_some_and(|agents| !agents.now.is_empty()) {
        true => Desks::of(gateway),
        false => Phones::of(gateway, queues),
    }
}

/// The agents of the gateway's desk.
pub struct Desks {
    gateway: Remote,
    agents: Mutex<BTreeMap<UserName, AgentView>>,
}

impl Desks {
    /// Begins to follow the agents; it ends with the gateway. To be called within a tokio runtime.
    pub fn of(gateway: Remote) -> Arc<Desks> {
        let desks = Arc::new(Desks { gateway: gateway.clone(), agents: Mutex::default() });
        let watched = Arc::downgrade(&desks);
        tokio::spawn(async move {
            while let Some(mut all) = gateway.agents().await {
                let Some(desks) = watched.upgrade() else { return };
                *desks.lock() = all.now.into_iter().map(|view| (view.user.clone(), view)).collect();
                drop(desks);
                loop {
                    let changed = all.changes.recv().await;
                    let Some(desks) = watched.upgrade() else { return };
                    match changed {
                        Ok(view) => drop(desks.lock().insert(view.user.clone(), view)),
                        // Some changes are lost: all are asked for again.
                        Err(RecvError::Lagged(_)) => break,
                        Err(RecvError::Closed) => return,
                    }
                }
            }
        });
        desks
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<UserName, AgentView>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn agent(view: &AgentView) -> Agent {
    Agent {
        user: view.user.as_str().to_owned(),
        dn: view.dn.clone(),
        skills: view.skills.clone(),
        is_free: view.state == AgentState::Ready && view.is_here && view.calls == 0,
        since: view.since,
    }
}

impl Floor for Desks {
    fn agents(&self) -> Vec<Agent> {
        self.lock().values().map(agent).collect()
    }

    fn not_ready(&self, user: &str) {
        let (gateway, user) = (self.gateway.clone(), UserName::from(user));
        let what = Operation::NotReady { reason: Some(NO_ANSWER.to_owned()) };
        tokio::spawn(async move { gateway.operate(&user, what).await });
    }

    fn told(&self, call_uuid: &str, conn_id: &str, user_data: &[(String, String)]) {
        let (gateway, uuid, conn_id) = (self.gateway.clone(), call_uuid.to_owned(), conn_id.to_owned());
        let data = user_data.iter().map(|(key, value)| (key.clone(), Value::from(value.clone()))).collect();
        tokio::spawn(async move { gateway.told(uuid, Some(conn_id), data).await });
    }

    fn interaction(&self, user: &str, data: Value) -> bool {
        let user = UserName::from(user);
        if !self.lock().get(&user).is_some_and(|view| view.state != AgentState::LoggedOut) {
            return false;
        }
        let gateway = self.gateway.clone();
        tokio::spawn(async move { gateway.interaction(user, data).await });
        true
    }
}

/// How often the gateway is asked.
const LOOK: Duration = Duration::from_millis(200);

/// Those who are signed in at a phone.
#[derive(Debug)]
pub struct Phones {
    /// What they are taken to be good at.
    skills: Vec<(String, u8)>,
    /// Each DN, since when it has had no call; `None`: it has one.
    dns: Mutex<BTreeMap<String, Option<Instant>>>,
}

impl Phones {
    /// Begins to ask the gateway; it ends with the gateway. To be called within a tokio runtime.
    pub fn of(gateway: Remote, queues: &[Queue]) -> Arc<Phones> {
        let skills = queues.iter().filter_map(|queue| queue.skill.clone()).map(|skill| (skill, u8::MAX)).collect();
        let phones = Arc::new(Phones { skills, dns: Mutex::default() });
        let watched = Arc::downgrade(&phones);
        tokio::spawn(async move {
            while let Some(figures) = gateway.figures().await {
                let Some(phones) = watched.upgrade() else { return };
                let snapshot = figures.snapshot;
                let busy: Vec<&str> = snapshot.calls.iter().map(|call| call.dn.as_str()).collect();
                let here = snapshot.registrations.iter().map(|view| view.dn.as_str());
                phones.set(here.map(|dn| (dn, busy.contains(&dn))), Instant::now());
                drop(phones);
                tokio::time::sleep(LOOK).await;
            }
        });
        phones
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Option<Instant>>> {
        self.dns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are signed in, and have a call or none.
    fn set<'a>(&self, here: impl Iterator<Item = (&'a str, bool)>, now: Instant) {
        let mut dns = self.lock();
        let before = std::mem::take(&mut *dns);
        for (dn, is_busy) in here {
            let since = before.get(dn).copied().flatten().unwrap_or(now);
            dns.insert(dn.to_owned(), (!is_busy).then_some(since));
        }
    }
}

impl Floor for Phones {
    fn agents(&self) -> Vec<Agent> {
        let now = Instant::now();
        let agent = |(dn, since): (&String, &Option<Instant>)| Agent {
            user: dn.clone(),
            dn: dn.clone(),
            skills: self.skills.clone(),
            is_free: since.is_some(),
            since: since.unwrap_or(now),
        };
        self.lock().iter().map(agent).collect()
    }

    // It is passed over until it has had another call, or has signed in anew.
    fn not_ready(&self, _user: &str) {}

    // Nobody is there to be told.
    fn told(&self, _call_uuid: &str, _conn_id: &str, _user_data: &[(String, String)]) {}

    // Nor is anybody at a desk.
    fn interaction(&self, _user: &str, _data: Value) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(phones: &Phones) -> Vec<(String, Instant)> {
        phones.agents().into_iter().filter(|agent| agent.is_free).map(|agent| (agent.dn, agent.since)).collect()
    }

    #[test]
    fn a_phone_is_free_since_it_was_signed_in_or_had_its_last_call() {
        let phones = Phones { skills: Vec::new(), dns: Mutex::default() };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        phones.set([("5001", false), ("5002", true)].into_iter(), at(0));
        assert_eq!(free(&phones), [("5001".to_owned(), at(0))]);
        phones.set([("5001", false), ("5002", false)].into_iter(), at(5));
        assert_eq!(free(&phones), [("5001".to_owned(), at(0)), ("5002".to_owned(), at(5))]);
        phones.set([("5002", false)].into_iter(), at(6));
        phones.set([("5001", false), ("5002", false)].into_iter(), at(7));
        assert_eq!(free(&phones), [("5001".to_owned(), at(7)), ("5002".to_owned(), at(5))], "signed in anew");
    }
}
