//! New numbers per event: a bound on their rate that no hall meets, and figures for the console.
//!
//! A hall's phones come by one address, so none is ever limited by its address. A connection gives
//! [`NUMBERS_PER_CONNECTION_MAX`] numbers, and an event [`BURST_NUMBERS_MAX`] at once and then
//! [`NUMBERS_PER_SECOND`]: ten thousand phones at once, each by its own connection, meet neither,
//! and a script that takes every number meets both. Registrations come by the thousand in one
//! second, so a meter is a few atomics and no lock. Times are arguments.

use crate::api::rate_limiter::RetryAfter;
use crate::draw::EventId;
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// New numbers per connection, at most: a phone takes one, a family at one computer a few.
pub const NUMBERS_PER_CONNECTION_MAX: u32 = 5;
/// New numbers of an event at once, at most.
pub const BURST_NUMBERS_MAX: i64 = 12_000;
/// New numbers of an event per second, once those at once are given.
pub const NUMBERS_PER_SECOND: i64 = 100;

/// New numbers per second that the console is shown as a burst.
const BURST_PER_SECOND_MIN: u32 = 100;
/// Wrong entry codes per minute that the console is told of.
const WRONG_CODES_MIN: u32 = 30;
/// Seconds that a meter remembers; a minute of them makes the figures.
const SECONDS: usize = 300;
const MINUTE_S: i64 = 60;
/// Events that are metered at once. Their own bound is far below.
const EVENTS_MAX: usize = 4_096;

/// The meters of all events.
#[derive(Debug, Default)]
pub struct RegistrationMeters {
    meters: ArcSwap<BTreeMap<EventId, Arc<Meter>>>,
}

/// Registrations of an event in the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegistrationFigures {
    /// New numbers.
    pub given: u32,
    /// New numbers in the second that had the most.
    pub peak_per_second: u32,
    /// Registrations refused by a quota.
    pub refused: u32,
    /// Wrong entry codes.
    pub wrong_codes: u32,
    /// The burst of the last five minutes.
    pub burst: Option<Burst>,
}

/// Many new numbers within seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Its first second, in seconds before now.
    pub began_ago_s: i64,
    /// Its last second, in seconds before now.
    pub ended_ago_s: i64,
    /// New numbers from the first to the last.
    pub given: u32,
}

impl RegistrationFigures {
    /// Returns whether something goes on that no hall does.
    pub fn is_alarming(&self) -> bool {
        self.refused > 0 || self.wrong_codes >= WRONG_CODES_MIN || self.peak_per_second >= BURST_PER_SECOND_MIN
    }
}

impl RegistrationMeters {
    /// Counts a new number of an event.
    ///
    /// # Errors
    /// Above the bound on their rate.
    pub fn count_number(&self, event: &EventId, now_ms: i64) -> Result<(), RetryAfter> {
        let meter = self.meter(event);
        let taken = meter.take_number(now_ms);
        let counts = if taken.is_ok() { &meter.given } else { &meter.refused };
        counts.add(now_ms / 1000);
        taken
    }

    /// Counts a registration that was refused since its connection has had its numbers.
    pub fn count_refusal(&self, event: &EventId, now_ms: i64) {
        self.meter(event).refused.add(now_ms / 1000);
    }

    /// Counts a wrong entry code.
    pub fn count_wrong_code(&self, event: &EventId, now_ms: i64) {
        self.meter(event).wrong_codes.add(now_ms / 1000);
    }

    /// The figures of an event.
    pub fn figures(&self, event: &EventId, now_ms: i64) -> RegistrationFigures {
        self.meters.load().get(event).map(|meter| meter.figures(now_ms / 1000)).unwrap_or_default()
    }

    fn meter(&self, event: &EventId) -> Arc<Meter> {
        if let Some(meter) = self.meters.load().get(event) {
            return Arc::clone(meter);
        }
        // Two threads may come here at once: both get the meter that stays.
        self.meters.rcu(|meters| {
            let mut meters = BTreeMap::clone(meters);
            if meters.len() >= EVENTS_MAX {
                meters.clear();
            }
            meters.entry(event.clone()).or_default();
            meters
        });
        self.meters.load().get(event).cloned().unwrap_or_default()
    }
}

/// One event's meter. Its atomics are relaxed: each is one step, and nothing is read on the
/// strength of it.
#[derive(Debug, Default)]
struct Meter {
    /// The time at which all numbers given so far are paid for, in milliseconds (the generic cell
    /// rate algorithm, ITU-T I.371).
    paid_ms: AtomicI64,
    given: PerSecond,
    refused: PerSecond,
    wrong_codes: PerSecond,
}

impl Meter {
    fn take_number(&self, now_ms: i64) -> Result<(), RetryAfter> {
        const PRICE_MS: i64 = 1000 / NUMBERS_PER_SECOND;
        let pay = |paid_ms: i64| {
            let paid_ms = paid_ms.max(now_ms) + PRICE_MS;
            (paid_ms - now_ms <= BURST_NUMBERS_MAX * PRICE_MS).then_some(paid_ms)
        };
        self.paid_ms.fetch_update(Relaxed, Relaxed, pay).map(drop).map_err(|_| RetryAfter { seconds: 1 })
    }

    fn figures(&self, now_s: i64) -> RegistrationFigures {
        let in_minute = |counts: &PerSecond| counts.since(now_s, MINUTE_S).map(|(_, count)| count).sum();
        let is_busy = |(_, count): &(i64, u32)| *count >= BURST_PER_SECOND_MIN;
        let busy = || self.given.since(now_s, SECONDS as i64).filter(is_busy).map(|(ago_s, _)| ago_s);
        let burst = busy().max().zip(busy().min()).map(|(began_ago_s, ended_ago_s)| {
            let within = self.given.since(now_s, SECONDS as i64).filter(|(ago_s, _)| (ended_ago_s..=began_ago_s).contains(ago_s));
            Burst { began_ago_s, ended_ago_s, given: within.map(|(_, count)| count).sum() }
        });
        RegistrationFigures {
            given: in_minute(&self.given),
            peak_per_second: self.given.since(now_s, MINUTE_S).map(|(_, count)| count).max().unwrap_or(0),
            refused: in_minute(&self.refused),
            wrong_codes: in_minute(&self.wrong_codes),
            burst,
        }
    }
}

/// Counts per second: each slot holds a second in its high half and its count in the low one.
#[derive(Debug)]
struct PerSecond([AtomicU64; SECONDS]);

impl Default for PerSecond {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl PerSecond {
    fn add(&self, now_s: i64) {
        let second = (now_s as u64) << 32;
        let count = |slot: u64| Some(if slot >> 32 == now_s as u64 { slot.saturating_add(1) } else { second | 1 });
        // The closure always gives a value.
        let _ = self.0[now_s as usize % SECONDS].fetch_update(Relaxed, Relaxed, count);
    }

    /// The counts of the last seconds, each with its age.
    fn since(&self, now_s: i64, seconds: i64) -> impl Iterator<Item = (i64, u32)> {
        let slots = self.0.iter().map(|slot| slot.load(Relaxed));
        slots.map(move |slot| (now_s - (slot >> 32) as i64, slot as u32)).filter(move |(ago_s, _)| (0..seconds).contains(ago_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str) -> EventId {
        EventId::parse(name).unwrap()
    }

    #[test]
    fn a_hall_of_ten_thousand_at_once_passes_and_a_script_is_held_to_its_rate() {
        let (meters, gala) = (RegistrationMeters::default(), event("gala"));
        assert!((0..10_000).all(|_| meters.count_number(&gala, 1_000).is_ok()));
        let taken = |now_ms| (0..20_000).filter(|_| meters.count_number(&gala, now_ms).is_ok()).count() as i64;
        assert_eq!(taken(1_000), BURST_NUMBERS_MAX - 10_000);
        assert_eq!(taken(2_000), NUMBERS_PER_SECOND);
        assert_eq!(meters.count_number(&gala, 2_000), Err(RetryAfter { seconds: 1 }));
        assert!(meters.count_number(&event("other"), 2_000).is_ok(), "another event is not touched");
        assert_eq!(taken(2_000 + BURST_NUMBERS_MAX * 1000 / NUMBERS_PER_SECOND), BURST_NUMBERS_MAX, "calm returns");
    }

    #[test]
    fn a_hall_of_three_hundred_in_two_minutes_alarms_nobody_and_a_burst_does() {
        let (meters, gala) = (RegistrationMeters::default(), event("gala"));
        for phone in 0..300 {
            meters.count_number(&gala, phone * 400).unwrap();
        }
        let calm = meters.figures(&gala, 120_000);
        assert!(!calm.is_alarming() && calm.burst.is_none() && calm.given > 100, "{calm:?}");
        for second in 130..133 {
            (0..400).for_each(|_| meters.count_number(&gala, second * 1000).unwrap());
        }
        let burst = meters.figures(&gala, 140_000);
        assert_eq!(burst.burst, Some(Burst { began_ago_s: 10, ended_ago_s: 8, given: 1_200 }));
        assert!(burst.is_alarming() && burst.peak_per_second == 400, "{burst:?}");
        assert!(meters.figures(&gala, 400_000).burst.is_some(), "an operator who looks late still sees it");
        assert_eq!(meters.figures(&gala, 500_000), RegistrationFigures::default());
    }

    #[test]
    fn refusals_and_wrong_codes_alarm() {
        let (meters, gala) = (RegistrationMeters::default(), event("gala"));
        (0..29).for_each(|_| meters.count_wrong_code(&gala, 0));
        assert!(!meters.figures(&gala, 0).is_alarming(), "people mistype");
        meters.count_wrong_code(&gala, 0);
        assert!(meters.figures(&gala, 59_000).is_alarming() && !meters.figures(&gala, 60_000).is_alarming());
        meters.count_refusal(&gala, 100_000);
        assert!(meters.figures(&gala, 100_000).is_alarming());
    }

    #[test]
    fn meters_are_bounded() {
        let meters = RegistrationMeters::default();
        (0..EVENTS_MAX + 10).for_each(|index| meters.count_refusal(&event(&format!("e{index}")), 0));
        assert!(meters.meters.load().len() <= EVENTS_MAX);
    }
}
