//! The server's certificates: the TLS configuration of handshakes, and the thread that keeps the
//! certificate fresh.
//!
//! The thread has a runtime of its own, since an order waits for the network for minutes. It ends
//! with the server.

use crate::base::data_dir::DataDir;
use crate::tls::acme::Acme;
use crate::tls::files::Files;
use crate::tls::resolver::CertificateResolver;
use crate::tls::{ACME_PROTOCOL, TlsError};
use crate::tls::{CertificateOrigin, TlsSettings};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A source of certificates. Its `open` shows the first one, if it has one.
enum Source {
    Files(Files),
    Acme(Box<Acme>),
}

impl Source {
    /// Keeps the certificate fresh until it is dropped. `reload` asks for a look now.
    async fn run(self, reload: Arc<Notify>) {
        match self {
            Source::Files(files) => files.run(reload).await,
            Source::Acme(acme) => acme.run(reload).await,
        }
    }
}

/// The TLS configuration of handshakes, and the source that keeps the certificate fresh.
pub struct Certificates {
    config: Arc<ServerConfig>,
    /// `None` once its thread runs.
    source: Option<Source>,
    reload: Arc<Notify>,
    stopping: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Certificates {
    /// Opens the source that the settings name.
    ///
    /// # Errors
    /// When what they name cannot be used.
    pub fn open(tls: &TlsSettings, domain: Option<&str>, data_dir: &DataDir) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let resolver = Arc::new(CertificateResolver::default());
        let (source, speaks_acme) = match &tls.origin {
            CertificateOrigin::Files { cert, key } => (Source::Files(Files::open(cert, key, domain, &resolver)?), false),
            CertificateOrigin::Acme(order) => (Source::Acme(Box::new(Acme::open(order, data_dir, &resolver, &provider)?)), true),
        };
        let config = Arc::new(server_config(provider, resolver, speaks_acme)?);
        let stopping = CancellationToken::new();
        Ok(Self { config, source: Some(source), reload: Arc::default(), stopping, thread: None })
    }

    /// The configuration of handshakes.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Starts the source's thread. To be called once the listeners accept: an authority connects to
    /// them.
    ///
    /// # Errors
    /// When the operating system gives no thread or readiness queue.
    pub fn start(&mut self) -> io::Result<()> {
        let Some(source) = self.source.take() else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stopping, reload) = (self.stopping.clone(), Arc::clone(&self.reload));
        let run = move || {
            runtime.block_on(async {
                // Both arms are cancel safe: an order that is cut off counts as a failed one.
                tokio::select! {
                    () = stopping.cancelled() => {}
                    () = source.run(reload) => {}
                }
            });
            // A name look-up that hangs must not hold up the stop.
            runtime.shutdown_background();
        };
        self.thread = Some(std::thread::Builder::new().name("certificates".into()).spawn(run)?);
        Ok(())
    }

    /// Has the source look for a new certificate now.
    pub fn reload(&self) {
        self.reload.notify_one();
    }

    /// Ends the source's thread, and waits for it.
    pub fn stop(self) {
        self.stopping.cancel();
        if self.thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of certificates had panicked");
        }
    }
}

/// TLS 1.3 and 1.2, http/1.1 alone, one ticket per handshake. A ticket is good for twelve hours at
/// most, after which its key is gone.
fn server_config(
    provider: Arc<CryptoProvider>,
    resolver: Arc<CertificateResolver>,
    speaks_acme: bool,
) -> Result<ServerConfig, rustls::Error> {
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions)?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if speaks_acme {
        config.alpn_protocols.push(ACME_PROTOCOL.to_vec());
    }
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok(config)
}
