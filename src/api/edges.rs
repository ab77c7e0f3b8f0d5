//! The edges that serve phones of this server, as they report themselves once per second.
//!
//! A report is for people: no decision depends on it. An edge that has been silent for a while is
//! forgotten.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Edges that are listed, at most; reports of more are dropped.
const EDGES_MAX: usize = 1024;

/// Silence after which an edge is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// An edge's last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeReport {
    /// Connected phones of all events.
    pub phones: u32,
    /// Frames that it has yet to get, over all events.
    pub frames_behind: u64,
    /// When it came.
    pub heard_at: Instant,
}

/// The last reports, by the edges' names.
#[derive(Debug, Default)]
pub struct Edges {
    reports: Mutex<BTreeMap<String, EdgeReport>>,
}

impl Edges {
    /// Takes a report.
    pub fn report(&self, edge: &str, report: EdgeReport) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.retain(|_, old| report.heard_at.saturating_duration_since(old.heard_at) < FORGOTTEN_AFTER);
        if reports.len() < EDGES_MAX || reports.contains_key(edge) {
            reports.insert(edge.to_owned(), report);
        }
    }

    /// The edges heard of within the last minute, sorted by name.
    pub fn list(&self, now: Instant) -> Vec<(String, EdgeReport)> {
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let is_heard = |report: &EdgeReport| now.saturating_duration_since(report.heard_at) < FORGOTTEN_AFTER;
        reports.iter().filter(|(_, report)| is_heard(report)).map(|(edge, report)| (edge.clone(), *report)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_report_counts_until_its_edge_was_silent_for_long() {
        let (edges, now) = (Edges::default(), Instant::now());
        let report = |phones, heard_at| EdgeReport { phones, frames_behind: 0, heard_at };
        edges.report("b", report(1, now));
        edges.report("b", report(2, now));
        edges.report("a", report(3, now + FORGOTTEN_AFTER / 2));
        let names = |at| edges.list(at).into_iter().map(|(edge, report)| (edge, report.phones)).collect::<Vec<_>>();
        assert_eq!(names(now), [("a".to_owned(), 3), ("b".to_owned(), 2)]);
        assert_eq!(names(now + FORGOTTEN_AFTER), [("a".to_owned(), 3)]);
    }

    #[test]
    fn no_more_edges_are_listed_than_there_is_room_for() {
        let (edges, now) = (Edges::default(), Instant::now());
        for index in 0..=EDGES_MAX {
            edges.report(&index.to_string(), EdgeReport { phones: 0, frames_behind: 0, heard_at: now });
        }
        assert_eq!(edges.list(now).len(), EDGES_MAX);
    }
}
