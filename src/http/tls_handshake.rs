//! The TLS handshake of a new connection, within a bounded time of its turn.
//!
//! Handshakes of one worker take turns: first come, first served. Each begins once the one before
//! has sent its answer, and its time begins then too. When 10,000 phones came at once, all began
//! together and took longer than their limit together; in turn, one ends soon after it has begun. A
//! client takes its turn when its first bytes are here, so a silent one keeps nobody waiting.
//!
//! Accepting has no deadline, and hyper's clock starts with the first request: without this limit,
//! a client that sends half a hello would hold its permit for ever. A client that speaks plain HTTP
//! gets an answer that names https; a certificate authority gets its challenge certificate only.

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
use tokio::sync::{Semaphore, SemaphorePermit};

/// Time that a client may take to begin, and that a handshake may take from its turn on. With 5 s,
/// a machine that played 10,000 phones at once lost a tenth of them: it needed 7 s for its own
/// half.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// Time that a client may wait for its turn. One more second would not help it: it is closed, and
/// comes again.
const TURN_TIME_MAX: Duration = Duration::from_secs(10);

/// The answer to plain HTTP. The connection closes: where the next request begins cannot be known.
const PLAIN_HTTP_ANSWER: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 71\r\nConnection: close\r\n\r\n\
This port speaks https only. Begin the address with https:// not http.\n";

/// Shakes hands when its turn comes, within `time_max`; `turns` has one permit. `None` when that
/// failed; the client has then got an answer, as far as possible.
pub async fn shake_hands(
    mut socket: TcpStream,
    config: &Arc<ServerConfig>,
    turns: &Semaphore,
    time_max: Duration,
) -> Option<ConnectionStream> {
    if !matches!(tokio::time::timeout(time_max, socket.readable()).await, Ok(Ok(()))) {
        tracing::debug!("a client began no TLS handshake");
        return None;
    }
    let Ok(Ok(turn)) = tokio::time::timeout(TURN_TIME_MAX, turns.acquire()).await else {
        tracing::warn!("a connection is closed: too many TLS handshakes wait");
        return None;
    };
    let mut tls = match TlsSession::new(Arc::clone(config)) {
        Ok(tls) => Box::new(tls),
        Err(error) => {
            tracing::error!(%error, "TLS cannot be spoken");
            return None;
        }
    };
    let done = tokio::time::timeout(time_max, handshake(&mut socket, &mut tls, turn)).await;
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

/// The handshake itself. Its turn ends with its first answer: the next one wakes after the tasks
/// that are ready by then, so that begun handshakes end before others begin.
async fn handshake(socket: &mut TcpStream, tls: &mut TlsSession, turn: SemaphorePermit<'_>) -> io::Result<()> {
    let mut turn = Some(turn);
    poll_fn(|context| {
        let polled = match tls.handshake(&mut Polled { socket, context }) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            ended => Poll::Ready(ended),
        };
        turn = None;
        polled
    })
    .await
}

/// Answers a client whose handshake failed: plain HTTP by a response, any other by the pending TLS
/// alert.
async fn refuse(mut socket: TcpStream, tls: &mut TlsSession, error: &io::Error) {
    if error.kind() != ErrorKind::InvalidData {
        return;
    }
    let speaks_http = tls.rejected_input().first().is_some_and(u8::is_ascii_uppercase);
    let sent = match speaks_http {
        true => socket.write_all(PLAIN_HTTP_ANSWER).await,
        false => poll_fn(|context| Poll::Ready(tls.flush(&mut Polled { socket: &mut socket, context }).map(drop))).await,
    };
    if sent.is_ok() {
        close(ConnectionStream::Plain(TryFirst::registered(socket))).await;
    }
}

/// Closes with a linger, so that the last bytes are not lost.
async fn close(stream: ConnectionStream) {
    let mut connection = LingeringClose::new(stream);
    // It has its own deadline, and no caller could use an error.
    let _ = poll_fn(|context| Pin::new(&mut connection).poll_shutdown(context)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsConnector;

    #[test]
    fn the_answer_to_plain_http_has_the_length_it_declares() {
        let text = std::str::from_utf8(PLAIN_HTTP_ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }

    #[tokio::test]
    async fn a_handshake_s_time_begins_with_its_turn_and_a_silent_client_takes_none() {
        let made = rcgen::generate_simple_self_signed(["hall.example".to_owned()]).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let server = Arc::new(server.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap());
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let connector = TlsConnector::from(Arc::new(client.with_root_certificates(roots).with_no_client_auth()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (turns, time_max) = (Semaphore::new(1), Duration::from_secs(1));
        let silent = TcpStream::connect(address).await.unwrap();
        let (accepted_silent, _) = listener.accept().await.unwrap();
        let connect = async {
            let stream = TcpStream::connect(address).await.unwrap();
            connector.connect(ServerName::try_from("hall.example").unwrap(), stream).await
        };
        let serve = async {
            let (accepted, _) = listener.accept().await.unwrap();
            shake_hands(accepted, &server, &turns, time_max).await
        };
        // Its turn comes only after the time of a whole handshake.
        let busy = turns.acquire().await.unwrap();
        let release = async {
            tokio::time::sleep(time_max + Duration::from_millis(500)).await;
            drop(busy);
        };
        let unheard = shake_hands(accepted_silent, &server, &turns, time_max);
        let (client, served, unheard, ()) = tokio::join!(connect, serve, unheard, release);
        assert!(client.is_ok() && served.is_some(), "it waited longer than a handshake may take");
        assert!(unheard.is_none(), "a client that sends nothing is closed without a turn");
        drop(silent);
    }
}
