//! A peer: one socket on its stage, and what has to be known of it between two readiness events.
//!
//! There are tens of thousands of them and most are idle, so it is kept below a cache line: times are four bytes, the room is an index,
//! the queue, the unfinished frame and the cipher of a plain one are a null pointer each. It decides nothing: the stage does.

use crate::draw::Number;
use crate::live::inbound::Unfinished;
use crate::live::limits::Limits;
use crate::live::outbox::{Kind, Outbox};
use crate::live::tick::Tick;
use crate::live::transport::Transport;
use crate::live::{CloseCode, Role};
use crate::tls::session::ReadOutcome;
use crate::tls::session::TlsSession;
use bytes::Bytes;
use std::io;
use std::num::NonZeroU32;

/// A socket on its stage.
#[derive(Debug)]
pub struct Peer {
    line: Transport,
    /// The TLS that its bytes pass through, if any.
    cipher: Option<Box<TlsSession>>,
    /// Which tenant of its slot it is.
    pub generation: u32,
    /// Its room's crowd on this stage, and its place in the list it is on there. None before it has entered and once it is told to go.
    pub crowd: Option<Place>,
    /// It has been sent every frame after the one whose `seq` ends in these bits.
    pub from: u32,
    /// When it last said a byte.
    heard_at: Tick,
    /// When the scan has to look at it: what for, its state says.
    pub due_at: Tick,
    /// Up to when it has used up its frames.
    spent_until: Tick,
    /// What it is owed; none while it keeps up.
    pub outbox: Option<Box<Outbox>>,
    /// What it has said in part; none while it says whole frames.
    pub unfinished: Option<Box<Unfinished>>,
    /// The number it has proved, 0 for none: numbers begin at 1.
    number: u32,
    pub state: State,
    /// Whether it was pinged and has not been heard since.
    asked: bool,
}

/// Where a peer is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub crowd: u32,
    /// Counted from 1, so that no place is none.
    nth: NonZeroU32,
}

/// How far a peer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has a socket and no more.
    Arrived,
    /// It has to prove that it is this role; at its deadline it is sent away.
    Awaiting(Role),
    /// It hears what this role hears; at its deadline its heartbeat is judged.
    Admitted(Role),
    /// Its close frame waits in its outbox; at its deadline it is dropped.
    Lingering,
    /// It has its close frame and is to hang up; at its deadline it is dropped.
    Draining,
}

/// What became of frames that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The kernel has them.
    Whole,
    /// They are queued, and nothing was before.
    FellBehind,
    /// They are queued behind others.
    StillBehind,
}

/// Why a peer cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its outbox is full.
    TooSlow,
    /// Its connection is gone.
    Broken,
}

impl Place {
    /// The last place of a list of `count`.
    ///
    /// # Panics
    /// When the list is empty.
    pub fn last(crowd: u32, count: usize) -> Self {
        let nth = u32::try_from(count).ok().and_then(NonZeroU32::new);
        Self { crowd, nth: nth.expect("a list that a peer was put on holds it") }
    }

    /// Where on the list it is.
    pub fn index(self) -> u32 {
        self.nth.get() - 1
    }
}

impl Peer {
    /// A peer that has just arrived.
    pub fn new(line: Transport, cipher: Option<Box<TlsSession>>, generation: u32, now: Tick, due_at: Tick) -> Self {
        Self {
            line,
            cipher,
            generation,
            crowd: None,
            from: 0,
            heard_at: now,
            due_at,
            spent_until: now,
            outbox: None,
            unfinished: None,
            number: 0,
            state: State::Arrived,
            asked: false,
        }
    }

    /// The number it has proved.
    pub fn number(&self) -> Option<Number> {
        (self.number > 0).then_some(Number(self.number))
    }

    /// Takes down the number it has proved, or that it has none.
    pub fn set_number(&mut self, number: Option<Number>) {
        self.number = number.map_or(0, |number| number.0);
    }

    /// Whether it has been told to go.
    pub fn is_leaving(&self) -> bool {
        matches!(self.state, State::Lingering | State::Draining)
    }

    /// Sends shared frames: straight to the kernel, or to the outbox what that does not take. Allocates only then.
    ///
    /// # Errors
    /// Why it has to go.
    pub fn send(&mut self, frames: &Bytes, kind: Kind, now: Tick, limits: &Limits) -> Result<Sent, Fault> {
        let taken = self.write(frames)?;
        if taken == frames.len() {
            return Ok(Sent::Whole);
        }
        self.queue(frames.slice(taken..), kind, taken > 0, now, limits)
    }

    /// Sends a frame of this peer's own, which is copied only if it has to wait.
    ///
    /// # Errors
    /// Why it has to go.
    pub fn send_own(&mut self, frame: &[u8], now: Tick, limits: &Limits) -> Result<Sent, Fault> {
        let taken = self.write(frame)?;
        if taken == frame.len() {
            return Ok(Sent::Whole);
        }
        self.queue(Bytes::copy_from_slice(&frame[taken..]), Kind::Plain, taken > 0, now, limits)
    }

    /// Sends what it is owed, as far as the kernel takes it, and tells `done` of each buffer that has left. True when nothing is owed any more.
    ///
    /// # Errors
    /// [`Fault::Broken`].
    pub fn catch_up(&mut self, done: impl FnMut(Kind)) -> Result<bool, Fault> {
        let Some(outbox) = &mut self.outbox else { return Ok(true) };
        let (line, cipher) = (&mut self.line, &mut self.cipher);
        let is_empty = outbox.flush(|bytes| line.write(cipher.as_deref_mut(), bytes), done).map_err(|_| Fault::Broken)?;
        if is_empty {
            self.outbox = None;
        }
        Ok(is_empty)
    }

    /// Forgets what it is owed but the rest of what has begun to leave.
    pub fn abandon_outbox(&mut self) {
        if self.outbox.as_mut().is_some_and(|outbox| !outbox.abandon()) {
            self.outbox = None;
        }
    }

    /// Notes that it has said something.
    pub fn note_heard(&mut self, now: Tick) {
        self.heard_at = now;
        self.asked = false;
    }

    /// Notes that it is asked whether it is there.
    pub fn note_asked(&mut self) {
        self.asked = true;
    }

    /// When it last said something, and whether it was asked since.
    pub fn pulse(&self) -> (Tick, bool) {
        (self.heard_at, self.asked)
    }

    /// Counts a frame it has said: a token bucket, kept as the time at which it will be full again.
    ///
    /// # Errors
    /// [`CloseCode::TooManyMessages`] when the bucket is empty.
    pub fn spend_frame(&mut self, now: Tick, limits: &Limits) -> Result<(), CloseCode> {
        let spent_until = self.spent_until.max(now).after(limits.frame_gap);
        if spent_until.since(now) > limits.frame_gap * limits.burst_frames_max {
            return Err(CloseCode::TooManyMessages);
        }
        self.spent_until = spent_until;
        Ok(())
    }

    /// How many bytes of unfinished frames and records it owns.
    pub fn unfinished_bytes(&self) -> usize {
        let frames = self.unfinished.as_ref().map_or(0, |unfinished| unfinished.bytes());
        frames + self.cipher.as_ref().map_or(0, |cipher| cipher.kept_bytes())
    }

    /// Forgets what it has said in part.
    pub fn forget_unfinished(&mut self) {
        self.unfinished = None;
        if let Some(cipher) = &mut self.cipher {
            cipher.forget();
        }
    }

    /// Reads what it says.
    ///
    /// # Errors
    /// When its connection is broken.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<ReadOutcome> {
        self.line.read(self.cipher.as_deref_mut(), buffer)
    }

    /// Reads what it still says though it was told to go, which nobody will understand.
    ///
    /// # Errors
    /// When its connection is broken.
    pub fn drain(&mut self, buffer: &mut [u8]) -> io::Result<ReadOutcome> {
        self.line.read_raw(buffer)
    }

    /// Whether it has said what no readiness of its socket will tell of.
    pub fn has_unread(&self) -> bool {
        self.cipher.as_ref().is_some_and(|cipher| cipher.has_unread())
    }

    /// Tells it that nothing more will be sent.
    pub fn finish(&mut self) {
        self.line.finish(self.cipher.as_deref_mut());
    }

    /// Writes what the kernel takes, but nothing past what waits already.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        if self.outbox.is_some() {
            return Ok(0);
        }
        self.line.write(self.cipher.as_deref_mut(), bytes).map_err(|_| Fault::Broken)
    }

    #[cold]
    fn queue(&mut self, rest: Bytes, kind: Kind, begun: bool, now: Tick, limits: &Limits) -> Result<Sent, Fault> {
        match &mut self.outbox {
            None => {
                self.outbox = Some(Box::new(Outbox::owing(rest, kind, begun, now)));
                Ok(Sent::FellBehind)
            }
            Some(outbox) => match outbox.push(rest, kind, now, limits) {
                Ok(()) => Ok(Sent::StillBehind),
                Err(_) => Err(Fault::TooSlow),
            },
        }
    }
}

/// A close frame that says `code`, or none (RFC 6455 section 5.5.1).
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
        let line = Transport::open(accepted, &Limits::default()).unwrap();
        (Peer::new(line, None, 1, Tick::at(0), Tick::at(0)), far)
    }

    #[test]
    fn a_peer_fits_a_cache_line_with_its_slot() {
        // A slab marks a free slot in a value that no peer takes, as an option does.
        let (peer, slot) = (size_of::<Peer>(), size_of::<Option<Peer>>());
        println!("a peer is {peer} bytes, its slot {slot}");
        assert!(slot <= 64, "{slot} bytes");
    }

    #[test]
    fn a_peer_that_does_not_read_owes_nothing_to_others_and_falls_behind_once() {
        let (mut peer, _far) = peer();
        let (frame, limits) = (Bytes::from(vec![7; 4096]), Limits::default());
        let mut sent = Vec::new();
        while !matches!(sent.last(), Some(Err(_))) {
            sent.push(peer.send(&frame, Kind::Plain, Tick::at(0), &limits));
        }
        let count = |wanted| sent.iter().filter(|&&one| one == wanted).count();
        assert_eq!(count(Ok(Sent::FellBehind)), 1);
        assert!((14..=16).contains(&count(Ok(Sent::StillBehind))), "64 KiB at most: {sent:?}");
        assert_eq!(sent.last(), Some(&Err(Fault::TooSlow)));
    }

    #[test]
    fn forty_frames_at_once_and_ten_a_second_are_heard() {
        let (mut peer, _far) = peer();
        let (limits, start) = (Limits::default(), Tick::at(1_000));
        let heard = |peer: &mut Peer, now| (0..100).take_while(|_| peer.spend_frame(now, &limits).is_ok()).count();
        assert_eq!(heard(&mut peer, start), 40);
        assert_eq!(heard(&mut peer, start.after(Duration::from_secs(1))), 10);
        assert_eq!(heard(&mut peer, start.after(Duration::from_secs(60))), 40, "the bucket does not overflow");
    }
}
