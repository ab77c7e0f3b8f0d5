//! The edges that serve phones of this server, as they report themselves once per second.
//!
//! A report is believed as far as it goes: it fills the console's figures, and phones that join are
//! led to the edge that it names. It changes nothing that is decided. An edge that has been silent
//! for a while is forgotten.

use crate::live::delivery::DeliveryReport;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The version of this program, which its edges should have too.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Edges that are listed, at most; reports of more are dropped.
const EDGES_MAX: usize = 1024;

/// Silence after which an edge counts as gone: three reports.
pub const SILENCE_MAX: Duration = Duration::from_secs(3);

/// Silence after which an edge is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// An edge's last report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeReport {
    /// The address by which phones reach it, without a path; empty when it names none.
    pub address: String,
    /// The version of its program.
    pub version: String,
    /// Sockets that it has room for.
    pub sockets_max: u32,
    /// Frames that it has yet to get, over all events.
    pub frames_behind: u64,
    /// The longest time that an update took to its sockets within the last second, in
    /// milliseconds.
    pub lag_ms: u32,
    /// Milliseconds by which its wall clock is ahead of this server's.
    pub clock_ahead_ms: i64,
    /// Its share of each event.
    pub events: BTreeMap<String, EventReport>,
    /// When it came.
    pub heard_at: Instant,
}

/// An edge's share of an event; or the shares of all edges in sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventReport {
    /// Sockets of phones.
    pub sockets: u32,
    /// Numbers that have a socket.
    pub phones: u32,
    /// Sockets with frames that wait for their network.
    pub behind: u32,
    /// Sockets that were closed for being slow, silent or flooding.
    pub evicted: u64,
    /// The delivery of the last announcement.
    pub delivery: Option<DeliveryReport>,
}

/// The relation of a report to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It is one more.
    None,
    /// The edge is new, or was silent, or has another version.
    Joined,
}

/// The name of an edge and the code by which it joins.
pub type NamedCode = (String, String);

/// Makes the codes by which edges join; an error is a message for the operator.
pub type MakeCodes = Box<dyn Fn() -> Result<Vec<NamedCode>, String> + Send + Sync>;

/// The last reports, by the edges' names.
#[derive(Default)]
pub struct Edges {
    reports: Mutex<BTreeMap<String, EdgeReport>>,
    /// Set once, where edges can join.
    codes: OnceLock<MakeCodes>,
}

impl EdgeReport {
    /// Sockets of all events.
    pub fn sockets(&self) -> u32 {
        self.events.values().fold(0, |sum, event| sum.saturating_add(event.sockets))
    }

    /// Returns whether it was silent for too long to count on.
    pub fn is_silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard_at) >= SILENCE_MAX
    }

    /// Returns whether its program is another one than this.
    pub fn has_other_version(&self) -> bool {
        self.version != VERSION
    }
}

impl EventReport {
    /// Adds another share. Of two announced draws the later one counts.
    fn add(&mut self, other: &EventReport) {
        self.sockets = self.sockets.saturating_add(other.sockets);
        self.phones = self.phones.saturating_add(other.phones);
        self.behind = self.behind.saturating_add(other.behind);
        self.evicted = self.evicted.saturating_add(other.evicted);
        self.delivery = merge(self.delivery, other.delivery);
    }
}

/// The delivery of one announcement in two places. Of two announced draws the later one counts.
pub fn merge(a: Option<DeliveryReport>, b: Option<DeliveryReport>) -> Option<DeliveryReport> {
    match (a, b) {
        (Some(a), Some(b)) if a.draw == b.draw => Some(DeliveryReport {
            draw: a.draw,
            expected: a.expected.saturating_add(b.expected),
            delivered: a.delivered.saturating_add(b.delivered),
            slowest_us: a.slowest_us.max(b.slowest_us),
        }),
        (a, b) => a.into_iter().chain(b).max_by_key(|report| report.draw),
    }
}

impl Edges {
    /// Sets the maker of codes.
    pub fn set_codes(&self, make: MakeCodes) {
        // It is set once, at the start.
        let _ = self.codes.set(make);
    }

    /// The codes by which edges join, where they can.
    ///
    /// # Errors
    /// A message for the operator.
    pub fn codes(&self) -> Result<Vec<NamedCode>, String> {
        self.codes.get().map_or(Ok(Vec::new()), |make| make())
    }

    /// Returns whether edges can join.
    pub fn takes_edges(&self) -> bool {
        self.codes.get().is_some()
    }

    /// Takes a report.
    pub fn report(&self, edge: &str, report: EdgeReport) -> News {
        let mut reports = self.lock();
        reports.retain(|_, old| report.heard_at.saturating_duration_since(old.heard_at) < FORGOTTEN_AFTER);
        let old = reports.get(edge);
        if old.is_none() && reports.len() == EDGES_MAX {
            return News::None;
        }
        let is_one_more = old.is_some_and(|old| !old.is_silent(report.heard_at) && old.version == report.version);
        reports.insert(edge.to_owned(), report);
        if is_one_more { News::None } else { News::Joined }
    }

    /// The edges heard of within the last minute, sorted by name.
    pub fn list(&self, now: Instant) -> Vec<(String, EdgeReport)> {
        let is_heard = |report: &EdgeReport| now.saturating_duration_since(report.heard_at) < FORGOTTEN_AFTER;
        self.lock().iter().filter(|(_, report)| is_heard(report)).map(|(edge, report)| (edge.clone(), report.clone())).collect()
    }

    /// The shares of an event that edges have now, in sum.
    pub fn of_event(&self, event: &str, now: Instant) -> EventReport {
        let mut sum = EventReport::default();
        let reports = self.lock();
        let shares = reports.values().filter(|report| !report.is_silent(now)).filter_map(|report| report.events.get(event));
        shares.for_each(|share| sum.add(share));
        sum
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, EdgeReport>> {
        // Each change is one insertion or removal, so a thread that panicked left nothing half
        // done.
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::DrawId;

    fn report(sockets: u32, heard_at: Instant) -> EdgeReport {
        let delivery = Some(DeliveryReport { draw: DrawId(2), expected: sockets, delivered: sockets, slowest_us: 7 });
        let share = EventReport { sockets, phones: sockets, delivery, ..EventReport::default() };
        EdgeReport {
            address: String::new(),
            version: VERSION.into(),
            sockets_max: 100,
            frames_behind: 0,
            lag_ms: 1,
            clock_ahead_ms: 0,
            events: [("gala".to_owned(), share)].into(),
            heard_at,
        }
    }

    #[test]
    fn the_last_report_counts_until_its_edge_was_silent_for_long() {
        let (edges, now) = (Edges::default(), Instant::now());
        assert_eq!(edges.report("b", report(1, now)), News::Joined);
        assert_eq!(edges.report("b", report(2, now)), News::None);
        edges.report("a", report(3, now + FORGOTTEN_AFTER / 2));
        let names = |at| edges.list(at).into_iter().map(|(edge, report)| (edge, report.sockets())).collect::<Vec<_>>();
        assert_eq!(names(now), [("a".to_owned(), 3), ("b".to_owned(), 2)]);
        assert_eq!(names(now + FORGOTTEN_AFTER), [("a".to_owned(), 3)]);
        assert_eq!(edges.report("a", report(3, now + FORGOTTEN_AFTER)), News::Joined, "it was silent");
        let other = EdgeReport { version: "0.0.0".into(), ..report(3, now + FORGOTTEN_AFTER) };
        assert!(other.has_other_version());
        assert_eq!(edges.report("a", other), News::Joined, "another program");
    }

    #[test]
    fn shares_of_an_event_are_summed_up_without_silent_edges() {
        let (edges, now) = (Edges::default(), Instant::now());
        edges.report("a", report(3, now));
        edges.report("b", report(4, now));
        edges.report("silent", report(100, now));
        let later = now + SILENCE_MAX - Duration::from_millis(1);
        edges.report("a", report(3, later));
        edges.report("b", report(4, later));
        let sum = edges.of_event("gala", now + SILENCE_MAX);
        assert_eq!((sum.sockets, sum.phones, sum.delivery.unwrap().delivered), (7, 7, 7));
        assert_eq!(edges.of_event("other", now), EventReport::default());
    }

    #[test]
    fn only_deliveries_of_one_draw_are_added() {
        let of =
            |draw, delivered| Some(DeliveryReport { draw: DrawId(draw), expected: 9, delivered, slowest_us: u64::from(draw) });
        assert_eq!(
            merge(of(2, 3), of(2, 4)),
            Some(DeliveryReport { draw: DrawId(2), expected: 18, delivered: 7, slowest_us: 2 })
        );
        assert_eq!((merge(of(1, 3), of(2, 4)), merge(of(2, 4), None), merge(None, None)), (of(2, 4), of(2, 4), None));
    }

    #[test]
    fn no_more_edges_are_listed_than_there_is_room_for() {
        let (edges, now) = (Edges::default(), Instant::now());
        for index in 0..=EDGES_MAX {
            edges.report(&index.to_string(), report(0, now));
        }
        assert_eq!(edges.list(now).len(), EDGES_MAX);
    }
}
