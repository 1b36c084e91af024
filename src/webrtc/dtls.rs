//! DTLS (RFC 6347, 9147) with the use_srtp extension (RFC 5764), over `dimpl`.

use crate::plan::Fingerprint;

/// Which versions of DTLS are offered and taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DtlsVersions {
    /// 1.2 only.
    #[default]
    V12,
    /// 1.3 where the peer has it, else 1.2.
    Auto,
}

/// The certificate that we show to every browser, and the settings of the handshakes made with it; one per process.
pub struct Certificate {
    fingerprint: Fingerprint,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The crypto library made no key or no certificate of it.
    #[error("certificate cannot be generated: {0}")]
    Generate(String),
    /// The settings of the handshake were refused.
    #[error("DTLS settings refused: {0}")]
    Settings(String),
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Makes a self-signed P-256 certificate.
    pub fn generate(versions: DtlsVersions) -> Result<Self, CertificateError> {
        let _ = versions;
        todo!()
    }

    /// Takes a certificate and its PKCS #8 private key, both DER.
    pub fn from_der(
        certificate: Vec<u8>,
        private_key: Vec<u8>,
        versions: DtlsVersions,
    ) -> Result<Self, CertificateError> {
        let _ = (certificate, private_key, versions);
        todo!()
    }

    /// Returns the SHA-256 hash for `a=fingerprint`.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}
