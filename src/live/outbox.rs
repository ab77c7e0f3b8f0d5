//! What a slow peer is owed: references to frames that its socket did not take, oldest first.
//!
//! The frames are shared with every other peer; only the places in this queue are its own. It is made when a write comes up short and dropped
//! when it is empty, so a peer that keeps up owns none. The alternative, a channel a peer, would cost every idle socket its memory. It never grows beyond
//! its bounds: who asks for more is to be evicted.

use crate::draw::DrawId;
use crate::live::limits::Limits;
use crate::live::tick::Tick;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io;

/// What a frame is, as far as a queue cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any frame.
    Plain,
    /// What a peer is greeted with. Its bytes do not count: nobody is too slow before the show has begun.
    Greeting,
    /// A phone's announcement, whose delivery is counted.
    Announcement(DrawId),
}

/// The bounds are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A peer's queue. Never empty between two calls of its owner.
#[derive(Debug, Default)]
pub struct Outbox {
    owed: VecDeque<Owed>,
    /// Bytes in `owed` that count.
    bytes: usize,
}

#[derive(Debug)]
struct Owed {
    rest: Bytes,
    kind: Kind,
    queued_at: Tick,
    /// Whether some of it is sent already, so that the rest has to follow.
    begun: bool,
}

impl Outbox {
    /// A queue that holds the rest of one buffer of frames, however large: a bound that refuses the first would refuse it to everybody.
    pub fn owing(rest: Bytes, kind: Kind, begun: bool, now: Tick) -> Self {
        let mut outbox = Self::default();
        outbox.add(Owed { rest, kind, queued_at: now, begun });
        outbox
    }

    /// Adds a buffer of whole frames.
    ///
    /// # Errors
    /// [`Full`] when it would go beyond what `limits` allow; it is not added then.
    pub fn push(&mut self, frames: Bytes, kind: Kind, now: Tick, limits: &Limits) -> Result<(), Full> {
        let owed = Owed { rest: frames, kind, queued_at: now, begun: false };
        if self.owed.len() >= limits.outbox_frames_max || self.bytes + owed.weight() > limits.outbox_bytes_max {
            return Err(Full);
        }
        self.add(owed);
        Ok(())
    }

    /// Hands out bytes by `write`, which says how many were taken, and tells `done` of each buffer that has left whole.
    /// True when nothing is owed any more.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn flush(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>, mut done: impl FnMut(Kind)) -> io::Result<bool> {
        while let Some(first) = self.owed.front_mut() {
            let before = first.weight();
            let count = write(&first.rest)?;
            first.rest.advance(count);
            first.begun |= count > 0;
            self.bytes -= before - first.weight();
            if !first.rest.is_empty() {
                return Ok(false);
            }
            done(first.kind);
            self.owed.pop_front();
        }
        Ok(true)
    }

    /// How many buffers wait.
    pub fn depth(&self) -> usize {
        self.owed.len()
    }

    /// When the oldest buffer was queued.
    pub fn oldest(&self) -> Option<Tick> {
        self.owed.front().map(|first| first.queued_at)
    }

    /// Forgets what has not begun to leave, and whose delivery it counted. What is left cannot be kept back: the peer has its head. False
    /// when nothing is.
    pub fn abandon(&mut self) -> bool {
        self.owed.retain(|owed| owed.begun);
        self.owed.iter_mut().for_each(|owed| owed.kind = Kind::Greeting);
        self.bytes = 0;
        !self.owed.is_empty()
    }

    fn add(&mut self, owed: Owed) {
        self.bytes += owed.weight();
        self.owed.push_back(owed);
    }
}

impl Owed {
    fn weight(&self) -> usize {
        if self.kind == Kind::Greeting { 0 } else { self.rest.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Tick = Tick::at(0);

    /// Flushes into a vector that takes `room` bytes a write and `total` in all.
    fn flush(outbox: &mut Outbox, step: usize, total: usize) -> (Vec<u8>, Vec<Kind>, bool) {
        let (mut taken, mut done) = (Vec::new(), Vec::new());
        let write = |bytes: &[u8]| {
            let count = bytes.len().min(step).min(total - taken.len());
            taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        };
        let empty = outbox.flush(write, |kind| done.push(kind)).unwrap();
        (taken, done, empty)
    }

    #[test]
    fn frames_leave_whole_and_in_order_whatever_the_kernel_takes() {
        for total in 0..=9 {
            let mut outbox = Outbox::owing("abc".into(), Kind::Plain, true, NOW);
            outbox.push("def".into(), Kind::Announcement(DrawId(4)), NOW, &Limits::default()).unwrap();
            outbox.push("ghi".into(), Kind::Greeting, NOW, &Limits::default()).unwrap();
            let (first, mut kinds, empty) = flush(&mut outbox, 9, total);
            assert_eq!((first.len(), empty), (total, total == 9));
            let (rest, later, _) = flush(&mut outbox, 9, 9);
            kinds.extend(later);
            assert_eq!([first, rest].concat(), b"abcdefghi");
            assert_eq!(kinds, [Kind::Plain, Kind::Announcement(DrawId(4)), Kind::Greeting]);
            assert_eq!(outbox.bytes, 0);
        }
    }

    #[test]
    fn it_holds_64_frames_and_64_kib_and_not_one_more() {
        let limits = Limits::default();
        for (len, fits) in [(1, 64), (1024, 64), (2048, 32), (4096, 16)] {
            let frame = Bytes::from(vec![0; len]);
            let mut outbox = Outbox::owing(frame.clone(), Kind::Plain, false, NOW);
            let taken = (1..100).take_while(|_| outbox.push(frame.clone(), Kind::Plain, NOW, &limits).is_ok()).count();
            assert_eq!(taken + 1, fits, "frames of {len} bytes");
        }
    }

    #[test]
    fn a_greeting_weighs_nothing() {
        let mut outbox = Outbox::owing(Bytes::from(vec![0; 300 << 10]), Kind::Greeting, true, NOW);
        assert!(outbox.push(Bytes::from(vec![0; 64 << 10]), Kind::Plain, NOW, &Limits::default()).is_ok());
        assert_eq!(outbox.push("x".into(), Kind::Plain, NOW, &Limits::default()), Err(Full));
    }

    #[test]
    fn a_frame_that_has_begun_is_finished_and_the_others_forgotten() {
        let mut outbox = Outbox::owing("abc".into(), Kind::Announcement(DrawId(1)), false, NOW);
        outbox.push("def".into(), Kind::Plain, NOW, &Limits::default()).unwrap();
        flush(&mut outbox, 9, 1);
        assert!(outbox.abandon());
        outbox.push("bye".into(), Kind::Plain, NOW, &Limits::default()).unwrap();
        let (rest, done, _) = flush(&mut outbox, 9, 9);
        assert_eq!((rest.as_slice(), done), (b"bcbye".as_slice(), vec![Kind::Greeting, Kind::Plain]));

        let mut outbox = Outbox::owing("abc".into(), Kind::Plain, false, NOW);
        assert!(!outbox.abandon(), "nothing of it had left");
    }
}
