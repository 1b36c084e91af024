//! A phone with as many lines as it is called on, signed in at a WebSocket: what a browser is to a desktop that rules it by REST.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crosspoint::lab::scenario::AgentAct;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Request, open_plain};
use crate::phone::Phone;
use crate::rig::{DOMAIN, eventually};

/// One phone per call; each answers by itself what the page would.
#[derive(Clone)]
pub struct Lines(Arc<Mutex<Vec<Phone>>>);

impl Lines {
    pub async fn sign_in(address: SocketAddr, dn: &'static str) -> Lines {
        let mut client = open_plain(address, Request::default()).await.unwrap_or_else(|_| panic!("a WebSocket"));
        let answer = client.sign_in(dn).await;
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        let lines = Lines(Arc::default());
        let own = lines.clone();
        tokio::spawn(async move {
            while let Some(Ok(message)) = client.socket.next().await {
                let Ok(text) = message.into_text() else { continue };
                if text.trim().is_empty() {
                    continue;
                }
                for out in own.receive(dn, &text) {
                    if client.socket.send(Message::text(out)).await.is_err() {
                        return;
                    }
                }
            }
        });
        lines
    }

    fn phones(&self) -> MutexGuard<'_, Vec<Phone>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receive(&self, dn: &str, text: &str) -> Vec<String> {
        let call_id = text.lines().find_map(|line| line.strip_prefix("Call-ID: ")).unwrap_or_default();
        let mut phones = self.phones();
        let known = phones.iter_mut().find(|phone| phone.call_id() == call_id);
        match known {
            Some(phone) => phone.receive(text),
            None => {
                let mut phone = Phone::new(dn, DOMAIN);
                let out = phone.receive(text);
                phones.push(phone);
                out
            }
        }
    }

    fn count(&self, act: &AgentAct) -> usize {
        self.phones().iter().filter(|phone| !phone.call_id().is_empty() && phone.is_done(act)).count()
    }

    /// Waits until so many calls ring.
    pub async fn ring(&self, calls: usize) {
        eventually(|| self.count(&AgentAct::Rings) == calls).await;
    }

    /// Waits until so many calls are answered.
    pub async fn talk(&self, calls: usize) {
        eventually(|| self.count(&AgentAct::IsTalking) == calls).await;
    }
}
