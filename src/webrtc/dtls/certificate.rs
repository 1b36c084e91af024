//! The certificate that every browser is shown.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use dimpl::{Config, Dtls, DtlsCertificate};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};

use crate::plan::{DtlsRole, Fingerprint};

/// First retransmission; RFC 6347 4.2.4.1 allows less than 1 s where the round trip is known to be short, and a lost
/// flight is silence on an answered call.
const FIRST_RTO: Duration = Duration::from_millis(400);
/// 0.4 s doubled six times is 25 s, all of the handshake's time.
const RETRIES: usize = 6;
/// From the first ClientHello on.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(30);
/// Fits into IPv6's least MTU with room for a tunnel.
pub(super) const MTU: usize = 1150;

/// Which versions of DTLS are offered and taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DtlsVersions {
    /// 1.2 only.
    #[default]
    V12,
    /// 1.3 where the peer has it, else 1.2.
    Auto,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The crypto library made no key or no certificate of it.
    #[error("certificate cannot be generated: {0}")]
    Generate(#[from] rcgen::Error),
    /// The certificate is empty, or the private key is none.
    #[error("certificate or private key cannot be used: {0}")]
    Unusable(String),
    /// The settings of the handshake were refused.
    #[error("DTLS settings refused: {0}")]
    Settings(dimpl::Error),
}

/// The certificate that we show to every browser, and the settings of the handshakes made with it; one per process.
pub struct Certificate {
    der: DtlsCertificate,
    config: Arc<Config>,
    versions: DtlsVersions,
    fingerprint: Fingerprint,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Makes a self-signed P-256 certificate. Key and serial number come from the crypto library's generator; a serial
    /// number of its own keeps Firefox from taking two gateways for one.
    pub fn generate(versions: DtlsVersions) -> Result<Self, CertificateError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(Vec::new())?;
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, "crosspoint");
        params.distinguished_name = name;
        let certificate = params.self_signed(&key)?;
        Self::from_der(certificate.der().to_vec(), key.serialize_der(), versions)
    }

    /// Takes a certificate and its PKCS #8 private key, both DER.
    pub fn from_der(
        certificate: Vec<u8>,
        private_key: Vec<u8>,
        versions: DtlsVersions,
    ) -> Result<Self, CertificateError> {
        let config = Config::builder()
            .mtu(MTU)
            .require_client_certificate(true)
            .use_server_cookie(false)
            .flight_start_rto(FIRST_RTO)
            .flight_retries(RETRIES)
            .handshake_timeout(HANDSHAKE)
            .build()
            .map_err(CertificateError::Settings)?;
        if certificate.is_empty() {
            return Err(CertificateError::Unusable("the certificate is empty".to_owned()));
        }
        config
            .crypto_provider()
            .key_provider
            .load_private_key(&private_key)
            .map_err(|error| CertificateError::Unusable(format!("{error:?}")))?;
        let fingerprint = fingerprint(&certificate);
        let der = DtlsCertificate { certificate, private_key };
        Ok(Certificate { der, config: Arc::new(config), versions, fingerprint })
    }

    /// Returns the SHA-256 hash for `a=fingerprint`.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(super) fn start(&self, role: DtlsRole, now: std::time::Instant) -> Dtls {
        let (config, der) = (self.config.clone(), self.der.clone());
        let mut dtls = match self.versions {
            DtlsVersions::V12 => Dtls::new_12(config, der, now),
            DtlsVersions::Auto => Dtls::new_auto(config, der, now),
        };
        if role == DtlsRole::Client {
            dtls.set_active(true);
        }
        dtls
    }
}

/// SHA-256 of a certificate (RFC 8122 5).
pub(super) fn fingerprint(der: &[u8]) -> Fingerprint {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, der).as_ref());
    Fingerprint(hash)
}
