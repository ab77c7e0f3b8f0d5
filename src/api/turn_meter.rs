//! Turn meter: the spread of the moments at which phones showed the winners of a draw, as a sample
//! of them reports it.
//!
//! A hand-over to the kernel says nothing about a phone behind a slow network, so phones say
//! themselves when they turned, by the server's clock. Only some 64 phones per draw report, chosen
//! by their number: the rest send nothing, and nothing here is on the way of a broadcast. A report
//! is one voice of the sample, and decides nothing.

use crate::draw::{DrawId, EventId, Number};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Phones that report per draw, about.
const SAMPLE: u32 = 64;
/// Reports of a draw, at most: numbers may have gaps, and counts may grow meanwhile.
const REPORTS_MAX: usize = 4 * SAMPLE as usize;
/// Events whose last draw is kept, at most; another one replaces the one with the lowest name.
const EVENTS_MAX: usize = 64;
/// Bounds of a report in milliseconds: a phone that slept shows winners long after.
const LATE_MS_MIN: i32 = -10_000;
const LATE_MS_MAX: i32 = 60_000;

/// The last draws of all events.
#[derive(Debug, Default)]
pub struct TurnMeters {
    events: Mutex<BTreeMap<EventId, Turns>>,
}

/// The reports of a draw: milliseconds after its planned moment, by number.
#[derive(Debug)]
struct Turns {
    draw: DrawId,
    late_ms: BTreeMap<Number, i32>,
}

/// The spread of a draw's reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// The draw.
    pub draw: DrawId,
    /// Phones that reported.
    pub phones: usize,
    /// Milliseconds from the planned moment to half of the turns.
    pub late_ms_p50: i32,
    /// Milliseconds between the middle half of the turns.
    pub middle_ms: i32,
    /// Milliseconds from the first turn to the last.
    pub whole_ms: i32,
}

impl TurnMeters {
    /// True when this number reports a draw, of an event with so many participants. Phones compute
    /// the same; another draw has another sample.
    pub fn is_sampled(number: Number, draw: DrawId, participants: u32) -> bool {
        (number.0 + draw.0).is_multiple_of(participants.div_ceil(SAMPLE).max(1))
    }

    /// Takes the report of a phone; its first one counts.
    pub fn report(&self, event: &EventId, draw: DrawId, number: Number, late_ms: i32) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if !events.contains_key(event) && events.len() == EVENTS_MAX {
            events.pop_first();
        }
        let turns = events.entry(event.clone()).or_insert_with(|| Turns { draw, late_ms: BTreeMap::new() });
        if turns.draw != draw {
            *turns = Turns { draw, late_ms: BTreeMap::new() };
        }
        if turns.late_ms.len() < REPORTS_MAX {
            turns.late_ms.entry(number).or_insert(late_ms.clamp(LATE_MS_MIN, LATE_MS_MAX));
        }
    }

    /// The spread of an event's last draw; `None` before its first report.
    pub fn spread(&self, event: &EventId) -> Option<Spread> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let Turns { draw, late_ms } = events.get(event)?;
        let mut sorted: Vec<_> = late_ms.values().copied().collect();
        sorted.sort_unstable();
        let quantile = |quarters: usize| sorted[(sorted.len() - 1) * quarters / 4];
        Some(Spread {
            draw: *draw,
            phones: sorted.len(),
            late_ms_p50: quantile(2),
            middle_ms: quantile(3) - quantile(1),
            whole_ms: quantile(4) - quantile(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_of_the_last_draw_and_each_phone_counts_once() {
        let (meters, event) = (TurnMeters::default(), EventId::parse("gala").unwrap());
        assert_eq!(meters.spread(&event), None);
        meters.report(&event, DrawId(1), Number(1), 900);
        for (number, late_ms) in [(1, 10), (2, 20), (3, 30), (4, 40), (5, 250), (5, -5)] {
            meters.report(&event, DrawId(2), Number(number), late_ms);
        }
        let spread = Spread { draw: DrawId(2), phones: 5, late_ms_p50: 30, middle_ms: 20, whole_ms: 240 };
        assert_eq!(meters.spread(&event), Some(spread));
        meters.report(&event, DrawId(3), Number(1), i32::MAX);
        assert_eq!(meters.spread(&event).unwrap().late_ms_p50, LATE_MS_MAX);
    }

    #[test]
    fn a_small_hall_reports_whole_and_a_large_one_by_a_sample() {
        let count =
            |participants, draw| (1..=participants).filter(|n| TurnMeters::is_sampled(Number(*n), draw, participants)).count();
        assert_eq!(count(60, DrawId(1)), 60);
        for draw in 1..20 {
            assert!((48..=REPORTS_MAX).contains(&count(20_000, DrawId(draw))));
        }
    }

    #[test]
    fn memory_is_bounded_by_events_and_reports() {
        let meters = TurnMeters::default();
        for n in 0..100 {
            let event = EventId::parse(&format!("e{n}")).unwrap();
            (1..1_000).for_each(|number| meters.report(&event, DrawId(1), Number(number), 0));
        }
        let events = meters.events.lock().unwrap();
        assert!(events.len() == EVENTS_MAX && events.values().all(|turns| turns.late_ms.len() == REPORTS_MAX));
    }
}
