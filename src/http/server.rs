//! HTTP/1.1 on one accepted connection, and the bounds of its life.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;

use super::{Config, Link};
use crate::gateway::ListenerId;
use crate::io::accept::Connection;

/// Longest request head, bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// Which listener a connection came by.
#[derive(Clone, Copy, Debug)]
pub struct Door {
    /// Its place in the gateway's list.
    pub listener: ListenerId,
    /// Plain, and bound to loopback.
    pub local_only: bool,
}

/// Serves one connection until it ends, becomes a WebSocket, or `stop` turns true.
pub async fn serve(
    connection: Connection,
    door: Door,
    router: Router,
    config: Arc<Config>,
    mut stop: watch::Receiver<bool>,
) {
    let Connection { stream, peer, secure, seat } = connection;
    let link = Link { peer, secure, listener: door.listener, local_only: door.local_only };
    // A WebSocket outlives this function: its seat goes with the request's extensions into the task of the flow.
    let seat = Arc::new(seat);
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(link);
        request.extensions_mut().insert(seat.clone());
        inner.call(request)
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => Some(ended),
        () = tokio::time::sleep(config.connection_time) => None,
        _ = stop.wait_for(|stop| *stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            serving.as_mut().graceful_shutdown();
            match tokio::time::timeout(config.connection_time, serving).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "HTTP connection");
    }
}
