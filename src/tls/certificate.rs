//! A certificate chain and its key, checked: a [`Certificate`] can be shown to phones.
//!
//! Everything that can be wrong is found here, at the start or before a reload, in words for the
//! operator; a phone would only say that the page is not safe. An expired certificate, or one not
//! valid yet, is refused rather than served with a warning: no phone would accept it, and at the
//! start an operator can still fix it.

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

/// The longest file, in bytes; a chain has some 10 KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reasons against using a certificate or its key.
#[expect(missing_docs, reason = "the messages say what failed")]
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
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
    #[error("the certificate in {place} ended on {}", utc_text(*ended))]
    Expired { place: String, ended: SystemTime },
    #[error("the certificate in {place} is good from {} only, and this machine's clock says {}", utc_text(*not_before), utc_text(*now))]
    NotYetValid { place: String, not_before: SystemTime, now: SystemTime },
    #[error("the certificate in {place} is not for {domain}, which LUCKYDRAW_DOMAIN says")]
    WrongName { place: String, domain: String },
}

/// A certificate that can be shown, and the time for which it is valid.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The chain and its key.
    pub key: Arc<CertifiedKey>,
    /// Start of its validity.
    pub not_before: SystemTime,
    /// End of its validity.
    pub not_after: SystemTime,
}

/// A text in PEM form, and its origin for error messages.
#[derive(Clone, Copy, Debug)]
pub struct Pem<'p> {
    /// PEM text (RFC 7468).
    pub bytes: &'p [u8],
    /// File or name, for messages.
    pub place: &'p str,
}

impl Certificate {
    /// Reads a chain and its key from files, and checks them as [`Certificate::parse`] does.
    ///
    /// # Errors
    /// When a file cannot be read, or the check fails.
    pub fn read(cert: &Path, key: &Path, domain: Option<&str>, now: SystemTime) -> Result<Self, CertificateError> {
        let (cert_bytes, key_bytes) = (read_file(cert)?, read_file(key)?);
        let (cert_place, key_place) = (cert.display().to_string(), key.display().to_string());
        let cert = Pem { bytes: &cert_bytes, place: &cert_place };
        Self::parse(cert, Pem { bytes: &key_bytes, place: &key_place }, domain, now)
    }

    /// Parses a chain, the server's certificate first, and its key; and checks them against each
    /// other, the clock and the domain.
    ///
    /// # Errors
    /// When either is damaged, or they do not fit.
    pub fn parse(cert: Pem<'_>, key: Pem<'_>, domain: Option<&str>, now: SystemTime) -> Result<Self, CertificateError> {
        let place = || cert.place.to_owned();
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert.bytes).collect();
        let chain =
            chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| CertificateError::NoCertificate { place: place() })?;
        let (not_before, not_after) = validity(&chain[0]).ok_or_else(|| CertificateError::Damaged { place: place() })?;
        if let Some(domain) = domain {
            check_name(&chain[0], domain, cert.place)?;
        }
        let secret =
            PrivateKeyDer::from_pem_slice(key.bytes).map_err(|_| CertificateError::NoKey { place: key.place.to_owned() })?;
        let key = certify(chain, secret, cert.place, key.place)?;
        if now >= not_after {
            return Err(CertificateError::Expired { place: place(), ended: not_after });
        }
        if now < not_before {
            return Err(CertificateError::NotYetValid { place: place(), not_before, now });
        }
        Ok(Self { key: Arc::new(key), not_before, not_after })
    }

    /// The time to renew it: when a third of its validity is left, as authorities advise.
    pub fn renew_at(&self) -> SystemTime {
        let lifetime = self.not_after.duration_since(self.not_before).unwrap_or_default();
        self.not_after - lifetime / 3
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let unreadable = |source| CertificateError::Unreadable { path: path.to_owned(), source };
    let len = std::fs::metadata(path).map_err(unreadable)?.len();
    if len > FILE_BYTES_MAX {
        return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 1 MiB")));
    }
    std::fs::read(path).map_err(unreadable)
}

/// The start and end of a certificate's validity.
fn validity(cert: &CertificateDer<'_>) -> Option<(SystemTime, SystemTime)> {
    let (_, parsed) = X509Certificate::from_der(cert).ok()?;
    let at = |time: x509_parser::time::ASN1Time| UNIX_EPOCH + Duration::from_secs(time.timestamp().max(0) as u64);
    Some((at(parsed.validity().not_before), at(parsed.validity().not_after)))
}

fn check_name(cert: &CertificateDer<'_>, domain: &str, place: &str) -> Result<(), CertificateError> {
    let parsed = ParsedCertificate::try_from(cert).map_err(|_| CertificateError::Damaged { place: place.to_owned() })?;
    let is_named = ServerName::try_from(domain).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok());
    if is_named { Ok(()) } else { Err(CertificateError::WrongName { place: place.to_owned(), domain: domain.to_owned() }) }
}

fn certify(
    chain: Vec<CertificateDer<'static>>,
    secret: PrivateKeyDer<'static>,
    cert: &str,
    key: &str,
) -> Result<CertifiedKey, CertificateError> {
    let provider: CryptoProvider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, secret, &provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch { cert: cert.to_owned(), key: key.to_owned() },
        rustls::Error::InvalidCertificate(_) => CertificateError::Damaged { place: cert.to_owned() },
        _ => CertificateError::UnknownKey { place: key.to_owned() },
    })
}

/// A time for people to read: RFC 3339, in UTC.
pub fn utc_text(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    rfc3339(Timestamp(since.as_millis() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A self-signed certificate for `localhost` and its key, as PEM texts.
    fn make() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn check(cert: &str, key: &str, domain: Option<&str>, now: SystemTime) -> Result<Certificate, CertificateError> {
        let cert = Pem { bytes: cert.as_bytes(), place: "cert" };
        Certificate::parse(cert, Pem { bytes: key.as_bytes(), place: "key" }, domain, now)
    }

    #[test]
    fn a_certificate_has_to_fit_its_key_and_its_domain() {
        let ((cert, key), (_, other_key), now) = (make(), make(), SystemTime::now());
        assert!(check(&cert, &key, Some("localhost"), now).is_ok());
        assert!(matches!(check(&cert, &other_key, None, now), Err(CertificateError::Mismatch { .. })));
        assert!(matches!(check(&cert, &key, Some("a.kr"), now), Err(CertificateError::WrongName { .. })));
        assert!(matches!(check("", &key, None, now), Err(CertificateError::NoCertificate { .. })));
        assert!(matches!(check(&cert, &cert, None, now), Err(CertificateError::NoKey { .. })));
    }

    #[test]
    fn a_certificate_is_valid_from_its_start_until_just_before_its_end() {
        let (cert, key) = make();
        let made = check(&cert, &key, None, SystemTime::now()).unwrap();
        let second = Duration::from_secs(1);
        assert!(check(&cert, &key, None, made.not_before).is_ok() && check(&cert, &key, None, made.not_after - second).is_ok());
        let early = check(&cert, &key, None, made.not_before - second);
        assert!(matches!(early, Err(CertificateError::NotYetValid { .. })));
        assert!(matches!(check(&cert, &key, None, made.not_after), Err(CertificateError::Expired { .. })));
    }

    #[test]
    fn a_certificate_is_renewed_when_a_third_of_its_validity_is_left() {
        let (cert, key) = make();
        let made = check(&cert, &key, None, SystemTime::now()).unwrap();
        let day = Duration::from_secs(86_400);
        let ninety_days = Certificate { not_after: made.not_before + 90 * day, ..made.clone() };
        assert_eq!(ninety_days.renew_at(), made.not_before + 60 * day);
    }
}
