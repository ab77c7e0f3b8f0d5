//! A socket for tests: a real one, one of whose calls fails as the test planned.
//!
//! The plan belongs to the thread, so that a test which runs a reactor on its own thread fails one
//! call of all its sockets, and other tests none. It holds no field beyond the descriptor: a peer
//! has to fit into a cache line here too.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

/// The failure of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is reset, for this call and all later ones.
    Reset,
    /// The call would block.
    Blocks,
    /// The call takes or gives one byte.
    OneByte,
}

thread_local! {
    /// Calls of this thread so far, the one that fails, and its failure.
    static PLAN: Cell<(u32, u32, Fault)> = const { Cell::new((0, 0, Fault::Reset)) };
}

/// Plans the failure of this thread's n-th call from now on; 0 plans none.
pub fn fail_at(call: u32, fault: Fault) {
    PLAN.set((0, call, fault));
}

/// Calls of this thread since the plan was made.
pub fn calls() -> u32 {
    PLAN.get().0
}

/// Counts a call. Returns its failure, if it is the one that fails.
fn next_call() -> Option<Fault> {
    let (calls, fails, fault) = PLAN.get();
    PLAN.set((calls + 1, fails, fault));
    (calls + 1 == fails).then_some(fault)
}

/// The socket.
#[derive(Debug)]
pub struct Socket(TcpStream);

impl Socket {
    pub fn shutdown(&self, side: Shutdown) -> io::Result<()> {
        match next_call() {
            Some(fault) => Err(self.fail(fault)),
            None => self.0.shutdown(side),
        }
    }

    fn fail(&self, fault: Fault) -> io::Error {
        if fault == Fault::Reset {
            let _ = self.0.shutdown(Shutdown::Both);
            return ErrorKind::ConnectionReset.into();
        }
        ErrorKind::WouldBlock.into()
    }
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        Self(socket)
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match next_call() {
            Some(Fault::OneByte) if !buffer.is_empty() => self.0.read(&mut buffer[..1]),
            Some(fault) => Err(self.fail(fault)),
            None => self.0.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match next_call() {
            Some(Fault::OneByte) if !bytes.is_empty() => self.0.write(&bytes[..1]),
            Some(fault) => Err(self.fail(fault)),
            None => self.0.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsRawFd for Socket {
    /// The descriptor, or none when the call fails: registering it fails then.
    fn as_raw_fd(&self) -> RawFd {
        if next_call().is_some() { -1 } else { self.0.as_raw_fd() }
    }
}
