//! WebSocket upgrades: the handshake, and handing the bare socket to the application.
//!
//! tungstenite checks the handshake (RFC 6455, section 4.2). An accepted socket leaves hyper and
//! tokio for good: once hyper has finished with the 101, the connection's own task takes the bare
//! socket out and gives it to the application. No second task waits for the upgrade, so a handshake
//! that breaks off leaves nothing behind. There are no extensions and no subprotocols, and what a
//! socket says is none of this file's business.

use crate::http::connection::ConnectionStream;
use crate::http::lingering_close::LingeringClose;
use crate::http::request::RequestContext;
use crate::http::response::{HttpError, HttpResponse, HttpResult};
use crate::tls::session::TlsSession;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::upgrade::{OnUpgrade, Parts};
use hyper::{Request, StatusCode};
use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

/// Fields that a handshake holds once (RFC 6455, sections 11.3.1 and 11.3.5). tungstenite reads the
/// first, a proxy perhaps the last.
const SINGLE_FIELDS: [HeaderName; 2] = [SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION];

/// A socket that has left hyper and tokio.
#[derive(Debug)]
pub struct UpgradedSocket {
    /// Non-blocking, and registered with no readiness loop.
    pub socket: TcpStream,
    /// `None` for a plain socket.
    pub tls: Option<Box<TlsSession>>,
    /// The part of the 101 that is still to be sent.
    pub response: Bytes,
    /// Bytes that hyper read beyond the handshake.
    pub read_ahead: Bytes,
    /// Its place among all connections, to be held until its descriptor is closed.
    pub permit: OwnedSemaphorePermit,
}

/// Takes an upgraded socket over. Called at most once.
type OnSocket = dyn Fn(UpgradedSocket) -> Pin<Box<dyn Future<Output = ()>>> + Send + Sync;

/// Travels with the 101 to the connection's task.
#[derive(Clone)]
pub struct PendingUpgrade {
    upgrade: OnUpgrade,
    on_socket: Arc<OnSocket>,
}

/// Returns whether a request asks for a WebSocket.
pub fn is_requested(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers a handshake: 101 for a proper one, whose socket `on_socket` will get; 426 or 400 for any
/// other.
pub fn accept<A, F>(mut request: RequestContext<A>, on_socket: impl Fn(UpgradedSocket) -> F + Send + Sync + 'static) -> HttpResult
where
    F: Future<Output = ()> + 'static,
{
    let upgrade = request.head.extensions.remove::<OnUpgrade>();
    let has_body = request.body.take().is_some_and(|body| !body.is_end_stream());
    let head = Request::from_parts(request.head, ());
    let repeats = SINGLE_FIELDS.iter().any(|name| head.headers().get_all(name).iter().nth(1).is_some());
    let error = match (create_response_with_body(&head, Full::<Bytes>::default), upgrade) {
        (Ok(_), _) if repeats => HttpError::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", "a handshake repeats a field"),
        (Ok(_), _) if has_body => HttpError::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", "a handshake has no body"),
        (Ok(mut response), Some(upgrade)) => {
            let on_socket: Arc<OnSocket> = Arc::new(move |socket| Box::pin(on_socket(socket)));
            response.extensions_mut().insert(PendingUpgrade { upgrade, on_socket });
            return Ok(response);
        }
        (Ok(_), None) => upgrade_required("this connection cannot become a socket".into()),
        (Err(error), _) => handshake_error(&error),
    };
    tracing::info!(path = head.uri().path(), reason = %error.message, "upgrade refused");
    Ok(refusal(error))
}

/// Gives the socket of an accepted handshake to the application, once hyper has finished with the
/// connection.
pub async fn complete(pending: PendingUpgrade, permit: OwnedSemaphorePermit) {
    let upgraded = match pending.upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::info!(%error, "upgrade broke off"),
    };
    let Ok(parts) = upgraded.downcast::<LingeringClose>() else {
        return tracing::error!("upgrade lost: the connection is of another kind than it was made of");
    };
    match take_socket(parts, permit) {
        Ok(socket) => (pending.on_socket)(socket).await,
        Err(error) => tracing::warn!(%error, "upgrade lost: the socket cannot leave its runtime"),
    }
}

fn take_socket(parts: Parts<LingeringClose>, permit: OwnedSemaphorePermit) -> io::Result<UpgradedSocket> {
    let (socket, tls, response) = match parts.io.into_stream() {
        ConnectionStream::Plain(socket) => {
            let (socket, response) = socket.into_bare()?;
            (socket, None, response)
        }
        ConnectionStream::Tls { socket, tls } => (socket.into_std()?, Some(tls), Bytes::new()),
    };
    // An empty slice would still hold on to hyper's whole read buffer.
    let read_ahead = if parts.read_buf.is_empty() { Bytes::new() } else { parts.read_buf };
    Ok(UpgradedSocket { socket, tls, response, read_ahead, permit })
}

fn handshake_error(error: &Error) -> HttpError {
    use ProtocolError as P;
    match error {
        Error::Protocol(
            P::WrongHttpMethod
            | P::MissingConnectionUpgradeHeader
            | P::MissingUpgradeWebSocketHeader
            | P::MissingSecWebSocketVersionHeader,
        ) => upgrade_required(error.to_string()),
        _ => HttpError::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", error.to_string()),
    }
}

fn upgrade_required(message: String) -> HttpError {
    HttpError::new(StatusCode::UPGRADE_REQUIRED, "UPGRADE_REQUIRED", message)
}

/// A refused handshake; a 426 names the protocol to upgrade to (RFC 9110, section 15.5.22; RFC
/// 6455, section 4.4).
fn refusal(error: HttpError) -> HttpResponse {
    let status = error.status;
    let mut response = error.into_response();
    if status == StatusCode::UPGRADE_REQUIRED {
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}
