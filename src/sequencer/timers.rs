//! Deadlines of the writer: its ticks, the retry of an unwritable journal, the checkpoint, the
//! sweep, and announcements.
//!
//! Pure: each function takes the time, acts on nothing and reads no clock; `upkeep` does the work.

use crate::draw::fact::Cause;
use std::time::{Duration, Instant};

/// Tick interval while counts move or a draw waits for its announcement.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// Tick interval otherwise, since sockets come and go without a request. Ten ticks per second were
/// a fifth of a quiet event's CPU.
const IDLE_TICK: Duration = Duration::from_millis(500);
/// Interval between attempts to write to a journal that took no write.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Time without a commit after which the write-ahead log is folded into the journal's file.
const CHECKPOINT_QUIET: Duration = Duration::from_secs(5);
/// Interval between notes of the wall clock for the next process.
const CLOCK_INTERVAL: Duration = Duration::from_secs(600);
/// Interval between searches for old events and old details.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// Without a display for this long, an announcement goes out at once.
pub(super) const DISPLAY_GRACE: Duration = Duration::from_secs(30);

/// Deadlines that have yet to come. Each `fire_` function returns true once per deadline and sets
/// the next.
#[derive(Debug)]
pub(super) struct Timers {
    tick_at: Instant,
    probe_at: Instant,
    sweep_at: Instant,
    clock_at: Instant,
    /// `None` while the write-ahead log holds nothing.
    checkpoint_at: Option<Instant>,
}

impl Timers {
    pub fn new(now: Instant) -> Self {
        Self {
            tick_at: now + TICK,
            probe_at: now,
            sweep_at: now + SWEEP_INTERVAL,
            clock_at: now + CLOCK_INTERVAL,
            checkpoint_at: None,
        }
    }

    pub fn tick_at(&self) -> Instant {
        self.tick_at
    }

    /// Sets the tick after one that found work to come, or none.
    pub fn restart_tick(&mut self, now: Instant, is_busy: bool) {
        self.tick_at = now + if is_busy { TICK } else { IDLE_TICK };
    }

    /// Brings the tick forward: after a batch, whose counts are to be sent soon, and to the end of
    /// a show. Never puts it off.
    pub fn hasten_tick(&mut self, at: Instant) {
        self.tick_at = self.tick_at.min(at);
    }

    /// Puts the checkpoint off after a write.
    pub fn restart_checkpoint(&mut self, now: Instant) {
        self.checkpoint_at = Some(now + CHECKPOINT_QUIET);
    }

    pub fn fire_checkpoint(&mut self, now: Instant) -> bool {
        self.checkpoint_at.take_if(|at| now >= *at).is_some()
    }

    pub fn fire_probe(&mut self, now: Instant) -> bool {
        fire(&mut self.probe_at, now, PROBE_INTERVAL)
    }

    pub fn fire_sweep(&mut self, now: Instant) -> bool {
        fire(&mut self.sweep_at, now, SWEEP_INTERVAL)
    }

    /// Brings the sweep forward: the last one left something to do.
    pub fn hasten_sweep(&mut self, at: Instant) {
        self.sweep_at = self.sweep_at.min(at);
    }

    pub fn fire_clock(&mut self, now: Instant) -> bool {
        fire(&mut self.clock_at, now, CLOCK_INTERVAL)
    }
}

fn fire(at: &mut Instant, now: Instant, interval: Duration) -> bool {
    let is_due = now >= *at;
    if is_due {
        *at = now + interval;
    }
    is_due
}

/// Times from a draw's reveal on, by which it is announced.
pub(super) struct AnnouncementPlan {
    /// When its planned show is about to end; `None` without one.
    pub show_end: Option<Duration>,
    /// When no display has reported the end of a show that was not planned.
    pub deadline: Duration,
}

/// The cause for which a draw that was revealed `waited` ago is announced now; `None` while it
/// waits for its show.
pub(super) fn announcement_cause(waited: Duration, plan: &AnnouncementPlan, has_display: bool) -> Option<Cause> {
    match (has_display, plan.show_end) {
        (false, _) => Some(Cause::NoDisplay),
        (true, Some(show_end)) => (waited >= show_end).then_some(Cause::ShowEnd),
        (true, None) => (waited >= plan.deadline).then_some(Cause::Deadline),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn ticks_come_slowly_until_there_is_work() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        assert_eq!(timers.tick_at(), at(start, 100));
        timers.restart_tick(at(start, 100), false);
        assert_eq!(timers.tick_at(), at(start, 600));
        timers.hasten_tick(at(start, 300));
        assert_eq!(timers.tick_at(), at(start, 300), "a batch brings it forward");
        timers.hasten_tick(at(start, 390));
        assert_eq!(timers.tick_at(), at(start, 300), "a stream of batches does not put it off");
        timers.restart_tick(at(start, 300), true);
        assert_eq!(timers.tick_at(), at(start, 400));
    }

    #[test]
    fn a_checkpoint_waits_for_a_quiet_journal_and_comes_once() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        assert!(!timers.fire_checkpoint(at(start, 3_600_000)), "nothing was written");
        timers.restart_checkpoint(start);
        timers.restart_checkpoint(at(start, 4_000));
        assert!(!timers.fire_checkpoint(at(start, 8_999)));
        assert!(timers.fire_checkpoint(at(start, 9_000)) && !timers.fire_checkpoint(at(start, 60_000)));
    }

    #[test]
    fn a_late_timer_fires_once_and_keeps_its_interval() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        assert!(timers.fire_probe(start), "the first failed write is retried at once");
        assert!(!timers.fire_probe(at(start, 999)) && timers.fire_probe(at(start, 1_000)));
        assert!(!timers.fire_sweep(at(start, 59_999)), "displays have a minute to come back after a start");
        assert!(timers.fire_sweep(at(start, 200_000)) && !timers.fire_sweep(at(start, 259_999)));
        assert!(timers.fire_sweep(at(start, 260_000)));
    }

    #[test]
    fn an_announcement_waits_for_a_display_and_no_longer_than_its_deadline() {
        let (early, deadline) = (Duration::from_millis(9_999), Duration::from_secs(10));
        let plan = AnnouncementPlan { show_end: None, deadline };
        assert_eq!(announcement_cause(early, &plan, true), None);
        assert_eq!(announcement_cause(deadline, &plan, true), Some(Cause::Deadline));
        assert_eq!(announcement_cause(Duration::ZERO, &plan, false), Some(Cause::NoDisplay));
        let planned = AnnouncementPlan { show_end: Some(Duration::from_secs(12)), ..plan };
        assert_eq!(announcement_cause(deadline, &planned, true), None, "a show may be longer");
        assert_eq!(announcement_cause(Duration::from_secs(12), &planned, true), Some(Cause::ShowEnd));
    }
}
