//! When a phone pings.

use crate::measure::clock::Rng;
use crate::measure::micros;
use std::future::pending;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, interval_at};

/// Pings in a row on a new socket, and the time between them, as the pages send them: they set the
/// phone's estimate of the server's clock.
const FIRST_PINGS: u32 = 5;
const FIRST_PINGS_EVERY: Duration = Duration::from_millis(250);

/// When a phone pings: a few times in a row on a new socket, then regularly. A ping waits for the
/// pong of the one before: a page sends none on a socket that it takes for lost.
pub struct Pings {
    first: Interval,
    first_left: u32,
    regular: Interval,
    /// The ping that has no pong yet.
    pub open: Option<Ping>,
    /// The last one was sent.
    pub are_over: bool,
}

#[derive(Clone, Copy)]
pub struct Ping {
    pub planned_us: u64,
    pub sent_us: u64,
}

impl Pings {
    pub fn new(every: Duration, rng: &mut Rng) -> Self {
        let mut regular = interval_at(Instant::now() + regular_from(every, rng.fraction()), every);
        let mut first = interval(FIRST_PINGS_EVERY);
        for interval in [&mut regular, &mut first] {
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        Self { first, first_left: FIRST_PINGS, regular, open: None, are_over: false }
    }

    /// Waits until a ping is due; returns by how many microseconds it is late. Cancel safe.
    pub async fn due(&mut self) -> u64 {
        if self.open.is_some() || self.are_over {
            return pending().await;
        }
        let planned = if self.first_left > 0 { self.first.tick().await } else { self.regular.tick().await };
        self.first_left = self.first_left.saturating_sub(1);
        micros(planned.elapsed())
    }
}

/// When the regular pings begin: behind the first ones, since a ping that falls due meanwhile would
/// look late by up to a second.
fn regular_from(every: Duration, fraction: f64) -> Duration {
    FIRST_PINGS_EVERY * FIRST_PINGS + every.mul_f64(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_regular_ping_falls_due_among_the_first_ones() {
        let last_of_the_first = FIRST_PINGS_EVERY * (FIRST_PINGS - 1);
        for every in [Duration::from_millis(300), Duration::from_secs(30)] {
            assert!(regular_from(every, 0.0) > last_of_the_first);
            assert_eq!(regular_from(every, 0.5) - regular_from(every, 0.0), every / 2);
        }
    }
}
