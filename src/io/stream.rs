//! SIP on a bare stream, TCP or TLS (RFC 3261 18.3): messages cut by Content-Length, and the bounds of a connection.
//!
//! Keep-alive (RFC 5626 3.5.1, 4.4.1): a double CRLF is answered by one. On connections that we opened we send one
//! ourselves; the lack of an answer closes the connection only where the peer has answered before, because an old one
//! passes CRLFs over. A peer that is gone without a word is then found by TCP itself ([`USER_TIMEOUT`]).

use std::future::pending;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};

use super::accept::Connection;
use super::flow::{Flow, Next, Outgoing};
use super::signalling::Handle;
use super::tally::Count;
use crate::gateway::ListenerId;
use crate::path::Transport;
use crate::sip::framing::{Frame, Framer, PING, PONG};

/// How long the kernel repeats what the peer does not acknowledge before it gives the connection up.
pub(super) const USER_TIMEOUT: Duration = Duration::from_secs(10);
/// Read at a time, bytes.
const READ_BYTES: usize = 16 << 10;
/// Room for the last words of a connection that is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(400);

/// The bounds of a connection.
#[derive(Clone, Debug)]
pub struct StreamLimits {
    /// A connection that was accepted says something within this.
    pub first: Duration,
    /// A message that has begun is whole within this.
    pub message: Duration,
    /// A peer that takes nothing for so long loses its connection.
    pub write: Duration,
    /// How often a connection of ours is kept alive.
    pub keep_alive: Duration,
    /// How long a peer that knows keep-alives may take to answer one.
    pub pong: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        StreamLimits {
            first: Duration::from_secs(10),
            message: Duration::from_secs(10),
            write: Duration::from_secs(10),
            keep_alive: Duration::from_secs(30),
            pong: Duration::from_secs(10),
        }
    }
}

/// Serves a connection that was accepted.
pub async fn serve(connection: Connection, signalling: Handle, listener: ListenerId, limits: StreamLimits) {
    let Connection { stream, peer, secure, seat } = connection;
    let _seat = seat;
    let transport = if secure { Transport::Tls } else { Transport::Tcp };
    let Ok((flow, outgoing)) = signalling.open_flow(transport, listener, peer).await else { return };
    let first = Some(Instant::now() + limits.first);
    Stream { stream, flow, limits, framer: Framer::new(), whole_by: first, ping: None }.run(outgoing).await;
}

/// Serves a connection that we opened.
pub(super) async fn serve_ours(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    flow: Flow,
    outgoing: Outgoing,
    limits: StreamLimits,
) {
    let ping = Some(Ping { next: Instant::now() + limits.keep_alive, pong_by: None, knows: false });
    Stream { stream, flow, limits, framer: Framer::new(), whole_by: None, ping }.run(outgoing).await;
}

/// Our keep-alives.
struct Ping {
    next: Instant,
    pong_by: Option<Instant>,
    /// The peer has answered one.
    knows: bool,
}

struct Stream<S> {
    stream: S,
    flow: Flow,
    limits: StreamLimits,
    framer: Framer,
    /// When the first message, or one that has begun, must be whole.
    whole_by: Option<Instant>,
    ping: Option<Ping>,
}

/// The connection is over: there is nobody to send to, or nothing that can be understood.
struct Over;

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    async fn run(mut self, mut outgoing: Outgoing) {
        let aborted = outgoing.take_abort();
        tokio::select! {
            _ = self.pump(&mut outgoing) => {}
            () = aborted => return,
        }
        let _ = timeout(CLOSE_TIMEOUT, async {
            self.stream.shutdown().await?;
            // Until the peer has closed too: what was sent must not be lost by a reset.
            let mut rest = [0; 1024];
            while self.stream.read(&mut rest).await? > 0 {}
            Ok::<_, std::io::Error>(())
        })
        .await;
        tracing::debug!(flow = %self.flow.id(), "flow closed");
    }

    async fn pump(&mut self, outgoing: &mut Outgoing) -> Result<(), Over> {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        loop {
            let (ping_at, pong_by) = self.ping.as_ref().map_or((None, None), |p| (Some(p.next), p.pong_by));
            tokio::select! {
                next = outgoing.next() => match next {
                    Next::Send(bytes) => self.write(&bytes).await?,
                    Next::Close => return Ok(()),
                },
                read = self.stream.read_buf(&mut buffer) => match read {
                    Ok(length) if length > 0 => {
                        self.framer.push(&buffer);
                        buffer.clear();
                        self.take().await?;
                    }
                    _ => return Err(Over),
                },
                () = at(self.whole_by) => {
                    self.flow.count(Count::SlowWriter);
                    return Err(Over);
                }
                () = at(ping_at) => self.keep_alive().await?,
                () = at(pong_by) => {
                    self.flow.count(Count::NoPong);
                    return Err(Over);
                }
            }
        }
    }

    async fn keep_alive(&mut self) -> Result<(), Over> {
        if let Some(ping) = &mut self.ping {
            let now = Instant::now();
            ping.next = now + self.limits.keep_alive;
            if ping.knows {
                ping.pong_by = ping.pong_by.or(Some(now + self.limits.pong));
            }
        }
        self.write(PING).await
    }

    /// Hands on what is whole.
    async fn take(&mut self) -> Result<(), Over> {
        if let Some(ping) = &mut self.ping {
            ping.pong_by = None;
        }
        loop {
            let frame = self.framer.next_frame().map_err(|error| {
                self.flow.count(Count::BadFrame);
                tracing::debug!(flow = %self.flow.id(), %error, "SIP stream");
                Over
            })?;
            match frame {
                Some(Frame::Message(bytes)) => {
                    self.whole_by = None;
                    self.flow.deliver(bytes).await.map_err(|_| Over)?;
                }
                Some(Frame::Ping) => {
                    self.whole_by = None;
                    self.write(PONG).await?;
                }
                Some(Frame::Pong) => {
                    if let Some(ping) = &mut self.ping {
                        ping.knows = true;
                    }
                }
                None => break,
            }
        }
        if self.framer.pending_bytes() > 0 && self.whole_by.is_none() {
            self.whole_by = Some(Instant::now() + self.limits.message);
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Over> {
        let written = timeout(self.limits.write, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        });
        match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Over),
            Err(_) => {
                self.flow.count(Count::SlowReader);
                Err(Over)
            }
        }
    }
}

#[cfg(test)]
mod tests;
