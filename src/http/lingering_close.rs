//! A lingering close (RFC 9112, section 9.6): after the last answer the connection reads on for a
//! while before it closes.
//!
//! When a socket is closed while unread bytes of its peer are queued, the kernel resets the
//! connection, and the peer may lose the very answer that says why: a phone that sends too large a
//! body would see a broken connection and not a 413. So shutting down means: stop writing, then
//! read and discard until the peer is done too, within bounds. Other connections pay nothing.
//! Writing has bounds as well: those of [`WritePace`].

use crate::http::connection::ConnectionStream;
use crate::http::write_pace::WritePace;
use hyper::rt::ReadBufCursor;
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Time that a peer may take to finish after the last answer.
const LINGER_TIME_MAX: Duration = Duration::from_secs(2);

/// Bytes that are read and discarded after the last answer.
const LINGER_BYTES_MAX: usize = 8 << 20;

/// An accepted connection as hyper uses it.
#[derive(Debug)]
pub struct LingeringClose {
    socket: TokioIo<ConnectionStream>,
    pace: WritePace,
    remaining: Option<Remaining>,
}

/// Time and bytes that are left.
#[derive(Debug)]
struct Remaining {
    deadline: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl LingeringClose {
    /// A connection that has said nothing yet.
    pub fn new(stream: ConnectionStream) -> Self {
        Self { socket: TokioIo::new(stream), pace: WritePace::default(), remaining: None }
    }

    /// The stream below.
    pub fn into_stream(self) -> ConnectionStream {
        self.socket.into_inner()
    }
}

impl hyper::rt::Read for LingeringClose {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        hyper::rt::Read::poll_read(Pin::new(&mut self.socket), cx, buf)
    }
}

impl hyper::rt::Write for LingeringClose {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(self.socket.inner_mut()).poll_write(cx, buf);
        self.pace.written(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(self.socket.inner_mut()).poll_flush(cx);
        self.pace.flushed(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, pace, remaining } = &mut *self;
        let mut socket = Pin::new(socket.inner_mut());
        if remaining.is_none() {
            // A TLS session may have bytes to send before it ends.
            let ended = socket.as_mut().poll_shutdown(cx);
            ready!(pace.flushed(cx, ended))?;
            let deadline = Box::pin(tokio::time::sleep(LINGER_TIME_MAX));
            *remaining = Some(Remaining { deadline, bytes_left: LINGER_BYTES_MAX });
        }
        let remaining = remaining.as_mut().expect("it was just set");
        let mut scratch = [0; 4096];
        while remaining.bytes_left > 0 && remaining.deadline.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut scratch);
            let read = ready!(socket.as_mut().poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                break;
            }
            remaining.bytes_left = remaining.bytes_left.saturating_sub(buf.filled().len());
        }
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.inner().is_write_vectored()
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let result = Pin::new(self.socket.inner_mut()).poll_write_vectored(cx, bufs);
        self.pace.written(cx, result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::try_first::{Switch, TryFirst};
    use hyper::rt::Write;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    async fn pair() -> (LingeringClose, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let accepted = listener.accept().await.unwrap().0.into_std().unwrap();
        (LingeringClose::new(ConnectionStream::Plain(TryFirst::new(accepted, Switch::default()))), client)
    }

    async fn say_goodbye(mut connection: LingeringClose) {
        poll_fn(|cx| Pin::new(&mut connection).poll_write(cx, b"no")).await.unwrap();
        poll_fn(|cx| Pin::new(&mut connection).poll_shutdown(cx)).await.unwrap();
    }

    /// A connection whose kernel buffers are small.
    async fn narrow_pair() -> (LingeringClose, TcpStream) {
        let (server, client) = (TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap());
        server.set_send_buffer_size(8 << 10).unwrap();
        client.set_recv_buffer_size(8 << 10).unwrap();
        server.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = server.listen(1).unwrap();
        let client = client.connect(listener.local_addr().unwrap()).await.unwrap();
        let accepted = listener.accept().await.unwrap().0.into_std().unwrap();
        (LingeringClose::new(ConnectionStream::Plain(TryFirst::new(accepted, Switch::default()))), client)
    }

    /// Writes an answer, and returns the bytes that were taken and the end.
    async fn write_answer(mut connection: LingeringClose, size: usize) -> (usize, io::Result<()>) {
        let (answer, mut taken) = (vec![0; size], 0);
        while taken < size {
            match poll_fn(|cx| Pin::new(&mut connection).poll_write(cx, &answer[taken..])).await {
                Ok(bytes) => taken += bytes,
                Err(error) => return (taken, Err(error)),
            }
        }
        (taken, poll_fn(|cx| Pin::new(&mut connection).poll_flush(cx)).await)
    }

    #[tokio::test]
    async fn a_peer_that_reads_nothing_or_drips_is_cut_off() {
        for drips in [false, true] {
            let (mut connection, mut client) = narrow_pair().await;
            connection.pace = WritePace::new(Duration::from_millis(100));
            let reading = tokio::spawn(async move {
                while !drips || client.read_exact(&mut [0; 10]).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
            let written = tokio::time::timeout(Duration::from_secs(60), write_answer(connection, 4 << 20));
            let (taken, end) = written.await.expect("the answer ends");
            assert!(taken < 4 << 20, "{taken}");
            assert_eq!(end.unwrap_err().kind(), io::ErrorKind::TimedOut, "drips: {drips}");
            reading.abort();
        }
    }

    #[tokio::test]
    async fn a_peer_that_reads_gets_a_long_answer_whole() {
        let (connection, mut client) = narrow_pair().await;
        let reading = tokio::spawn(async move {
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.map(|_| answer.len())
        });
        let (taken, end) = write_answer(connection, 1 << 20).await;
        assert!(end.is_ok() && taken == 1 << 20);
        assert_eq!(reading.await.unwrap().unwrap(), 1 << 20);
    }

    #[tokio::test]
    async fn a_peer_that_still_sends_gets_the_last_answer() {
        let (connection, mut client) = pair().await;
        let goodbye = tokio::spawn(say_goodbye(connection));
        client.write_all(&vec![0; 1 << 20]).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"no");
        goodbye.await.unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_never_ends_is_left() {
        let (connection, _client) = pair().await;
        let bound = LINGER_TIME_MAX + Duration::from_secs(5);
        tokio::time::timeout(bound, say_goodbye(connection)).await.expect("the deadline ends it");
    }

    #[tokio::test]
    async fn a_peer_that_floods_is_left() {
        let (connection, mut client) = pair().await;
        let goodbye = tokio::spawn(say_goodbye(connection));
        let sent = async {
            let mut sent = 0_usize;
            while client.write_all(&[0; 64 << 10]).await.is_ok() {
                sent += 64 << 10;
            }
            sent
        };
        assert!(sent.await >= LINGER_BYTES_MAX / 2, "the bound is on bytes, well before the deadline");
        goodbye.await.unwrap();
    }
}
