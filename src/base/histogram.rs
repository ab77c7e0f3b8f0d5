//! A histogram that many threads write without a lock: how often a value fell under each bound.
//!
//! The bounds are fixed when it is made, as Prometheus wants them, and a record costs two additions. A histogram with better resolution belongs to a
//! measurement; this one runs always.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts of `N` values by their upper bounds, and one more for what is above all. Written by anybody, read by who asks; relaxed throughout, since the
/// figures are for looking at and a reader may find a count without its sum.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    /// Rising, inclusive.
    bounds: &'static [u64; N],
    counts: [AtomicU64; N],
    above: AtomicU64,
    sum: AtomicU64,
}

/// What a histogram has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Each bound, and how many values were at most that; rising.
    pub up_to: Vec<(u64, u64)>,
    pub count: u64,
    pub sum: u64,
}

impl Counted {
    /// The bound that this part of the values, from 0 to 1, does not exceed; none without values, and where it is above all bounds.
    pub fn quantile(&self, part: f64) -> Option<u64> {
        let wanted = (self.count as f64 * part).ceil() as u64;
        self.up_to.iter().find(|(_, count)| self.count > 0 && *count >= wanted).map(|(bound, _)| *bound)
    }
}

impl<const N: usize> Histogram<N> {
    /// An empty one. The bounds rise.
    pub const fn new(bounds: &'static [u64; N]) -> Self {
        Self { bounds, counts: [const { AtomicU64::new(0) }; N], above: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }

    /// Counts a value.
    pub fn record(&self, value: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts.get(place).unwrap_or(&self.above).fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// The counts so far, each bound's with those of all below it.
    pub fn counted(&self) -> Counted {
        let mut count = 0;
        let up_to = self.bounds.iter().zip(&self.counts).map(|(bound, at)| {
            count += at.load(Relaxed);
            (*bound, count)
        });
        let up_to: Vec<_> = up_to.collect();
        Counted { up_to, count: count + self.above.load(Relaxed), sum: self.sum.load(Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_for_every_bound_that_it_does_not_exceed() {
        let histogram = Histogram::new(&[10, 100]);
        for value in [0, 10, 11, 100, 101] {
            histogram.record(value);
        }
        assert_eq!(histogram.counted(), Counted { up_to: vec![(10, 2), (100, 4)], count: 5, sum: 222 });
    }

    #[test]
    fn a_quantile_is_a_bound_that_holds() {
        let histogram = Histogram::new(&[10, 100]);
        assert_eq!(histogram.counted().quantile(0.99), None, "of nothing");
        (0..99).for_each(|_| histogram.record(7));
        histogram.record(50);
        assert_eq!((histogram.counted().quantile(0.99), histogram.counted().quantile(1.0)), (Some(10), Some(100)));
        histogram.record(1_000);
        assert_eq!(histogram.counted().quantile(1.0), None, "above all bounds");
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let histogram = Histogram::new(&[1, 2, 3]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|n| histogram.record(n % 5)));
            }
        });
        let counted = histogram.counted();
        assert_eq!((counted.count, counted.sum), (40_000, 4 * 20_000));
    }
}
