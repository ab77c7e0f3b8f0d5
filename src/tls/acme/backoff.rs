//! The wait between orders, which grows with each failure and outlives a restart.
//!
//! Let's Encrypt allows five failed orders per hour and name, and an operator who has used them up
//! is locked out just when the mistake is fixed. So orders back off: two minutes after the
//! first failure, then ten, thirty and sixty, then longer, up to half a day; no hour has more than
//! four. Failed orders are kept in a file, written before the order, so that a server that is
//! restarted often, or crashes in a loop, keeps its count. The clocks are an argument: the wait
//! goes by elapsed time, and the wall clock tells only how much passed before this process.

use crate::base::clock::ClockReading;
use crate::base::durable_file;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Minutes to wait after each failure in a row; the last holds for all that follow.
const WAITS_MIN: [u64; 7] = [2, 10, 30, 60, 120, 360, 720];

/// Failed orders that are remembered, at most: more than there are waits.
const FAILED_MAX: usize = 16;

/// Orders since the last that succeeded.
#[derive(Debug)]
pub struct OrderBackoff {
    path: PathBuf,
    /// Starts of the orders, in seconds since 1970, the latest last.
    started: Vec<u64>,
    /// The elapsed time at which the next order may start.
    allowed_at: Duration,
}

impl OrderBackoff {
    /// Reads the file of an earlier run. A damaged file counts as one order that failed just now,
    /// since it may have held more.
    pub fn read(path: PathBuf, now: ClockReading) -> Self {
        let started = match std::fs::read_to_string(&path) {
            Ok(text) => {
                let lines: Result<Vec<u64>, _> = text.lines().map(str::parse).collect();
                lines.unwrap_or_else(|_| vec![seconds(now)])
            }
            Err(_) => Vec::new(),
        };
        // After the clock was set back, the wait counts from now and is no longer than usual.
        let since = started.last().map_or(0, |last| seconds(now).saturating_sub(*last));
        let allowed_at = now.elapsed + wait_after(started.len()).saturating_sub(Duration::from_secs(since));
        Self { path, started, allowed_at }
    }

    /// Records that an order starts. It counts as failed until [`OrderBackoff::reset`].
    ///
    /// # Errors
    /// When the file cannot be written: then there must be no order.
    pub fn record_start(&mut self, now: ClockReading) -> io::Result<()> {
        self.started.push(seconds(now));
        self.allowed_at = now.elapsed + wait_after(self.started.len());
        if self.started.len() > FAILED_MAX {
            self.started.remove(0);
        }
        let text: String = self.started.iter().map(|at| format!("{at}\n")).collect();
        durable_file::write(&self.path, text.as_bytes())
    }

    /// Forgets all orders: the last one succeeded.
    pub fn reset(&mut self) {
        self.started.clear();
        self.allowed_at = Duration::ZERO;
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, file = %self.path.display(), "the file of failed orders cannot be removed");
        }
    }

    /// Time until the next order may start.
    pub fn time_left(&self, now: ClockReading) -> Duration {
        self.allowed_at.saturating_sub(now.elapsed)
    }
}

/// The wait after so many failed orders in a row.
fn wait_after(failed: usize) -> Duration {
    let minutes = failed.checked_sub(1).map_or(0, |index| WAITS_MIN[index.min(WAITS_MIN.len() - 1)]);
    Duration::from_secs(minutes * 60)
}

/// The wall clock in seconds since 1970.
fn seconds(now: ClockReading) -> u64 {
    (now.wall.0 / 1_000).max(0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Timestamp;

    fn at(minute: u64) -> ClockReading {
        let elapsed = Duration::from_secs(500 + minute * 60);
        ClockReading { elapsed, wall: Timestamp(1_800_000_000_000 + minute as i64 * 60_000) }
    }

    #[test]
    fn no_hour_has_more_than_four_failed_orders_however_often_the_server_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("attempts");
        let mut orders = Vec::new();
        for minute in 0..5 * 24 * 60 {
            // Read anew, as after a restart every minute.
            let mut backoff = OrderBackoff::read(path.clone(), at(minute));
            if backoff.time_left(at(minute)).is_zero() {
                backoff.record_start(at(minute)).unwrap();
                orders.push(minute);
            }
        }
        assert_eq!(orders[..5], [0, 2, 12, 42, 102]);
        for first in 0..orders.len() {
            let within = orders[first..].iter().take_while(|&&minute| minute < orders[first] + 60).count();
            assert!(within <= 4, "{within} orders in the hour from minute {}", orders[first]);
        }
        assert!(orders.len() < 20, "{} orders in five days", orders.len());
    }

    #[test]
    fn a_success_forgets_earlier_failures() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("attempts");
        let mut backoff = OrderBackoff::read(path.clone(), at(0));
        backoff.record_start(at(0)).unwrap();
        assert_eq!(backoff.time_left(at(1)), Duration::from_secs(60));
        backoff.reset();
        assert!(backoff.time_left(at(1)).is_zero() && OrderBackoff::read(path, at(1)).time_left(at(1)).is_zero());
    }

    #[test]
    fn a_clock_that_was_set_back_and_a_damaged_file_keep_the_wait_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("attempts");
        OrderBackoff::read(path.clone(), at(1_000)).record_start(at(1_000)).unwrap();
        let backoff = OrderBackoff::read(path.clone(), at(0));
        assert_eq!((backoff.time_left(at(0)), backoff.time_left(at(2))), (Duration::from_secs(120), Duration::ZERO));
        std::fs::write(&path, "yesterday\n").unwrap();
        assert!(!OrderBackoff::read(path, at(0)).time_left(at(0)).is_zero());
    }

    #[test]
    fn a_wall_clock_that_jumps_neither_shortens_nor_stretches_the_wait() {
        let folder = tempfile::tempdir().unwrap();
        let mut backoff = OrderBackoff::read(folder.path().join("attempts"), at(0));
        backoff.record_start(at(0)).unwrap();
        for days in [40, -40] {
            let jumped = |minute| ClockReading { wall: Timestamp(at(minute).wall.0 + days * 86_400_000), ..at(minute) };
            assert_eq!(backoff.time_left(jumped(1)), Duration::from_secs(60), "{days}");
            assert_eq!(backoff.time_left(jumped(2)), Duration::ZERO, "{days}");
        }
    }
}
