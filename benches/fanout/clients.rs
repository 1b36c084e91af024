//! Many clients in one thread: what they hear, and when.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::bayeux::{Client, Kind, frame, take};
use crate::server::now_ns;

/// Clients in their sessions.
pub struct Clients {
    poll: Poll,
    all: Vec<(TcpStream, Client)>,
    /// What one read takes.
    piece: Vec<u8>,
}

/// When events were sent, and how long each took to a client, in nanoseconds.
#[derive(Default)]
pub struct Receipts(Vec<(u64, u64)>);

impl Clients {
    pub fn new(clients: Vec<Client>) -> Clients {
        let poll = Poll::new().expect("epoll");
        let with_poll = |(k, client): (usize, Client)| {
            let stream = client.stream.try_clone().expect("a descriptor");
            stream.set_nonblocking(true).expect("a socket");
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(k), Interest::READABLE).expect("epoll");
            (stream, client)
        };
        let all = clients.into_iter().enumerate().map(with_poll).collect();
        Clients { poll, all, piece: vec![0; 64 << 10] }
    }

    /// Hears so many events, or what comes within `most`. While they come it does not sleep: to wake it would be time of the
    /// server, and no little.
    pub fn listen(&mut self, wanted: usize, most: Duration) -> Receipts {
        let (mut heard, mut events) = (Receipts::default(), Events::with_capacity(1024));
        /// How long it looks on after the last of them.
        const AWAKE: Duration = Duration::from_micros(200);
        let mut last = Instant::now();
        let end = last + most;
        loop {
            let now = Instant::now();
            if heard.len() >= wanted || now >= end {
                return heard;
            }
            let patience = if now - last < AWAKE { Duration::ZERO } else { end - now };
            match self.poll.poll(&mut events, Some(patience)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => panic!("{error}"),
                _ => {}
            }
            if !events.is_empty() {
                last = Instant::now();
            }
            for event in &events {
                let Token(k) = event.token();
                read(&mut self.all[k], &mut self.piece, &mut heard);
            }
        }
    }
}

fn read((stream, client): &mut (TcpStream, Client), piece: &mut [u8], heard: &mut Receipts) {
    loop {
        let got = match stream.read(piece) {
            Ok(0) => panic!("the server closed a connection"),
            Ok(got) => got,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        };
        heard.note(&piece[..got], &mut client.inbox);
        while let Some((from, whole)) = take(client.kind, &client.inbox) {
            match (client.kind, client.inbox[0] & 15) {
                (Kind::Polling, _) => send(stream, &client.connect),
                (Kind::Socket, 9) => send(stream, &frame(10, &client.inbox[from..whole])),
                (Kind::Socket, 1) => {
                    let is_connect = memchr::memmem::find(&client.inbox[..whole], b"/meta/connect").is_some();
                    if is_connect {
                        send(stream, &client.connect);
                    }
                }
                (Kind::Socket, _) => panic!("the server closes a connection"),
            }
            client.inbox.drain(..whole);
        }
        if got < piece.len() {
            // Less than there was room for: the socket is empty.
            return;
        }
    }
}

fn send(stream: &mut TcpStream, bytes: &[u8]) {
    // A few hundred bytes that the server waits for: there is always room.
    stream.write_all(bytes).expect("a server that reads");
}

impl Receipts {
    /// Adds what came to what was there, and notes the events in it by their times.
    fn note(&mut self, new: &[u8], inbox: &mut Vec<u8>) {
        const MARK: &[u8] = b"\"sent_ns\":";
        /// A mark and its number.
        const LONGEST: usize = 32;
        let now = now_ns();
        // An event whose time came in two pieces is noted with the second one.
        let seen = inbox.len().saturating_sub(LONGEST);
        let old = inbox.len();
        inbox.extend_from_slice(new);
        for at in memchr::memmem::find_iter(&inbox[seen..], MARK) {
            let number = &inbox[seen + at + MARK.len()..];
            let Some(end) = number.iter().position(|b| !b.is_ascii_digit()) else { continue };
            let is_new = seen + at + MARK.len() + end >= old;
            if is_new && let Some(sent) = std::str::from_utf8(&number[..end]).ok().and_then(|n| n.parse().ok()) {
                self.0.push((sent, now.saturating_sub(sent)));
            }
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Says the delays of all.
    pub fn delays(&self) -> String {
        percentiles(self.0.iter().map(|(_, delay)| *delay).collect())
    }

    /// Says the delays of the last client of each event that so many heard.
    pub fn last_of(&self, clients: usize) -> String {
        let mut events: BTreeMap<u64, (usize, u64)> = BTreeMap::new();
        for (sent, delay) in &self.0 {
            let event = events.entry(*sent).or_default();
            *event = (event.0 + 1, event.1.max(*delay));
        }
        let missed = events.values().filter(|(heard, _)| *heard != clients).count();
        let last = events.values().filter(|(heard, _)| *heard == clients).map(|(_, delay)| *delay).collect();
        format!("{} ({} events, {missed} not heard by all)", percentiles(last), events.len())
    }
}

fn percentiles(mut delays: Vec<u64>) -> String {
    delays.sort_unstable();
    let at = |share: f64| delays.get((delays.len() as f64 * share) as usize).or(delays.last());
    let ms = |share: f64| at(share).map_or(f64::NAN, |ns| *ns as f64 / 1e6);
    format!("p50 {:.3} p99 {:.3} max {:.3} ms", ms(0.5), ms(0.99), ms(1.0))
}
