//! `crosspoint`: an embedded SIP/WebRTC media gateway between browsers and a Genesys SIP Server.
//!
//! Browsers speak SIP over WebSocket (RFC 7118) and DTLS-SRTP Opus; the SIP Server speaks plain SIP and RTP G.711. One
//! process is the registrar, the back-to-back user agent and the transcoder between them.
//!
//! # The map
//!
//! ```text
//!  vocabulary        id  path  plan  packet  trust
//!                     │
//!  protocols (pure)   sip  sdp  capture  bayeux     rtp  webrtc  codec
//!                     │                              │
//!  domains (pure)     registrar  call  gateway  desk media
//!                     └───────────┬────── plan ──────┘
//!  shell              io (signalling, worker)  http  config  telemetry  app
//!                     │
//!  beside it          lab (a stand-in Genesys; feature `lab`)  load (drives any gateway; feature `load`)
//! ```
//!
//! [`desk`] is the agents' side: it learns of calls by their events and changes them by commands, as anybody outside.
//!
//! Imports run downward only, and signalling and media never import each other: `gateway` writes [`plan`]s, the media
//! threads carry them out. `tests/architecture.rs` states who may import whom, and fails on anything else.
//!
//! # The contract of a pure core
//!
//! [`gateway::Gateway`] and the media engine take bytes, reports and the time, and give back bytes, orders and the next
//! deadline: `handle_input(input, now)`, then drain `poll_output()`, then `poll_timeout()`. They open no socket and ask no
//! clock; randomness comes in as a seed. So a failure of the model test replays from its number.
//!
//! # The routes
//!
//! 1. *A media packet*: worker socket → demultiplexer → SRTP opened in place → RTP header read as a view → gap logic →
//!    Opus decoded at 8 kHz → G.711 behind the outgoing header → socket. One thread, no channel, no allocation.
//! 2. *An INVITE*: WebSocket or UDP → one channel → [`gateway`] → transaction → call → registrar → SDP → client transaction
//!    → writer. No round trip to the media threads: their ports are already bound, their credentials are plain data.
//! 3. *A call event*: `call` → [`gateway::Output::Event`] → a bounded broadcast → whoever subscribes.
//! 4. *A media event*: worker → a slot per leg → [`gateway::Input::Media`].
//! 5. *An event for the agent's desktop*: [`call::CallEvent`] → [`desk::Desk`] writes the message once → the Bayeux server
//!    and the sinks. A REST request → [`desk::Operation`] → [`call::Command`]; its effect comes back as an event.
//! 6. *A command*: page, REST or an embedding program → [`gateway::Input::Command`] → a procedure of the call.
//!
//! # The queues, and what each does when it is full
//!
//! | from → to | bound | when it is full |
//! |---|---|---|
//! | kernel → SIP over UDP, media sockets | 2 MiB, 4 MiB | the kernel drops: the peer repeats, or conceals |
//! | SIP datagrams → signalling | 4096 | dropped, `udp_queue_full`; the peer repeats |
//! | messages of connections → signalling | 1024 | the connection is not read on: TCP makes its peer wait |
//! | signalling → a connection | 128 messages, and a time for each to be written | the connection is closed, `slow_reader` |
//! | new connections | `limits.connections`, `limits.connections_per_address` of one source | closed at once, `too_many_…` |
//! | commands, figures, answers of DNS → signalling | 256 | who asks waits |
//! | orders → a worker | 4096, the last quarter for those that open no leg | they wait in order at signalling, `order_delayed` |
//! | calls → bound ports of a worker | `media.reserve` | no message is taken until there are new ones, for 300 ms; then 503, `no_port` |
//! | orders that wait at signalling | 256, then what the legs that are there still need | no message is taken, a command is dropped, `command_dropped` |
//! | a worker → signalling | 4096 reports | the rest stays with its leg, coalesced, 64 keys each; of the load the last word |
//! | DTLS datagrams → handshakes | 256, 32 of one leg | dropped, `handshake_queue`; the browser repeats |
//! | keys → a leg, by RTP or by INFO | 32 | the key is not sent |
//! | voices → a seat of a mix | 340 ms | the oldest samples go |
//! | a leg → its tap, taps and messages → the writer of captures | a ring; 4096 notes and 16 MiB | missed in the file, `capture_missed`; never waited for |
//! | facts of calls and phones → the agents' side | 65 536 | dropped, `notice_missed`; it learns where, and asks for what there is |
//! | call events → each subscriber | 4096 | it loses the oldest, and learns how many |
//! | requests, frames, events → the agents' side | 65 536, and a place for each request that is held; 8 frames of one WebSocket | who sends waits |
//! | bodies → a WebSocket of a desktop | 80, and a time for each to be written | the connection is closed |
//! | commands of agents → signalling | 4096 | dropped, `commands_dropped` |
//! | logins → the threads that verify passwords | 256, 128 of one address or name (4 once it has failed), three of it at once; then half the cores | 503, 403 with Retry-After |
//! | logins; addresses and names that failed to log in | 20 000, 1000 of one agent; 10 000 each | the idlest ends; the oldest is forgotten |
//! | changes of agents → who routes calls | 4096 | it loses the oldest, and learns how many |
//! | events → a Bayeux session | 1000 and 4 MiB, 16 bodies of them on their way to a WebSocket | that session ends and is told to shake hands again |
//! | handshakes → Bayeux sessions | 20 000, 1000 of one owner, a twentieth of nobody's | refused, with advice to come later |
//! | events → the journal of the sinks | 65 536 | lost to the sinks, counted (`outbox_refused`), logged; ends of calls wait beside it, as many again |
//! | ends of calls of the run before → an agent's desktops | 100 of one agent, half of what a session's queue takes, 600 s | the sinks alone learn of what is beyond |
//! | the journal → sinks | `outbox.max_mb` on disk | the oldest events go, `lost` of the sinks that had not had them |
//! | what a GWS said → the desk | 1024 of 128 KiB | the GWS is not read on; what is longer is not believed |
//! | user data → a call | 256 pairs, 64 KiB as they are written | an agent's is refused, the trunk's is not taken |
//! | what a GWS says → calls that are not there yet | 4096 calls, 16 KiB and 60 s each | the oldest is forgotten |
//! | publications → an external CometD server | 10 000 | who publishes keeps it, and tries again |
//! | pages → a GWS, requests and WebSockets | `gws.connections`, a quarter of one source address | 503 with the reason |
//! | INVITEs → calls | `limits.calls`, `limits.overload_percent`, `dn.calls` | 503 with Retry-After, 486, 403: `crosspoint_calls_refused_total` |
//! | requests → transactions, sessions | 100 000; four per call | 503, `overloaded` |
//! | requests of one source that is not known | `limits.requests_per_second` | 503 by WebSocket, silence by UDP, `limited` |
//! | provisional responses that wait for a PRACK | 8 of one call | the oldest goes |
//! | REGISTERs → a trunk | one per DN, `registration.per_second` | they wait their turn |
//!
//! What a pure core gives out ([`gateway::Gateway::poll_output`], an engine's packets) is drained after each input and holds
//! the outcome of that one.
//!
//! # Invariants
//!
//! * Nothing from the network panics, hangs, grows without bound, or is believed before it is authenticated. A panic is a
//!   bug of ours.
//! * Every session belongs to one leg, every leg to one call, every media port to one leg; a call that ends leaves none.
//! * Every queue is bounded and says what happens when it is full.
//! * The media path allocates nothing, takes no lock and copies no payload that it need not change.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod id;
pub mod packet;
pub mod path;
pub mod plan;
pub mod trust;

pub mod bayeux;
pub mod capture;
pub mod codec;
pub mod rtp;
pub mod sdp;
pub mod sip;
pub mod webrtc;

pub mod call;
pub mod desk;
pub mod gateway;
pub mod media;
pub mod registrar;

pub mod app;
pub mod config;
pub mod http;
pub mod io;
pub mod telemetry;

#[cfg(feature = "lab")]
pub mod lab;
#[cfg(feature = "load")]
pub mod load;
