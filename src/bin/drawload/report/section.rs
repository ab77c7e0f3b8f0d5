//! One scenario on the page: its verdict and the evidence, in tables.

use super::headline::group;
use super::labels::{badge, both, count, figure, grade, maybe, row, scenario, table, unit, verdict};
use super::plots;
use crate::measure::latency::{API, Wait};
use crate::measure::process::ProcessStats;
use crate::measure::self_metrics::{CPU_MAX, LAG_P99_MS_MAX, MISSED_MAX, MISSED_US};
use crate::measure::{Label, label, labels, mib, number};
use crate::verdict::criteria::{Grade, Judgement, Origin};
use crate::verdict::metric;
use crate::verdict::outcome::{NetworkFigures, Outcome};
use maud::{Markup, html};

/// Faults and failures that are shown; all are in the files.
const SHOWN_MAX: usize = 20;

const NOTHING: Label = label("", "");

/// A scenario as a heading: `A · registration spike`.
pub fn title(outcome: &Outcome) -> Markup {
    html! {
        @if outcome.scenario.len() == 1 { (outcome.scenario.to_uppercase()) " · " }
        @if let Some(label) = scenario(outcome.scenario, &outcome.what) { (label) } @else { (outcome.what) }
    }
}

/// The whole section.
pub fn section(outcome: &Outcome) -> Markup {
    let (class, name) = verdict(outcome.verdict);
    html! {
        section.card id=(outcome.scenario) {
            div.head {
                h2 { (title(outcome)) }
                (badge(class, name))
                span.note { (figure(outcome.lasted_s)) " s" }
            }
            @for (ko, en) in outcome.tester.limited_by_ko.iter().zip(&outcome.tester.limited_by) {
                p { (badge("void", label("시험기가 병목:", "generator-limited:"))) " " (both(ko, en)) }
            }
            (headline(outcome))
            (network(outcome))
            (faults(outcome))
            (plan(outcome))
            (bottlenecks(outcome))
            (musts(outcome))
            (plots::plots(outcome))
            (calls(outcome))
            (latencies(outcome))
            (server(outcome))
            (addresses(outcome))
            (sockets(outcome))
            (tester(outcome))
        }
    }
}

/// The figures that readers look for first.
fn headline(outcome: &Outcome) -> Markup {
    let value = |name: &str| maybe(outcome.metric(name), "");
    let with_unit = |name: &str| html! { (value(name)) @if outcome.metric(name).is_some() { small { (unit(name)) } } };
    let of = |name: &str, whole: &str| html! { (value(name)) small { " / " (whole) } };
    let expected = outcome.metric("delivery.expected").map_or("?".to_owned(), figure);
    let figures = [
        (label("등록한 사람", "registered"), of("register.count", &count(outcome.users))),
        (label("발표된 추첨", "draws announced"), of("draws.announced", &count(outcome.draws_planned))),
        (label("도착한 프레임", "frames received"), of("delivery.received", &expected)),
        (label("다 받은 폰", "phones fully served"), with_unit("phones.success.percent")),
        (label("API 응답 95 %", "API p95"), with_unit("api.p95")),
        (label("메모리 최대", "peak memory"), with_unit("server.rss_peak_mb")),
        (label("CPU 최악 10초", "CPU worst 10 s"), with_unit("server.cpu_percent")),
    ];
    html! { dl.figures { @for (name, value) in figures { div { dt { (name) } dd { (value) } } } } }
}

/// The simulated network, and what it does not simulate.
fn network(outcome: &Outcome) -> Markup {
    let Some(NetworkFigures { wifi, cellular, roaming, asleep }) = &outcome.network else { return html! {} };
    let ko = format!(
        "홀의 네트워크 (--network hall): 폰 {wifi}대는 Wi-Fi, {cellular}대는 4G, 한쪽 지연 5–300 ms, 조각의 1–3 %가 손실처럼 멈춤, {roaming}대는 말없이 \
         망을 바꾸고 {asleep}대는 탭이 잠듦, 모두 한 주소에서. 시험기 안에서 소켓의 바이트를 늦춘 것입니다: 대역폭은 그대로이고, HTTP 호출은 서버로 바로 \
         가며, 사라진 폰의 커널은 여전히 답합니다. 소켓의 시간은 판정하지 않습니다."
    );
    let en = format!(
        "A hall's network (--network hall): {wifi} phones on Wi-Fi, {cellular} on 4G, 5 to 300 ms one way, 1 to 3 % of the chunks stalled as by a loss, \
         {roaming} that change their network without a word, {asleep} tabs that sleep, all from one address. The tester delays the bytes of its sockets: \
         bandwidth is not limited, HTTP calls go to the server directly, and the kernel of a phone that is gone still acknowledges. Times of sockets are \
         not judged."
    );
    html! { p.note { (both(ko, en)) } }
}

/// Faults and failures in words.
fn faults(outcome: &Outcome) -> Markup {
    let failed = outcome.failures.len() as u64 + outcome.failures_unlisted;
    if outcome.faults.is_empty() && failed == 0 {
        return html! {};
    }
    html! {
        h3 { (label("결함과 오류", "Faults and failures")) }
        ul.faults {
            @for fault in outcome.faults.iter().take(SHOWN_MAX) { li { (fault) } }
            @for group in group(&outcome.failures).iter().take(SHOWN_MAX) { li { (group.line()) } }
            @if outcome.faults.len() > SHOWN_MAX || failed > SHOWN_MAX as u64 {
                li { (label("그 밖에는", "and more, in")) " " code { "failures.csv" } }
            }
        }
    }
}

/// The plan's table with both its columns, and the caller's thresholds.
fn plan(outcome: &Outcome) -> Markup {
    let judged: Vec<&Judgement> = outcome.judgements.iter().filter(|judgement| judgement.origin != Origin::Must).collect();
    if judged.is_empty() {
        return html! {};
    }
    let columns = labels![
        "기준" "criterion", "좋음" "good", "허용" "acceptable", "측정" "measured", "판정" "grade"
    ];
    let rows = judged.into_iter().map(|judgement| {
        let void = judgement.is_void(&outcome.tester);
        let (class, grade) = if void { ("void", label("무효", "void")) } else { grade(judgement.grade) };
        let unit = unit(&judgement.metric);
        row![
            html! {
                @if judgement.origin == Origin::Asked { (label("직접 정한 기준 ", "requested ")) }
                @if let Some(label) = metric::label_of(&judgement.metric) { (label) " " }
                code { (judgement.metric) }
            },
            format!("{}{unit}", judgement.wanted),
            judgement.acceptable.as_ref().map_or("–".to_owned(), |limit| format!("{limit}{unit}")),
            html! { b { (maybe(judgement.value, unit)) } },
            html! {
                (badge(class, grade))
                @if judgement.grade == Grade::Unjudged { br; small { (note(judgement.note)) } }
            },
        ]
    });
    html! { h3 { (label("계획의 판정표", "The plan's criteria")) } (table(columns, rows)) }
}

/// The plan's part 5.1, from the run's own figures: what comes closest to its limit.
fn bottlenecks(outcome: &Outcome) -> Markup {
    let ranked = outcome.bottlenecks();
    if ranked.is_empty() {
        return html! {};
    }
    let columns = labels!["기준" "criterion", "한계에 대한 비율" "share of its limit"];
    let rows = ranked.into_iter().map(|(metric, share)| {
        let label = metric::label_of(metric);
        row![html! { @if let Some(label) = label { (label) " " } code { (metric) } }, format!("{} %", figure(share * 100.0)),]
    });
    html! { h3 { (label("병목: 한계에 가까운 순서", "Bottlenecks: the closest to its limit first")) } (table(columns, rows)) }
}

/// The reason why a criterion is not judged.
fn note(note: &'static str) -> Label {
    match note {
        "not measured" => label("재지 않음 (--pid)", "not measured (--pid)"),
        "the network is simulated" => label("망이 모의이므로", "the network is simulated"),
        "the plan's times are scaled" => label("시간 배율 때문", "the plan's times are scaled"),
        other => label(other, other),
    }
}

/// The criteria that any run must meet.
fn musts(outcome: &Outcome) -> Markup {
    html! {
        h3 { (label("어떤 실행도 어겨서는 안 되는 것: 모두 0", "Criteria of any run: all must be zero")) }
        ul.musts {
            @for judgement in outcome.judgements.iter().filter(|judgement| judgement.origin == Origin::Must) {
                li {
                    span { @if let Some(label) = metric::label_of(&judgement.metric) { (label) } @else { (judgement.metric) } }
                    span.badge.(grade(judgement.grade).0) {
                        @if let Some(value) = judgement.value { (figure(value)) } @else { (label("확인 못 함", "not measured")) }
                    }
                }
            }
        }
    }
}

/// API calls by kind beside all of them, with CORS preflights, which a browser adds.
fn calls(outcome: &Outcome) -> Markup {
    let kinds = Wait::ALL.iter().filter(|wait| wait.is_api() || **wait == Wait::Preflight).map(|wait| wait.name());
    let measured = kinds.chain([API]).filter_map(|name| Some((name, &outcome.latencies.get(name)?.response)));
    let rows: Vec<Markup> = measured
        .map(|(name, times)| {
            let api_errors =
                || Wait::ALL.iter().filter(|wait| wait.is_api()).filter_map(|wait| outcome.call_errors.get(wait.name())).sum();
            let errors: u64 = if name == API { api_errors() } else { outcome.call_errors.get(name).copied().unwrap_or(0) };
            let success = 100.0 - 100.0 * number(errors) / number(times.count.max(1));
            let per_s = number(times.count) / outcome.lasted_s.max(1e-9);
            row![
                html! { @if let Some(label) = Wait::label_of(name) { (label) } },
                count(times.count),
                figure(per_s),
                count(errors),
                format!("{} %", figure(success)),
                figure(times.p50_ms),
                figure(times.p95_ms),
                figure(times.p99_ms),
            ]
        })
        .collect();
    if rows.is_empty() {
        return html! {};
    }
    let columns = labels![
        "" "", "횟수" "count", "초당" "per second", "오류" "errors", "성공률" "success", "p50, ms" "p50, ms", "p95, ms" "p95, ms",
        "p99, ms" "p99, ms"
    ];
    let preflights = outcome.metric("cors.preflights").map_or("0".to_owned(), figure);
    let ko = format!("CORS 사전 요청 {preflights}개. 서버 자신의 페이지는 보내지 않습니다 (--origin).");
    let en = format!("CORS preflights: {preflights}. Pages of the server's own origin send none (--origin).");
    html! { h3 { (label("API 호출별", "API calls by kind")) } (table(columns, rows)) p.note { (both(ko, en)) } }
}

/// Response and service times side by side.
fn latencies(outcome: &Outcome) -> Markup {
    let explained = label(
        "응답 시간은 계획된 순간부터, 서비스 시간은 실제로 보낸 순간부터 잽니다. 판정은 응답 시간으로 합니다. 둘이 벌어지면 사람들이 줄을 섰다는 뜻입니다.",
        "Response time counts from the planned time and is judged; service time counts from the sending. Where the two differ, users waited in a queue.",
    );
    let first = |name: Label| html! { (name) " p50" };
    let headings = [html! {}, html! { (label("횟수", "count")) }, first(label("응답", "response"))];
    let headings = headings.into_iter().chain(["p90", "p95", "p99", "p99.9", "max"].map(|name| html! { (name) }));
    let headings = headings.chain([first(label("서비스", "service"))]).chain(["p95", "p99", "max"].map(|name| html! { (name) }));
    let rows = outcome.latencies.iter().map(|(name, times)| {
        let service = [times.service.p50_ms, times.service.p95_ms, times.service.p99_ms, times.service.max_ms];
        html! {
            tr {
                td { @if let Some(label) = Wait::label_of(name) { (label) } @else { (name) } " " code { (name) } }
                td { (count(times.response.count)) }
                @for value in times.response.values().into_iter().chain(service) { td { (figure(value)) } }
            }
        }
    });
    html! { h3 { (label("지연 시간, ms", "Latency, ms")) } p.note { (explained) } (table(headings, rows)) }
}

/// The server's process before the first client and after the last.
fn server(outcome: &Outcome) -> Markup {
    let heading = html! { h3 { (label("서버: 시작과 끝", "Server: start against end")) } };
    let Some(server) = &outcome.server else {
        let none = label("서버 프로세스는 재지 않았습니다 (--pid).", "The server's process was not measured (--pid).");
        return html! { (heading) p.note { (none) } };
    };
    let in_mb = |of: fn(&ProcessStats) -> u64| (mib(of(&server.empty)), mib(of(&server.end)));
    let counted = |of: fn(&ProcessStats) -> u64| (number(of(&server.empty)), number(of(&server.end)));
    let rows = [
        (label("메모리 RSS, MB", "memory RSS, MB"), in_mb(|at| at.rss), Some(server.rss_peak_mb)),
        (label("메모리 PSS, MB", "memory PSS, MB"), in_mb(|at| at.pss), Some(server.pss_peak_mb)),
        (label("혼자 쓰는 메모리 USS, MB", "private memory USS, MB"), in_mb(|at| at.uss), None),
        (label("스왑, MB", "swap, MB"), in_mb(|at| at.swap), None),
        (label("스레드", "threads"), counted(|at| at.threads), None),
        (label("열린 파일", "descriptors"), counted(|at| at.descriptors), None),
        (label("소켓", "sockets"), counted(|at| at.sockets), None),
        (label("CPU 시간, s", "CPU time, s"), (server.empty.cpu_s, server.end.cpu_s), None),
    ];
    // A server elsewhere reports less: nothing of it is zero.
    let is_local = server.pss_peak_mb > 0.0;
    let rows = rows.into_iter().filter(|(_, (empty, end), _)| is_local || *empty + *end > 0.0);
    let rows = rows.map(|(name, (empty, end), peak)| {
        let sign = if end > empty { "+" } else { "" };
        row![name, figure(empty), figure(end), format!("{sign}{}", figure(end - empty)), maybe(peak, "")]
    });
    let columns = labels!["" "", "빈 서버" "empty", "끝" "end", "차이" "difference", "최대" "peak"];
    let burst = label("$5 기준선(vCPU당 5 %) 위에서 쓴 버스트:", "Burst above the $5 baseline (5 % of each vCPU):");
    html! { (heading) (table(columns, rows)) p.note { (burst) " " (figure(server.burst_minutes)) " vCPU-min" } }
}

/// The addresses of the server side by side, where there are several.
fn addresses(outcome: &Outcome) -> Markup {
    if outcome.addresses.len() < 2 {
        return html! {};
    }
    let columns = labels![
        "" "", "폰" "phones", "떠난 폰" "phones that left", "연결" "handshakes", "실패한 연결" "failed", "도착한 알림" "announcements",
        "편차 p50" "spread p50", "편차 p99" "spread p99"
    ];
    let rows = outcome.addresses.iter().map(|of| {
        let spread = |ms: f64| maybe((of.spread.count > 0).then_some(ms), " ms");
        row![
            &of.address,
            count(of.phones),
            count(of.left),
            count(of.handshakes),
            count(of.handshakes_failed),
            count(of.deliveries),
            spread(of.spread.p50_ms),
            spread(of.spread.p99_ms),
        ]
    });
    let explained = label(
        "편차는 모든 주소의 첫 폰부터 이 주소의 마지막 폰까지입니다. 주소가 끊긴 폰은 다음 주소로 돌아옵니다.",
        "Spread is from the first phone of all addresses to the last one of this address. A phone that an address fails comes back by the next.",
    );
    html! { h3 { (label("주소별", "By address")) } (table(columns, rows)) p.note { (explained) } }
}

/// Sockets that the server or the network closed.
fn sockets(outcome: &Outcome) -> Markup {
    if outcome.metric("ws.success.percent").is_none() {
        return html! {};
    }
    let rows =
        outcome.socket_closes.iter().map(|(code, sockets)| row![html! { (code) " " (close_code(*code)) }, count(*sockets)]);
    html! {
        h3 { (label("끊긴 소켓과 닫힘 코드", "Drops and close codes")) }
        @if outcome.socket_closes.is_empty() {
            p { (label("스스로 끊긴 소켓이 없습니다.", "No socket was dropped.")) }
        } @else {
            (table(labels!["코드" "code", "소켓" "sockets"], rows))
        }
    }
}

/// The meaning of a close code (RFC 6455 section 7.4.1 and the registry of IANA).
fn close_code(code: u16) -> Label {
    match code {
        0 => label("응답이 없어 폰이 버림", "silent, and given up by the phone"),
        1000 => label("정상", "normal"),
        1001 => label("서버가 떠남", "going away"),
        1002 => label("규약 위반", "protocol error"),
        1005 => label("코드 없이 닫힘", "closed without a code"),
        1006 => label("말없이 끊김", "ended without a close frame"),
        1007 => label("글자가 깨짐", "not UTF-8"),
        1008 => label("정책", "policy"),
        1009 => label("너무 큼", "too large"),
        1011 => label("서버 오류", "server error"),
        1012 => label("서버 다시 시작", "service restart"),
        1013 => label("나중에 다시", "try again later"),
        _ => NOTHING,
    }
}

/// The tester's own health, and its limits.
fn tester(outcome: &Outcome) -> Markup {
    let tester = &outcome.tester;
    let explained = label(
        "하나라도 한계를 넘으면 시간에 대한 판정은 무효입니다. 프레임과 당첨자에 대한 판정은 그래도 유효합니다.",
        "Beyond any of these limits, judgements of times are void; those of frames and winners still count.",
    );
    let share = figure(number(tester.sends_missed) / number(tester.sends.max(1)) * 100.0);
    let rows = [
        row![
            label("타이머 지연 p99", "timers late, p99"),
            format!("{} ms", figure(tester.timer_lag_p99_ms)),
            format!("{LAG_P99_MS_MAX} ms"),
        ],
        row![
            label("때를 놓친 전송", "sends that missed their time"),
            format!("{} / {} ({share} %)", count(tester.sends_missed), count(tester.sends)),
            format!("{} % × {} ms", MISSED_MAX * 100.0, MISSED_US / 1_000),
        ],
        row![
            label("자기 스레드, 최악의 10초", "its thread, worst 10 s"),
            maybe(tester.cpu_worst_10s.map(|busy| busy * 100.0), " %"),
            format!("{} %", CPU_MAX * 100.0),
        ],
        row![label("CPU 시간", "CPU time"), format!("{} s", figure(tester.cpu_s)), "–"],
    ];
    let agents = tester.agents.iter().map(|of| {
        let [drift, error] = [of.drift_ms, of.error_ms].map(|ms| format!("{} ms", figure(ms)));
        row![&of.agent, count(of.clock_readings), drift, error]
    });
    html! {
        h3 { (label("시험기 자신", "The tester itself")) }
        p.note { (explained) }
        (table(labels!["" "", "측정" "measured", "무효가 되는 한계" "void above"], rows))
        @if !tester.agents.is_empty() {
            (table(labels!["에이전트" "agent", "시계를 비교한 횟수" "clock readings", "벌어진 시간" "drift, corrected", "오차" "error"], agents))
        }
    }
}
