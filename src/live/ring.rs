//! The last numbered frames of an event, for peers that return: at most 1,024 frames and 256 KiB.
//!
//! The ring is rebuilt at start from the same facts, so that a `seq` means the same frame before
//! and after a restart. Each snapshot holds a ring, so clones share their segments; a plain copy
//! would cost up to 1,024 reference counts per publication. It must never hold a frame without a
//! `seq`.

use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// The most frames that are held.
const FRAMES_MAX: usize = 1024;
/// The most bytes that are held.
const BYTES_MAX: usize = 256 << 10;
/// Frames in a shared segment; a push after a clone copies at most this many references.
const SEGMENT_FRAMES: usize = 32;

/// The last frames, numbered without gaps. Clones share their segments.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    segments: VecDeque<Arc<Vec<Bytes>>>,
    frames: usize,
    bytes: usize,
    last_seq: u64,
}

impl Ring {
    /// An empty ring whose first frame becomes number `seq + 1`.
    pub fn starting_after(seq: u64) -> Self {
        Self { last_seq: seq, ..Self::default() }
    }

    /// The number of the frame before the oldest that is held.
    pub fn base_seq(&self) -> u64 {
        self.last_seq - self.frames as u64
    }

    /// The number of the last frame, 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Adds a whole frame, which becomes number `last_seq() + 1`, and drops the oldest segments
    /// beyond the bounds.
    pub fn push(&mut self, frame: Bytes) {
        if self.segments.back().is_none_or(|segment| segment.len() == SEGMENT_FRAMES) {
            self.segments.push_back(Arc::new(Vec::with_capacity(SEGMENT_FRAMES)));
        }
        self.frames += 1;
        self.bytes += frame.len();
        self.last_seq += 1;
        let newest = self.segments.back_mut().expect("a segment with room was added above");
        Arc::make_mut(newest).push(frame);
        while self.frames > FRAMES_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.segments.pop_front() else { break };
            self.frames -= oldest.len();
            self.bytes -= oldest.iter().map(Bytes::len).sum::<usize>();
        }
    }

    /// Drops the frames and keeps the count.
    pub fn clear(&mut self) {
        *self = Self { last_seq: self.last_seq, ..Self::default() };
    }

    /// The frames after `seq`, oldest first; `None` when `seq` lies ahead or they are no longer
    /// held.
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
    fn missed_frames_come_in_order() {
        let ring = ring(100, 4);
        let missed: Vec<_> = ring.after(97).unwrap().collect();
        assert_eq!(missed, ["0098", "0099", "0100"]);
        assert_eq!(ring.after(100).unwrap().count(), 0);
        assert_eq!(ring.after(0).unwrap().count(), 100);
        assert!(ring.after(101).is_none(), "a frame of the future was never missed");
    }

    #[test]
    fn a_ring_stays_within_its_bounds_and_admits_what_it_dropped() {
        for (frames, len) in [(5_000, 4), (400, 4096)] {
            let ring = ring(frames, len);
            assert!(ring.frames <= FRAMES_MAX && ring.bytes <= BYTES_MAX);
            assert!(ring.after(0).is_none(), "the first frame is gone");
            assert!(ring.after(frames as u64 - 5).is_some());
        }
    }

    #[test]
    fn a_push_does_not_change_a_clone() {
        let mut ring = ring(40, 4);
        let earlier = ring.clone();
        ring.push("next".into());
        assert_eq!((earlier.last_seq(), earlier.after(39).unwrap().count()), (40, 1));
        assert_eq!(ring.after(40).unwrap().collect::<Vec<_>>(), ["next"]);
    }

    #[test]
    fn a_cleared_ring_goes_on_counting() {
        let mut ring = ring(40, 4);
        ring.clear();
        assert!(ring.after(39).is_none() && ring.after(40).unwrap().next().is_none());
        ring.push("next".into());
        assert_eq!((ring.last_seq(), ring.after(40).unwrap().count()), (41, 1));
    }
}
