//! A stand-in Genesys SIP Server: a separate peer over real sockets (RFC 3261 over UDP, RTP/AVP with G.711 and RFC 4733).
//!
//! It is the other side of the gateway, so it shares none of its SIP: messages are built and read with `rsip`, their shape is
//! that of the SIP Server (no rport, Via not first, From without `<>`, `X-Genesys-CallUUID`). Its numbers echo, play, refuse or
//! hang up; its customers call a DN, where it registered or at the gateway's address, or a number that is routed to an
//! agent ([`routing`]); whoever dials a DN is put through. A REFER is carried out for a party of the
//! lab that goes away: the target is not called. We do not keep route sets, because no proxy stands between; the only transport is UDP.
//!
//! ```text
//!  LabHandle ──command──► server task ── one UDP socket ── gateway
//!                           │ calls by Call-ID, deadlines
//!                           └─ Audio per call: a task and an RTP socket of its own
//! ```

mod audio;
mod call;
mod digest;
pub mod floor;
mod inbound;
pub mod interactions;
mod message;
mod pcap;
mod registrar;
pub mod routing;
pub mod scenario;
mod server;
mod sound;
mod speech;
mod terminal;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::config;

pub use audio::LabCallReport;
pub use inbound::{Customer, CustomerStatus, Floor};
pub use pcap::Recorder;
pub use sound::Sound;
pub use terminal::{console, hint, phone_page, play_by_hand, welcome};

/// What the lab does with a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Behaviour {
    /// Rings for 200 ms, answers and plays.
    Answer(Sound),
    /// Answers and speaks the time (UTC, hours and minutes), over and over.
    Time,
    /// Answers, plays 440 Hz, and hangs up after this long.
    HangUpAfter(Duration),
    /// Answers, and sends back every key that it hears.
    EchoDigits,
    /// 183 with 440 Hz, then 200 after this long.
    EarlyMedia(Duration),
    /// Rings until the caller gives up.
    NoAnswer,
    /// Refuses with this status: 486, 603, 404.
    Refuse(u16),
    /// It is a DN: rings there, and joins the two.
    Connect,
    /// It is routed: answers with an announcement until an agent has been found.
    Queue,
}

/// Settings of the stand-in.
#[derive(Clone, Debug)]
pub struct LabConfig {
    /// Where it speaks SIP; its media has the same address.
    pub sip: SocketAddr,
    /// Where it sends calls for DNs.
    pub gateway: SocketAddr,
    /// Numbers that can be dialled; others are answered 404.
    pub numbers: Vec<(String, Behaviour)>,
    /// A customer calls this DN so often.
    pub schedule: Option<(String, Duration)>,
    /// Password that DNs need to register (digest, MD5); `None`: none.
    pub password: Option<String>,
    /// Numbers that are DNs of the gateway: whoever dials one is joined with it.
    pub dns: Vec<config::DnRange>,
    /// Numbers that are routed to agents, where somebody tells of agents: [`start_with`].
    pub queues: Vec<routing::Queue>,
    /// The customer who calls such a number by itself.
    pub customer: CustomerConfig,
}

/// A customer of the lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerConfig {
    /// Its number (ANI).
    pub number: String,
    /// What is known of it.
    pub user_data: Vec<(String, String)>,
    /// How long it waits for an agent; `None`: for ever.
    pub patience: Option<Duration>,
}

impl Default for CustomerConfig {
    fn default() -> Self {
        let data = [("customer_id", "98765"), ("account_type", "premium"), ("call_reason", "support")];
        let user_data = data.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        CustomerConfig { number: "5551234567".to_owned(), user_data, patience: None }
    }
}

impl Default for LabConfig {
    fn default() -> Self {
        LabConfig::from(&config::LabConfig::default())
    }
}

/// A call to a DN of the gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallIn {
    dn: String,
    from: String,
    /// What the caller dialled, where it was not the DN.
    dialled: Option<String>,
    /// `X-Genesys-CallUUID`; `None`: a new one.
    uuid: Option<String>,
    headers: Vec<(String, String)>,
    /// The Call-ID of the call that it is joined with when it is answered.
    join: Option<String>,
}

impl From<&config::LabConfig> for LabConfig {
    fn from(from: &config::LabConfig) -> Self {
        use config::LabBehaviour as Does;
        let behaviour = |number: &config::LabNumber| match number.does {
            Does::Echo => Behaviour::Answer(Sound::Echo),
            Does::Tone => Behaviour::Answer(Sound::Tone { hz: 440, dbm0: -10 }),
            Does::Time => Behaviour::Time,
            Does::Text => Behaviour::Answer(Sound::Speech(number.text.clone().unwrap_or_else(|| "hello".into()))),
            Does::Refuse => Behaviour::Refuse(603),
            Does::Busy => Behaviour::Refuse(486),
            Does::NoAnswer => Behaviour::NoAnswer,
            Does::EarlyMedia => Behaviour::EarlyMedia(Duration::from_secs(3)),
            Does::HangUp => Behaviour::HangUpAfter(Duration::from_secs(5)),
            Does::Digits => Behaviour::EchoDigits,
        };
        let every = Duration::from_secs(u64::from(from.customer_every_seconds));
        LabConfig {
            sip: from.sip,
            gateway: from.gateway,
            numbers: from.numbers.iter().map(|n| (n.number.clone(), behaviour(n))).collect(),
            schedule: (!every.is_zero()).then(|| (from.customer_calls.clone(), every)),
            password: from.password.clone(),
            dns: Vec::new(),
            queues: from.queues.iter().map(queue).collect(),
            customer: customer(&from.customer),
        }
    }
}

impl LabConfig {
    /// Takes what the lab needs of a whole configuration: its own part, and the DNs of the gateway.
    pub fn of(config: &config::Config) -> LabConfig {
        let dns = config.dns.iter().map(|entry| entry.number.clone()).collect();
        LabConfig { dns, ..LabConfig::from(&config.lab) }
    }
}

fn queue(from: &config::LabQueue) -> routing::Queue {
    routing::Queue {
        number: from.number.clone(),
        skill: from.skill.clone(),
        level: from.level,
        answer_within: Duration::from_secs(u64::from(from.answer_seconds)),
    }
}

fn customer(from: &config::LabCustomer) -> CustomerConfig {
    let patience = Duration::from_secs(u64::from(from.patience_seconds));
    CustomerConfig {
        number: from.number.clone(),
        user_data: from.user_data.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        patience: (!patience.is_zero()).then_some(patience),
    }
}

/// How a call of the lab stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStatus {
    /// Nothing but a request yet.
    Trying,
    /// 180 or 183 was sent or came.
    Ringing,
    /// Both sides talk.
    Answered,
    /// Over, with the last status: 200 after a BYE, else what the INVITE came to (408: nothing).
    Ended(u16),
}

enum Command {
    Call { call: CallIn, sound: Sound, reply: oneshot::Sender<Option<LabCall>> },
    HangUp(String),
    Press(String, String),
    Play(String, Sound),
    Report(String, oneshot::Sender<Option<LabCallReport>>),
    Calls(oneshot::Sender<Vec<LabCall>>),
    Contact(String, oneshot::Sender<Option<String>>),
    Stop,
}

/// The complaints that are kept.
const COMPLAINTS: usize = 100;

type Complaints = Arc<Mutex<Vec<String>>>;

/// One call of the lab, taken or made.
#[derive(Clone, Debug)]
pub struct LabCall {
    call_id: String,
    number: String,
    status: watch::Receiver<CallStatus>,
    commands: mpsc::Sender<Command>,
}

impl LabCall {
    /// Returns the Call-ID.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Returns the number that was dialled.
    pub fn number(&self) -> &str {
        &self.number
    }

    /// Returns how it stands.
    pub fn status(&self) -> CallStatus {
        *self.status.borrow()
    }

    /// Waits until it stands as asked, or is over; returns how it stands then.
    pub async fn wait_for(&mut self, wanted: impl Fn(CallStatus) -> bool) -> CallStatus {
        match self.status.wait_for(|s| wanted(*s) || matches!(s, CallStatus::Ended(_))).await {
            Ok(status) => *status,
            Err(_) => CallStatus::Ended(0),
        }
    }

    /// Ends it: BYE, CANCEL, or 480, as it stands.
    pub async fn hang_up(&self) {
        let _ = self.commands.send(Command::HangUp(self.call_id.clone())).await;
    }

    /// Presses keys, 100 ms each (RFC 4733).
    pub async fn press(&self, keys: &str) {
        let _ = self.commands.send(Command::Press(self.call_id.clone(), keys.to_owned())).await;
    }

    /// Plays something else.
    pub async fn play(&self, sound: Sound) {
        let _ = self.commands.send(Command::Play(self.call_id.clone(), sound)).await;
    }

    /// Measures what it has heard; `None` where it never had media, or ended more than a minute ago.
    pub async fn report(&self) -> Option<LabCallReport> {
        let (reply, report) = oneshot::channel();
        self.commands.send(Command::Report(self.call_id.clone(), reply)).await.ok()?;
        report.await.ok().flatten()
    }
}

/// A running lab.
pub struct LabHandle {
    address: SocketAddr,
    commands: mpsc::Sender<Command>,
    complaints: Complaints,
    task: JoinHandle<()>,
    /// Where customers of routed numbers enter.
    arrivals: Option<mpsc::Sender<inbound::Arrival>>,
    customer: CustomerConfig,
    queues: Vec<routing::Queue>,
    floor: Option<Arc<dyn Floor>>,
}

/// Binds the SIP socket and starts, without agents: no number is routed. To be called within a tokio runtime.
///
/// # Errors
/// The SIP address is taken, or not of this machine.
pub fn start(config: LabConfig) -> std::io::Result<LabHandle> {
    start_with(config, None)
}

/// As [`start`], with somebody who tells of the agents and is told what becomes of them.
///
/// # Errors
/// The SIP address is taken, or not of this machine.
pub fn start_with(config: LabConfig, floor: Option<Arc<dyn Floor>>) -> std::io::Result<LabHandle> {
    let socket = std::net::UdpSocket::bind(config.sip)?;
    socket.set_nonblocking(true)?;
    let socket = tokio::net::UdpSocket::from_std(socket)?;
    let address = socket.local_addr()?;
    let (commands, queue) = mpsc::channel(64);
    let complaints = Complaints::default();
    let (customer, queues) = (config.customer.clone(), config.queues.clone());
    let arrivals = floor.clone().map(|floor| inbound::open(&config, floor, commands.clone()));
    let server = server::Server::new(config, address, commands.clone(), complaints.clone(), arrivals.clone());
    let task = tokio::spawn(server.run(socket, queue));
    Ok(LabHandle { address, commands, complaints, task, arrivals, customer, queues, floor })
}

impl LabHandle {
    /// Returns where the lab speaks SIP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has a customer call a DN; `None` where no port is free or the lab stops.
    pub async fn call_dn(&self, dn: &str, from: &str, sound: Sound) -> Option<LabCall> {
        let call = CallIn { dn: dn.to_owned(), from: from.to_owned(), ..CallIn::default() };
        call_in(&self.commands, call, sound).await
    }

    /// Has the customer of the configuration dial a number that is routed; `None`: there is no such number, or nobody tells
    /// of agents. The customer echoes.
    pub async fn customer(&self, number: &str) -> Option<Customer> {
        let arrivals = self.arrivals.as_ref()?;
        let (arrival, customer) = inbound::arrival(&self.customer.number, number, self.customer.patience, None);
        arrivals.send(arrival).await.ok()?;
        customer.accepted().await
    }

    /// Has something else than a call come to the agent who is longest ready; returns its name, where there is one.
    pub fn interaction(&self, channel: interactions::Channel) -> Option<String> {
        let wanted = interactions::Wanted::from(channel);
        interactions::deliver(self.floor.as_deref()?, &wanted, &interactions::new_id())
    }

    /// Returns all calls, those included that ended in the last minute.
    pub async fn calls(&self) -> Vec<LabCall> {
        let (reply, calls) = oneshot::channel();
        let _ = self.commands.send(Command::Calls(reply)).await;
        calls.await.unwrap_or_default()
    }

    /// Returns the contact of a DN that is registered.
    pub async fn contact(&self, dn: &str) -> Option<String> {
        let (reply, contact) = oneshot::channel();
        self.commands.send(Command::Contact(dn.to_owned(), reply)).await.ok()?;
        contact.await.ok().flatten()
    }

    /// Returns what `rsip` could not read of the gateway's messages: the first hundred, one line each.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends all calls, waits up to two seconds for the answers, and closes the socket.
    pub async fn stop(self) {
        let _ = self.commands.send(Command::Stop).await;
        let _ = self.task.await;
    }
}

async fn call_in(commands: &mpsc::Sender<Command>, call: CallIn, sound: Sound) -> Option<LabCall> {
    let (reply, made) = oneshot::channel();
    commands.send(Command::Call { call, sound, reply }).await.ok()?;
    made.await.ok().flatten()
}

#[cfg(test)]
mod tests;
