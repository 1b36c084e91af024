//! An independent browser: one `PeerConnection` of the `webrtc` crate, so that our own engine is not its only judge.
//!
//! ```text
//!  asks: offer, answer this, take this answer ─►┐                    ┌─► described, connected, failed
//!  packets to be sent ─────────────────────────►┤ one task per call ├─► packets received, with their time
//! ```
//! ICE, DTLS, SRTP, RTCP and SDP are its own; the Opus packets are those of our voices, and what it receives is heard by our
//! ears. It takes many times the processor time of our engine, and its packets pass two more queues: its delays are told apart.
//! It ends when nobody can send by it any more.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use tokio::sync::mpsc;
use webrtc::error::Error;
use webrtc::media_stream::MediaStreamTrack;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceGatheringState, RTCPeerConnectionState, RTCSessionDescription, Registry, SettingEngineBuilder,
    register_default_interceptors,
};

use crate::plan::Pt;
use crate::rtp::RtpHeader;

/// Payload type that it offers Opus by: Chromium's.
const OPUS: u8 = 111;
/// Packets that may wait to be sent, more than a second of them; further ones are not sent.
const WAITING: usize = 64;

/// What a witness is asked to do.
#[derive(Debug)]
pub enum Ask {
    /// Describe itself, for it calls.
    Offer,
    /// Answer this offer.
    Answer(String),
    /// Take this answer to its own offer.
    Accept(String),
}

/// What it tells.
#[derive(Debug)]
pub enum Said {
    /// Its offer or answer, all candidates in it.
    Described(String),
    /// ICE and DTLS are done.
    Connected,
    /// It gives up, for this reason.
    Failed(String),
    /// A packet came, at this time.
    Heard(RtpHeader, Bytes, Instant),
}

/// One packet that it is to send.
#[derive(Debug)]
pub struct Outgoing {
    /// Its header; the SSRC is that of [`Witness::new`].
    pub header: RtpHeader,
    /// What it bears.
    pub payload: Bytes,
}

/// A way to a witness. It hangs up when all ways are dropped.
#[derive(Clone, Debug)]
pub struct Line(mpsc::Sender<Outgoing>);

impl Line {
    /// Hands a packet over; false where it will not be sent.
    pub fn send(&self, packet: Outgoing) -> bool {
        self.0.try_send(packet).is_ok()
    }
}

/// A browser that is about to be.
pub struct Witness {
    address: IpAddr,
    ssrc: u32,
    asks: mpsc::Receiver<Ask>,
    packets: mpsc::Receiver<Outgoing>,
}

impl Witness {
    /// Makes one that will send from this address with this SSRC; and the ways to ask it and to send by it.
    pub fn new(address: IpAddr, ssrc: u32) -> (Witness, mpsc::Sender<Ask>, Line) {
        let (ask, asks) = mpsc::channel(4);
        let (line, packets) = mpsc::channel(WAITING);
        (Witness { address, ssrc, asks, packets }, ask, Line(line))
    }

    /// Lives until nobody can send by it any more; what it says goes to `tell`.
    pub async fn live(self, tell: impl Fn(Said) + Clone + Send + Sync + 'static) {
        if let Err(error) = self.converse(tell.clone()).await {
            tell(Said::Failed(error.to_string()));
        }
    }

    async fn converse(mut self, tell: impl Fn(Said) + Clone + Send + Sync + 'static) -> Result<(), Error> {
        let (events, mut happened) = mpsc::unbounded_channel();
        let track = Arc::new(TrackLocalStaticRTP::new(track(self.ssrc)));
        let connection = connection(self.address, Handler(events)).await?;
        connection.add_track(track.clone() as Arc<dyn TrackLocal>).await?;
        let mut asks_open = true;
        loop {
            tokio::select! {
                packet = self.packets.recv() => match packet {
                    // One that goes too early is lost, as on the network.
                    Some(packet) => drop(track.write_rtp(to_packet(packet, self.ssrc)).await),
                    None => return connection.close().await,
                },
                ask = self.asks.recv(), if asks_open => match ask {
                    Some(ask) => obey(&connection, ask).await?,
                    None => asks_open = false,
                },
                Some(event) = happened.recv() => match event {
                    Event::Gathered => {
                        if let Some(local) = connection.local_description().await {
                            tell(Said::Described(local.sdp));
                        }
                    }
                    Event::State(RTCPeerConnectionState::Connected) => tell(Said::Connected),
                    Event::State(RTCPeerConnectionState::Failed) => {
                        tell(Said::Failed("the connection failed".to_owned()));
                    }
                    Event::State(_) => {}
                    Event::Track(remote) => drop(tokio::spawn(listen(remote, tell.clone()))),
                },
            }
        }
    }
}

async fn obey(connection: &impl PeerConnection, ask: Ask) -> Result<(), Error> {
    let description = match ask {
        Ask::Offer => connection.create_offer(None).await?,
        Ask::Answer(offer) => {
            connection.set_remote_description(RTCSessionDescription::offer(offer)?).await?;
            connection.create_answer(None).await?
        }
        Ask::Accept(answer) => {
            return connection.set_remote_description(RTCSessionDescription::answer(answer)?).await;
        }
    };
    connection.set_local_description(description).await
}

/// Tells every packet of a track.
async fn listen(track: Arc<dyn TrackRemote>, tell: impl Fn(Said)) {
    while let Some(event) = track.poll().await {
        if let TrackRemoteEvent::OnRtpPacket(packet) = event {
            let header = RtpHeader {
                pt: Pt(packet.header.payload_type),
                marker: packet.header.marker,
                seq: packet.header.sequence_number,
                timestamp: packet.header.timestamp,
                ssrc: packet.header.ssrc,
            };
            tell(Said::Heard(header, packet.payload, Instant::now()));
        }
    }
}

fn to_packet(packet: Outgoing, ssrc: u32) -> rtp::Packet {
    let Outgoing { header, payload } = packet;
    let header = rtp::Header {
        version: 2,
        marker: header.marker,
        payload_type: header.pt.0,
        sequence_number: header.seq,
        timestamp: header.timestamp,
        ssrc,
        ..rtp::Header::default()
    };
    rtp::Packet { header, payload }
}

fn codec() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: "audio/opus".to_owned(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
        rtcp_feedback: Vec::new(),
    }
}

fn track(ssrc: u32) -> MediaStreamTrack {
    let rtp_coding_parameters = RTCRtpCodingParameters { ssrc: Some(ssrc), ..RTCRtpCodingParameters::default() };
    let coding =
        RTCRtpEncodingParameters { rtp_coding_parameters, codec: codec(), ..RTCRtpEncodingParameters::default() };
    MediaStreamTrack::new("load".into(), "audio".into(), "audio".into(), RtpCodecKind::Audio, vec![coding])
}

async fn connection(address: IpAddr, handler: Handler) -> Result<impl PeerConnection, Error> {
    let mut media = MediaEngine::default();
    let opus = RTCRtpCodecParameters { rtp_codec: codec(), payload_type: OPUS };
    media.register_codec(opus, RtpCodecKind::Audio)?;
    let registry = register_default_interceptors(Registry::new(), &mut media)?;
    PeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::new().build())
        .with_setting_engine(SettingEngineBuilder::new().with_include_loopback_candidate(true).build())
        .with_media_engine(media)
        .with_interceptor_registry(registry)
        .with_handler(Arc::new(handler))
        .with_udp_addrs(vec![SocketAddr::new(address, 0)])
        .build()
        .await
}

/// What happens to the connection.
enum Event {
    Gathered,
    State(RTCPeerConnectionState),
    Track(Arc<dyn TrackRemote>),
}

/// Passes on what happens.
struct Handler(mpsc::UnboundedSender<Event>);

/// What a method of the handler returns.
type Handled<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

impl Handler {
    fn pass(&self, event: Event) -> Handled<'static> {
        // Whoever has gone wants to know nothing.
        let _ = self.0.send(event);
        Box::pin(std::future::ready(()))
    }
}

// The trait is written with `async_trait`; these are its methods as that macro makes them.
impl PeerConnectionEventHandler for Handler {
    fn on_ice_gathering_state_change<'a, 'b>(&'a self, state: RTCIceGatheringState) -> Handled<'b>
    where
        'a: 'b,
    {
        if state == RTCIceGatheringState::Complete {
            self.pass(Event::Gathered)
        } else {
            Box::pin(std::future::ready(()))
        }
    }

    fn on_connection_state_change<'a, 'b>(&'a self, state: RTCPeerConnectionState) -> Handled<'b>
    where
        'a: 'b,
    {
        self.pass(Event::State(state))
    }

    fn on_track<'a, 'b>(&'a self, track: Arc<dyn TrackRemote>) -> Handled<'b>
    where
        'a: 'b,
    {
        self.pass(Event::Track(track))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets a witness live; what it says comes out.
    fn begin() -> (mpsc::Sender<Ask>, Line, mpsc::UnboundedReceiver<Said>) {
        let (witness, ask, line) = Witness::new([127, 0, 0, 1].into(), 77);
        let (told, said) = mpsc::unbounded_channel();
        tokio::spawn(witness.live(move |what| drop(told.send(what))));
        (ask, line, said)
    }

    async fn described(said: &mut mpsc::UnboundedReceiver<Said>) -> String {
        match said.recv().await {
            Some(Said::Described(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn two_witnesses_hear_each_other() {
        let (ask, line, mut said) = begin();
        let (other_ask, other_line, mut other_said) = begin();
        ask.send(Ask::Offer).await.expect("alive");
        let offer = described(&mut said).await;
        assert!(offer.contains("a=rtpmap:111 opus/48000/2") && offer.contains("a=candidate:"), "{offer}");
        other_ask.send(Ask::Answer(offer)).await.expect("alive");
        ask.send(Ask::Accept(described(&mut other_said).await)).await.expect("alive");
        assert!(matches!(said.recv().await, Some(Said::Connected)));
        assert!(matches!(other_said.recv().await, Some(Said::Connected)));
        let mut header = RtpHeader { pt: Pt(111), marker: false, seq: 9, timestamp: 960, ssrc: 77 };
        for _ in 0..100 {
            assert!(line.send(Outgoing { header, payload: Bytes::from_static(b"sound") }));
            header.seq += 1;
            let heard = tokio::time::timeout(std::time::Duration::from_millis(50), other_said.recv());
            if let Ok(Some(Said::Heard(heard, payload, _))) = heard.await {
                assert_eq!((heard.ssrc, heard.pt, &payload[..]), (77, Pt(111), &b"sound"[..]));
                drop((line, other_line));
                return;
            }
        }
        panic!("nothing was heard");
    }

    #[tokio::test]
    async fn an_offer_that_is_none_is_told_as_a_failure() {
        let (ask, _line, mut said) = begin();
        ask.send(Ask::Answer("nonsense".to_owned())).await.expect("alive");
        assert!(matches!(said.recv().await, Some(Said::Failed(_))));
    }
}
