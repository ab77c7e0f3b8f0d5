//! The TLS handshake of a new connection, within five seconds.
//!
//! Accepting waits for nobody, and hyper's clock starts with the first request: without a limit of
//! its own here, a client that sends half a hello would hold its permit for ever. A client that
//! speaks plain HTTP is told where to go; a certificate authority that asks for its proof gets that
//! and no more.

use crate::http::connection::{ConnectionStream, Polled};
use crate::http::lingering_close::LingeringClose;
use crate::http::try_first::TryFirst;
use crate::tls::ACME_PROTOCOL;
use crate::tls::session::TlsSession;
use hyper::rt::Write;
use rustls::ServerConfig;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Time that a handshake may take.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);

/// The answer to plain HTTP. The connection closes: where the next request begins cannot be known.
const PLAIN_HTTP_ANSWER: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 71\r\nConnection: close\r\n\r\n\
This port speaks https only. Begin the address with https:// not http.\n";

/// Shakes hands. `None` when that failed; the client has then been told, as far as possible.
pub async fn shake_hands(mut socket: TcpStream, config: &Arc<ServerConfig>) -> Option<ConnectionStream> {
    let mut tls = match TlsSession::new(Arc::clone(config)) {
        Ok(tls) => Box::new(tls),
        Err(error) => {
            tracing::error!(%error, "TLS cannot be spoken");
            return None;
        }
    };
    let done = tokio::time::timeout(HANDSHAKE_TIME_MAX, handshake(&mut socket, &mut tls)).await;
    match done {
        Ok(Ok(())) if tls.alpn_protocol() == Some(ACME_PROTOCOL) => {
            close(ConnectionStream::Tls { socket, tls }).await;
            None
        }
        Ok(Ok(())) => Some(ConnectionStream::Tls { socket, tls }),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            refuse(socket, &mut tls, &error).await;
            None
        }
        Err(_) => {
            tracing::debug!("a TLS handshake took too long");
            None
        }
    }
}

/// The handshake itself.
async fn handshake(socket: &mut TcpStream, tls: &mut TlsSession) -> io::Result<()> {
    poll_fn(|context| match tls.handshake(&mut Polled { socket, context }) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
        ended => Poll::Ready(ended),
    })
    .await
}

/// Tells a client that the handshake failed: plain HTTP in its own words, any other by the pending
/// TLS alert.
async fn refuse(mut socket: TcpStream, tls: &mut TlsSession, error: &io::Error) {
    if error.kind() != ErrorKind::InvalidData {
        return;
    }
    let speaks_http = tls.rejected_input().first().is_some_and(u8::is_ascii_uppercase);
    let told = match speaks_http {
        true => socket.write_all(PLAIN_HTTP_ANSWER).await,
        false => poll_fn(|context| Poll::Ready(tls.flush(&mut Polled { socket: &mut socket, context }).map(drop))).await,
    };
    if told.is_ok() {
        close(ConnectionStream::Plain(TryFirst::registered(socket))).await;
    }
}

/// Closes with a linger, so that the last bytes are not lost.
async fn close(stream: ConnectionStream) {
    let mut connection = LingeringClose::new(stream);
    // It has a deadline of its own, and nobody is left who could use an error.
    let _ = poll_fn(|context| Pin::new(&mut connection).poll_shutdown(context)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_has_the_length_it_declares() {
        let text = std::str::from_utf8(PLAIN_HTTP_ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
