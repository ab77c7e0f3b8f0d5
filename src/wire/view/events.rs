//! Events for whoever runs them: how one is settled and how far it has come, its links, its figures and its audit trail.

use super::json;
use crate::base::clock::rfc3339;
use crate::draw::event::Audience;
use crate::draw::{Event, Link, LinkRole};
use crate::wire::entry_code;
use crate::wire::state_sync::phase_name;
use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::value::RawValue;

/// An event as its console sees it.
#[derive(Serialize)]
pub struct EventView<'a> {
    event_id: &'a str,
    title: &'a str,
    phase: &'static str,
    event_session_id: String,
    epoch: String,
    entry_code: Option<&'a str>,
    participant_count: u32,
    participants_max: u32,
    draw_count: usize,
    prize_count: usize,
    groups: bool,
    weights: bool,
    consent_text: Option<&'a str>,
    privacy_purpose: Option<&'a str>,
    rehearsal: bool,
    opened_at: String,
    changed_at: String,
}

/// A link as its console sees it; one that stands shows its token and the page it opens.
#[derive(Serialize)]
pub struct LinkView {
    pub link_id: u32,
    pub role: &'static str,
    pub made_at: String,
    pub revoked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// An event's figures, counted outside of it.
#[derive(Serialize)]
pub struct Figures {
    pub participant_count: u32,
    pub draw_count: usize,
    pub connection_count: u32,
    pub connections: ConnectionsByRole,
    pub behind: u32,
    pub evicted: u64,
    /// Whether a display is there, or was a moment ago.
    pub display_alive: bool,
    pub delivery: Option<DeliveryView>,
    pub server: ServerView,
}

/// How the server itself is: of all its events together.
#[derive(Serialize)]
pub struct ServerView {
    pub memory_bytes: u64,
    pub cpu_seconds: f64,
    /// Whether the last commit succeeded.
    pub durable: bool,
    /// Commands that wait for the writer.
    pub inbox_depth: usize,
    /// An upper bound of 99 % of the commits so far; none before the first.
    pub commit_ms_p99: Option<f64>,
}

/// Who is connected.
#[derive(Serialize)]
pub struct ConnectionsByRole {
    pub phone: u32,
    pub display: u32,
    pub admin: u32,
}

/// How the last announcement travelled.
#[derive(Serialize)]
pub struct DeliveryView {
    pub draw_id: u32,
    pub expected: u32,
    pub delivered: u32,
    pub slowest_us: u64,
    pub slowest_ms: f64,
}

/// A line of the audit trail; `summary` is JSON text of the journal's making.
#[derive(Serialize)]
pub struct AuditView<'a> {
    pub id: i64,
    pub at: String,
    pub actor: &'a str,
    pub kind: &'a str,
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

/// A page of the audit trail, newest first, and where the next one begins.
pub fn audit(lines: Vec<AuditView<'_>>) -> String {
    #[derive(Serialize)]
    struct Audit<'a> {
        next_before: Option<i64>,
        lines: Vec<AuditView<'a>>,
    }
    json(&Audit { next_before: lines.last().map(|line| line.id), lines })
}

/// How many draws of an event its console knows of.
pub fn draw_count(event: &Event) -> usize {
    event.draws().filter(|draw| draw.is_known_to(Audience::Operators)).count()
}

/// A link's role on the wire.
pub fn role_name(role: LinkRole) -> &'static str {
    match role {
        LinkRole::Display => "display",
        LinkRole::Staff => "staff",
        LinkRole::Host => "host",
    }
}

/// The link role of that name.
pub fn role_named(name: &str) -> Option<LinkRole> {
    [LinkRole::Display, LinkRole::Staff, LinkRole::Host].into_iter().find(|role| role_name(*role) == name)
}

fn view(event: &Event) -> EventView<'_> {
    EventView {
        event_id: event.id.as_str(),
        title: &event.settings.title,
        phase: phase_name(event.phase),
        event_session_id: HEXLOWER.encode(&event.session.0),
        epoch: HEXLOWER.encode(&event.epoch.0),
        entry_code: event.entry_code.as_ref().map(entry_code),
        participant_count: event.participant_count(),
        participants_max: event.settings.participants_max,
        draw_count: draw_count(event),
        prize_count: event.prizes.len(),
        groups: event.settings.groups,
        weights: event.settings.weights,
        consent_text: event.settings.consent_text.as_deref(),
        privacy_purpose: event.settings.privacy_purpose.as_deref(),
        rehearsal: event.settings.rehearsal,
        opened_at: rfc3339(event.opened_at),
        changed_at: rfc3339(event.changed_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{Timestamp, sample};

    #[test]
    fn a_pending_draw_is_not_counted() {
        let event = sample::event().announced("TV", &[1]).revealed("TV", &[2]).started("Pen", &[3]).build();
        assert_eq!(draw_count(&event), 2);
    }

    #[test]
    fn an_audit_page_says_where_the_next_one_begins() {
        let summary = RawValue::from_string(r#"{"draw":1}"#.to_owned()).unwrap();
        let line = |id| AuditView { id, at: rfc3339(Timestamp(0)), actor: "admin", kind: "Revealed", summary: &summary };
        let page = audit(vec![line(9), line(8)]);
        assert!(page.starts_with(r#"{"next_before":8,"lines":[{"id":9,"#) && page.contains(r#""summary":{"draw":1}"#), "{page}");
        assert_eq!(audit(Vec::new()), r#"{"next_before":null,"lines":[]}"#);
    }
}
