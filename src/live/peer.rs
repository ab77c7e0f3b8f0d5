//! A peer: one socket on its reactor, and what the reactor remembers of it between two readiness
//! events.
//!
//! There are tens of thousands of peers and most are idle, so one fits into a cache line: times are
//! four bytes, the room is an index, and the outbox, the unfinished frame and the TLS session are
//! pointers, null for most. A peer makes no decision: the reactor does.

use crate::draw::Number;
use crate::live::inbound::Unfinished;
use crate::live::limits::Limits;
use crate::live::outbox::{FrameKind, Outbox};
use crate::live::tick::Tick;
use crate::live::transport::Transport;
use crate::live::{CloseCode, Role};
use crate::tls::session::{ReadOutcome, TlsSession};
use bytes::Bytes;
use std::io;
use std::num::NonZeroU32;

/// A socket on its reactor.
#[derive(Debug)]
pub struct Peer {
    transport: Transport,
    tls: Option<Box<TlsSession>>,
    /// Tells the tenants of one slot apart.
    pub generation: u32,
    /// The peer's entry in its room's subscribers. `None` before it has entered and once it leaves.
    pub membership: Option<Membership>,
    /// The event's last `seq`, its low 32 bits, while the peer has been sent no numbered frame; any
    /// other value after that. The event moves on, so a broadcast need not write here.
    last_seq_unsent: u32,
    /// The time of the last byte it sent.
    heard_at: Tick,
    /// The time at which the scan has to check it; `state` says for what.
    pub due_at: Tick,
    /// The time at which its frame budget is full again.
    budget_full_at: Tick,
    /// Frames that its socket has not taken; `None` while it keeps up.
    pub outbox: Option<Box<Outbox>>,
    /// A frame or message that has come in part; `None` while it sends whole ones.
    pub unfinished: Option<Box<Unfinished>>,
    /// The number it has proved; 0 for none, since numbers start at 1.
    number: u32,
    pub state: PeerState,
    /// Was it pinged, and has it sent nothing since?
    awaits_pong: bool,
}

/// A peer's entry in the lists of its room's
/// [`Subscribers`](crate::live::subscribers::Subscribers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The key of the subscribers on this reactor.
    pub subscribers: u32,
    /// The position in its list, counted from 1 so that `Option<Membership>` needs no extra bytes.
    position: NonZeroU32,
}

/// The stages of a peer's life, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// It has a socket and no room yet.
    Joining,
    /// It has to prove this role; at its deadline it is closed.
    PendingAuth(Role),
    /// It gets this role's frames; at its deadline its heartbeat is checked.
    Admitted(Role),
    /// Its close frame waits in the outbox; at its deadline it is removed.
    Closing,
    /// Its close frame is sent and it has to close its side; at its deadline it is removed.
    Draining,
    /// It is out of its room and every count; the loop frees its slot at the end of the unit of
    /// work.
    Removed,
}

/// The outcome of sending frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The kernel has taken all of them.
    Complete,
    /// They wait in the outbox, which was empty.
    FellBehind,
    /// They wait in the outbox behind others.
    StillBehind,
}

/// Why a peer cannot be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Its outbox is full.
    OutboxFull,
    /// Its connection is broken.
    Disconnected,
}

impl Membership {
    /// The last position of a list of `count` peers.
    ///
    /// # Panics
    /// When the list is empty.
    pub fn last(subscribers: u32, count: usize) -> Self {
        let position = u32::try_from(count).ok().and_then(NonZeroU32::new);
        Self { subscribers, position: position.expect("a list that a peer was pushed to is not empty") }
    }

    /// The index in its list.
    pub fn index(self) -> u32 {
        self.position.get() - 1
    }
}

impl Peer {
    /// A peer that has just joined.
    pub fn new(transport: Transport, tls: Option<Box<TlsSession>>, generation: u32, now: Tick, due_at: Tick) -> Self {
        Self {
            transport,
            tls,
            generation,
            membership: None,
            last_seq_unsent: 0,
            heard_at: now,
            due_at,
            budget_full_at: now,
            outbox: None,
            unfinished: None,
            number: 0,
            state: PeerState::Joining,
            awaits_pong: false,
        }
    }

    /// The number it has proved.
    pub fn number(&self) -> Option<Number> {
        (self.number > 0).then_some(Number(self.number))
    }

    /// Sets the number it has proved, or none.
    pub fn set_number(&mut self, number: Option<Number>) {
        self.number = number.map_or(0, |number| number.0);
    }

    /// Notes that it has been sent no numbered frame, at the event's `last_seq`.
    pub fn note_no_frame(&mut self, last_seq: u64) {
        self.last_seq_unsent = last_seq as u32;
    }

    /// Notes that it has been sent numbered frames up to the event's `last_seq`.
    pub fn note_frames(&mut self, last_seq: u64) {
        self.last_seq_unsent = (last_seq as u32).wrapping_sub(1);
    }

    /// Has it been sent no numbered frame, now that the event's last is `last_seq`?
    pub fn has_no_frame(&self, last_seq: u64) -> bool {
        self.last_seq_unsent == last_seq as u32
    }

    /// Was it closed or removed? Then it gets no frame and its messages are ignored.
    pub fn is_leaving(&self) -> bool {
        matches!(self.state, PeerState::Closing | PeerState::Draining | PeerState::Removed)
    }

    /// Sends shared frames: straight to the kernel, and to the outbox what it does not take.
    /// Allocates only then.
    ///
    /// # Errors
    /// Why the peer has to leave.
    pub fn send(&mut self, frames: &Bytes, kind: FrameKind, now: Tick, limits: &Limits) -> Result<SendOutcome, SendError> {
        let taken = self.write(frames)?;
        if taken == frames.len() {
            return Ok(SendOutcome::Complete);
        }
        self.queue(frames.clone(), taken, kind, now, limits)
    }

    /// Sends a frame of some bytes, a ping or the like, which is copied only if it has to wait.
    ///
    /// # Errors
    /// Why the peer has to leave.
    pub fn send_control(&mut self, frame: &[u8], now: Tick, limits: &Limits) -> Result<SendOutcome, SendError> {
        let taken = self.write(frame)?;
        if taken == frame.len() {
            return Ok(SendOutcome::Complete);
        }
        self.queue(Bytes::copy_from_slice(frame), taken, FrameKind::Shared, now, limits)
    }

    /// Sends what waits in the outbox, as far as the kernel takes it, and calls `done` for each
    /// buffer that has left. True when the outbox is empty.
    ///
    /// # Errors
    /// [`SendError::Disconnected`].
    pub fn flush_outbox(&mut self, done: impl FnMut(FrameKind)) -> Result<bool, SendError> {
        let Some(outbox) = &mut self.outbox else { return Ok(true) };
        let (transport, tls) = (&mut self.transport, &mut self.tls);
        let write = |bytes: &[u8]| transport.write(tls.as_deref_mut(), bytes);
        let is_empty = outbox.flush(write, done).map_err(|_| SendError::Disconnected)?;
        if is_empty {
            self.outbox = None;
        }
        Ok(is_empty)
    }

    /// Bytes of greetings and replies that wait in its outbox.
    pub fn own_bytes(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.own_bytes())
    }

    /// Drops the outbox but for the rest of a buffer that has begun to leave.
    pub fn discard_unsent(&mut self) {
        if self.outbox.as_mut().is_some_and(|outbox| !outbox.discard_unsent()) {
            self.outbox = None;
        }
    }

    /// Notes that it has sent bytes.
    pub fn note_bytes(&mut self, now: Tick) {
        self.heard_at = now;
        self.awaits_pong = false;
    }

    /// Notes that it is pinged.
    pub fn note_ping(&mut self) {
        self.awaits_pong = true;
    }

    /// The time of its last byte, and whether it was pinged since.
    pub fn heartbeat(&self) -> (Tick, bool) {
        (self.heard_at, self.awaits_pong)
    }

    /// Counts a frame that it sent: a token bucket, stored as the time at which it is full again.
    ///
    /// # Errors
    /// [`CloseCode::TooManyMessages`] when the bucket is empty.
    pub fn spend_frame(&mut self, now: Tick, limits: &Limits) -> Result<(), CloseCode> {
        let budget_full_at = self.budget_full_at.max(now).after(limits.frame_interval);
        if budget_full_at.since(now) > limits.frame_interval * limits.burst_frames_max {
            return Err(CloseCode::TooManyMessages);
        }
        self.budget_full_at = budget_full_at;
        Ok(())
    }

    /// Bytes of unfinished frames and TLS records that it owns.
    pub fn unfinished_bytes(&self) -> usize {
        let frames = self.unfinished.as_ref().map_or(0, |unfinished| unfinished.bytes());
        frames + self.tls.as_ref().map_or(0, |tls| tls.buffered_input_bytes())
    }

    /// Notes since when it owns unfinished bytes, after they have changed.
    pub fn note_unfinished(&mut self, now: Tick) {
        let has_record = self.tls.as_ref().is_some_and(|tls| tls.buffered_input_bytes() > 0);
        if has_record {
            self.unfinished.get_or_insert_default();
        }
        match &mut self.unfinished {
            Some(unfinished) if unfinished.is_empty() && !has_record => self.unfinished = None,
            Some(unfinished) => drop(unfinished.began_at.get_or_insert(now)),
            None => {}
        }
    }

    /// Notes that a frame has ended: its message, unless it is a fragment, and the next one begins.
    pub fn note_frame_end(&mut self, now: Tick) {
        if let Some(unfinished) = self.unfinished.as_mut().filter(|unfinished| !unfinished.has_fragments()) {
            unfinished.began_at = Some(now);
        }
    }

    /// Drops its unfinished frames and records.
    pub fn discard_unfinished(&mut self) {
        self.unfinished = None;
        if let Some(tls) = &mut self.tls {
            tls.discard_input();
        }
    }

    /// Reads what it has sent.
    ///
    /// # Errors
    /// When its connection is broken.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<ReadOutcome> {
        self.transport.read(self.tls.as_deref_mut(), buffer)
    }

    /// Reads what it still sends after its close, undecrypted: nothing of it is decoded.
    ///
    /// # Errors
    /// When its connection is broken.
    pub fn drain(&mut self, buffer: &mut [u8]) -> io::Result<ReadOutcome> {
        self.transport.read_raw(buffer)
    }

    /// Has it sent bytes that no readiness event will announce?
    pub fn has_unread(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_unread())
    }

    /// Shuts down the sending side: nothing more will be sent.
    pub fn shut_down_writes(&mut self) {
        self.transport.shut_down_writes(self.tls.as_deref_mut());
    }

    /// Writes what the kernel takes, but nothing ahead of what waits in the outbox.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, SendError> {
        if self.outbox.is_some() {
            return Ok(0);
        }
        self.transport.write(self.tls.as_deref_mut(), bytes).map_err(|_| SendError::Disconnected)
    }

    #[cold]
    fn queue(
        &mut self,
        buffer: Bytes,
        taken: usize,
        kind: FrameKind,
        now: Tick,
        limits: &Limits,
    ) -> Result<SendOutcome, SendError> {
        match &mut self.outbox {
            None => {
                self.outbox = Some(Box::new(Outbox::with_rest(buffer, taken, kind, now)));
                Ok(SendOutcome::FellBehind)
            }
            Some(outbox) => match outbox.push(buffer, kind, now, limits) {
                Ok(()) => Ok(SendOutcome::StillBehind),
                Err(_) => Err(SendError::OutboxFull),
            },
        }
    }
}

/// A close frame with `code`, or without one (RFC 6455 section 5.5.1).
pub fn close_frame(code: Option<u16>) -> Bytes {
    match code {
        Some(code) => Bytes::copy_from_slice(&[0x88, 2, (code >> 8) as u8, code as u8]),
        None => Bytes::from_static(&[0x88, 0]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    fn peer() -> (Peer, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepted = listener.accept().unwrap().0;
        accepted.set_nonblocking(true).unwrap();
        let transport = Transport::open(accepted, &Limits::default()).unwrap();
        (Peer::new(transport, None, 1, Tick::at(0), Tick::at(0)), far)
    }

    #[test]
    fn a_peer_and_its_slot_fit_into_a_cache_line() {
        // A slab marks a free slot in a value that no peer takes, as an option does.
        let (peer, slot) = (size_of::<Peer>(), size_of::<Option<Peer>>());
        println!("a peer is {peer} bytes, its slot {slot}");
        assert!(slot <= 64, "{slot} bytes");
    }

    #[test]
    fn a_peer_that_does_not_read_falls_behind_once_and_then_fills_its_outbox() {
        let (mut peer, _far) = peer();
        let (frame, limits) = (Bytes::from(vec![7; 4096]), Limits::default());
        let mut sent = Vec::new();
        while !matches!(sent.last(), Some(Err(_))) {
            sent.push(peer.send(&frame, FrameKind::Shared, Tick::at(0), &limits));
        }
        let count = |wanted| sent.iter().filter(|&&one| one == wanted).count();
        assert_eq!(count(Ok(SendOutcome::FellBehind)), 1);
        assert!((14..=16).contains(&count(Ok(SendOutcome::StillBehind))), "64 KiB at most: {sent:?}");
        assert_eq!(sent.last(), Some(&Err(SendError::OutboxFull)));
    }

    #[test]
    fn a_peer_may_send_forty_frames_at_once_and_ten_per_second() {
        let (mut peer, _far) = peer();
        let (limits, start) = (Limits::default(), Tick::at(1_000));
        let allowed = |peer: &mut Peer, now| (0..100).take_while(|_| peer.spend_frame(now, &limits).is_ok()).count();
        assert_eq!(allowed(&mut peer, start), 40);
        assert_eq!(allowed(&mut peer, start.after(Duration::from_secs(1))), 10);
        assert_eq!(allowed(&mut peer, start.after(Duration::from_secs(60))), 40, "the bucket does not overflow");
    }
}
