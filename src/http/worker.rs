//! The threads that speak HTTP: each with a runtime of its own, so that a connection never leaves
//! its core.
//!
//! One runtime for all cores would steal tasks back and forth and wake a thread for each request;
//! here the acceptor deals connections out evenly and nothing is shared but the server itself.
//! Every connection is a tracked task: a stop lets requests under way finish, for a bounded time. A
//! panic in a handler ends its connection and no other. A worker knows no path: the [`pipeline`]
//! answers.

use crate::base::address::Scheme;
use crate::base::jitter::Jitter;
use crate::http::HttpServer;
use crate::http::acceptor::Accepted;
use crate::http::bind::Protocol;
use crate::http::connection::ConnectionStream;
use crate::http::lingering_close::LingeringClose;
use crate::http::request::ConnectionNotes;
use crate::http::tls_handshake::{self, HANDSHAKE_TIME_MAX};
use crate::http::try_first::{Switch, TryFirst};
use crate::http::upgrade::{self, PendingUpgrade};
use crate::http::{pipeline, redirect};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time for a head to arrive, and of an idle connection between requests. Each connection has a
/// time between these, so that those of a rush are not closed at one instant.
const HEAD_TIME_MIN: Duration = Duration::from_secs(5);
const HEAD_TIME_MAX: Duration = Duration::from_secs(7);

/// Bytes that hyper buffers per connection, and so the longest head.
const BUFFER_MAX: usize = 16 << 10;

/// Time that a connection accepted just before a stop has to send its first request.
const FIRST_REQUEST_MAX: Duration = Duration::from_millis(300);

/// Connections that wait for a worker; the acceptor tries the next worker when the queue is full.
const QUEUE_MAX: usize = 4096;

/// The workers.
#[derive(Debug)]
pub struct Workers {
    queues: Vec<mpsc::Sender<Accepted>>,
    threads: Vec<JoinHandle<()>>,
    runtimes: Vec<Handle>,
    stopping: CancellationToken,
}

impl Workers {
    /// Starts `count` workers. After [`Workers::begin_stop`] each waits at most `drain_max` for
    /// requests under way.
    ///
    /// # Errors
    /// When the operating system gives no thread or readiness queue.
    pub fn start<A: Send + Sync>(count: usize, server: &Arc<HttpServer<A>>, drain_max: Duration) -> io::Result<Self> {
        let stopping = server.stopping.clone();
        let mut workers = Self { queues: Vec::new(), threads: Vec::new(), runtimes: Vec::new(), stopping };
        for index in 0..count {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            workers.runtimes.push(runtime.handle().clone());
            let (queue, accepted) = mpsc::channel(QUEUE_MAX);
            let server = Arc::clone(server);
            let run = move || LocalSet::new().block_on(&runtime, serve_all(server, accepted, drain_max));
            workers.threads.push(std::thread::Builder::new().name(format!("worker-{index}")).spawn(run)?);
            workers.queues.push(queue);
        }
        Ok(workers)
    }

    /// The queue of each worker, for the acceptor.
    pub fn queues(&self) -> Vec<mpsc::Sender<Accepted>> {
        self.queues.clone()
    }

    /// The workers' runtimes, for liveness probes.
    pub fn runtimes(&self) -> &[Handle] {
        &self.runtimes
    }

    /// Closes idle connections, and lets each other one finish the request it is at.
    pub fn begin_stop(&self) {
        self.stopping.cancel();
    }

    /// Stops, and waits until every worker has ended: bounded by the `drain_max` they were started
    /// with.
    pub fn stop(self) {
        self.begin_stop();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
    }
}

/// Serves connections until the stop, then waits for those under way.
async fn serve_all<A>(server: Arc<HttpServer<A>>, mut queue: mpsc::Receiver<Accepted>, drain_max: Duration) {
    let connections = TaskTracker::new();
    // One TLS handshake begins at a time.
    let turns = Rc::new(Semaphore::new(1));
    let mut jitter = Jitter::default();
    let mut start = |accepted| {
        let head_time = jitter.between(HEAD_TIME_MIN, HEAD_TIME_MAX);
        drop(connections.spawn_local(serve(Arc::clone(&server), Rc::clone(&turns), head_time, accepted)));
    };
    loop {
        // Both arms are cancel safe.
        tokio::select! {
            () = server.stopping.cancelled() => break,
            accepted = queue.recv() => match accepted {
                Some(accepted) => start(accepted),
                None => break,
            },
        }
    }
    // The acceptor has stopped; connections that it accepted before are still answered.
    while let Ok(accepted) = queue.try_recv() {
        start(accepted);
    }
    connections.close();
    if tokio::time::timeout(drain_max, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "cut off: they did not finish in time");
    }
}

/// Serves one connection until it ends, or becomes a WebSocket and leaves.
async fn serve<A>(server: Arc<HttpServer<A>>, turns: Rc<Semaphore>, head_time: Duration, accepted: Accepted) {
    let Accepted { socket, protocol, permit } = accepted;
    let switch = Switch::default();
    let stream = match (protocol, &server.tls) {
        (Protocol::Tls, Some(config)) => match TcpStream::from_std(socket) {
            Ok(socket) => shake_hands(&server.stopping, socket, config, &turns).await,
            Err(error) => return tracing::warn!(%error, "a connection was lost on its way to the worker"),
        },
        _ => Some(ConnectionStream::Plain(TryFirst::new(socket, switch.clone()))),
    };
    let Some(stream) = stream else { return };
    let upgrade: Cell<Option<PendingUpgrade>> = Cell::new(None);
    let has_request = Cell::new(false);
    let notes = Rc::<ConnectionNotes>::default();
    let answer = service_fn(|request| async {
        has_request.set(true);
        let mut response = match protocol {
            Protocol::Plain => pipeline::answer(&server, Scheme::Http, Rc::clone(&notes), request).await,
            Protocol::Tls => pipeline::answer(&server, Scheme::Https, Rc::clone(&notes), request).await,
            Protocol::Redirect => redirect::answer(&server.settings, server.https_port, request),
        };
        if let Some(pending) = response.extensions_mut().remove() {
            switch.announce();
            upgrade.set(Some(pending));
        }
        Ok::<_, Infallible>(response)
    });
    {
        let mut connection = pin!(http(head_time).serve_connection(LingeringClose::new(stream), answer).with_upgrades());
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = server.stopping.cancelled() => {
                // A client that connected at this very instant has not sent its request, and would
                // get no answer.
                let first_request = if has_request.get() { Duration::ZERO } else { FIRST_REQUEST_MAX };
                match Box::pin(tokio::time::timeout(first_request, connection.as_mut())).await {
                    Ok(ended) => ended,
                    Err(_) => {
                        connection.as_mut().graceful_shutdown();
                        connection.as_mut().await
                    }
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        }
    }
    if let Some(pending) = upgrade.take() {
        upgrade::complete(pending, permit).await;
    }
}

/// Shakes hands under TLS, boxed: a plain connection's task keeps no room for it. `None` when it
/// failed, or the server stops.
async fn shake_hands(
    stopping: &CancellationToken,
    socket: TcpStream,
    config: &Arc<rustls::ServerConfig>,
    turns: &Semaphore,
) -> Option<ConnectionStream> {
    let handshake = Box::pin(tls_handshake::shake_hands(socket, config, turns, HANDSHAKE_TIME_MAX));
    let stopped = async {
        stopping.cancelled().await;
        tokio::time::sleep(FIRST_REQUEST_MAX).await;
    };
    tokio::select! {
        stream = handshake => stream,
        () = stopped => None,
    }
}

/// HTTP/1.1 as this server speaks it; `head_time` is the longest wait for a request's head.
fn http(head_time: Duration) -> http1::Builder {
    let mut http = http1::Builder::new();
    // Without a timer the head's time limit would panic.
    http.timer(TokioTimer::new()).header_read_timeout(head_time).max_buf_size(BUFFER_MAX).half_close(false).keep_alive(true);
    http
}
