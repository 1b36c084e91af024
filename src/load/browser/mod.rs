//! A browser's end, as lean as can be: ICE of a full agent, DTLS-SRTP, SDP as Chromium writes it, SIP over WebSocket.

pub mod ice;
pub mod phones;
pub mod sdp;
pub mod websocket;
