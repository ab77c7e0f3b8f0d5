//! Latencies over time: one histogram per kind of wait and interval, in bounded memory.
//!
//! A run has at most [`INTERVALS_MAX`] intervals. When they are used up, every two become one of
//! twice the length, so that the length of the run need not be known. Intervals keep histograms and
//! not percentiles, since percentiles of two intervals cannot be added. A histogram of two digits
//! takes 4 KB up to 10 ms and 13 KB up to an hour: at most 29 MB for all kinds, 5 MB usually.

use super::latency::LONGEST_US;
use super::ms;
use super::process::ProcessStats;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;

/// Points of a curve: more are not visible on a page.
pub const INTERVALS_MAX: u64 = 120;

/// The length of intervals at the beginning.
const FIRST_INTERVAL_US: u64 = 250_000;

/// Latencies by kind and interval. Kinds are numbered from 0.
pub struct TimeSeries {
    interval_us: u64,
    kinds: Vec<BTreeMap<u64, Histogram<u32>>>,
}

/// One kind of wait in one interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interval {
    pub from_s: f64,
    pub to_s: f64,
    pub count: u64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// The run at one time; one row of the time series.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    pub at_s: f64,
    pub registered: u64,
    pub sockets: u64,
    pub announced: u64,
    pub errors: u64,
    /// Of the API calls since the row before; 0 when there were none.
    pub api_p50_ms: f64,
    pub api_p95_ms: f64,
    /// Since the row before.
    pub requests_per_s: f64,
    pub frames_per_s: f64,
    pub server: Option<ProcessStats>,
}

/// Intervals by the name of the wait, without those in which nothing was recorded.
pub type Curves = BTreeMap<&'static str, Vec<Interval>>;

impl TimeSeries {
    pub fn new(kinds: usize) -> Self {
        Self { interval_us: FIRST_INTERVAL_US, kinds: vec![BTreeMap::new(); kinds] }
    }

    /// Records a wait that ended `at_us` after the start of the run.
    pub fn record(&mut self, kind: usize, at_us: u64, took_us: u64) {
        while at_us / self.interval_us >= INTERVALS_MAX {
            self.coarsen();
        }
        let new = || Histogram::new(2).expect("two digits are allowed");
        let histogram = self.kinds[kind].entry(at_us / self.interval_us).or_insert_with(new);
        histogram.record(took_us.clamp(1, LONGEST_US)).expect("the histogram grows with its values");
    }

    /// The newest interval in which a kind was recorded.
    pub fn latest(&self, kind: usize) -> Option<Interval> {
        self.kinds[kind].last_key_value().map(|(index, histogram)| self.interval(*index, histogram))
    }

    /// Every interval of a kind, in order.
    pub fn curve(&self, kind: usize) -> Vec<Interval> {
        self.kinds[kind].iter().map(|(index, histogram)| self.interval(*index, histogram)).collect()
    }

    /// Merges every two intervals into one.
    fn coarsen(&mut self) {
        self.interval_us *= 2;
        for intervals in &mut self.kinds {
            let mut merged: BTreeMap<u64, Histogram<u32>> = BTreeMap::new();
            for (index, histogram) in std::mem::take(intervals) {
                match merged.get_mut(&(index / 2)) {
                    Some(first) => first.add(&histogram).expect("the histogram grows with its values"),
                    None => drop(merged.insert(index / 2, histogram)),
                }
            }
            *intervals = merged;
        }
    }

    fn interval(&self, index: u64, histogram: &Histogram<u32>) -> Interval {
        let at = |quantile| ms(histogram.value_at_quantile(quantile));
        let from_us = index * self.interval_us;
        Interval {
            from_s: ms(from_us) / 1_000.0,
            to_s: ms(from_us + self.interval_us) / 1_000.0,
            count: histogram.len(),
            p50_ms: at(0.50),
            p90_ms: at(0.90),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_any_length_loses_nothing_and_keeps_few_intervals() {
        let mut series = TimeSeries::new(2);
        let second = 1_000_000;
        for at in 0..3_600 {
            series.record(0, at * second, 1_000 + at);
            if at == 1_800 {
                series.record(1, at * second, 5);
            }
        }
        let curve = series.curve(0);
        assert!(curve.len() as u64 <= INTERVALS_MAX && curve.len() as u64 > INTERVALS_MAX / 3, "{}", curve.len());
        assert_eq!(curve.iter().map(|interval| interval.count).sum::<u64>(), 3_600);
        assert!(curve.windows(2).all(|two| two[0].to_s <= two[1].from_s && two[0].p50_ms <= two[1].p50_ms), "{curve:?}");
        let alone = series.curve(1);
        assert!(alone.len() == 1 && alone[0].from_s <= 1_800.0 && alone[0].to_s > 1_800.0, "{alone:?}");
    }

    #[test]
    fn percentiles_of_merged_intervals_are_those_of_all_their_values() {
        let mut series = TimeSeries::new(1);
        // One slow wait among 99 fast ones, in intervals that are merged many times over.
        for at in 0..100 {
            series.record(0, at * 10_000, if at == 50 { 900_000 } else { 1_000 });
        }
        series.record(0, 4_000_000_000, 7);
        let first = &series.curve(0)[0];
        assert_eq!(first.count, 100);
        assert!((first.p50_ms - 1.0).abs() < 0.01 && (first.p99_ms - 1.0).abs() < 0.01, "{first:?}");
        assert!((first.max_ms - 900.0).abs() < 9.0, "{first:?}");
        assert_eq!(series.latest(0).map(|interval| interval.count), Some(1));
        assert_eq!(TimeSeries::new(1).latest(0), None);
    }
}
