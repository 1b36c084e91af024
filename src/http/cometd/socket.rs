//! CometD by WebSocket: a batch per text frame, both ways; no subprotocol.
//!
//! What waits is taken from the task and written in one go; how many bodies were written goes back, for the task sends no
//! more than a window beyond that. A login that ends is seen at the next frame. Whoever is to log in has a time for it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout};

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
            let ping_at = Instant::now() + visitor.site.config.websocket.ping_interval;
            let mut line = Line { web, way, visitor, ping_at, pong_by: None, login_by: None };
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
    ping_at: Instant,
    /// When it is closed, unless a frame came.
    pong_by: Option<Instant>,
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
        // One timer that is seldom set: to set some at each turn costs more than the rest of it.
        let mut timer = std::pin::pin!(sleep_until(self.due()));
        loop {
            if timer.deadline() != self.due() {
                timer.as_mut().reset(self.due());
            }
            let done = tokio::select! {
                body = self.way.next() => match body {
                    Some(body) => self.write(body).await,
                    None => return End::Close(close_code::AWAY, "closed by the gateway"),
                },
                frame = self.web.recv() => {
                    self.pong_by = None;
                    match frame {
                        Some(Ok(frame)) => self.take(frame).await,
                        Some(Err(_)) => Err(End::Close(close_code::SIZE, "frame too long or malformed")),
                        None => Err(End::Gone),
                    }
                }
                () = &mut timer => self.on_time().await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// Returns when [`Line::on_time`] has something to do.
    fn due(&self) -> Instant {
        [self.pong_by, self.login_by].into_iter().flatten().fold(self.ping_at, Instant::min)
    }

    async fn on_time(&mut self) -> Result<(), End> {
        let now = Instant::now();
        let is_over = |end: Option<Instant>| end.is_some_and(|end| end <= now);
        if is_over(self.login_by) {
            return Err(End::Close(close_code::POLICY, "nobody has logged in"));
        }
        if is_over(self.pong_by) {
            return Err(End::Close(close_code::POLICY, "no pong"));
        }
        if self.ping_at <= now {
            let limits = &self.visitor.site.config.websocket;
            self.ping_at = now + limits.ping_interval;
            self.pong_by = self.pong_by.or(Some(now + limits.pong_timeout));
            self.send(Message::Ping(Bytes::new())).await?;
        }
        Ok(())
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

    async fn write(&mut self, body: Bytes) -> Result<(), End> {
        // What the server writes is JSON, so UTF-8.
        let text = Utf8Bytes::try_from(body).map_err(|_| End::Close(close_code::ERROR, "not UTF-8"))?;
        self.send(Message::Text(text)).await?;
        self.way.written().await.map_err(|_| End::Close(close_code::AWAY, "the gateway shuts down"))
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        let time = self.visitor.site.config.websocket.write_timeout;
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
