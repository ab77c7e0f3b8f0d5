//! What a stage's thread owns, and its loop: readiness, orders, and once a second a look at every peer's deadline.
//!
//! Readiness is edge-triggered and asked for once a socket, in both directions, so a peer that falls behind costs no further system call. Orders come
//! after readiness: a slot that was freed by an event of this round is given to a new peer only when no event of its old tenant is left.

use crate::base::threads::EndProcessOnPanic;
use crate::live::heartbeat::{self, Pulse};
use crate::live::inbound::BUFFER_BYTES;
use crate::live::jitter::Jitter;
use crate::live::limits::Limits;
use crate::live::peer::{Fault, Peer, State};
use crate::live::protocol::MessageHandler;
use crate::live::reactor::{Inbox, Order};
use crate::live::room::Room;
use crate::live::subscribers::Subscribers;
use crate::live::tick::{Clock, Tick};
use crate::live::{CloseCode, PeerId};
use mio::event::Event;
use mio::{Events, Poll, Token};
use slab::Slab;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The token of the bell: no slot is so high.
pub const WAKER: Token = Token(usize::MAX);
/// Readiness events of one round.
const EVENTS_MAX: usize = 1024;
/// Orders of one round, so that a burst of them keeps no peer from being heard.
const ORDERS_MAX: usize = 256;

/// A stage from inside.
pub struct EventLoop {
    pub index: u16,
    pub limits: Limits,
    pub poll: Poll,
    pub mailbox: Inbox,
    pub protocol: Box<dyn MessageHandler>,
    pub clock: Clock,
    /// The time of this round.
    pub now: Tick,
    pub jitter: Jitter,
    pub peers: Slab<Peer>,
    pub crowds: Slab<Subscribers>,
    /// What is being read. Lent to one peer at a time.
    pub buffer: Vec<u8>,
    /// Peers to be seen to when a walk over them is done. Empty between walks; kept for its memory.
    pub verdicts: Vec<(u32, Verdict)>,
    /// How many sockets have come so far: the generation of the last.
    pub joined: u32,
    /// Peers that have been told to go.
    pub leaving: usize,
    /// Bytes that peers keep of unfinished frames.
    pub unfinished_bytes: usize,
    /// When the stage ends at the latest, once it is stopping.
    pub ends_at: Option<Tick>,
    scanned_at: Tick,
}

/// What a walk over peers found to be done about one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ask,
    Close(CloseCode),
    Drop,
}

impl From<Fault> for Verdict {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TooSlow => Verdict::Close(CloseCode::TooSlow),
            Fault::Broken => Verdict::Drop,
        }
    }
}

impl EventLoop {
    /// An empty stage.
    pub fn new(index: u16, limits: Limits, poll: Poll, mailbox: Inbox, protocol: Box<dyn MessageHandler>) -> Self {
        let clock = Clock::start();
        let now = clock.now();
        Self {
            index,
            limits,
            poll,
            mailbox,
            protocol,
            clock,
            now,
            jitter: Jitter::new(),
            peers: Slab::new(),
            crowds: Slab::new(),
            buffer: vec![0; BUFFER_BYTES],
            verdicts: Vec::new(),
            joined: 0,
            leaving: 0,
            unfinished_bytes: 0,
            ends_at: None,
            scanned_at: now,
        }
    }

    /// Runs the stage until it is told to stop and its peers have gone, or its patience is over.
    pub fn run(mut self) {
        // Its peers would be gone, and whoever comes after them turned away.
        let _guard = EndProcessOnPanic;
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.is_over() {
            // The only error that a valid queue gives is an interruption, and then there are no events.
            if self.poll.poll(&mut events, self.sleep_max()).is_err() {
                events.clear();
            }
            self.now = self.clock.now();
            if self.peers.is_empty() {
                // Nobody was there to be looked at, for longer perhaps than ticks can tell.
                self.scanned_at = self.now;
            }
            events.iter().filter(|event| event.token() != WAKER).for_each(|event| self.notice(event));
            self.take_orders();
            if self.scanned_at.after(self.scan_period()).has_come(self.now) {
                self.scan();
            }
        }
        for order in self.mailbox.inbox.try_iter() {
            if let Order::Join(join) = order {
                join.turn_away(CloseCode::Restarting);
            }
        }
        let slots: Vec<u32> = self.peers.iter().map(|(slot, _)| slot as u32).collect();
        slots.into_iter().for_each(|slot| self.remove(slot));
    }

    /// The name of the peer in a slot.
    pub fn id(&self, slot: u32) -> PeerId {
        PeerId { stage: self.index, slot, generation: self.peers[slot as usize].generation }
    }

    /// The slot of a peer, if it is still there.
    pub fn slot(&self, id: PeerId) -> Option<u32> {
        self.peers.get(id.slot as usize).filter(|peer| peer.generation == id.generation).map(|_| id.slot)
    }

    /// The crowd of a room, if anybody of it is here. O(rooms on this stage), which are few.
    pub fn crowd_of(&self, room: &Arc<Room>) -> Option<u32> {
        self.crowds.iter().find(|(_, crowd)| Arc::ptr_eq(&crowd.room, room)).map(|(key, _)| key as u32)
    }

    /// Carries out what a walk over peers has found.
    pub fn carry_out_verdicts(&mut self) {
        let mut verdicts = std::mem::take(&mut self.verdicts);
        for (slot, verdict) in verdicts.drain(..) {
            match verdict {
                Verdict::Ask => self.ask(slot),
                Verdict::Close(code) => self.close(slot, code),
                Verdict::Drop => self.remove(slot),
            }
        }
        self.verdicts = verdicts;
    }

    fn is_over(&self) -> bool {
        self.ends_at.is_some_and(|end| end.has_come(self.now) || self.peers.is_empty())
    }

    fn sleep_max(&self) -> Option<Duration> {
        if !self.mailbox.inbox.is_empty() {
            return Some(Duration::ZERO);
        }
        let is_idle = self.peers.is_empty() && self.ends_at.is_none();
        (!is_idle).then(|| self.scanned_at.after(self.scan_period()).since(self.now))
    }

    fn scan_period(&self) -> Duration {
        if self.leaving > 0 || self.ends_at.is_some() { self.limits.scan_closing } else { self.limits.scan }
    }

    fn notice(&mut self, event: &Event) {
        let slot = event.token().0 as u32;
        if event.is_writable() {
            self.catch_up(slot);
        }
        let is_ended = event.is_read_closed() || event.is_error();
        if event.is_readable() || is_ended {
            self.listen(slot, is_ended);
        }
    }

    fn take_orders(&mut self) {
        // Before the inbox is emptied: an order that comes in after the last look must find the bell silent and ring it.
        self.mailbox.bell.answer();
        for _ in 0..ORDERS_MAX {
            let Ok(order) = self.mailbox.inbox.try_recv() else { return };
            match order {
                Order::Publish(publication) => self.walk(&publication),
                Order::Unicast(peer, frames) => self.whisper(peer, &frames),
                Order::Join(join) => self.join(*join),
                Order::Replace(peer) => self.replace(peer),
                Order::Probe(call) => drop(call),
                Order::Stop { spread, patience } => self.begin_to_stop(spread, patience),
            }
        }
    }

    /// Gives every peer its moment to be told 1012.
    fn begin_to_stop(&mut self, spread: Duration, patience: Duration) {
        self.ends_at = Some(self.now.after(patience));
        for (_, peer) in &mut self.peers {
            if !peer.is_leaving() {
                peer.due_at = self.now.after(self.jitter.between(Duration::ZERO, spread));
            }
        }
    }

    /// Looks at every peer's deadline, and at what has waited too long to be sent.
    fn scan(&mut self) {
        self.scanned_at = self.now;
        let mut deepest = 0;
        for (slot, peer) in &mut self.peers {
            deepest = deepest.max(peer.outbox.as_ref().map_or(0, |outbox| outbox.depth()));
            let mut draw = || self.jitter.between(self.limits.silence_min, self.limits.silence_max);
            if let Some(verdict) = judge(peer, self.now, self.ends_at.is_some(), &mut draw, &self.limits) {
                self.verdicts.push((slot as u32, verdict));
            }
        }
        self.mailbox.doors[usize::from(self.index)].deepest.store(deepest, Relaxed);
        self.crowds.iter_mut().for_each(|(_, crowd)| crowd.forget_missed());
        self.carry_out_verdicts();
    }
}

/// What the scan finds to be done about a peer, if anything.
fn judge(
    peer: &mut Peer,
    now: Tick,
    is_stopping: bool,
    draw_silence: &mut impl FnMut() -> Duration,
    limits: &Limits,
) -> Option<Verdict> {
    let oldest = peer.outbox.as_ref().and_then(|outbox| outbox.oldest());
    if oldest.is_some_and(|oldest| now.since(oldest) >= limits.frame_age_max) && !peer.is_leaving() {
        return Some(Verdict::Close(CloseCode::TooSlow));
    }
    if !peer.due_at.has_come(now) {
        return None;
    }
    match peer.state {
        State::Lingering | State::Draining | State::Arrived => Some(Verdict::Drop),
        State::Awaiting(_) | State::Admitted(_) if is_stopping => Some(Verdict::Close(CloseCode::Restarting)),
        State::Awaiting(_) => Some(Verdict::Close(CloseCode::BadToken)),
        State::Admitted(_) => {
            let (heard_at, asked) = peer.pulse();
            match heartbeat::judge(now, heard_at, asked, draw_silence(), limits) {
                Pulse::Alive { look_again } => {
                    peer.due_at = look_again;
                    None
                }
                Pulse::Ask { look_again } => {
                    peer.due_at = look_again;
                    Some(Verdict::Ask)
                }
                Pulse::Dead => Some(Verdict::Close(CloseCode::Silent)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::live::reactor::testing::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    /// In its environment, the test below is the process that is to end.
    const DOOMED: &str = "DOOMED";

    #[test]
    fn a_stage_that_panics_takes_the_process_with_it() {
        if std::env::var_os(DOOMED).is_some() {
            let house = House::open(patient(), 2);
            house.phone().say("panic");
            eventually("the process ends", || false);
        }
        let (_, module) = module_path!().split_once("::").unwrap();
        let name = format!("{module}::a_stage_that_panics_takes_the_process_with_it");
        let doomed = Command::new(std::env::current_exe().unwrap()).args(["--exact", &name]).env(DOOMED, "1").output().unwrap();
        assert_eq!(doomed.status.signal(), Some(libc::SIGABRT), "{}", String::from_utf8_lossy(&doomed.stdout));
    }
}
