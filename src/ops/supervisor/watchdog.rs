//! What the supervisor is told while the server runs: that it is ready, how it fares, and that it lives.
//!
//! A ping goes out only after the writer, every worker and every stage have answered a call since the last ping. A thread of its own asks them:
//! a timer within one of them would show that one alone, and a timer beside them nothing. When somebody does not answer, the supervisor is told
//! who, gets no ping, and restarts the server once its patience (`WatchdogSec=`) is over; the next one reads everything from the journal.

use crate::ops::supervisor::tell;
use sd_notify::NotifyState;
use std::time::{Duration, Instant};

/// How often the supervisor is told how things stand where it wants no pings.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// What the watchdog asks.
pub trait Watched: Send + 'static {
    /// The names of the threads that do not answer by `deadline`; none: all is well.
    fn silent_by(&self, deadline: Instant) -> Vec<String>;

    /// How things stand, in one line.
    fn status(&self) -> String;
}

/// Says that the server is ready, and goes on saying how it fares until the process ends. Where no supervisor listens, nothing happens.
pub fn begin(watched: impl Watched) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    // A quarter: an answer may take another quarter, and half of the supervisor's patience is left.
    let every = sd_notify::watchdog_enabled().map(|patience| patience / 4);
    tell(&[NotifyState::Ready, NotifyState::Status(&watched.status())]);
    let watch = move || {
        let beat = every.unwrap_or(STATUS_EVERY);
        loop {
            std::thread::sleep(beat);
            look(&watched, beat, every.is_some());
        }
    };
    if let Err(error) = std::thread::Builder::new().name("watchdog".into()).spawn(watch) {
        tracing::error!(%error, "no watchdog: the supervisor will take the server for dead");
    }
}

/// Asks everybody once, and tells the supervisor what came of it.
fn look(watched: &impl Watched, patience: Duration, pings: bool) {
    let silent = watched.silent_by(Instant::now() + patience);
    if silent.is_empty() {
        let status = watched.status();
        let words = [NotifyState::Status(&status), NotifyState::Watchdog];
        return tell(if pings { &words } else { &words[..1] });
    }
    let names = silent.join(", ");
    tracing::error!(threads = names, "no answer");
    tell(&[NotifyState::Status(&format!("no answer from {names}"))]);
}

/// Says that the server begins to stop.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping: sockets are told to come back")]);
}
