//! Time since the start of the run, and repeatable arrivals.
//!
//! The model is open: every arrival has its timestamp before the run begins, and latency counts
//! from there. A server that stalls is charged for every request that waited, and not only for the
//! one in progress.

use super::micros;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

/// Pings whose quickest round trip sets a phone's estimate of the server's clock.
const SAMPLES_MAX: usize = 8;

/// A part of a scenario over which actions are spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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

    /// A clock that starts later than this one.
    pub fn later(self, by: Duration) -> Self {
        Self { start: self.start + by }
    }

    /// A clock that starts when this one has this value, in microseconds.
    pub fn shifted(self, us: i64) -> Self {
        let by = Duration::from_micros(us.unsigned_abs());
        let earlier = || self.start.checked_sub(by).unwrap_or(self.start);
        Self { start: if us < 0 { earlier() } else { self.start + by } }
    }

    /// The value of an earlier clock at the start of this one, in microseconds.
    pub fn since_us(self, earlier: Self) -> i64 {
        i64::try_from(micros(self.start.saturating_duration_since(earlier.start))).unwrap_or(i64::MAX)
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

/// The server's clock as one phone estimates it, by the rule of the pages: the server read its time
/// somewhere within the round trip of a ping, so the quickest of the last pings counts.
#[derive(Clone, Debug, Default)]
pub struct ServerClock {
    /// Round trip, and the server's clock minus that of the run, in microseconds.
    samples: VecDeque<(u64, i64)>,
}

impl ServerClock {
    /// Adds a ping, by the clock of the run, and the server's time in microseconds since 1970.
    pub fn add(&mut self, sent_us: u64, received_us: u64, server_us: i64) {
        let round_trip_us = received_us.saturating_sub(sent_us);
        let middle_us = i64::try_from(sent_us + round_trip_us / 2).unwrap_or(i64::MAX);
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back((round_trip_us, server_us.saturating_sub(middle_us)));
    }

    /// The time of the run at which the server's clock has this value; `None` before the first
    /// pong.
    pub fn when(&self, server_us: i64) -> Option<u64> {
        u64::try_from(server_us.saturating_sub(self.offset_us()?)).ok()
    }

    /// The other clock minus this one, in microseconds.
    pub fn offset_us(&self) -> Option<i64> {
        self.quickest().map(|(_, offset_us)| offset_us)
    }

    /// The shortest round trip, in microseconds: twice the error of the offset at most.
    pub fn round_trip_us(&self) -> Option<u64> {
        self.quickest().map(|(round_trip_us, _)| round_trip_us)
    }

    fn quickest(&self) -> Option<(u64, i64)> {
        self.samples.iter().min_by_key(|(round_trip_us, _)| *round_trip_us).copied()
    }
}

/// Parses a time of the server, in microseconds since 1970.
pub fn parse_time_us(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_ping_sets_the_clock() {
        let mut clock = ServerClock::default();
        assert_eq!(clock.when(5_000_000), None);
        // The server is 3 s ahead; its pong took 400 ms of a round trip of 500.
        clock.add(1_000_000, 1_500_000, 4_400_000);
        assert_eq!(clock.when(4_400_000), Some(1_250_000), "within half a round trip");
        clock.add(2_000_000, 2_010_000, 5_005_000);
        assert_eq!(clock.when(6_000_000), Some(3_000_000));
        (0..20).for_each(|at| clock.add(at * 100, at * 100 + 9, 0));
        assert_eq!(clock.samples.len(), SAMPLES_MAX);
        assert_eq!(parse_time_us("1970-01-01T00:00:00.042Z"), Some(42_000));
        assert_eq!(parse_time_us("soon"), None);
    }

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
