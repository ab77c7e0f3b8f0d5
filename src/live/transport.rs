//! One socket's bytes, in and out, without waiting.
//!
//! Alone in its file: the rest of the stage knows neither descriptors nor system calls. Under TLS the bytes pass through the connection's cipher, which
//! its peer keeps, since a line that held it would take a plain peer beyond its cache line. A line never blocks, never retries later and keeps no
//! buffer.

use crate::live::limits::Limits;
use crate::tls::session::ReadOutcome;
use crate::tls::session::TlsSession;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::SockRef;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;

/// A socket that belongs to a stage. Dropping it hangs up and ends its registration, since the descriptor has no twin.
#[derive(Debug)]
pub struct Transport {
    socket: TcpStream,
}

impl Transport {
    /// Takes over a socket that does not block, and has it pin little kernel memory. That it sends at once and is watched for a dead peer it has
    /// from the listening socket, which sets both for all it accepts: to say so again was six system calls, a tenth of a handshake.
    ///
    /// # Errors
    /// When the kernel refuses a setting; a socket whose peer has gone may.
    pub fn open(socket: TcpStream, limits: &Limits) -> io::Result<Self> {
        SockRef::from(&socket).set_send_buffer_size(limits.send_buffer_bytes)?;
        Ok(Self { socket })
    }

    /// Has `registry` tell of every change from now on, once each, for both directions: it need never be asked again.
    ///
    /// # Errors
    /// When the kernel has no memory for it.
    pub fn watch(&self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.socket.as_raw_fd()), token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Reads what is there, through its cipher if it has one.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn read(&mut self, cipher: Option<&mut TlsSession>, buffer: &mut [u8]) -> io::Result<ReadOutcome> {
        match cipher {
            None => self.read_raw(buffer),
            Some(cipher) => cipher.read(&mut self.socket, buffer),
        }
    }

    /// Reads the bytes as they came.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn read_raw(&mut self, buffer: &mut [u8]) -> io::Result<ReadOutcome> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Ok(ReadOutcome::End),
                Ok(count) if count < buffer.len() => return Ok(ReadOutcome::Last(count)),
                Ok(count) => return Ok(ReadOutcome::Bytes(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(ReadOutcome::Nothing),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes as much as the kernel takes, possibly nothing, through its cipher if it has one. When it is less than all, the registry tells when to
    /// go on, with the bytes that were not taken ([`TlsSession::write`]).
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn write(&mut self, cipher: Option<&mut TlsSession>, bytes: &[u8]) -> io::Result<usize> {
        if let Some(cipher) = cipher {
            return cipher.write(&mut self.socket, bytes);
        }
        loop {
            match self.socket.write(bytes) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self, cipher: Option<&mut TlsSession>) {
        if let Some(cipher) = cipher {
            cipher.finish(&mut self.socket);
        }
        // It fails only where the connection is gone, and then there is nobody to tell.
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    #[test]
    fn a_line_keeps_to_its_settings_and_never_waits() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let limits = Limits::default();
        let accepted = listener.accept().unwrap().0;
        accepted.set_nonblocking(true).unwrap();
        let mut line = Transport::open(accepted, &limits).unwrap();

        let mut buffer = [0; 16];
        assert_eq!(line.read(None, &mut buffer).unwrap(), ReadOutcome::Nothing);
        // Until the far side's window is shut and the near one full. Refusals before that mean that what was sent is not acknowledged yet.
        let (mut taken, mut refusals, mut arrived, start) = (0, 0, vec![0; 1 << 20], Instant::now());
        let mut pinned = 0;
        while refusals < 100 && start.elapsed() < Duration::from_secs(10) {
            let count = line.write(None, &[7; 2900]).unwrap();
            taken += count;
            pinned = taken - far.peek(&mut arrived).unwrap();
            refusals = if count > 0 || pinned == 0 { 0 } else { refusals + 1 };
        }
        assert!(pinned > 0 && pinned <= 64 << 10, "the kernel holds {pinned} bytes of one peer");
        line.finish(None);
        io::copy(&mut far, &mut io::sink()).unwrap();
        drop(far);
    }
}
