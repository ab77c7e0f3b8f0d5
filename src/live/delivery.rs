//! How the last announcement travelled: how many phones have it in their kernel's hands, and how long the slowest took.

use crate::draw::DrawId;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// A meter for one draw at a time. Written by the stages, reset by the sequencer before it publishes an announcement; relaxed throughout,
/// since the figures are for looking at.
#[derive(Debug, Default)]
pub struct Delivery {
    draw: AtomicU32,
    expected: AtomicU32,
    delivered: AtomicU32,
    slowest_us: AtomicU64,
}

/// The meter's reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub draw: DrawId,
    /// Phones that were connected when it was announced.
    pub expected: u32,
    /// Those whose socket has taken the whole announcement.
    pub delivered: u32,
    /// From the publication to the last of these, in microseconds.
    pub slowest_us: u64,
}

impl Delivery {
    /// Begins to count for `draw`.
    pub fn begin(&self, draw: DrawId) {
        self.expected.store(0, Relaxed);
        self.delivered.store(0, Relaxed);
        self.slowest_us.store(0, Relaxed);
        self.draw.store(draw.0, Relaxed);
    }

    /// A stage has walked its phones: so many should have it, so many do, and the last write was done `elapsed_us` after publication.
    pub fn walked(&self, expected: u32, delivered: u32, elapsed_us: u64) {
        self.expected.fetch_add(expected, Relaxed);
        self.delivered.fetch_add(delivered, Relaxed);
        self.slowest_us.fetch_max(elapsed_us, Relaxed);
    }

    /// A phone that was behind has it now.
    pub fn caught_up(&self, draw: DrawId, elapsed_us: u64) {
        if self.draw.load(Relaxed) == draw.0 {
            self.delivered.fetch_add(1, Relaxed);
            self.slowest_us.fetch_max(elapsed_us, Relaxed);
        }
    }

    /// The figures of the last announced draw; none before the first.
    pub fn reading(&self) -> Option<Reading> {
        let draw = self.draw.load(Relaxed);
        (draw > 0).then(|| Reading {
            draw: DrawId(draw),
            expected: self.expected.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            slowest_us: self.slowest_us.load(Relaxed),
        })
    }
}
