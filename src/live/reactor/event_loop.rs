//! The state of a reactor's thread and its loop: readiness events, then jobs, then the scan of
//! deadlines.
//!
//! Readiness is edge-triggered and registered once per socket for both directions, so a peer that
//! falls behind costs no further system call. The scan runs once per second over all peers; a timer
//! per peer would cost memory and a queue operation per byte received.
//!
//! Any helper may remove the peer that it works on, while its callers go on with the slot. So
//! `remove` only marks the peer, and `free_removed` alone frees slots, between two units of work.
//! It runs after the turn's readiness events, so that no event of a former tenant reaches a new
//! peer. No other code may free a slot.

use crate::base::jitter::Jitter;
use crate::base::threads::EndProcessOnPanic;
use crate::live::heartbeat::{Heartbeat, check_heartbeat};
use crate::live::inbound;
use crate::live::limits::Limits;
use crate::live::message_handler::MessageHandler;
use crate::live::peer::{Peer, PeerState, SendError};
use crate::live::reactor::inbox::{Inbox, Job, WAKER};
use crate::live::room::Room;
use crate::live::subscribers::Subscribers;
use crate::live::tick::{Clock, Tick};
use crate::live::{CloseCode, PeerId};
use mio::event::Event;
use mio::{Events, Poll};
use slab::Slab;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Readiness events per turn.
const EVENTS_MAX: usize = 1024;
/// Jobs per turn, so that a burst of them does not keep the reactor from reading.
const JOBS_MAX: usize = 256;

/// A reactor, as its thread sees it.
pub struct EventLoop {
    pub index: u16,
    pub limits: Limits,
    pub poll: Poll,
    pub inbox: Inbox,
    pub handler: Box<dyn MessageHandler>,
    pub clock: Clock,
    /// The time of this turn.
    pub now: Tick,
    pub jitter: Jitter,
    pub peers: Slab<Peer>,
    /// The permits of all peers' connections, merged: one per peer would push it beyond a cache
    /// line. `None` where nobody counts.
    pub permits: Option<OwnedSemaphorePermit>,
    /// The rooms that have peers here.
    pub subscribers: Slab<Subscribers>,
    /// The read buffer, lent to one peer at a time.
    pub buffer: Vec<u8>,
    /// Verdicts of a walk over peers, applied after it. Empty between walks; stored for its memory.
    pub verdicts: Vec<(u32, Verdict)>,
    /// Slots of removed peers, to be freed. Empty between two units of work; stored for its memory.
    pub removed: Vec<u32>,
    /// Sockets that have joined so far: the generation of the last.
    pub joined: u32,
    /// Peers that are closed and not yet removed.
    pub closing: usize,
    /// Bytes of unfinished frames and records that all peers own.
    pub unfinished_bytes: usize,
    /// Bytes of greetings and replies that wait in all outboxes.
    pub own_bytes: usize,
    /// The time at which the reactor ends at the latest, once it stops.
    pub stop_at: Option<Tick>,
    scanned_at: Tick,
}

/// The action for a peer that a walk over peers has noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ping,
    Close(CloseCode),
    Remove,
}

impl From<SendError> for Verdict {
    fn from(error: SendError) -> Self {
        match error {
            SendError::OutboxFull => Verdict::Close(CloseCode::TooSlow),
            SendError::Disconnected => Verdict::Remove,
        }
    }
}

impl EventLoop {
    /// A reactor without peers.
    pub fn new(index: u16, limits: Limits, poll: Poll, inbox: Inbox, handler: Box<dyn MessageHandler>) -> Self {
        let clock = Clock::start();
        let now = clock.now();
        Self {
            index,
            buffer: inbound::buffer(limits.message_bytes_max),
            limits,
            poll,
            inbox,
            handler,
            clock,
            now,
            jitter: Jitter::default(),
            peers: Slab::new(),
            permits: None,
            subscribers: Slab::new(),
            verdicts: Vec::new(),
            removed: Vec::new(),
            joined: 0,
            closing: 0,
            unfinished_bytes: 0,
            own_bytes: 0,
            stop_at: None,
            scanned_at: now,
        }
    }

    /// Runs until the reactor is stopped and its peers have left, or their time is up.
    pub fn run(mut self) {
        // A process without this thread would lose its peers and reject all later ones.
        let _guard = EndProcessOnPanic;
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.is_finished() {
            // Nothing half done outlives a panic: `start_over` drops every table.
            if catch_unwind(AssertUnwindSafe(|| self.turn(&mut events))).is_err() {
                self.start_over();
            }
        }
        for job in self.inbox.jobs.try_iter() {
            if let Job::Join(join) = job {
                join.reject(CloseCode::Restarting);
            }
        }
        let slots: Vec<u32> = self.peers.iter().map(|(slot, _)| slot as u32).collect();
        slots.into_iter().for_each(|slot| self.remove(slot));
    }

    /// Waits for events, then handles them, the jobs, and the scan when it is due.
    pub fn turn(&mut self, events: &mut Events) {
        // The only error of a valid queue is an interruption, and then there are no events.
        if self.poll.poll(events, self.poll_timeout()).is_err() {
            events.clear();
        }
        self.now = self.clock.now();
        if self.peers.is_empty() {
            // Without peers the reactor may have slept for longer than ticks can tell.
            self.scanned_at = self.now;
        }
        events.iter().filter(|event| event.token() != WAKER).for_each(|event| self.handle_readiness(event));
        self.free_removed();
        self.run_jobs();
        if self.scanned_at.after(self.scan_interval()).is_reached(self.now) {
            self.scan();
            self.free_removed();
        }
    }

    /// The id of the peer in `slot`.
    pub fn peer_id(&self, slot: u32) -> PeerId {
        PeerId { reactor: self.index, slot, generation: self.peers[slot as usize].generation }
    }

    /// The slot of a peer, if it is still here.
    pub fn find_slot(&self, id: PeerId) -> Option<u32> {
        self.peers.get(id.slot as usize).filter(|peer| peer.generation == id.generation).map(|_| id.slot)
    }

    /// The key of a room's subscribers, if it has any here. O(rooms on this reactor), which are
    /// few.
    pub fn find_subscribers(&self, room: &Arc<Room>) -> Option<u32> {
        self.subscribers.iter().find(|(_, here)| Arc::ptr_eq(&here.room, room)).map(|(key, _)| key as u32)
    }

    /// Applies the verdicts of a walk over peers, which must not change the lists that it walks.
    pub fn apply_verdicts(&mut self) {
        let mut verdicts = std::mem::take(&mut self.verdicts);
        for (slot, verdict) in verdicts.drain(..) {
            match verdict {
                Verdict::Ping => self.ping(slot),
                Verdict::Close(code) => self.close(slot, code),
                Verdict::Remove => self.remove(slot),
            }
        }
        self.verdicts = verdicts;
    }

    fn is_finished(&self) -> bool {
        self.stop_at.is_some_and(|stop_at| stop_at.is_reached(self.now) || self.peers.is_empty())
    }

    fn poll_timeout(&self) -> Option<Duration> {
        if !self.inbox.jobs.is_empty() {
            return Some(Duration::ZERO);
        }
        let is_idle = self.peers.is_empty() && self.stop_at.is_none();
        (!is_idle).then(|| self.scanned_at.after(self.scan_interval()).since(self.now))
    }

    fn scan_interval(&self) -> Duration {
        if self.closing > 0 || self.stop_at.is_some() { self.limits.scan_interval_closing } else { self.limits.scan_interval }
    }

    fn handle_readiness(&mut self, event: &Event) {
        let slot = event.token().0 as u32;
        if event.is_writable() {
            self.flush_outbox(slot);
        }
        let is_ended = event.is_read_closed() || event.is_error();
        if event.is_readable() || is_ended {
            self.read(slot, is_ended);
        }
    }

    fn run_jobs(&mut self) {
        // Before the inbox is emptied: a job that comes in after the last look must find no pending
        // wake-up and make one.
        self.inbox.wakeup.clear();
        for _ in 0..JOBS_MAX {
            let Ok(job) = self.inbox.jobs.try_recv() else { return };
            match job {
                Job::Publish(publication) => self.publish(&publication),
                Job::Act(peer, action) => self.act(peer, action),
                Job::Join(join) => self.join(*join),
                Job::Replace(peer, number) => self.replace(peer, number),
                Job::Probe(liveness) => drop(liveness),
                Job::Stop { spread, drain_max } => self.begin_stop(spread, drain_max),
            }
            self.free_removed();
        }
    }

    /// Frees the slots of removed peers, which closes their sockets.
    fn free_removed(&mut self) {
        for slot in self.removed.drain(..) {
            self.peers.remove(slot as usize);
            // After the descriptor is closed: it counts until then.
            drop(self.permits.as_mut().and_then(|permits| permits.split(1)));
        }
    }

    /// Gives every peer a deadline within `spread`, at which it is closed with 1012.
    fn begin_stop(&mut self, spread: Duration, drain_max: Duration) {
        self.stop_at = Some(self.now.after(drain_max));
        for (_, peer) in &mut self.peers {
            if !peer.is_leaving() {
                peer.due_at = self.now.after(self.jitter.between(Duration::ZERO, spread));
            }
        }
    }

    /// Checks every peer's deadline and the age of its outbox.
    fn scan(&mut self) {
        self.scanned_at = self.now;
        let mut outbox_depth = 0;
        for (slot, peer) in &mut self.peers {
            outbox_depth = outbox_depth.max(peer.outbox.as_ref().map_or(0, |outbox| outbox.depth()));
            let mut silence = || self.jitter.between(self.limits.silence_min, self.limits.silence_max);
            if let Some(verdict) = check_peer(peer, self.now, self.stop_at.is_some(), &mut silence, &self.limits) {
                self.verdicts.push((slot as u32, verdict));
            }
        }
        self.inbox.handles[usize::from(self.index)].outbox_depth.store(outbox_depth, Relaxed);
        self.subscribers.iter_mut().for_each(|(_, here)| here.drop_missed());
        self.apply_verdicts();
    }
}

/// The scan's verdict about a peer, if something has to be done.
fn check_peer(
    peer: &mut Peer,
    now: Tick,
    is_stopping: bool,
    silence: &mut impl FnMut() -> Duration,
    limits: &Limits,
) -> Option<Verdict> {
    let oldest = peer.outbox.as_ref().and_then(|outbox| outbox.oldest());
    if oldest.is_some_and(|oldest| now.since(oldest) >= limits.frame_age_max) && !peer.is_leaving() {
        return Some(Verdict::Close(CloseCode::TooSlow));
    }
    let began_at = peer.unfinished.as_ref().and_then(|unfinished| unfinished.began_at);
    if began_at.is_some_and(|began_at| now.since(began_at) >= limits.message_age_max) && !peer.is_leaving() {
        return Some(Verdict::Close(CloseCode::TooSlow));
    }
    if !peer.due_at.is_reached(now) {
        return None;
    }
    match peer.state {
        PeerState::Closing | PeerState::Draining | PeerState::Joining | PeerState::Removed => Some(Verdict::Remove),
        PeerState::PendingAuth(_) | PeerState::Admitted(_) if is_stopping => Some(Verdict::Close(CloseCode::Restarting)),
        PeerState::PendingAuth(_) => Some(Verdict::Close(CloseCode::BadToken)),
        PeerState::Admitted(_) => {
            let (heard_at, awaits_pong) = peer.heartbeat();
            match check_heartbeat(now, heard_at, awaits_pong, silence(), limits) {
                Heartbeat::Alive { next_check } => {
                    peer.due_at = next_check;
                    None
                }
                Heartbeat::Ping { next_check } => {
                    peer.due_at = next_check;
                    Some(Verdict::Ping)
                }
                Heartbeat::Dead => Some(Verdict::Close(CloseCode::Silent)),
            }
        }
    }
}
