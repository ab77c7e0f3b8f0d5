//! The first words of a connection under TLS, within five seconds.
//!
//! Accepting waits for nobody, and hyper's clock starts with the first request: without a limit of its own here a caller that says half a
//! hello would hold its seat for ever. Whoever speaks plain HTTP is told where to go; an authority that asks for its proof
//! gets that and no more.

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

/// How long a handshake may take.
const HELLO_TIME_MAX: Duration = Duration::from_secs(5);

/// What plain HTTP is answered. It closes: what follows cannot be told from the first.
const SPEAK_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 71\r\nConnection: close\r\n\r\n\
This port speaks https only. Begin the address with https:// not http.\n";

/// Shakes hands; none when that came to nothing, and then the caller has been told, as far as it could be.
pub async fn shake_hands(mut socket: TcpStream, config: &Arc<ServerConfig>) -> Option<ConnectionStream> {
    let mut cipher = match TlsSession::new(Arc::clone(config)) {
        Ok(cipher) => Box::new(cipher),
        Err(error) => {
            tracing::error!(%error, "TLS cannot be spoken");
            return None;
        }
    };
    let spoken = tokio::time::timeout(HELLO_TIME_MAX, speak(&mut socket, &mut cipher)).await;
    match spoken {
        Ok(Ok(())) if cipher.alpn_protocol() == Some(ACME_PROTOCOL) => {
            say_goodbye(ConnectionStream::Tls { socket, cipher }).await;
            None
        }
        Ok(Ok(())) => Some(ConnectionStream::Tls { socket, cipher }),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            refuse(socket, &mut cipher, &error).await;
            None
        }
        Err(_) => {
            tracing::debug!("a TLS handshake took too long");
            None
        }
    }
}

/// The handshake itself.
async fn speak(socket: &mut TcpStream, cipher: &mut TlsSession) -> io::Result<()> {
    poll_fn(|context| match cipher.handshake(&mut Polled { socket, context }) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
        ended => Poll::Ready(ended),
    })
    .await
}

/// Tells a caller that shaking hands has failed: plain HTTP in its own words, any other by the alert that is owed.
async fn refuse(mut socket: TcpStream, cipher: &mut TlsSession, error: &io::Error) {
    if error.kind() != ErrorKind::InvalidData {
        return;
    }
    let speaks_http = cipher.rejected_input().first().is_some_and(u8::is_ascii_uppercase);
    let told = match speaks_http {
        true => socket.write_all(SPEAK_TLS).await,
        false => poll_fn(|context| Poll::Ready(cipher.flush(&mut Polled { socket: &mut socket, context }).map(drop))).await,
    };
    if told.is_ok() {
        say_goodbye(ConnectionStream::Plain(TryFirst::known(socket))).await;
    }
}

/// Closes properly, so that the last word is not lost.
async fn say_goodbye(carrier: ConnectionStream) {
    let mut connection = LingeringClose::new(carrier);
    // It has a deadline of its own, and there is nobody left to be told of an error.
    let _ = poll_fn(|context| Pin::new(&mut connection).poll_shutdown(context)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_is_as_long_as_it_says() {
        let text = std::str::from_utf8(SPEAK_TLS).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
