//! The outbox of a slow peer: references to frames that its socket did not take, oldest first.
//!
//! The frames are shared with every other peer; only the queue is the peer's own. A short write
//! creates it and it is dropped once empty, so a peer that keeps up owns none. A channel per peer
//! would cost every idle socket its memory. It never grows beyond its bounds: a peer that needs
//! more is evicted.

use crate::draw::DrawId;
use crate::live::limits::Limits;
use crate::live::tick::Tick;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io;

/// The kind of a buffer of frames, as far as an outbox distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Frames that many peers share.
    Shared,
    /// A reply: the bytes are this peer's alone.
    Own,
    /// A greeting. Its bytes do not count towards the outbox's bound: no peer is too slow before
    /// its first frame.
    Greeting,
    /// A phone's announcement, whose delivery is counted.
    Announcement(DrawId),
}

/// The outbox has reached its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A peer's queue. It is never empty between two calls of its owner.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: VecDeque<Queued>,
    /// Bytes in `queue` that count towards the bound.
    bytes: usize,
    /// Bytes of the greetings and replies in `queue`, whole until their last byte has left: a part
    /// of a buffer holds all of it.
    own_bytes: usize,
}

#[derive(Debug)]
struct Queued {
    /// The bytes that the kernel has not taken yet.
    rest: Bytes,
    kind: FrameKind,
    /// Bytes that the reactor's budget is charged with.
    charged: usize,
    queued_at: Tick,
    /// Has the kernel taken part of the buffer? Then the rest has to follow.
    begun: bool,
}

impl Outbox {
    /// An outbox with one buffer, however large, of which the kernel has taken `taken` bytes: a
    /// bound that refused the first buffer would refuse it to all peers.
    pub fn with_rest(buffer: Bytes, taken: usize, kind: FrameKind, now: Tick) -> Self {
        let mut outbox = Self::default();
        outbox.add(Queued::new(buffer, taken, kind, now));
        outbox
    }

    /// Adds a buffer of whole frames.
    ///
    /// # Errors
    /// [`Full`] when it would exceed `limits`; the buffer is not added then.
    pub fn push(&mut self, frames: Bytes, kind: FrameKind, now: Tick, limits: &Limits) -> Result<(), Full> {
        let queued = Queued::new(frames, 0, kind, now);
        if self.queue.len() >= limits.outbox_frames_max || self.bytes + queued.counted_bytes() > limits.outbox_bytes_max {
            return Err(Full);
        }
        self.add(queued);
        Ok(())
    }

    /// Writes buffers by `write`, which returns how many bytes were taken, and calls `done` for
    /// each that has left whole. True when the outbox is empty.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn flush(
        &mut self,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
        mut done: impl FnMut(FrameKind),
    ) -> io::Result<bool> {
        while let Some(first) = self.queue.front_mut() {
            let before = first.counted_bytes();
            let count = write(&first.rest)?;
            first.rest.advance(count);
            first.begun |= count > 0;
            self.bytes -= before - first.counted_bytes();
            if !first.rest.is_empty() {
                return Ok(false);
            }
            done(first.kind);
            self.own_bytes -= first.charged;
            self.queue.pop_front();
        }
        Ok(true)
    }

    /// Bytes of the greetings and replies that wait.
    pub fn own_bytes(&self) -> usize {
        self.own_bytes
    }

    /// Buffers in the outbox.
    pub fn depth(&self) -> usize {
        self.queue.len()
    }

    /// The time at which the oldest buffer was queued.
    pub fn oldest(&self) -> Option<Tick> {
        self.queue.front().map(|first| first.queued_at)
    }

    /// Drops the buffers that have not begun to leave, and counts no delivery for the rest of one
    /// that has. That rest has to stay, since the peer has its head. False when nothing is left.
    pub fn discard_unsent(&mut self) -> bool {
        self.queue.retain(|queued| queued.begun);
        self.queue.iter_mut().for_each(|queued| queued.kind = FrameKind::Greeting);
        self.bytes = 0;
        self.own_bytes = self.queue.iter().map(|queued| queued.charged).sum();
        !self.queue.is_empty()
    }

    fn add(&mut self, queued: Queued) {
        self.bytes += queued.counted_bytes();
        self.own_bytes += queued.charged;
        self.queue.push_back(queued);
    }
}

impl Queued {
    fn new(buffer: Bytes, taken: usize, kind: FrameKind, now: Tick) -> Self {
        let charged = if matches!(kind, FrameKind::Greeting | FrameKind::Own) { buffer.len() } else { 0 };
        Self { rest: buffer.slice(taken..), kind, charged, queued_at: now, begun: taken > 0 }
    }

    fn counted_bytes(&self) -> usize {
        if self.kind == FrameKind::Greeting { 0 } else { self.rest.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Tick = Tick::at(0);

    /// Flushes into a vector that takes `step` bytes per write and `total` in all.
    fn flush(outbox: &mut Outbox, step: usize, total: usize) -> (Vec<u8>, Vec<FrameKind>, bool) {
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
            let mut outbox = Outbox::with_rest("_abc".into(), 1, FrameKind::Shared, NOW);
            outbox.push("def".into(), FrameKind::Announcement(DrawId(4)), NOW, &Limits::default()).unwrap();
            outbox.push("ghi".into(), FrameKind::Greeting, NOW, &Limits::default()).unwrap();
            let (first, mut kinds, empty) = flush(&mut outbox, 9, total);
            assert_eq!((first.len(), empty), (total, total == 9));
            let (rest, later, _) = flush(&mut outbox, 9, 9);
            kinds.extend(later);
            assert_eq!([first, rest].concat(), b"abcdefghi");
            assert_eq!(kinds, [FrameKind::Shared, FrameKind::Announcement(DrawId(4)), FrameKind::Greeting]);
            assert_eq!(outbox.bytes, 0);
        }
    }

    #[test]
    fn an_outbox_holds_64_frames_and_64_kib_and_not_one_more() {
        let limits = Limits::default();
        for (len, fits) in [(1, 64), (1024, 64), (2048, 32), (4096, 16)] {
            let frame = Bytes::from(vec![0; len]);
            let mut outbox = Outbox::with_rest(frame.clone(), 0, FrameKind::Shared, NOW);
            let taken = (1..100).take_while(|_| outbox.push(frame.clone(), FrameKind::Shared, NOW, &limits).is_ok()).count();
            assert_eq!(taken + 1, fits, "frames of {len} bytes");
        }
    }

    #[test]
    fn a_greeting_does_not_count_towards_the_bound() {
        let mut outbox = Outbox::with_rest(Bytes::from(vec![0; 300 << 10]), 1, FrameKind::Greeting, NOW);
        assert!(outbox.push(Bytes::from(vec![0; 64 << 10]), FrameKind::Shared, NOW, &Limits::default()).is_ok());
        assert_eq!(outbox.own_bytes(), 300 << 10, "with the byte that the kernel has taken");
        flush(&mut outbox, 9, 9);
        assert_eq!(outbox.own_bytes(), 300 << 10, "the buffer is held whole");
        assert!(outbox.discard_unsent());
        assert_eq!(outbox.own_bytes(), 300 << 10);
        flush(&mut outbox, 1 << 20, 1 << 20);
        assert_eq!(outbox.own_bytes(), 0);
        let mut outbox = Outbox::with_rest(Bytes::from(vec![0; 300 << 10]), 1, FrameKind::Greeting, NOW);
        assert!(outbox.push(Bytes::from(vec![0; 64 << 10]), FrameKind::Shared, NOW, &Limits::default()).is_ok());
        assert_eq!(outbox.push("x".into(), FrameKind::Shared, NOW, &Limits::default()), Err(Full));
    }

    #[test]
    fn a_frame_that_has_begun_is_finished_and_the_others_are_dropped() {
        let mut outbox = Outbox::with_rest("abc".into(), 0, FrameKind::Announcement(DrawId(1)), NOW);
        outbox.push("def".into(), FrameKind::Shared, NOW, &Limits::default()).unwrap();
        flush(&mut outbox, 9, 1);
        assert!(outbox.discard_unsent());
        outbox.push("bye".into(), FrameKind::Shared, NOW, &Limits::default()).unwrap();
        let (rest, done, _) = flush(&mut outbox, 9, 9);
        assert_eq!((rest.as_slice(), done), (b"bcbye".as_slice(), vec![FrameKind::Greeting, FrameKind::Shared]));

        let mut outbox = Outbox::with_rest("abc".into(), 0, FrameKind::Shared, NOW);
        assert!(!outbox.discard_unsent(), "no byte of it had left");
    }
}
