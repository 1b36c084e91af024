//! What the shell drops or refuses: counted, never silent.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// One thing that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Count { $($(#[$doc])* $variant,)* }

        impl Count {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Count] = &[$(Count::$variant,)*];

            /// Returns the name for metrics, in snake case.
            pub fn name(self) -> &'static str {
                match self { $(Count::$variant => $name,)* }
            }
        }
    };
}

counts! {
    /// SIP datagrams taken.
    UdpReceived => "udp_received",
    /// Datagrams dropped because signalling did not keep up; the peer repeats them.
    UdpQueueFull => "udp_queue_full",
    /// Datagrams that the kernel did not take.
    UdpSendFailed => "udp_send_failed",
    /// Keep-alives by UDP, ignored.
    UdpKeepAlive => "udp_keep_alive",
    /// Connections refused: too many in all.
    TooManyConnections => "too_many_connections",
    /// Connections refused: too many of one source.
    TooManyOfSource => "too_many_of_source",
    /// The kernel gave no connection (out of descriptors, mostly).
    AcceptFailed => "accept_failed",
    /// TLS handshakes that failed.
    TlsFailed => "tls_failed",
    /// TLS handshakes that took too long.
    TlsTimedOut => "tls_timed_out",
    /// WebSocket requests of a foreign Origin.
    ForeignOrigin => "foreign_origin",
    /// WebSocket requests without the subprotocol `sip`.
    NoSubprotocol => "no_subprotocol",
    /// Flows opened.
    FlowOpened => "flow_opened",
    /// Flows closed because their reader was too slow.
    SlowReader => "slow_reader",
    /// Streams closed because what their peer began to say was not whole in time.
    SlowWriter => "slow_writer",
    /// Connections to a trunk that could not be made.
    ConnectFailed => "connect_failed",
    /// Flows closed because a ping stayed without a pong.
    NoPong => "no_pong",
    /// Flows closed for a message that was too long, or a frame or stream that is none.
    BadFrame => "bad_frame",
    /// Messages for flows that were gone.
    NoFlow => "no_flow",
    /// Packets and messages of captured calls that were not written: the disk or the writer was too slow.
    CaptureMissed => "capture_missed",
    /// Captures that ended because the disk did not take them.
    CaptureFailed => "capture_failed",
    /// Captures that ended because the file, or all files together, had come to their limit.
    CaptureFull => "capture_full",
    /// Orders that had to wait because a worker's queue was full.
    OrderDelayed => "order_delayed",
    /// Facts that the agents' side was not told of because it did not keep up.
    NoticeMissed => "notice_missed",
    /// Commands that came while too many orders waited for the workers.
    CommandDropped => "command_dropped",
}

/// The counts since the start.
#[derive(Debug)]
pub struct Tally([AtomicU64; Count::ALL.len()]);

impl Default for Tally {
    fn default() -> Self {
        Tally([const { AtomicU64::new(0) }; Count::ALL.len()])
    }
}

impl Tally {
    /// Adds one.
    pub fn add(&self, count: Count) {
        self.0[count as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Adds so many.
    pub fn add_all(&self, count: Count, many: u64) {
        self.0[count as usize].fetch_add(many, Ordering::Relaxed);
    }

    /// Returns one count.
    pub fn get(&self, count: Count) -> u64 {
        self.0[count as usize].load(Ordering::Relaxed)
    }
}
