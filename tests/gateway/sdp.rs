//! Session descriptions as the peers write them; addresses and keys are made up.

const FINGERPRINT: &str = "a=fingerprint:sha-256 6B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n";

/// An offer as Chromium makes it.
pub fn chromium_offer() -> String {
    chromium("sendrecv", "kX3v", 2, "actpass")
}

/// Chromium's answer to our offer.
pub fn chromium_answer() -> String {
    chromium("sendrecv", "kX3v", 2, "active")
}

/// Any description of Chromium's.
pub fn chromium(direction: &str, ufrag: &str, version: u32, setup: &str) -> String {
    format!(
        "v=0\r\no=- 4611732920342318651 {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         a=extmap-allow-mixed\r\na=msid-semantic: WMS 5f4a7f4e\r\n\
         m=audio 51472 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 198.51.100.7\r\n\
         a=rtcp:9 IN IP4 0.0.0.0\r\n\
         a=candidate:1 1 udp 2113937151 8f2b3a51-3f0c-4d52-9d3e-8b1d0a4c7e10.local 51472 typ host generation 0\r\n\
         a=ice-ufrag:{ufrag}\r\na=ice-pwd:Q0mJp4v7Zk2sYw9tBn1cRd5x\r\na=ice-options:trickle\r\n{FINGERPRINT}\
         a=setup:{setup}\r\na=mid:0\r\na={direction}\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
         a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\na=rtpmap:9 G722/8000\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\n\
         a=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n"
    )
}

/// An offer as the Genesys SIP Server passes it on: lower case, no ptime, no direction.
pub fn genesys_offer() -> String {
    genesys("192.0.2.90", 20318)
}

/// The same from another address and port.
pub fn genesys(host: &str, port: u16) -> String {
    format!(
        "v=0\r\no=SIPServer 1 {port} IN IP4 192.0.2.81\r\ns=call\r\nc=IN IP4 {host}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 120 18 9 8 0 101\r\na=rtpmap:120 opus/48000/2\r\na=rtpmap:18 g729/8000\r\n\
         a=rtpmap:9 g722/8000\r\na=rtpmap:8 pcma/8000\r\na=rtpmap:0 pcmu/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    )
}

/// The trunk's answer to our offer.
pub fn trunk_answer() -> String {
    trunk_answer_from(20400)
}

/// The trunk's answer, from this port.
pub fn trunk_answer_from(port: u16) -> String {
    format!(
        "v=0\r\no=- 77 1 IN IP4 192.0.2.90\r\ns=-\r\nc=IN IP4 192.0.2.90\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    )
}

/// An offer without a codec of ours.
pub fn g729_only() -> String {
    "v=0\r\no=- 1 1 IN IP4 192.0.2.90\r\ns=-\r\nc=IN IP4 192.0.2.90\r\nt=0 0\r\nm=audio 20318 RTP/AVP 18\r\n\
     a=rtpmap:18 G729/8000\r\n"
        .to_owned()
}
