//! From a request to a socket: the handshake, and the hand-over of the connection to its stage.
//!
//! The handshake's checks are tungstenite's (RFC 6455, section 4.2). A socket that is accepted leaves hyper and tokio for good:
//! the connection's own task, once hyper is through with the 101, takes the bare socket out and gives it to a stage. No second
//! task waits for the upgrade, so a handshake that breaks off midway leaves nothing behind. Extensions and subprotocols are not
//! spoken, and what a socket says is not for this file.

use crate::http::connection::ConnectionStream;
use crate::http::lingering_close::LingeringClose;
use crate::http::request::RequestContext;
use crate::http::response::{HttpError, HttpResponse, HttpResult};
use crate::live::CloseCode;
use crate::live::reactor::{Admission, Join, Reactors};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::upgrade::{OnUpgrade, Parts};
use hyper::{Request, StatusCode};
use std::io;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

/// How often, and how far apart, room is sought for a socket on the stages: for 2 seconds, then it is told 1013.
const ROOM_TRIES_MAX: u32 = 400;
const ROOM_TRY_GAP: Duration = Duration::from_millis(5);

/// Travels with the 101 to the connection's task: what comes of the connection, and how its socket enters.
#[derive(Clone)]
pub struct Handover {
    upgrade: OnUpgrade,
    entry: Admission,
}

/// Whether a request asks for a socket.
pub fn is_asked(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers a handshake: 101 for a proper one, and its socket will enter as `entry` says; 426 or 400 for any other.
pub fn accept(mut call: RequestContext, entry: Admission) -> HttpResult {
    let upgrade = call.head.extensions.remove::<OnUpgrade>();
    let has_body = call.body.take().is_some_and(|body| !body.is_end_stream());
    let request = Request::from_parts(call.head, ());
    let refusal = match (create_response_with_body(&request, Full::<Bytes>::default), upgrade) {
        (Ok(_), _) if has_body => HttpError::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", "a handshake has no body"),
        (Ok(mut reply), Some(upgrade)) => {
            reply.extensions_mut().insert(Handover { upgrade, entry });
            return Ok(reply);
        }
        (Ok(_), None) => upgrade_required("this connection cannot become a socket".into()),
        (Err(error), _) => refuse(&error),
    };
    tracing::info!(path = request.uri().path(), reason = %refusal.message, "upgrade refused");
    Ok(reply_to(refusal))
}

/// Gives the socket of an accepted handshake to its stage. To be called once hyper is through with the connection.
pub async fn hand_over(stages: &Reactors, handover: Handover) {
    let upgraded = match handover.upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::info!(%error, "upgrade broke off"),
    };
    let Ok(parts) = upgraded.downcast::<LingeringClose>() else {
        return tracing::error!("upgrade lost: the connection is of another kind than it was made of");
    };
    match take_out(parts, handover.entry) {
        Ok(join) => bring_in(stages, join).await,
        Err(error) => tracing::warn!(%error, "upgrade lost: the socket cannot leave its runtime"),
    }
}

/// Brings a socket to a stage that has room for it. When a hall of phones comes at one instant, handshakes are done faster than a stage
/// on the same core takes them in; those who are through wait here, at their worker, and are not sent home.
async fn bring_in(stages: &Reactors, join: Join) {
    let mut join = Box::new(join);
    for _ in 0..ROOM_TRIES_MAX {
        match stages.try_join(join) {
            Ok(()) => return,
            Err(full) => join = full,
        }
        tokio::time::sleep(ROOM_TRY_GAP).await;
    }
    join.reject(CloseCode::Overloaded);
}

/// The bare socket, no longer known to tokio, its TLS, what has yet to be sent of the handshake, and what was read beyond it.
fn take_out(parts: Parts<LingeringClose>, entry: Admission) -> io::Result<Join> {
    let (socket, cipher, answer) = match parts.io.into_carrier() {
        ConnectionStream::Plain(socket) => {
            let (socket, answer) = socket.into_bare()?;
            (socket, None, answer)
        }
        ConnectionStream::Tls { socket, cipher } => (socket.into_std()?, Some(cipher), Bytes::new()),
    };
    // An empty slice would still hold on to hyper's whole read buffer.
    let read_ahead = if parts.read_buf.is_empty() { Bytes::new() } else { parts.read_buf };
    Ok(Join { socket, tls: cipher, response: answer, read_ahead, admission: entry })
}

/// The no to a handshake that `error` was found in.
fn refuse(error: &Error) -> HttpError {
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

/// The refusal as it is sent: a 426 says what to upgrade to (RFC 9110, section 15.5.22; RFC 6455, section 4.4).
fn reply_to(refusal: HttpError) -> HttpResponse {
    let status = refusal.status;
    let mut reply = refusal.into_reply();
    if status == StatusCode::UPGRADE_REQUIRED {
        let headers = reply.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    reply
}
