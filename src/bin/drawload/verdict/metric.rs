//! Every figure that a criterion can name, in one table: its name, its requirement, its label, and
//! its source.
//!
//! One table, since two that must agree will not: a metric that is written and never judged, or
//! judged and never written, would pass unseen.

use super::audit::{Findings, ServerState};
use crate::client::protocol::Call;
use crate::measure::connection_ledger::RESTARTING;
use crate::measure::delivery_ledger::Balance;
use crate::measure::latency::{API, FIGURES, Wait};
use crate::measure::process::vcpus;
use crate::measure::recorder::Recorder;
use crate::measure::server_usage::ServerUsage;
use crate::measure::{Label, label, ms, number};

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
    zero("ws.absent", label("열지 못한 소켓", "sockets never opened"), |e| count(e.recorder.connections.never_opened())),
    // Nothing is due to a socket without a state sync.
    zero("ws.ungreeted", label("인사 못 받은 소켓", "sockets never greeted"), |e| {
        count(e.recorder.connections.never_greeted())
    }),
    zero("ws.greeted_late", label("늦게 인사받은 소켓", "sockets greeted late"), |e| lines(e, "ws.greeted_late")),
    zero("ws.pongs_missing", label("답 없는 핑", "pings without a pong"), |e| count(e.recorder.connections.pongs_missing())),
    // Sockets that the server still counts at the end, though their phones are gone.
    zero("ws.ghosts", label("서버만 세는 소켓", "sockets that only the server counts"), |e| {
        count(e.recorder.ghosts(e.state.sync.as_ref()?.connection_count))
    }),
    zero("ws.forgotten", label("서버가 잊은 소켓", "sockets that the server forgot"), |e| {
        count(e.recorder.forgotten(e.state.sync.as_ref()?.connection_count))
    }),
    zero("ws.restarts_endless", label("끝없이 다시 시작", "sockets told of restart after restart"), |e| {
        count(e.recorder.connections.restarted_without_end())
    }),
    zero("ws.slow_kept", label("느린 소켓을 끊지 않음", "slow sockets kept"), |e| count(e.recorder.counts.slow_kept)),
    zero("ws.drops", label("서버가 끊은 소켓", "sockets dropped"), |e| count(drops(e.recorder))),
    zero("storm.absent", label("돌아오지 못한 소켓", "sockets that never came back"), |e| {
        count(e.recorder.ledger.absent())
    }),
    zero("draws.missing", label("치르지 못한 추첨", "draws not played"), |e| lines(e, "draws.missing")),
    zero("draws.order", label("순서가 틀린 추첨 단계", "draw steps out of order"), |e| lines(e, "draws.order")),
    zero("draws.early", label("미리 알려진 당첨", "draws told before their time"), |e| lines(e, "draws.early")),
    zero("draws.wrong", label("서로 다른 추첨 내용", "draws told in two ways"), |e| lines(e, "draws.wrong")),
    zero("draws.show", label("함께 볼 순간이 없는 추첨", "draws without one moment for all"), |e| {
        lines(e, "draws.show")
    }),
    zero("delivery.lost", label("잃은 프레임", "frames lost"), |e| count(e.balance?.lost)),
    zero("delivery.doubled", label("두 번 온 프레임", "frames doubled"), |e| count(e.recorder.ledger.duplicated)),
    zero("delivery.reordered", label("순서가 바뀐 프레임", "frames reordered"), |e| count(e.recorder.ledger.reordered)),
    zero("delivery.contradicted", label("서로 다른 내용", "frames that contradict"), |e| {
        count(e.recorder.ledger.contradicted)
    }),
    zero("delivery.strange", label("있을 수 없는 프레임", "frames that cannot be"), |e| count(e.recorder.ledger.invalid)),
    zero("winners.ineligible", label("자격 없는 당첨", "winners not eligible"), |e| lines(e, "winners.ineligible")),
    zero("winners.repeated", label("중복 당첨", "winners repeated"), |e| lines(e, "winners.repeated")),
    zero("winners.wrong", label("기록과 다른 당첨", "winners not as recorded"), |e| lines(e, "winners.wrong")),
    zero("history.missing", label("기록에 없는 추첨", "draws not in the history"), |e| lines(e, "history.missing")),
    zero("history.unannounced", label("발표 없이 기록된 추첨", "draws only in the history"), |e| {
        lines(e, "history.unannounced")
    }),
    zero("results.wrong", label("틀린 결과 목록", "results not as announced"), |e| lines(e, "results.wrong")),
    zero("details.lost", label("사라진 당첨자 정보", "winner details lost"), |e| lines(e, "details.lost")),
    zero("numbers.missing", label("번호를 못 받은 사람", "people without a number"), |e| lines(e, "numbers.missing")),
    zero("numbers.doubled", label("중복 번호", "numbers given twice"), |e| lines(e, "numbers.doubled")),
    zero("numbers.changed", label("다시 물으니 바뀐 번호", "numbers changed by a retry"), |e| {
        lines(e, "numbers.changed")
    }),
    zero("numbers.lost", label("사라진 번호", "numbers acknowledged and lost"), |e| lines(e, "numbers.lost")),
    zero("numbers.unknown", label("아무도 받지 않은 번호", "participants nobody registered"), |e| {
        lines(e, "numbers.unknown")
    }),
    zero("numbers.holes", label("빠진 번호", "holes among the numbers"), |e| lines(e, "numbers.holes")),
    zero("server.unreachable", label("서버가 사라짐", "server gone"), |e| count(u64::from(e.recorder.is_server_gone))),
    zero("server.lost", label("서버를 재지 못한 횟수", "readings of the server that failed"), |e| {
        count(e.recorder.unread)
    }),
    zero("server.log_errors", label("서버 로그의 오류", "errors in the server's log"), |e| {
        count(e.recorder.log_errors.as_ref()?.len())
    }),
    zero("answers.wrong", label("틀린 조회 답", "answers that were wrong"), |e| lines(e, "answers.wrong")),
    plan("errors.percent", label("오류율", "errors"), Comparison::Below, 1.0, 5.0, |e| {
        percent(e.recorder.counts.errors, e.recorder.counts.calls)
    }),
    plan("ws.success.percent", label("웹소켓 성공률", "WebSocket success"), Comparison::Above, 99.0, 95.0, |e| {
        let counts = &e.recorder.counts;
        let lasting = counts.handshakes.saturating_sub(counts.handshakes_failed).saturating_sub(drops(e.recorder));
        percent(lasting, counts.handshakes)
    }),
    plan(
        "delivery.slowest_phone_ms",
        label("가장 늦은 폰, 평균", "latest phone, mean"),
        Comparison::Below,
        1_000.0,
        2_000.0,
        |e| e.recorder.ledger.slowest_phone().map(|(_, mean_us)| ms(mean_us)),
    ),
    plan("delivery.growth_ms", label("늘어나는 지연", "growing delay"), Comparison::Below, 250.0, 500.0, |e| {
        e.recorder.ledger.growth_us().map(ms)
    }),
    plan("server.growth_mb", label("늘어나는 메모리", "growing memory"), Comparison::Below, 32.0, 64.0, |e| {
        e.server?.growth_mb
    }),
    plan("server.rss_peak_mb", label("메모리 최대 (RSS)", "memory, peak RSS"), Comparison::Below, 512.0, 1_024.0, |e| {
        Some(e.server?.rss_peak_mb)
    }),
    plan("server.cpu_percent", label("CPU, 최악의 10초", "CPU, worst 10 s"), Comparison::Below, 70.0, 90.0, |e| {
        e.server?.cpu_worst_10s_percent
    }),
    plan(
        "server.descriptors_leaked",
        label("닫지 않은 파일", "descriptors left open"),
        Comparison::Below,
        64.0,
        256.0,
        |e| count(e.server?.descriptors_leaked?),
    ),
    info("errors.refused", |e| count(e.recorder.counts.refused)),
    info("phones.success.percent", |e| percent(e.recorder.served(&e.balance?.incomplete), e.recorder.phones.len() as u64)),
    info("cors.preflights", |e| count(e.recorder.preflights())),
    info("ws.restarts", |e| count(e.recorder.drops.get(&RESTARTING).copied().unwrap_or(0))),
    info("ws.slow_evicted", |e| count(e.recorder.counts.slow_evicted)),
    info("storm.departed", |e| count(e.recorder.ledger.departed)),
    info("storm.caught_up", |e| count(e.recorder.ledger.caught_up)),
    info("requests.per_second", |e| per_second(e.recorder, e.recorder.counts.calls)),
    info("frames.per_second", |e| per_second(e.recorder, e.recorder.ledger.received)),
    info("register.count", |e| count(e.recorder.registered())),
    info("draws.announced", |e| count(e.recorder.announced())),
    info("delivery.expected", |e| count(e.balance?.expected)),
    info("delivery.received", |e| count(e.recorder.ledger.received)),
    // A server elsewhere does not report it.
    info("server.pss_peak_mb", |e| e.server.map(|server| server.pss_peak_mb).filter(|mb| *mb > 0.0)),
    info("server.cpu_core_percent", |e| Some(e.server?.cpu_worst_10s_percent? * vcpus())),
    info("server.cpu_s", |e| Some(e.server?.cpu_s)),
    info("server.burst_minutes", |e| Some(e.server?.burst_minutes)),
];

/// The plan's criteria for response times, in milliseconds: target and acceptable.
pub const PLAN_TIMES: [(&str, Label, f64, f64); 5] = [
    ("api.p95", label("API 응답 95 %", "API response p95"), 500.0, 1_000.0),
    ("api.p99", label("API 응답 99 %", "API response p99"), 1_000.0, 2_000.0),
    ("draw.delivery.p99", label("당첨 알림 도착 99 %", "announcement to a phone p99"), 1_000.0, 2_000.0),
    ("draw.show.late.p99", label("함께 보기에 늦음 99 %", "late for the common moment p99"), 100.0, 500.0),
    ("draw.show.spread.p99", label("첫 화면–마지막 화면 99 %", "first to last phone to show p99"), 250.0, 1_000.0),
];

/// The call without whose answer a metric cannot be known.
pub fn needed_call(metric: &str) -> Option<Call> {
    Some(match metric {
        "ws.ghosts" | "ws.forgotten" => Call::State,
        "numbers.lost" | "numbers.unknown" | "numbers.holes" => Call::Participants,
        "winners.repeated" | "winners.wrong" | "history.missing" | "history.unannounced" => Call::History,
        "results.wrong" => Call::Results,
        "details.lost" => Call::Winners,
        _ => return None,
    })
}

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
    is_latency(name)
        || name.ends_with("_ms")
        || (name.starts_with("server.") && !["server.lost", "server.unreachable", "server.log_errors"].contains(&name))
}

/// Sockets that the server or the network closed. A restart does not count: what its phone missed
/// meanwhile, or a failure to reconnect, counts elsewhere.
fn drops(recorder: &Recorder) -> u64 {
    recorder.drops.iter().filter(|(code, _)| **code != RESTARTING).map(|(_, count)| count).sum()
}

fn count(count: impl TryInto<u64>) -> Option<f64> {
    Some(number(count))
}

fn lines(evidence: &Evidence<'_>, metric: &str) -> Option<f64> {
    evidence.findings.count(metric).map(number)
}

/// The mean rate over the run.
fn per_second(recorder: &Recorder, count: u64) -> Option<f64> {
    let at_s = recorder.samples.last()?.at_s;
    (at_s > 0.0).then(|| number(count) / at_s)
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
