//! The stages: threads that own sockets from the handshake to the close, and the doors through which they are told what to do.
//!
//! A stage is one thread, one readiness loop, one slab of peers and one inbox. Joining and broadcasting happen on the thread that owns the peer, so
//! they never race and need no lock; a task a socket, or a lock around a shared list of them, would cost each broadcast a wake-up or a wait a peer.
//! The thread's work is in `floor`: what comes in at the doors (`entrance`, `broadcast`), what peers say (`ear`), and how they leave (`exit`).
//! A stage never waits for a peer or for another stage, and knows no JSON.
//!
//! # What was tried and did not pay
//! Measured as `benches/side_by_side` does, on two cores; medians of five interleaved rounds where no other number stands.
//!
//! | what | before | with it |
//! |---|--:|--:|
//! | mimalloc's huge pages: RSS of an empty server | 9.2 MB without | 19.8 MB |
//! | mimalloc 2 for 3, RSS a socket after 10,000 came at once (one run) | 290 B | 222 B, and 7,401 B unless it is told to purge |
//! | freed pages given back at once instead of once a second, CPU a handshake (six rounds) | 71 µs | 79 µs, for 250 B a socket instead of 528 |
//! | six settings made on each socket that it has from its listener, CPU a handshake | 67.1 µs | 74.6 µs |
//! | a connection watched by tokio before it is tried, CPU a handshake (ten rounds) | 80 µs | 104 µs |
//! | a request that is not there yet tried for twice before tokio watches its connection, CPU a handshake (three rounds) | 37 µs | 41 µs |
//! | `SO_SNDBUF` of 24, 8 or 4 KiB instead of 12: the kernel holds of a stalled peer (one run each) | 52 KiB | 96, 48 and 52 KiB |
//! | a file table a stage thread, CPU a handshake (seven rounds) | 47 µs | 54 µs, and a frame costs the same |
//! | head and body of an answer copied into one buffer instead of `writev`, CPU a registration | 24.9 µs | 24.5 µs, within the spread |
//! | `state_sync` encoded only when it is asked for | below 0.5 % of a registration's samples | not built |

mod broadcast;
mod close;
mod event_loop;
mod join;
mod read;
#[cfg(test)]
mod testing;

use crate::base::threads::{LivenessProbe, PendingProbe, probe};
use crate::live::limits::Limits;
use crate::live::peer::close_frame;
use crate::live::protocol::{MessageHandler, Since};
use crate::live::publication::Publication;
use crate::live::room::Room;
use crate::live::{CloseCode, Identity, PeerId, Role};
use crate::tls::session::TlsSession;
use crate::wire::join_frames;
use bytes::Bytes;
use crossbeam::channel::{Receiver, SendTimeoutError, Sender, TrySendError, bounded};
use event_loop::EventLoop;
use mio::{Poll, Token, Waker};
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A socket that has shaken hands and comes to its stage.
#[derive(Debug)]
pub struct Join {
    /// Does not block, and is no longer known to any other readiness loop.
    pub socket: TcpStream,
    /// Its TLS, if it speaks any.
    pub cipher: Option<Box<TlsSession>>,
    /// The answer to its handshake, as far as it has yet to be sent.
    pub answer: Bytes,
    /// What hyper had read beyond the handshake.
    pub read_ahead: Bytes,
    pub entry: Entry,
}

/// How a socket enters.
#[derive(Clone, Debug)]
pub enum Entry {
    /// It is this role, and a phone may have proved a number; one of an older session is turned away with 4401.
    Admitted { room: Arc<Room>, role: Role, identity: Option<Identity>, since: Option<Since> },
    /// It has 5 seconds to prove this role by its first message.
    Awaiting { room: Arc<Room>, role: Role, since: Option<Since> },
    /// It is told this code and closed: a browser sees no reason in a refused handshake.
    Turned { code: CloseCode },
}

impl Join {
    /// Closes a socket that cannot join.
    pub fn turn_away(mut self, code: CloseCode) {
        // As far as the kernel takes it at once: there is no stage to care for this socket.
        let last = join_frames([&self.answer, &close_frame(Some(code as u16))]);
        if let Some(cipher) = &mut self.cipher {
            let _ = cipher.write(&mut self.socket, &last);
            cipher.finish(&mut self.socket);
        } else {
            let _ = self.socket.write(&last);
        }
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

/// The doors to all stages. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reactors {
    doors: Arc<[ReactorHandle]>,
    /// Which stage the next socket goes to. Relaxed: it only has to spread them.
    next: Arc<AtomicUsize>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// What a stage is told.
#[derive(Debug)]
enum Order {
    Publish(Arc<Publication>),
    Unicast(PeerId, Bytes),
    Join(Box<Join>),
    /// Close a peer whose number has one socket too many: the newest is on another stage.
    Replace(PeerId),
    /// Let go of this: somebody asks whether the stage still comes round to its work.
    Probe(LivenessProbe),
    Stop {
        spread: Duration,
        patience: Duration,
    },
}

/// The way into one stage.
#[derive(Debug)]
struct ReactorHandle {
    orders: Sender<Order>,
    bell: Arc<Wakeup>,
    /// Frames queued for the peer furthest behind, at the last scan. Written by the stage; relaxed, since it is for looking at.
    deepest: AtomicUsize,
}

/// Wakes a stage, once for a burst of orders: a wake-up is a system call.
#[derive(Debug)]
struct Wakeup {
    /// Whether the stage has been woken and has not yet begun to empty its inbox. Set by who orders, cleared by the stage.
    rung: AtomicBool,
    waker: Waker,
}

impl Reactors {
    /// Starts `count` stage threads, at least one; `interpreter` makes each its own protocol.
    ///
    /// # Errors
    /// When the operating system gives no thread or readiness queue.
    pub fn start(count: usize, interpreter: impl Fn() -> Box<dyn MessageHandler>) -> std::io::Result<Self> {
        Self::start_within(Limits::default(), count, interpreter)
    }

    /// The same, with bounds and waits of one's own.
    ///
    /// # Errors
    /// When the operating system gives no thread or readiness queue.
    pub fn start_within(
        limits: Limits,
        count: usize,
        interpreter: impl Fn() -> Box<dyn MessageHandler>,
    ) -> std::io::Result<Self> {
        let (mut doors, mut insides) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for _ in 0..count.max(1) {
            let poll = Poll::new()?;
            let bell = Arc::new(Wakeup { rung: AtomicBool::new(false), waker: Waker::new(poll.registry(), event_loop::WAKER)? });
            let (orders, inbox) = bounded(limits.inbox_orders_max);
            doors.push(ReactorHandle { orders, bell: bell.clone(), deepest: AtomicUsize::new(0) });
            insides.push((poll, bell, inbox));
        }
        let stages = Self { doors: doors.into(), next: Arc::default(), threads: Arc::default() };
        for (index, (poll, bell, inbox)) in insides.into_iter().enumerate() {
            let mailbox = Inbox { inbox, bell, doors: stages.doors.clone() };
            let floor = EventLoop::new(index as u16, limits.clone(), poll, mailbox, interpreter());
            let thread = std::thread::Builder::new().name(format!("socket-{index}"));
            stages.threads().push(thread.spawn(move || floor.run())?);
        }
        Ok(stages)
    }

    /// Orders that wait for the stage with the most of them.
    pub fn inbox_depth(&self) -> usize {
        self.doors.iter().map(|door| door.orders.len()).max().unwrap_or(0)
    }

    /// Frames queued for the peer furthest behind, as of each stage's last scan.
    pub fn outbox_depth(&self) -> usize {
        self.doors.iter().map(|door| door.deepest.load(Ordering::Relaxed)).max().unwrap_or(0)
    }

    /// Hands a publication to every stage; waits where an inbox is full. Called by the sequencer alone.
    pub fn publish(&self, publication: Arc<Publication>) {
        self.doors.iter().for_each(|door| door.put(Order::Publish(publication.clone())));
    }

    /// Sends whole frames to one peer, after everything published before. Called by the sequencer alone; waits where the inbox is full.
    pub fn whisper(&self, peer: PeerId, frames: Bytes) {
        if let Some(door) = self.doors.get(usize::from(peer.stage)) {
            door.put(Order::Unicast(peer, frames));
        }
    }

    /// Hands a socket to the next stage, or closes it with 1012 when that has stopped.
    ///
    /// # Errors
    /// The socket comes back when the stage's inbox is full: another try may find room, and [`Join::turn_away`] says no.
    pub fn try_join(&self, join: Box<Join>) -> Result<(), Box<Join>> {
        let door = &self.doors[self.next.fetch_add(1, Ordering::Relaxed) % self.doors.len()];
        match door.try_put(Order::Join(join)) {
            Err(TrySendError::Full(Order::Join(join))) => return Err(join),
            Err(TrySendError::Disconnected(Order::Join(join))) => join.turn_away(CloseCode::Restarting),
            Ok(()) | Err(_) => {}
        }
        Ok(())
    }

    /// The same, and a stage that is full closes it with 1013.
    pub fn join(&self, join: Join) {
        if let Err(join) = self.try_join(Box::new(join)) {
            join.turn_away(CloseCode::Overloaded);
        }
    }

    /// Calls every stage; waits for room until `deadline`.
    pub fn call(&self, deadline: Instant) -> Vec<PendingProbe> {
        let call = |(index, door): (usize, &ReactorHandle)| {
            probe(format!("socket-{index}"), |call| door.put_by(Order::Probe(call), deadline))
        };
        self.doors.iter().enumerate().map(call).collect()
    }

    /// Tells every peer 1012, spread over `spread`, waits at most `patience` for them to go, and ends the threads.
    pub fn stop(&self, spread: Duration, patience: Duration) {
        let threads = std::mem::take(&mut *self.threads());
        if threads.is_empty() {
            return;
        }
        self.doors.iter().for_each(|door| door.put(Order::Stop { spread, patience }));
        for thread in threads {
            // It has not panicked: that would have ended the process.
            let _ = thread.join();
        }
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        // It guards a list that is pushed to and taken: never half done.
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReactorHandle {
    /// Puts an order in, and waits while the inbox is full. One to a stage that has ended is dropped: it has no peers left.
    fn put(&self, order: Order) {
        if self.orders.send(order).is_ok() {
            self.bell.ring();
        }
    }

    /// Puts an order in, or says that there was no room until `deadline`. A stage that has ended drops it.
    fn put_by(&self, order: Order, deadline: Instant) -> bool {
        let put = self.orders.send_deadline(order, deadline);
        self.bell.ring();
        !matches!(put, Err(SendTimeoutError::Timeout(_)))
    }

    /// Puts an order in, or gives it back at once.
    fn try_put(&self, order: Order) -> Result<(), TrySendError<Order>> {
        self.orders.try_send(order)?;
        self.bell.ring();
        Ok(())
    }
}

impl Wakeup {
    /// Wakes the stage unless somebody has just done so. Called after the order is in the inbox: release pairs with the acquire of
    /// [`Wakeup::answer`], so whoever finds the bell rung already knows that the stage will look after this order came in.
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // It can fail only when the descriptor is gone, and then so is the stage.
            let _ = self.waker.wake();
        }
    }

    /// Notes that the stage begins to empty its inbox: an order from now on has to ring again.
    fn answer(&self) {
        self.rung.swap(false, Ordering::AcqRel);
    }
}

/// The inner side of a stage's door, and its way to the other stages.
struct Inbox {
    inbox: Receiver<Order>,
    bell: Arc<Wakeup>,
    doors: Arc<[ReactorHandle]>,
}

/// A peer's slot as the readiness queue names it.
fn token(slot: u32) -> Token {
    Token(slot as usize)
}
