//! An edge as a whole: the link to the origin in the sequencer's place, and the same sockets, TLS
//! and HTTP as the server.
//!
//! It keeps nothing on its disk but a certificate that it orders itself. It starts without NATS and
//! without an origin, and serves once it has heard of one.

use crate::edge::app::Edge;
use crate::edge::link::{Link, LinkThread};
use crate::edge::public_answers::PublicAnswers;
use crate::edge::routes::{ROUTER, ROUTES};
use crate::edge::socket::EdgeMessages;
use crate::http::HttpServer;
use crate::http::acceptor::Acceptor;
use crate::http::bind::ListenAddress;
use crate::http::request_metrics::RequestMetrics;
use crate::http::worker::Workers;
use crate::live::message_handler::MessageHandler;
use crate::live::reactor::Reactors;
use crate::ops::config::Config;
use crate::ops::server::{CLOSE_SPREAD, DRAIN_TIMEOUT, StartError, limit_connections, listeners, open_certificates, reload};
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
    let link = Link::open(config.nats.as_ref().expect("the settings of an edge name its NATS"))?;
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
    let main = listeners::main_addresses(config, &listeners)?;
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
    notify(&[NotifyState::Ready, NotifyState::Status("an edge")]);
    Ok(EdgeServer { edge, acceptor, workers, link, certificates })
}

impl EdgeServer {
    /// The addresses that it listens on, with the ports that the system chose.
    pub fn addresses(&self) -> &[ListenAddress] {
        self.acceptor.addresses()
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
