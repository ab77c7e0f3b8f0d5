//! A histogram that many threads write without a lock: the number of values up to each bound.
//!
//! The bounds are fixed, as Prometheus expects, and a record costs two additions, so that it can
//! always run. It must not grow more precise: measurements use a histogram of their own.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts of values by `N` upper bounds, and of values above all of them. Any thread writes, any
/// thread reads. All orderings are relaxed: the figures are for display, and a reader can see a
/// count before its sum.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    /// Inclusive bounds, rising.
    bounds: &'static [u64; N],
    counts: [AtomicU64; N],
    above: AtomicU64,
    sum: AtomicU64,
}

/// The counts of a histogram at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Each bound, rising, with the number of values up to it.
    pub up_to: Vec<(u64, u64)>,
    /// The number of all values.
    pub count: u64,
    /// The sum of all values.
    pub sum: u64,
}

impl HistogramSnapshot {
    /// The lowest bound that a share `part` of the values, from 0 to 1, does not exceed. `None`
    /// without values, and when it lies above all bounds.
    pub fn quantile(&self, part: f64) -> Option<u64> {
        let wanted = (self.count as f64 * part).ceil() as u64;
        self.up_to.iter().find(|(_, count)| self.count > 0 && *count >= wanted).map(|(bound, _)| *bound)
    }
}

impl<const N: usize> Histogram<N> {
    /// An empty histogram. The bounds must rise.
    pub const fn new(bounds: &'static [u64; N]) -> Self {
        Self { bounds, counts: [const { AtomicU64::new(0) }; N], above: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }

    /// Counts a value.
    pub fn record(&self, value: u64) {
        let index = self.bounds.partition_point(|bound| *bound < value);
        self.counts.get(index).unwrap_or(&self.above).fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// The counts so far.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let mut count = 0;
        let up_to = self.bounds.iter().zip(&self.counts).map(|(bound, at)| {
            count += at.load(Relaxed);
            (*bound, count)
        });
        let up_to: Vec<_> = up_to.collect();
        HistogramSnapshot { up_to, count: count + self.above.load(Relaxed), sum: self.sum.load(Relaxed) }
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
        assert_eq!(histogram.snapshot(), HistogramSnapshot { up_to: vec![(10, 2), (100, 4)], count: 5, sum: 222 });
    }

    #[test]
    fn a_quantile_is_the_lowest_bound_that_holds() {
        let histogram = Histogram::new(&[10, 100]);
        assert_eq!(histogram.snapshot().quantile(0.99), None, "of nothing");
        (0..99).for_each(|_| histogram.record(7));
        histogram.record(50);
        assert_eq!((histogram.snapshot().quantile(0.99), histogram.snapshot().quantile(1.0)), (Some(10), Some(100)));
        histogram.record(1_000);
        assert_eq!(histogram.snapshot().quantile(1.0), None, "above all bounds");
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let histogram = Histogram::new(&[1, 2, 3]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|n| histogram.record(n % 5)));
            }
        });
        let snapshot = histogram.snapshot();
        assert_eq!((snapshot.count, snapshot.sum), (40_000, 4 * 20_000));
    }
}
