//! Certificates of the TLS listeners: from files, reloaded when they change, or self-signed at first use (RFC 8446, RFC 5246).
//!
//! A connection keeps the certificate that it began with; a new one is for new connections.
//! We do not resume sessions by tickets, because a resumed one would outlive the certificate it was made with.

use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// How long a self-signed certificate is good, days: what the strictest browsers take.
const SELF_SIGNED_DAYS: u64 = 820;
/// A self-signed certificate older than this is made anew at the start, days.
const SELF_SIGNED_RENEW_DAYS: u64 = 730;
const DAY: u64 = 86_400;

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// PEM files: the chain, leaf first, and its private key.
    Files {
        /// The chain.
        cert: PathBuf,
        /// The key (PKCS #8, PKCS #1 or SEC 1).
        key: PathBuf,
    },
    /// `cert.pem` and `key.pem` of this folder, made if missing.
    SelfSigned {
        /// The folder; made if missing.
        folder: PathBuf,
        /// Names and addresses beside `localhost`, `127.0.0.1`, `::1` and the host's name.
        names: Vec<String>,
    },
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// No PEM section of the wanted kind.
    #[error("{path}: no {what} in PEM format")]
    NoPem {
        /// Which file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The key does not fit the certificate, or is of no known kind.
    #[error("{path}: {error}")]
    Key {
        /// The key's file.
        path: PathBuf,
        /// Why.
        error: rustls::Error,
    },
    /// The protocol versions are not to be had.
    #[error("TLS settings refused: {0}")]
    Settings(rustls::Error),
    /// A peer is to be verified, and nobody is believed.
    #[error("no file of authorities to believe")]
    NoAuthority,
    /// The self-signed certificate could not be made.
    #[error("self-signed certificate: {0}")]
    Generate(#[from] rcgen::Error),
}

/// When, how long, which inode: a change of any of them is a change of the file.
type Stamp = Option<(i64, i64, u64, u64)>;

/// The certificate in force.
pub struct Certificates {
    cert: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
    stamps: Mutex<(Stamp, Stamp)>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("cert", &self.cert).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

impl Certificates {
    /// Loads the certificate, and makes it first if it is a self-signed one that is missing or old.
    pub fn load(source: &CertificateSource) -> Result<Arc<Certificates>, TlsError> {
        let (cert, key) = match source {
            CertificateSource::Files { cert, key } => (cert.clone(), key.clone()),
            CertificateSource::SelfSigned { folder, names } => {
                let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
                if !key.exists() || is_old(&cert) {
                    make_self_signed(folder, &cert, &key, names)?;
                }
                (cert, key)
            }
        };
        let stamps = Mutex::new((stamp(&cert), stamp(&key)));
        let current = RwLock::new(Arc::new(read_pair(&cert, &key)?));
        Ok(Arc::new(Certificates { cert, key, current, stamps }))
    }

    /// Takes the files anew if they changed since the last look; true if there is a new certificate. Where the new files
    /// are no good the old certificate stays in force.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let found = (stamp(&self.cert), stamp(&self.key));
        {
            let Ok(mut stamps) = self.stamps.lock() else { return Ok(false) };
            if *stamps == found {
                return Ok(false);
            }
            *stamps = found;
        }
        let fresh = Arc::new(read_pair(&self.cert, &self.key)?);
        let Ok(mut current) = self.current.write() else { return Ok(false) };
        let changed = current.cert != fresh.cert;
        *current = fresh;
        Ok(changed)
    }

    /// Looks for changed files for ever.
    pub async fn watch(self: Arc<Self>, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            match self.reload_if_changed() {
                Ok(true) => tracing::info!(cert = %self.cert.display(), "TLS certificate reloaded"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "TLS certificate not reloaded, the old one stays in force"),
            }
        }
    }

    /// Returns the certificate in force.
    pub(super) fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.current.read().ok().map(|current| current.clone())
    }

    /// Returns the settings of a TLS listener: TLS 1.2 and 1.3. `alpn` are the protocols that are spoken there; without
    /// any the client's wish is passed over.
    pub fn server_config(self: &Arc<Self>, alpn: &[&str]) -> Result<Arc<rustls::ServerConfig>, TlsError> {
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Settings)?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

fn stamp(path: &Path) -> Stamp {
    fs::metadata(path).ok().map(|m| (m.mtime(), m.mtime_nsec(), m.len(), m.ino()))
}

fn is_old(cert: &Path) -> bool {
    fs::metadata(cert)
        .and_then(|m| m.modified())
        .ok()
        .and_then(|made| SystemTime::now().duration_since(made).ok())
        .is_none_or(|age| age.as_secs() > SELF_SIGNED_RENEW_DAYS * DAY)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::File { path: path.into(), error })
}

fn read_pair(cert: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let no_pem = |path: &Path, what| TlsError::NoPem { path: path.into(), what };
    let chain = CertificateDer::pem_slice_iter(&read(cert)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| no_pem(cert, "certificate"))?;
    if chain.is_empty() {
        return Err(no_pem(cert, "certificate"));
    }
    let key_der = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| no_pem(key, "private key"))?;
    CertifiedKey::from_der(chain, key_der, &aws_lc_rs::default_provider())
        .map_err(|error| TlsError::Key { path: key.into(), error })
}

fn make_self_signed(folder: &Path, cert: &Path, key: &Path, names: &[String]) -> Result<(), TlsError> {
    let mut all: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).into();
    if let Ok(host) = fs::read_to_string("/proc/sys/kernel/hostname") {
        all.push(host.trim().to_ascii_lowercase());
    }
    all.extend(names.iter().cloned());
    all.retain(|name| !name.is_empty() && name.is_ascii());
    let mut seen = std::collections::HashSet::new();
    all.retain(|name| seen.insert(name.clone()));

    let mut params = rcgen::CertificateParams::new(all)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "crosspoint self-signed");
    params.insert_extended_key_usage(rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    let today = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() / DAY);
    let date = |days: u64| {
        let (year, month, day) = civil_date(days);
        rcgen::date_time_ymd(year, month, day)
    };
    params.not_before = date(today.saturating_sub(1));
    params.not_after = date(today + SELF_SIGNED_DAYS);
    let pair = rcgen::KeyPair::generate()?;
    let made = params.self_signed(&pair)?;

    fs::create_dir_all(folder).map_err(|error| TlsError::File { path: folder.into(), error })?;
    write_whole(key, pair.serialize_pem().as_bytes(), 0o600)?;
    write_whole(cert, made.pem().as_bytes(), 0o644)
}

/// Writes beside the file and renames, so that nobody reads half of it.
fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<(), TlsError> {
    let beside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let _ = fs::remove_file(&beside);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|error| TlsError::File { path: path.into(), error })
}

/// Returns year, month and day of a day counted from 1970-01-01 (proleptic Gregorian calendar).
fn civil_date(days: u64) -> (i32, u8, u8) {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut rest) = (1970, days);
    while rest >= 365 + u64::from(is_leap(year)) {
        rest -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    (i32::try_from(year).unwrap_or(i32::MAX), month, u8::try_from(rest + 1).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn self_signed(folder: &Path) -> CertificateSource {
        CertificateSource::SelfSigned { folder: folder.into(), names: vec!["gw.example".into(), "192.0.2.7".into()] }
    }

    #[test]
    fn the_calendar_knows_leap_years() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(11_016), (2000, 2, 29));
        assert_eq!(civil_date(20_513), (2026, 3, 1));
        assert_eq!(civil_date(20_818), (2026, 12, 31));
    }

    #[test]
    fn a_self_signed_key_is_made_once_and_readable_by_its_owner_only() {
        let folder = tempfile::tempdir().expect("folder");
        let first = Certificates::load(&self_signed(&folder.path().join("tls"))).expect("made");
        let key = folder.path().join("tls/key.pem");
        assert_eq!(fs::metadata(&key).expect("key").mode() & 0o777, 0o600);
        let second = Certificates::load(&self_signed(&folder.path().join("tls"))).expect("loaded");
        let leaf = |c: &Certificates| c.current.read().expect("lock").cert[0].clone();
        assert_eq!(leaf(&first), leaf(&second));
    }

    #[test]
    fn changed_files_are_taken_and_broken_ones_are_not() {
        let folder = tempfile::tempdir().expect("folder");
        let other = tempfile::tempdir().expect("folder");
        let certificates = Certificates::load(&self_signed(folder.path())).expect("made");
        Certificates::load(&self_signed(other.path())).expect("made");
        assert!(!certificates.reload_if_changed().expect("unchanged"));
        for file in ["cert.pem", "key.pem"] {
            fs::copy(other.path().join(file), folder.path().join(file)).expect("copied");
        }
        assert!(certificates.reload_if_changed().expect("good files"));
        let leaf = || certificates.current.read().expect("lock").cert[0].clone();
        let before = leaf();
        fs::write(folder.path().join("key.pem"), "no key").expect("written");
        assert!(certificates.reload_if_changed().is_err());
        assert_eq!(leaf(), before);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, two) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder"));
        Certificates::load(&self_signed(one.path())).expect("made");
        Certificates::load(&self_signed(two.path())).expect("made");
        let mixed = CertificateSource::Files { cert: one.path().join("cert.pem"), key: two.path().join("key.pem") };
        assert!(matches!(Certificates::load(&mixed), Err(TlsError::Key { .. })));
    }

    #[test]
    fn a_missing_file_is_named_in_the_error() {
        let missing = CertificateSource::Files { cert: "/no/such/cert.pem".into(), key: "/no/such/key.pem".into() };
        let error = Certificates::load(&missing).expect_err("missing").to_string();
        assert!(error.starts_with("/no/such/cert.pem: "), "{error}");
    }
}
