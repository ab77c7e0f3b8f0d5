//! The way into a reactor: its bounded inbox, what may be put there, and the coalesced wake-up.
//!
//! A wake-up is a system call, so a burst of jobs makes one. The bound makes a fast sequencer wait
//! for the slowest reactor instead of filling the memory. Jobs leave the inbox in the order in
//! which they came; a job must never wait for a peer.

use crate::base::threads::LivenessProbe;
use crate::draw::{DrawId, Number};
use crate::live::message_handler::{Action, ResumePoint, RevocableCredential};
use crate::live::peer::close_frame;
use crate::live::room::{Room, Snapshot};
use crate::live::{ByRole, CloseCode, Identity, PeerId, Role};
use crate::tls::session::TlsSession;
use crate::wire::join_frames;
use bytes::Bytes;
use crossbeam::channel::{Receiver, SendTimeoutError, Sender, TrySendError};
use mio::{Token, Waker};
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;

/// The wake-up's token in the readiness queue: no slot is so high.
pub const WAKER: Token = Token(usize::MAX);

/// A broadcast to one room: the sequencer hands one to each reactor, whatever the number of peers.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The room of the event.
    pub room: Arc<Room>,
    /// The event after this publication.
    pub snapshot: Arc<Snapshot>,
    /// Whole WebSocket frames per role, one or several back to back; `None` sends nothing to that
    /// role.
    pub frames: ByRole<Option<Bytes>>,
    /// The draw that these frames announce, so that their delivery is counted.
    pub announces: Option<DrawId>,
    /// The code with which the room closes after these frames, if it does.
    pub closes: Option<CloseCode>,
    /// Roles that have to prove themselves again because a link was revoked. They are closed with
    /// 1012 and reconnect as what they still are.
    pub reauthenticate: ByRole<bool>,
}

/// A socket after its handshake, on its way to a reactor.
#[derive(Debug)]
pub struct Join {
    /// The socket: non-blocking, and registered with no other readiness loop.
    pub socket: TcpStream,
    /// The TLS session, if there is one.
    pub tls: Option<Box<TlsSession>>,
    /// The part of the handshake's response that is not sent yet.
    pub response: Bytes,
    /// Bytes that hyper had read beyond the handshake.
    pub read_ahead: Bytes,
    /// The decision about the socket.
    pub admission: Admission,
    /// Its place among all connections, held until its descriptor is closed; `None` where nobody
    /// counts.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// The decision about a socket that joins.
#[derive(Clone, Debug)]
pub enum Admission {
    /// It has this role. A number of an earlier session is closed with 4401.
    Admitted {
        /// The room that it joins.
        room: Arc<Room>,
        /// The role that it has.
        role: Role,
        /// The number that a phone has proved.
        identity: Option<Identity>,
        /// The credential that has proved its role, if it may end: the peer is then closed with
        /// 4401.
        credential: Option<RevocableCredential>,
        /// The last frame that it has received, if it returns.
        since: Option<ResumePoint>,
    },
    /// It has 5 seconds to prove this role by its first message.
    PendingAuth {
        /// The room that it joins.
        room: Arc<Room>,
        /// The role that it asks for.
        role: Role,
        /// The last frame that it has received, if it returns.
        since: Option<ResumePoint>,
    },
    /// It is closed with this code after the handshake, since a browser hides the reason of a
    /// refused handshake.
    Rejected {
        /// The close frame's code.
        code: CloseCode,
    },
}

impl Join {
    /// A plain socket whose handshake is answered, uncounted.
    pub fn new(socket: TcpStream, admission: Admission) -> Self {
        let (response, read_ahead) = (Bytes::new(), Bytes::new());
        Self { socket, tls: None, response, read_ahead, admission, permit: None }
    }

    /// Closes a socket that cannot join.
    pub fn reject(mut self, code: CloseCode) {
        // Only what the kernel takes at once is sent: no reactor owns this socket.
        let last = join_frames([&self.response, &close_frame(Some(code as u16))]);
        if let Some(tls) = &mut self.tls {
            let _ = tls.write(&mut self.socket, &last);
            tls.close_notify(&mut self.socket);
        } else {
            let _ = self.socket.write(&last);
        }
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

/// A job for a reactor.
#[derive(Debug)]
pub enum Job {
    Publish(Arc<Publication>),
    /// Carry out an action that a message handler decided later, if the peer is still here.
    Act(PeerId, Action),
    Join(Box<Join>),
    /// Close this peer if it still has this number: a newer socket of the number joined another
    /// reactor.
    Replace(PeerId, Number),
    /// Drop this probe, which tells its sender that the reactor still does its work.
    Probe(LivenessProbe),
    Stop {
        spread: Duration,
        drain_max: Duration,
    },
}

/// The sending side of a reactor's inbox.
#[derive(Debug)]
pub struct ReactorHandle {
    jobs: Sender<Job>,
    wakeup: Arc<Wakeup>,
    /// Buffers in the fullest outbox at the last scan. Written by the reactor; relaxed, since it is
    /// for reading only.
    pub outbox_depth: AtomicUsize,
}

impl ReactorHandle {
    pub fn new(jobs: Sender<Job>, wakeup: Arc<Wakeup>) -> Self {
        Self { jobs, wakeup, outbox_depth: AtomicUsize::new(0) }
    }

    pub fn inbox_depth(&self) -> usize {
        self.jobs.len()
    }

    /// Sends a job; waits while the inbox is full. A reactor that has ended drops it: it has no
    /// peers left.
    pub fn send(&self, job: Job) {
        if self.jobs.send(job).is_ok() {
            self.wakeup.wake();
        }
    }

    /// Sends a job; false when the inbox was full until `deadline`. A reactor that has ended drops
    /// the job.
    pub fn send_by(&self, job: Job, deadline: Instant) -> bool {
        let sent = self.jobs.send_deadline(job, deadline);
        self.wakeup.wake();
        !matches!(sent, Err(SendTimeoutError::Timeout(_)))
    }

    /// Sends a job, or returns it at once.
    pub fn try_send(&self, job: Job) -> Result<(), TrySendError<Job>> {
        self.jobs.try_send(job)?;
        self.wakeup.wake();
        Ok(())
    }
}

/// The wake-up of a reactor, coalesced: one system call per burst of jobs.
#[derive(Debug)]
pub struct Wakeup {
    /// Has the reactor been woken and not yet started to empty its inbox? Set by senders, cleared
    /// by the reactor.
    is_pending: AtomicBool,
    waker: Waker,
}

impl Wakeup {
    pub fn new(waker: Waker) -> Self {
        Self { is_pending: AtomicBool::new(false), waker }
    }

    /// Wakes the reactor unless a wake-up is pending. Called after the job is in the inbox: release
    /// pairs with the acquire of [`Wakeup::clear`]. So a sender that finds a pending wake-up knows
    /// that the reactor looks again after its job came in.
    fn wake(&self) {
        if !self.is_pending.swap(true, Ordering::AcqRel) {
            // It fails only when the descriptor is closed, and then the reactor has ended.
            let _ = self.waker.wake();
        }
    }

    /// Notes that the reactor starts to empty its inbox: a later job needs another wake-up.
    pub fn clear(&self) {
        self.is_pending.swap(false, Ordering::AcqRel);
    }
}

/// The receiving side of a reactor's inbox, and its handles to the other reactors.
pub struct Inbox {
    pub jobs: Receiver<Job>,
    pub wakeup: Arc<Wakeup>,
    pub handles: Arc<[ReactorHandle]>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam::channel::bounded;
    use mio::{Events, Poll};

    /// Wake-ups that the readiness queue has received since the last call.
    fn wakeups(poll: &mut Poll) -> usize {
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        events.iter().count()
    }

    #[test]
    fn a_burst_of_jobs_wakes_once_and_a_later_job_wakes_again() {
        let mut poll = Poll::new().unwrap();
        let wakeup = Arc::new(Wakeup::new(Waker::new(poll.registry(), WAKER).unwrap()));
        let (sender, jobs) = bounded(8);
        let handle = ReactorHandle::new(sender, wakeup.clone());
        let send = || handle.send(Job::Stop { spread: Duration::ZERO, drain_max: Duration::ZERO });
        send();
        assert_eq!(wakeups(&mut poll), 1);
        send();
        assert_eq!((wakeups(&mut poll), handle.inbox_depth()), (0, 2), "the reactor has not looked yet");
        wakeup.clear();
        assert_eq!(jobs.try_iter().count(), 2);
        send();
        assert_eq!(wakeups(&mut poll), 1);
    }

    #[test]
    fn a_full_inbox_returns_the_job_and_a_closed_one_drops_it() {
        let poll = Poll::new().unwrap();
        let (sender, jobs) = bounded(1);
        let handle = ReactorHandle::new(sender, Arc::new(Wakeup::new(Waker::new(poll.registry(), WAKER).unwrap())));
        let replace = || Job::Replace(PeerId { reactor: 0, slot: 0, generation: 1 }, Number(1));
        assert!(handle.try_send(replace()).is_ok());
        assert!(matches!(handle.try_send(replace()), Err(TrySendError::Full(Job::Replace(..)))));
        assert!(!handle.send_by(replace(), Instant::now()));
        drop(jobs);
        handle.send(replace());
        assert!(handle.send_by(replace(), Instant::now()), "no reactor is left to be late");
    }
}
