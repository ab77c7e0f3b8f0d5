//! The one thread that accepts, and does nothing else: it takes every connection at once and deals them out to the workers in
//! turn.
//!
//! Accepting on the workers would let a busy one leave phones waiting in the kernel, whose queue is the only place where they
//! can be refused without a word. Connections are bounded here, before anything is spent on them. This thread never reads from
//! a connection.

use crate::base::threads::EndProcessOnPanic;
use crate::http::listener::{Address, Listener, Protocol};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long to leave off accepting when the process has no descriptor or memory left: accepting on would spin.
const PAUSE: Duration = Duration::from_millis(50);

/// The stop door's token; the listeners' are their indices.
const STOP: Token = Token(usize::MAX);

/// A connection that has come in, and its seat.
#[derive(Debug)]
pub struct Arrival {
    /// Non-blocking.
    pub socket: TcpStream,
    /// What is spoken where it came in.
    pub speech: Protocol,
    pub seat: ConnectionPermit,
}

/// One connection's place in the count; dropping it gives it back. A socket that leaves for its stage gives it back too: from
/// then on it is counted there.
#[derive(Debug)]
pub struct ConnectionPermit {
    /// Written by the listener, and by whoever drops a seat. Relaxed: the count stands alone, and nothing is read on the
    /// strength of it.
    taken: Arc<AtomicUsize>,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Relaxed);
    }
}

/// How many seats there are: what the sockets on the stages leave of all connections. Asked once for each batch of arrivals.
pub type ConnectionBudget = Box<dyn Fn() -> usize + Send>;

/// The thread that accepts. Dropping it leaves the thread running: call [`Acceptor::stop`].
#[derive(Debug)]
pub struct Acceptor {
    addresses: Vec<Address>,
    /// Written once, by [`Acceptor::stop`], and read by the thread. Relaxed: the waker's system call after it makes the thread
    /// look again.
    stopping: Arc<AtomicBool>,
    waker: Waker,
    thread: JoinHandle<()>,
}

impl Acceptor {
    /// Begins to accept from `gates`, which listen and do not block, and to deal out to `doors`.
    ///
    /// # Errors
    /// When the operating system gives no thread or readiness queue.
    pub fn start(gates: Vec<Listener>, doors: Vec<mpsc::Sender<Arrival>>, seats: ConnectionBudget) -> io::Result<Self> {
        let addresses = gates.iter().map(Listener::address).collect::<io::Result<_>>()?;
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), STOP)?;
        let mut listeners: Vec<(TcpListener, Protocol)> =
            gates.into_iter().map(|gate| (TcpListener::from_std(gate.socket), gate.speech)).collect();
        for (index, (listener, _)) in listeners.iter_mut().enumerate() {
            poll.registry().register(listener, Token(index), Interest::READABLE)?;
        }
        let stopping = Arc::new(AtomicBool::new(false));
        let dealer = Dealer { doors, next: 0, taken: Arc::default(), seats, stopping: Arc::clone(&stopping) };
        let run = move || {
            // Without it nobody would be let in any more, and nobody told.
            let _guard = EndProcessOnPanic;
            accept_all(poll, listeners, dealer);
        };
        let thread = std::thread::Builder::new().name("listener".into()).spawn(run)?;
        Ok(Self { addresses, stopping, waker, thread })
    }

    /// The addresses that are listened on, with the ports that were given.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Stops accepting and closes the listening sockets. Blocks until that is done, at most for a pause.
    pub fn stop(self) {
        self.stopping.store(true, Relaxed);
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "the listener cannot be woken, and is left behind");
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
        let seats = (dealer.seats)();
        // Readiness is told once, so each is accepted from until it would block.
        listeners.iter().for_each(|(listener, speech)| dealer.accept_from(listener, *speech, seats));
    }
}

/// Deals connections out to the workers in turn.
struct Dealer {
    doors: Vec<mpsc::Sender<Arrival>>,
    next: usize,
    taken: Arc<AtomicUsize>,
    seats: ConnectionBudget,
    stopping: Arc<AtomicBool>,
}

impl Dealer {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// Accepts until nobody waits. `seats`: how many there were when this began.
    fn accept_from(&mut self, listener: &TcpListener, speech: Protocol, seats: usize) {
        while !self.is_stopping() {
            match listener.accept() {
                Ok((socket, _)) => self.deal(socket.into(), speech, seats),
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

    /// Gives a connection to the next worker that has room; it is closed when the house or every worker is full.
    fn deal(&mut self, socket: TcpStream, speech: Protocol, seats: usize) {
        if self.taken.load(Relaxed) >= seats {
            return tracing::debug!("a connection is closed: the house is full");
        }
        self.taken.fetch_add(1, Relaxed);
        let mut arrival = Arrival { socket, speech, seat: ConnectionPermit { taken: Arc::clone(&self.taken) } };
        for _ in 0..self.doors.len() {
            let door = &self.doors[self.next];
            self.next = (self.next + 1) % self.doors.len();
            match door.try_send(arrival) {
                Ok(()) => return,
                Err(refused) => arrival = refused.into_inner(),
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

    fn start(connections_max: usize, doors: usize, depth: usize) -> (Acceptor, Vec<mpsc::Receiver<Arrival>>) {
        let (senders, receivers) = (0..doors).map(|_| mpsc::channel(depth)).unzip();
        let gates = Listener::open(&[BindAddress::parse("127.0.0.1:0").unwrap()], Protocol::Plain, true).unwrap();
        (Acceptor::start(gates, senders, Box::new(move || connections_max)).unwrap(), receivers)
    }

    fn connect(listener: &Acceptor) -> TcpStream {
        TcpStream::connect(listener.addresses()[0].address).unwrap()
    }

    fn is_closed(mut client: TcpStream) -> bool {
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        matches!(client.read(&mut [0]), Ok(0))
            || matches!(client.read(&mut [0]), Err(error) if error.kind() == ErrorKind::ConnectionReset)
    }

    #[test]
    fn connections_are_dealt_out_in_turn() {
        let (listener, mut doors) = start(100, 2, 16);
        let clients: Vec<_> = (0..6).map(|_| connect(&listener)).collect();
        for round in 0..3 {
            for (index, door) in doors.iter_mut().enumerate() {
                let arrival = door.blocking_recv().unwrap();
                let client = &clients[round * 2 + index];
                assert_eq!(arrival.socket.peer_addr().unwrap(), client.local_addr().unwrap());
            }
        }
        listener.stop();
    }

    #[test]
    fn above_the_bound_a_connection_is_closed_until_a_seat_is_given_back() {
        let (listener, mut doors) = start(2, 1, 16);
        let _clients = [connect(&listener), connect(&listener)];
        let first = doors[0].blocking_recv().unwrap();
        let _second = doors[0].blocking_recv().unwrap();
        assert!(is_closed(connect(&listener)));
        drop(first);
        let late = connect(&listener);
        assert_eq!(doors[0].blocking_recv().unwrap().socket.peer_addr().unwrap(), late.local_addr().unwrap());
        listener.stop();
    }

    #[test]
    fn a_full_worker_is_passed_over() {
        let (listener, mut doors) = start(100, 2, 1);
        let clients: Vec<_> = (0..2).map(|_| connect(&listener)).collect();
        assert!(doors[1].blocking_recv().is_some(), "the second went to the second worker");
        let third = connect(&listener);
        assert_eq!(doors[1].blocking_recv().unwrap().socket.peer_addr().unwrap(), third.local_addr().unwrap());
        assert!(doors[0].blocking_recv().is_some());
        drop(clients);
        listener.stop();
    }

    #[test]
    fn a_stop_closes_the_doors_at_once() {
        let (listener, _doors) = start(100, 1, 1);
        let address = listener.addresses()[0].address;
        let began = Instant::now();
        listener.stop();
        assert!(began.elapsed() < Duration::from_secs(2));
        assert!(TcpStream::connect(address).is_err());
    }
}
