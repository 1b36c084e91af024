//! SIP over WebSocket (RFC 7118): the upgrade, then one message per frame, text or binary.
//!
//! Keep-alive: our pings every 30 s (RFC 6455 5.5.2), and a double CRLF answered by one (RFC 5626 4.4.1), which JsSIP sends.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::origin::{self, Verdict};
use super::{Link, Site, WebSocketLimits};
use crate::io::accept::Seat;
use crate::io::flow::{Flow, Next, Outgoing};
use crate::io::tally::Count;
use crate::path::Transport;
use crate::telemetry::Address;

/// The subprotocol of RFC 7118 4.1.
const SUBPROTOCOL: &str = "sip";
/// Read at a time: a SIP message with SDP, most of the time. tungstenite's own 128 KiB are cleared at every read, and were
/// two thirds of what a call takes.
const READ_BUFFER: usize = 4096;
/// Room for the last words of a connection that is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(400);

/// `GET` of the WebSocket path.
pub(super) async fn upgrade(
    State(site): State<Site>,
    Extension(link): Extension<Link>,
    Extension(seat): Extension<Arc<Seat>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let tally = site.signalling.tally();
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    match origin::judge(&site.config, &link, text(header::ORIGIN), text(header::HOST)) {
        Verdict::Allowed => {}
        verdict => {
            tally.add(Count::ForeignOrigin);
            tracing::info!(peer = %Address(link.peer.ip()), ?verdict, "WebSocket refused");
            let why = match verdict {
                Verdict::Missing => "an Origin header is required\n",
                _ => "this Origin is not allowed; see `origins` in the configuration\n",
            };
            return (StatusCode::FORBIDDEN, why).into_response();
        }
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return not_a_websocket(rejection),
    };
    let upgrade = upgrade.protocols([SUBPROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        tally.add(Count::NoSubprotocol);
        return (StatusCode::BAD_REQUEST, "Sec-WebSocket-Protocol must offer `sip` (RFC 7118)\n").into_response();
    }
    let limits = site.config.websocket.clone();
    let upgrade = upgrade.max_message_size(limits.message_bytes).max_frame_size(limits.message_bytes);
    upgrade.read_buffer_size(READ_BUFFER).write_buffer_size(0).on_upgrade(move |socket| async move {
        let _seat = seat;
        let transport = if link.secure { Transport::Wss } else { Transport::Ws };
        let Ok((flow, outgoing)) = site.signalling.open_flow(transport, link.listener, link.peer).await else {
            return;
        };
        tracing::debug!(flow = %flow.id(), peer = %Address(link.peer.ip()), "flow opened");
        Socket { socket, flow, limits }.run(outgoing).await;
    })
}

fn not_a_websocket(rejection: WebSocketUpgradeRejection) -> Response {
    let mut response = rejection.into_response();
    if response.status() == StatusCode::UPGRADE_REQUIRED || response.status() == StatusCode::BAD_REQUEST {
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    response
}

/// How a connection ends.
enum End {
    /// The peer closed or vanished.
    Gone,
    /// We close it, and say so if it is taken.
    Close(u16, &'static str),
}

struct Socket {
    socket: WebSocket,
    flow: Flow,
    limits: WebSocketLimits,
}

impl Socket {
    async fn run(mut self, mut outgoing: Outgoing) {
        let aborted = outgoing.take_abort();
        let end = tokio::select! {
            end = self.pump(&mut outgoing) => end,
            () = aborted => End::Gone,
        };
        if let End::Close(code, reason) = end {
            let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
            let _ = timeout(CLOSE_TIMEOUT, async {
                self.socket.send(Message::Close(Some(frame))).await?;
                // Until the peer has closed too: what was sent must not be lost by a reset.
                while let Some(Ok(_)) = self.socket.recv().await {}
                Ok::<_, axum::Error>(())
            })
            .await;
        }
        tracing::debug!(flow = %self.flow.id(), "flow closed");
    }

    async fn pump(&mut self, outgoing: &mut Outgoing) -> End {
        let mut ping_at = Instant::now() + self.limits.ping_interval;
        let mut pong_by: Option<Instant> = None;
        loop {
            tokio::select! {
                next = outgoing.next() => match next {
                    Next::Send(bytes) => if let Err(end) = self.send(as_frame(bytes)).await { return end },
                    Next::Close => return End::Close(close_code::AWAY, "closed by the gateway"),
                },
                frame = self.socket.recv() => {
                    pong_by = None;
                    let Some(frame) = frame else { return End::Gone };
                    if let Err(end) = self.take(frame).await { return end }
                }
                () = tokio::time::sleep_until(ping_at) => {
                    ping_at = Instant::now() + self.limits.ping_interval;
                    pong_by = pong_by.or(Some(Instant::now() + self.limits.pong_timeout));
                    if let Err(end) = self.send(Message::Ping(Bytes::new())).await { return end }
                }
                () = sleep_until(pong_by) => {
                    self.flow.count(Count::NoPong);
                    return End::Close(close_code::POLICY, "no pong");
                }
            }
        }
    }

    async fn take(&mut self, frame: Result<Message, axum::Error>) -> Result<(), End> {
        let (bytes, is_text) = match frame {
            Ok(Message::Text(text)) => (Bytes::from(text), true),
            Ok(Message::Binary(bytes)) => (bytes, false),
            Ok(Message::Ping(_) | Message::Pong(_)) => return Ok(()),
            Ok(Message::Close(_)) => return Err(End::Gone),
            Err(error) => {
                self.flow.count(Count::BadFrame);
                tracing::debug!(flow = %self.flow.id(), %error, "WebSocket");
                return Err(End::Close(close_code::SIZE, "frame too long or malformed"));
            }
        };
        if bytes.iter().all(|b| matches!(b, b'\r' | b'\n')) {
            // One CRLF is the peer's answer to a ping of ours that we never send this way: nothing to do.
            if bytes.len() < 4 {
                return Ok(());
            }
            let pong = Bytes::from_static(b"\r\n");
            return self.send(if is_text { as_frame(pong) } else { Message::Binary(pong) }).await;
        }
        self.flow.deliver(bytes).await.map_err(|_| End::Close(close_code::AWAY, "the gateway shuts down"))
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(self.limits.write_timeout, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => {
                self.flow.count(Count::SlowReader);
                Err(End::Gone)
            }
        }
    }
}

/// Text where it is UTF-8, as browsers like it; else binary (RFC 7118 4.2).
fn as_frame(bytes: Bytes) -> Message {
    match Utf8Bytes::try_from(bytes.clone()) {
        Ok(text) => Message::Text(text),
        Err(_) => Message::Binary(bytes),
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
