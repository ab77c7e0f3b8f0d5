//! TLS: sessions, and the origin of certificates.
//!
//! A [`certificate`] is checked before it is shown; the [`resolver`] holds the one that is shown,
//! where every handshake reads it without a lock. Two sources keep it fresh: [`files`] that another
//! program renews, and [`acme`], which orders and renews by itself; [`certificates`] runs the one
//! that the settings name. A connection's bytes are sealed by a [`session`], on its worker as on
//! its reactor. Sessions are resumed by tickets, which cost the server no memory. Nothing here
//! knows HTTP or an event.

pub mod acme;
pub mod certificate;
pub mod certificates;
pub mod files;
pub mod resolver;
pub mod session;

use crate::base::address::BindAddress;
use certificate::CertificateError;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The ALPN protocol in which a certificate authority asks for a proof (RFC 8737).
pub const ACME_PROTOCOL: &[u8] = b"acme-tls/1";

/// Reasons for which TLS cannot be set up.
#[expect(missing_docs, reason = "the messages say what failed")]
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
    #[error("the certificates in {} cannot be trusted as an authority's", path.display())]
    Authority { path: PathBuf },
    #[error("{} cannot be used to keep certificates in", path.display())]
    Folder { path: PathBuf, source: io::Error },
}

impl TlsError {
    /// True when the settings name something unusable, false when something failed.
    pub fn is_usage(&self) -> bool {
        matches!(self, TlsError::Certificate(_) | TlsError::Authority { .. })
    }
}

/// Settings of TLS.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// Source of the certificate.
    pub origin: CertificateOrigin,
    /// Addresses that speak plain HTTP.
    pub plain: Vec<BindAddress>,
    /// Addresses that redirect plain HTTP to TLS.
    pub redirect: Vec<BindAddress>,
}

/// The origin of certificates.
#[expect(missing_docs, reason = "the variants say what their fields are")]
#[derive(Clone, Debug)]
pub enum CertificateOrigin {
    /// A chain and its key in PEM form, renewed by another program.
    Files { cert: PathBuf, key: PathBuf },
    /// An order to an authority.
    Acme(AcmeOrder),
}

/// An order for a certificate (RFC 8555).
#[derive(Clone, Debug)]
pub struct AcmeOrder {
    /// The name that the certificate is for.
    pub domain: String,
    /// A mail address for the authority's notices.
    pub contact: String,
    /// URL of the authority's directory.
    pub directory: String,
    /// URL of a directory for a practice order before the real one.
    pub staging: Option<String>,
    /// File of the roots that the directory's own certificate is checked against; `None` for those
    /// of the web.
    pub authorities: Option<PathBuf>,
    /// The port that the authority connects to.
    pub port: u16,
}

/// TLS towards other servers: authorities from a file, or those of the web.
///
/// # Errors
/// When the file holds no authority.
pub fn client_config(authorities: Option<&Path>, provider: &Arc<CryptoProvider>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let unusable = || TlsError::Authority { path: PathBuf::from(path) };
            let certs: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(|_| unusable())?.collect();
            let (added, _) = roots.add_parsable_certificates(certs.map_err(|_| unusable())?);
            if added == 0 {
                return Err(unusable());
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// TLS towards this very process, whose certificate needs no check.
///
/// # Errors
/// When TLS cannot be set up.
pub fn own_client() -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(OwnServer(provider))).with_no_client_auth())
}

/// Takes any certificate, and checks that the server holds its key.
#[derive(Debug)]
struct OwnServer(Arc<CryptoProvider>);

impl ServerCertVerifier for OwnServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// TLS towards servers of the web.
///
/// # Errors
/// When TLS cannot be set up.
pub fn web_client() -> Result<ClientConfig, TlsError> {
    client_config(None, &Arc::new(rustls::crypto::ring::default_provider()))
}
