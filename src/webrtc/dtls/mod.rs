//! DTLS with use_srtp (RFC 6347, 9147, 5764, 8842), over `dimpl`: the certificate, and one handshake.
//!
//! We are the server unless the peer insists on `passive`. A handshake begins with the first ClientHello, not with the
//! call, so that its clock does not run while a phone rings. There is no cookie exchange: ICE has verified the source.
//! AES-256-GCM, AES-128-GCM and AES_CM_128_HMAC_SHA1_80 are taken in this order (it is dimpl's, and not to be set).
//!
//! We do not hang up on close_notify, because signalling ends calls; we do not resume sessions, because browsers do not.

mod certificate;
mod handshake;
#[cfg(test)]
pub(super) mod tests;

pub use certificate::{Certificate, CertificateError, DtlsVersions};
pub use handshake::{Handshake, Progress, has_plain_alert, starts_handshake};
