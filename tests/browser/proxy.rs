//! A TCP proxy between a browser and the gateway, to cut the WebSocket as a network does: without a word from either side.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running proxy; ends with the test's runtime.
pub struct Proxy {
    port: u16,
    refuses: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Proxy {
    /// Forwards what comes to a free loopback port to `target`.
    pub async fn start(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound listener").port();
        let proxy = Proxy { port, refuses: Arc::default(), open: Arc::default() };
        let (refuses, open) = (Arc::clone(&proxy.refuses), Arc::clone(&proxy.open));
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if refuses.load(Ordering::Relaxed) {
                    continue;
                }
                let forward = tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(target).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
                open.lock().expect("not poisoned").push(forward);
            }
        });
        proxy
    }

    /// Where the browser connects to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts all connections, and lets none be made until [`Proxy::mend`].
    pub fn cut(&self) {
        self.refuses.store(true, Ordering::Relaxed);
        self.open.lock().expect("not poisoned").drain(..).for_each(|connection| connection.abort());
    }

    /// Lets connections be made again.
    pub fn mend(&self) {
        self.refuses.store(false, Ordering::Relaxed);
    }
}
