//! Delivery of the last announcement: how many phones' kernels have it, and how long the slowest
//! took.
//!
//! One meter per room, for one draw at a time: a meter per draw would have to be bounded and aged.
//! The figures are for reading only; no decision depends on them.

use crate::draw::DrawId;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The time of a new meter, so that an announcement can have been made before the room was.
const HEAD_START_US: u64 = 3_600_000_000;

/// A meter for one draw at a time. The reactors write it; the sequencer resets it before it
/// publishes an announcement. Relaxed throughout: no other memory is read because of the figures.
#[derive(Debug)]
pub struct Delivery {
    /// The origin of `begun_us`.
    origin: Instant,
    begun_us: AtomicU64,
    draw: AtomicU32,
    expected: AtomicU32,
    delivered: AtomicU32,
    slowest_us: AtomicU64,
}

/// The figures of one announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryReport {
    /// The announced draw.
    pub draw: DrawId,
    /// Phones that were connected when it was announced.
    pub expected: u32,
    /// Phones whose kernel has taken the whole announcement.
    pub delivered: u32,
    /// Microseconds from the publication to the last of these.
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
    /// Starts the count for `draw`, whose announcement is published next.
    pub fn begin(&self, draw: DrawId) {
        self.begin_after(draw, Duration::ZERO);
    }

    /// Starts the count for `draw`, whose announcement has taken this long to come here.
    pub fn begin_after(&self, draw: DrawId, on_its_way: Duration) {
        self.begun_us.store(self.now_us().saturating_sub(on_its_way.as_micros() as u64), Relaxed);
        self.expected.store(0, Relaxed);
        self.delivered.store(0, Relaxed);
        self.slowest_us.store(0, Relaxed);
        self.draw.store(draw.0, Relaxed);
    }

    /// Counts one reactor's broadcast of `draw`: `expected` phones are connected, `delivered` of
    /// them have it now.
    pub fn count_broadcast(&self, draw: DrawId, expected: u32, delivered: u32) {
        if self.draw.load(Relaxed) == draw.0 {
            self.expected.fetch_add(expected, Relaxed);
            self.add_delivered(delivered);
        }
    }

    /// Counts one phone that was behind and now has the announcement of `draw`.
    pub fn count_late_delivery(&self, draw: DrawId) {
        if self.draw.load(Relaxed) == draw.0 {
            self.add_delivered(1);
        }
    }

    /// The figures of the last announced draw; `None` before the first.
    pub fn report(&self) -> Option<DeliveryReport> {
        let draw = self.draw.load(Relaxed);
        (draw > 0).then(|| DeliveryReport {
            draw: DrawId(draw),
            expected: self.expected.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            slowest_us: self.slowest_us.load(Relaxed),
        })
    }

    fn add_delivered(&self, count: u32) {
        if count > 0 {
            self.delivered.fetch_add(count, Relaxed);
            self.slowest_us.fetch_max(self.now_us().saturating_sub(self.begun_us.load(Relaxed)), Relaxed);
        }
    }

    fn now_us(&self) -> u64 {
        HEAD_START_US + self.origin.elapsed().as_micros() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_delivery_does_not_count_for_the_next_draw() {
        let delivery = Delivery::default();
        assert_eq!(delivery.report(), None);
        delivery.begin(DrawId(1));
        delivery.count_broadcast(DrawId(1), 10, 8);
        delivery.count_late_delivery(DrawId(1));
        let report = delivery.report().unwrap();
        assert_eq!((report.draw, report.expected, report.delivered), (DrawId(1), 10, 9));
        delivery.begin(DrawId(2));
        delivery.count_late_delivery(DrawId(1));
        delivery.count_broadcast(DrawId(1), 10, 10);
        let report = delivery.report().unwrap();
        assert_eq!((report.draw, report.expected, report.delivered, report.slowest_us), (DrawId(2), 0, 0, 0));
    }
}
