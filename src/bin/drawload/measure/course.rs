//! Latencies over time: a histogram for each kind of wait and each interval, for an evening of any length in bounded memory.
//!
//! The intervals of a run are at most [`INTERVALS_MAX`]; when they are used up, each two become one of twice the length, so that nobody has to know
//! how long the run will be. Closed intervals are kept as the values that were there, 8 bytes for each that is told apart: percentiles of two
//! intervals cannot be added, their values can. The bound is [`INTERVALS_MAX`] × kinds × 3,328 values × 8 bytes, about 48 MB if every
//! interval held every value there is between a microsecond and an hour; 300 people's hour holds some hundred kilobytes.

use super::latency::in_ms;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;

/// Points of a curve: more cannot be told apart on a page.
pub const INTERVALS_MAX: u64 = 120;

/// The length that intervals begin with.
const FIRST_INTERVAL_US: u64 = 250_000;

/// The longest time that is told apart: an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// Latencies by kind and interval. Kinds are numbered from 0.
pub struct Course {
    interval_us: u64,
    /// The interval that is being recorded.
    current: u64,
    open: Vec<Histogram<u32>>,
    closed: Vec<Vec<Closed>>,
}

/// An interval that is over: values in microseconds, ascending, and how often each was there.
#[derive(Clone, Debug, PartialEq)]
struct Closed {
    index: u64,
    values: Vec<(u32, u32)>,
}

/// One kind of wait in one interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slice {
    pub from_s: f64,
    pub to_s: f64,
    pub count: u64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// The whole run: slices by the name of the wait, those intervals left out in which nothing was waited for.
pub type Curves = BTreeMap<&'static str, Vec<Slice>>;

impl Course {
    pub fn new(kinds: usize) -> Self {
        let open = || Histogram::new_with_bounds(1, LONGEST_US, 2).expect("the bounds are in order");
        Self {
            interval_us: FIRST_INTERVAL_US,
            current: 0,
            open: (0..kinds).map(|_| open()).collect(),
            closed: vec![Vec::new(); kinds],
        }
    }

    /// A wait that was over `at_us` after the beginning, and took so many microseconds. Moments do not go back.
    pub fn record(&mut self, kind: usize, at_us: u64, took_us: u64) {
        while at_us / self.interval_us >= INTERVALS_MAX {
            self.coarsen();
        }
        let index = at_us / self.interval_us;
        if index > self.current {
            self.close();
            self.current = index;
        }
        self.open[kind].saturating_record(took_us.max(1));
    }

    /// The newest interval that has anything of a kind.
    pub fn latest(&self, kind: usize) -> Option<Slice> {
        let open = closed(self.current, &self.open[kind]);
        open.as_ref().or(self.closed[kind].last()).map(|closed| self.slice(closed))
    }

    /// Every interval of a kind, in order.
    pub fn curve(&self, kind: usize) -> Vec<Slice> {
        let mut all = self.closed[kind].clone();
        if let Some(open) = closed(self.current, &self.open[kind]) {
            append(&mut all, open);
        }
        all.iter().map(|closed| self.slice(closed)).collect()
    }

    fn close(&mut self) {
        for (open, kept) in self.open.iter_mut().zip(&mut self.closed) {
            if let Some(closed) = closed(self.current, open) {
                append(kept, closed);
                open.reset();
            }
        }
    }

    /// Makes one interval of each two.
    fn coarsen(&mut self) {
        self.interval_us *= 2;
        self.current /= 2;
        for kept in &mut self.closed {
            for mut closed in std::mem::take(kept) {
                closed.index /= 2;
                append(kept, closed);
            }
        }
    }

    fn slice(&self, closed: &Closed) -> Slice {
        let count: u64 = closed.values.iter().map(|(_, times)| u64::from(*times)).sum();
        let at = |quantile| in_ms(value_at(&closed.values, count, quantile));
        let from_us = closed.index * self.interval_us;
        Slice {
            from_s: in_ms(from_us) / 1_000.0,
            to_s: in_ms(from_us + self.interval_us) / 1_000.0,
            count,
            p50_ms: at(0.50),
            p90_ms: at(0.90),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }
}

/// A histogram as the values that are in it; none when it is empty.
fn closed(index: u64, histogram: &Histogram<u32>) -> Option<Closed> {
    let value = |us: u64| u32::try_from(us).unwrap_or(u32::MAX);
    let values = histogram.iter_recorded().map(|step| (value(step.value_iterated_to()), step.count_at_value())).collect();
    (!histogram.is_empty()).then_some(Closed { index, values })
}

/// Puts an interval behind the others, or into the last one when it is the same by now.
fn append(kept: &mut Vec<Closed>, next: Closed) {
    match kept.last_mut().filter(|last| last.index == next.index) {
        Some(last) => {
            let mut both: BTreeMap<u32, u32> = std::mem::take(&mut last.values).into_iter().collect();
            for (value, times) in next.values {
                let sum = both.entry(value).or_default();
                *sum = sum.saturating_add(times);
            }
            last.values = both.into_iter().collect();
        }
        None => kept.push(next),
    }
}

/// The smallest value that a share of all is not above.
fn value_at(values: &[(u32, u32)], count: u64, quantile: f64) -> u64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts fit 53 bits"
    )]
    let wanted = (count as f64 * quantile).ceil().max(1.0) as u64;
    let mut seen = 0;
    let reached = values.iter().find(|(_, times)| {
        seen += u64::from(*times);
        seen >= wanted
    });
    reached.or(values.last()).map_or(0, |(value, _)| u64::from(*value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_long_a_run_nothing_is_lost_and_the_intervals_stay_few() {
        let mut course = Course::new(2);
        let second = 1_000_000;
        for at in 0..3_600 {
            course.record(0, at * second, 1_000 + at);
            if at == 1_800 {
                course.record(1, at * second, 5);
            }
        }
        let curve = course.curve(0);
        assert!(curve.len() as u64 <= INTERVALS_MAX && curve.len() as u64 > INTERVALS_MAX / 3, "{}", curve.len());
        assert_eq!(curve.iter().map(|slice| slice.count).sum::<u64>(), 3_600);
        assert!(curve.windows(2).all(|two| two[0].to_s <= two[1].from_s && two[0].p50_ms <= two[1].p50_ms), "{curve:?}");
        let alone = course.curve(1);
        assert!(alone.len() == 1 && alone[0].from_s <= 1_800.0 && alone[0].to_s > 1_800.0, "{alone:?}");
    }

    #[test]
    fn percentiles_of_intervals_that_were_joined_are_those_of_all_their_values() {
        let mut course = Course::new(1);
        // One slow wait among 99 fast ones, in intervals that are joined many times over.
        for at in 0..100 {
            course.record(0, at * 10_000, if at == 50 { 900_000 } else { 1_000 });
        }
        course.record(0, 4_000_000_000, 7);
        let first = &course.curve(0)[0];
        assert_eq!(first.count, 100);
        assert!((first.p50_ms - 1.0).abs() < 0.01 && (first.p99_ms - 1.0).abs() < 0.01, "{first:?}");
        assert!((first.max_ms - 900.0).abs() < 9.0, "{first:?}");
        assert_eq!(course.latest(0).map(|slice| slice.count), Some(1));
        assert_eq!(Course::new(1).latest(0), None);
    }
}
