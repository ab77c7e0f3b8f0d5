//! The house as a whole: opens the rooms in order, and closes them in reverse.
//!
//! The doors are opened first, though nobody is let in yet: a port in use is told before anything is touched, and phones that
//! come back while the journal is replayed wait in the kernel's queue instead of being refused. A stop goes the other way
//! round: nobody new, then the sockets, then the requests under way, and the writer last, since all of them may still need it.

mod rooms;
pub mod watchdog;

use crate::api::app::{App, Settings};
use crate::api::images::ImageCache;
use crate::api::metrics::port::Port;
use crate::api::metrics::process::Credit;
use crate::api::pages;
use crate::api::patience::RateLimiter;
use crate::backup::thread::{BackupThread, Plan};
use crate::backup::{BACKUPS, IMAGES};
use crate::draw::EventId;
use crate::http::acceptor::Acceptor;
use crate::http::bind::BindError;
use crate::http::listener::{Address, Listener, Protocol};
use crate::http::request_metrics::RequestMetrics;
use crate::http::worker::Workers;
use crate::ops::admin_token::{AdminToken, AdminTokenError};
use crate::ops::config::Config;
use crate::ops::descriptors;
use crate::ops::lan;
use crate::ops::supervisor::sockets::{Handed, SocketsError};
use crate::store::JournalError;
use crate::store::journal::JOURNAL_FILE;
use crate::store::keys::KeysError;
use crate::tls::{Certificates, TlsError};
use rooms::{Archive, Rooms, Writer};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Over how long the sockets are told to come back, so that they do not come back as one.
const GOODBYE_SPREAD: Duration = Duration::from_secs(1);

/// How long sockets, and then requests, may take to end once they are told.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(5);

/// The most connections where neither the operator nor the limit on open files says less.
const CONNECTIONS_MAX: usize = 1_000_000;

/// What the supervisor calls its sockets by what is spoken there, and what it says where it gives one no name.
const HTTPS: &str = "https";
const HTTP: &str = "http";
const REDIRECT: &str = "redirect";
const UNNAMED: &str = "unknown";

/// Why the house could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Sockets(#[from] SocketsError),
    #[error("the folder {} cannot be made", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    AdminToken(#[from] AdminTokenError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the operating system gives no threads, descriptors or readiness queues")]
    Threads(#[source] io::Error),
}

impl StartError {
    /// Whether the operator asked for what is never done, rather than something having failed.
    pub fn is_usage(&self) -> bool {
        match self {
            StartError::Bind(BindError::OpenToOthers { .. }) | StartError::Sockets(SocketsError::Bind(_)) => true,
            StartError::Tls(error) => error.is_usage(),
            _ => false,
        }
    }
}

/// A house that is open.
pub struct Running {
    app: Arc<App>,
    listener: Acceptor,
    workers: Workers,
    writer: Writer,
    keeper: BackupThread,
    admin_token: AdminToken,
    metrics: Option<Port>,
    certificates: Option<Certificates>,
}

/// Opens the house. When this returns, it takes connections and is ready.
///
/// # Errors
/// Whatever keeps a room from opening.
///
/// # Panics
/// On a thread that runs async tasks, since it blocks.
pub fn start(config: &Config) -> Result<Running, StartError> {
    let connections_max = count_connections(config);
    let gates = open_gates(config)?;
    let archive = Archive::take(&config.data_dir)?;
    make_images_folder(config)?;
    let admin_token = AdminToken::obtain(&config.admin_token, &config.data_dir)?;
    // Before the journal is replayed: a certificate that is no good is told at once.
    let certificates = open_certificates(config)?;
    let settings = settle(config, &gates, &admin_token, connections_max).map_err(StartError::Threads)?;
    let rooms = Rooms::open(config, &settings, archive)?;
    open_street(config, gates, settings, rooms, admin_token, certificates).map_err(StartError::Threads)
}

/// Opens every door: the supervisor's where it holds some, else our own; those that phones are sent to first.
fn open_gates(config: &Config) -> Result<Vec<Listener>, StartError> {
    let mut handed = Handed::take(config.open)?;
    let main = if config.tls.is_some() { Protocol::Tls } else { Protocol::Plain };
    let mut gates = handed.gates(if main == Protocol::Tls { HTTPS } else { HTTP }, main);
    gates.extend(handed.gates(UNNAMED, main));
    if gates.is_empty() {
        gates = Listener::open(&config.bind, main, config.open)?;
    }
    if let Some(tls) = &config.tls {
        for (name, speech, places) in [(HTTP, Protocol::Plain, &tls.plain), (REDIRECT, Protocol::Redirect, &tls.redirect)] {
            let beside = handed.gates(name, speech);
            gates.extend(if beside.is_empty() { Listener::open(places, speech, config.open)? } else { beside });
        }
    }
    handed.nothing_left()?;
    Ok(gates)
}

fn open_certificates(config: &Config) -> Result<Option<Certificates>, TlsError> {
    let Some(tls) = &config.tls else { return Ok(None) };
    Certificates::open(tls, config.domain.as_deref(), &config.data_dir).map(Some)
}

/// How many connections there may be: as many as the operator asked for, as far as the limit on open files goes.
fn count_connections(config: &Config) -> usize {
    let wanted = config.connections_max.unwrap_or(CONNECTIONS_MAX);
    let connections_max = descriptors::make_room(wanted, config.workers, config.socket_threads);
    match config.connections_max {
        Some(wanted) if connections_max < wanted => {
            tracing::warn!(connections_max, wanted, "the limit on open files bounds connections");
        }
        _ => tracing::info!(connections_max, "room is made for connections"),
    }
    connections_max
}

/// The images' folder, for its owner alone.
fn make_images_folder(config: &Config) -> Result<(), StartError> {
    let path = config.data_dir.join(IMAGES);
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
    made.map_err(|source| StartError::Folder { path, source })
}

/// What the street side goes by.
fn settle(config: &Config, gates: &[Listener], token: &AdminToken, connections_max: usize) -> io::Result<Settings> {
    let speech = if config.tls.is_some() { Protocol::Tls } else { Protocol::Plain };
    let addresses = gates.iter().map(Listener::address).collect::<io::Result<Vec<_>>>()?;
    let listening: Vec<SocketAddr> = addresses.iter().filter(|gate| gate.speech == speech).map(|gate| gate.address).collect();
    Ok(Settings {
        open: config.open,
        allowed_origins: config.allowed_origins.clone(),
        domain: config.domain.clone(),
        default_event: Some(config.default_event.to_string()),
        participants_max: config.participants_max,
        connections_max,
        long_polls_max: config.long_polls_max,
        admin_token: token.secret.expose().to_owned(),
        images_dir: config.data_dir.join(IMAGES),
        data_dir: config.data_dir.clone(),
        backups_dir: config.data_dir.join(BACKUPS),
        details_days: config.pii_days,
        metrics_token: config.metrics_token.as_ref().map(|token| token.expose().to_owned()),
        journal: config.data_dir.join(JOURNAL_FILE),
        join_base: lan::join_base(&listening, speech.scheme(), config.domain.as_deref()),
        https_port: config.tls.as_ref().and(listening.first()).map(SocketAddr::port),
    })
}

/// Opens the street side: workers, then the listener, then the word that all is ready.
fn open_street(
    config: &Config,
    gates: Vec<Listener>,
    settings: Settings,
    rooms: Rooms,
    admin_token: AdminToken,
    mut certificates: Option<Certificates>,
) -> io::Result<Running> {
    let directory = Arc::clone(&rooms.directory);
    let keeper = BackupThread::start(Plan {
        data: config.data_dir.clone(),
        to: settings.backups_dir.clone(),
        every: config.backup_every,
        keep: config.backup_keep,
        age_max: Duration::from_secs(u64::from(config.pii_days) * 86_400),
    })?;
    let connections_max = settings.connections_max;
    let app = Arc::new(App {
        long_polls: tokio::sync::Semaphore::new(settings.long_polls_max),
        files: Arc::new(tokio::sync::Semaphore::new(1)),
        settings,
        directory: rooms.directory,
        inbox: rooms.inbox,
        stages: rooms.stages,
        tls: certificates.as_ref().map(|certificates| Arc::clone(certificates.config())),
        tokens: rooms.tokens,
        patience: RateLimiter::default(),
        images: ImageCache::default(),
        ready: AtomicBool::new(false),
        durable: rooms.durable,
        backups: keeper.door(),
        pace: rooms.pace,
        traffic: RequestMetrics::default(),
        credit: Credit::default(),
        stopping: CancellationToken::new(),
    });
    let workers = Workers::start(config.workers, &app, GOODBYE_PATIENCE)?;
    let seats = move || {
        let peers: usize = directory.all().iter().map(|room| room.census.total() as usize).sum();
        connections_max.saturating_sub(peers)
    };
    let listener = Acceptor::start(gates, workers.doors(), Box::new(seats))?;
    let metrics = config.metrics_bind.map(|address| Port::open(address, &app)).transpose()?;
    if let Some(port) = &metrics {
        tracing::info!(address = %port.address, "figures are to be had without a token");
    }
    if let Some(certificates) = &mut certificates {
        certificates.begin()?;
    }
    app.ready.store(true, Relaxed);
    Ok(Running { app, listener, workers, writer: rooms.writer, keeper, admin_token, metrics, certificates })
}

impl Running {
    /// Where it listens, with the ports that were given.
    pub fn addresses(&self) -> &[Address] {
        self.listener.addresses()
    }

    /// The address phones reach it by, without a path.
    pub fn join_base(&self) -> &str {
        &self.app.settings.join_base
    }

    /// The event of an address that names none: often the operator's, if it still goes on.
    pub fn event(&self) -> Option<EventId> {
        pages::event_meant(&self.app)
    }

    /// What opens the admin calls.
    pub fn admin_token(&self) -> &AdminToken {
        &self.admin_token
    }

    /// Has certificates read again, where there are any.
    pub fn look_again(&self) {
        match &self.certificates {
            Some(certificates) => certificates.look_again(),
            None => tracing::info!("there is nothing to be read again"),
        }
    }

    /// Closes the house: blocks until everybody has gone and everything is kept, bounded by the patience with them.
    pub fn stop(self) {
        self.app.ready.store(false, Relaxed);
        if let Some(certificates) = self.certificates {
            certificates.stop();
        }
        self.listener.stop();
        self.workers.begin_stop();
        self.app.stages.stop(GOODBYE_SPREAD, GOODBYE_PATIENCE);
        self.workers.stop();
        self.metrics.into_iter().for_each(Port::wait);
        self.keeper.stop();
        // After the last request that may have waited for it.
        self.writer.stop();
    }
}
