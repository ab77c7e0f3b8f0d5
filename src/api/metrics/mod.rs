//! The server's figures for a monitoring system: [`text`] is the format, [`process`] what the kernel counts, [`port`] a way in for a local collector.
//!
//! On the public port a token is asked for: the figures tell how an evening goes, if not who wins. Nothing here tells of a draw before its announcement.

pub mod port;
pub mod process;
pub mod text;

use crate::api::app::App;
use crate::api::auth::{self, Rank};
use crate::http::request::RequestContext;
use crate::http::response::{HttpResponse, HttpResult};
use crate::live::Role;
use crate::live::connection_counts::Evicted;
use crate::live::room::Room;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use text::{Kind, Text};

const US_PER_S: f64 = 1e6;

/// `GET /metrics`: for who shows the metrics token or may do everything.
///
/// # Errors
/// 401 for anybody else.
pub async fn metrics(call: &RequestContext) -> HttpResult {
    let token = call.app.settings.metrics_token.as_deref();
    if !call.bearer().zip(token).is_some_and(|(shown, token)| auth::same_secret(token, shown)) {
        auth::admit(call, None, Rank::Admin).await?;
    }
    Ok(reply(&call.app))
}

/// The figures as they are now.
fn reply(app: &App) -> HttpResponse {
    let mut text = Text::default();
    write_state(&mut text, app);
    write_rooms(&mut text, &app.directory.all());
    write_writer(&mut text, app);
    write_traffic(&mut text, app);
    write_process(&mut text, app);
    let mut reply: HttpResponse = Response::new(text.finish().into());
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    reply
}

fn write_state(text: &mut Text, app: &App) {
    use Kind::Gauge;
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    text.family("luckydraw_build_info", Gauge, "The version that runs.").sample(&version, 1);
    text.family("luckydraw_ready", Gauge, "Whether the server takes new work.").sample(&[], u8::from(app.ready.load(Relaxed)));
    text.family("luckydraw_durable", Gauge, "Whether the journal can be written.")
        .sample(&[], u8::from(app.durable.load(Relaxed)));
    let waiting = app.settings.long_polls_max - app.long_polls.available_permits();
    text.family("luckydraw_long_polls", Gauge, "Long-polls that wait.").sample(&[], waiting);
}

fn write_rooms(text: &mut Text, rooms: &[Arc<Room>]) {
    use Kind::{Counter, Gauge};
    text.family("luckydraw_participants", Gauge, "Registered participants of an event.");
    for room in rooms {
        text.sample(&[("event", room.id.as_str())], room.snapshot().event.participant_count());
    }
    text.family("luckydraw_sockets", Gauge, "Connected sockets of an event, by role.");
    for room in rooms {
        for (role, name) in [(Role::Phone, "phone"), (Role::Display, "display"), (Role::Admin, "admin")] {
            text.sample(&[("event", room.id.as_str()), ("role", name)], room.census.connected(role));
        }
    }
    text.family("luckydraw_sockets_behind", Gauge, "Sockets with frames still queued.");
    for room in rooms {
        text.sample(&[("event", room.id.as_str())], room.census.behind.load(Relaxed));
    }
    text.family("luckydraw_sockets_evicted_total", Counter, "Sockets closed by the server, by reason.");
    for room in rooms {
        for (reason, name) in [(Evicted::Slow, "slow"), (Evicted::Silent, "silent"), (Evicted::Talkative, "talkative")] {
            text.sample(&[("event", room.id.as_str()), ("reason", name)], room.census.evicted(reason));
        }
    }
    let readings: Vec<_> = rooms.iter().filter_map(|room| Some((room.id.as_str(), room.delivery.reading()?))).collect();
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

fn write_writer(text: &mut Text, app: &App) {
    use Kind::{Counter, Gauge, Histogram};
    let pace = &app.pace;
    text.family("luckydraw_inbox_depth", Gauge, "Orders that wait for the writer.").sample(&[], app.inbox.depth());
    text.family("luckydraw_inbox_limit", Gauge, "Orders that may wait.").sample(&[], app.inbox.limit());
    text.family("luckydraw_stage_inbox_depth", Gauge, "Orders that wait for the fullest stage.")
        .sample(&[], app.stages.inbox_depth());
    let deepest = app.stages.outbox_depth();
    text.family("luckydraw_outbox_depth", Gauge, "Frames queued for the socket furthest behind, at the last look.")
        .sample(&[], deepest);
    text.family("luckydraw_commit_seconds", Histogram, "Time of a commit, flush included.");
    text.histogram(&[], &pace.commit_us.counted(), US_PER_S);
    text.family("luckydraw_commit_facts", Histogram, "Facts of a commit.").histogram(&[], &pace.batch_facts.counted(), 1.0);
    text.family("luckydraw_commits_failed_total", Counter, "Commits that failed.").sample(&[], pace.failed.load(Relaxed));
    text.family("luckydraw_journal_bytes", Gauge, "Size of the journal's files.");
    for (file, path) in [("journal", app.settings.data_dir.journal()), ("log", app.settings.data_dir.journal_log())] {
        text.sample(&[("file", file)], std::fs::metadata(path).map_or(0, |meta| meta.len()));
    }
}

fn write_traffic(text: &mut Text, app: &App) {
    text.family(
        "luckydraw_http_requests_total",
        Kind::Counter,
        "Requests answered, by route and status; a status of 0 is any other.",
    );
    for row in app.traffic.asked() {
        for (code, count) in row.codes() {
            text.sample(&[("method", row.method), ("route", row.pattern), ("code", &code.to_string())], count);
        }
    }
    text.family(
        "luckydraw_http_request_seconds",
        Kind::Histogram,
        "From a request's head to its answer, a long-poll's wait included.",
    );
    for row in app.traffic.asked() {
        text.histogram(&[("method", row.method), ("route", row.pattern)], &row.answer_us.counted(), US_PER_S);
    }
}

/// Under the names that exporters everywhere use.
fn write_process(text: &mut Text, app: &App) {
    use Kind::{Counter, Gauge};
    let cost = process::cost();
    text.family("process_resident_memory_bytes", Gauge, "Resident memory.").sample(&[], cost.resident_bytes);
    text.family("process_resident_memory_peak_bytes", Gauge, "The most resident memory so far.")
        .sample(&[], cost.resident_peak_bytes);
    text.family("process_cpu_seconds_total", Counter, "Processor time, user and system.").sample(&[], cost.cpu_s);
    text.family("process_threads", Gauge, "Threads.").sample(&[], cost.threads);
    text.family("process_open_fds", Gauge, "Open files and sockets.").sample(&[], cost.open_files);
    text.family("process_max_fds", Gauge, "The most open files and sockets.").sample(&[], cost.open_files_max);
    let spent_min = app.credit.spent_s(Instant::now(), cost.cpu_s) / 60.0;
    let help = "vCPU-minutes of burst credit spent on a box that earns 5 % of each of two vCPUs, since the first look.";
    text.family("luckydraw_burst_minutes_total", Counter, help).sample(&[], spent_min);
}
