//! Settings of TLS: the origin of certificates, and the addresses that speak plain HTTP beside it.
//! They live below `ops::config`, which builds them, so that this layer never imports it.

use crate::base::address::BindAddress;
use std::path::PathBuf;

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
    /// A chain and its key in PEM form, renewed by somebody else.
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
