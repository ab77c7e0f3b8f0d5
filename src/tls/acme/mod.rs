//! Certificates that the server orders and renews by itself (RFC 8555, by TLS-ALPN-01 of RFC 8737).
//!
//! rustls-acme speaks with the authority, for one order, and is dropped after each. Left to itself
//! it retries after one, two, four seconds, and an authority that allows five failed orders per
//! hour locks a server out half a minute after a wrong DNS record. Here a [`preflight`] first
//! checks whether the authority could reach this server, a practice directory is tried before the
//! real one, and a [`backoff`] remembers failed orders across restarts and spaces them out. Results
//! are kept in a [`folder`]. A certificate is renewed when a third of its validity is left; until
//! then, and while that fails, the old one is shown.

pub mod backoff;
pub mod folder;
pub mod preflight;

use crate::base::clock::read_clocks;
use crate::base::data_dir::DataDir;
use crate::tls::AcmeOrder;
use crate::tls::TlsError;
use crate::tls::certificate::{Certificate, CertificateError, Pem, utc_text};
use crate::tls::resolver::CertificateResolver;
use crate::tls::{self};
use backoff::OrderBackoff;
use folder::{AcmeFolder, OrderCache};
use futures_util::StreamExt;
use preflight::Preflight;
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls_acme::{AcmeConfig, EventError, EventOk};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

/// Time for one order.
const ORDER_TIMEOUT: Duration = Duration::from_secs(300);

/// Time from a failed preflight to the next one, which costs nothing at the authority.
const PREFLIGHT_EVERY: Duration = Duration::from_secs(30);

/// The longest sleep, since the clock may be set meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// A source that orders its certificate.
pub struct Acme {
    order: AcmeOrder,
    folder: AcmeFolder,
    backoff: OrderBackoff,
    resolver: Arc<CertificateResolver>,
    /// TLS towards the authority.
    client: Arc<ClientConfig>,
    /// The certificate that is shown.
    certificate: Option<Certificate>,
    /// The last obstacle that was logged, so that each is logged once; empty after a success.
    last_warning: String,
}

/// Reasons for which an order failed.
#[expect(missing_docs, reason = "the messages say what failed")]
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error("{0}")]
    Refused(Box<EventError<io::Error, io::Error>>),
    #[error("the authority did not finish within five minutes")]
    Timeout,
    #[error("the authority sent no certificate")]
    NoCertificate,
    #[error("the authority's certificate cannot be shown: {0}")]
    Unusable(#[from] CertificateError),
}

impl Acme {
    /// Opens the folder of certificates, and shows the one in it if it is still valid.
    ///
    /// # Errors
    /// When the folder cannot be used, or the configured roots cannot be read.
    pub fn open(
        order: &AcmeOrder,
        data_dir: &DataDir,
        resolver: &Arc<CertificateResolver>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let client = Arc::new(tls::client_config(order.authorities.as_deref(), provider)?);
        let folder = AcmeFolder::open(data_dir)?;
        let backoff = OrderBackoff::read(folder.attempts(), read_clocks());
        let (order, resolver) = (order.clone(), Arc::clone(resolver));
        let mut acme = Self { order, folder, backoff, resolver, client, certificate: None, last_warning: String::new() };
        if let Some(pem) = acme.folder.certificate(&acme.order.directory, &acme.order.domain)
            && let Err(error) = acme.install(&pem)
        {
            tracing::warn!(%error, "the certificate of the last run is not shown");
        }
        if acme.certificate.is_none() {
            let domain = &acme.order.domain;
            tracing::warn!(domain, "there is no certificate yet: until it is obtained nobody can connect by https");
        }
        let wait = acme.backoff.time_left(read_clocks());
        if !wait.is_zero() {
            tracing::warn!(wait_s = wait.as_secs(), "earlier orders have failed, and the next order waits");
        }
        Ok(acme)
    }

    /// Orders and renews until it is dropped. `reload` ends a sleep early, and shortens no wait
    /// after a failed order.
    pub async fn run(mut self, reload: Arc<Notify>) {
        loop {
            let mut wait = self.time_until_order(SystemTime::now());
            if wait.is_zero() {
                wait = self.try_order().await;
            }
            // Both arms are cancel safe.
            tokio::select! {
                () = reload.notified() => {}
                () = tokio::time::sleep(wait.min(SLEEP_MAX)) => {}
            }
        }
    }

    /// Checks and shows a certificate: a key and its chain, in one text.
    fn install(&mut self, pem: &[u8]) -> Result<(), OrderError> {
        let pem = Pem { bytes: pem, place: "the authority's answer" };
        let certificate = Certificate::parse(pem, pem, Some(&self.order.domain), SystemTime::now())?;
        tracing::info!(domain = self.order.domain, until = utc_text(certificate.not_after), "certificate shown");
        self.resolver.show(Arc::clone(&certificate.key));
        self.certificate = Some(certificate);
        Ok(())
    }

    /// Time until an order is due and allowed.
    fn time_until_order(&self, now: SystemTime) -> Duration {
        let due = self.certificate.as_ref().map_or(now, Certificate::renew_at);
        due.duration_since(now).unwrap_or_default().max(self.backoff.time_left(read_clocks()))
    }

    /// Tries once to obtain a certificate, and returns the time to wait afterwards.
    async fn try_order(&mut self) -> Duration {
        if let Err(error) = Preflight::new(&self.order, &self.resolver, &self.client).run().await {
            self.warn_once(&error.to_string());
            return PREFLIGHT_EVERY;
        }
        // Before the order, so that a crash in the middle of one counts too.
        if let Err(error) = self.backoff.record_start(read_clocks()) {
            self.warn_once(&format!("{} cannot be written: {error}", self.folder.attempts().display()));
            return PREFLIGHT_EVERY;
        }
        let directories: Vec<String> = self.order.staging.iter().chain([&self.order.directory]).cloned().collect();
        for directory in directories {
            tracing::info!(domain = self.order.domain, directory, "ordering a certificate");
            if let Err(error) = self.order_from(&directory).await {
                let wait = self.backoff.time_left(read_clocks());
                self.last_warning.clear();
                tracing::error!(%error, directory, wait_s = wait.as_secs(), "no certificate was obtained");
                return wait;
            }
        }
        self.backoff.reset();
        self.last_warning.clear();
        Duration::ZERO
    }

    /// Orders from one directory. A practice certificate is thrown away.
    async fn order_from(&mut self, directory: &str) -> Result<(), OrderError> {
        let is_practice = directory != self.order.directory;
        let cache = OrderCache::new(&self.folder, is_practice);
        let config = AcmeConfig::new_with_client_config([&self.order.domain], Arc::clone(&self.client));
        let contact = format!("mailto:{}", self.order.contact);
        let mut state = config.contact([contact]).directory(directory).cache(cache.clone()).state();
        self.resolver.set_proof(Some(state.resolver()));
        let result = tokio::time::timeout(ORDER_TIMEOUT, async {
            loop {
                match state.next().await {
                    Some(Ok(EventOk::CertCacheStore)) => return Ok(()),
                    Some(Ok(event)) => tracing::debug!(?event, "an order goes on"),
                    Some(Err(error)) => return Err(OrderError::Refused(Box::new(error))),
                    None => return Err(OrderError::NoCertificate),
                }
            }
        });
        let result = result.await.unwrap_or(Err(OrderError::Timeout));
        self.resolver.set_proof(None);
        result?;
        let pem = cache.certificate().ok_or(OrderError::NoCertificate)?;
        if is_practice { Ok(()) } else { self.install(&pem) }
    }

    /// Logs an obstacle, unless it was the last one logged.
    fn warn_once(&mut self, obstacle: &str) {
        if self.last_warning != obstacle {
            tracing::warn!(domain = self.order.domain, obstacle, "no certificate is ordered yet");
            self.last_warning = obstacle.to_owned();
        }
    }
}
