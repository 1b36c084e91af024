//! CometD by WebSocket: a batch per text frame, both ways; no subprotocol.
//!
//! Bodies are taken from the task as they come and written in one go; how many were written goes back, for the task sends no
//! more than a window beyond that. A login that ends is seen at the next frame. Whoever is to log in has a time for it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::super::{Link, Site};
use super::{called, enter, stranger};
use crate::bayeux::Caller;
use crate::bayeux::message::Batch;
use crate::desk::login::Session;
use crate::io::accept::Seat;
use crate::io::desk::{Handle, Socket};
use crate::io::tally::Count;

/// Room for the last words of a connection that is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(400);
/// What one read takes at most: desktops send little, and there are many of them.
const READ_BUFFER: usize = 4096;

/// Who opened a WebSocket, and where.
pub(super) struct Visitor {
    pub(super) site: Site,
    pub(super) link: Link,
    pub(super) desk: Handle,
    /// The login of the cookie that came with the request, or of a handshake since then.
    pub(super) session: Option<Session>,
    /// Its place among the connections.
    pub(super) seat: Option<Arc<Seat>>,
}

/// Answers the upgrade and serves the WebSocket.
pub(super) fn serve(upgrade: WebSocketUpgrade, visitor: Visitor) -> Response {
    let bytes = visitor.site.config.desk.limits.bytes;
    let upgrade = upgrade.max_message_size(bytes).max_frame_size(bytes);
    let upgrade = upgrade.read_buffer_size(READ_BUFFER).write_buffer_size(0);
    upgrade.on_upgrade(move |web| async move {
        let _seat = visitor.seat.clone();
        if let Ok(way) = visitor.desk.socket().await {
            let mut line = Line { web, way, visitor, login_by: None };
            line.note_login(line.visitor.session.is_some());
            line.run().await;
        }
    })
}

/// How a connection ends.
enum End {
    /// The peer closed or vanished.
    Gone,
    /// We close it, and say so if it is taken.
    Close(u16, &'static str),
}

struct Line {
    web: WebSocket,
    way: Socket,
    visitor: Visitor,
    /// When it is closed, unless it is somebody's by then.
    login_by: Option<Instant>,
}

impl Line {
    /// Notes whether it is anybody's: if not, and it must be, its time begins or runs on.
    fn note_login(&mut self, is_known: bool) {
        let rules = &self.visitor.site.config.desk;
        self.login_by =
            if is_known || rules.anonymous { None } else { self.login_by.or(Some(Instant::now() + rules.login_time)) };
    }

    async fn run(mut self) {
        tracing::debug!(flow = %self.way.flow(), "CometD by WebSocket");
        let end = self.pump().await;
        if let End::Close(code, reason) = end {
            let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
            let _ = timeout(CLOSE_TIMEOUT, async {
                self.web.send(Message::Close(Some(frame))).await?;
                // Until the peer has closed too: what was sent must not be lost by a reset.
                while let Some(Ok(_)) = self.web.recv().await {}
                Ok::<_, axum::Error>(())
            })
            .await;
        }
    }

    async fn pump(&mut self) -> End {
        let limits = self.visitor.site.config.websocket.clone();
        let mut ping_at = Instant::now() + limits.ping_interval;
        let mut pong_by: Option<Instant> = None;
        loop {
            let done = tokio::select! {
                body = self.way.next() => match body {
                    Some(body) => self.write(body, limits.write_timeout).await,
                    None => return End::Close(close_code::AWAY, "closed by the gateway"),
                },
                frame = self.web.recv() => {
                    pong_by = None;
                    match frame {
                        Some(Ok(frame)) => self.take(frame).await,
                        Some(Err(_)) => Err(End::Close(close_code::SIZE, "frame too long or malformed")),
                        None => Err(End::Gone),
                    }
                }
                () = tokio::time::sleep_until(ping_at) => {
                    ping_at = Instant::now() + limits.ping_interval;
                    pong_by = pong_by.or(Some(Instant::now() + limits.pong_timeout));
                    self.send(Message::Ping(Bytes::new()), limits.write_timeout).await
                }
                () = sleep_until(self.login_by) => Err(End::Close(close_code::POLICY, "nobody has logged in")),
                () = sleep_until(pong_by) => Err(End::Close(close_code::POLICY, "no pong")),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn take(&mut self, frame: Message) -> Result<(), End> {
        let bytes = match frame {
            Message::Text(text) => Bytes::from(text),
            Message::Binary(_) => return Err(End::Close(close_code::UNSUPPORTED, "text frames only")),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(End::Gone),
        };
        let Ok(batch) = Batch::read(&bytes, &self.visitor.site.config.desk.limits) else {
            return Err(End::Close(close_code::INVALID, "not a batch of Bayeux messages"));
        };
        let caller = self.caller(&batch).await;
        self.note_login(caller.owner.is_some());
        self.way.frame(caller, batch).await.map_err(|_| End::Close(close_code::AWAY, "the gateway shuts down"))
    }

    /// Says who sends a frame: the login of this WebSocket, if it has not ended.
    async fn caller(&mut self, batch: &Batch) -> Caller {
        let Visitor { site, link, desk, session, .. } = &mut self.visitor;
        let found = session.as_ref().and_then(|session| desk.session(&session.secret.0));
        if session.is_some() && found.is_none() && batch.login().is_none() {
            return called(site, None);
        }
        match enter(site, desk, link.peer.ip(), found, batch).await {
            Ok((caller, Some(opened))) => {
                *session = Some(opened);
                caller
            }
            Ok((caller, None)) => caller,
            Err(_) => stranger(),
        }
    }

    async fn write(&mut self, body: Bytes, time: Duration) -> Result<(), End> {
        // What the server writes is JSON, so UTF-8.
        let text = Utf8Bytes::try_from(body).map_err(|_| End::Close(close_code::ERROR, "not UTF-8"))?;
        self.send(Message::Text(text), time).await?;
        self.way.written(1).await.map_err(|_| End::Close(close_code::AWAY, "the gateway shuts down"))
    }

    async fn send(&mut self, message: Message, time: Duration) -> Result<(), End> {
        match timeout(time, self.web.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => {
                self.visitor.site.signalling.tally().add(Count::SlowReader);
                Err(End::Gone)
            }
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
