//! A port for a collector on the same machine: `/metrics` without a token, on a loopback address, and nothing else.
//!
//! One thread with a runtime of its own, only where it is asked for. Few connections, short ones, and deadlines on all of them.

use crate::api::app::App;
use crate::api::metrics::reply;
use crate::http::response::HttpError;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::task::LocalSet;

/// How long a collector may take to ask, and to take its answer.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Collectors at once; a further one waits.
const TOGETHER_MAX: usize = 8;

/// The open port.
#[derive(Debug)]
pub struct Port {
    pub address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Port {
    /// Opens it.
    ///
    /// # Errors
    /// When the address is taken, or not this machine's own.
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

    /// Waits until it has closed; the app's stop closes it.
    pub fn wait(self) {
        if self.thread.join().is_err() {
            tracing::error!("the thread of the metrics port had panicked");
        }
    }
}

async fn serve(socket: TcpListener, app: Arc<App>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(socket) else { return };
    let seats = Arc::new(tokio::sync::Semaphore::new(TOGETHER_MAX));
    loop {
        // All arms are cancel safe: a connection that was not taken waits in the backlog.
        let accepted = tokio::select! {
            () = app.stopping.cancelled() => return,
            accepted = async {
                let seat = Arc::clone(&seats).acquire_owned().await;
                listener.accept().await.map(|(socket, _)| (socket, seat))
            } => accepted,
        };
        match accepted {
            Ok((socket, seat)) => {
                let app = Arc::clone(&app);
                tokio::task::spawn_local(async move {
                    let _ = tokio::time::timeout(TIME_MAX, speak(socket, app)).await;
                    drop(seat);
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// One answer a connection.
async fn speak(socket: tokio::net::TcpStream, app: Arc<App>) {
    let answer = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let is_asked = request.method() == Method::GET && request.uri().path() == "/metrics";
        let nothing = || HttpError::new(StatusCode::NOT_FOUND, "NOT_FOUND", "only /metrics is here").into_reply();
        let reply = if is_asked { reply(&app) } else { nothing() };
        async { Ok::<_, Infallible>(reply) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(TIME_MAX).max_buf_size(8192).keep_alive(false);
    if let Err(error) = http.serve_connection(TokioIo::new(socket), answer).await {
        tracing::debug!(%error, "a collector's connection ended");
    }
}
