//! The figures that a host watches: connections, the delivery of the last announcement, the server,
//! and the audit trail.

use crate::api::app::{ApiRequest, App};
use crate::api::auth::AccessLevel;
use crate::api::metrics::process;
use crate::base::clock::{monotonic_ms, rfc3339, wall_clock};
use crate::http::response::HttpResult;
use crate::http::response::success;
use crate::live::Role;
use crate::live::room::Room;
use crate::sequencer::inbox::Request;
use crate::wire::view::events::{
    self, AuditView, BurstView, ConnectionsByRole, DeliveryView, Figures, RegistrationsView, ServerView, SpreadView,
};
use crate::wire::view::json;
use serde_json::value::RawValue;
use std::sync::atomic::Ordering::Relaxed;

/// Time for which a display that left still counts: as long as an announcement waits for one.
const DISPLAY_GRACE_MS: i64 = 30_000;
/// Lines of one page of the audit trail, at most.
const LINES_MAX: u32 = 200;

/// `GET stats`
pub async fn stats(request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Staff).await?;
    success(&json(&event_figures(&request.app, &access.room)), "the figures")
}

/// `GET audit`: newest first, below `before`.
pub async fn audit(request: ApiRequest) -> HttpResult {
    let room = request.require_event(AccessLevel::Admin).await?.room;
    let before = request.number_in_query("before")?;
    let limit = request.number_in_query("limit")?.unwrap_or(LINES_MAX).clamp(1, LINES_MAX);
    let lines = request.app.inbox.ask(|reply| Request::ReadAudit { event: room.id.clone(), before, limit, reply }).await?;
    let summaries: Vec<_> = lines.iter().map(|line| summary(&line.summary)).collect();
    let views = lines.iter().zip(&summaries).map(|(line, summary)| AuditView {
        id: line.id,
        at: rfc3339(line.at),
        actor: &line.actor,
        kind: &line.kind,
        summary,
    });
    success(&events::audit(views.collect()), "the audit trail")
}

fn event_figures(app: &App, room: &Room) -> Figures {
    let (snapshot, counts) = (room.snapshot(), &room.connections);
    let connections = ConnectionsByRole {
        phone: counts.connected(Role::Phone),
        display: counts.connected(Role::Display),
        admin: counts.connected(Role::Admin),
    };
    Figures {
        participant_count: snapshot.event.participant_count(),
        draw_count: events::draw_count(&snapshot.event),
        connection_count: counts.total(),
        connections,
        phones_connected: room.phones_connected(),
        // Relaxed, as it is written: nothing is decided by it.
        behind: counts.behind.load(Relaxed),
        display_alive: counts.has_display(monotonic_ms(), DISPLAY_GRACE_MS),
        evicted: counts.evicted_total(),
        delivery: room.delivery.report().map(|reading| DeliveryView {
            draw_id: reading.draw.0,
            expected: reading.expected,
            delivered: reading.delivered,
            slowest_us: reading.slowest_us,
            slowest_ms: reading.slowest_us as f64 / 1e3,
        }),
        spread: app.turns.spread(&room.id).map(|spread| SpreadView {
            draw_id: spread.draw.0,
            phones: spread.phones,
            late_ms_p50: spread.late_ms_p50,
            middle_ms: spread.middle_ms,
            whole_ms: spread.whole_ms,
        }),
        registrations: registration_figures(app, room),
        server: server_figures(app),
    }
}

fn registration_figures(app: &App, room: &Room) -> RegistrationsView {
    let figures = app.registrations.figures(&room.id, monotonic_ms());
    let now_ms = wall_clock().0;
    RegistrationsView {
        last_minute: figures.given,
        peak_per_second: figures.peak_per_second,
        refused: figures.refused,
        wrong_codes: figures.wrong_codes,
        is_alarming: figures.is_alarming(),
        burst: figures.burst.map(|burst| BurstView {
            // A second wider at both ends: a number is metered before it is committed.
            from_ms: now_ms - (burst.began_ago_s + 1) * 1000,
            until_ms: (now_ms - (burst.ended_ago_s - 1) * 1000).min(now_ms),
            count: burst.given,
        }),
    }
}

fn server_figures(app: &App) -> ServerView {
    let usage = process::usage();
    ServerView {
        memory_bytes: usage.resident_bytes,
        cpu_seconds: usage.cpu_s,
        durable: app.durable.load(Relaxed),
        inbox_depth: app.inbox.depth(),
        commit_ms_p99: app.commits.commit_us.snapshot().quantile(0.99).map(|us| us as f64 / 1e3),
    }
}

/// A summary as JSON. The journal wrote JSON; any other text is quoted.
fn summary(text: &str) -> Box<RawValue> {
    let quoted = || RawValue::from_string(json(&text)).expect("a quoted text is JSON");
    RawValue::from_string(text.to_owned()).unwrap_or_else(|_| quoted())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_always_json() {
        assert_eq!(summary(r#"{"draw":1}"#).get(), r#"{"draw":1}"#);
        assert_eq!(summary("half {").get(), r#""half {""#);
    }
}
