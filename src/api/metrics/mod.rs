//! Metrics in Prometheus's format: [`text`] writes it, [`process`] reads the kernel's counts,
//! [`port`] serves a local collector.
//!
//! The public port asks for a token: the metrics show the course of an event. None reveals a
//! draw before its announcement.

pub mod port;
pub mod process;
pub mod text;

use crate::api::app::{ApiRequest, App};
use crate::api::auth::{AccessLevel, is_same_secret};
use crate::api::edges::EdgeReport;
use crate::base::clock::ClockTrust;
use crate::base::secret::Secret;
use crate::http::response::{HttpResponse, HttpResult, with_type};
use crate::live::Role;
use crate::live::connection_counts::EvictionReason;
use crate::live::room::Room;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use text::{Kind, MetricsText};

const US_PER_S: f64 = 1e6;

/// `GET /metrics`: for the metrics token, or the admin's.
///
/// # Errors
/// 401 for any other client.
pub async fn metrics(request: ApiRequest) -> HttpResult {
    let token = request.app.settings.metrics_token.as_ref().map(Secret::expose);
    if !request.bearer().zip(token).is_some_and(|(presented, token)| is_same_secret(token, presented)) {
        request.require(AccessLevel::Admin).await?;
    }
    Ok(response(&request.app))
}

/// All metrics as they are now.
fn response(app: &App) -> HttpResponse {
    let mut text = MetricsText::default();
    write_state(&mut text, app);
    write_rooms(&mut text, &app.directory.all());
    write_edges(&mut text, app);
    write_sequencer(&mut text, app);
    write_requests(&mut text, app);
    write_process(&mut text, app);
    with_type("text/plain; version=0.0.4; charset=utf-8", text.finish())
}

fn write_state(text: &mut MetricsText, app: &App) {
    use Kind::Gauge;
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    text.family("luckydraw_build_info", Gauge, "The version that runs.").sample(&version, 1);
    text.family("luckydraw_ready", Gauge, "Whether the server takes new work.").sample(&[], u8::from(app.ready.load(Relaxed)));
    text.family("luckydraw_durable", Gauge, "Whether the journal can be written.")
        .sample(&[], u8::from(app.durable.load(Relaxed)));
    text.family(
        "luckydraw_clock_trusted",
        Gauge,
        "Whether the wall clock is trusted; while it is not, nothing is deleted by its age.",
    )
    .sample(&[], u8::from(app.clock.trust() == ClockTrust::Steady));
    let waiting = app.settings.long_polls_max - app.long_polls.available_permits();
    text.family("luckydraw_long_polls", Gauge, "Long-polls that wait.").sample(&[], waiting);
}

/// A figure of an edge now.
type EdgeFigure = fn(&EdgeReport, Instant) -> f64;

/// Writes what edges have reported; nothing without edges.
fn write_edges(text: &mut MetricsText, app: &App) {
    let now = Instant::now();
    let edges = app.edges.list(now);
    if edges.is_empty() {
        return;
    }
    text.family("luckydraw_edge_info", Kind::Gauge, "The version and the address of an edge.");
    for (edge, report) in &edges {
        text.sample(&[("edge", edge), ("version", &report.version), ("address", &report.address)], 1);
    }
    let figures: [(&str, &str, EdgeFigure); 6] = [
        ("luckydraw_edge_phones", "Connected phones of an edge.", |report, _| report.sockets().into()),
        ("luckydraw_edge_phones_max", "Phones that an edge has room for.", |report, _| report.sockets_max.into()),
        ("luckydraw_edge_frames_behind", "Frames that an edge has yet to get.", |report, _| report.frames_behind as f64),
        ("luckydraw_edge_lag_seconds", "The longest way of an update to an edge within the last second.", |report, _| {
            f64::from(report.lag_ms) / 1e3
        }),
        ("luckydraw_edge_clock_ahead_seconds", "An edge's wall clock against this server's.", |report, _| {
            report.clock_ahead_ms as f64 / 1e3
        }),
        ("luckydraw_edge_silent_seconds", "Time since an edge was last heard.", |report, now| {
            now.saturating_duration_since(report.heard_at).as_secs_f64()
        }),
    ];
    for (name, help, figure) in figures {
        text.family(name, Kind::Gauge, help);
        for (edge, report) in &edges {
            text.sample(&[("edge", edge)], figure(report, now));
        }
    }
}

fn write_rooms(text: &mut MetricsText, rooms: &[Arc<Room>]) {
    use Kind::{Counter, Gauge};
    text.family("luckydraw_participants", Gauge, "Registered participants of an event.");
    for room in rooms {
        text.sample(&[("event", room.id.as_str())], room.snapshot().event.participant_count());
    }
    text.family("luckydraw_sockets", Gauge, "Connected sockets of an event, by role.");
    for room in rooms {
        for (role, name) in [(Role::Phone, "phone"), (Role::Display, "display"), (Role::Admin, "admin")] {
            text.sample(&[("event", room.id.as_str()), ("role", name)], room.connections.connected(role));
        }
    }
    text.family("luckydraw_sockets_behind", Gauge, "Sockets with frames still queued.");
    for room in rooms {
        text.sample(&[("event", room.id.as_str())], room.connections.behind.load(Relaxed));
    }
    text.family("luckydraw_sockets_evicted_total", Counter, "Sockets closed by the server, by reason.");
    for room in rooms {
        for (reason, name) in
            [(EvictionReason::Slow, "slow"), (EvictionReason::Silent, "silent"), (EvictionReason::Flooding, "talkative")]
        {
            text.sample(&[("event", room.id.as_str()), ("reason", name)], room.connections.evicted(reason));
        }
    }
    let readings: Vec<_> = rooms.iter().filter_map(|room| Some((room.id.as_str(), room.delivery.report()?))).collect();
    text.family("luckydraw_announcement_phones", Gauge, "Phones that were to get the last announcement, and that have it.");
    for (event, reading) in &readings {
        text.sample(&[("event", event), ("state", "expected")], reading.expected);
        text.sample(&[("event", event), ("state", "delivered")], reading.delivered);
    }
    text.family("luckydraw_announcement_spread_seconds", Gauge, "From the last announcement to the last phone that has it.");
    for (event, reading) in &readings {
        text.sample(&[("event", event)], reading.slowest_us as f64 / US_PER_S);
    }
}

fn write_sequencer(text: &mut MetricsText, app: &App) {
    use Kind::{Counter, Gauge, Histogram};
    let commits = &app.commits;
    text.family("luckydraw_inbox_depth", Gauge, "Orders that wait for the writer.").sample(&[], app.inbox.depth());
    text.family("luckydraw_inbox_limit", Gauge, "Orders that may wait.").sample(&[], app.inbox.limit());
    text.family("luckydraw_stage_inbox_depth", Gauge, "Orders that wait for the fullest stage.")
        .sample(&[], app.reactors.inbox_depth());
    let deepest = app.reactors.outbox_depth();
    text.family("luckydraw_outbox_depth", Gauge, "Frames queued for the socket furthest behind, at the last look.")
        .sample(&[], deepest);
    text.family("luckydraw_commit_seconds", Histogram, "Time of a commit, flush included.");
    text.histogram(&[], &commits.commit_us.snapshot(), US_PER_S);
    text.family("luckydraw_commit_facts", Histogram, "Facts of a commit.").histogram(&[], &commits.batch_facts.snapshot(), 1.0);
    text.family("luckydraw_commits_failed_total", Counter, "Commits that failed.").sample(&[], commits.failed.load(Relaxed));
    text.family("luckydraw_journal_bytes", Gauge, "Size of the journal's files.");
    for (file, path) in [("journal", app.settings.data_dir.journal()), ("log", app.settings.data_dir.journal_log())] {
        text.sample(&[("file", file)], std::fs::metadata(path).map_or(0, |meta| meta.len()));
    }
}

fn write_requests(text: &mut MetricsText, app: &App) {
    text.family(
        "luckydraw_http_requests_total",
        Kind::Counter,
        "Requests answered, by route and status; a status of 0 is any other.",
    );
    for row in app.requests.answered() {
        for (code, count) in row.codes() {
            text.sample(&[("method", row.method), ("route", row.pattern), ("code", &code.to_string())], count);
        }
    }
    text.family(
        "luckydraw_http_request_seconds",
        Kind::Histogram,
        "From a request's head to its answer, a long-poll's wait included.",
    );
    for row in app.requests.answered() {
        text.histogram(&[("method", row.method), ("route", row.pattern)], &row.answer_us.snapshot(), US_PER_S);
    }
}

/// Under the names that exporters everywhere use.
fn write_process(text: &mut MetricsText, app: &App) {
    use Kind::{Counter, Gauge};
    let usage = process::usage();
    text.family("process_resident_memory_bytes", Gauge, "Resident memory.").sample(&[], usage.resident_bytes);
    text.family("process_resident_memory_peak_bytes", Gauge, "The most resident memory so far.")
        .sample(&[], usage.resident_peak_bytes);
    text.family("process_cpu_seconds_total", Counter, "Processor time, user and system.").sample(&[], usage.cpu_s);
    text.family("process_threads", Gauge, "Threads.").sample(&[], usage.threads);
    text.family("process_open_fds", Gauge, "Open files and sockets.").sample(&[], usage.open_files);
    text.family("process_max_fds", Gauge, "The most open files and sockets.").sample(&[], usage.open_files_max);
    let spent_min = app.credit.spent_s(Instant::now(), usage.cpu_s) / 60.0;
    let help = "vCPU-minutes of burst credit spent on a box that earns 5 % of each of two vCPUs, since the first look.";
    text.family("luckydraw_burst_minutes_total", Counter, help).sample(&[], spent_min);
}
