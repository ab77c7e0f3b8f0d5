//! The last frames that went to everybody, for those who come back: at most 1,024 of them and 256 KiB.
//!
//! Rebuilt at start from the same facts, so that a `seq` means the same frame before and after a restart.

use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// The most frames that are held.
const FRAMES_MAX: usize = 1024;
/// The most bytes that are held.
const BYTES_MAX: usize = 256 << 10;
/// Frames in a shared segment: what a push after a clone copies at most.
const SEGMENT: usize = 32;

/// The last frames, numbered without gaps. Clones share their segments, since each snapshot holds one.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    segments: VecDeque<Arc<Vec<Bytes>>>,
    frames: usize,
    bytes: usize,
    last_seq: u64,
}

impl Ring {
    /// The number of the last frame, 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Adds a whole frame, which becomes number `last_seq() + 1`, and forgets the oldest segment once the rest is enough.
    pub fn push(&mut self, frame: Bytes) {
        if self.segments.back().is_none_or(|segment| segment.len() == SEGMENT) {
            self.segments.push_back(Arc::new(Vec::with_capacity(SEGMENT)));
        }
        self.frames += 1;
        self.bytes += frame.len();
        self.last_seq += 1;
        let newest = self.segments.back_mut().expect("a segment with room was just made sure of");
        Arc::make_mut(newest).push(frame);
        while self.frames > FRAMES_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.segments.pop_front() else { break };
            self.frames -= oldest.len();
            self.bytes -= oldest.iter().map(Bytes::len).sum::<usize>();
        }
    }

    /// Lets the frames go, and keeps the count.
    pub fn forget(&mut self) {
        *self = Self { last_seq: self.last_seq, ..Self::default() };
    }

    /// The frames after `seq`, oldest first; none when `seq` lies ahead or they are no longer held.
    pub fn after(&self, seq: u64) -> Option<impl Iterator<Item = &Bytes>> {
        let missed = self.last_seq.checked_sub(seq)? as usize;
        let skip = self.frames.checked_sub(missed)?;
        Some(self.segments.iter().flat_map(|segment| segment.iter()).skip(skip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(frames: usize, len: usize) -> Ring {
        let mut ring = Ring::default();
        (1..=frames).for_each(|seq| ring.push(Bytes::from(format!("{seq:0len$}"))));
        ring
    }

    #[test]
    fn what_was_missed_is_given_in_order() {
        let ring = ring(100, 4);
        let missed: Vec<_> = ring.after(97).unwrap().collect();
        assert_eq!(missed, ["0098", "0099", "0100"]);
        assert_eq!(ring.after(100).unwrap().count(), 0);
        assert_eq!(ring.after(0).unwrap().count(), 100);
        assert!(ring.after(101).is_none(), "the future was never missed");
    }

    #[test]
    fn it_stays_within_its_bounds_and_says_what_it_forgot() {
        for (frames, len) in [(5_000, 4), (400, 4096)] {
            let ring = ring(frames, len);
            assert!(ring.frames <= FRAMES_MAX && ring.bytes <= BYTES_MAX);
            assert!(ring.after(0).is_none(), "the first frame is gone");
            assert!(ring.after(frames as u64 - 5).is_some());
        }
    }
}
