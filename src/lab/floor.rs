//! The agents of the gateway beside the lab, as far as it tells of any: without agents in its configuration, whoever is signed in
//! at a phone and has no call is Ready for everything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::inbound::Floor;
use super::routing::{Agent, Queue};
use crate::app::Remote;

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
