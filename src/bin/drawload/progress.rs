//! What is said while an evening goes on: where it is, who is there, how fast the answers come. On a terminal one line that is written anew each second,
//! elsewhere a line every five.
//!
//! It goes to stderr, so that stdout holds the report and nothing else.

use crate::book::Book;
use crate::plan::Plan;
use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

/// Between two lines where they stay.
const LINES_EVERY: Duration = Duration::from_secs(5);

/// Between two versions of a line that is written anew.
const REWRITTEN_EVERY: Duration = Duration::from_secs(1);

/// Back to the beginning of the line, and nothing behind.
const REWRITE: &str = "\r\x1b[2K";

/// Progress as this terminal or this file wants it.
pub struct Progress {
    rewritten: bool,
}

impl Progress {
    pub fn begin() -> Self {
        Self { rewritten: stderr().is_terminal() }
    }

    /// How often it is worth telling.
    pub fn every(&self) -> Duration {
        if self.rewritten { REWRITTEN_EVERY } else { LINES_EVERY }
    }

    /// Says how far it is. A stderr that takes nothing is no reason to stop.
    pub fn tell(&self, plan: &Plan, book: &Book) {
        let line = line(plan, book, book.clock.now());
        let (before, after) = if self.rewritten { (REWRITE, "") } else { ("", "\n") };
        let _ = write!(stderr(), "{before}{line}{after}").and_then(|()| stderr().flush());
    }
}

impl Drop for Progress {
    /// Leaves a clean line to whoever speaks next.
    fn drop(&mut self) {
        if self.rewritten {
            let _ = write!(stderr(), "{REWRITE}");
        }
    }
}

fn line(plan: &Plan, book: &Book, now: Duration) -> String {
    let p95 = book.api_lately().map_or("-".to_owned(), |slice| format!("{:.1} ms", slice.p95_ms));
    format!(
        "[{:6.1} of {:.0} s] {} {}: {}/{} users, {} sockets, {}/{} draws, p95 {p95}, {} errors",
        now.as_secs_f64(),
        plan.end.as_secs_f64(),
        plan.name.to_uppercase(),
        phase(plan, now),
        book.registered(),
        plan.users,
        book.sockets,
        book.announced(),
        plan.draw_count(),
        book.errors
    )
}

/// What the plan has people do now.
fn phase(plan: &Plan, now: Duration) -> &'static str {
    let blocks = plan.draws.iter().map(|draws| (Some((draws.from, draws.from + draws.interval * draws.count)), "draws"));
    let span = |span: Option<crate::clock::Span>| span.map(|span| (span.from, span.end()));
    let phases =
        [(span(plan.registrations), "registrations"), (span(plan.sockets), "sockets"), (span(plan.aftermath), "results")];
    if now >= plan.end {
        return "settling";
    }
    let within = phases.into_iter().chain(blocks).find(|(span, _)| span.is_some_and(|(from, to)| from <= now && now < to));
    within.map_or("holding", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Calls;

    #[test]
    fn the_phase_is_what_the_plan_has_at_that_moment() {
        let seconds = Duration::from_secs;
        let hall = Plan::websocket(10, 5.0, 20.0);
        assert_eq!([0, 5, 20].map(|at| phase(&hall, seconds(at))), ["sockets", "holding", "settling"]);
        let calls = Plan::http(Calls::Mixed, 10, 5, 100.0);
        assert_eq!([0, 30, 70, 100].map(|at| phase(&calls, seconds(at))), ["registrations", "draws", "results", "settling"]);
    }

    #[test]
    fn a_line_says_what_there_is_and_does_not_invent_a_latency() {
        let line = line(&Plan::websocket(10, 5.0, 20.0), &Book::new(10), Duration::from_millis(1_500));
        assert_eq!(line, "[   1.5 of 20 s] WEBSOCKET sockets: 0/10 users, 0 sockets, 0/0 draws, p95 -, 0 errors");
    }
}
