//! The one thread that accepts, and does nothing else: it takes every connection at once and deals
//! them out to the workers in turn.
//!
//! Accepting on the workers would let a busy one leave phones waiting in the kernel, whose queue is
//! the only place where they can be refused without a word. Connections are bounded here, before
//! anything is spent on them: each takes a permit, and keeps it through handshake, requests and
//! the life of its WebSocket, until its descriptor is closed. This thread never reads from one.

use crate::base::threads::EndProcessOnPanic;
use crate::http::bind::{ListenAddress, Listener, Protocol};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Pause of accepting when the process has no descriptor or memory left: without it the loop would
/// spin.
const PAUSE: Duration = Duration::from_millis(50);

/// The token of the stop signal; a listener's token is its index.
const STOP: Token = Token(usize::MAX);

/// An accepted connection and its permit.
#[derive(Debug)]
pub struct Accepted {
    /// Non-blocking.
    pub socket: TcpStream,
    /// Protocol of its listener.
    pub protocol: Protocol,
    /// Held until the connection ends.
    pub permit: OwnedSemaphorePermit,
}

/// The thread that accepts. Dropping it leaves the thread running: call [`Acceptor::stop`].
#[derive(Debug)]
pub struct Acceptor {
    addresses: Vec<ListenAddress>,
    /// Written once, by [`Acceptor::stop`], and read by the thread. Relaxed: the waker's system
    /// call after it makes the thread look again.
    stopping: Arc<AtomicBool>,
    waker: Waker,
    thread: JoinHandle<()>,
}

impl Acceptor {
    /// Begins to accept from `listeners`, which must not block, and to deal out to `workers`: at
    /// most `connections_max` connections at a time.
    ///
    /// # Errors
    /// When the operating system gives no thread or readiness queue.
    pub fn start(listeners: Vec<Listener>, workers: Vec<mpsc::Sender<Accepted>>, connections_max: usize) -> io::Result<Self> {
        let addresses = listeners.iter().map(Listener::address).collect::<io::Result<_>>()?;
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), STOP)?;
        let mut listeners: Vec<(TcpListener, Protocol)> =
            listeners.into_iter().map(|listener| (TcpListener::from_std(listener.socket), listener.protocol)).collect();
        for (index, (listener, _)) in listeners.iter_mut().enumerate() {
            poll.registry().register(listener, Token(index), Interest::READABLE)?;
        }
        let stopping = Arc::new(AtomicBool::new(false));
        let permits = Arc::new(Semaphore::new(connections_max));
        let dealer = Dealer { workers, next: 0, permits, stopping: Arc::clone(&stopping) };
        let run = move || {
            // Without this thread the server would accept no connection and report no error.
            let _guard = EndProcessOnPanic;
            accept_all(poll, listeners, dealer);
        };
        let thread = std::thread::Builder::new().name("acceptor".into()).spawn(run)?;
        Ok(Self { addresses, stopping, waker, thread })
    }

    /// Addresses that it accepts from, with the ports that the kernel chose.
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// Stops accepting and closes the listening sockets. Blocks until that is done, at most for a
    /// pause.
    pub fn stop(self) {
        self.stopping.store(true, Relaxed);
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "the acceptor cannot be woken, and is left behind");
            return;
        }
        // It has not panicked: that would have ended the process.
        let _ = self.thread.join();
    }
}

/// The thread's loop.
fn accept_all(mut poll: Poll, listeners: Vec<(TcpListener, Protocol)>, mut dealer: Dealer) {
    let mut events = Events::with_capacity(16);
    while !dealer.is_stopping() {
        match poll.poll(&mut events, None) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                tracing::error!(%error, "waiting for connections failed");
                std::thread::sleep(PAUSE);
            }
        }
        // Readiness is reported once, so each is accepted from until it would block.
        listeners.iter().for_each(|(listener, protocol)| dealer.accept_from(listener, *protocol));
    }
}

/// Deals connections out to the workers in turn.
struct Dealer {
    workers: Vec<mpsc::Sender<Accepted>>,
    next: usize,
    permits: Arc<Semaphore>,
    stopping: Arc<AtomicBool>,
}

impl Dealer {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// Accepts until no connection waits.
    fn accept_from(&mut self, listener: &TcpListener, protocol: Protocol) {
        while !self.is_stopping() {
            match listener.accept() {
                Ok((socket, _)) => self.deal(socket.into(), protocol),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // These concern the one connection that was about to be accepted (accept(2)).
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(error) => {
                    tracing::warn!(%error, "accepting pauses");
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    /// Gives a connection to the next worker that has room; closes it when every permit is taken or
    /// every worker is full.
    fn deal(&mut self, socket: TcpStream, protocol: Protocol) {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            return tracing::debug!("a connection is closed: the server is full");
        };
        let mut accepted = Accepted { socket, protocol, permit };
        for _ in 0..self.workers.len() {
            let worker = &self.workers[self.next];
            self.next = (self.next + 1) % self.workers.len();
            match worker.try_send(accepted) {
                Ok(()) => return,
                Err(full) => accepted = full.into_inner(),
            }
        }
        tracing::warn!("a connection is closed: every worker is full");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::address::BindAddress;
    use std::io::Read;
    use std::time::Instant;

    fn start(connections_max: usize, workers: usize, depth: usize) -> (Acceptor, Vec<mpsc::Receiver<Accepted>>) {
        let (senders, receivers) = (0..workers).map(|_| mpsc::channel(depth)).unzip();
        let listeners = Listener::open(&[BindAddress::parse("127.0.0.1:0").unwrap()], Protocol::Plain, true).unwrap();
        (Acceptor::start(listeners, senders, connections_max).unwrap(), receivers)
    }

    fn connect(acceptor: &Acceptor) -> TcpStream {
        TcpStream::connect(acceptor.addresses()[0].address).unwrap()
    }

    fn is_closed(mut client: TcpStream) -> bool {
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        matches!(client.read(&mut [0]), Ok(0))
            || matches!(client.read(&mut [0]), Err(error) if error.kind() == ErrorKind::ConnectionReset)
    }

    #[test]
    fn workers_get_connections_in_turn() {
        let (acceptor, mut workers) = start(100, 2, 16);
        let clients: Vec<_> = (0..6).map(|_| connect(&acceptor)).collect();
        for round in 0..3 {
            for (index, worker) in workers.iter_mut().enumerate() {
                let arrival = worker.blocking_recv().unwrap();
                let client = &clients[round * 2 + index];
                assert_eq!(arrival.socket.peer_addr().unwrap(), client.local_addr().unwrap());
            }
        }
        acceptor.stop();
    }

    #[test]
    fn above_the_bound_a_connection_is_closed_until_a_permit_returns() {
        let (acceptor, mut workers) = start(2, 1, 16);
        let _clients = [connect(&acceptor), connect(&acceptor)];
        let first = workers[0].blocking_recv().unwrap();
        let _second = workers[0].blocking_recv().unwrap();
        assert!(is_closed(connect(&acceptor)));
        drop(first);
        let late = connect(&acceptor);
        assert_eq!(workers[0].blocking_recv().unwrap().socket.peer_addr().unwrap(), late.local_addr().unwrap());
        acceptor.stop();
    }

    #[test]
    fn a_full_worker_is_skipped() {
        let (acceptor, mut workers) = start(100, 2, 1);
        let clients: Vec<_> = (0..2).map(|_| connect(&acceptor)).collect();
        assert!(workers[1].blocking_recv().is_some(), "the second went to the second worker");
        let third = connect(&acceptor);
        assert_eq!(workers[1].blocking_recv().unwrap().socket.peer_addr().unwrap(), third.local_addr().unwrap());
        assert!(workers[0].blocking_recv().is_some());
        drop(clients);
        acceptor.stop();
    }

    #[test]
    fn a_stop_closes_the_listening_sockets_at_once() {
        let (acceptor, _workers) = start(100, 1, 1);
        let address = acceptor.addresses()[0].address;
        let began = Instant::now();
        acceptor.stop();
        assert!(began.elapsed() < Duration::from_secs(2));
        assert!(TcpStream::connect(address).is_err());
    }
}
