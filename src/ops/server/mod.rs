//! The server as a whole: opens the layers in order, and closes them in reverse.
//!
//! [`listeners`] come first, then the journal and what is in memory of it ([`core`]), then the
//! threads that speak HTTP. A stop runs the other way: no new connections, then the sockets, then
//! requests under way, and the sequencer last, since all of them may still need it. [`watchdog`]
//! reports to the supervisor meanwhile. No other module opens a layer.

pub mod core;
pub mod demo;
#[cfg(feature = "edges")]
pub mod edge;
pub mod first_event;
pub mod listeners;
pub mod watchdog;

use self::core::{Core, SequencerThread, Storage};
use crate::api::app::{App, JoinBase};
use crate::api::image_cache::ImageCache;
use crate::api::links;
use crate::api::metrics::port::Port;
use crate::api::metrics::process::BurstCredit;
use crate::api::rate_limiter::RateLimiter;
use crate::api::registration_meter::RegistrationMeters;
use crate::api::routes::{ROUTER, ROUTES};
use crate::api::simulated_phones::SimulatedPhones;
use crate::backup::thread::{BackupHandle, BackupThread, ImagesInUse};
use crate::backup::unused_images::images_of;
use crate::base::durable_file;
use crate::base::refreshed::Refreshed;
use crate::base::secret::Secret;
use crate::draw::{Actor, Command, EventId, Link, LinkRole};
#[cfg(feature = "edges")]
use crate::edge::nats::NatsError;
#[cfg(feature = "edges")]
use crate::edge::origin::OriginThread;
use crate::http::HttpServer;
use crate::http::acceptor::Acceptor;
use crate::http::bind::BindError;
use crate::http::bind::{ListenAddress, Listener};
use crate::http::request_metrics::RequestMetrics;
use crate::http::worker::Workers;
use crate::live::room::Directory;
use crate::ops::admin_token::{AdminToken, AdminTokenError};
use crate::ops::config::Config;
use crate::ops::drand::DrandThread;
use crate::ops::simulated_phones::SimulatedPhonesThread;
use crate::ops::simulated_phones::own_server::OwnServer;
use crate::ops::supervisor::{SocketsError, notify};
use crate::ops::{lan, limits};
use crate::store::JournalError;
use crate::store::keys::KeysError;
use crate::tls::TlsError;
use crate::tls::certificates::Certificates;
use sd_notify::NotifyState;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
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

/// Connections, at most, where neither the settings nor the limits of the process say less.
const CONNECTIONS_MAX: usize = 1_000_000;

/// Age up to which the address for phones counts as the present one.
const JOIN_BASE_AGE_MAX: Duration = Duration::from_secs(1);

/// The reason for which the server did not start.
#[expect(missing_docs, reason = "the messages say what failed")]
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
    #[cfg(feature = "edges")]
    #[error(transparent)]
    Nats(#[from] NatsError),
    #[error("the operating system gives no threads, descriptors or readiness queues")]
    Threads(#[from] io::Error),
}

impl StartError {
    /// True when the settings ask for something impossible, false when something failed.
    pub fn is_usage(&self) -> bool {
        match self {
            StartError::Bind(BindError::NotLoopback { .. }) | StartError::Sockets(SocketsError::Bind(_)) => true,
            StartError::Tls(error) => error.is_usage(),
            _ => false,
        }
    }
}

/// A running server.
pub struct Server {
    app: Arc<App>,
    acceptor: Acceptor,
    workers: Workers,
    sequencer: SequencerThread,
    backups: BackupThread,
    drand: DrandThread,
    simulated_phones: SimulatedPhonesThread,
    /// Serves edges, where there is a way to them.
    #[cfg(feature = "edges")]
    origin: Option<OriginThread>,
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
    let core = Core::start(config, &admin_token.secret, storage)?;
    serve(config, listeners, connections_max, core, admin_token, certificates)
}

fn open_certificates(config: &Config) -> Result<Option<Certificates>, TlsError> {
    let Some(tls) = &config.tls else { return Ok(None) };
    Certificates::open(tls, config.app.http.domain.as_deref(), &config.data_dir).map(Some)
}

/// Reads the certificates again, if there are any.
fn reload(certificates: Option<&Certificates>) {
    match certificates {
        Some(certificates) => certificates.reload(),
        None => tracing::info!("there is nothing to be read again"),
    }
}

/// Raises the limit on open files, and returns how many connections there may be.
fn limit_connections(config: &Config) -> usize {
    let wanted = config.connections_max.unwrap_or_else(|| limits::connections_in_memory().min(CONNECTIONS_MAX));
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
    connections_max: usize,
    core: Core,
    admin_token: AdminToken,
    mut certificates: Option<Certificates>,
) -> Result<Server, StartError> {
    let in_use = images_in_use(Arc::clone(&core.directory));
    let backups = BackupThread::start(config.backups.clone(), in_use, core.details_purged.clone())?;
    let (directory, clock) = (Arc::clone(&core.directory), Arc::clone(&core.clock));
    let drand = DrandThread::start(&config.drand_relays, config.sequencer.drand, directory, core.inbox.clone(), clock)?;
    let main = listeners::main_addresses(config, &listeners)?;
    let (app, sequencer) = application(config, core, &main, (admin_token.secret.clone(), backups.handle(), connections_max))?;
    let server = Arc::new(HttpServer {
        settings: app.settings.http.clone(),
        https_port: config.tls.as_ref().and(main.first()).map(SocketAddr::port),
        router: &ROUTER,
        app: Arc::clone(&app),
        metrics: Arc::clone(&app.requests),
        memory: Arc::default(),
        tls: certificates.as_ref().map(|certificates| Arc::clone(certificates.config())),
        stopping: app.stopping.clone(),
    });
    let workers = Workers::start(config.workers, &server, DRAIN_TIMEOUT)?;
    let acceptor = Acceptor::start(listeners, workers.queues(), connections_max)?;
    let metrics = config.metrics_bind.map(|address| open_metrics(address, &app)).transpose()?;
    // Once the listeners accept: an authority connects to them.
    certificates.as_mut().map(Certificates::start).transpose()?;
    #[cfg(feature = "edges")]
    let origin = config.nats.as_ref().map(|nats| OriginThread::start(nats, server)).transpose()?;
    let simulated_phones = SimulatedPhonesThread::start(Arc::clone(&app), own_server(config, &main)?)?;
    app.ready.store(true, Relaxed);
    Ok(Server {
        app,
        acceptor,
        workers,
        sequencer,
        backups,
        drand,
        simulated_phones,
        #[cfg(feature = "edges")]
        origin,
        admin_token,
        metrics,
        certificates,
    })
}

/// The application that handlers share, and the thread that is stopped last. Phones come to the
/// `main` addresses.
fn application(
    config: &Config,
    core: Core,
    main: &[SocketAddr],
    (admin_token, backups, connections_max): (Secret, BackupHandle, usize),
) -> io::Result<(Arc<App>, SequencerThread)> {
    let settings = config.app.clone();
    let app = App {
        long_polls: Semaphore::new(settings.long_polls_max),
        files: Arc::new(Semaphore::new(1)),
        join_base: join_base(config, main.to_vec()),
        qr_codes: Default::default(),
        simulated_phones: SimulatedPhones::new(connections_max),
        settings,
        admin_token,
        directory: core.directory,
        inbox: core.inbox,
        reactors: core.reactors,
        tokens: core.tokens,
        rate_limiter: RateLimiter::default(),
        registrations: RegistrationMeters::default(),
        stages: core.stages,
        turns: core.turns,
        revoked_logins: core.revoked_logins,
        images: ImageCache::default(),
        ready: AtomicBool::new(false),
        has_other_origin: AtomicBool::new(false),
        edges: Default::default(),
        led: Default::default(),
        connections_max: u32::try_from(connections_max).unwrap_or(u32::MAX),
        durable: core.durable,
        clock: core.clock,
        backups,
        commits: core.commit_metrics,
        requests: Arc::new(RequestMetrics::new(ROUTES)),
        credit: BurstCredit::default(),
        stopping: CancellationToken::new(),
    };
    Ok((Arc::new(app), core.sequencer))
}

/// The way of simulated phones to the server.
fn own_server(config: &Config, main: &[SocketAddr]) -> io::Result<OwnServer> {
    let address = main.first().ok_or(io::ErrorKind::AddrNotAvailable)?;
    OwnServer::new(*address, config.app.http.domain.as_deref(), config.tls.is_some())
}

/// The address by which phones reach the server, found anew once it is a second old.
fn join_base(config: &Config, listening: Vec<SocketAddr>) -> Refreshed<JoinBase> {
    let (scheme, domain) = (listeners::main_protocol(config).scheme(), config.app.http.domain.clone());
    let set = config.public_url.clone().map(|address| JoinBase { address, is_reachable: true, detours: Vec::new() });
    Refreshed::new(JOIN_BASE_AGE_MAX, move || {
        set.clone().unwrap_or_else(|| lan::join_base(&listening, scheme, domain.as_deref()))
    })
}

/// Opens the local port for metrics.
fn open_metrics(address: SocketAddr, app: &Arc<App>) -> io::Result<Port> {
    let port = Port::open(address, app)?;
    tracing::info!(address = %port.address, "metrics are served without a token");
    Ok(port)
}

impl Server {
    /// The addresses that it listens on, with the ports that the system chose.
    pub fn addresses(&self) -> &[ListenAddress] {
        self.acceptor.addresses()
    }

    /// The address by which phones reach it, without a path.
    pub fn join_base(&self) -> String {
        self.app.join_base.get().address.clone()
    }

    /// The event of an address that names none: the operator's default, if it still exists.
    pub fn default_event(&self) -> Option<EventId> {
        self.app.event_by_default()
    }

    /// The path that opens the stage of an event, by a link that is valid: the newest one, else a
    /// new one. `None` when the event is gone or the journal takes no link.
    pub async fn stage_path(&self, event: &EventId) -> Option<String> {
        let room = self.app.directory.find(event.as_str())?;
        let is_valid = |link: &&Link| link.role == LinkRole::Display && link.revoked_at.is_none();
        let snapshot = room.snapshot();
        if let Some(link) = snapshot.event.links.iter().rev().find(is_valid) {
            return Some(links::path(&self.app.tokens, event, link));
        }
        let made = self.app.inbox.submit(event.clone(), Actor::Admin, Command::MakeLink(LinkRole::Display)).await.ok()?;
        made.snapshot.event.links.iter().rev().find(is_valid).map(|link| links::path(&self.app.tokens, event, link))
    }

    /// The path that opens the console of an event, once.
    pub fn console_path(&self, event: &EventId) -> String {
        format!("/lottery/admin?event={event}#login={}", self.app.make_login().1)
    }

    /// The token that opens the admin calls.
    pub fn admin_token(&self) -> &AdminToken {
        &self.admin_token
    }

    /// Starts to report to the supervisor.
    pub fn start_watchdog(&self) {
        Watchdog::of_server(Arc::clone(&self.app), self.workers.runtimes()).start();
    }

    /// Reads the certificates again, if there are any.
    pub fn reload_certificates(&self) {
        reload(self.certificates.as_ref());
    }

    /// Stops the server: blocks until every connection has ended and everything is on the disk,
    /// within a few drain timeouts.
    pub fn stop(self) {
        notify(&[NotifyState::Stopping, NotifyState::Status("stopping: sockets are asked to reconnect")]);
        self.app.ready.store(false, Relaxed);
        self.simulated_phones.stop();
        if let Some(certificates) = self.certificates {
            certificates.stop();
        }
        self.acceptor.stop();
        #[cfg(feature = "edges")]
        self.origin.into_iter().for_each(OriginThread::stop);
        self.workers.begin_stop();
        self.app.reactors.stop(CLOSE_SPREAD, DRAIN_TIMEOUT);
        self.workers.stop();
        self.metrics.into_iter().for_each(Port::wait);
        self.backups.stop();
        drop(self.drand);
        // After the last request that may have waited for it.
        self.sequencer.stop();
    }
}
