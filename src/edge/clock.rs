//! The origin's clock, as an edge estimates it for its phones.
//!
//! Winners are shown at one instant of the origin's clock. An answer of the origin carries its
//! time, and the round trip bounds the error: the quickest of the last answers counts. It is added
//! to this machine's monotonic clock, since the wall clock of an edge may be wrong and may jump.

use crate::base::clock::{monotonic_ms, wall_clock};
use crate::draw::Timestamp;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Answers that count. With a reading per few seconds the oldest is below a minute old.
const SAMPLES_MAX: usize = 8;

/// The origin's clock.
#[derive(Debug)]
pub struct OriginClock {
    samples: Mutex<VecDeque<Sample>>,
    /// Milliseconds from the monotonic clock to the origin's. Written with each sample; relaxed,
    /// since nothing else is read on the strength of it.
    offset_ms: AtomicI64,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    round_trip_ms: i64,
    offset_ms: i64,
}

impl Default for OriginClock {
    /// This machine's own clock, until the origin has answered.
    fn default() -> Self {
        Self { samples: Mutex::default(), offset_ms: AtomicI64::new(wall_clock().0 - monotonic_ms()) }
    }
}

impl OriginClock {
    /// Adds a question sent at `sent_ms` whose answer came at `received_ms`, both by the monotonic
    /// clock, with the origin's time when it answered.
    pub fn add(&self, sent_ms: i64, received_ms: i64, origin: Timestamp) {
        let round_trip_ms = received_ms - sent_ms;
        let sample = Sample { round_trip_ms, offset_ms: origin.0 - (received_ms - round_trip_ms / 2) };
        // Each change is one push, so a thread that panicked left nothing half done.
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(sample);
        let best = samples.iter().min_by_key(|sample| sample.round_trip_ms).map_or(sample, |best| *best);
        self.offset_ms.store(best.offset_ms, Relaxed);
    }

    /// Time since the origin's clock showed `then`, at least zero; `None` before the first answer.
    pub fn since(&self, then: Timestamp) -> Option<Duration> {
        let is_known = !self.samples.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        is_known.then(|| Duration::from_millis((self.now().0 - then.0).max(0) as u64))
    }

    /// Milliseconds by which this machine's wall clock is ahead of the origin's.
    pub fn ahead_ms(&self) -> i64 {
        wall_clock().0 - self.now().0
    }

    /// The origin's time now.
    pub fn now(&self) -> Timestamp {
        Timestamp(monotonic_ms() + self.offset_ms.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An hour.
    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn the_quickest_of_the_last_answers_counts() {
        let clock = OriginClock::default();
        let ahead = |clock: &OriginClock| clock.offset_ms.load(Relaxed);
        clock.add(1_000, 1_400, Timestamp(HOUR_MS + 1_400));
        assert_eq!(ahead(&clock), HOUR_MS + 200, "half a slow round trip off");
        clock.add(2_000, 2_002, Timestamp(HOUR_MS + 2_001));
        assert_eq!(ahead(&clock), HOUR_MS);
        clock.add(3_000, 3_900, Timestamp(HOUR_MS + 3_000));
        assert_eq!(ahead(&clock), HOUR_MS, "a slower answer changes nothing");
        (0..SAMPLES_MAX).for_each(|_| clock.add(4_000, 4_004, Timestamp(4_002)));
        assert_eq!(ahead(&clock), 0, "the origin's clock was set back");
    }

    #[test]
    fn without_an_answer_it_is_this_machine_s_clock() {
        assert_eq!((OriginClock::default().since(Timestamp(0)), OriginClock::default().ahead_ms()), (None, 0));
        let (before, now, after) = (wall_clock().0 - 1_000, OriginClock::default().now().0, wall_clock().0 + 1_000);
        assert!((before..=after).contains(&now));
    }
}
