//! The stand-in's routing: which customer is offered to which agent, as a Genesys router does it.
//!
//! ```text
//!  enters ──somebody is free──> offered ──answers──> talks ──> (gone)
//!    │  ▲                          │
//!    │  └─refused, or no answer in time: the agent becomes NotReady, the place in the queue is kept
//!    └──patience over──> (gone)
//! ```
//! Customers are served in the order in which they came; each goes to the agent who is longest ready among those with the skill
//! that the number asks for. We do not route by statistics or priorities, because a lab shows a flow and no strategy.
//!
//! Pure: told of agents and customers and the time, gives back what is to be done.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// How long an agent who has just had a call is left alone: its state after the call is still on its way here.
const SETTLE: Duration = Duration::from_millis(500);

/// Customers who wait or talk at a time; more are refused.
const CUSTOMERS: usize = 1000;

/// A number that customers dial, and who may answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// The number.
    pub number: String,
    /// What an agent must be good at; `None`: nothing in particular.
    pub skill: Option<String>,
    /// How good at least.
    pub level: u8,
    /// How long an agent is rung.
    pub answer_within: Duration,
}

/// An agent, as the gateway's desk tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// The name.
    pub user: String,
    /// Where it works.
    pub dn: String,
    /// What it is good at, and how good.
    pub skills: Vec<(String, u8)>,
    /// It is Ready, its phone is there, and it has no call.
    pub is_free: bool,
    /// Since when it is in its state.
    pub since: Instant,
}

/// Names a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerId(pub u64);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Call the agent for the customer.
    Offer {
        /// Who calls.
        customer: CustomerId,
        /// Who is called.
        user: String,
        /// Where.
        dn: String,
    },
    /// Nobody is free: the customer hears the announcement.
    Announce(CustomerId),
    /// The agent has not answered in time: end the call to it.
    Withdraw(CustomerId),
    /// The agent takes no calls until it says otherwise.
    NotReady(String),
    /// The customer has lost patience.
    Abandon(CustomerId),
}

#[derive(Debug)]
struct Customer {
    id: CustomerId,
    queue: usize,
    gives_up: Option<Instant>,
    announced: bool,
    /// The agent who rings or talks, and until when it may ring.
    agent: Option<(String, Option<Instant>)>,
}

/// Why an agent is passed over though it seems free.
#[derive(Debug)]
enum Pause {
    /// Its state is still on its way.
    Until(Instant),
    /// It did not answer while it was in the state that it has had since then.
    Since(Instant),
}

/// All customers and agents.
#[derive(Debug)]
pub struct Router {
    queues: Vec<Queue>,
    agents: Vec<Agent>,
    /// In the order in which they came.
    customers: Vec<Customer>,
    paused: HashMap<String, Pause>,
    outputs: VecDeque<Output>,
}

impl Router {
    /// Makes a router for these numbers.
    pub fn new(queues: Vec<Queue>) -> Router {
        let (agents, customers, outputs) = (Vec::new(), Vec::new(), VecDeque::new());
        Router { queues, agents, customers, paused: HashMap::new(), outputs }
    }

    /// Returns true for a number that is routed.
    pub fn knows(&self, number: &str) -> bool {
        self.queues.iter().any(|queue| queue.number == number)
    }

    /// A customer has dialled a number, and gives up after so long; false: there is no such number, or no room.
    pub fn enter(&mut self, id: CustomerId, number: &str, patience: Option<Duration>, now: Instant) -> bool {
        let Some(queue) = self.queues.iter().position(|queue| queue.number == number) else { return false };
        if self.customers.len() >= CUSTOMERS {
            return false;
        }
        let gives_up = patience.map(|patience| now + patience);
        self.customers.push(Customer { id, queue, gives_up, announced: false, agent: None });
        self.assign(now);
        true
    }

    /// The agents as they are.
    pub fn set_agents(&mut self, agents: Vec<Agent>, now: Instant) {
        self.agents = agents;
        self.assign(now);
    }

    /// The agent who was offered the customer has answered.
    pub fn answered(&mut self, id: CustomerId) {
        let found = self.customers.iter_mut().find(|customer| customer.id == id);
        if let Some(Customer { agent: Some((_, until)), gives_up, .. }) = found {
            (*until, *gives_up) = (None, None);
        }
    }

    /// The agent would not take the customer, or could not be called: it is somebody else's turn.
    pub fn refused(&mut self, id: CustomerId, now: Instant) {
        if self.take_back(id) {
            self.assign(now);
        }
    }

    /// The customer is gone, or its call is over.
    pub fn left(&mut self, id: CustomerId, now: Instant) {
        let Some(at) = self.customers.iter().position(|customer| customer.id == id) else { return };
        if let Some((user, _)) = self.customers.remove(at).agent {
            self.paused.insert(user, Pause::Until(now + SETTLE));
        }
        self.assign(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let is_late = |customer: &&Customer| matches!(customer.agent, Some((_, Some(until))) if until <= now);
        let late: Vec<CustomerId> = self.customers.iter().filter(is_late).map(|customer| customer.id).collect();
        for id in late {
            self.outputs.push_back(Output::Withdraw(id));
            self.take_back(id);
        }
        let (outputs, customers) = (&mut self.outputs, &mut self.customers);
        customers.retain(|customer| {
            let has_left = customer.agent.is_none() && customer.gives_up.is_some_and(|at| at <= now);
            outputs.extend(has_left.then_some(Output::Abandon(customer.id)));
            !has_left
        });
        self.assign(now);
    }

    /// Returns when [`Router::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let customers = self.customers.iter().filter_map(|customer| match &customer.agent {
            Some((_, until)) => *until,
            None => customer.gives_up,
        });
        let paused = self.paused.values().filter_map(|pause| match pause {
            Pause::Until(at) => Some(*at),
            Pause::Since(_) => None,
        });
        customers.chain(paused).min()
    }

    /// Returns what is to be done, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns how many wait for an agent.
    pub fn waiting(&self) -> usize {
        self.customers.iter().filter(|customer| customer.agent.is_none()).count()
    }

    /// The customer waits again, in its place; the agent is passed over. False: nobody was offered it.
    fn take_back(&mut self, id: CustomerId) -> bool {
        let Some(customer) = self.customers.iter_mut().find(|customer| customer.id == id) else { return false };
        let Some((user, Some(_))) = customer.agent.take() else { return false };
        customer.announced = false;
        let since = self.agents.iter().find(|agent| agent.user == user).map(|agent| agent.since);
        self.paused.extend(since.map(|since| (user.clone(), Pause::Since(since))));
        self.outputs.push_back(Output::NotReady(user));
        true
    }

    /// Gives everybody who waits to an agent who is free.
    fn assign(&mut self, now: Instant) {
        let agents = &self.agents;
        self.paused.retain(|user, pause| match pause {
            Pause::Until(at) => *at > now,
            Pause::Since(since) => agents.iter().any(|agent| agent.user == *user && agent.since == *since),
        });
        for at in 0..self.customers.len() {
            let Customer { id, queue, announced, agent: None, .. } = self.customers[at] else { continue };
            match self.longest_ready(queue).map(|agent| (agent.user.clone(), agent.dn.clone())) {
                Some((user, dn)) => {
                    let until = now + self.queues[queue].answer_within;
                    self.customers[at].agent = Some((user.clone(), Some(until)));
                    self.outputs.push_back(Output::Offer { customer: id, user, dn });
                }
                None if !announced => {
                    self.customers[at].announced = true;
                    self.outputs.push_back(Output::Announce(id));
                }
                None => {}
            }
        }
    }

    fn longest_ready(&self, queue: usize) -> Option<&Agent> {
        let queue = &self.queues[queue];
        let can = |agent: &Agent| match &queue.skill {
            Some(skill) => agent.skills.iter().any(|(name, level)| name == skill && *level >= queue.level),
            None => true,
        };
        let has_customer = |user: &str| {
            self.customers.iter().any(|customer| customer.agent.as_ref().is_some_and(|(other, _)| other == user))
        };
        let free = self.agents.iter().filter(|agent| {
            agent.is_free && can(agent) && !self.paused.contains_key(&agent.user) && !has_customer(&agent.user)
        });
        free.min_by_key(|agent| agent.since)
    }
}
