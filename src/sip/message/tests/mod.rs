mod ambiguity;
mod build;
mod peers;
mod torture;
mod torture6;

use bytes::Bytes;

use super::{Malformed, Message};

/// An INVITE with `extra` lines (each with its CRLF) among its headers.
fn invite(extra: &str) -> String {
    format!(
        "INVITE sip:5001@192.0.2.54 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.81:5060;branch=z9hG4bK1\r\n\
         From: <sip:1003@192.0.2.81>;tag=7\r\nTo: <sip:5001@192.0.2.54>\r\nCall-ID: GUID-1@192.0.2.81\r\n\
         CSeq: 1 INVITE\r\n{extra}\r\n"
    )
}

fn parse(text: impl AsRef<[u8]>) -> Result<Message, Malformed> {
    Message::parse(Bytes::copy_from_slice(text.as_ref()))
}

fn refused(text: impl AsRef<[u8]>) -> (u16, &'static str) {
    let malformed = parse(text).expect_err("must be refused");
    (malformed.status, malformed.reason)
}
