//! What an event's host watches: who is connected, how the last announcement travelled, and the audit trail.

use crate::api::app::App;
use crate::api::auth::{Rank, enter};
use crate::api::metrics::process;
use crate::api::people::number_in_query;
use crate::base::clock::rfc3339;
use crate::base::clock::wall_clock;
use crate::http::request::RequestContext;
use crate::http::response::{HttpError, HttpResult, success};
use crate::live::Role;
use crate::live::room::Room;
use crate::sequencer::inbox::Request;
use crate::wire::view::events::{self, AuditView, ConnectionsByRole, DeliveryView, Figures, ServerView};
use crate::wire::view::json;
use serde_json::value::RawValue;
use std::sync::atomic::Ordering::Relaxed;

/// A display that went away counts as there for so long: as long as an announcement waits for it.
const DISPLAY_GRACE_MS: i64 = 30_000;
/// The most lines of one page of the audit trail.
const LINES_MAX: u32 = 200;

/// `GET stats`
pub async fn stats(call: RequestContext) -> HttpResult {
    let (room, _) = enter(&call, Rank::Staff).await?;
    success(&json(&figures(&call.app, &room)), "the figures")
}

/// `GET audit`: newest first, below `before`.
pub async fn audit(call: RequestContext) -> HttpResult {
    let (room, _) = enter(&call, Rank::Admin).await?;
    let before = call.query("before").map(|before| before.parse::<i64>());
    let before = before.transpose().map_err(|_| HttpError::invalid("before: must be a number"))?;
    let limit = number_in_query(&call, "limit")?.unwrap_or(LINES_MAX).clamp(1, LINES_MAX);
    let lines = call.app.inbox.ask(|reply| Request::ReadAudit { event: room.id.clone(), before, limit, reply }).await?;
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

fn figures(app: &App, room: &Room) -> Figures {
    let (snapshot, census) = (room.snapshot(), &room.connections);
    let connections = ConnectionsByRole {
        phone: census.connected(Role::Phone),
        display: census.connected(Role::Display),
        admin: census.connected(Role::Admin),
    };
    Figures {
        participant_count: snapshot.event.participant_count(),
        draw_count: events::draw_count(&snapshot.event),
        connection_count: census.total(),
        connections,
        // Relaxed, as the census is written: figures to look at, nothing follows from them.
        behind: census.behind.load(Relaxed),
        display_alive: census.has_display(wall_clock().0, DISPLAY_GRACE_MS),
        evicted: census.evicted_total(),
        delivery: room.delivery.report().map(|reading| DeliveryView {
            draw_id: reading.draw.0,
            expected: reading.expected,
            delivered: reading.delivered,
            slowest_us: reading.slowest_us,
            slowest_ms: reading.slowest_us as f64 / 1e3,
        }),
        server: server(app),
    }
}

fn server(app: &App) -> ServerView {
    let cost = process::cost();
    ServerView {
        memory_bytes: cost.resident_bytes,
        cpu_seconds: cost.cpu_s,
        durable: app.durable.load(Relaxed),
        inbox_depth: app.inbox.depth(),
        commit_ms_p99: app.pace.commit_us.counted().quantile(0.99).map(|us| us as f64 / 1e3),
    }
}

/// A summary as JSON; what the journal wrote is JSON, and what is not is shown as a text.
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
