//! The way of a simulated phone to this server: its own listener, by loopback where it listens on
//! all addresses.
//!
//! Under TLS a phone handshakes as all do. It takes any certificate, since the one at the other end
//! is this process; nothing else is ever asked here.

use crate::base::http_client;
use crate::tls;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::either::Either;

/// Time for a connection and its handshakes, and for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Phones that arrive at once. A hall's come within seconds, and the rest wait their turn here.
const ARRIVALS_MAX: usize = 64;
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Bytes that a socket reads at once: thousands of them share a small box.
const READ_BYTES: usize = 2 << 10;
/// The longest frame: the state of a large event.
const FRAME_BYTES_MAX: usize = 1 << 20;
/// The name that the server goes by on its own machine.
const HOST_NAME: &str = "localhost";

/// A connection, with or without TLS.
pub type Connection = Either<TcpStream, TlsStream<TcpStream>>;
/// A phone's socket.
pub type Socket = WebSocketStream<Connection>;

/// The server's own listener.
pub struct OwnServer {
    address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// One permit per phone that arrives.
    pub arrivals: Semaphore,
}

impl OwnServer {
    /// The listener at `address`; `domain` is the name in its certificate, under TLS.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(address: SocketAddr, domain: Option<&str>, is_secure: bool) -> io::Result<Self> {
        let mut address = address;
        if address.ip().is_unspecified() {
            let is_v4 = address.is_ipv4();
            address.set_ip(if is_v4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        let tls = || -> io::Result<_> {
            let config = tls::own_client().map_err(io::Error::other)?;
            let name = ServerName::try_from(domain.unwrap_or(HOST_NAME).to_owned()).map_err(io::Error::other)?;
            Ok((TlsConnector::from(Arc::new(config)), name))
        };
        Ok(Self { address, tls: is_secure.then(tls).transpose()?, arrivals: Semaphore::new(ARRIVALS_MAX) })
    }

    fn authority(&self) -> String {
        format!("{HOST_NAME}:{}", self.address.port())
    }

    async fn connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        match &self.tls {
            None => Ok(Either::Left(stream)),
            Some((connector, name)) => Ok(Either::Right(connector.connect(name.clone(), stream).await?)),
        }
    }

    /// Posts a body to a path of the API, and returns the status, and the body of a success.
    ///
    /// # Errors
    /// When no answer comes in time.
    pub async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> io::Result<(StatusCode, Value)> {
        let mut request = Request::post(format!("/api/luckydraw{path}"))
            .header(HOST, self.authority())
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::<Bytes>::from(body.to_string())).map_err(io::Error::other)?;
        let exchange = async { http_client::exchange(self.connect().await?, request, ANSWER_BYTES_MAX).await };
        let response = timeout(ANSWER_MAX, exchange).await??;
        Ok((response.status, serde_json::from_slice(&response.body).unwrap_or_default()))
    }

    /// Opens a phone's socket.
    ///
    /// # Errors
    /// When the server refuses it, or does not answer in time.
    pub async fn open_socket(&self, event: &str) -> io::Result<Socket> {
        let open = async {
            let url = format!("ws://{}/api/luckydraw/ws/{event}?role=phone", self.authority());
            let request = url.into_client_request().map_err(io::Error::other)?;
            let config = WebSocketConfig::default()
                .read_buffer_size(READ_BYTES)
                .write_buffer_size(0)
                .max_message_size(Some(FRAME_BYTES_MAX));
            let opened = client_async_with_config(request, self.connect().await?, Some(config)).await;
            opened.map(|(socket, _)| socket).map_err(io::Error::other)
        };
        timeout(ANSWER_MAX, open).await?
    }
}
