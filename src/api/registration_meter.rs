//! New numbers per event: a bound on their rate that no hall meets, and figures for the console.
//!
//! A hall's phones come by one address, so none is ever limited by its address. An event gives half
//! of its seats at once, and the other half within a minute: a hall that fills every seat within a
//! minute meets no quota, and an operator has the time to act on a script. Quotas go by the size of
//! the event. A fixed one would leave a small event to a script, or stop a large hall.
//!
//! The numbers after a connection's first have a smaller quota, which a hall behind a proxy shares
//! as well. So a script that keeps its connections leaves the others to fresh phones, and one that
//! does not pays for a handshake per number.
//!
//! Registrations come by the thousand in one second, so a meter is a few atomics and no lock. Times
//! are arguments.

use crate::api::rate_limiter::RetryAfter;
use crate::draw::EventId;
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// New numbers per connection, at most: a phone takes one, a family at one computer a few.
pub const NUMBERS_PER_CONNECTION_MAX: u32 = 5;
/// New numbers that every event gives at once, however small it is.
const BURST_MIN: i64 = 300;
/// The same of numbers after a connection's first.
const FURTHER_BURST_MIN: i64 = 150;
/// Time in which an event gives as many numbers as it has seats, in microseconds.
const ALL_SEATS_US: i64 = 100_000_000;
/// Longest time between two numbers, in microseconds.
const PRICE_MAX_US: i64 = 200_000;
/// The same of numbers after a connection's first.
const FURTHER_PRICE_MAX_US: i64 = 400_000;
/// Numbers per number after a connection's first.
const NUMBERS_PER_FURTHER: i64 = 5;

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
    /// Counts a new number of an event of so many seats. `before`: the new numbers that its
    /// connection was given.
    ///
    /// # Errors
    /// Above the bound on their rate.
    pub fn count_number(&self, event: &EventId, seats: u32, before: u32, now_ms: i64) -> Result<(), RetryAfter> {
        let meter = self.meter(event);
        let taken = meter.take_number(seats, before, now_ms);
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
    /// All new numbers.
    numbers: Quota,
    /// Those of connections that had one before.
    further: Quota,
    given: PerSecond,
    refused: PerSecond,
    wrong_codes: PerSecond,
}

impl Meter {
    fn take_number(&self, seats: u32, before: u32, now_ms: i64) -> Result<(), RetryAfter> {
        let seats = i64::from(seats.max(1));
        let (price_us, burst) = (ALL_SEATS_US / seats, seats / 2);
        if before > 0 {
            let further_us = (price_us * NUMBERS_PER_FURTHER).min(FURTHER_PRICE_MAX_US);
            self.further.charge(further_us, (burst / NUMBERS_PER_FURTHER).max(FURTHER_BURST_MIN), now_ms)?;
        }
        self.numbers.charge(price_us.min(PRICE_MAX_US), burst.max(BURST_MIN), now_ms)
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

/// A rate with a burst: the generic cell rate algorithm (ITU-T I.371).
#[derive(Debug, Default)]
struct Quota {
    /// The time at which everything charged so far is paid for, in microseconds.
    paid_us: AtomicI64,
}

impl Quota {
    /// Charges one: `burst` at once, and then one per `price_us`.
    fn charge(&self, price_us: i64, burst: i64, now_ms: i64) -> Result<(), RetryAfter> {
        let (now_us, credit_us) = (now_ms * 1000, burst * price_us);
        let pay = |paid_us: i64| {
            let paid_us = paid_us.max(now_us) + price_us;
            (paid_us - now_us <= credit_us).then_some(paid_us)
        };
        let retry_after = |paid_us: i64| {
            let wait_us = paid_us + price_us - credit_us - now_us;
            RetryAfter { seconds: u32::try_from(wait_us / 1_000_000 + 1).unwrap_or(1) }
        };
        self.paid_us.fetch_update(Relaxed, Relaxed, pay).map(drop).map_err(retry_after)
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

    /// New numbers of fresh connections that an event of so many seats gives at `now_ms`.
    fn first_numbers(meters: &RegistrationMeters, event: &EventId, seats: u32, now_ms: i64) -> u32 {
        (0..2 * seats).filter(|_| meters.count_number(event, seats, 0, now_ms).is_ok()).count() as u32
    }

    #[test]
    fn a_script_gets_half_the_seats_at_once_and_the_rest_at_a_rate() {
        for (seats, at_once, per_second) in
            [(1_000, 500, 10), (3_000, 1_500, 30), (20_000, 10_000, 200), (300_000, 150_000, 3_003)]
        {
            let (meters, gala) = (RegistrationMeters::default(), event("gala"));
            assert_eq!(first_numbers(&meters, &gala, seats, 1_000), at_once);
            assert_eq!(first_numbers(&meters, &gala, seats, 2_000), per_second, "{seats} seats");
            assert_eq!(meters.count_number(&gala, seats, 0, 2_000), Err(RetryAfter { seconds: 1 }));
            assert!(meters.count_number(&event("other"), seats, 0, 2_000).is_ok(), "another event is not touched");
            assert_eq!(first_numbers(&meters, &gala, seats, 200_000), at_once, "calm returns");
        }
    }

    #[test]
    fn no_hall_meets_a_quota() {
        // Seats, phones, the time in which they come, and the phones that share a connection.
        for (seats, phones, within_s, sharing) in [
            (300, 300, 120, 1),
            (300, 300, 0, 1),
            (300, 300, 120, 5),
            (3_000, 3_000, 60, 1),
            (6_000, 3_000, 0, 1),
            (20_000, 3_000, 60, 5),
            (20_000, 10_000, 0, 1),
            (20_000, 20_000, 60, 1),
        ] {
            let share = |phone: u32| f64::from(phone) / f64::from(phones);
            let evenly = |phone| share(phone) * f64::from(within_s) * 1000.0;
            // As people follow a call: the most at first, nineteen of twenty within the time.
            let eagerly = |phone| -(1.0 - share(phone)).ln() / 3.0 * f64::from(within_s) * 1000.0;
            for (case, come_ms) in [("evenly", &evenly as &dyn Fn(u32) -> f64), ("eagerly", &eagerly)] {
                let (meters, gala) = (RegistrationMeters::default(), event("gala"));
                for phone in 0..phones {
                    let taken = meters.count_number(&gala, seats, phone % sharing, come_ms(phone) as i64);
                    assert!(taken.is_ok(), "{seats} seats, phone {phone} of {phones} in {within_s} s, {case}");
                }
            }
        }
    }

    #[test]
    fn connections_that_had_a_number_leave_the_others_theirs() {
        let (meters, gala) = (RegistrationMeters::default(), event("gala"));
        let taken = (0..200)
            .flat_map(|_| 0..NUMBERS_PER_CONNECTION_MAX)
            .filter(|before| meters.count_number(&gala, 1_000, *before, 0).is_ok());
        assert_eq!(taken.count(), 350, "the first of each, and some more");
        assert!((0..150).all(|_| meters.count_number(&gala, 1_000, 0, 0).is_ok()), "fresh connections get theirs");
    }

    #[test]
    fn a_hall_of_three_hundred_in_two_minutes_alarms_nobody_and_a_burst_does() {
        let (meters, gala) = (RegistrationMeters::default(), event("gala"));
        for phone in 0..300 {
            meters.count_number(&gala, 20_000, 0, phone * 400).unwrap();
        }
        let calm = meters.figures(&gala, 120_000);
        assert!(!calm.is_alarming() && calm.burst.is_none() && calm.given > 100, "{calm:?}");
        for second in 130..133 {
            (0..400).for_each(|_| meters.count_number(&gala, 20_000, 0, second * 1000).unwrap());
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
