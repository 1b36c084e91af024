//! A gateway whose trunk stands at an address of 127.0.0.2, and the phone of its agent.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crosspoint::config::Config;
use crosspoint::lab::scenario::{self, AgentAct};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Request, open_plain};
use crate::phone::Phone;
use crate::rig::{DOMAIN, Rig, text};

/// How long an act of the phone may take.
const ACT: Duration = Duration::from_secs(40);

/// Addresses for the SIP Server whose port no other test has.
pub fn server() -> SocketAddr {
    let free = std::net::UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).expect("a free port");
    free.local_addr().expect("bound")
}

/// A gateway with its ports bound; `keys` are put into its configuration.
pub async fn rig(server: SocketAddr, keys: &[(String, String)]) -> Rig {
    let text = text("").replace("127.0.0.1:5999", &server.to_string());
    let text = scenario::configure(&text, keys).expect("a configuration");
    let config = Config::parse(&text, "scenario.toml", []).unwrap_or_else(|e| panic!("{e}"));
    let rig = Rig::with(config).await;
    let ready = tokio::time::timeout(Duration::from_secs(10), async {
        while !rig.app.figures().await.is_some_and(|f| f.snapshot.free_pairs.iter().any(|(_, free)| *free > 0)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    ready.await.expect("bound ports");
    rig
}

/// Waits until the gateway has no call.
pub async fn no_call_is_left(rig: &Rig) {
    let gone = tokio::time::timeout(Duration::from_secs(40), async {
        while !rig.app.figures().await.expect("alive").snapshot.calls.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    gone.await.expect("a call is left");
}

/// A phone that is signed in.
#[derive(Clone)]
pub struct Desk {
    phone: Arc<Mutex<Phone>>,
    /// What is sent; `None` signs out: the page is closed.
    sender: mpsc::UnboundedSender<Option<String>>,
}

impl Desk {
    pub async fn sign_in(rig: &Rig) -> Desk {
        Desk::sign_in_as(rig, "5001").await
    }

    pub async fn sign_in_as(rig: &Rig, dn: &str) -> Desk {
        let mut client = open_plain(rig.http(), Request::default()).await.unwrap_or_else(|_| panic!("a WebSocket"));
        let answer = client.sign_in(dn).await;
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        let (sender, mut queue) = mpsc::unbounded_channel::<Option<String>>();
        let desk = Desk { phone: Arc::new(Mutex::new(Phone::new(dn, DOMAIN))), sender };
        let own = desk.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(text) = queue.recv() => {
                        let Some(text) = text else { return };
                        if client.socket.send(Message::text(text)).await.is_err() { return }
                    }
                    received = client.socket.next() => {
                        let Some(Ok(message)) = received else { return };
                        let Ok(text) = message.into_text() else { continue };
                        if text.trim().is_empty() { continue }
                        let out = own.phone().receive(&text);
                        own.send(out);
                    }
                }
            }
        });
        desk
    }

    pub fn phone(&self) -> MutexGuard<'_, Phone> {
        self.phone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, out: Vec<String>) {
        out.into_iter().for_each(|text| drop(self.sender.send(Some(text))));
    }

    /// Does an act; it returns when it is done.
    pub fn act(&self, act: AgentAct) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        let desk = self.clone();
        Box::pin(async move {
            let out = desk.phone().act(&act);
            desk.send(out);
            if act == AgentAct::SignsOut {
                drop(desk.sender.send(None));
            }
            let done = async {
                while !desk.phone().is_done(&act) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            tokio::time::timeout(ACT, done).await.map_err(|_| {
                format!("the phone does not come to {act:?}; it was sent:\n{}", desk.phone().log.join("\n"))
            })
        })
    }

    /// Waits until the phone was sent a message that begins so.
    pub async fn was_sent(&self, begins: &str) {
        let sent = tokio::time::timeout(Duration::from_secs(10), async {
            while !self.phone().log.iter().any(|m| m.starts_with(begins)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        sent.await.unwrap_or_else(|_| panic!("{begins} within 10 s; there was:\n{}", self.phone().log.join("\n")));
    }
}
