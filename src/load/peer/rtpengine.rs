//! rtpengine by its ng protocol: it has media only, so the signalling of each call is played here, without any SIP.
//!
//! ```text
//!  caller's offer ──offer──► rtpengine ──its SDP──► callee reads it, answers ──answer──► rtpengine ──its SDP──► caller
//! ```
//!
//! A request is a datagram: a cookie, a blank, a bencoded dictionary; the response bears the same cookie.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;

use super::bencode::Value;
use crate::load::browser::sdp::{self, BrowserPeer, BrowserSide, PeerError};
use crate::load::outcome::CallDirection;
use crate::plan::RtpRemote;
use crate::sdp::OfferError;
use crate::sdp::offer_answer::{RtpLocal, accept_rtp_answer, answer_rtp, offer_rtp};

/// A request is sent so often, and its response awaited so long each time.
const TRIES: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(1);
/// Longest datagram.
const DATAGRAM: usize = 65_536;

/// Why rtpengine does not carry a call.
#[derive(Debug, thiserror::Error)]
pub enum NgError {
    /// It does not answer.
    #[error("rtpengine does not answer")]
    NoAnswer,
    /// It refuses, in its own words.
    #[error("rtpengine: {0}")]
    Refused(String),
    /// Its response cannot be read.
    #[error("rtpengine: no ng response")]
    Unreadable,
    /// Its description is of no use to a browser.
    #[error(transparent)]
    Browser(#[from] PeerError),
    /// Its description is of no use to a trunk.
    #[error("the trunk's session description: {0}")]
    Trunk(#[from] OfferError),
    /// The socket.
    #[error(transparent)]
    Socket(#[from] std::io::Error),
}

/// Both ends of a call, before they know their peer.
#[derive(Clone, Debug)]
pub struct Ends {
    /// Call-ID, of this run alone.
    pub id: String,
    /// Who calls.
    pub direction: CallDirection,
    /// The browser.
    pub browser: BrowserSide,
    /// The trunk.
    pub trunk: RtpLocal,
}

/// What both ends have learnt of rtpengine.
#[derive(Clone, Debug)]
pub struct Met {
    /// The browser's peer.
    pub browser: BrowserPeer,
    /// The trunk's.
    pub trunk: RtpRemote,
}

/// What becomes of the two sides of a call, as the manual has it for WebRTC on one side only.
fn towards_trunk() -> [(&'static str, Value); 4] {
    let codec = Value::dictionary([("mask", Value::list(&["opus"])), ("transcode", Value::list(&["PCMU"]))]);
    [
        ("ICE", "remove".into()),
        ("transport-protocol", "RTP/AVP".into()),
        ("rtcp-mux", Value::list(&["demux"])),
        ("codec", codec),
    ]
}

fn towards_browser() -> [(&'static str, Value); 5] {
    let codec = Value::dictionary([("mask", Value::list(&["PCMU", "PCMA"])), ("transcode", Value::list(&["opus"]))]);
    [
        ("ICE", "force".into()),
        ("transport-protocol", "UDP/TLS/RTP/SAVPF".into()),
        ("rtcp-mux", Value::list(&["offer", "require"])),
        ("SDES", Value::list(&["off"])),
        ("codec", codec),
    ]
}

/// Brings two ends together over the rtpengine at this address.
///
/// # Errors
/// [`NgError`]; what it has of the call by then is deleted.
pub async fn join(ng: SocketAddr, ends: &Ends) -> Result<Met, NgError> {
    let met = match ends.direction {
        CallDirection::Out => browser_calls(ng, ends).await,
        CallDirection::In => trunk_calls(ng, ends).await,
    };
    if met.is_err() {
        // The first error is the one that tells.
        let _ = delete(ng, &ends.id).await;
    }
    met
}

async fn browser_calls(ng: SocketAddr, ends: &Ends) -> Result<Met, NgError> {
    let offer = ends.browser.offer();
    let offered = describe(ng, "offer", &ends.id, offer.as_bytes(), towards_trunk()).await?;
    let answer = answer_rtp(&offered, &ends.trunk, None)?;
    let answered = describe(ng, "answer", &ends.id, &answer.sdp, towards_browser()).await?;
    Ok(Met { browser: sdp::read(&answered, true)?, trunk: answer.remote })
}

async fn trunk_calls(ng: SocketAddr, ends: &Ends) -> Result<Met, NgError> {
    let (offer, state) = offer_rtp(&ends.trunk, None);
    let offered = describe(ng, "offer", &ends.id, &offer, towards_browser()).await?;
    let browser = sdp::read(&offered, false)?;
    let answer = ends.browser.answer(&browser);
    let answered = describe(ng, "answer", &ends.id, answer.as_bytes(), towards_trunk()).await?;
    let (trunk, _) = accept_rtp_answer(&state, &answered)?;
    Ok(Met { browser, trunk })
}

/// One offer or answer, and the description that it becomes.
async fn describe(
    ng: SocketAddr,
    command: &str,
    id: &str,
    sdp: &[u8],
    side: impl IntoIterator<Item = (&'static str, Value)>,
) -> Result<Vec<u8>, NgError> {
    let mut entries = vec![
        ("command", Value::from(command)),
        ("call-id", id.into()),
        ("from-tag", "caller".into()),
        ("sdp", Value::Text(sdp.to_vec())),
        ("replace", Value::list(&["origin", "session-connection"])),
    ];
    if command == "answer" {
        entries.push(("to-tag", "callee".into()));
    }
    // Codecs are settled by the offer; an answer only names its transport.
    entries.extend(side.into_iter().filter(|(key, _)| command == "offer" || *key != "codec"));
    let response = ask(ng, &format!("{id}-{command}"), &Value::dictionary(entries)).await?;
    response.text("sdp").map(<[u8]>::to_vec).ok_or(NgError::Unreadable)
}

/// Ends a call.
///
/// # Errors
/// [`NgError`]; rtpengine forgets it by itself when no packet comes.
pub async fn delete(ng: SocketAddr, id: &str) -> Result<(), NgError> {
    let request =
        Value::dictionary([("command", "delete".into()), ("call-id", id.into()), ("from-tag", "caller".into())]);
    ask(ng, &format!("{id}-delete"), &request).await.map(|_| ())
}

/// Tells whether it is there.
///
/// # Errors
/// [`NgError::NoAnswer`].
pub async fn ping(ng: SocketAddr) -> Result<(), NgError> {
    ask(ng, "ping", &Value::dictionary([("command", "ping".into())])).await.map(|_| ())
}

async fn ask(ng: SocketAddr, cookie: &str, request: &Value) -> Result<Value, NgError> {
    let any: SocketAddr = if ng.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    // A socket for each request: its responses are nobody else's.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(ng).await?;
    let mut datagram = format!("{cookie} ").into_bytes();
    request.write(&mut datagram);
    let mut buffer = vec![0; DATAGRAM];
    for _ in 0..TRIES {
        socket.send(&datagram).await?;
        match tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await {
            Ok(Ok(length)) => return read_response(&buffer[..length], cookie),
            // Nobody listens there, or not yet.
            Ok(Err(error)) if error.kind() != std::io::ErrorKind::ConnectionRefused => return Err(error.into()),
            Ok(Err(_)) => tokio::time::sleep(PATIENCE / 10).await,
            Err(_) => {}
        }
    }
    Err(NgError::NoAnswer)
}

/// Reads a response to the request of this cookie.
fn read_response(datagram: &[u8], cookie: &str) -> Result<Value, NgError> {
    let body = datagram.strip_prefix(cookie.as_bytes()).and_then(|rest| rest.strip_prefix(b" "));
    let response = body.and_then(Value::parse).ok_or(NgError::Unreadable)?;
    match response.text("result") {
        Some(b"ok" | b"pong") => Ok(response),
        _ => {
            let why = response.text("error-reason").ok_or(NgError::Unreadable)?;
            Err(NgError::Refused(String::from_utf8_lossy(why).into_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_taken_by_its_cookie_and_a_refusal_in_its_own_words() {
        assert!(read_response(b"7 d6:result4:ponge", "7").is_ok());
        let refused = read_response(b"7 d12:error-reason12:Unknown call6:result5:errore", "7");
        assert_eq!(refused.expect_err("refused").to_string(), "rtpengine: Unknown call");
        for wrong in [&b"8 d6:result4:ponge"[..], b"7 x", b"7", b"7 d6:result5:errore"] {
            assert!(matches!(read_response(wrong, "7"), Err(NgError::Unreadable)));
        }
    }

    #[tokio::test]
    async fn a_request_that_is_lost_is_sent_again() {
        let peer = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = peer.local_addr().expect("bound");
        let pings = tokio::spawn(async move {
            let mut buffer = [0; 256];
            peer.recv_from(&mut buffer).await.expect("the first");
            let (length, from) = peer.recv_from(&mut buffer).await.expect("the second");
            assert_eq!(&buffer[..length], b"ping d7:command4:pinge");
            peer.send_to(b"ping d6:result4:ponge", from).await.expect("sent");
        });
        ping(address).await.expect("answered");
        pings.await.expect("no panic");
    }
}
