//! Settings of TLS: where certificates come from, and which addresses speak plain HTTP beside it.

use crate::base::address::BindAddress;
use std::path::PathBuf;

/// How TLS is to be spoken.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    pub origin: CertificateOrigin,
    /// Spoken at in the clear.
    pub plain: Vec<BindAddress>,
    /// Lead on to TLS.
    pub redirect: Vec<BindAddress>,
}

/// Where certificates come from.
#[derive(Clone, Debug)]
pub enum CertificateOrigin {
    Files { cert: PathBuf, key: PathBuf },
    Acme(AcmeOrder),
}

/// What is ordered, and where.
#[derive(Clone, Debug)]
pub struct AcmeOrder {
    pub domain: String,
    /// Where the authority writes to.
    pub contact: String,
    /// The authority's directory.
    pub directory: String,
    /// One that is tried first.
    pub staging: Option<String>,
    /// The authorities that the directory's own certificate is checked against; none: those of the web.
    pub authorities: Option<PathBuf>,
    /// The port that the authority comes in by.
    pub port: u16,
}
