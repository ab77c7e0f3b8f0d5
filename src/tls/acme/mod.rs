//! Certificates that the server orders and renews by itself (RFC 8555, by TLS-ALPN-01 of RFC 8737).
//!
//! rustls-acme speaks with the authority, one order at a time, and is dropped after each: left to itself it tries again after one, two, four seconds,
//! and an authority that allows five failed tries an hour shuts a server out half a minute after a wrong DNS record. Here [`preflight`] asks first
//! whether the authority could find its way, a directory for practice is tried before the one that counts, and [`attempts`] remembers failed
//! tries across restarts and spaces them out. What was obtained lies in a [`folder`] of its own. A certificate is renewed when a third of its
//! time is left; until then, and while that fails, the old one is shown.

pub mod attempts;
pub mod folder;
pub mod preflight;

use crate::base::data_dir::DataDir;
use crate::tls::pair::{Pair, Pem, day};
use crate::tls::resolver::CertificateResolver;
use crate::tls::settings::AcmeOrder;
use crate::tls::{Source, TlsError};
use attempts::Attempts;
use folder::{Folder, Kept};
use futures_util::StreamExt;
use preflight::Preflight;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_acme::{AcmeConfig, EventError, EventOk};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

/// How long an order may take.
const ORDER_TIME_MAX: Duration = Duration::from_secs(300);

/// How long after a preflight that found something wrong the next one is made. It costs nothing at the authority.
const PREFLIGHT_GAP: Duration = Duration::from_secs(30);

/// The longest sleep: the clock may be set meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// A source that orders its certificate.
pub struct Acme {
    order: AcmeOrder,
    folder: Folder,
    attempts: Attempts,
    shelf: Arc<CertificateResolver>,
    client: Arc<ClientConfig>,
    /// What is shown.
    pair: Option<Pair>,
    /// What the log was told last of what is in the way, so that it is told once.
    complaint: String,
}

/// Why an order came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error("{0}")]
    Refused(Box<EventError<std::io::Error, std::io::Error>>),
    #[error("the authority did not come to an end within five minutes")]
    TooLong,
    #[error("the authority sent no certificate")]
    Nothing,
    #[error("the authority's certificate is not one that can be shown: {0}")]
    Unusable(#[from] crate::tls::pair::PairError),
}

impl Acme {
    /// Opens the folder of certificates, and shows the one that lies there if it is still good.
    ///
    /// # Errors
    /// When the folder cannot be used, or the authorities that the operator names cannot be read.
    pub fn open(
        order: &AcmeOrder,
        data_dir: &DataDir,
        shelf: &Arc<CertificateResolver>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let client = Arc::new(client(order.authorities.as_deref(), provider)?);
        let folder = Folder::open(data_dir)?;
        let attempts = Attempts::read(folder.attempts());
        let mut acme = Self {
            order: order.clone(),
            folder,
            attempts,
            shelf: Arc::clone(shelf),
            client,
            pair: None,
            complaint: String::new(),
        };
        if let Some(pem) = acme.folder.certificate(&order.directory, &order.domain) {
            match acme.take(&pem) {
                Ok(()) => {}
                Err(error) => tracing::warn!(%error, "the certificate of the last run is not shown"),
            }
        }
        if acme.pair.is_none() {
            tracing::warn!(
                domain = order.domain,
                "there is no certificate yet: until it is obtained nobody can come in by https"
            );
        }
        let wait = acme.attempts.wait(SystemTime::now());
        if !wait.is_zero() {
            tracing::warn!(wait_s = wait.as_secs(), "earlier orders have failed, and the next order waits");
        }
        Ok(acme)
    }

    /// Shows what an authority sent: a key and its chain, in one text.
    fn take(&mut self, pem: &[u8]) -> Result<(), OrderError> {
        let pem = Pem { bytes: pem, place: "the authority's answer" };
        let pair = Pair::parse(pem, pem, Some(&self.order.domain), SystemTime::now())?;
        tracing::info!(domain = self.order.domain, until = day(pair.ends), "certificate shown");
        self.shelf.show(Arc::clone(&pair.key));
        self.pair = Some(pair);
        Ok(())
    }

    /// How long nothing is to be done.
    fn idle(&self, now: SystemTime) -> Duration {
        let due = self.pair.as_ref().map_or(now, Pair::renew_at);
        due.duration_since(now).unwrap_or_default().max(self.attempts.wait(now))
    }

    /// Tries once to obtain a certificate, and says how long to wait before it is looked at again.
    async fn try_once(&mut self) -> Duration {
        if let Err(obstacle) = Preflight::new(&self.order, &self.shelf, &self.client).make().await {
            self.complain(&obstacle.to_string());
            return PREFLIGHT_GAP;
        }
        // Before the order, so that a crash in the middle of one counts too.
        if let Err(error) = self.attempts.begin(SystemTime::now()) {
            self.complain(&format!("{} cannot be written: {error}", self.folder.attempts().display()));
            return PREFLIGHT_GAP;
        }
        let directories = self.order.staging.iter().chain([&self.order.directory]);
        let directories: Vec<String> = directories.cloned().collect();
        for directory in directories {
            tracing::info!(domain = self.order.domain, directory, "ordering a certificate");
            if let Err(error) = self.obtain(&directory).await {
                let wait = self.attempts.wait(SystemTime::now());
                self.complaint.clear();
                tracing::error!(%error, directory, wait_s = wait.as_secs(), "no certificate was obtained");
                return wait;
            }
        }
        self.attempts.succeed();
        self.complaint.clear();
        Duration::ZERO
    }

    /// Orders from one directory. What comes of practice is thrown away.
    async fn obtain(&mut self, directory: &str) -> Result<(), OrderError> {
        let counts = directory == self.order.directory;
        let kept = Arc::new(Kept::new(&self.folder, counts));
        let config = AcmeConfig::new_with_client_config([&self.order.domain], Arc::clone(&self.client));
        let contact = format!("mailto:{}", self.order.contact);
        let mut state = config.contact([contact]).directory(directory).cache(Arc::clone(&kept).cache()).state();
        self.shelf.prove(Some(state.resolver()));
        let ended = tokio::time::timeout(ORDER_TIME_MAX, async {
            loop {
                match state.next().await {
                    Some(Ok(EventOk::CertCacheStore)) => return Ok(()),
                    Some(Ok(event)) => tracing::debug!(?event, "an order goes on"),
                    Some(Err(error)) => return Err(OrderError::Refused(Box::new(error))),
                    None => return Err(OrderError::Nothing),
                }
            }
        });
        let ended = ended.await.unwrap_or(Err(OrderError::TooLong));
        self.shelf.prove(None);
        ended?;
        let pem = kept.certificate().ok_or(OrderError::Nothing)?;
        if counts { self.take(&pem) } else { Ok(()) }
    }

    /// Says what is in the way, once.
    fn complain(&mut self, obstacle: &str) {
        if self.complaint != obstacle {
            tracing::warn!(domain = self.order.domain, obstacle, "no certificate is ordered yet");
            self.complaint = obstacle.to_owned();
        }
    }
}

impl Source for Acme {
    fn keep(mut self: Box<Self>, again: Arc<Notify>) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move {
            loop {
                let mut wait = self.idle(SystemTime::now());
                if wait.is_zero() {
                    wait = self.try_once().await;
                }
                // Both arms are cancel safe. Being asked shortens no wait between failed tries: `idle` is looked at again.
                tokio::select! {
                    () = again.notified() => {}
                    () = tokio::time::sleep(wait.min(SLEEP_MAX)) => {}
                }
            }
        })
    }
}

/// How the authority is spoken to.
fn client(authorities: Option<&Path>, provider: &Arc<CryptoProvider>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let wrong = || TlsError::Authority { path: PathBuf::from(path) };
            let certs: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(|_| wrong())?.collect();
            let (added, _) = roots.add_parsable_certificates(certs.map_err(|_| wrong())?);
            if added == 0 {
                return Err(wrong());
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
