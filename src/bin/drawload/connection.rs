//! One connection to the server: from an address of one's choice, and through TLS where the URL says so.
//!
//! It is opened in two steps, since the baseline tells what each of them costs. Nothing is kept for the next one, no session and no ticket: every
//! phone in a hall is a stranger to the server.

use crate::target::Target;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

/// What a phone with a small window asks of the kernel; it gets the least there is, some 2 KiB.
const SMALL_WINDOW_BYTES: u32 = 1;

/// How much the kernel takes in for somebody who does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    Usual,
    /// As little as it can be, so that the server soon notices.
    Small,
}

/// A connection.
pub enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// Both steps.
    ///
    /// # Errors
    /// Those of either.
    pub async fn open(target: &Target, window: Window) -> io::Result<Self> {
        Self::secure(target, Self::connect(target, window).await?).await
    }

    /// The first step: TCP.
    ///
    /// # Errors
    /// When nobody listens, or there is no descriptor or port left.
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

    /// The second step: the TLS handshake, if the server speaks TLS.
    ///
    /// # Errors
    /// When the server is not who it should be.
    pub async fn secure(target: &Target, stream: TcpStream) -> io::Result<Self> {
        let Some(trust) = &target.trust else { return Ok(Self::Plain(stream)) };
        Ok(Self::Tls(Box::new(trust.connector.connect(trust.name.clone(), stream).await?)))
    }
}

/// Takes an address and leaves the port to `connect`, which may then take one that is in use towards another server.
fn bind(socket: &TcpSocket, source: IpAddr) -> io::Result<()> {
    if source.is_ipv4() {
        let on: libc::c_int = 1;
        let size = libc::socklen_t::try_from(size_of_val(&on)).expect("an int is small");
        // SAFETY: setsockopt reads one int of the size that is given, which lives until it returns.
        let result = unsafe {
            libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, (&raw const on).cast(), size)
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    socket.bind(SocketAddr::new(source, 0))
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
