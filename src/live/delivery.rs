//! How the last announcement travelled: how many phones have it in their kernel's hands, and how long the slowest took.

use crate::draw::DrawId;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// A meter for one draw at a time. Written by the stages, reset by the sequencer before it publishes an announcement; relaxed throughout,
/// since the figures are for looking at.
#[derive(Debug)]
pub struct Delivery {
    /// What `begun_us` counts from.
    origin: Instant,
    begun_us: AtomicU64,
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

impl Default for Delivery {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            begun_us: AtomicU64::new(0),
            draw: AtomicU32::new(0),
            expected: AtomicU32::new(0),
            delivered: AtomicU32::new(0),
            slowest_us: AtomicU64::new(0),
        }
    }
}

impl Delivery {
    /// Begins to count for `draw`, whose announcement is published next.
    pub fn begin(&self, draw: DrawId) {
        self.begun_us.store(self.now_us(), Relaxed);
        self.expected.store(0, Relaxed);
        self.delivered.store(0, Relaxed);
        self.slowest_us.store(0, Relaxed);
        self.draw.store(draw.0, Relaxed);
    }

    /// A stage has walked its phones: so many should have the announcement of `draw`, and so many have it now.
    pub fn walked(&self, draw: DrawId, expected: u32, delivered: u32) {
        if self.draw.load(Relaxed) == draw.0 {
            self.expected.fetch_add(expected, Relaxed);
            self.delivered(delivered);
        }
    }

    /// A phone that was behind has the announcement of `draw` now.
    pub fn caught_up(&self, draw: DrawId) {
        if self.draw.load(Relaxed) == draw.0 {
            self.delivered(1);
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

    fn delivered(&self, count: u32) {
        if count > 0 {
            self.delivered.fetch_add(count, Relaxed);
            self.slowest_us.fetch_max(self.now_us().saturating_sub(self.begun_us.load(Relaxed)), Relaxed);
        }
    }

    fn now_us(&self) -> u64 {
        self.origin.elapsed().as_micros() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_that_comes_late_does_not_count_for_the_next() {
        let delivery = Delivery::default();
        assert_eq!(delivery.reading(), None);
        delivery.begin(DrawId(1));
        delivery.walked(DrawId(1), 10, 8);
        delivery.caught_up(DrawId(1));
        let reading = delivery.reading().unwrap();
        assert_eq!((reading.draw, reading.expected, reading.delivered), (DrawId(1), 10, 9));
        delivery.begin(DrawId(2));
        delivery.caught_up(DrawId(1));
        delivery.walked(DrawId(1), 10, 10);
        let reading = delivery.reading().unwrap();
        assert_eq!((reading.draw, reading.expected, reading.delivered, reading.slowest_us), (DrawId(2), 0, 0, 0));
    }
}
