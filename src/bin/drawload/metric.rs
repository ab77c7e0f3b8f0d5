//! Every figure that a criterion can name, in one list: what it is called, what it is held to, and where it is read from.
//!
//! One list, since two that must agree will not: a metric that is written down and judged by nobody, or judged and never written down, would be taken
//! for good.

use crate::audit::{Findings, Memory};
use crate::book::Book;
use crate::measure::latency::{API, FIGURES, Wait};
use crate::measure::ledger::Balance;
use crate::outcome::{Server, megabytes};
use crate::verdict::Side;

/// The close code of a server that restarts and wants to see the phone again.
const RESTARTING: u16 = 1012;

/// What a metric is read from. What could not be looked at is none.
pub struct Seen<'a> {
    pub book: &'a Book,
    /// None where the server did not say which frame was its last.
    pub balance: Option<&'a Balance>,
    pub findings: &'a Findings,
    pub memory: &'a Memory,
    pub server: Option<&'a Server>,
}

/// What no run may go beyond, beside what the caller asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Held {
    /// It is told and not judged.
    Told,
    /// It must be nothing.
    Nothing,
    /// The plan's table: its target, and what it calls acceptable.
    Plan(Side, f64, f64),
}

/// A figure of a run that is no latency.
pub struct Metric {
    pub name: &'static str,
    pub held: Held,
    pub of: fn(&Seen<'_>) -> Option<f64>,
}

const fn told(name: &'static str, of: fn(&Seen<'_>) -> Option<f64>) -> Metric {
    Metric { name, held: Held::Told, of }
}

const fn nothing(name: &'static str, of: fn(&Seen<'_>) -> Option<f64>) -> Metric {
    Metric { name, held: Held::Nothing, of }
}

const fn plan(name: &'static str, side: Side, good: f64, acceptable: f64, of: fn(&Seen<'_>) -> Option<f64>) -> Metric {
    Metric { name, held: Held::Plan(side, good, acceptable), of }
}

/// All of them, in the order in which they are judged.
pub const METRICS: &[Metric] = &[
    // Sockets that were opened and never heard a state_sync: nothing would be owed to them.
    nothing("ws.ungreeted", |seen| Some(number(seen.book.ledger.ungreeted()))),
    // Phones that read nothing and that the server kept to the end.
    nothing("ws.slow_kept", |seen| Some(number(seen.book.slow_kept))),
    // Sockets that broke off in the storm and never came back.
    nothing("storm.absent", |seen| Some(number(seen.book.ledger.absent()))),
    // Revealed and never announced.
    nothing("draws.unannounced", |seen| Some(number(seen.book.unannounced()))),
    nothing("delivery.lost", |seen| seen.balance.map(|balance| number(balance.lost))),
    nothing("delivery.doubled", |seen| Some(number(seen.book.ledger.doubled))),
    nothing("delivery.reordered", |seen| Some(number(seen.book.ledger.reordered))),
    nothing("delivery.contradicted", |seen| Some(number(seen.book.ledger.contradicted))),
    nothing("delivery.strange", |seen| Some(number(seen.book.ledger.strange))),
    nothing("winners.repeated", |seen| found(&seen.findings.winners_repeated)),
    nothing("winners.wrong", |seen| found(&seen.findings.winners_wrong)),
    nothing("history.missing", |seen| found(&seen.findings.history_missing)),
    nothing("numbers.doubled", |seen| found(&seen.findings.numbers_doubled)),
    nothing("numbers.lost", |seen| found(&seen.findings.numbers_lost)),
    nothing("numbers.holes", |seen| found(&seen.findings.numbers_holes)),
    nothing("answers.wrong", |seen| Some(number(seen.book.answers_wrong.len() as u64))),
    plan("errors.percent", Side::Below, 1.0, 5.0, |seen| percent(seen.book.errors, seen.book.calls)),
    plan("ws.success.percent", Side::Above, 99.0, 95.0, |seen| {
        let steady = seen.book.handshakes.saturating_sub(seen.book.handshakes_refused).saturating_sub(ended(seen.book));
        percent(steady, seen.book.handshakes)
    }),
    plan("server.rss_peak_mb", Side::Below, 512.0, 1_024.0, |seen| Some(seen.server?.rss_peak_mb)),
    plan("server.cpu_percent", Side::Below, 70.0, 90.0, |seen| seen.server?.cpu_worst_10s_percent),
    told("ws.drops", |seen| Some(number(ended(seen.book)))),
    told("ws.restarts", |seen| Some(number(seen.book.drops.get(&RESTARTING).copied().unwrap_or(0)))),
    told("ws.pongs_missing", |seen| Some(number(seen.book.pings.saturating_sub(seen.book.pongs)))),
    // Sockets that the server still counts at the end although their phones vanished; it lets a silent one go within a minute.
    told("ws.ghosts", |seen| seen.memory.connections.map(|counted| number(counted.saturating_sub(seen.book.sockets_at_end)))),
    // Slow phones that the server let go of.
    told("ws.slow_evicted", |seen| Some(number(seen.book.slow_evicted))),
    told("storm.departed", |seen| Some(number(seen.book.ledger.departed))),
    // Frames that were told after the storm to those that were away.
    told("storm.caught_up", |seen| Some(number(seen.book.ledger.caught_up))),
    told("register.count", |seen| Some(number(seen.book.registered()))),
    told("draws.announced", |seen| Some(number(seen.book.announced()))),
    told("delivery.expected", |seen| seen.balance.map(|balance| number(balance.expected))),
    told("delivery.received", |seen| Some(number(seen.book.ledger.received))),
    told("server.pss_peak_mb", |seen| Some(seen.server?.pss_peak_mb)),
    told("server.cpu_s", |seen| Some(seen.server?.cpu_s)),
    told("server.burst_minutes", |seen| Some(seen.server?.burst_minutes)),
    told("server.growth_mb", |seen| seen.server.map(|server| megabytes(server.end.rss) - megabytes(server.empty.rss))),
];

/// What the plan's table says of response times, in milliseconds.
pub const PLAN_TIMES: [(&str, f64, f64); 2] = [("api.p95", 500.0, 1_000.0), ("api.p99", 1_000.0, 2_000.0)];

/// Whether there is such a metric.
pub fn is_metric(name: &str) -> bool {
    let of_latency = |wait: &str| {
        name.strip_prefix(wait).and_then(|rest| rest.strip_prefix('.')).is_some_and(|figure| FIGURES.contains(&figure))
    };
    is_count(name) || of_latency(API) || Wait::ALL.iter().any(|wait| of_latency(wait.name()))
}

/// Whether it depends on how fast things were, and so on the tester and the scale of time.
pub fn is_timed(name: &str) -> bool {
    !is_count(name) || name.starts_with("server.")
}

fn is_count(name: &str) -> bool {
    METRICS.iter().any(|metric| metric.name == name)
}

/// Sockets that ended on their own. One that was told that the server restarts is none: what its phone missed meanwhile, or that it could not come
/// back, counts elsewhere.
fn ended(book: &Book) -> u64 {
    book.drops.iter().filter(|(code, _)| **code != RESTARTING).map(|(_, count)| count).sum()
}

fn found(list: &Option<Vec<String>>) -> Option<f64> {
    list.as_ref().map(|list| number(list.len() as u64))
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| 100.0 * number(part) / number(whole))
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts of a run fit 53 bits")]
pub fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_known_by_its_name() {
        for name in ["api.p95", "register.p99.9", "draw.spread.p99", "delivery.lost", "ws.handshake.max", "server.rss_peak_mb"] {
            assert!(is_metric(name), "{name}");
        }
        for name in ["", "api", "api.p96", "api.p95.x", "delivery", "draw.spreads.p99"] {
            assert!(!is_metric(name), "{name}");
        }
        assert!(
            is_timed("api.p95") && is_timed("server.cpu_percent") && !is_timed("delivery.lost") && !is_timed("errors.percent")
        );
    }

    #[test]
    fn no_metric_is_listed_twice() {
        let names: std::collections::BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
    }
}
