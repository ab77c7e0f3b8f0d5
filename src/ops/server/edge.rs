//! An edge as a whole: the link to the origin in the sequencer's place, and the same sockets, TLS
//! and HTTP as the server.
//!
//! It keeps nothing on its disk but a certificate that it orders itself. It starts without NATS and
//! without an origin, and serves once it has heard of one.

use crate::edge::app::Edge;
use crate::edge::join_code;
use crate::edge::link::{Link, LinkThread};
use crate::edge::nats::NatsError;
use crate::edge::public_answers::PublicAnswers;
use crate::edge::routes::{ROUTER, ROUTES};
use crate::edge::shared::OwnPlace;
use crate::edge::socket::EdgeMessages;
use crate::http::HttpServer;
use crate::http::acceptor::Acceptor;
use crate::http::bind::ListenAddress;
use crate::http::request_metrics::RequestMetrics;
use crate::http::worker::Workers;
use crate::live::message_handler::MessageHandler;
use crate::live::reactor::Reactors;
use crate::ops::config::Config;
use crate::ops::server::watchdog::{Watchdog, named};
use crate::ops::server::{
    CLOSE_SPREAD, DRAIN_TIMEOUT, StartError, join_base, limit_connections, listeners, open_certificates, reload,
};
use crate::ops::supervisor::notify;
use crate::tls::certificates::Certificates;
use sd_notify::NotifyState;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// A running edge.
pub struct EdgeServer {
    edge: Arc<Edge>,
    acceptor: Acceptor,
    workers: Workers,
    link: LinkThread,
    certificates: Option<Certificates>,
}

/// Starts an edge. When this returns, it accepts connections.
///
/// # Errors
/// When a layer does not open.
///
/// # Panics
/// On a thread that runs async tasks, since it blocks. Without a way to NATS, which the settings of
/// an edge require.
pub fn start(config: &Config) -> Result<EdgeServer, StartError> {
    let connections_max = limit_connections(config);
    let listeners = listeners::open(config)?;
    let mut certificates = open_certificates(config)?;
    let main = listeners::main_addresses(config, &listeners)?;
    let nats = config.nats.as_ref().expect("the settings of an edge name its NATS");
    let own = OwnPlace {
        origin: nats.origin.clone().unwrap_or_default(),
        base: join_base(config, main.clone()),
        sockets_max: u32::try_from(connections_max).unwrap_or(u32::MAX),
    };
    let link = Link::open(nats, own)?;
    let shared = Arc::clone(&link.shared);
    let handler = || -> Box<dyn MessageHandler> { Box::new(EdgeMessages::new(Arc::clone(&shared))) };
    let reactors = Reactors::start(config.socket_threads, handler)?;
    let stopping = CancellationToken::new();
    let edge = Arc::new(Edge {
        shared: Arc::clone(&shared),
        reactors: reactors.clone(),
        metrics_token: config.app.metrics_token.clone(),
        public_answers: PublicAnswers::default(),
        long_polls: Semaphore::new(config.app.long_polls_max),
        stopping: stopping.clone(),
    });
    let server = Arc::new(HttpServer {
        settings: config.app.http.clone(),
        https_port: config.tls.as_ref().and(main.first()).map(SocketAddr::port),
        router: &ROUTER,
        app: Arc::clone(&edge),
        metrics: Arc::new(RequestMetrics::new(ROUTES)),
        memory: Arc::default(),
        tls: certificates.as_ref().map(|certificates| Arc::clone(certificates.config())),
        stopping,
    });
    let workers = Workers::start(config.workers, &server, DRAIN_TIMEOUT)?;
    let acceptor = Acceptor::start(listeners, workers.queues(), connections_max)?;
    let link = link.start(reactors)?;
    // Once the listeners accept: an authority connects to them.
    certificates.as_mut().map(Certificates::start).transpose()?;
    Ok(EdgeServer { edge, acceptor, workers, link, certificates })
}

/// The codes by which edges join this origin, one line with a name and a code each; with `name`,
/// that edge's code alone.
///
/// # Errors
/// When a file cannot be used, or there are no such credentials.
pub fn codes(config: &Config, name: Option<&str>) -> Result<String, CodesError> {
    let nats = config.nats.as_ref().expect("the settings of this command name its NATS");
    // Names are looked up by who serves; an address is enough to say where.
    let listening: Vec<SocketAddr> = config.bind.iter().filter_map(|address| address.to_string().parse().ok()).collect();
    let codes = join_code::codes(nats, &join_base(config, listening).get().address)?;
    let lines: Vec<_> = match name {
        Some(name) => codes.iter().filter(|(of, _)| of == name).map(|(_, code)| code.encode()).collect(),
        None => codes.iter().map(|(of, code)| format!("{of} {}", code.encode())).collect(),
    };
    if lines.is_empty() { Err(CodesError::None) } else { Ok(lines.join("\n") + "\n") }
}

/// The reason why no code is printed.
#[expect(missing_docs, reason = "the messages say what failed")]
#[derive(Debug, thiserror::Error)]
pub enum CodesError {
    #[error(transparent)]
    Nats(#[from] NatsError),
    #[error("there are no such credentials of an edge: LUCKYDRAW_NATS_EDGE_CREDENTIALS names the file that holds them")]
    None,
}

impl EdgeServer {
    /// The addresses that it listens on, with the ports that the system chose.
    pub fn addresses(&self) -> &[ListenAddress] {
        self.acceptor.addresses()
    }

    /// Starts to report to the supervisor.
    pub fn start_watchdog(&self) {
        let mut runtimes = named(self.workers.runtimes());
        runtimes.push(("link".into(), self.link.runtime.clone()));
        let (edge, reactors) = (Arc::clone(&self.edge), self.edge.reactors.clone());
        let status = move || {
            let rooms = edge.shared.directory.all();
            let sockets: u32 = rooms.iter().map(|room| room.connections.total()).sum();
            let origin = if edge.shared.origin.borrow().is_there { "heard" } else { "NOT HEARD" };
            format!("an edge of {} events, {sockets} sockets, origin {origin}", rooms.len())
        };
        Watchdog { runtimes, probe: Box::new(move |deadline| reactors.probe(deadline)), status: Box::new(status) }.start();
    }

    /// Reads the certificates again, if there are any.
    pub fn reload_certificates(&self) {
        reload(self.certificates.as_ref());
    }

    /// Stops the edge: its phones are asked to come back, and the rest ends within a few drain
    /// timeouts.
    pub fn stop(self) {
        notify(&[NotifyState::Stopping, NotifyState::Status("stopping: phones are asked to reconnect")]);
        if let Some(certificates) = self.certificates {
            certificates.stop();
        }
        self.acceptor.stop();
        self.workers.begin_stop();
        self.edge.reactors.stop(CLOSE_SPREAD, DRAIN_TIMEOUT);
        self.workers.stop();
        // After the last request that may have waited for an answer.
        self.link.stop();
    }
}
