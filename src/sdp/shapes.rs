//! Offers and answers as the peers write them; addresses and keys are made up.

/// Chromium: audio and nothing else, mDNS candidates, several formats that are not ours.
pub(super) const CHROMIUM: &str = "v=0\r\n\
o=- 4611732920342318651 2 IN IP4 127.0.0.1\r\n\
s=-\r\n\
t=0 0\r\n\
a=group:BUNDLE 0\r\n\
a=extmap-allow-mixed\r\n\
a=msid-semantic: WMS 5f4a7f4e-33a3-4b0e-9c57-0c9ef8a8a9d1\r\n\
m=audio 51472 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\n\
c=IN IP4 198.51.100.7\r\n\
a=rtcp:9 IN IP4 0.0.0.0\r\n\
a=candidate:3348148302 1 udp 2113937151 8f2b3a51-3f0c-4d52-9d3e-8b1d0a4c7e10.local 51472 typ host generation 0 network-cost 999\r\n\
a=candidate:842163049 1 udp 1677729535 198.51.100.7 51472 typ srflx raddr 0.0.0.0 rport 0 generation 0 network-cost 999\r\n\
a=ice-ufrag:kX3v\r\n\
a=ice-pwd:Q0mJp4v7Zk2sYw9tBn1cRd5x\r\n\
a=ice-options:trickle\r\n\
a=fingerprint:sha-256 6B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n\
a=setup:actpass\r\n\
a=mid:0\r\n\
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n\
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
a=sendrecv\r\n\
a=msid:5f4a7f4e-33a3-4b0e-9c57-0c9ef8a8a9d1 0a8e7a9c-5a53-4df3-8f3e-6d2b2f4f7f11\r\n\
a=rtcp-mux\r\n\
a=rtcp-rsize\r\n\
a=rtpmap:111 opus/48000/2\r\n\
a=rtcp-fb:111 transport-cc\r\n\
a=fmtp:111 minptime=10;useinbandfec=1\r\n\
a=rtpmap:63 red/48000/2\r\n\
a=fmtp:63 111/111\r\n\
a=rtpmap:9 G722/8000\r\n\
a=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:13 CN/8000\r\n\
a=rtpmap:110 telephone-event/48000\r\n\
a=rtpmap:126 telephone-event/8000\r\n\
a=ssrc:3735928559 cname:q8nV2yT1bXk0Lr5C\r\n\
a=ssrc:3735928559 msid:5f4a7f4e-33a3-4b0e-9c57-0c9ef8a8a9d1 0a8e7a9c-5a53-4df3-8f3e-6d2b2f4f7f11\r\n";

/// Firefox: fingerprint at session level, PT 109 and 101, a video and a data m-line, no candidates yet.
pub(super) const FIREFOX: &str = "v=0\r\n\
o=mozilla...THIS_IS_SDPARTA-99.0 7219402183345118842 0 IN IP4 0.0.0.0\r\n\
s=-\r\n\
t=0 0\r\n\
a=fingerprint:sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB\r\n\
a=fingerprint:sha-256 12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD\r\n\
a=group:BUNDLE 0 1 2\r\n\
a=ice-options:trickle\r\n\
a=msid-semantic:WMS *\r\n\
m=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101\r\n\
c=IN IP4 0.0.0.0\r\n\
a=sendrecv\r\n\
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1\r\n\
a=fmtp:101 0-15\r\n\
a=ice-pwd:0f1e2d3c4b5a69788796a5b4c3d2e1f0\r\n\
a=ice-ufrag:ab12cd34\r\n\
a=mid:0\r\n\
a=msid:{0d1c5f2a-1a2b-4c3d-9e8f-77aa66bb55cc} {5a4b3c2d-aaaa-4bbb-8ccc-112233445566}\r\n\
a=rtcp-mux\r\n\
a=rtpmap:109 opus/48000/2\r\n\
a=rtpmap:9 G722/8000/1\r\n\
a=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:101 telephone-event/8000/1\r\n\
a=setup:actpass\r\n\
a=ssrc:1122334455 cname:{99887766-5544-4332-8110-ffeeddccbbaa}\r\n\
m=video 0 UDP/TLS/RTP/SAVPF 120 124\r\n\
c=IN IP4 0.0.0.0\r\n\
a=bundle-only\r\n\
a=recvonly\r\n\
a=mid:1\r\n\
a=rtpmap:120 VP8/90000\r\n\
a=rtpmap:124 rtx/90000\r\n\
m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n\
c=IN IP4 0.0.0.0\r\n\
a=bundle-only\r\n\
a=mid:2\r\n\
a=sctp-port:5000\r\n";

/// Safari: like Chromium, with an older list and an IPv6 default address.
pub(super) const SAFARI: &str = "v=0\r\n\
o=- 8834520013344556677 2 IN IP4 127.0.0.1\r\n\
s=-\r\n\
t=0 0\r\n\
a=group:BUNDLE 0\r\n\
a=extmap-allow-mixed\r\n\
a=msid-semantic: WMS 7d0a\r\n\
m=audio 60001 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\n\
c=IN IP6 2001:db8::7\r\n\
a=rtcp:9 IN IP4 0.0.0.0\r\n\
a=candidate:2342127660 1 udp 2122262783 2001:db8::7 60001 typ host generation 0 network-id 2 network-cost 50\r\n\
a=candidate:1 1 tcp 1518280447 c1d2.local 9 typ host tcptype active generation 0\r\n\
a=ice-ufrag:S4fr\r\n\
a=ice-pwd:aaaaBBBBccccDDDDeeeeFFFF\r\n\
a=ice-options:trickle\r\n\
a=fingerprint:sha-256 aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99\r\n\
a=setup:actpass\r\n\
a=mid:0\r\n\
a=sendrecv\r\n\
a=rtcp-mux\r\n\
a=rtcp-rsize\r\n\
a=rtpmap:111 opus/48000/2\r\n\
a=fmtp:111 minptime=10;useinbandfec=1\r\n\
a=rtpmap:63 red/48000/2\r\n\
a=rtpmap:9 G722/8000\r\n\
a=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:13 CN/8000\r\n\
a=rtpmap:110 telephone-event/48000\r\n\
a=rtpmap:126 telephone-event/8000\r\n";

/// Genesys: names in lower case, codecs that are not ours beside G.711, no ptime, no direction.
pub(super) const GENESYS: &str = "v=0\r\n\
o=SIPServer 1 1 IN IP4 192.0.2.81\r\n\
s=call\r\n\
c=IN IP4 192.0.2.90\r\n\
t=0 0\r\n\
m=audio 20318 RTP/AVP 120 18 97 9 8 0 101\r\n\
a=rtpmap:120 opus/48000/2\r\n\
a=rtpmap:18 g729/8000\r\n\
a=rtpmap:97 ilbc/8000\r\n\
a=rtpmap:9 g722/8000\r\n\
a=rtpmap:8 pcma/8000\r\n\
a=rtpmap:0 pcmu/8000\r\n\
a=rtpmap:101 telephone-event/8000\r\n\
a=fmtp:101 0-15\r\n";

/// Genesys: the black hole of a call that it gives up.
pub(super) const BLACK_HOLE: &str = "v=0\r\n\
o=- 1 1 IN IP4 0.0.0.0\r\n\
s=3pcc Make Call\r\n\
c=IN IP4 0.0.0.0\r\n\
t=0 0\r\n\
m=audio 10000 RTP/AVP 101 8 0 18\r\n\
a=rtpmap:101 telephone-event/8000\r\n";
