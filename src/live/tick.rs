//! A stage's clock: milliseconds since the stage began, in four bytes.
//!
//! A peer keeps three times, and there are tens of thousands of peers, so an `Instant` of sixteen bytes is refused. The count comes round
//! every 49.7 days; times are compared by their distance, which is right as long as it is below 24.8 days, and no peer keeps a time for longer
//! than a heartbeat.

use std::time::{Duration, Instant};

/// A point in time of one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick(u32);

impl Tick {
    /// The tick `wait` later.
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.wrapping_add(wait.as_millis() as u32))
    }

    /// Whether this tick has come at `now`.
    pub fn has_come(self, now: Tick) -> bool {
        now.0.wrapping_sub(self.0) as i32 >= 0
    }

    /// How long `earlier` lies back; nothing when it lies ahead.
    pub fn since(self, earlier: Tick) -> Duration {
        let millis = self.0.wrapping_sub(earlier.0) as i32;
        Duration::from_millis(millis.max(0) as u64)
    }

    /// The later of the two.
    pub fn max(self, other: Tick) -> Self {
        if other.has_come(self) { self } else { other }
    }
}

/// Where ticks come from.
#[derive(Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// The present tick.
    pub fn now(&self) -> Tick {
        Tick(self.origin.elapsed().as_millis() as u32)
    }
}

#[cfg(test)]
impl Tick {
    /// The tick so many milliseconds after the stage began.
    pub const fn at(millis: u32) -> Self {
        Self(millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_when_the_count_comes_round() {
        for start in [0, 5, u32::MAX - 500, u32::MAX] {
            let (start, second) = (Tick::at(start), Duration::from_secs(1));
            let later = start.after(second);
            assert!(start.has_come(start) && start.has_come(later) && !later.has_come(start));
            assert_eq!((later.since(start), start.since(later)), (second, Duration::ZERO));
            assert_eq!((start.max(later), later.max(start)), (later, later));
        }
    }
}
