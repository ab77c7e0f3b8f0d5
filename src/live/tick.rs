//! A reactor's clock: milliseconds since the reactor started, in four bytes.
//!
//! A peer holds three times and there are tens of thousands of peers, so an `Instant` of sixteen
//! bytes is too large. The count wraps every 49.7 days. Times are compared by their distance, which
//! is right below 24.8 days; no peer may hold a time for longer than a heartbeat.

use std::time::{Duration, Instant};

/// A time of one reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick(u32);

impl Tick {
    /// The tick `wait` later.
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.wrapping_add(wait.as_millis() as u32))
    }

    /// Is `now` this tick or a later one?
    pub fn is_reached(self, now: Tick) -> bool {
        now.0.wrapping_sub(self.0) as i32 >= 0
    }

    /// The time from `earlier` to this tick; zero when `earlier` is the later one.
    pub fn since(self, earlier: Tick) -> Duration {
        let millis = self.0.wrapping_sub(earlier.0) as i32;
        Duration::from_millis(millis.max(0) as u64)
    }

    /// The later of the two.
    pub fn max(self, other: Tick) -> Self {
        if other.is_reached(self) { self } else { other }
    }
}

/// The source of ticks.
#[derive(Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// The current tick.
    pub fn now(&self) -> Tick {
        Tick(self.origin.elapsed().as_millis() as u32)
    }
}

#[cfg(test)]
impl Clock {
    /// Moves the clock on by `time`.
    pub fn skip(&mut self, time: Duration) {
        self.origin = self.origin.checked_sub(time).unwrap();
    }
}

#[cfg(test)]
impl Tick {
    /// The tick this many milliseconds after the start.
    pub const fn at(millis: u32) -> Self {
        Self(millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_compare_right_when_the_count_wraps() {
        for start in [0, 5, u32::MAX - 500, u32::MAX] {
            let (start, second) = (Tick::at(start), Duration::from_secs(1));
            let later = start.after(second);
            assert!(start.is_reached(start) && start.is_reached(later) && !later.is_reached(start));
            assert_eq!((later.since(start), start.since(later)), (second, Duration::ZERO));
            assert_eq!((start.max(later), later.max(start)), (later, later));
        }
    }
}
