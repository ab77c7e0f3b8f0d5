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
use std::io;
use std::path::PathBuf;

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
