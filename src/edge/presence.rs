//! Reports of an edge to its origin: its address, its load and its last frames, once per second.
//!
//! A field that is missing reads as zero, so that an edge of another version is listed, too.

use crate::api::edges::{EdgeReport, EventReport, VERSION};
use crate::draw::DrawId;
use crate::edge::shared::Shared;
use crate::http::guard::is_web_origin;
use crate::live::Role;
use crate::live::delivery::DeliveryReport;
use crate::live::room::{Directory, Room};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// Characters of a version or an address that are listed, at most.
const TEXT_MAX: usize = 300;

/// A report on its way.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Presence {
    version: String,
    address: String,
    sockets_max: u32,
    lag_ms: u32,
    clock_ahead_ms: i64,
    events: BTreeMap<String, Share>,
}

/// The edge's share of an event.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
struct Share {
    /// The number of the last frame.
    seq: u64,
    sockets: u32,
    phones: u32,
    behind: u32,
    evicted: u64,
    /// Draw, expected, delivered, and the slowest in microseconds.
    delivery: Option<(u32, u32, u32, u64)>,
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
    let report = serde_json::to_vec(&Presence::of(shared)).unwrap_or_default();
    // A report that is lost is followed by another.
    let _ = shared.client.publish(subject(&shared.name), report.into()).await;
}

impl Presence {
    fn of(shared: &Shared) -> Self {
        Self {
            version: VERSION.into(),
            address: shared.own.base.get().address.clone(),
            sockets_max: shared.own.sockets_max,
            lag_ms: shared.lag_ms.swap(0, Relaxed),
            clock_ahead_ms: shared.clock.ahead_ms(),
            events: shared.directory.all().iter().map(|room| (room.id.to_string(), Share::of(room))).collect(),
        }
    }

    /// Reads a report; `None` for what is none.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let read: Self = serde_json::from_slice(payload).ok()?;
        (read.version.len().max(read.address.len()) <= TEXT_MAX).then_some(read)
    }

    /// The report beside the origin's own rooms.
    pub fn compare(self, directory: &Directory, now: Instant) -> EdgeReport {
        let behind = |(event, share): (&String, &Share)| {
            directory.find(event).map_or(0, |room| room.snapshot().ring.last_seq().saturating_sub(share.seq))
        };
        EdgeReport {
            frames_behind: self.events.iter().map(behind).fold(0, u64::saturating_add),
            // A redirect to anything else would lead nowhere.
            address: Some(self.address).filter(|address| is_web_origin(address)).unwrap_or_default(),
            version: self.version,
            sockets_max: self.sockets_max,
            lag_ms: self.lag_ms,
            clock_ahead_ms: self.clock_ahead_ms,
            events: self.events.into_iter().map(|(event, share)| (event, share.into())).collect(),
            heard_at: now,
        }
    }
}

impl Share {
    fn of(room: &Room) -> Self {
        let connections = &room.connections;
        let delivery = room.delivery.report();
        Self {
            seq: room.snapshot().ring.last_seq(),
            sockets: connections.connected(Role::Phone),
            phones: u32::try_from(room.phones_connected()).unwrap_or(u32::MAX),
            behind: connections.behind.load(Relaxed),
            evicted: connections.evicted_total(),
            delivery: delivery.map(|report| (report.draw.0, report.expected, report.delivered, report.slowest_us)),
        }
    }
}

impl From<Share> for EventReport {
    fn from(Share { seq: _, sockets, phones, behind, evicted, delivery }: Share) -> Self {
        let report =
            |(draw, expected, delivered, slowest_us)| DeliveryReport { draw: DrawId(draw), expected, delivered, slowest_us };
        Self { sockets, phones, behind, evicted, delivery: delivery.map(report) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_arrives_as_it_was_sent() {
        let share = Share { seq: 7, sockets: 3, delivery: Some((1, 3, 2, 900)), ..Share::default() };
        let events = [("gala".to_owned(), share)].into();
        let sent =
            Presence { version: VERSION.into(), address: "https://edge1.example.kr".into(), events, ..Presence::default() };
        let arrived = Presence::read(&serde_json::to_vec(&sent).unwrap()).unwrap();
        assert_eq!(arrived, sent);
        let report = arrived.compare(&Directory::default(), Instant::now());
        assert_eq!((report.sockets(), &*report.address, report.has_other_version()), (3, "https://edge1.example.kr", false));
        assert_eq!(report.events["gala"].delivery.unwrap().delivered, 2);
    }

    #[test]
    fn a_report_of_another_version_is_listed_and_nonsense_is_not() {
        let report =
            |payload: &str| Presence::read(payload.as_bytes()).map(|read| read.compare(&Directory::default(), Instant::now()));
        assert!(report(r#"{"version":"9.0.0","more":1}"#).unwrap().has_other_version());
        assert!(report("{}").unwrap().has_other_version());
        for address in ["javascript:alert(1)", "https://a/b", "http://", "http://a\r\nx: y"] {
            let payload = serde_json::json!({"version": VERSION, "address": address}).to_string();
            assert_eq!(report(&payload).unwrap().address, "", "{address:?}");
        }
        let long = serde_json::json!({"version": "9".repeat(TEXT_MAX + 1)}).to_string();
        for bad in ["", "5", r#"{"events":{"gala":{"sockets":-1}}}"#, r#"{"events":[]}"#, &long] {
            assert!(report(bad).is_none(), "{bad}");
        }
        let most = format!(r#"{{"events":{{"a":{{"sockets":{0}}},"b":{{"sockets":{0}}}}}}}"#, u32::MAX);
        assert_eq!(report(&most).unwrap().sockets(), u32::MAX);
    }

    #[test]
    fn a_subject_names_its_edge() {
        assert_eq!(edge_of(&subject("edge1")), Some("edge1"));
        assert_eq!((edge_of("ld.edge.frames"), edge_of("ld.gala.frames")), (None, None));
    }
}
