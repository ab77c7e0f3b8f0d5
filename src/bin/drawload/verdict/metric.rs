//! Every figure that a criterion can name, in one table: its name, its requirement, its label, and
//! its source.
//!
//! One table, since two that must agree will not: a metric that is written and never judged, or
//! judged and never written, would pass unseen.

use super::audit::{Findings, ServerState};
use crate::measure::delivery_ledger::Balance;
use crate::measure::latency::{API, FIGURES, Wait};
use crate::measure::recorder::{Recorder, ServerUsage};
use crate::measure::{Label, label, mib, number};

/// The close code of a server that restarts and expects the phone to reconnect.
const RESTARTING: u16 = 1012;

/// The sources of all metrics. `None` where one is missing.
pub struct Evidence<'a> {
    pub recorder: &'a Recorder,
    /// `None` when the server did not report its last frame.
    pub balance: Option<&'a Balance>,
    pub findings: &'a Findings,
    pub state: &'a ServerState,
    pub server: Option<&'a ServerUsage>,
}

/// The side of a limit that passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Below,
    AtMost,
    Above,
    AtLeast,
}

/// A criterion of every run, beside what the caller asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Requirement {
    /// Must be zero in any run.
    Zero,
    /// The plan's table: its target, and what it calls acceptable.
    Plan(Comparison, f64, f64),
}

/// A figure of a run that is no latency.
pub struct Metric {
    pub name: &'static str,
    /// `None` for a metric that is reported and not judged.
    pub criterion: Option<(Requirement, Label)>,
    pub read: Read,
}

type Read = fn(&Evidence<'_>) -> Option<f64>;

const fn info(name: &'static str, read: Read) -> Metric {
    Metric { name, criterion: None, read }
}

const fn zero(name: &'static str, label: Label, read: Read) -> Metric {
    Metric { name, criterion: Some((Requirement::Zero, label)), read }
}

const fn plan(name: &'static str, label: Label, side: Comparison, good: f64, acceptable: f64, read: Read) -> Metric {
    Metric { name, criterion: Some((Requirement::Plan(side, good, acceptable), label)), read }
}

/// All of them, in the order in which they are judged.
pub const METRICS: &[Metric] = &[
    // Nothing is due to a socket without a state sync.
    zero("ws.ungreeted", label("인사 못 받은 소켓", "sockets never greeted"), |e| count(e.recorder.ledger.never_synced())),
    zero("ws.slow_kept", label("느린 소켓을 끊지 않음", "slow sockets kept"), |e| count(e.recorder.counts.slow_kept)),
    zero("storm.absent", label("돌아오지 못한 소켓", "sockets that never came back"), |e| {
        count(e.recorder.ledger.absent())
    }),
    zero("draws.unannounced", label("발표되지 않은 추첨", "draws never announced"), |e| count(e.recorder.unannounced())),
    zero("delivery.lost", label("잃은 프레임", "frames lost"), |e| count(e.balance?.lost)),
    zero("delivery.doubled", label("두 번 온 프레임", "frames doubled"), |e| count(e.recorder.ledger.duplicated)),
    zero("delivery.reordered", label("순서가 바뀐 프레임", "frames reordered"), |e| count(e.recorder.ledger.reordered)),
    zero("delivery.contradicted", label("서로 다른 내용", "frames that contradict"), |e| {
        count(e.recorder.ledger.contradicted)
    }),
    zero("delivery.strange", label("있을 수 없는 프레임", "frames that cannot be"), |e| count(e.recorder.ledger.invalid)),
    zero("winners.repeated", label("중복 당첨", "winners repeated"), |e| lines(&e.findings.winners_repeated)),
    zero("winners.wrong", label("기록과 다른 당첨", "winners not as recorded"), |e| lines(&e.findings.winners_wrong)),
    zero("history.missing", label("기록에 없는 추첨", "draws not in the history"), |e| lines(&e.findings.history_missing)),
    zero("numbers.doubled", label("중복 번호", "numbers given twice"), |e| lines(&e.findings.numbers_duplicated)),
    zero("numbers.lost", label("사라진 번호", "numbers acknowledged and lost"), |e| lines(&e.findings.numbers_lost)),
    zero("numbers.holes", label("빠진 번호", "holes among the numbers"), |e| lines(&e.findings.number_gaps)),
    zero("answers.wrong", label("틀린 조회 답", "public answers that were wrong"), |e| {
        count(e.recorder.answers_wrong.len())
    }),
    plan("errors.percent", label("오류율", "errors"), Comparison::Below, 1.0, 5.0, |e| {
        percent(e.recorder.counts.errors, e.recorder.counts.calls)
    }),
    plan("ws.success.percent", label("웹소켓 성공률", "WebSocket success"), Comparison::Above, 99.0, 95.0, |e| {
        let counts = &e.recorder.counts;
        let lasting = counts.handshakes.saturating_sub(counts.handshakes_failed).saturating_sub(drops(e.recorder));
        percent(lasting, counts.handshakes)
    }),
    plan("server.rss_peak_mb", label("메모리 최대 (RSS)", "memory, peak RSS"), Comparison::Below, 512.0, 1_024.0, |e| {
        Some(e.server?.rss_peak_mb)
    }),
    plan("server.cpu_percent", label("CPU, 최악의 10초", "CPU, worst 10 s"), Comparison::Below, 70.0, 90.0, |e| {
        e.server?.cpu_worst_10s_percent
    }),
    info("ws.drops", |e| count(drops(e.recorder))),
    info("ws.restarts", |e| count(e.recorder.drops.get(&RESTARTING).copied().unwrap_or(0))),
    info("ws.pongs_missing", |e| count(e.recorder.counts.pings.saturating_sub(e.recorder.counts.pongs))),
    // Sockets of vanished phones that the server still counts at the end; it closes a silent one
    // within a minute.
    info("ws.ghosts", |e| count(e.state.connections?.saturating_sub(e.recorder.counts.sockets_at_end))),
    info("ws.slow_evicted", |e| count(e.recorder.counts.slow_evicted)),
    info("storm.departed", |e| count(e.recorder.ledger.departed)),
    info("storm.caught_up", |e| count(e.recorder.ledger.caught_up)),
    info("register.count", |e| count(e.recorder.registered())),
    info("draws.announced", |e| count(e.recorder.announced())),
    info("delivery.expected", |e| count(e.balance?.expected)),
    info("delivery.received", |e| count(e.recorder.ledger.received)),
    info("server.pss_peak_mb", |e| Some(e.server?.pss_peak_mb)),
    info("server.cpu_s", |e| Some(e.server?.cpu_s)),
    info("server.burst_minutes", |e| Some(e.server?.burst_minutes)),
    info("server.growth_mb", |e| e.server.map(|server| mib(server.end.rss) - mib(server.empty.rss))),
];

/// The plan's criteria for response times, in milliseconds: target and acceptable.
pub const PLAN_TIMES: [(&str, Label, f64, f64); 2] = [
    ("api.p95", label("API 응답 95 %", "API response p95"), 500.0, 1_000.0),
    ("api.p99", label("API 응답 99 %", "API response p99"), 1_000.0, 2_000.0),
];

/// The label of a metric with a criterion.
pub fn label_of(name: &str) -> Option<Label> {
    let labels = METRICS.iter().filter_map(|metric| Some((metric.name, metric.criterion?.1)));
    labels.chain(PLAN_TIMES.map(|(name, label, ..)| (name, label))).find(|(known, _)| *known == name).map(|(_, label)| label)
}

pub fn is_metric(name: &str) -> bool {
    let of_wait = |wait: &str| {
        name.strip_prefix(wait).and_then(|rest| rest.strip_prefix('.')).is_some_and(|figure| FIGURES.contains(&figure))
    };
    !is_latency(name) || of_wait(API) || Wait::ALL.iter().any(|wait| of_wait(wait.name()))
}

/// Tells whether a metric is a latency, and so no row of [`METRICS`].
pub fn is_latency(name: &str) -> bool {
    METRICS.iter().all(|metric| metric.name != name)
}

/// Tells whether a metric depends on speed, and so on the tester and the time scale.
pub fn is_timed(name: &str) -> bool {
    is_latency(name) || name.starts_with("server.")
}

/// Sockets that the server or the network closed. A restart does not count: what its phone missed
/// meanwhile, or a failure to reconnect, counts elsewhere.
fn drops(recorder: &Recorder) -> u64 {
    recorder.drops.iter().filter(|(code, _)| **code != RESTARTING).map(|(_, count)| count).sum()
}

fn count(count: impl TryInto<u64>) -> Option<f64> {
    Some(number(count))
}

fn lines(list: &Option<Vec<String>>) -> Option<f64> {
    list.as_ref().map(|list| number(list.len()))
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| 100.0 * number(part) / number(whole))
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
        assert!(is_timed("api.p95") && is_timed("server.cpu_percent"));
        assert!(!is_timed("delivery.lost") && !is_timed("errors.percent"));
    }

    #[test]
    fn no_metric_is_listed_twice() {
        let names: std::collections::BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
    }
}
