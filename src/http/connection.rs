//! The stream below HTTP: a plain socket, or TLS over one.
//!
//! One type for both, so that hyper is compiled once and a plain connection pays one branch. The
//! TLS session is the very one that moves on to the reactor: it reads and writes without waiting,
//! which is what polling a socket does once its waker is registered.

use crate::http::try_first::TryFirst;
use crate::tls::session::{ReadOutcome, TlsSession};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// An accepted connection.
#[expect(missing_docs, reason = "one socket, with or without TLS")]
#[derive(Debug)]
pub enum ConnectionStream {
    Plain(TryFirst),
    Tls { socket: TcpStream, tls: Box<TlsSession> },
}

/// A socket that reads and writes without waiting; `context` is woken when it is ready again.
pub struct Polled<'a, 'c> {
    /// Registered with tokio.
    pub socket: &'a mut TcpStream,
    /// Its waker is registered when a call would block.
    pub context: &'a mut Context<'c>,
}

impl Read for Polled<'_, '_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut room = ReadBuf::new(room);
        match Pin::new(&mut *self.socket).poll_read(self.context, &mut room) {
            Poll::Ready(read) => read.map(|()| room.filled().len()),
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Polled<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.socket).poll_write(self.context, bytes) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for ConnectionStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            ConnectionStream::Plain(socket) => Pin::new(socket).poll_read(context, room),
            ConnectionStream::Tls { socket, tls } => {
                match tls.read(&mut Polled { socket, context }, room.initialize_unfilled())? {
                    ReadOutcome::Bytes(count) | ReadOutcome::Last(count) => {
                        room.advance(count);
                        Poll::Ready(Ok(()))
                    }
                    ReadOutcome::Nothing => Poll::Pending,
                    ReadOutcome::End => Poll::Ready(Ok(())),
                }
            }
        }
    }
}

impl AsyncWrite for ConnectionStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            ConnectionStream::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            ConnectionStream::Tls { socket, tls } => loop {
                let polled = &mut Polled { socket, context };
                match tls.write(polled, bytes)? {
                    // The waker is registered only once the kernel has refused bytes.
                    0 if !bytes.is_empty() && !tls.flush(polled)? => return Poll::Pending,
                    0 if !bytes.is_empty() => {}
                    count => return Poll::Ready(Ok(count)),
                }
            },
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            ConnectionStream::Plain(socket) => Pin::new(socket).poll_flush(context),
            ConnectionStream::Tls { socket, tls } => match tls.flush(&mut Polled { socket, context })? {
                true => Poll::Ready(Ok(())),
                false => Poll::Pending,
            },
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(context))?;
        match &mut *self {
            ConnectionStream::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            ConnectionStream::Tls { socket, tls } => {
                tls.close_notify(&mut Polled { socket, context });
                Pin::new(socket).poll_shutdown(context)
            }
        }
    }

    /// No under TLS: pieces that hyper joins beforehand make one record.
    fn is_write_vectored(&self) -> bool {
        matches!(self, ConnectionStream::Plain(socket) if socket.is_write_vectored())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            ConnectionStream::Plain(socket) => Pin::new(socket).poll_write_vectored(context, pieces),
            ConnectionStream::Tls { .. } => {
                let first = pieces.iter().find(|piece| !piece.is_empty()).map_or(&[][..], |piece| piece);
                self.poll_write(context, first)
            }
        }
    }
}
