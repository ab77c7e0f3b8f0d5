//! HTTP: connections, what is a proper request, who may call, and which function answers. Knows no
//! event and no rule.
//!
//! [`bind`] opens listening sockets, an [`acceptor`] deals connections out to [`worker`] threads,
//! each of which speaks HTTP/1.1 (hyper) on a runtime of its own. A connection's bytes travel over
//! a [`connection`] stream: a plain socket that is tried before it is watched ([`try_first`]), or
//! TLS after its [`tls_handshake`]; it ends with a [`lingering_close`]. A request passes the
//! [`pipeline`]: [`guard`] refuses what is not proper HTTP or names another host, [`origin`]
//! refuses foreign pages, the [`router`] finds a function in the application's table, and that
//! function gets a [`request`] and returns a [`response`]. A plain port beside a TLS one only
//! [`redirect`]s. After a WebSocket [`upgrade`] the socket leaves this module for good.
//!
//! The application is a type parameter: the product passes `api::App`, the tests here pass `()`.

pub mod acceptor;
pub mod bind;
pub mod connection;
pub mod guard;
pub mod lingering_close;
pub mod memory;
pub mod origin;
pub mod pipeline;
pub mod redirect;
pub mod request;
pub mod request_metrics;
pub mod response;
pub mod router;
pub mod tls_handshake;
pub mod try_first;
pub mod upgrade;
pub mod worker;
pub mod write_pace;

use memory::MemoryBudgets;
use request_metrics::RequestMetrics;
use router::Router;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Settings of this layer: the names it answers to, and the pages that may call.
#[derive(Clone, Debug, Default)]
pub struct HttpSettings {
    /// Trust every client of this machine, as the server before this one did. Only ever on
    /// loopback.
    pub open: bool,
    /// Origins beside the server's own, as `scheme://host[:port]`.
    pub allowed_origins: Vec<String>,
    /// The server's domain name, if it has one.
    pub domain: Option<String>,
}

/// Everything that all connections share. `A` is the application.
pub struct HttpServer<A: 'static> {
    /// The operator's settings.
    pub settings: HttpSettings,
    /// The port that speaks TLS, if one does.
    pub https_port: Option<u16>,
    /// Finds the handler.
    pub router: &'static Router<A>,
    /// Handed to each handler.
    pub app: Arc<A>,
    /// Counts and times of answers.
    pub metrics: Arc<RequestMetrics>,
    /// Memory for bodies and answers.
    pub memory: Arc<MemoryBudgets>,
    /// TLS for the ports that speak it.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Cancelled once, when the server stops: connections finish the request they are at.
    pub stopping: CancellationToken,
}
