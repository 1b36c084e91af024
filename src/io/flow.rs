//! One SIP connection (RFC 5626 *flow*) between its task and signalling.
//!
//! Signalling never waits for a flow: what a flow is to send goes into a bounded queue, and a flow whose queue is full loses
//! its connection. A flow waits for signalling, and TCP makes its sender wait.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::tally::{Count, Tally};
use crate::gateway::ListenerId;
use crate::id::FlowId;
use crate::path::{Path, Transport};

/// What a flow tells signalling.
#[derive(Debug)]
pub(super) enum FromFlow {
    /// It is there.
    Opened { flow: FlowId, transport: Transport, listener: ListenerId, remote: SocketAddr, writer: Writer },
    /// One that signalling asked for is there.
    Connected { flow: FlowId, transport: Transport, listener: ListenerId, remote: SocketAddr },
    /// One message.
    Message { path: Path, transport: Transport, listener: ListenerId, bytes: Bytes },
    /// It is gone.
    Closed(FlowId),
}

/// Signalling's end.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Bytes>,
    abort: oneshot::Sender<()>,
}

impl Writer {
    /// Queues a message, or returns why the flow cannot take it any more: it must then be dropped.
    pub(super) fn send(&self, bytes: Bytes) -> Result<(), Count> {
        self.queue.try_send(bytes).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Count::SlowReader,
            mpsc::error::TrySendError::Closed(_) => Count::NoFlow,
        })
    }

    /// Ends the flow at once, whatever waits to be sent.
    pub(super) fn abort(self) {
        let _ = self.abort.send(());
    }
}

/// The connection's end; dropping it tells signalling that the flow is gone.
#[derive(Debug)]
pub struct Flow {
    id: FlowId,
    remote: SocketAddr,
    transport: Transport,
    listener: ListenerId,
    inbound: mpsc::Sender<FromFlow>,
    tally: Arc<Tally>,
    _alive: mpsc::Sender<()>,
}

/// What signalling wants of the connection.
#[derive(Debug)]
pub struct Outgoing {
    queue: mpsc::Receiver<Bytes>,
    aborted: oneshot::Receiver<()>,
}

/// The next thing to do for a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this message.
    Send(Bytes),
    /// Close in good order; all that was to be sent has been handed out.
    Close,
}

impl Outgoing {
    /// Returns the next thing to do. Cancel-safe.
    pub async fn next(&mut self) -> Next {
        self.queue.recv().await.map_or(Next::Close, Next::Send)
    }

    /// Waits until signalling gives the flow up; never returns otherwise. To be awaited beside all else.
    pub fn take_abort(&mut self) -> impl Future<Output = ()> + use<> {
        let (_, unused) = oneshot::channel();
        let aborted = std::mem::replace(&mut self.aborted, unused);
        async move {
            if aborted.await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Signalling has ended.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("signalling has ended")]
pub struct Ended;

/// What a new flow is made of.
pub(super) struct Opening {
    pub(super) id: FlowId,
    pub(super) remote: SocketAddr,
    pub(super) transport: Transport,
    pub(super) listener: ListenerId,
    pub(super) queue: usize,
}

impl Flow {
    /// Makes a flow that signalling knows of already.
    pub(super) fn pair(
        opening: Opening,
        inbound: mpsc::Sender<FromFlow>,
        alive: mpsc::Sender<()>,
        tally: Arc<Tally>,
    ) -> (Writer, Flow, Outgoing) {
        let Opening { id, remote, transport, listener, queue } = opening;
        let (queue_in, queue_out) = mpsc::channel(queue.max(1));
        let (abort, aborted) = oneshot::channel();
        let flow = Flow { id, remote, transport, listener, inbound, tally, _alive: alive };
        (Writer { queue: queue_in, abort }, flow, Outgoing { queue: queue_out, aborted })
    }

    pub(super) async fn open(
        opening: Opening,
        inbound: mpsc::Sender<FromFlow>,
        alive: mpsc::Sender<()>,
        tally: Arc<Tally>,
    ) -> Result<(Flow, Outgoing), Ended> {
        let Opening { id: flow, remote, transport, listener, .. } = opening;
        let (writer, made, outgoing) = Flow::pair(opening, inbound.clone(), alive, tally);
        inbound.send(FromFlow::Opened { flow, transport, listener, remote, writer }).await.map_err(|_| Ended)?;
        made.count(Count::FlowOpened);
        Ok((made, outgoing))
    }

    /// Tells signalling that a connection that it asked for is there.
    pub(super) async fn announce(&self) -> Result<(), Ended> {
        let Flow { id: flow, remote, transport, listener, .. } = *self;
        self.inbound.send(FromFlow::Connected { flow, transport, listener, remote }).await.map_err(|_| Ended)?;
        self.count(Count::FlowOpened);
        Ok(())
    }

    /// Returns the flow's name.
    pub fn id(&self) -> FlowId {
        self.id
    }

    /// Returns the peer.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Counts something that befell this flow.
    pub fn count(&self, count: Count) {
        self.tally.add(count);
    }

    /// Hands one message to signalling; waits while signalling is busy.
    pub async fn deliver(&self, bytes: Bytes) -> Result<(), Ended> {
        let path = Path::Tcp { flow: self.id, remote: self.remote };
        let message = FromFlow::Message { path, transport: self.transport, listener: self.listener, bytes };
        self.inbound.send(message).await.map_err(|_| Ended)
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        if let Err(mpsc::error::TrySendError::Full(message)) = self.inbound.try_send(FromFlow::Closed(self.id)) {
            let inbound = self.inbound.clone();
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { inbound.send(message).await });
            }
        }
    }
}
