//! When an order may be tried again.
//!
//! Let's Encrypt allows five failed tries an hour for a name, and who uses them up is shut out just when the mistake is mended. So tries are
//! spaced out: two minutes after the first failure, then ten, thirty and sixty, then longer up to half a day; any hour has four at the most.
//! Tries that have not succeeded are kept in a file, written before the order: a server that is restarted in despair, or crashes in a loop, goes on
//! counting. The clock is an argument.

use crate::base::durable_file;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The wait after each failure in a row; the last is for all that follow.
const WAITS_MIN: [u64; 7] = [2, 10, 30, 60, 120, 360, 720];

/// The most tries that are remembered: more than there are waits.
const KEPT_MAX: usize = 16;

/// The tries since the last that succeeded.
#[derive(Debug)]
pub struct Attempts {
    path: PathBuf,
    /// In seconds since 1970, the latest last.
    begun: Vec<u64>,
}

impl Attempts {
    /// Reads what an earlier run left. A file that is damaged counts as one failed try just now, since it may have held more.
    pub fn read(path: PathBuf) -> Self {
        let begun = match std::fs::read_to_string(&path) {
            Ok(text) => {
                let lines: Result<Vec<u64>, _> = text.lines().map(str::parse).collect();
                lines.unwrap_or_else(|_| vec![seconds(SystemTime::now())])
            }
            Err(_) => Vec::new(),
        };
        Self { path, begun }
    }

    /// Notes that a try begins, and keeps it.
    ///
    /// # Errors
    /// When it cannot be kept: then there must be no try.
    pub fn begin(&mut self, now: SystemTime) -> io::Result<()> {
        self.begun.push(seconds(now));
        if self.begun.len() > KEPT_MAX {
            self.begun.remove(0);
        }
        let text: String = self.begun.iter().map(|at| format!("{at}\n")).collect();
        durable_file::write(&self.path, text.as_bytes())
    }

    /// Notes that the last try has succeeded.
    pub fn succeed(&mut self) {
        self.begun.clear();
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, file = %self.path.display(), "failed tries that are past cannot be forgotten");
        }
    }

    /// How long the next try has to wait.
    pub fn wait(&self, now: SystemTime) -> Duration {
        let Some(&last) = self.begun.last() else { return Duration::ZERO };
        let wait = WAITS_MIN[(self.begun.len() - 1).min(WAITS_MIN.len() - 1)] * 60;
        // A clock that was set back makes nobody wait longer than from now.
        let since = seconds(now).saturating_sub(last.min(seconds(now)));
        Duration::from_secs(wait.saturating_sub(since))
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000 + minute * 60)
    }

    #[test]
    fn no_hour_has_more_than_four_failed_tries_however_often_the_server_is_restarted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("attempts");
        let mut tried = Vec::new();
        for minute in 0..5 * 24 * 60 {
            // As after a restart every minute.
            let mut attempts = Attempts::read(path.clone());
            if attempts.wait(at(minute)).is_zero() {
                attempts.begin(at(minute)).unwrap();
                tried.push(minute);
            }
        }
        assert_eq!(tried[..5], [0, 2, 12, 42, 102]);
        for first in 0..tried.len() {
            let within = tried[first..].iter().take_while(|&&minute| minute < tried[first] + 60).count();
            assert!(within <= 4, "{within} tries in the hour from minute {}", tried[first]);
        }
        assert!(tried.len() < 20, "{} tries in five days", tried.len());
    }

    #[test]
    fn a_success_forgets_what_failed_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("attempts");
        let mut attempts = Attempts::read(path.clone());
        attempts.begin(at(0)).unwrap();
        assert_eq!(attempts.wait(at(1)), Duration::from_secs(60));
        attempts.succeed();
        assert!(attempts.wait(at(1)).is_zero() && Attempts::read(path).wait(at(1)).is_zero());
    }

    #[test]
    fn a_clock_that_was_set_back_and_a_damaged_file_still_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("attempts");
        Attempts::read(path.clone()).begin(at(1_000)).unwrap();
        assert_eq!(Attempts::read(path.clone()).wait(at(0)), Duration::from_secs(120));
        std::fs::write(&path, "yesterday\n").unwrap();
        assert!(!Attempts::read(path).wait(SystemTime::now()).is_zero());
    }
}
