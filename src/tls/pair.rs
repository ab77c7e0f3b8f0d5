//! A certificate and its key, checked: whoever holds a [`Pair`] can show it.
//!
//! Everything that can be wrong with one is found here, at the start or before a reload, in words for the operator; a phone would only say that the
//! page is not safe. One that has ended, or whose time has not come, is refused and not served with a warning: no phone in the hall
//! would get past it, and at the start there is still somebody to mend it.

use crate::base::clock::rfc3339;
use crate::draw::Timestamp;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The longest file that is read: a chain has some 10 KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What can be wrong with a certificate or its key.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    #[error("{} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{place} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    NoCertificate { place: String },
    #[error("{place} holds no private key in PEM form without a password (-----BEGIN PRIVATE KEY-----)")]
    NoKey { place: String },
    #[error("the certificate in {place} is damaged")]
    Damaged { place: String },
    #[error(
        "the private key in {place} is of a kind that is not supported (ECDSA P-256 or P-384, Ed25519, RSA of 2048 bits and more are)"
    )]
    UnknownKey { place: String },
    #[error("the private key in {key} is not that of the certificate in {cert}")]
    Mismatch { cert: String, key: String },
    #[error("the certificate in {place} ended on {}", day(*ended))]
    Ended { place: String, ended: SystemTime },
    #[error("the certificate in {place} is good from {} only, and this machine's clock says {}", day(*begins), day(*now))]
    NotYet { place: String, begins: SystemTime, now: SystemTime },
    #[error("the certificate in {place} is not for {domain}, which LUCKYDRAW_DOMAIN says")]
    WrongName { place: String, domain: String },
}

/// A certificate that can be shown, and its time.
#[derive(Clone, Debug)]
pub struct Pair {
    pub key: Arc<CertifiedKey>,
    pub begins: SystemTime,
    pub ends: SystemTime,
}

/// A text in PEM form, and where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Pem<'p> {
    pub bytes: &'p [u8],
    pub place: &'p str,
}

impl Pair {
    /// Reads a chain and its key from files, and checks them as [`Pair::parse`] does.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(cert: &Path, key: &Path, domain: Option<&str>, now: SystemTime) -> Result<Self, PairError> {
        let (cert_bytes, key_bytes) = (read_file(cert)?, read_file(key)?);
        let (cert_place, key_place) = (cert.display().to_string(), key.display().to_string());
        let cert = Pem { bytes: &cert_bytes, place: &cert_place };
        Self::parse(cert, Pem { bytes: &key_bytes, place: &key_place }, domain, now)
    }

    /// Takes a chain, its own certificate first, and its key; and holds them against each other, the clock and the domain.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(cert: Pem<'_>, key: Pem<'_>, domain: Option<&str>, now: SystemTime) -> Result<Self, PairError> {
        let place = || cert.place.to_owned();
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert.bytes).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| PairError::NoCertificate { place: place() })?;
        let (begins, ends) = times(&chain[0]).ok_or_else(|| PairError::Damaged { place: place() })?;
        if let Some(domain) = domain {
            check_name(&chain[0], domain, cert.place)?;
        }
        let secret = PrivateKeyDer::from_pem_slice(key.bytes).map_err(|_| PairError::NoKey { place: key.place.to_owned() })?;
        let key = certify(chain, secret, cert.place, key.place)?;
        if now >= ends {
            return Err(PairError::Ended { place: place(), ended: ends });
        }
        if now < begins {
            return Err(PairError::NotYet { place: place(), begins, now });
        }
        Ok(Self { key: Arc::new(key), begins, ends })
    }

    /// When it is to be renewed: a third of its time before its end, as authorities advise.
    pub fn renew_at(&self) -> SystemTime {
        let lifetime = self.ends.duration_since(self.begins).unwrap_or_default();
        self.ends - lifetime / 3
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, PairError> {
    let unreadable = |source| PairError::Unreadable { path: path.to_owned(), source };
    let len = std::fs::metadata(path).map_err(unreadable)?.len();
    if len > FILE_BYTES_MAX {
        return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 1 MiB")));
    }
    std::fs::read(path).map_err(unreadable)
}

/// From when and until when a certificate is good.
fn times(cert: &CertificateDer<'_>) -> Option<(SystemTime, SystemTime)> {
    let (_, parsed) = X509Certificate::from_der(cert).ok()?;
    let at = |time: x509_parser::time::ASN1Time| UNIX_EPOCH + Duration::from_secs(time.timestamp().max(0) as u64);
    Some((at(parsed.validity().not_before), at(parsed.validity().not_after)))
}

fn check_name(cert: &CertificateDer<'_>, domain: &str, place: &str) -> Result<(), PairError> {
    let parsed = ParsedCertificate::try_from(cert).map_err(|_| PairError::Damaged { place: place.to_owned() })?;
    let is_named = ServerName::try_from(domain).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok());
    if is_named { Ok(()) } else { Err(PairError::WrongName { place: place.to_owned(), domain: domain.to_owned() }) }
}

fn certify(
    chain: Vec<CertificateDer<'static>>,
    secret: PrivateKeyDer<'static>,
    cert: &str,
    key: &str,
) -> Result<CertifiedKey, PairError> {
    let provider: CryptoProvider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, secret, &provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => PairError::Mismatch { cert: cert.to_owned(), key: key.to_owned() },
        rustls::Error::InvalidCertificate(_) => PairError::Damaged { place: cert.to_owned() },
        _ => PairError::UnknownKey { place: key.to_owned() },
    })
}

/// A time as it is told to people.
pub fn day(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    rfc3339(Timestamp(since.as_millis() as i64))
}
