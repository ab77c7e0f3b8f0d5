//! The way to the server: its address, TLS, connections, and calls over HTTP.
//!
//! The tester is a client like any other: nothing here may use the server's own code. A connection
//! opens in two steps, since the baseline measures each. No session or ticket is kept for the next
//! one: every phone is new to the server.

pub mod agent_channel;
pub mod http;
pub mod local_server;
pub mod network;
pub mod process_source;
pub mod protocol;
pub mod server_log;
pub mod target;
mod tls;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use target::Target;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

/// The receive buffer that a phone with a small window requests; the kernel grants its minimum,
/// some 2 KiB.
const SMALL_WINDOW_BYTES: u32 = 1;

/// Amount that the kernel buffers for a client that does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    Usual,
    /// As little as possible, so that the server soon notices.
    Small,
}

pub type Connection = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Opens a connection in both steps.
pub async fn open(target: &Target, window: Window) -> io::Result<Connection> {
    secure(target, connect(target, window).await?).await
}

/// Takes the first step: TCP.
///
/// # Errors
/// When nothing listens, or no descriptor or port is left.
pub async fn connect(target: &Target, window: Window) -> io::Result<TcpStream> {
    let socket = if target.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = target.next_source() {
        bind(&socket, source)?;
    }
    if window == Window::Small {
        socket.set_recv_buffer_size(SMALL_WINDOW_BYTES)?;
    }
    let stream = socket.connect(target.address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Tells whether nothing accepted a connection. One that is accepted and closed has met a server,
/// which may be full.
pub fn is_unreached(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    !matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// Takes the second step: the TLS handshake, if the server speaks TLS.
///
/// # Errors
/// When the server cannot prove its name.
pub async fn secure(target: &Target, stream: TcpStream) -> io::Result<Connection> {
    let Some(tls) = &target.tls else { return Ok(Either::Left(stream)) };
    Ok(Either::Right(Box::new(tls.connector.connect(tls.name.clone(), stream).await?)))
}

/// Binds an address and leaves the port to `connect`, which may then reuse a port that is taken
/// towards another server.
#[expect(unsafe_code, reason = "IP_BIND_ADDRESS_NO_PORT has no safe wrapper among the dependencies")]
fn bind(socket: &TcpSocket, source: IpAddr) -> io::Result<()> {
    if source.is_ipv4() {
        let on: libc::c_int = 1;
        let size = libc::socklen_t::try_from(size_of_val(&on)).expect("an int is small");
        // SAFETY: setsockopt reads one int of the given size, which lives until it returns.
        let result = unsafe {
            libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, (&raw const on).cast(), size)
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    socket.bind(SocketAddr::new(source, 0))
}
