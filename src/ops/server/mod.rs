//! The server as a whole: opens the layers in order, and closes them in reverse.
//!
//! [`listeners`] come first, then the journal and what is in memory of it ([`core`]), then the
//! threads that speak HTTP. A stop runs the other way: no new connections, then the sockets, then
//! requests under way, and the sequencer last, since all of them may still need it. [`watchdog`]
//! reports to the supervisor meanwhile. No other module opens a layer.

pub mod core;
pub mod error;
pub mod listeners;
pub mod watchdog;

pub use error::StartError;

use self::core::{Core, SequencerThread, Storage};
use crate::api::app::{App, Settings};
use crate::api::image_cache::ImageCache;
use crate::api::metrics::port::Port;
use crate::api::metrics::process::BurstCredit;
use crate::api::rate_limiter::RateLimiter;
use crate::api::revoked_logins::RevokedLogins;
use crate::api::routes::{ROUTER, ROUTES};
use crate::backup::thread::{BackupThread, ImagesInUse};
use crate::backup::unused_images::images_of;
use crate::base::durable_file;
use crate::draw::EventId;
use crate::http::acceptor::Acceptor;
use crate::http::bind::{ListenAddress, Listener};
use crate::http::request_metrics::RequestMetrics;
use crate::http::worker::Workers;
use crate::http::{HttpServer, HttpSettings};
use crate::live::room::Directory;
use crate::ops::admin_token::AdminToken;
use crate::ops::config::Config;
use crate::ops::supervisor::notify;
use crate::ops::{lan, limits};
use crate::tls::TlsError;
use crate::tls::certificates::Certificates;
use sd_notify::NotifyState;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use watchdog::Watchdog;

/// Time over which the close frames of a stop are spread, so that phones do not reconnect all at
/// once.
const CLOSE_SPREAD: Duration = Duration::from_secs(1);

/// Time for sockets, and then for requests, to end during a stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections, at most, where neither the settings nor the limit on open files says less.
const CONNECTIONS_MAX: usize = 1_000_000;

/// A running server.
pub struct Server {
    app: Arc<App>,
    acceptor: Acceptor,
    workers: Workers,
    sequencer: SequencerThread,
    backups: BackupThread,
    admin_token: AdminToken,
    metrics: Option<Port>,
    certificates: Option<Certificates>,
}

/// Starts the server. When this returns, it accepts connections and is ready.
///
/// # Errors
/// When a layer does not open.
///
/// # Panics
/// On a thread that runs async tasks, since it blocks.
pub fn start(config: &Config) -> Result<Server, StartError> {
    let connections_max = limit_connections(config);
    let listeners = listeners::open(config)?;
    let storage = Storage::open(&config.data_dir)?;
    let images = config.data_dir.images();
    durable_file::create_folder(&images).map_err(|source| StartError::Folder { path: images, source })?;
    let admin_token = AdminToken::load(&config.admin_token, &config.data_dir)?;
    // Before the journal is replayed: a bad certificate is reported at once.
    let certificates = open_certificates(config)?;
    let main = listeners::main_addresses(config, &listeners).map_err(StartError::Threads)?;
    let scheme = listeners::main_protocol(config).scheme();
    let https_port = config.tls.as_ref().and(main.first()).map(SocketAddr::port);
    let settings = Settings {
        http: HttpSettings { https_port, ..config.app.http.clone() },
        admin_token: admin_token.secret.expose().to_owned(),
        join_base: lan::join_base(&main, scheme, config.app.http.domain.as_deref()),
        ..config.app.clone()
    };
    let core = Core::start(config, &settings, storage)?;
    serve(config, listeners, settings, connections_max, core, admin_token, certificates).map_err(StartError::Threads)
}

fn open_certificates(config: &Config) -> Result<Option<Certificates>, TlsError> {
    let Some(tls) = &config.tls else { return Ok(None) };
    Certificates::open(tls, config.app.http.domain.as_deref(), &config.data_dir).map(Some)
}

/// Raises the limit on open files, and returns how many connections there may be.
fn limit_connections(config: &Config) -> usize {
    let wanted = config.connections_max.unwrap_or(CONNECTIONS_MAX);
    let connections_max = limits::raise_open_files(wanted, config.workers + config.socket_threads);
    match config.connections_max {
        Some(wanted) if connections_max < wanted => {
            tracing::warn!(connections_max, wanted, "the limit on open files bounds connections");
        }
        _ => tracing::info!(connections_max, "room is made for connections"),
    }
    connections_max
}

/// The images that any event shows.
fn images_in_use(events: Arc<Directory>) -> ImagesInUse {
    Box::new(move || events.all().iter().flat_map(|room| images_of(&room.snapshot().event).collect::<Vec<_>>()).collect())
}

/// Starts the threads that speak HTTP: workers, then the acceptor; then declares the server ready.
fn serve(
    config: &Config,
    listeners: Vec<Listener>,
    settings: Settings,
    connections_max: usize,
    core: Core,
    admin_token: AdminToken,
    mut certificates: Option<Certificates>,
) -> io::Result<Server> {
    let directory = Arc::clone(&core.directory);
    let in_use = images_in_use(Arc::clone(&directory));
    let backups = BackupThread::start(config.backups.clone(), Arc::clone(&core.clock), in_use)?;
    let requests = Arc::new(RequestMetrics::new(ROUTES));
    let stopping = CancellationToken::new();
    let revoked_logins = RevokedLogins::open(settings.data_dir.revoked_logins())?;
    let app = Arc::new(App {
        long_polls: Semaphore::new(settings.long_polls_max),
        files: Arc::new(Semaphore::new(1)),
        settings,
        directory: core.directory,
        inbox: core.inbox,
        reactors: core.reactors,
        tokens: core.tokens,
        rate_limiter: RateLimiter::default(),
        revoked_logins,
        images: ImageCache::default(),
        ready: AtomicBool::new(false),
        durable: core.durable,
        clock: core.clock,
        backups: backups.handle(),
        commits: core.commit_metrics,
        requests: Arc::clone(&requests),
        credit: BurstCredit::default(),
        stopping: stopping.clone(),
    });
    let server = Arc::new(HttpServer {
        settings: app.settings.http.clone(),
        router: &ROUTER,
        app: Arc::clone(&app),
        metrics: requests,
        tls: certificates.as_ref().map(|certificates| Arc::clone(certificates.config())),
        stopping,
    });
    let workers = Workers::start(config.workers, &server, DRAIN_TIMEOUT)?;
    let connections_left = move || {
        let peers: usize = directory.all().iter().map(|room| room.connections.total() as usize).sum();
        connections_max.saturating_sub(peers)
    };
    let acceptor = Acceptor::start(listeners, workers.queues(), Box::new(connections_left))?;
    let metrics = config.metrics_bind.map(|address| Port::open(address, &app)).transpose()?;
    if let Some(port) = &metrics {
        tracing::info!(address = %port.address, "metrics are served without a token");
    }
    // Once the listeners accept: an authority connects to them.
    if let Some(certificates) = &mut certificates {
        certificates.start()?;
    }
    app.ready.store(true, Relaxed);
    Ok(Server { app, acceptor, workers, sequencer: core.sequencer, backups, admin_token, metrics, certificates })
}

impl Server {
    /// The addresses that it listens on, with the ports that the system chose.
    pub fn addresses(&self) -> &[ListenAddress] {
        self.acceptor.addresses()
    }

    /// The address by which phones reach it, without a path.
    pub fn join_base(&self) -> &str {
        &self.app.settings.join_base
    }

    /// The event of an address that names none: the operator's default, if it still exists.
    pub fn default_event(&self) -> Option<EventId> {
        self.app.event_by_default()
    }

    /// The token that opens the admin calls.
    pub fn admin_token(&self) -> &AdminToken {
        &self.admin_token
    }

    /// Starts to report to the supervisor.
    pub fn start_watchdog(&self) {
        Watchdog { app: Arc::clone(&self.app), workers: self.workers.runtimes().to_vec() }.start();
    }

    /// Reads the certificates again, if there are any.
    pub fn reload_certificates(&self) {
        match &self.certificates {
            Some(certificates) => certificates.reload(),
            None => tracing::info!("there is nothing to be read again"),
        }
    }

    /// Stops the server: blocks until every connection has ended and everything is on the disk,
    /// within a few drain timeouts.
    pub fn stop(self) {
        notify(&[NotifyState::Stopping, NotifyState::Status("stopping: sockets are told to reconnect")]);
        self.app.ready.store(false, Relaxed);
        if let Some(certificates) = self.certificates {
            certificates.stop();
        }
        self.acceptor.stop();
        self.workers.begin_stop();
        self.app.reactors.stop(CLOSE_SPREAD, DRAIN_TIMEOUT);
        self.workers.stop();
        self.metrics.into_iter().for_each(Port::wait);
        self.backups.stop();
        // After the last request that may have waited for it.
        self.sequencer.stop();
    }
}
