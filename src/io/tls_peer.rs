//! TLS towards trunks: whom we believe to be the peer, and what we show of ourselves (RFC 8446, RFC 5922).
//!
//! We do not take the system's list of authorities by itself, because a SIP Server's certificate is mostly from an
//! authority of the house; whoever wants the list names its file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::tls::{Certificates, TlsError};
use crate::trust::Anybody;

/// The rules for one trunk.
#[derive(Clone, Debug, Default)]
pub struct PeerTls {
    /// PEM file with the authorities that are believed; needed unless `unverified`.
    pub ca: Option<PathBuf>,
    /// Whoever answers is believed.
    pub unverified: bool,
    /// Our certificate for peers that ask for one.
    pub certificates: Option<Arc<Certificates>>,
}

impl PeerTls {
    /// Makes the settings of connections to this trunk: TLS 1.2 and 1.3.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match &self.ca {
            _ if self.unverified => Arc::new(Anybody(provider.signature_verification_algorithms)),
            Some(ca) => verifier(ca, &provider)?,
            None => return Err(TlsError::NoAuthority),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Settings)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        Ok(Arc::new(match &self.certificates {
            Some(own) => config.with_client_cert_resolver(own.clone()),
            None => config.with_no_client_auth(),
        }))
    }
}

fn verifier(ca: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let pem = std::fs::read(ca).map_err(|error| TlsError::File { path: ca.into(), error })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem).flatten() {
        // One that rustls cannot read among a hundred is no reason not to believe the others.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        return Err(TlsError::NoPem { path: ca.into(), what: "certificate" });
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|_| TlsError::NoPem { path: ca.into(), what: "certificate" })
}

impl ResolvesClientCert for Certificates {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.current()
    }

    fn has_certs(&self) -> bool {
        true
    }
}
