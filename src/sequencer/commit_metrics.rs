//! Metrics of the writer: how long commits take and how many facts each carries.

use crate::base::histogram::Histogram;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of a commit's duration in microseconds: from a fast disk's flush to one that keeps
/// people waiting.
const COMMIT_US: [u64; 12] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];
/// Upper bounds of the facts per commit.
const BATCH_FACTS: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// Commit metrics. Written by the writer alone; relaxed, since nothing else is read on the strength
/// of them.
#[derive(Debug)]
pub struct CommitMetrics {
    /// Microseconds from the start of a commit to its end, flush included.
    pub commit_us: Histogram<12>,
    /// Facts per commit.
    pub batch_facts: Histogram<10>,
    /// Commits that failed.
    pub failed: AtomicU64,
}

impl Default for CommitMetrics {
    fn default() -> Self {
        Self { commit_us: Histogram::new(&COMMIT_US), batch_facts: Histogram::new(&BATCH_FACTS), failed: AtomicU64::new(0) }
    }
}

impl CommitMetrics {
    /// Records a commit, or the attempt at one.
    pub fn record(&self, took: Duration, facts: usize, succeeded: bool) {
        self.commit_us.record(took.as_micros() as u64);
        self.batch_facts.record(facts as u64);
        if !succeeded {
            self.failed.fetch_add(1, Relaxed);
        }
    }
}
