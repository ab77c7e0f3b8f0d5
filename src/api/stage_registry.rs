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
    requests: Requests,
}

/// All that the console has asked of a stage.
///
/// A request goes out until the stage reports its revision. From then on its value follows the
/// report, since a key at the stage may have changed it: a later request to something else must not
/// repeat it. A reloaded stage has applied none and gets them all, as they were last.
#[derive(Debug, Default)]
struct Requests {
    revision: u32,
    is_lead: bool,
    page: Option<Requested<String>>,
    is_black: Option<Requested<bool>>,
    is_muted: Option<Requested<bool>>,
    shows_code: Option<Requested<bool>>,
}

/// A value that the console asked for, and the revision in which it did.
#[derive(Debug)]
struct Requested<T> {
    value: T,
    revision: u32,
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
            Some(stage) => stage.take(report, now),
            None if place == STAGES_MAX => return StageOrders::default(),
            None => stages.push(Stage { report, reported_at: now, requests: Requests::default() }),
        }
        stages[place].orders(lead_of(stages) == Some(place))
    }

    /// Changes what is asked of a stage; false when there is no such stage.
    pub fn change(&self, event: &EventId, stage_id: &str, change: &StageChange, now: Instant) -> bool {
        let mut events = self.present(now);
        let Some(stages) = events.get_mut(event) else { return false };
        let Some(place) = stages.iter().position(|stage| stage.report.stage_id == stage_id) else { return false };
        if change.is_lead == Some(true) {
            stages.iter_mut().for_each(|stage| stage.requests.is_lead = false);
        }
        stages[place].requests.add(change);
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
            orders: stage.orders(lead == Some(place)),
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

impl Stage {
    /// Takes another report.
    fn take(&mut self, report: StageReport, now: Instant) {
        self.requests.follow(&report);
        (self.report, self.reported_at) = (report, now);
    }

    /// The requests that it has yet to apply.
    fn orders(&self, is_lead: bool) -> StageOrders {
        let Requests { revision, page, is_black, is_muted, shows_code, .. } = &self.requests;
        let applied = self.report.applied_revision;
        StageOrders {
            revision: *revision,
            is_lead,
            page: due(page, applied),
            is_black: due(is_black, applied),
            is_muted: due(is_muted, applied),
            shows_code: due(shows_code, applied),
        }
    }
}

impl Requests {
    /// Adds what `change` names.
    fn add(&mut self, change: &StageChange) {
        self.revision += 1;
        self.is_lead = change.is_lead.unwrap_or(self.is_lead);
        let revision = self.revision;
        replace(&mut self.page, change.page.clone(), revision);
        replace(&mut self.is_black, change.is_black, revision);
        replace(&mut self.is_muted, change.is_muted, revision);
        replace(&mut self.shows_code, change.shows_code, revision);
    }

    /// Lets the applied values follow the stage's report.
    fn follow(&mut self, report: &StageReport) {
        let applied = report.applied_revision;
        follow(&mut self.page, &report.page, applied);
        follow(&mut self.is_black, &report.is_black, applied);
        follow(&mut self.is_muted, &report.is_muted, applied);
        follow(&mut self.shows_code, &report.shows_code, applied);
    }
}

fn replace<T>(requested: &mut Option<Requested<T>>, value: Option<T>, revision: u32) {
    if let Some(value) = value {
        *requested = Some(Requested { value, revision });
    }
}

fn due<T: Clone>(requested: &Option<Requested<T>>, applied: u32) -> Option<T> {
    requested.as_ref().filter(|requested| requested.revision > applied).map(|requested| requested.value.clone())
}

fn follow<T: Clone>(requested: &mut Option<Requested<T>>, reported: &T, applied: u32) {
    if let Some(requested) = requested.as_mut().filter(|requested| requested.revision <= applied) {
        requested.value.clone_from(reported);
    }
}

/// The place of the stage that leads: the one that the console named, else the first that plays
/// draws.
fn lead_of(stages: &[Stage]) -> Option<usize> {
    let named = stages.iter().position(|stage| stage.requests.is_lead);
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
    fn a_request_goes_out_once_and_a_key_at_the_stage_outlasts_the_next_one() {
        let (stages, event, now) = (Stages::default(), EventId::parse("gala").unwrap(), Instant::now());
        let ask = |change| assert!(stages.change(&event, "a", &change, now));
        let applied = |applied_revision, is_black| {
            let orders = stages.report(&event, StageReport { applied_revision, is_black, ..report("a") }, now);
            (orders.revision, orders.is_black, orders.is_muted)
        };
        stages.report(&event, report("a"), now);
        ask(StageChange { is_black: Some(true), ..StageChange::default() });
        assert_eq!(applied(0, false), (1, Some(true), None));
        assert_eq!(applied(1, true), (1, None, None), "it is black, as it was asked");
        // Somebody presses B at the stage, and the console mutes it before the stage has reported.
        ask(StageChange { is_muted: Some(true), ..StageChange::default() });
        assert_eq!(applied(1, false), (2, None, Some(true)), "its screen stays lit");
        assert_eq!(applied(2, false), (2, None, None));
        let reloaded = applied(0, false);
        assert_eq!(reloaded, (2, Some(false), Some(false)), "a reloaded stage gets all of it, as it was last");
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
