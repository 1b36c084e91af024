//! Customers of routed numbers: from the number that they dial to the agent who answers, or to the end of their patience.
//!
//! The rules are in [`super::routing`]; here they meet calls and agents. A customer is either a call that somebody made to the
//! lab, and is joined with the agent's, or one that the lab makes up, whose only call is that to the agent. Agents and calls are
//! looked at every 50 ms, because a lab need not be faster than a person.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::routing::{Agent, CustomerId, Output, Router};
use super::server::new_uuid;
use super::{CallIn, CallStatus, Command, LabCall, LabConfig, Sound, call_in};

/// How often agents and calls are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Customers who have arrived and wait to be let in.
const ARRIVALS: usize = 64;

/// Header fields that carry a customer's user data: this, and the key.
const USER_DATA: &str = "X-Genesys-UserData-";

/// Header field that carries the ConnID.
const CONN_ID: &str = "X-Genesys-ConnID";

/// Where the agents are: told by whoever runs the lab beside a gateway.
pub trait Floor: Send + Sync + 'static {
    /// Returns the agents as they are.
    fn agents(&self) -> Vec<Agent>;

    /// The agent did not answer, and is to take no calls until it says otherwise.
    fn not_ready(&self, user: &str);

    /// What a CTI link would tell of a call that is about to come to an agent.
    fn told(&self, call_uuid: &str, conn_id: &str, user_data: &[(String, String)]);

    /// Tells an agent of something else than a call; false: there is nobody of that name at work.
    fn interaction(&self, user: &str, data: Value) -> bool;
}

/// How a customer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CustomerStatus {
    /// On the way in.
    Arriving,
    /// Nobody is free: it waits. Who dialled the number by a phone hears the announcement.
    Waiting,
    /// The phone of this DN rings for it.
    Offered(String),
    /// It talks to this DN.
    Talking(String),
    /// It has lost patience.
    Abandoned,
    /// Its call is over, or was refused.
    Ended,
}

impl CustomerStatus {
    fn is_over(&self) -> bool {
        matches!(self, CustomerStatus::Abandoned | CustomerStatus::Ended)
    }
}

/// A customer who has dialled a number that is routed; it hangs up when asked to.
#[derive(Clone, Debug)]
pub struct Customer {
    status: watch::Receiver<CustomerStatus>,
    stays: Arc<watch::Sender<bool>>,
}

impl Customer {
    /// Returns how it stands.
    pub fn status(&self) -> CustomerStatus {
        self.status.borrow().clone()
    }

    /// Waits until it stands as asked, or is gone; returns how it stands then.
    pub async fn wait_for(&mut self, wanted: impl Fn(&CustomerStatus) -> bool) -> CustomerStatus {
        match self.status.wait_for(|status| wanted(status) || status.is_over()).await {
            Ok(status) => status.clone(),
            Err(_) => CustomerStatus::Ended,
        }
    }

    /// Ends its call.
    pub fn hang_up(&self) {
        self.stays.send_replace(false);
    }

    /// Waits until it was let in.
    pub(super) async fn accepted(mut self) -> Option<Customer> {
        let status = self.wait_for(|status| *status != CustomerStatus::Arriving).await;
        (status != CustomerStatus::Ended).then_some(self)
    }
}

/// Somebody has dialled a number that is routed.
#[derive(Debug)]
pub(super) struct Arrival {
    from: String,
    number: String,
    patience: Option<Duration>,
    call: Option<LabCall>,
    status: watch::Sender<CustomerStatus>,
    stays: watch::Receiver<bool>,
}

/// Makes an arrival; `call`: it is a call of somebody's, else a customer of the lab's own.
pub(super) fn arrival(
    from: &str,
    number: &str,
    patience: Option<Duration>,
    call: Option<LabCall>,
) -> (Arrival, Customer) {
    let (status, seen) = watch::channel(CustomerStatus::Arriving);
    let (keep, stays) = watch::channel(true);
    let arrival = Arrival { from: from.to_owned(), number: number.to_owned(), patience, call, status, stays };
    (arrival, Customer { status: seen, stays: Arc::new(keep) })
}

/// Begins to route; it ends with the lab.
pub(super) fn open(
    config: &LabConfig,
    floor: Arc<dyn Floor>,
    commands: mpsc::Sender<Command>,
) -> mpsc::Sender<Arrival> {
    let (arrivals, queue) = mpsc::channel(ARRIVALS);
    let router = Router::new(config.queues.clone());
    let desk = Routing {
        router,
        floor,
        commands,
        user_data: config.customer.user_data.clone(),
        customers: BTreeMap::new(),
        next: 0,
    };
    tokio::spawn(desk.run(queue));
    arrivals
}

/// A customer who is in.
struct Inside {
    arrival: Arrival,
    uuid: String,
    conn_id: String,
    /// The call to the agent's DN.
    agent: Option<(LabCall, String)>,
}

struct Routing {
    router: Router,
    floor: Arc<dyn Floor>,
    commands: mpsc::Sender<Command>,
    user_data: Vec<(String, String)>,
    customers: BTreeMap<CustomerId, Inside>,
    next: u64,
}

impl Routing {
    async fn run(mut self, mut queue: mpsc::Receiver<Arrival>) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !self.commands.is_closed() {
            tokio::select! {
                arrival = queue.recv() => match arrival {
                    Some(arrival) => self.enter(arrival),
                    None => return,
                },
                _ = looks.tick() => self.look().await,
            }
            self.work().await;
        }
    }

    fn enter(&mut self, arrival: Arrival) {
        self.next += 1;
        let id = CustomerId(self.next);
        let now = Instant::now();
        self.router.set_agents(self.floor.agents(), now);
        if !self.router.enter(id, &arrival.number, arrival.patience, now) {
            arrival.status.send_replace(CustomerStatus::Ended);
            return;
        }
        // Its ConnID: 16 lower-case hexadecimal digits.
        let conn_id = format!("{:016x}", rand::rng().random::<u64>());
        self.customers.insert(id, Inside { arrival, uuid: new_uuid(), conn_id, agent: None });
    }

    /// Looks at what has become of everybody.
    async fn look(&mut self) {
        let now = Instant::now();
        let mut gone = Vec::new();
        for (id, inside) in &mut self.customers {
            let has_hung_up = !*inside.arrival.stays.borrow() && inside.arrival.call.is_none()
                || inside.arrival.call.as_ref().is_some_and(|call| matches!(call.status(), CallStatus::Ended(_)));
            let talks = matches!(&*inside.arrival.status.borrow(), CustomerStatus::Talking(_));
            let agent = inside.agent.as_ref().map(|(call, dn)| (call.status(), dn.clone()));
            match agent {
                _ if has_hung_up => gone.push(*id),
                Some((CallStatus::Ended(_), _)) if talks => gone.push(*id),
                Some((CallStatus::Ended(_), _)) => {
                    inside.agent = None;
                    self.router.refused(*id, now);
                }
                Some((CallStatus::Answered, dn)) if !talks => {
                    self.router.answered(*id);
                    inside.arrival.status.send_replace(CustomerStatus::Talking(dn));
                }
                _ => {}
            }
        }
        for id in gone {
            self.end(id, CustomerStatus::Ended).await;
            self.router.left(id, now);
        }
        self.router.set_agents(self.floor.agents(), now);
        self.router.handle_timeout(now);
    }

    /// Does what the router wants.
    async fn work(&mut self) {
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Offer { customer, user, dn } => self.offer(customer, &user, dn).await,
                Output::Announce(customer) => {
                    if let Some(inside) = self.customers.get(&customer) {
                        inside.arrival.status.send_replace(CustomerStatus::Waiting);
                    }
                }
                Output::Withdraw(customer) => {
                    let agent = self.customers.get_mut(&customer).and_then(|inside| inside.agent.take());
                    if let Some((call, _)) = agent {
                        call.hang_up().await;
                    }
                }
                Output::NotReady(user) => {
                    tracing::info!(user, "lab: the agent did not answer");
                    self.floor.not_ready(&user);
                }
                Output::Abandon(customer) => self.end(customer, CustomerStatus::Abandoned).await,
            }
        }
    }

    async fn offer(&mut self, customer: CustomerId, user: &str, dn: String) {
        let Some(inside) = self.customers.get_mut(&customer) else { return };
        tracing::info!(user, number = inside.arrival.number, "lab: a customer is routed");
        self.floor.told(&inside.uuid, &inside.conn_id, &self.user_data);
        let data = self.user_data.iter().map(|(key, value)| (format!("{USER_DATA}{key}"), value.clone()));
        let headers = data.chain([(CONN_ID.to_owned(), inside.conn_id.clone())]).collect();
        let call = CallIn {
            dn: dn.clone(),
            from: inside.arrival.from.clone(),
            dialled: Some(inside.arrival.number.clone()),
            uuid: Some(inside.uuid.clone()),
            headers,
            join: inside.arrival.call.as_ref().map(|call| call.call_id().to_owned()),
        };
        match call_in(&self.commands, call, Sound::Echo).await {
            Some(call) => {
                inside.arrival.status.send_replace(CustomerStatus::Offered(dn.clone()));
                inside.agent = Some((call, dn));
            }
            None => self.router.refused(customer, Instant::now()),
        }
    }

    async fn end(&mut self, customer: CustomerId, status: CustomerStatus) {
        let Some(inside) = self.customers.remove(&customer) else { return };
        inside.arrival.status.send_replace(status);
        for call in inside.agent.map(|(call, _)| call).into_iter().chain(inside.arrival.call) {
            call.hang_up().await;
        }
    }
}
