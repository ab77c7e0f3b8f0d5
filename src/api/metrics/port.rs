//! A port for a collector on the same machine: `/metrics` without a token, on a loopback address,
//! and nothing else.
//!
//! One thread with a runtime of its own, started only where it is configured. Few and short
//! connections, each with a deadline.

use crate::api::app::App;
use crate::api::metrics::response;
use crate::http::response::HttpError;
use hyper::Method;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::task::LocalSet;

/// Time that a collector may take for its request and its answer.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Connections at once; a further one waits.
const CONNECTIONS_MAX: usize = 8;

/// The port.
#[derive(Debug)]
pub struct Port {
    /// A loopback address.
    pub address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Port {
    /// Opens the port.
    ///
    /// # Errors
    /// When the address is in use or not a loopback address.
    pub fn open(address: SocketAddr, app: &Arc<App>) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "figures without a token are for loopback addresses only"));
        }
        let socket = TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let app = Arc::clone(app);
        let run = move || LocalSet::new().block_on(&runtime, serve(socket, app));
        let thread = std::thread::Builder::new().name("metrics".into()).spawn(run)?;
        Ok(Self { address, thread })
    }

    /// Waits until it has closed; the application's stop closes it.
    pub fn wait(self) {
        if self.thread.join().is_err() {
            tracing::error!("the thread of the metrics port panicked");
        }
    }
}

async fn serve(socket: TcpListener, app: Arc<App>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(socket) else { return };
    let permits = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        // All arms are cancel safe: a connection that was not taken waits in the backlog.
        let accepted = tokio::select! {
            () = app.stopping.cancelled() => return,
            accepted = async {
                let permit = Arc::clone(&permits).acquire_owned().await;
                listener.accept().await.map(|(socket, _)| (socket, permit))
            } => accepted,
        };
        match accepted {
            Ok((socket, permit)) => {
                let app = Arc::clone(&app);
                tokio::task::spawn_local(async move {
                    let _ = tokio::time::timeout(TIME_MAX, answer_one(socket, app)).await;
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// One answer per connection.
async fn answer_one(socket: tokio::net::TcpStream, app: Arc<App>) {
    let answer = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let is_metrics = request.method() == Method::GET && request.uri().path() == "/metrics";
        let nothing = || HttpError::not_found("only /metrics is here").into_response();
        let response = if is_metrics { response(&app) } else { nothing() };
        async { Ok::<_, Infallible>(response) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(TIME_MAX).max_buf_size(8192).keep_alive(false);
    if let Err(error) = http.serve_connection(TokioIo::new(socket), answer).await {
        tracing::debug!(%error, "a collector's connection ended");
    }
}
