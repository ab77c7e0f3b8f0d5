//! One scenario on the page: its verdict and the evidence, in tables.

use super::labels::{count, escape, figure, grade, maybe, scenario, unit, verdict, write_table};
use super::plots;
use crate::measure::latency::Wait;
use crate::measure::process::ProcessStats;
use crate::measure::self_metrics::{CPU_MAX, LAG_P99_MS_MAX, MISSED_MAX, MISSED_US};
use crate::measure::{Label, label, labels, mib, number};
use crate::verdict::criteria::{Grade, Judgement, Origin};
use crate::verdict::metric;
use crate::verdict::outcome::Outcome;
use std::fmt::{self, Write};

/// Faults and failures that are shown; all are in the files.
const SHOWN_MAX: usize = 20;

const NOTHING: Label = label("", "");

/// A scenario as a heading: `A · registration spike`.
pub fn title(outcome: &Outcome) -> String {
    let what = scenario(outcome.scenario).map_or_else(|| escape(&outcome.what), |label| label.to_string());
    let name = escape(&outcome.scenario.to_uppercase());
    if outcome.scenario.len() == 1 { format!("{name} · {what}") } else { what }
}

/// Writes the whole section.
pub fn write(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let (class, name) = verdict(outcome.verdict);
    write!(page, "<section class=\"card\" id=\"{}\"><div class=\"head\"><h2>{}</h2>", escape(outcome.scenario), title(outcome))?;
    write!(page, "<span class=\"badge {class}\">{name}</span><span class=\"note\">{} s</span></div>", figure(outcome.lasted_s))?;
    for why in &outcome.tester.limited_by {
        let limited = label("시험기가 병목:", "generator-limited:");
        write!(page, "<p><span class=\"badge void\">{limited}</span> {}</p>", escape(why))?;
    }
    write_headline(page, outcome)?;
    write_faults(page, outcome)?;
    write_plan(page, outcome)?;
    write_musts(page, outcome)?;
    plots::write(page, outcome)?;
    write_latencies(page, outcome)?;
    write_server(page, outcome)?;
    write_sockets(page, outcome)?;
    write_tester(page, outcome)?;
    write!(page, "</section>")
}

/// The figures that readers look for first.
fn write_headline(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let value = |name: &str| maybe(outcome.metric(name), "");
    let with_unit = |name: &str| outcome.metric(name).map_or("–".into(), |_| value(name) + &small(unit(name)));
    let of = |name: &str, whole: &str| value(name) + &small(&format!(" / {whole}"));
    let expected = outcome.metric("delivery.expected").map_or("?".to_owned(), figure);
    let figures = [
        (label("등록한 사람", "registered"), of("register.count", &count(outcome.users))),
        (label("발표된 추첨", "draws announced"), of("draws.announced", &count(outcome.draws_planned))),
        (label("도착한 프레임", "frames heard"), of("delivery.received", &expected)),
        (label("API 응답 95 %", "API p95"), with_unit("api.p95")),
        (label("메모리 최대", "peak memory"), with_unit("server.rss_peak_mb")),
        (label("CPU 최악 10초", "CPU worst 10 s"), with_unit("server.cpu_percent")),
    ];
    write!(page, "<dl class=\"figures\">")?;
    figures.iter().try_for_each(|(name, value)| write!(page, "<div><dt>{name}</dt><dd>{value}</dd></div>"))?;
    write!(page, "</dl>")
}

fn small(text: &str) -> String {
    format!("<small>{text}</small>")
}

/// Faults and failures in words.
fn write_faults(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let failed = outcome.failures.len() as u64 + outcome.failures_unlisted;
    if outcome.faults.is_empty() && failed == 0 {
        return Ok(());
    }
    write!(page, "<h3>{}</h3><ul class=\"faults\">", label("결함과 오류", "Faults and failures"))?;
    outcome.faults.iter().take(SHOWN_MAX).try_for_each(|fault| write!(page, "<li>{}", escape(fault)))?;
    for failure in outcome.failures.iter().take(SHOWN_MAX) {
        write!(page, "<li>{:.2} s {}: {}", failure.at_s, escape(&failure.what), escape(&failure.why))?;
    }
    if outcome.faults.len() > SHOWN_MAX || failed > SHOWN_MAX as u64 {
        write!(page, "<li>{} <code>failures.csv</code>", label("그 밖에는", "and more, in"))?;
    }
    write!(page, "</ul>")
}

/// The plan's table with both its columns, and what the caller asked for.
fn write_plan(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let judged: Vec<&Judgement> = outcome.judgements.iter().filter(|judgement| judgement.origin != Origin::Must).collect();
    if judged.is_empty() {
        return Ok(());
    }
    write!(page, "<h3>{}</h3>", label("계획의 판정표", "The plan's criteria"))?;
    let columns = labels![
        "기준" "criterion", "좋음" "good", "허용" "acceptable", "측정" "measured", "판정" "grade"
    ];
    let rows = judged.into_iter().map(|judgement| {
        let void = judgement.is_void(&outcome.tester);
        let (class, grade) = if void { ("void", label("무효", "void")) } else { grade(judgement.grade) };
        let name = metric::label_of(&judgement.metric).map_or(String::new(), |label| format!("{label} "));
        let is_asked = judgement.origin == Origin::Asked;
        let asked = if is_asked { label("직접 정한 기준 ", "asked for ") } else { NOTHING };
        let unit = unit(&judgement.metric);
        let limit = |limit: &str| format!("{}{unit}", escape(limit));
        let is_unjudged = judgement.grade == Grade::Unjudged;
        let note = if is_unjudged { format!("<br>{}", small(&note(judgement.note).to_string())) } else { String::new() };
        [
            format!("{asked}{name}<code>{}</code>", escape(&judgement.metric)),
            limit(&judgement.wanted),
            judgement.acceptable.as_deref().map_or("–".to_owned(), limit),
            format!("<b>{}</b>", maybe(judgement.value, unit)),
            format!("<span class=\"badge {class}\">{grade}</span>{note}"),
        ]
    });
    write_table(page, columns, rows)
}

/// The reason why a criterion is not judged.
fn note(note: &'static str) -> Label {
    match note {
        "not measured" => label("재지 않음 (--pid)", "not measured (--pid)"),
        "the plan's times are scaled" => label("시간 배율 때문", "the plan's times are scaled"),
        other => label(other, other),
    }
}

/// The criteria that any run must meet.
fn write_musts(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let heading = label("어떤 실행도 어겨서는 안 되는 것: 모두 0", "What no run may miss: all of it nothing");
    write!(page, "<h3>{heading}</h3><ul class=\"musts\">")?;
    for judgement in outcome.judgements.iter().filter(|judgement| judgement.origin == Origin::Must) {
        let (class, _) = grade(judgement.grade);
        let name = metric::label_of(&judgement.metric).map_or_else(|| escape(&judgement.metric), |label| label.to_string());
        let value = judgement.value.map_or_else(|| label("확인 못 함", "not looked at").to_string(), figure);
        write!(page, "<li><span>{name}</span><span class=\"badge {class}\">{value}</span>")?;
    }
    write!(page, "</ul>")
}

/// Response and service times side by side.
fn write_latencies(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let heading = label("지연 시간, ms", "Latency, ms");
    let explained = label(
        "응답 시간은 계획된 순간부터, 서비스 시간은 실제로 보낸 순간부터 잽니다. 판정은 응답 시간으로 합니다. 둘이 벌어지면 사람들이 줄을 섰다는 뜻입니다.",
        "Response time counts from the planned moment and is judged; service time counts from the sending. Where the two part, people stood in a queue.",
    );
    write!(page, "<h3>{heading}</h3><p class=\"note\">{explained}</p>")?;
    let (response, service) = (label("응답", "response"), label("서비스", "service"));
    let headings = [String::new(), label("횟수", "count").to_string(), format!("{response} p50")].into_iter();
    let headings = headings.chain(["p90", "p95", "p99", "p99.9", "max"].map(str::to_owned));
    let headings = headings.chain([format!("{service} p50")]).chain(["p95", "p99", "max"].map(str::to_owned));
    let rows = outcome.latencies.iter().map(|(name, times)| {
        let label = Wait::label_of(name).map_or_else(|| escape(name), |label| label.to_string());
        let service = [times.service.p50_ms, times.service.p95_ms, times.service.p99_ms, times.service.max_ms];
        let names = [format!("{label} <code>{}</code>", escape(name)), count(times.response.count)];
        names.into_iter().chain(times.response.values().map(figure)).chain(service.map(figure)).collect::<Vec<_>>()
    });
    write_table(page, headings, rows)
}

/// The server's process before the first client and after the last.
fn write_server(page: &mut String, outcome: &Outcome) -> fmt::Result {
    write!(page, "<h3>{}</h3>", label("서버: 시작과 끝", "Server: start against end"))?;
    let Some(server) = &outcome.server else {
        let none = label("서버 프로세스는 재지 않았습니다 (--pid).", "The server's process was not measured (--pid).");
        return write!(page, "<p class=\"note\">{none}</p>");
    };
    let in_mb = |of: fn(&ProcessStats) -> u64| (mib(of(&server.empty)), mib(of(&server.end)));
    let counted = |of: fn(&ProcessStats) -> u64| (number(of(&server.empty)), number(of(&server.end)));
    let rows = [
        (label("메모리 RSS, MB", "memory RSS, MB"), in_mb(|at| at.rss), Some(server.rss_peak_mb)),
        (label("메모리 PSS, MB", "memory PSS, MB"), in_mb(|at| at.pss), Some(server.pss_peak_mb)),
        (label("혼자 쓰는 메모리 USS, MB", "memory of its own USS, MB"), in_mb(|at| at.uss), None),
        (label("스왑, MB", "swap, MB"), in_mb(|at| at.swap), None),
        (label("스레드", "threads"), counted(|at| at.threads), None),
        (label("열린 파일", "descriptors"), counted(|at| at.descriptors), None),
        (label("소켓", "sockets"), counted(|at| at.sockets), None),
        (label("CPU 시간, s", "CPU time, s"), (server.empty.cpu_s, server.end.cpu_s), None),
    ];
    let rows = rows.map(|(name, (empty, end), peak)| {
        let sign = if end > empty { "+" } else { "" };
        [name.to_string(), figure(empty), figure(end), format!("{sign}{}", figure(end - empty)), maybe(peak, "")]
    });
    let columns = [NOTHING, label("빈 서버", "empty"), label("끝", "end"), label("차이", "difference"), label("최대", "peak")];
    write_table(page, columns, rows)?;
    let burst = label("$5 기준선(vCPU당 5 %) 위에서 쓴 버스트:", "Burst above the $5 baseline (5 % of each vCPU):");
    write!(page, "<p class=\"note\">{burst} {} vCPU-min</p>", figure(server.burst_minutes))
}

/// Sockets that the server or the network closed.
fn write_sockets(page: &mut String, outcome: &Outcome) -> fmt::Result {
    if outcome.metric("ws.success.percent").is_none() {
        return Ok(());
    }
    write!(page, "<h3>{}</h3>", label("끊긴 소켓과 닫힘 코드", "Drops and close codes"))?;
    if outcome.socket_closes.is_empty() {
        write!(page, "<p>{}</p>", label("스스로 끊긴 소켓이 없습니다.", "No socket ended on its own."))?;
    } else {
        let closes = outcome.socket_closes.iter();
        let rows = closes.map(|(code, sockets)| [format!("{code} {}", close_code(*code)), count(*sockets)]);
        write_table(page, [label("코드", "code"), label("소켓", "sockets")], rows)?;
    }
    let others = [
        ("ws.pongs_missing", label("답 없는 핑", "pings without a pong")),
        ("ws.ghosts", label("끝에 서버가 아직 세던 떠난 소켓", "vanished sockets that the server still counted at the end")),
    ];
    let others = others.map(|(name, label)| format!("<span class=\"fact\">{label}: {}</span>", maybe(outcome.metric(name), "")));
    write!(page, "<p class=\"facts\">{}</p>", others.concat())
}

/// The meaning of a close code (RFC 6455 section 7.4.1 and the registry of IANA).
fn close_code(code: u16) -> Label {
    match code {
        1000 => label("정상", "normal"),
        1001 => label("서버가 떠남", "going away"),
        1002 => label("규약 위반", "protocol error"),
        1005 => label("코드 없이 닫힘", "closed without a code"),
        1006 => label("말없이 끊김", "ended without a word"),
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
fn write_tester(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let tester = &outcome.tester;
    let explained = label(
        "하나라도 한계를 넘으면 시간에 대한 판정은 무효입니다. 프레임과 당첨자에 대한 판정은 그래도 유효합니다.",
        "Beyond any of these limits whatever was judged by its time is void; what is judged of frames and winners counts all the same.",
    );
    write!(page, "<h3>{}</h3><p class=\"note\">{explained}</p>", label("시험기 자신", "The tester itself"))?;
    let share = figure(number(tester.sends_missed) / number(tester.sends.max(1)) * 100.0);
    let sends = format!("{} / {} ({share} %)", count(tester.sends_missed), count(tester.sends));
    let rows = [
        (
            label("타이머 지연 p99", "timers late, p99"),
            format!("{} ms", figure(tester.timer_lag_p99_ms)),
            format!("{LAG_P99_MS_MAX} ms"),
        ),
        (
            label("때를 놓친 전송", "sends that missed their time"),
            sends,
            format!("{} % × {} ms", MISSED_MAX * 100.0, MISSED_US / 1_000),
        ),
        (
            label("자기 스레드, 최악의 10초", "its thread, worst 10 s"),
            maybe(tester.cpu_worst_10s.map(|busy| busy * 100.0), " %"),
            format!("{} %", CPU_MAX * 100.0),
        ),
        (label("CPU 시간", "CPU time"), format!("{} s", figure(tester.cpu_s)), "–".to_owned()),
    ];
    let rows = rows.map(|(name, value, limit)| [name.to_string(), value, limit]);
    write_table(page, [NOTHING, label("측정", "measured"), label("무효가 되는 한계", "void above")], rows)
}
