//! Stages: the screens that show an event. Each reports itself over its socket, the console sees
//! and steers them, and one of them leads: it plays the sound.
//!
//! No stage decides when phones learn a winner: the server plans the end of a show that a stage
//! plays. A stage lives here while it reports and is no part of the event. One lock for the few
//! screens of all events; nothing on the way of a phone takes it.

use crate::draw::EventId;
use crate::draw::command::Show;
use crate::wire::message::StageReport;
use crate::wire::request::StageChange;
use crate::wire::view::stages::{StageOrders, StageView};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time without a report after which a stage is gone. A browser wakes a hidden page once per
/// minute.
const GONE_AFTER: Duration = Duration::from_secs(70);
/// Stages of an event, at most; further ones are not listed.
const STAGES_MAX: usize = 32;

/// The stages of all events.
#[derive(Debug, Default)]
pub struct Stages {
    events: Mutex<BTreeMap<EventId, Vec<Stage>>>,
}

#[derive(Debug)]
struct Stage {
    report: StageReport,
    reported_at: Instant,
    orders: StageOrders,
}

impl Stages {
    /// Takes the report of a stage at `now`; returns what the console asks of it. The first stage
    /// of an event leads.
    pub fn report(&self, event: &EventId, report: StageReport, now: Instant) -> StageOrders {
        let mut events = self.present(now);
        let stages = events.entry(event.clone()).or_default();
        let known = stages.iter().position(|stage| stage.report.stage_id == report.stage_id);
        let place = known.unwrap_or(stages.len());
        match stages.get_mut(place) {
            Some(stage) => (stage.report, stage.reported_at) = (report, now),
            None if place == STAGES_MAX => return StageOrders::default(),
            None => stages.push(Stage { report, reported_at: now, orders: StageOrders::default() }),
        }
        StageOrders { is_lead: lead_of(stages) == Some(place), ..stages[place].orders.clone() }
    }

    /// Changes what is asked of a stage; false when there is no such stage.
    pub fn change(&self, event: &EventId, stage_id: &str, change: &StageChange, now: Instant) -> bool {
        let mut events = self.present(now);
        let Some(stages) = events.get_mut(event) else { return false };
        let Some(place) = stages.iter().position(|stage| stage.report.stage_id == stage_id) else { return false };
        if change.is_lead == Some(true) {
            stages.iter_mut().for_each(|stage| stage.orders.is_lead = false);
        }
        stages[place].orders.change(change);
        true
    }

    /// The show that a reveal at `now` begins: planned when a stage of the event is there to play
    /// it.
    pub fn show(&self, event: &EventId, now: Instant) -> Show {
        let events = self.present(now);
        let plays = events.get(event).is_some_and(|stages| stages.iter().any(|stage| stage.report.plays()));
        if plays { Show::Planned } else { Show::Open }
    }

    /// The stages of an event, the longest present first.
    pub fn list(&self, event: &EventId, now: Instant) -> Vec<StageView> {
        let events = self.present(now);
        let stages = events.get(event).map_or(&[][..], Vec::as_slice);
        let lead = lead_of(stages);
        let view = |(place, stage): (usize, &Stage)| StageView {
            report: stage.report.clone(),
            orders: StageOrders { is_lead: lead == Some(place), ..stage.orders.clone() },
            reported_ms_ago: now.saturating_duration_since(stage.reported_at).as_millis() as u64,
        };
        stages.iter().enumerate().map(view).collect()
    }

    /// The stages that are not gone.
    fn present(&self, now: Instant) -> MutexGuard<'_, BTreeMap<EventId, Vec<Stage>>> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.retain(|_, stages| {
            stages.retain(|stage| now.saturating_duration_since(stage.reported_at) < GONE_AFTER);
            !stages.is_empty()
        });
        events
    }
}

/// The place of the stage that leads: the one that the console named, else the first that plays
/// draws.
fn lead_of(stages: &[Stage]) -> Option<usize> {
    let named = stages.iter().position(|stage| stage.orders.is_lead);
    named.or_else(|| stages.iter().position(|stage| stage.report.plays()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(id: &str) -> StageReport {
        let text = format!(r#"{{"type":"stage","stage_id":"{id}","page":"main","scene":"lobby","width":1920,"height":1080}}"#);
        crate::wire::parse::parse(text.as_bytes()).unwrap()
    }

    fn lead(stages: &Stages, event: &EventId, now: Instant) -> Vec<bool> {
        stages.list(event, now).iter().map(|view| view.orders.is_lead).collect()
    }

    #[test]
    fn the_first_stage_leads_until_the_console_names_another_or_it_is_gone() {
        let (stages, event, start) = (Stages::default(), EventId::parse("gala").unwrap(), Instant::now());
        assert_eq!(stages.show(&event, start), Show::Open);
        assert!(stages.report(&event, report("a"), start).is_lead);
        assert!(!stages.report(&event, report("b"), start).is_lead);
        assert_eq!(stages.show(&event, start), Show::Planned);
        let change = StageChange { is_lead: Some(true), is_black: Some(true), ..StageChange::default() };
        assert!(stages.change(&event, "b", &change, start) && !stages.change(&event, "c", &change, start));
        assert_eq!(lead(&stages, &event, start), [false, true]);
        let orders = stages.report(&event, report("b"), start);
        assert_eq!((orders.revision, orders.is_lead, orders.is_black), (1, true, Some(true)));
        let later = start + GONE_AFTER - Duration::from_secs(1);
        stages.report(&event, report("a"), later);
        assert_eq!(lead(&stages, &event, later + Duration::from_secs(2)), [true], "b is gone");
        assert_eq!(stages.show(&event, later + GONE_AFTER), Show::Open);
    }

    #[test]
    fn a_screen_that_plays_no_draw_neither_leads_nor_plans_a_show() {
        let (stages, event, now) = (Stages::default(), EventId::parse("gala").unwrap(), Instant::now());
        for page in ["entrance", "winners"] {
            stages.report(&event, StageReport { page: page.into(), ..report(page) }, now);
        }
        assert_eq!((lead(&stages, &event, now), stages.show(&event, now)), (vec![false, false], Show::Open));
        stages.report(&event, StageReport { page: "overlay".into(), ..report("obs") }, now);
        assert_eq!((lead(&stages, &event, now), stages.show(&event, now)), (vec![false, false, true], Show::Planned));
    }

    #[test]
    fn no_event_lists_more_stages_than_a_hall_has() {
        let (stages, event, now) = (Stages::default(), EventId::parse("gala").unwrap(), Instant::now());
        for n in 0..100 {
            stages.report(&event, report(&format!("s{n}")), now);
        }
        assert_eq!(stages.list(&event, now).len(), STAGES_MAX);
    }
}
