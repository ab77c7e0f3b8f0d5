//! Time as the plan counts it, and when people come.
//!
//! The model is open: every arrival has its moment before the run begins, and latency counts from that moment, so that a server that
//! stalls is charged for everybody who waited, and not only for the one it kept busy.

use std::time::Duration;
use tokio::time::Instant;

/// A span of the plan, in which things are spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub from: Duration,
    pub length: Duration,
}

impl Span {
    /// Seconds of the plan, times its scale.
    pub fn seconds(from: f64, length: f64, scale: f64) -> Self {
        Self { from: Duration::from_secs_f64(from * scale), length: Duration::from_secs_f64(length * scale) }
    }

    pub fn end(self) -> Duration {
        self.from + self.length
    }

    /// `count` moments, uniformly at random within the span and in no order.
    pub fn arrivals(self, count: usize, chance: &mut Chance) -> Vec<Duration> {
        (0..count).map(|_| self.from + self.length.mul_f64(chance.fraction())).collect()
    }
}

/// Repeatable chance: SplitMix64 (Steele, Lea and Flood, 2014). Good for arrivals, not for secrets.
#[derive(Clone, Debug)]
pub struct Chance(pub u64);

impl Chance {
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

/// When the run began.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    pub fn starting_now() -> Self {
        Self { start: Instant::now() }
    }

    /// Microseconds since the beginning.
    pub fn now_us(self) -> u64 {
        micros(self.start.elapsed())
    }

    /// The same as a moment of the plan.
    pub fn now(self) -> Duration {
        self.start.elapsed()
    }

    /// Waits for a moment of the plan and says how many microseconds too late it came back. When the moment was past already, who waits was
    /// held up by somebody else, and the clock is not late.
    pub async fn wait_for(self, moment: Duration) -> u64 {
        let at = self.start + moment;
        if at <= Instant::now() {
            return 0;
        }
        tokio::time::sleep_until(at).await;
        micros(at.elapsed())
    }
}

/// A duration in whole microseconds.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_within_their_span_and_the_same_for_the_same_seed() {
        let span = Span::seconds(10.0, 20.0, 0.5);
        let arrivals = span.arrivals(1_000, &mut Chance(7));
        assert!(arrivals.iter().all(|at| (5.0..15.0).contains(&at.as_secs_f64())));
        assert_eq!(arrivals, span.arrivals(1_000, &mut Chance(7)));
        assert_ne!(arrivals, span.arrivals(1_000, &mut Chance(8)));
        let early = arrivals.iter().filter(|at| **at < Duration::from_secs(10)).count();
        assert!((400..600).contains(&early), "they are spread evenly: {early}");
    }
}
