//! The reactors: threads that own sockets from the handshake to the close, and fan publications out
//! to them.
//!
//! A reactor is one thread, one readiness loop, one slab of peers and one inbox. Joining and
//! broadcasting happen on the thread that owns the peer, so they never race and need no lock. A
//! task per socket, or a lock around a shared list of them, would cost each broadcast a wake-up or
//! a wait per peer.
//!
//! The way of a broadcast: the sequencer puts one [`Publication`] into every `inbox`; the
//! `event_loop` takes it out; `broadcast` writes it to each peer's socket in turn. `join` admits
//! peers, `read` decodes what they send, `credentials` watches what may end, `close` ends them. A
//! reactor never waits for a peer or for another reactor, and knows no JSON. A panic costs a
//! reactor its own peers, which reconnect, and nothing else (`start_over`).
//!
//! # Tried, and did not pay
//! Measured with `benches/side_by_side` on two cores; medians of five interleaved rounds unless
//! stated.
//!
//! RSS and kernel memory are per socket and CPU is per handshake, unless the row says otherwise;
//! "spread" marks a difference within the spread of the rounds.
//!
//! | change (rounds, if not five) | without | with |
//! |---|--:|--:|
//! | mimalloc's huge pages: RSS of an empty server | 9.2 MB | 19.8 MB |
//! | mimalloc 2 for 3: RSS after 10,000 joined at once (1) | 290 B | 222 B, unpurged 7,401 B |
//! | freed pages returned at once, not once per second: CPU (6) | 71 µs | 79 µs |
//! | … and RSS | 528 B | 250 B |
//! | six socket options set that a socket inherits from its listener: CPU | 67.1 µs | 74.6 µs |
//! | tokio registration before the first try to read: CPU (10) | 80 µs | 104 µs |
//! | a second try to read before tokio waits for the request: CPU (3) | 37 µs | 41 µs |
//! | `SO_SNDBUF` of 24 KiB for 12: kernel memory of a stalled peer (1) | 52 KiB | 96 KiB |
//! | … of 8 KiB (1) | 52 KiB | 48 KiB |
//! | … of 4 KiB (1) | 52 KiB | 52 KiB |
//! | a file table per reactor thread: CPU (7); a frame costs the same | 47 µs | 54 µs |
//! | HTTP head and body copied, for `writev`: CPU per registration | 24.9 µs | 24.5 µs (spread) |
//! | broadcast by io_uring, in the floor at 3,000 sockets: CPU per frame | 10.5 µs | 10.6 µs (spread) |
//! | … at 19,900 sockets | 13.1 µs | 14.1 µs (spread) |
//! | … with its files registered, at 3,000 sockets | 10.5 µs | 10.5 µs (spread) |
//! | … at 19,900 sockets | 13.1 µs | 15.0 µs (spread) |
//! | `state_sync` encoded on demand: it takes below 0.5 % of a registration | | not built |

#[cfg(test)]
mod autobahn;
mod broadcast;
mod close;
mod credentials;
mod event_loop;
#[cfg(test)]
mod faults;
mod inbox;
mod join;
mod read;
mod start_over;
#[cfg(test)]
mod testing;

pub use inbox::{Admission, Join, Publication};

use crate::base::threads::{PendingProbe, probe};
use crate::live::limits::Limits;
use crate::live::message_handler::{Action, MessageHandler};
use crate::live::{CloseCode, PeerId};
use bytes::Bytes;
use crossbeam::channel::{TrySendError, bounded};
use event_loop::EventLoop;
use inbox::{Inbox, Job, ReactorHandle, WAKER, Wakeup};
use mio::{Poll, Waker};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Handles to all reactors. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reactors {
    handles: Arc<[ReactorHandle]>,
    /// The reactor that the next socket goes to. Relaxed: it only has to spread them.
    next: Arc<AtomicUsize>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Reactors {
    /// Starts `count` reactor threads, at least one; `new_handler` makes a message handler for
    /// each.
    ///
    /// # Errors
    /// When the operating system gives no thread or readiness queue.
    pub fn start(count: usize, new_handler: impl Fn() -> Box<dyn MessageHandler>) -> std::io::Result<Self> {
        Self::start_with_limits(Limits::default(), count, new_handler)
    }

    /// Like [`start`](Self::start), with limits other than the defaults.
    ///
    /// # Errors
    /// When the operating system gives no thread or readiness queue.
    pub fn start_with_limits(
        limits: Limits,
        count: usize,
        new_handler: impl Fn() -> Box<dyn MessageHandler>,
    ) -> std::io::Result<Self> {
        let (mut handles, mut ends) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for _ in 0..count.max(1) {
            let poll = Poll::new()?;
            let wakeup = Arc::new(Wakeup::new(Waker::new(poll.registry(), WAKER)?));
            let (sender, jobs) = bounded(limits.inbox_jobs_max);
            handles.push(ReactorHandle::new(sender, wakeup.clone()));
            ends.push((poll, jobs, wakeup));
        }
        let reactors = Self { handles: handles.into(), next: Arc::default(), threads: Arc::default() };
        for (index, (poll, jobs, wakeup)) in ends.into_iter().enumerate() {
            let inbox = Inbox { jobs, wakeup, handles: reactors.handles.clone() };
            let event_loop = EventLoop::new(index as u16, limits.clone(), poll, inbox, new_handler());
            let thread = std::thread::Builder::new().name(thread_name(index));
            reactors.lock_threads().push(thread.spawn(move || event_loop.run())?);
        }
        Ok(reactors)
    }

    /// Jobs in the fullest inbox.
    pub fn inbox_depth(&self) -> usize {
        self.handles.iter().map(ReactorHandle::inbox_depth).max().unwrap_or(0)
    }

    /// Buffers in the fullest outbox, as of each reactor's last scan.
    pub fn outbox_depth(&self) -> usize {
        self.handles.iter().map(|handle| handle.outbox_depth.load(Relaxed)).max().unwrap_or(0)
    }

    /// Hands a publication to every reactor; waits while an inbox is full. Called by one thread
    /// alone: the sequencer, or on an edge the link to the origin.
    pub fn publish(&self, publication: Arc<Publication>) {
        self.handles.iter().for_each(|handle| handle.send(Job::Publish(publication.clone())));
    }

    /// Sends whole frames to one peer, as [`Reactors::act`] does.
    pub fn unicast(&self, peer: PeerId, frames: Bytes) {
        self.act(peer, Action::Reply(frames));
    }

    /// Carries out an action on one peer, after everything published before; waits while the inbox
    /// is full. Called by the thread that publishes.
    pub fn act(&self, peer: PeerId, action: Action) {
        if let Some(handle) = self.handles.get(usize::from(peer.reactor)) {
            handle.send(Job::Act(peer, action));
        }
    }

    /// Hands a socket to the next reactor, or closes it with 1012 when that reactor has stopped.
    ///
    /// # Errors
    /// Returns the socket when the reactor's inbox is full. The caller may retry, or call
    /// [`Join::reject`].
    pub fn try_join(&self, join: Box<Join>) -> Result<(), Box<Join>> {
        let handle = &self.handles[self.next.fetch_add(1, Relaxed) % self.handles.len()];
        match handle.try_send(Job::Join(join)) {
            Err(TrySendError::Full(Job::Join(join))) => return Err(join),
            Err(TrySendError::Disconnected(Job::Join(join))) => join.reject(CloseCode::Restarting),
            Ok(()) | Err(_) => {}
        }
        Ok(())
    }

    /// Like [`try_join`](Self::try_join), and closes the socket with 1013 when the inbox is full.
    pub fn join(&self, join: Join) {
        if let Err(join) = self.try_join(Box::new(join)) {
            join.reject(CloseCode::Overloaded);
        }
    }

    /// Sends a liveness probe to every reactor; waits for room in an inbox until `deadline`.
    pub fn probe(&self, deadline: Instant) -> Vec<PendingProbe> {
        let send = |(index, handle): (usize, &ReactorHandle)| {
            probe(thread_name(index), |liveness| handle.send_by(Job::Probe(liveness), deadline))
        };
        self.handles.iter().enumerate().map(send).collect()
    }

    /// Closes every peer with 1012, spread over `spread`, waits at most `drain_max` for them to
    /// leave, and ends the threads.
    pub fn stop(&self, spread: Duration, drain_max: Duration) {
        let threads = std::mem::take(&mut *self.lock_threads());
        if threads.is_empty() {
            return;
        }
        self.handles.iter().for_each(|handle| handle.send(Job::Stop { spread, drain_max }));
        for thread in threads {
            // It has not panicked: it catches panics, and one that it cannot end the process.
            let _ = thread.join();
        }
    }

    fn lock_threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        // The list is only pushed to and taken, so a thread that panicked left nothing half done.
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reactor thread's name, in `top` and in the watchdog's log.
fn thread_name(index: usize) -> String {
    format!("socket-{index}")
}
