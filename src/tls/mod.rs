//! TLS of the street: how it is spoken, and where its certificates come from.
//!
//! [`pair`] reads a certificate and its key and says what is wrong with them; [`shelf`] holds the one that is shown, where every handshake finds it
//! without a lock. Two sources keep it fresh: [`files`] that somebody else renews, and [`acme`], which orders and renews by itself. [`hello`]
//! shakes hands. What a connection says afterwards is sealed by [`crate::tls::session`] on its worker as on its stage. Sessions are resumed by
//! tickets, which cost the server no memory: none are kept.

pub mod acme;
pub mod files;
pub mod pair;
pub mod resolver;
pub mod session;
pub mod settings;

use acme::Acme;
use files::Files;
use pair::PairError;
use resolver::CertificateResolver;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use settings::{CertificateOrigin, TlsSettings};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What a certificate authority speaks that wants its proof (RFC 8737).
pub const ACME_PROTOCOL: &[u8] = b"acme-tls/1";

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(transparent)]
    Pair(#[from] PairError),
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
    #[error("the certificates in {} cannot be trusted as an authority's", path.display())]
    Authority { path: PathBuf },
    #[error("{} cannot be used to keep certificates in", path.display())]
    Folder { path: PathBuf, source: io::Error },
}

impl TlsError {
    /// Whether the operator named what cannot be used.
    pub fn is_usage(&self) -> bool {
        matches!(self, TlsError::Pair(_) | TlsError::Authority { .. })
    }
}

/// Where certificates come from: puts the first on the shelf when it is made, if it has one, and keeps it fresh from then on.
pub trait Source: Send {
    /// Goes on until it is dropped. `again` tells that the operator wants it to look now.
    fn keep(self: Box<Self>, again: Arc<Notify>) -> Pin<Box<dyn Future<Output = ()>>>;
}

/// The server's certificates: what handshakes are made with, and the source that keeps them.
pub struct Certificates {
    config: Arc<ServerConfig>,
    source: Option<Box<dyn Source>>,
    again: Arc<Notify>,
    stopping: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Certificates {
    /// Opens the source that the operator named.
    ///
    /// # Errors
    /// When what it names cannot be used.
    pub fn open(tls: &TlsSettings, domain: Option<&str>, data_dir: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let shelf = Arc::new(CertificateResolver::default());
        let (source, speaks_acme): (Box<dyn Source>, bool) = match &tls.origin {
            CertificateOrigin::Files { cert, key } => (Box::new(Files::open(cert, key, domain, &shelf)?), false),
            CertificateOrigin::Acme(order) => (Box::new(Acme::open(order, data_dir, &shelf, &provider)?), true),
        };
        let config = Arc::new(config(provider, shelf, speaks_acme)?);
        let stopping = CancellationToken::new();
        Ok(Self { config, source: Some(source), again: Arc::default(), stopping, thread: None })
    }

    /// How handshakes are made.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Begins to keep them fresh. To be called once the doors are open: an authority comes in by them.
    ///
    /// # Errors
    /// When the operating system gives no thread or readiness queue.
    pub fn start(&mut self) -> io::Result<()> {
        let Some(source) = self.source.take() else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stopping, again) = (self.stopping.clone(), Arc::clone(&self.again));
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = stopping.cancelled() => {}
                    () = source.keep(again) => {}
                }
            });
            // A look-up of a name that hangs must not hold up the stop.
            runtime.shutdown_background();
        };
        self.thread = Some(std::thread::Builder::new().name("certificates".into()).spawn(run)?);
        Ok(())
    }

    /// Has the source look now.
    pub fn reload(&self) {
        self.again.notify_one();
    }

    /// Ends the source's thread.
    pub fn stop(self) {
        self.stopping.cancel();
        if self.thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the keeper of certificates had panicked");
        }
    }
}

/// How TLS is spoken: 1.3 and 1.2, http/1.1 alone, one ticket a handshake. A ticket is good for twelve hours at the most, after which its key is gone.
fn config(
    provider: Arc<CryptoProvider>,
    shelf: Arc<CertificateResolver>,
    speaks_acme: bool,
) -> Result<ServerConfig, rustls::Error> {
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions)?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(shelf);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if speaks_acme {
        config.alpn_protocols.push(ACME_PROTOCOL.to_vec());
    }
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok(config)
}
