//! Which SIP messages belong to a capture: by their Call-ID.
//!
//! A call is there only after its first message, and its capture after that: where calls are captured unasked, or some are
//! captured at all, the last messages are remembered for a moment, in memory alone.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::writer::LINGER;
use super::{Note, Sink};
use crate::gateway::{CaptureOrder, ListenerId};
use crate::id::{CallId, FlowId};
use crate::io::tally::Count;
use crate::path::Path;
use crate::sip::message::Message;

/// Messages that are remembered.
const RECENT: usize = 256;
/// For how long: a challenge and what answers it are messages of the call too.
const MEMORY: Duration = Duration::from_secs(2);

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::io) enum Way {
    In,
    Out,
}

/// A message whose call is not known, or not captured.
#[derive(Debug)]
struct Seen {
    at: Instant,
    call_id: String,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Bytes,
}

/// Signalling's messages, as far as captures are concerned.
#[derive(Debug)]
pub(in crate::io) struct Messages {
    sink: Sink,
    locals: Vec<(SocketAddr, SocketAddr)>,
    automatic: bool,
    /// Captures that are open.
    open: usize,
    by_call_id: HashMap<String, CallId>,
    recent: VecDeque<Seen>,
    flows: HashMap<FlowId, ListenerId>,
    /// Captures whose calls are over, and until when their messages are still written.
    leaving: VecDeque<(Instant, CallId)>,
    /// Ends that the writer had no room for.
    late: VecDeque<Note>,
    /// Captures that the writer had no room for.
    refused: Vec<(CallId, String)>,
}

impl Messages {
    pub(super) fn new(sink: Sink, locals: Vec<(SocketAddr, SocketAddr)>, automatic: bool) -> Messages {
        Messages {
            sink,
            locals,
            automatic,
            open: 0,
            by_call_id: HashMap::new(),
            recent: VecDeque::new(),
            flows: HashMap::new(),
            leaving: VecDeque::new(),
            late: VecDeque::new(),
            refused: Vec::new(),
        }
    }

    /// A connection is there.
    pub(in crate::io) fn flow_opened(&mut self, flow: FlowId, listener: ListenerId) {
        self.flows.insert(flow, listener);
    }

    /// A connection is gone.
    pub(in crate::io) fn flow_closed(&mut self, flow: FlowId) {
        self.flows.remove(&flow);
    }

    /// Returns captures that could not even be begun, once.
    pub(in crate::io) fn take_refused(&mut self) -> Vec<(CallId, String)> {
        std::mem::take(&mut self.refused)
    }

    /// Looks at a message on its way.
    pub(in crate::io) fn see(&mut self, way: Way, path: &Path, bytes: &Bytes) {
        if !self.automatic && self.open == 0 && self.by_call_id.is_empty() {
            return;
        }
        let now = Instant::now();
        self.forget(now);
        let Ok(message) = Message::parse(bytes.clone()) else { return };
        let Some(local) = self.local(path) else { return };
        let (from, to) = match way {
            Way::In => (path.remote(), local),
            Way::Out => (local, path.remote()),
        };
        let call_id = message.call_id().to_owned();
        match self.by_call_id.get(&call_id) {
            Some(&call) => self.sink.message(Note::Message { call, at: now, from, to, bytes: bytes.clone() }),
            None => {
                if self.recent.len() >= RECENT {
                    self.recent.pop_front();
                }
                self.recent.push_back(Seen { at: now, call_id, from, to, bytes: bytes.clone() });
            }
        }
    }

    /// Returns the address that stands for our end.
    fn local(&self, path: &Path) -> Option<SocketAddr> {
        let told = |bound: &SocketAddr| self.locals.iter().find(|(own, _)| own == bound).map(|(_, told)| *told);
        match path {
            Path::Udp { local, .. } => told(local).or(Some(*local)),
            Path::Tcp { flow, .. } | Path::Relay { flow, .. } => {
                let listener = self.flows.get(flow)?;
                self.locals.get(listener.0).map(|(_, told)| *told)
            }
        }
    }

    /// Does what the gateway wants of captures.
    pub(in crate::io) fn carry_out(&mut self, order: CaptureOrder) {
        let now = Instant::now();
        self.retry();
        match order {
            CaptureOrder::Open { call, name } => {
                self.open += 1;
                self.leaving.retain(|(_, other)| *other != call);
                if let Err(Note::Open { call, name }) = self.sink.send(Note::Open { call, name }) {
                    self.sink.tally.add(Count::CaptureFailed);
                    self.refused.push((call, name));
                }
            }
            CaptureOrder::Take { call, call_id } => {
                let (known, rest) = self.recent.drain(..).partition(|seen| seen.call_id == call_id);
                self.recent = rest;
                let known: VecDeque<Seen> = known;
                for Seen { at, from, to, bytes, .. } in known {
                    self.sink.message(Note::Message { call, at, from, to, bytes });
                }
                self.by_call_id.insert(call_id, call);
            }
            CaptureOrder::Leave { call, call_id } => {
                if self.by_call_id.get(&call_id) == Some(&call) {
                    self.by_call_id.remove(&call_id);
                }
            }
            CaptureOrder::Close { call, at_once } => {
                self.open = self.open.saturating_sub(1);
                match at_once {
                    true => self.by_call_id.retain(|_, of| *of != call),
                    false => self.leaving.push_back((now + LINGER, call)),
                }
                self.late.push_back(Note::Close { call, at_once });
                self.retry();
            }
        }
    }

    /// Forgets what is too old to matter.
    fn forget(&mut self, now: Instant) {
        while self.recent.front().is_some_and(|seen| now.duration_since(seen.at) > MEMORY) {
            self.recent.pop_front();
        }
        while self.leaving.front().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, call)) = self.leaving.pop_front() {
                self.by_call_id.retain(|_, of| *of != call);
            }
        }
        self.retry();
    }

    fn retry(&mut self) {
        while let Some(note) = self.late.pop_front() {
            if let Err(note) = self.sink.send(note) {
                self.late.push_front(note);
                return;
            }
        }
    }
}
