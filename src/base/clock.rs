//! The wall clock, how far it can be trusted, and timestamps as text.
//!
//! The wall clock can jump: a box without a battery boots in 1970, a typing error sets it to next
//! year. So no deadline may depend on it: those use `Instant`. And nothing is destroyed because of
//! it alone: [`SteadyClock`] compares it with the time that has really passed, and gives out the
//! times before which things are old only while the two agree.

use crate::draw::Timestamp;
use std::fmt;
use std::str::FromStr;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const RFC_3339_MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A timestamp as RFC 3339 in UTC with milliseconds, `2026-11-22T15:06:51.042Z`.
pub fn rfc3339(at: Timestamp) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(RFC_3339_MILLIS).expect("every time has the parts of the format")
}

/// An offset of local time from UTC, in minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UtcOffset(i32);

impl UtcOffset {
    /// The offset of that many minutes, within the 14 hours that zones have.
    pub fn of_minutes(minutes: i32) -> Option<Self> {
        (-14 * 60..=14 * 60).contains(&minutes).then_some(Self(minutes))
    }
}

impl fmt::Display for UtcOffset {
    /// As RFC 3339 writes it: `+09:00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", self.0.abs() / 60, self.0.abs() % 60)
    }
}

/// A timestamp as a spreadsheet reads it, in local time with seconds: `2026-11-23 00:06:51`.
pub fn local_time(at: Timestamp, offset: UtcOffset) -> String {
    let shifted = rfc3339(Timestamp(at.0.saturating_add(i64::from(offset.0) * 60_000)));
    shifted[..19].replace('T', " ")
}

/// The current time of the wall clock.
pub fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since_epoch.as_millis() as i64)
}

/// The time in milliseconds since the first call in this process: for windows and rates, which no
/// wall clock that is set may stretch or end.
pub fn monotonic_ms() -> i64 {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    FIRST.elapsed().as_millis() as i64
}

/// The least difference from the time that has passed which counts as a jump. Smaller ones cannot
/// make anything old that is kept for days.
const JUMP_MIN: Duration = Duration::from_secs(300);
/// Time after which the wall clock is compared anew, so that a drift of a few parts in a million
/// never adds up to a jump.
const COMPARE_ANEW: Duration = Duration::from_secs(3_600);
/// Time without a jump after which the wall clock is trusted.
const TRUST_AFTER: Duration = Duration::from_secs(86_400);
/// The longest time between two runs of the server that needs no new trust.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// Two clocks read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// Time since some moment of the past that stays the same while the process lives; it goes on
    /// while the machine sleeps.
    pub elapsed: Duration,
    /// The wall clock.
    pub wall: Timestamp,
}

/// Knowledge of the wall clock for the next process. As text: three numbers in
/// milliseconds, the last 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockRecord {
    /// The wall clock when this was recorded.
    pub wall: Timestamp,
    /// The time without a jump before it.
    pub steady: Duration,
    /// The wall clock right after the last jump.
    pub jumped_at: Option<Timestamp>,
}

/// The wall clock, and the decision that things may be destroyed by it.
///
/// Things are old by elapsed time, and the wall clock is a hint that says how much elapsed before
/// this process. A jump in either direction, or a start at another time than the last stop, holds
/// every deletion until an operator confirms the clock or it has been steady for a day. And nothing
/// from before a jump is older than the jump: its timestamp says nothing.
pub struct SteadyClock {
    state: Mutex<ClockState>,
    read: Box<dyn Fn() -> ClockReading + Send + Sync>,
}

/// The wall clock's history as far as it decides on trust. Pure: every reading is an argument.
#[derive(Clone, Copy, Debug)]
struct ClockState {
    /// The reading that the next ones are compared with.
    anchor: ClockReading,
    last: ClockReading,
    /// Time without a jump; [`TRUST_AFTER`] at most, and at once when an operator confirms.
    steady: Duration,
    jumped_at: Option<Timestamp>,
    /// The sum of the jumps that are not trusted yet.
    shift_ms: i64,
}

/// The trust in the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockTrust {
    /// It has been steady for a day, or an operator confirmed it.
    Steady,
    /// It has not jumped, and has not been watched for a day.
    New,
    /// It jumped.
    Jumped,
}

impl ClockTrust {
    /// The trust's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            ClockTrust::Steady => "steady",
            ClockTrust::New => "new",
            ClockTrust::Jumped => "jumped",
        }
    }
}

impl SteadyClock {
    /// The clock of this process after the one that left `record`; `None` for the first.
    pub fn new(record: Option<ClockRecord>) -> Self {
        Self::driven(record, Box::new(read_clocks))
    }

    /// A clock whose readings come from `read`.
    pub fn driven(record: Option<ClockRecord>, read: Box<dyn Fn() -> ClockReading + Send + Sync>) -> Self {
        let state = ClockState::begin(record, read());
        if state.trust() != ClockTrust::Steady {
            tracing::info!(
                "nothing is deleted by its age until the wall clock was steady for a day, or is confirmed in the console"
            );
        }
        Self { state: Mutex::new(state), read }
    }

    /// The time before which things are older than `age`; `None` while nothing may be destroyed by
    /// its age.
    pub fn cutoff(&self, age: Duration) -> Option<Timestamp> {
        self.observe().cutoff(age)
    }

    /// The wall clock as it would be without its last jump, until that is trusted. Time that passes
    /// by it is time that has passed.
    pub fn now(&self) -> Timestamp {
        self.observe().steady_now()
    }

    /// The wall clock as it is, which stamps facts. A clock that is set back is followed: held at
    /// the latest time instead, a box that booted in the future would name that time until it has
    /// come. The journal's order says what came first, never its times.
    pub fn wall(&self) -> Timestamp {
        self.observe().last.wall
    }

    /// The trust in the wall clock. Every deletion is held until it is [`ClockTrust::Steady`].
    pub fn trust(&self) -> ClockTrust {
        self.observe().trust()
    }

    /// Trusts the wall clock as it is: an operator has checked it.
    pub fn confirm(&self) {
        self.observe().trust_now();
    }

    /// The record for the next process.
    pub fn record(&self) -> ClockRecord {
        let state = self.observe();
        ClockRecord { wall: state.last.wall, steady: state.steady, jumped_at: state.jumped_at }
    }

    /// Reads the clocks, and logs a jump and the end of its distrust.
    fn observe(&self) -> MutexGuard<'_, ClockState> {
        // A reading is whole before the state changes, so a poisoned lock holds nothing broken.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.trust();
        if let Some(by_s) = state.observe((self.read)()) {
            tracing::warn!(
                by_s,
                "the wall clock jumped: nothing is deleted by its age until it is confirmed in the console or steady for a day"
            );
        }
        if before != ClockTrust::Steady && state.trust() == ClockTrust::Steady {
            tracing::info!("the wall clock was steady for a day: deletions by age go on");
        }
        state
    }
}

impl Default for SteadyClock {
    /// The clock of a first process.
    fn default() -> Self {
        Self::new(None)
    }
}

impl fmt::Debug for SteadyClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SteadyClock").finish_non_exhaustive()
    }
}

impl ClockState {
    fn begin(record: Option<ClockRecord>, now: ClockReading) -> Self {
        let mut state = Self { anchor: now, last: now, steady: Duration::ZERO, jumped_at: None, shift_ms: 0 };
        if let Some(ClockRecord { wall, steady, jumped_at }) = record {
            let pause_ms = now.wall.0.saturating_sub(wall.0);
            let has_stepped_back = pause_ms < -millis(JUMP_MIN);
            state.jumped_at = if has_stepped_back { Some(now.wall) } else { jumped_at };
            // No time before the record comes again, so what had expired by then stays expired.
            state.shift_ms = if has_stepped_back { pause_ms } else { 0 };
            if !has_stepped_back && pause_ms <= millis(PAUSE_MAX) {
                state.steady = steady.min(TRUST_AFTER);
            }
        }
        state
    }

    /// Takes a reading; returns a jump's seconds, negative for one back.
    fn observe(&mut self, now: ClockReading) -> Option<i64> {
        let passed = now.elapsed.saturating_sub(self.anchor.elapsed);
        let by_ms = now.wall.0.saturating_sub(self.anchor.wall.0.saturating_add(millis(passed)));
        let has_jumped = by_ms.unsigned_abs() >= JUMP_MIN.as_millis() as u64;
        if has_jumped {
            self.steady = Duration::ZERO;
            self.jumped_at = Some(now.wall);
            self.shift_ms = self.shift_ms.saturating_add(by_ms);
        } else {
            self.steady = self.steady.saturating_add(now.elapsed.saturating_sub(self.last.elapsed));
        }
        if self.steady >= TRUST_AFTER {
            self.trust_now();
        }
        if has_jumped || passed >= COMPARE_ANEW {
            self.anchor = now;
        }
        self.last = now;
        has_jumped.then_some(by_ms / 1_000)
    }

    fn trust_now(&mut self) {
        self.steady = TRUST_AFTER;
        self.shift_ms = 0;
    }

    fn trust(&self) -> ClockTrust {
        match self.jumped_at {
            _ if self.steady >= TRUST_AFTER => ClockTrust::Steady,
            Some(_) => ClockTrust::Jumped,
            None => ClockTrust::New,
        }
    }

    fn steady_now(&self) -> Timestamp {
        Timestamp(self.last.wall.0.saturating_sub(self.shift_ms))
    }

    fn cutoff(&self, age: Duration) -> Option<Timestamp> {
        let cutoff = Timestamp(self.last.wall.0.saturating_sub(millis(age)));
        let has_lived = self.jumped_at.is_none_or(|jumped_at| jumped_at <= cutoff);
        (self.trust() == ClockTrust::Steady && has_lived).then_some(cutoff)
    }
}

impl fmt::Display for ClockRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jumped_at = self.jumped_at.map_or(0, |at| at.0);
        write!(f, "{} {} {jumped_at}", self.wall.0, millis(self.steady))
    }
}

impl FromStr for ClockRecord {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = text.split_ascii_whitespace().map(str::parse::<i64>);
        let mut next = || numbers.next().and_then(Result::ok).ok_or(());
        let (wall, steady_ms, jumped_at) = (Timestamp(next()?), next()?, next()?);
        let steady = Duration::from_millis(steady_ms.max(0) as u64);
        Ok(Self { wall, steady, jumped_at: (jumped_at != 0).then_some(Timestamp(jumped_at)) })
    }
}

/// Reads both clocks of this machine.
pub fn read_clocks() -> ClockReading {
    let elapsed = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let elapsed = Duration::new(elapsed.tv_sec.max(0) as u64, elapsed.tv_nsec.max(0) as u32);
    ClockReading { elapsed, wall: wall_clock() }
}

fn millis(duration: Duration) -> i64 {
    duration.as_millis().min(i64::MAX as u128) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_has_milliseconds_and_ends_with_z() {
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(Timestamp(1_795_360_011_042)), "2026-11-22T15:06:51.042Z");
    }

    #[test]
    fn local_time_is_shifted_over_midnight() {
        let local = |minutes| local_time(Timestamp(1_795_360_011_042), UtcOffset::of_minutes(minutes).unwrap());
        assert_eq!((local(540).as_str(), local(-210).as_str()), ("2026-11-23 00:06:51", "2026-11-22 11:36:51"));
        assert_eq!((UtcOffset(540).to_string(), UtcOffset(-210).to_string()), ("+09:00".into(), "-03:30".into()));
        assert!(UtcOffset::of_minutes(841).is_none() && UtcOffset::of_minutes(-840).is_some());
    }

    #[test]
    fn text_sorts_as_the_timestamps_do() {
        let mut at = 0;
        let texts: Vec<_> = (0..2_000)
            .map(|step| {
                at += 1 + step * 43_717_777;
                rfc3339(Timestamp(at))
            })
            .collect();
        assert!(texts.is_sorted() && texts.iter().all(|text| text.len() == "2026-11-22T15:06:51.042Z".len()));
    }

    #[test]
    fn a_timestamp_beyond_the_calendar_does_not_panic() {
        for at in [i64::MIN, -1, i64::MAX] {
            assert!(rfc3339(Timestamp(at)).ends_with('Z'), "{at}");
        }
    }

    const HOUR: Duration = Duration::from_secs(3_600);
    const DAY: Duration = Duration::from_secs(86_400);
    const MONTH: Duration = Duration::from_secs(30 * 86_400);
    /// The wall clock at the start of these tests.
    const START: Timestamp = Timestamp(1_795_360_000_000);

    /// A state and the clocks that it reads.
    struct Fixture {
        state: ClockState,
        now: ClockReading,
    }

    impl Fixture {
        fn begin(record: Option<ClockRecord>) -> Self {
            let now = ClockReading { elapsed: HOUR, wall: START };
            Self { state: ClockState::begin(record, now), now }
        }

        /// Lets time pass, read every ten minutes.
        fn pass(&mut self, time: Duration) {
            let end = self.now.elapsed + time;
            while self.now.elapsed < end {
                let step = Duration::from_secs(600).min(end - self.now.elapsed);
                self.now.elapsed += step;
                self.now.wall.0 += millis(step);
                assert_eq!(self.state.observe(self.now), None, "time that passes is no jump");
            }
        }

        fn jump(&mut self, by_s: i64) {
            self.now.wall.0 += by_s * 1_000;
            assert_eq!(self.state.observe(self.now), Some(by_s));
        }

        fn restart(&mut self, pause: Duration, by_s: i64) {
            let ClockState { last, steady, jumped_at, .. } = self.state;
            let record = ClockRecord { wall: last.wall, steady, jumped_at };
            assert_eq!(record.to_string().parse(), Ok(record));
            self.now.elapsed = Duration::from_secs(5);
            self.now.wall.0 += millis(pause) + by_s * 1_000;
            self.state = ClockState::begin(Some(record), self.now);
        }

        fn is_held(&self) -> bool {
            self.state.trust() != ClockTrust::Steady
        }

        fn age_of(&self, at: Timestamp, age: Duration) -> bool {
            self.state.cutoff(age).is_some_and(|cutoff| at < cutoff)
        }
    }

    #[test]
    fn a_steady_day_makes_a_clock_trusted_and_things_old_in_their_time() {
        let mut clock = Fixture::begin(None);
        clock.pass(DAY - HOUR);
        assert_eq!(clock.state.cutoff(HOUR), None, "not yet");
        clock.pass(HOUR);
        assert!(clock.age_of(START, HOUR) && !clock.age_of(START, MONTH));
        clock.pass(MONTH);
        assert!(clock.age_of(START, MONTH) && !clock.age_of(clock.now.wall, HOUR));
    }

    #[test]
    fn a_jump_in_either_direction_destroys_nothing() {
        for by_s in [40 * 86_400, -40 * 86_400, 56 * 365 * 86_400, 300, -300] {
            let mut clock = Fixture::begin(None);
            clock.pass(2 * DAY);
            let before = clock.now.wall;
            clock.jump(by_s);
            assert!(clock.is_held() && clock.state.cutoff(HOUR).is_none(), "{by_s}");
            clock.pass(2 * DAY);
            let after = clock.now.wall;
            assert!(!clock.is_held(), "a day of steady clock");
            assert!(!clock.age_of(before, MONTH) && !clock.age_of(after, MONTH), "{by_s}: two days have passed, not a month");
            clock.pass(MONTH);
            assert!(by_s > 0 && clock.age_of(before, MONTH) || by_s < 0, "{by_s}: and a month later it is old");
        }
    }

    #[test]
    fn a_small_step_and_a_slow_drift_are_no_jump() {
        let mut clock = Fixture::begin(None);
        for _ in 0..20_000 {
            clock.now.elapsed += HOUR;
            clock.now.wall.0 += millis(HOUR) + 360;
            assert_eq!(clock.state.observe(clock.now), None, "100 parts in a million for two years");
        }
        clock.now.wall.0 -= 299_000;
        assert_eq!(clock.state.observe(clock.now), None);
        assert!(!clock.is_held());
    }

    #[test]
    fn trust_outlives_a_short_pause_and_no_other() {
        for (pause, by_s, is_held) in
            [(HOUR / 2, 0, false), (2 * HOUR, 0, true), (HOUR, 40 * 86_400, true), (HOUR, -40 * 86_400, true)]
        {
            let mut clock = Fixture::begin(None);
            clock.pass(2 * DAY);
            clock.restart(pause, by_s);
            assert_eq!(clock.is_held(), is_held, "{pause:?} {by_s}");
        }
    }

    #[test]
    fn a_start_in_the_past_goes_on_from_the_record() {
        let mut clock = Fixture::begin(None);
        clock.pass(2 * DAY);
        let stopped_at = clock.now.wall;
        clock.restart(HOUR, -40 * 86_400);
        clock.pass(HOUR);
        assert_eq!(clock.state.steady_now(), Timestamp(stopped_at.0 + millis(HOUR)), "nothing that has expired comes back");
        clock.jump(40 * 86_400);
        assert_eq!(clock.state.steady_now(), Timestamp(stopped_at.0 + millis(HOUR)));
    }

    #[test]
    fn restarts_every_ten_minutes_add_up_to_a_steady_day() {
        let mut clock = Fixture::begin(None);
        for _ in 0..200 {
            clock.pass(Duration::from_secs(600));
            clock.restart(Duration::from_secs(5), 0);
        }
        assert!(!clock.is_held());
    }

    #[test]
    fn a_boot_in_1970_that_is_corrected_makes_nothing_old() {
        let mut clock = Fixture::begin(None);
        clock.pass(2 * DAY);
        let true_time = clock.now.wall.0;
        clock.restart(HOUR, -true_time / 1_000);
        let made_in_1970 = clock.now.wall;
        clock.pass(HOUR);
        clock.jump(true_time / 1_000);
        clock.pass(2 * DAY);
        clock.restart(HOUR / 4, 0);
        assert!(!clock.is_held());
        assert!(!clock.age_of(made_in_1970, MONTH) && !clock.age_of(START, MONTH));
        clock.pass(MONTH);
        assert!(clock.age_of(made_in_1970, MONTH));
    }

    #[test]
    fn an_operator_confirms_at_once_and_a_jump_asks_again() {
        let readings = std::sync::Arc::new(Mutex::new(ClockReading { elapsed: HOUR, wall: START }));
        let read = readings.clone();
        let clock = SteadyClock::driven(None, Box::new(move || *read.lock().unwrap()));
        assert_eq!(clock.trust(), ClockTrust::New);
        clock.confirm();
        assert_eq!(clock.cutoff(HOUR), Some(Timestamp(START.0 - millis(HOUR))));
        readings.lock().unwrap().wall.0 += millis(MONTH);
        assert_eq!((clock.trust(), clock.cutoff(HOUR), clock.now()), (ClockTrust::Jumped, None, START), "time goes on as before");
        clock.confirm();
        assert_eq!(
            (clock.trust(), clock.cutoff(HOUR)),
            (ClockTrust::Steady, None),
            "less than an hour has passed since the jump"
        );
        assert_eq!(clock.now(), Timestamp(START.0 + millis(MONTH)));
        assert_eq!(clock.record().to_string().parse(), Ok(clock.record()));
        assert!("".parse::<ClockRecord>().is_err() && "1 x 2".parse::<ClockRecord>().is_err());
    }

    #[test]
    fn the_clocks_of_this_machine_agree() {
        let clock = SteadyClock::default();
        clock.confirm();
        assert!(clock.trust() == ClockTrust::Steady && clock.now() <= wall_clock());
    }
}
