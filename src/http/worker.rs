//! The threads that speak HTTP: each with a runtime of its own, so that a connection never leaves the core it came to.
//!
//! One runtime for all cores would steal tasks back and forth and wake a thread for each request; here the listener deals
//! connections out evenly and nothing is shared but the house itself. Every connection is a tracked task: a stop lets what is
//! under way finish, for a bounded time. A panic in a handler ends its connection and no other. A worker knows no path:
//! [`exchange`] answers.

use crate::api::app::App;
use crate::base::address::Scheme;
use crate::http::acceptor::Arrival;
use crate::http::connection::ConnectionStream;
use crate::http::lingering_close::LingeringClose;
use crate::http::listener::Protocol;
use crate::http::pipeline;
use crate::http::redirect;
use crate::http::tls_handshake;
use crate::http::try_first::{Switch, TryFirst};
use crate::http::upgrade::{self, Handover};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a head may take to arrive, and how long a connection may idle between requests.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);

/// The most that hyper buffers of a connection, and so the longest head.
const BUFFER_MAX: usize = 16 << 10;

/// How long a connection that was accepted just before a stop has to say its first word.
const FIRST_WORD: Duration = Duration::from_millis(300);

/// Connections that wait for a worker to take them; the listener tries the next worker when it is full.
const ARRIVALS_MAX: usize = 4096;

/// The workers.
#[derive(Debug)]
pub struct Workers {
    doors: Vec<mpsc::Sender<Arrival>>,
    threads: Vec<JoinHandle<()>>,
    runtimes: Vec<Handle>,
    stopping: CancellationToken,
}

impl Workers {
    /// Starts `count` workers. After [`Workers::begin_stop`] each gives what is under way at most `patience`.
    ///
    /// # Errors
    /// When the operating system gives no thread or readiness queue.
    pub fn start(count: usize, app: &Arc<App>, patience: Duration) -> io::Result<Self> {
        let mut workers = Self { doors: Vec::new(), threads: Vec::new(), runtimes: Vec::new(), stopping: app.stopping.clone() };
        for index in 0..count {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            workers.runtimes.push(runtime.handle().clone());
            let (door, arrivals) = mpsc::channel(ARRIVALS_MAX);
            let worker = Worker { app: Arc::clone(app), patience };
            let run = move || LocalSet::new().block_on(&runtime, worker.run(arrivals));
            workers.threads.push(std::thread::Builder::new().name(format!("worker-{index}")).spawn(run)?);
            workers.doors.push(door);
        }
        Ok(workers)
    }

    /// Where the listener puts connections, one door a worker.
    pub fn doors(&self) -> Vec<mpsc::Sender<Arrival>> {
        self.doors.clone()
    }

    /// The workers' runtimes, to ask whether they still come round to their tasks.
    pub fn runtimes(&self) -> &[Handle] {
        &self.runtimes
    }

    /// Closes idle connections, and lets each other one finish the request it is at.
    pub fn begin_stop(&self) {
        self.stopping.cancel();
    }

    /// Stops, and waits until every worker has gone: bounded by the patience they were started with.
    pub fn stop(self) {
        self.begin_stop();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker had panicked");
            }
        }
    }
}

/// What each connection of a worker needs.
#[derive(Clone)]
struct Worker {
    app: Arc<App>,
    patience: Duration,
}

impl Worker {
    /// Takes connections until the stop, then waits for those it has.
    async fn run(self, mut arrivals: mpsc::Receiver<Arrival>) {
        let connections = TaskTracker::new();
        loop {
            // Both arms are cancel safe.
            tokio::select! {
                () = self.app.stopping.cancelled() => break,
                arrival = arrivals.recv() => match arrival {
                    Some(arrival) => drop(connections.spawn_local(self.clone().speak(arrival))),
                    None => break,
                },
            }
        }
        // Nobody is accepted any more, and who was accepted before that is still answered.
        while let Ok(arrival) = arrivals.try_recv() {
            connections.spawn_local(self.clone().speak(arrival));
        }
        connections.close();
        if tokio::time::timeout(self.patience, connections.wait()).await.is_err() {
            tracing::warn!(connections = connections.len(), "cut off: they did not finish in time");
        }
    }

    /// Speaks HTTP on one connection until it ends, or becomes a socket and goes to its stage.
    async fn speak(self, arrival: Arrival) {
        let Arrival { socket, speech, seat } = arrival;
        let switch = Switch::default();
        let carrier = match (speech, &self.app.tls) {
            (Protocol::Tls, Some(config)) => match TcpStream::from_std(socket) {
                Ok(socket) => self.shake_hands(socket, config).await,
                Err(error) => return tracing::warn!(%error, "a connection was lost on its way to the worker"),
            },
            _ => Some(ConnectionStream::Plain(TryFirst::new(socket, switch.clone()))),
        };
        let Some(carrier) = carrier else { return };
        let socket = LingeringClose::new(carrier);
        let handover: Cell<Option<Handover>> = Cell::new(None);
        let has_spoken = Cell::new(false);
        let answer = service_fn(|mut request| async {
            has_spoken.set(true);
            let mut reply = match speech {
                Protocol::Plain => pipeline::answer(&self.app, request).await,
                Protocol::Tls => {
                    request.extensions_mut().insert(Scheme::Https);
                    pipeline::answer(&self.app, request).await
                }
                Protocol::Redirect => redirect::answer(&self.app.settings, request),
            };
            if let Some(accepted) = reply.extensions_mut().remove() {
                switch.announce();
                handover.set(Some(accepted));
            }
            Ok::<_, Infallible>(reply)
        });
        {
            let mut connection = pin!(http().serve_connection(socket, answer).with_upgrades());
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = self.app.stopping.cancelled() => {
                    // Who came in at this very instant has not said what for, and would be cut off without an answer.
                    let first_word = if has_spoken.get() { Duration::ZERO } else { FIRST_WORD };
                    match Box::pin(tokio::time::timeout(first_word, connection.as_mut())).await {
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
        if let Some(handover) = handover.take() {
            upgrade::hand_over(&self.app.stages, handover).await;
        }
        drop(seat);
    }

    /// Waits for a stop, and then for as long as a first word may take.
    async fn stopped_a_moment_ago(&self) {
        self.app.stopping.cancelled().await;
        tokio::time::sleep(FIRST_WORD).await;
    }

    /// Shakes hands under TLS, on its own heap: a connection in the clear has no room for it. None when nothing came of it, or the server stops.
    async fn shake_hands(&self, socket: TcpStream, config: &Arc<rustls::ServerConfig>) -> Option<ConnectionStream> {
        let handshake = Box::pin(tls_handshake::shake_hands(socket, config));
        tokio::select! {
            carrier = handshake => carrier,
            () = self.stopped_a_moment_ago() => None,
        }
    }
}

/// How HTTP/1.1 is spoken.
fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    // Without a timer the head's time limit would panic.
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX).max_buf_size(BUFFER_MAX).half_close(false).keep_alive(true);
    http
}
