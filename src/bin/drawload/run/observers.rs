//! Observers of a scenario while it runs: the time series, the tester's own timers, and progress.
//!
//! They read and record. Their only request is for the metrics of a server that is elsewhere.
//! Progress goes to stderr, so that stdout holds the report and nothing else.

use super::{Settings, live_view};
use crate::actors::Run;
use crate::client::process_source::ProcessSource;
use crate::measure::clock::Span;
use crate::measure::micros;
use crate::measure::recorder::Recorder;
use crate::measure::self_metrics::CHECKED_EVERY_US;
use crate::scenario::Scenario;
use std::io::{IsTerminal, Write, stderr};
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// Samples of a scenario that is neither long nor very short.
const SAMPLES: u32 = 100;

/// A server that nothing reaches for this long is gone. A restart takes less.
const GONE_AFTER_US: u64 = 10_000_000;

/// Between two lines of progress in a file.
const LINES_EVERY: Duration = Duration::from_secs(5);

/// Between two versions of the view on a terminal.
const REWRITTEN_EVERY: Duration = Duration::from_secs(1);

/// Starts the observers; they end with the run.
pub fn start(run: &Rc<Run>, settings: &Settings<'_>) -> [JoinHandle<()>; 3] {
    [
        spawn_local(sample(run.clone(), settings.process.clone())),
        spawn_local(watch_timers(run.clone())),
        spawn_local(show_progress(run.clone(), settings.later.get())),
    ]
}

/// Records a sample per second, and more of a short scenario, up to ten per second.
async fn sample(run: Rc<Run>, process: Option<ProcessSource>) {
    let mut ticks = interval((run.scenario.end / SAMPLES).clamp(Duration::from_millis(100), Duration::from_secs(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while next_tick(&run, &mut ticks).await.is_some() {
        let server = match &process {
            Some(process) => {
                let reading = process.read().await;
                run.recorder().note_reading(reading)
            }
            None => None,
        };
        run.recorder().record_sample(run.clock.now().as_secs_f64(), server);
    }
}

/// Records how late the tester's own timers are, and ends a run whose server is gone.
pub async fn watch_timers(run: Rc<Run>) {
    let mut ticks = interval(Duration::from_micros(CHECKED_EVERY_US));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(planned) = next_tick(&run, &mut ticks).await {
        // Timers have a resolution of a millisecond; below two there is no delay.
        let late_us = micros(planned.elapsed()).saturating_sub(2_000);
        let now_us = run.clock.now_us();
        let mut recorder = run.recorder();
        recorder.tester.record_lag(now_us, late_us);
        if recorder.unreachable_us() > GONE_AFTER_US {
            run.server_gone.cancel();
        }
    }
}

/// Prints progress: on a terminal a view that is drawn over itself, elsewhere a line every five
/// seconds.
async fn show_progress(run: Rc<Run>, later: Duration) {
    let is_terminal = stderr().is_terminal();
    let mut ticks = interval(if is_terminal { REWRITTEN_EVERY } else { LINES_EVERY });
    let mut drawn = 0;
    while next_tick(&run, &mut ticks).await.is_some() {
        let (now, recorder) = (run.clock.now(), run.recorder());
        let text = if is_terminal {
            let lines = live_view::lines(&run.scenario, phase(&run.scenario, now), &recorder, now, later);
            let text = live_view::redraw(drawn, &lines);
            drawn = lines.len();
            text
        } else {
            progress(&run.scenario, &recorder, now) + "\n"
        };
        // A stderr that cannot be written to is no reason to stop.
        let _ = stderr().write_all(text.as_bytes()).and_then(|()| stderr().flush());
    }
    let _ = stderr().write_all(live_view::redraw(drawn, &[]).as_bytes());
}

/// The next tick, or `None` when the run has ended.
async fn next_tick(run: &Run, ticks: &mut Interval) -> Option<Instant> {
    tokio::select! {
        planned = ticks.tick() => Some(planned),
        () = run.ended.cancelled() => None,
    }
}

fn progress(scenario: &Scenario, recorder: &Recorder, now: Duration) -> String {
    let p95 = recorder.latest_api().map_or("-".to_owned(), |interval| format!("{:.1} ms", interval.p95_ms));
    format!(
        "[{:6.1} of {:.0} s] {} {}: {}/{} users, {} sockets, {}/{} draws, p95 {p95}, {} errors",
        now.as_secs_f64(),
        scenario.end.as_secs_f64(),
        scenario.name.to_uppercase(),
        phase(scenario, now),
        recorder.registered(),
        scenario.users,
        recorder.counts.sockets,
        recorder.announced(),
        scenario.draw_count(),
        recorder.counts.errors
    )
}

/// Names what the clients are doing now.
fn phase(scenario: &Scenario, now: Duration) -> &'static str {
    if now >= scenario.end {
        return "settling";
    }
    let span = |span: Option<Span>| span.map(|span| (span.from, span.end()));
    let spans = [
        ("registrations", span(scenario.registrations)),
        ("sockets", span(scenario.sockets)),
        ("results", span(scenario.results)),
    ];
    let draws = scenario.draws.iter().map(|draws| ("draws", Some((draws.from, draws.end()))));
    let mut phases = spans.into_iter().chain(draws);
    let current = phases.find(|(_, span)| span.is_some_and(|(from, to)| from <= now && now < to));
    current.map_or("holding", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::HttpCalls;

    #[test]
    fn the_phase_is_that_of_the_scenario_at_that_time() {
        let phases = |scenario: Scenario, at: &[u64]| -> Vec<_> {
            at.iter().map(|at| phase(&scenario, Duration::from_secs(*at))).collect()
        };
        assert_eq!(phases(Scenario::websocket(10, 5.0, 20.0), &[0, 5, 20]), ["sockets", "holding", "settling"]);
        let calls = Scenario::http(HttpCalls::Mixed, 10, 5, 100.0);
        assert_eq!(phases(calls, &[0, 30, 70, 100]), ["registrations", "draws", "results", "settling"]);
    }

    #[test]
    fn progress_does_not_invent_a_latency() {
        let line = progress(&Scenario::websocket(10, 5.0, 20.0), &Recorder::new(10), Duration::from_millis(1_500));
        assert_eq!(line, "[   1.5 of 20 s] WEBSOCKET sockets: 0/10 users, 0 sockets, 0/0 draws, p95 -, 0 errors");
    }
}
