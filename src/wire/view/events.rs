//! Events for their operators: settings and state, links, figures, audit trail and backups.
//!
//! Nothing here may show a pick before its reveal, not even to operators.

use super::{json, phase_name, role_name};
use crate::base::clock::rfc3339;
use crate::draw::entry_code::EntryCode;
use crate::draw::event::Audience;
use crate::draw::{Event, Link, Timestamp};
use crate::wire::entry_code;
use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// An event.
#[derive(Serialize)]
pub struct EventView<'a> {
    event_id: &'a str,
    title: &'a str,
    phase: &'static str,
    event_session_id: String,
    epoch: String,
    entry_code: Option<&'a str>,
    entry_code_rotates: bool,
    participant_count: u32,
    participants_max: u32,
    draw_count: usize,
    prize_count: usize,
    groups: bool,
    weights: bool,
    consent_text: Option<&'a str>,
    privacy_purpose: Option<&'a str>,
    rehearsal: bool,
    outside: &'static str,
    opened_at: String,
    changed_at: String,
}

/// A signed link. A valid link shows its token and the page that it opens.
#[derive(Serialize)]
pub struct LinkView {
    /// Its number within the event.
    pub link_id: u32,
    /// The name of its role.
    pub role: &'static str,
    /// The time of its creation, RFC 3339.
    pub made_at: String,
    /// The time of its revocation, RFC 3339.
    pub revoked_at: Option<String>,
    /// Its token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The path of its page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// The figures of an event and its server.
#[derive(Serialize)]
pub struct Figures {
    /// Participants.
    pub participant_count: u32,
    /// Revealed draws.
    pub draw_count: usize,
    /// Open sockets.
    pub connection_count: u32,
    /// Open sockets by role. Who only watches has a phone's socket too.
    pub connections: ConnectionsByRole,
    /// Numbers that have an open socket. The tabs of one phone count once.
    pub phones_connected: usize,
    /// Sockets whose outbox holds frames.
    pub behind: u32,
    /// Sockets closed for being too slow.
    pub evicted: u64,
    /// A display is connected, or was recently.
    pub display_alive: bool,
    /// The delivery of the latest announcement.
    pub delivery: Option<DeliveryView>,
    /// The moment at which phones showed the winners of the latest planned show.
    pub spread: Option<SpreadView>,
    /// Registrations of the last minute.
    pub registrations: RegistrationsView,
    /// True when edges can join this server.
    pub takes_edges: bool,
    /// The edges that serve phones of this server, sorted by name.
    pub edges: Vec<EdgeView>,
    /// The server's figures.
    pub server: ServerView,
}

/// The code by which an edge joins.
#[derive(Serialize)]
pub struct EdgeCodeView {
    /// The name by which NATS will know it.
    pub name: String,
    /// A secret.
    pub code: String,
}

/// An edge, as it last reported itself.
#[derive(Serialize)]
pub struct EdgeView {
    /// The name by which NATS knows it.
    pub name: String,
    /// The address by which phones reach it; empty when it names none.
    pub address: String,
    /// The version of its program.
    pub version: String,
    /// True when this server's program has another version.
    pub has_other_version: bool,
    /// Its sockets, over all events.
    pub sockets: u32,
    /// Sockets that it has room for.
    pub sockets_max: u32,
    /// Frames that it has yet to get, over all events.
    pub frames_behind: u64,
    /// The longest way of an update to its sockets within the last second, in milliseconds.
    pub lag_ms: u32,
    /// Milliseconds by which its wall clock is ahead of this server's.
    pub clock_ahead_ms: i64,
    /// Milliseconds since its last report.
    pub silent_ms: u64,
}

/// Registrations of the last minute.
#[derive(Serialize)]
pub struct RegistrationsView {
    /// New numbers.
    pub last_minute: u32,
    /// New numbers in the second that had the most.
    pub peak_per_second: u32,
    /// Registrations refused by a quota.
    pub refused: u32,
    /// Wrong entry codes.
    pub wrong_codes: u32,
    /// True when something goes on that no hall does.
    pub is_alarming: bool,
    /// The burst of the last five minutes.
    pub burst: Option<BurstView>,
}

/// Many new numbers within seconds: what `POST participants/remove` can undo.
#[derive(Serialize)]
pub struct BurstView {
    /// The time before its first number, in milliseconds since 1970.
    pub from_ms: i64,
    /// The time after its last number, in milliseconds since 1970.
    pub until_ms: i64,
    /// New numbers in between.
    pub count: u32,
}

/// The server's wall clock, and the trust in it: `steady`, `new` or `jumped`.
pub fn clock(trust: &str, now: &str) -> String {
    #[derive(Serialize)]
    struct Clock<'a> {
        trust: &'a str,
        now: &'a str,
    }
    json(&Clock { trust, now })
}

/// The figures of the server, over all its events.
#[derive(Serialize)]
pub struct ServerView {
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
    /// CPU time since the start, in seconds.
    pub cpu_seconds: f64,
    /// The last commit succeeded.
    pub durable: bool,
    /// A round of drand was public when a draw was locked that waited for it.
    pub clock_slow: bool,
    /// Commands that wait for the writer.
    pub inbox_depth: usize,
    /// Upper bound of 99 % of the commits so far, in milliseconds; `None` before the first.
    pub commit_ms_p99: Option<f64>,
}

/// Open sockets by role.
#[derive(Serialize)]
pub struct ConnectionsByRole {
    /// Phones.
    pub phone: u32,
    /// Displays.
    pub display: u32,
    /// Consoles.
    pub admin: u32,
}

/// The delivery of an announcement.
#[derive(Serialize)]
pub struct DeliveryView {
    /// The announced draw.
    pub draw_id: u32,
    /// Sockets that were to get it.
    pub expected: u32,
    /// Sockets to which it was written in full.
    pub delivered: u32,
    /// The slowest delivery so far, in microseconds.
    pub slowest_us: u64,
    /// The same in milliseconds.
    pub slowest_ms: f64,
}

/// The moments at which phones showed the winners of a planned show, as a sample of them says.
#[derive(Serialize)]
pub struct SpreadView {
    /// The draw.
    pub draw_id: u32,
    /// Phones that reported.
    pub phones: usize,
    /// Milliseconds from the planned moment until half of them had turned.
    pub late_ms_p50: i32,
    /// Milliseconds between the first and the third quarter.
    pub middle_ms: i32,
    /// Milliseconds between the first and the last.
    pub whole_ms: i32,
}

/// A line of the audit trail.
#[derive(Serialize)]
pub struct AuditView<'a> {
    /// Its place in the journal.
    pub id: i64,
    /// The time of the fact, RFC 3339.
    pub at: String,
    /// The author.
    pub actor: &'a str,
    /// The kind of fact.
    pub kind: &'a str,
    /// The fact's public part, as JSON that the journal made.
    pub summary: &'a RawValue,
}

/// One event.
pub fn event(event: &Event) -> String {
    json(&view(event))
}

/// Several events.
pub fn events<'a>(events: impl Iterator<Item = &'a Event>) -> String {
    #[derive(Serialize)]
    struct Events<'a> {
        events: Vec<EventView<'a>>,
        total_count: usize,
    }
    let events: Vec<_> = events.map(view).collect();
    json(&Events { total_count: events.len(), events })
}

/// An event's links.
pub fn links(links: Vec<LinkView>) -> String {
    #[derive(Serialize)]
    struct Links {
        total_count: usize,
        links: Vec<LinkView>,
    }
    json(&Links { total_count: links.len(), links })
}

/// A link without its token.
pub fn link(link: &Link) -> LinkView {
    LinkView {
        link_id: link.id.0,
        role: role_name(link.role),
        made_at: rfc3339(link.made_at),
        revoked_at: link.revoked_at.map(rfc3339),
        token: None,
        path: None,
    }
}

/// A page of the audit trail, newest first, with the start of the next page.
pub fn audit(lines: Vec<AuditView<'_>>) -> String {
    #[derive(Serialize)]
    struct Audit<'a> {
        next_before: Option<i64>,
        lines: Vec<AuditView<'a>>,
    }
    json(&Audit { next_before: lines.last().map(|line| line.id), lines })
}

/// The number of revealed draws.
pub fn draw_count(event: &Event) -> usize {
    event.draws().filter(|draw| draw.is_known_to(Audience::Operators)).count()
}

/// A backup.
pub struct BackupView<'a> {
    /// The name of its file.
    pub name: &'a str,
    /// The time at which it was made.
    pub made_at: Timestamp,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its cause.
    pub cause: &'a str,
    /// The time at which the first winners' details in it go; `None` when it holds none.
    pub details_go_at: Option<Timestamp>,
}

impl BackupView<'_> {
    fn fields(&self) -> Value {
        let details_go_at = self.details_go_at.map(rfc3339);
        let made_at = rfc3339(self.made_at);
        json!({"name": self.name, "made_at": made_at, "bytes": self.bytes, "cause": self.cause, "details_go_at": details_go_at})
    }
}

/// A backup that was just made and verified.
pub fn backup_made(backup: &BackupView<'_>) -> String {
    let mut fields = backup.fields();
    fields["verified"] = true.into();
    fields.to_string()
}

/// All backups, in the given order.
pub fn backups(backups: &[BackupView<'_>]) -> String {
    json!({"backups": backups.iter().map(BackupView::fields).collect::<Vec<_>>(), "total_count": backups.len()}).to_string()
}

fn view(event: &Event) -> EventView<'_> {
    EventView {
        event_id: event.id.as_str(),
        title: &event.settings.title,
        phase: phase_name(event.phase),
        event_session_id: HEXLOWER.encode(&event.session.0),
        epoch: HEXLOWER.encode(&event.epoch.0),
        entry_code: event.entry_code.as_ref().and_then(entry_code),
        entry_code_rotates: event.entry_code == Some(EntryCode::Rotating),
        participant_count: event.participant_count(),
        participants_max: event.settings.participants_max,
        draw_count: draw_count(event),
        prize_count: event.prizes.len(),
        groups: event.settings.groups,
        weights: event.settings.weights,
        consent_text: event.settings.consent_text.as_deref(),
        privacy_purpose: event.settings.privacy_purpose.as_deref(),
        rehearsal: event.settings.rehearsal,
        outside: event.settings.outside.name(),
        opened_at: rfc3339(event.opened_at),
        changed_at: rfc3339(event.changed_at),
    }
}

/// The simulated phones of a rehearsal.
#[derive(Default, Serialize)]
pub struct SimulatedPhonesView {
    /// Phones that there are to be.
    pub wanted: u32,
    /// Phones with a number.
    pub registered: u32,
    /// Phones with a socket.
    pub connected: u32,
    /// Phones that were refused a number.
    pub refused: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::sample;

    #[test]
    fn a_pending_draw_is_not_counted() {
        let event = sample::event().announced("TV", &[1]).revealed("TV", &[2]).started("Pen", &[3]).build();
        assert_eq!(draw_count(&event), 2);
    }

    #[test]
    fn an_audit_page_has_the_start_of_the_next_page() {
        let summary = RawValue::from_string(r#"{"draw":1}"#.to_owned()).unwrap();
        let line = |id| AuditView { id, at: rfc3339(Timestamp(0)), actor: "admin", kind: "Revealed", summary: &summary };
        let page = audit(vec![line(9), line(8)]);
        assert!(page.starts_with(r#"{"next_before":8,"lines":[{"id":9,"#) && page.contains(r#""summary":{"draw":1}"#), "{page}");
        assert_eq!(audit(Vec::new()), r#"{"next_before":null,"lines":[]}"#);
    }
}
