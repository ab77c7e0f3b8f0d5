//! Reports of an edge to its origin: its phones and its last frames, once per second.

use crate::api::edges::EdgeReport;
use crate::edge::shared::Shared;
use crate::live::Role;
use crate::live::room::Directory;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;

/// A report on its way.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Presence {
    /// Connected phones, by event.
    phones: BTreeMap<String, u32>,
    /// The number of the last frame, by event.
    seq: BTreeMap<String, u64>,
}

/// The subject of an edge's reports.
pub fn subject(edge: &str) -> String {
    format!("ld.edge.{edge}.presence")
}

/// The edge that a subject of reports names.
pub fn edge_of(subject: &str) -> Option<&str> {
    subject.strip_prefix("ld.edge.")?.strip_suffix(".presence")
}

/// Publishes the present state of this edge.
pub async fn publish(shared: &Shared) {
    let report = serde_json::to_vec(&Presence::of(&shared.directory)).unwrap_or_default();
    // A report that is lost is followed by another.
    let _ = shared.client.publish(subject(&shared.name), report.into()).await;
}

impl Presence {
    fn of(directory: &Directory) -> Self {
        let rooms = directory.all();
        Self {
            phones: rooms.iter().map(|room| (room.id.to_string(), room.connections.connected(Role::Phone))).collect(),
            seq: rooms.iter().map(|room| (room.id.to_string(), room.snapshot().ring.last_seq())).collect(),
        }
    }

    /// Reads a report; `None` for what is none.
    pub fn read(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }

    /// The report beside the origin's own rooms.
    pub fn compare(&self, directory: &Directory, now: Instant) -> EdgeReport {
        let behind = |(event, seq): (&String, &u64)| {
            directory.find(event).map_or(0, |room| room.snapshot().ring.last_seq().saturating_sub(*seq))
        };
        let phones = self.phones.values().fold(0_u32, |sum, phones| sum.saturating_add(*phones));
        EdgeReport { phones, frames_behind: self.seq.iter().map(behind).fold(0, u64::saturating_add), heard_at: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_arrives_as_it_was_sent() {
        let sent = Presence { phones: [("gala".to_owned(), 3)].into(), seq: [("gala".to_owned(), 7)].into() };
        assert_eq!(Presence::read(&serde_json::to_vec(&sent).unwrap()), Some(sent));
        for bad in ["", "{}", r#"{"phones":{"gala":-1},"seq":{}}"#, r#"{"phones":[],"seq":{}}"#] {
            assert_eq!(Presence::read(bad.as_bytes()), None, "{bad}");
        }
        let huge = Presence { phones: [("a".to_owned(), u32::MAX), ("b".to_owned(), 1)].into(), ..Presence::default() };
        assert_eq!(huge.compare(&Directory::default(), Instant::now()).phones, u32::MAX);
    }

    #[test]
    fn a_subject_names_its_edge() {
        assert_eq!(edge_of(&subject("edge1")), Some("edge1"));
        assert_eq!((edge_of("ld.edge.frames"), edge_of("ld.gala.frames")), (None, None));
    }
}
