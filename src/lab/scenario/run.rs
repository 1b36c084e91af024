//! Plays a scenario over real sockets, in real time.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until};

use super::super::Sound;
use super::super::audio::Audio;
use super::super::pcap::Recorder;
use super::Scenario;
use super::player::{Input, Output, Player, Stage};
use super::script::AgentAct;

/// What the agent's side does with an act: it returns when the act is done, or says why it cannot be.
pub type AgentDoes = dyn Fn(AgentAct) -> Doing + Send + Sync;

/// An act under way.
pub type Doing = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Datagrams that wait to be looked at.
const QUEUE: usize = 1024;

/// How often an address that is taken is tried again, and after how long.
const TRIES: u32 = 20;
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// What a run needs to know beside the scenario.
#[derive(Clone)]
pub struct Place {
    /// The gateway's SIP address.
    pub gateway: SocketAddr,
    /// DN of the agent.
    pub dn: String,
    /// What the agent sends; `None`: a person, who may keep silent.
    pub agent_hz: Option<u16>,
    /// The agent has media; without it nothing is listened to.
    pub media: bool,
    /// Added to every wait.
    pub patience: Duration,
    /// Keeps every packet.
    pub recorder: Option<Arc<Recorder>>,
}

impl Place {
    /// Returns the place of a person at the phone page, signed in as 5001.
    pub fn by_hand(gateway: SocketAddr) -> Place {
        let patience = Duration::from_secs(120);
        Place { gateway, dn: "5001".to_owned(), agent_hz: None, media: true, patience, recorder: None }
    }
}

/// Tasks that end with the run.
struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Plays it once; every step is told to `say`. To be called within a tokio runtime.
///
/// # Errors
/// The step that failed, why, and what came that was not expected.
pub async fn play(
    scenario: &Scenario,
    place: &Place,
    agent: &AgentDoes,
    say: &(dyn Fn(&str) + Sync),
) -> Result<(), String> {
    let (sender, mut arrivals) = mpsc::channel(QUEUE);
    let mut sockets = Vec::new();
    let mut tasks = Tasks(Vec::new());
    for (at, (name, address)) in scenario.peers.iter().enumerate() {
        let socket = bind(*address).await.map_err(|e| format!("{name} {address}: {e}"))?;
        let socket = Arc::new(socket);
        tasks.0.push(tokio::spawn(listen(socket.clone(), at, sender.clone())));
        sockets.push(socket);
    }
    let mut ends = Vec::new();
    for (name, peer) in &scenario.script.ends {
        let at = scenario.peers.iter().find(|(n, _)| n == peer).ok_or_else(|| format!("end {name}: no peer {peer}"))?;
        let ssrc = rand::rng().random();
        let audio = Audio::bind_pair(at.1.ip(), Sound::Silence, ssrc, place.recorder.clone());
        ends.push((name.clone(), audio.map_err(|e| format!("end {name}: {e}"))?));
    }
    let stage = Stage {
        gateway: place.gateway,
        peers: scenario.peers.clone(),
        ends: ends.iter().map(|(name, audio)| (name.clone(), audio.local)).collect(),
        dn: place.dn.clone(),
        agent_hz: place.agent_hz,
        media: place.media,
        patience: place.patience,
        guid: format!("{:032X}", rand::rng().random::<u128>()),
    };
    let mut player = Player::new(scenario.script.clone(), stage);
    let mut act: Option<Doing> = None;
    player.handle_timeout(Instant::now());
    loop {
        while let Some(output) = player.poll_output() {
            match output {
                Output::Send { peer, to, bytes } => {
                    record(place, scenario.peers[peer].1, to, &bytes);
                    sockets[peer].send_to(&bytes, to).await.map_err(|e| format!("not sent: {e}"))?;
                }
                Output::Talk { end, remote } => ends[end].1.talk_to(remote),
                Output::Play { end, sound } => ends[end].1.play(sound),
                Output::Listen { end } => ends[end].1.listen(),
                Output::Ask { end } => player.handle_input(Input::Heard(ends[end].1.report()), Instant::now()),
                Output::Agent(what) => act = Some(agent(what)),
                Output::Say(words) => say(&words),
                Output::Done(result) => return result,
            }
        }
        let due = player.poll_timeout().unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
        tokio::select! {
            Some((peer, from, bytes)) = arrivals.recv() => {
                record(place, from, scenario.peers[peer].1, &bytes);
                player.handle_input(Input::Datagram { peer, from, bytes: &bytes }, Instant::now());
            }
            done = async { act.as_mut().expect("the branch asks for one").await }, if act.is_some() => {
                act = None;
                player.handle_input(Input::Agent(done), Instant::now());
            }
            () = sleep_until(due.into()) => player.handle_timeout(Instant::now()),
        }
    }
}

fn record(place: &Place, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
    if let Some(recorder) = &place.recorder {
        recorder.packet(from, to, bytes);
    }
}

/// Binds an address that the run before may be about to let go of: a person presses Enter at once.
async fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    for _ in 0..TRIES {
        match UdpSocket::bind(address).await {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => sleep(TRY_AGAIN).await,
            bound => return bound,
        }
    }
    UdpSocket::bind(address).await
}

async fn listen(socket: Arc<UdpSocket>, peer: usize, to: mpsc::Sender<(usize, SocketAddr, Vec<u8>)>) {
    let mut datagram = vec![0; 65_536];
    loop {
        let Ok((len, from)) = socket.recv_from(&mut datagram).await else { continue };
        if to.send((peer, from, datagram[..len].to_vec())).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_is_let_go_of_a_moment_later_is_bound() {
        let former = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = former.local_addr().unwrap();
        tokio::spawn(async move {
            sleep(TRY_AGAIN * 2).await;
            drop(former);
        });
        assert_eq!(bind(address).await.unwrap().local_addr().unwrap(), address);
    }
}
