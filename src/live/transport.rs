//! One socket's bytes, in and out, without waiting.
//!
//! Alone in its file: the rest of the reactor knows neither descriptors nor system calls. Under TLS
//! the bytes pass through the session, which the peer holds, since a transport that held it would
//! push a peer without TLS beyond a cache line. A transport never blocks, never retries later and
//! owns no buffer.

use crate::live::limits::Limits;
use crate::tls::session::{ReadOutcome, TlsSession, read_some, write_some};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::SockRef;
use std::io;
#[cfg(not(test))]
use std::net::TcpStream as Socket;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;

#[cfg(test)]
use crate::live::faulty_socket::Socket;

/// A socket that belongs to a reactor. Dropping it closes the connection and ends its registration,
/// since the descriptor has no duplicate.
#[derive(Debug)]
pub struct Transport {
    socket: Socket,
}

impl Transport {
    /// Takes over a non-blocking socket and bounds its send buffer. `TCP_NODELAY` and keepalive are
    /// inherited from the listener: setting them again cost six system calls, a tenth of a
    /// handshake.
    ///
    /// # Errors
    /// When the kernel refuses the setting, as it may for a socket whose peer has gone.
    #[cfg_attr(not(test), expect(clippy::useless_conversion, reason = "a test's socket is of another type"))]
    pub fn open(socket: TcpStream, limits: &Limits) -> io::Result<Self> {
        SockRef::from(&socket).set_send_buffer_size(limits.send_buffer_bytes)?;
        Ok(Self { socket: Socket::from(socket) })
    }

    /// Registers the socket for both directions, edge-triggered: once for its whole life.
    ///
    /// # Errors
    /// When the kernel has no memory for it.
    pub fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.socket.as_raw_fd()), token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Reads plaintext, through the TLS session if there is one.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn read(&mut self, tls: Option<&mut TlsSession>, buffer: &mut [u8]) -> io::Result<ReadOutcome> {
        match tls {
            None => self.read_raw(buffer),
            Some(tls) => tls.read(&mut self.socket, buffer),
        }
    }

    /// Reads the bytes as they came, without TLS.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn read_raw(&mut self, buffer: &mut [u8]) -> io::Result<ReadOutcome> {
        Ok(match read_some(&mut self.socket, buffer)? {
            None => ReadOutcome::Nothing,
            Some(0) => ReadOutcome::End,
            Some(count) if count < buffer.len() => ReadOutcome::Last(count),
            Some(count) => ReadOutcome::Bytes(count),
        })
    }

    /// Writes as much as the kernel takes, possibly nothing, through the TLS session if there is
    /// one. After a short write the next readiness event tells when to continue, with the bytes
    /// that were not taken ([`TlsSession::write`]).
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn write(&mut self, tls: Option<&mut TlsSession>, bytes: &[u8]) -> io::Result<usize> {
        match tls {
            None => write_some(&mut self.socket, bytes),
            Some(tls) => tls.write(&mut self.socket, bytes),
        }
    }

    /// Shuts down the sending side.
    pub fn shut_down_writes(&mut self, tls: Option<&mut TlsSession>) {
        if let Some(tls) = tls {
            tls.close_notify(&mut self.socket);
        }
        // It fails only where the connection is gone, and then no peer is left to notice.
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    #[test]
    fn a_transport_never_blocks_and_pins_little_kernel_memory() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let limits = Limits::default();
        let accepted = listener.accept().unwrap().0;
        accepted.set_nonblocking(true).unwrap();
        let mut transport = Transport::open(accepted, &limits).unwrap();

        let mut buffer = [0; 16];
        assert_eq!(transport.read(None, &mut buffer).unwrap(), ReadOutcome::Nothing);
        // Until the far window is closed and the near buffer full. A refusal before that means that
        // bytes are not acknowledged yet.
        let (mut taken, mut refusals, mut arrived, start) = (0, 0, vec![0; 1 << 20], Instant::now());
        let mut pinned = 0;
        while refusals < 100 && start.elapsed() < Duration::from_secs(10) {
            let count = transport.write(None, &[7; 2900]).unwrap();
            taken += count;
            pinned = taken - far.peek(&mut arrived).unwrap();
            refusals = if count > 0 || pinned == 0 { 0 } else { refusals + 1 };
        }
        assert!(pinned > 0 && pinned <= 64 << 10, "the kernel holds {pinned} bytes of one peer");
        transport.shut_down_writes(None);
        io::copy(&mut far, &mut io::sink()).unwrap();
        drop(far);
    }
}
