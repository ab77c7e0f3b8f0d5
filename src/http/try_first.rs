//! A connection that tries before it waits: tokio learns of a socket only when there is something
//! to wait for.
//!
//! Most connections bring their request along and need one read and one write. Registering each,
//! waiting for readiness and taking it out again for its reactor cost two system calls, a wake-up
//! and an allocation; a socket that is tried first needs none of them, nor a timer for its head.
//! Only the first read is tried: a connection that goes on is registered, so that none keeps its
//! worker from the others. While a request is answered hyper reads on, to notice a hang-up; that
//! read is put off for one turn of the task, since most answers are ready by then.
//!
//! A 101 is held back, so that the reactor sends it with the greeting: one system call, one packet
//! and one wake-up of the phone instead of two. The worker announces the 101; how it begins is all
//! the HTTP this file knows. It never blocks.

use bytes::Bytes;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream as Bare};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes of the first read: more than a usual head has, and few enough for the stack, since they
/// are zeroed.
const FIRST_READ_MAX: usize = 2048;

/// The beginning of the response that frames follow. Responses to earlier requests may leave before
/// it.
const SWITCHING: &[u8] = b"HTTP/1.1 101";

/// An accepted socket that does not block.
#[derive(Debug)]
pub struct TryFirst {
    /// Not registered with tokio yet. Either this or `registered` is set; neither where registering
    /// failed.
    bare: Option<Bare>,
    registered: Option<TcpStream>,
    /// Reads before it was registered.
    reads: u8,
    switch: Switch,
    /// The 101 that is still to be sent.
    response: Bytes,
}

/// Announces a 101 to its connection. Relaxed: both are in one task; hyper wants its stream to be
/// `Send`.
#[derive(Clone, Debug, Default)]
pub struct Switch(Arc<AtomicBool>);

impl Switch {
    /// Must be called before hyper gets the 101.
    pub fn announce(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl TryFirst {
    /// A freshly accepted connection; `socket` must not block.
    pub fn new(socket: Bare, switch: Switch) -> Self {
        Self { bare: Some(socket), registered: None, reads: 0, switch, response: Bytes::new() }
    }

    /// A connection that is registered with tokio already.
    pub fn registered(socket: TcpStream) -> Self {
        Self { bare: None, registered: Some(socket), reads: 0, switch: Switch::default(), response: Bytes::new() }
    }

    /// The socket, taken out of tokio, and the bytes that must be sent before any others.
    ///
    /// # Errors
    /// When it cannot leave its runtime.
    pub fn into_bare(self) -> io::Result<(Bare, Bytes)> {
        let socket = match (self.bare, self.registered) {
            (Some(socket), _) => socket,
            (None, Some(socket)) => socket.into_std()?,
            (None, None) => return Err(ErrorKind::NotConnected.into()),
        };
        Ok((socket, self.response))
    }

    /// The socket, registered with tokio from now on.
    fn register(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        if let Some(socket) = self.bare.take() {
            self.registered = Some(TcpStream::from_std(socket)?);
        }
        self.registered.as_mut().map(Pin::new).ok_or_else(|| ErrorKind::NotConnected.into())
    }

    /// Reads from an unregistered socket; `None` when it has to be waited for.
    fn read_first(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Option<Poll<io::Result<()>>> {
        let socket = self.bare.as_mut()?;
        self.reads += 1;
        match self.reads {
            1 => {
                let mut bytes = [0; FIRST_READ_MAX];
                let room = buf.remaining().min(FIRST_READ_MAX);
                let count = unless_blocked(socket.read(&mut bytes[..room]))?;
                Some(Poll::Ready(count.map(|count| buf.put_slice(&bytes[..count]))))
            }
            2 => {
                cx.waker().wake_by_ref();
                Some(Poll::Pending)
            }
            _ => None,
        }
    }

    /// Writes to an unregistered socket, or holds a 101 back; `None` when it has to be waited for.
    fn write_first(&mut self, bufs: &[IoSlice<'_>]) -> Option<io::Result<usize>> {
        if self.switch.0.load(Ordering::Relaxed)
            && let Some(head) = bufs.first().filter(|head| head.starts_with(SWITCHING))
        {
            self.response = Bytes::copy_from_slice(head);
            return Some(Ok(head.len()));
        }
        unless_blocked(self.bare.as_mut()?.write_vectored(bufs))
    }
}

/// The result of a call; `None` when it would have waited.
fn unless_blocked<T>(done: io::Result<T>) -> Option<io::Result<T>> {
    match done {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => None,
        done => Some(done),
    }
}

impl AsyncRead for TryFirst {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.read_first(cx, buf) {
            Some(done) => done,
            None => self.register()?.poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for TryFirst {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.write_first(bufs) {
            Some(done) => Poll::Ready(done),
            None => self.register()?.poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.bare {
            Some(socket) => Poll::Ready(socket.shutdown(Shutdown::Write)),
            None => self.register()?.poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn pair() -> (TryFirst, Bare) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Bare::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        accepted.set_nonblocking(true).unwrap();
        (TryFirst::new(accepted, Switch::default()), client)
    }

    #[tokio::test]
    async fn who_brings_its_request_along_is_never_watched() {
        let (mut socket, mut client) = pair();
        client.write_all(b"ask").unwrap();
        let mut received = [0; 16];
        assert_eq!(socket.read(&mut received).await.unwrap(), 3);
        socket.write_all(b"answer").await.unwrap();
        assert!(socket.registered.is_none());
        client.read_exact(&mut received[..6]).unwrap();
        assert_eq!(&received[..6], b"answer");
        assert!(socket.into_bare().is_ok());
    }

    #[tokio::test]
    async fn who_comes_late_is_waited_for_and_loses_nothing() {
        let (mut socket, mut client) = pair();
        let sent: Vec<u8> = (0..40_000_u32).flat_map(u32::to_le_bytes).collect();
        let expected = sent.clone();
        let echo = std::thread::spawn(move || {
            client.write_all(&sent).unwrap();
            let mut back = vec![0; sent.len()];
            client.read_exact(&mut back).unwrap();
            back
        });
        let mut received = vec![0; expected.len()];
        socket.read_exact(&mut received).await.unwrap();
        assert!(socket.registered.is_some(), "a second read is not tried");
        socket.write_all(&received).await.unwrap();
        assert!(echo.join().unwrap() == expected);
        assert!(socket.into_bare().is_ok());
    }

    #[tokio::test]
    async fn the_answer_to_a_handshake_is_kept_for_the_stage() {
        const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
        for is_watched in [false, true] {
            let (mut socket, mut client) = pair();
            if is_watched {
                socket.register().unwrap();
            }
            // A response that only looks like it is sent.
            socket.write_all(ANSWER).await.unwrap();
            client.read_exact(&mut [0; ANSWER.len()]).unwrap();
            socket.switch.announce();
            socket.write_all(b"before").await.unwrap();
            socket.write_all(ANSWER).await.unwrap();
            let (mut bare, switching) = socket.into_bare().unwrap();
            assert_eq!(switching, ANSWER);
            bare.write_all(b"after").unwrap();
            let mut received = [0; 11];
            client.read_exact(&mut received).unwrap();
            assert_eq!(&received, b"beforeafter", "nothing of it was sent");
        }
    }
}
