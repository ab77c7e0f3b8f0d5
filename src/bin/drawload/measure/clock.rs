//! Time since the start of the run, and repeatable arrivals.
//!
//! The model is open: every arrival has its timestamp before the run begins, and latency counts
//! from there. A server that stalls is charged for every request that waited, and not only for the
//! one in progress.

use super::micros;
use std::time::Duration;
use tokio::time::Instant;

/// A part of a scenario over which actions are spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub from: Duration,
    pub length: Duration,
}

impl Span {
    /// Seconds of a scenario, times its scale.
    pub fn seconds(from: f64, length: f64, scale: f64) -> Self {
        Self { from: Duration::from_secs_f64(from * scale), length: Duration::from_secs_f64(length * scale) }
    }

    pub fn end(self) -> Duration {
        self.from + self.length
    }

    /// Draws `count` times uniformly at random within the span, in no order.
    pub fn arrivals(self, count: usize, rng: &mut Rng) -> Vec<Duration> {
        (0..count).map(|_| self.from + self.length.mul_f64(rng.fraction())).collect()
    }
}

/// Repeatable randomness: SplitMix64 (Steele, Lea and Flood, 2014). For arrivals, not for secrets.
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// At least 0 and below 1.
    pub fn fraction(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let fraction = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        fraction
    }
}

/// The start of a run.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Microseconds since the start.
    pub fn now_us(self) -> u64 {
        micros(self.start.elapsed())
    }

    /// Time since the start, as scenarios count it.
    pub fn now(self) -> Duration {
        self.start.elapsed()
    }

    /// Waits until `at` after the start and returns by how many microseconds the timer was late.
    /// A time that had already passed returns 0: something else delayed the caller, not the timer.
    pub async fn wait_until(self, at: Duration) -> u64 {
        let at = self.start + at;
        if at <= Instant::now() {
            return 0;
        }
        tokio::time::sleep_until(at).await;
        micros(at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_within_their_span_and_the_same_for_the_same_seed() {
        let span = Span::seconds(10.0, 20.0, 0.5);
        let arrivals = span.arrivals(1_000, &mut Rng(7));
        assert!(arrivals.iter().all(|at| (5.0..15.0).contains(&at.as_secs_f64())));
        assert_eq!(arrivals, span.arrivals(1_000, &mut Rng(7)));
        assert_ne!(arrivals, span.arrivals(1_000, &mut Rng(8)));
        let early = arrivals.iter().filter(|at| **at < Duration::from_secs(10)).count();
        assert!((400..600).contains(&early), "they are spread evenly: {early}");
    }
}
