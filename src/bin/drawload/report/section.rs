//! One scenario on the page: its verdict and what it rests on, in tables.

use super::plots;
use super::words::{Words, escape, figure, grade, metric, scenario, unit, verdict, wait, words};
use crate::measure::latency::Figures;
use crate::measure::oneself::{CPU_MAX, LAG_P99_MS_MAX, MISSED_MAX, MISSED_US};
use crate::measure::process::Reading;
use crate::metric::{is_timed, number};
use crate::outcome::{Outcome, megabytes};
use crate::verdict::{Grade, Judgement, Origin};
use std::fmt::{self, Write};

/// Faults and failures that are shown; the others are in the files.
const SHOWN_MAX: usize = 20;

/// A scenario as a heading: `A · registration spike`.
pub fn title(outcome: &Outcome) -> String {
    let what = scenario(outcome.scenario).map_or_else(|| escape(&outcome.what), |words| words.to_string());
    let name = escape(&outcome.scenario.to_uppercase());
    if outcome.scenario.len() == 1 { format!("{name} · {what}") } else { what }
}

/// The whole section.
pub fn write(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let (class, name) = verdict(outcome.verdict);
    write!(page, "<section class=\"card\" id=\"{}\"><div class=\"head\"><h2>{}</h2>", escape(outcome.scenario), title(outcome))?;
    write!(page, "<span class=\"badge {class}\">{name}</span><span class=\"note\">{} s</span></div>", figure(outcome.lasted_s))?;
    for why in &outcome.tester.limited_by {
        let limited = words("시험기가 병목:", "generator-limited:");
        write!(page, "<p><span class=\"badge void\">{limited}</span> {}</p>", escape(why))?;
    }
    write_headline(page, outcome)?;
    write_faults(page, outcome)?;
    write_plan(page, outcome)?;
    write_musts(page, outcome)?;
    plots::write(page, outcome)?;
    write_latencies(page, outcome)?;
    write_memory(page, outcome)?;
    write_sockets(page, outcome)?;
    write_tester(page, outcome)?;
    write!(page, "</section>")
}

/// The figures that people look for first.
fn write_headline(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let value = |name: &str| outcome.metrics.get(name).copied().flatten();
    let with_unit =
        |name: &str| value(name).map_or("–".to_owned(), |value| format!("{}<small>{}</small>", figure(value), unit(name)));
    let of = |part: &str, whole: &str| {
        let whole = value(whole).map_or("?".to_owned(), figure);
        format!("{}<small> / {whole}</small>", value(part).map_or("–".to_owned(), figure))
    };
    let planned = |count: u64| format!("<small> / {}</small>", figure(number(count)));
    let figures: [(Words, String); 6] = [
        (
            words("등록한 사람", "registered"),
            value("register.count").map_or("–".to_owned(), figure) + &planned(outcome.users as u64),
        ),
        (
            words("발표된 추첨", "draws announced"),
            value("draws.announced").map_or("–".to_owned(), figure) + &planned(outcome.draws_planned.into()),
        ),
        (words("도착한 프레임", "frames heard"), of("delivery.received", "delivery.expected")),
        (words("API 응답 95 %", "API p95"), with_unit("api.p95")),
        (words("메모리 최대", "peak memory"), with_unit("server.rss_peak_mb")),
        (words("CPU 최악 10초", "CPU worst 10 s"), with_unit("server.cpu_percent")),
    ];
    write!(page, "<dl class=\"figures\">")?;
    figures.iter().try_for_each(|(name, value)| write!(page, "<div><dt>{name}</dt><dd>{value}</dd></div>"))?;
    write!(page, "</dl>")
}

/// What went wrong, in words.
fn write_faults(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let failed = outcome.failures.len() as u64 + outcome.failures_unlisted;
    if outcome.faults.is_empty() && failed == 0 {
        return Ok(());
    }
    write!(page, "<h3>{}</h3><ul class=\"faults\">", words("결함과 오류", "Faults and failures"))?;
    outcome.faults.iter().take(SHOWN_MAX).try_for_each(|fault| write!(page, "<li>{}", escape(fault)))?;
    for failure in outcome.failures.iter().take(SHOWN_MAX) {
        write!(page, "<li>{:.2} s {}: {}", failure.at_s, escape(&failure.what), escape(&failure.why))?;
    }
    let more = outcome.faults.len().saturating_sub(SHOWN_MAX) as u64 + failed.saturating_sub(SHOWN_MAX as u64);
    if more > 0 {
        write!(page, "<li>{} <code>failures.csv</code>", words("그 밖에는", "and more, in"))?;
    }
    write!(page, "</ul>")
}

/// The plan's table with both its columns, and what the caller asked for.
fn write_plan(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let judged: Vec<&Judgement> = outcome.judgements.iter().filter(|judgement| judgement.origin != Origin::Must).collect();
    if judged.is_empty() {
        return Ok(());
    }
    let heading = words("계획의 판정표", "The plan's criteria");
    write!(page, "<h3>{heading}</h3><div class=\"scroll\"><table><tr><th>{}", words("기준", "criterion"))?;
    let columns = [words("좋음", "good"), words("허용", "acceptable"), words("측정", "measured"), words("판정", "grade")];
    columns.iter().try_for_each(|column| write!(page, "<th>{column}"))?;
    let limited = !outcome.tester.limited_by.is_empty();
    for judgement in judged {
        let void = limited && is_timed(&judgement.metric) && judgement.grade != Grade::Unjudged;
        let (class, grade) = if void { ("void", words("무효", "void")) } else { grade(judgement.grade) };
        let id = escape(&judgement.metric);
        let name = metric(&judgement.metric).map_or(String::new(), |words| format!("{words} "));
        let asked = if judgement.origin == Origin::Asked {
            words("직접 정한 기준 ", "asked for ").to_string()
        } else {
            String::new()
        };
        let unit = unit(&judgement.metric);
        let limit = |limit: &str| format!("{}{unit}", escape(limit));
        write!(page, "<tr><td>{asked}{name}<code>{id}</code><td>{}", limit(&judgement.wanted))?;
        write!(page, "<td>{}", judgement.acceptable.as_deref().map_or("–".to_owned(), limit))?;
        write!(page, "<td><b>{}</b>", judgement.value.map_or("–".to_owned(), |value| figure(value) + unit))?;
        write!(page, "<td><span class=\"badge {class}\">{grade}</span>")?;
        if judgement.grade == Grade::Unjudged {
            write!(page, "<br><small>{}</small>", note(judgement.note))?;
        }
    }
    write!(page, "</table></div>")
}

/// Why a criterion is not judged.
fn note(note: &'static str) -> Words {
    match note {
        "not measured" => words("재지 않음 (--pid)", "not measured (--pid)"),
        "the plan's times are scaled" => words("시간 배율 때문", "the plan's times are scaled"),
        other => words(other, other),
    }
}

/// What no run may miss.
fn write_musts(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let heading = words("어떤 실행도 어겨서는 안 되는 것: 모두 0", "What no run may miss: all of it nothing");
    write!(page, "<h3>{heading}</h3><ul class=\"musts\">")?;
    for judgement in outcome.judgements.iter().filter(|judgement| judgement.origin == Origin::Must) {
        let (class, _) = grade(judgement.grade);
        let name = metric(&judgement.metric).map_or_else(|| escape(&judgement.metric), |words| words.to_string());
        let value = judgement.value.map_or(words("확인 못 함", "not looked at").to_string(), figure);
        write!(page, "<li><span>{name}</span><span class=\"badge {class}\">{value}</span>")?;
    }
    write!(page, "</ul>")
}

/// Response and service time side by side.
fn write_latencies(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let heading = words("지연 시간, ms", "Latency, ms");
    let explained = words(
        "응답 시간은 계획된 순간부터, 서비스 시간은 실제로 보낸 순간부터 잽니다. 판정은 응답 시간으로 합니다. 둘이 벌어지면 사람들이 줄을 섰다는 뜻입니다.",
        "Response time counts from the planned moment and is judged; service time counts from the sending. Where the two part, people stood in a queue.",
    );
    write!(page, "<h3>{heading}</h3><p class=\"note\">{explained}</p><div class=\"scroll\"><table><tr><th><th>")?;
    let (response, service) = (words("응답", "response"), words("서비스", "service"));
    write!(page, "{}<th>{response} p50<th>p90<th>p95<th>p99<th>p99.9<th>max", words("횟수", "count"))?;
    write!(page, "<th>{service} p50<th>p95<th>p99<th>max")?;
    for (name, times) in &outcome.latencies {
        let words = wait(name).map_or_else(|| escape(name), |words| words.to_string());
        let Figures { count, .. } = times.response;
        let service = &times.service;
        write!(page, "<tr><td>{words} <code>{}</code><td>{}", escape(name), figure(number(count)))?;
        times.response.values().iter().try_for_each(|ms| write!(page, "<td>{}", figure(*ms)))?;
        let service = [service.p50_ms, service.p95_ms, service.p99_ms, service.max_ms];
        service.iter().try_for_each(|ms| write!(page, "<td>{}", figure(*ms)))?;
    }
    write!(page, "</table></div>")
}

/// The server before anybody came and after the last one had gone.
fn write_memory(page: &mut String, outcome: &Outcome) -> fmt::Result {
    write!(page, "<h3>{}</h3>", words("서버: 시작과 끝", "Server: start against end"))?;
    let Some(server) = &outcome.server else {
        let none = words("서버 프로세스는 재지 않았습니다 (--pid).", "The server's process was not measured (--pid).");
        return write!(page, "<p class=\"note\">{none}</p>");
    };
    write!(page, "<div class=\"scroll\"><table><tr><th><th>{}<th>{}", words("빈 서버", "empty"), words("끝", "end"))?;
    write!(page, "<th>{}<th>{}", words("차이", "difference"), words("최대", "peak"))?;
    let in_mb = |of: fn(&Reading) -> u64| (megabytes(of(&server.empty)), megabytes(of(&server.end)));
    let counted = |of: fn(&Reading) -> u64| (number(of(&server.empty)), number(of(&server.end)));
    let rows = [
        (words("메모리 RSS, MB", "memory RSS, MB"), in_mb(|at| at.rss), Some(server.rss_peak_mb)),
        (words("메모리 PSS, MB", "memory PSS, MB"), in_mb(|at| at.pss), Some(server.pss_peak_mb)),
        (words("혼자 쓰는 메모리 USS, MB", "memory of its own USS, MB"), in_mb(|at| at.uss), None),
        (words("스왑, MB", "swap, MB"), in_mb(|at| at.swap), None),
        (words("스레드", "threads"), counted(|at| at.threads), None),
        (words("열린 파일", "descriptors"), counted(|at| at.descriptors), None),
        (words("소켓", "sockets"), counted(|at| at.sockets), None),
        (words("CPU 시간, s", "CPU time, s"), (server.empty.cpu_s, server.end.cpu_s), None),
    ];
    for (name, (empty, end), peak) in rows {
        let sign = if end > empty { "+" } else { "" };
        write!(page, "<tr><td>{name}<td>{}<td>{}<td>{sign}{}", figure(empty), figure(end), figure(end - empty))?;
        write!(page, "<td>{}", peak.map_or("–".to_owned(), figure))?;
    }
    write!(page, "</table></div><p class=\"note\">")?;
    let burst = words("$5 기준선(vCPU당 5 %) 위에서 쓴 버스트:", "Burst above the $5 baseline (5 % of each vCPU):");
    write!(page, "{burst} {} vCPU-min</p>", figure(server.burst_minutes))
}

/// How sockets ended that ended on their own.
fn write_sockets(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let value = |name: &str| outcome.metrics.get(name).copied().flatten();
    if value("ws.success.percent").is_none() {
        return Ok(());
    }
    write!(page, "<h3>{}</h3>", words("끊긴 소켓과 닫힘 코드", "Drops and close codes"))?;
    if outcome.socket_closes.is_empty() {
        write!(page, "<p>{}</p>", words("스스로 끊긴 소켓이 없습니다.", "No socket ended on its own."))?;
    } else {
        write!(page, "<div class=\"scroll\"><table><tr><th>{}<th>{}", words("코드", "code"), words("소켓", "sockets"))?;
        for (code, sockets) in &outcome.socket_closes {
            write!(page, "<tr><td>{code} {}<td>{}", close_code(*code), figure(number(*sockets)))?;
        }
        write!(page, "</table></div>")?;
    }
    let others = [
        ("ws.pongs_missing", words("답 없는 핑", "pings without a pong")),
        ("ws.ghosts", words("끝에 서버가 아직 세던 떠난 소켓", "vanished sockets that the server still counted at the end")),
    ];
    write!(page, "<p class=\"facts\">")?;
    for (name, words) in others {
        write!(page, "<span class=\"fact\">{words}: {}</span>", value(name).map_or("–".to_owned(), figure))?;
    }
    write!(page, "</p>")
}

/// What a close code means (RFC 6455 section 7.4.1 and the registry of IANA).
fn close_code(code: u16) -> Words {
    match code {
        1000 => words("정상", "normal"),
        1001 => words("서버가 떠남", "going away"),
        1002 => words("규약 위반", "protocol error"),
        1005 => words("코드 없이 닫힘", "closed without a code"),
        1006 => words("말없이 끊김", "ended without a word"),
        1007 => words("글자가 깨짐", "not UTF-8"),
        1008 => words("정책", "policy"),
        1009 => words("너무 큼", "too large"),
        1011 => words("서버 오류", "server error"),
        1012 => words("서버 다시 시작", "service restart"),
        1013 => words("나중에 다시", "try again later"),
        _ => words("", ""),
    }
}

/// Whether the tester can be believed, and beyond what it could not.
fn write_tester(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let tester = &outcome.tester;
    let explained = words(
        "하나라도 한계를 넘으면 시간에 대한 판정은 무효입니다. 프레임과 당첨자에 대한 판정은 그래도 유효합니다.",
        "Beyond any of these limits whatever was judged by its time is void; what is judged of frames and winners counts all the same.",
    );
    let heading = words("시험기 자신", "The tester itself");
    write!(page, "<h3>{heading}</h3><p class=\"note\">{explained}</p><div class=\"scroll\"><table><tr><th><th>")?;
    write!(page, "{}<th>{}", words("측정", "measured"), words("무효가 되는 한계", "void above"))?;
    let share = number(tester.sends_missed) / number(tester.sends.max(1));
    let busy = tester.cpu_worst_10s.map_or("–".to_owned(), |busy| format!("{} %", figure(busy * 100.0)));
    let rows = [
        (
            words("타이머 지연 p99", "timers late, p99"),
            format!("{} ms", figure(tester.timer_lag_p99_ms)),
            format!("{LAG_P99_MS_MAX} ms"),
        ),
        (
            words("때를 놓친 전송", "sends that missed their time"),
            format!("{} / {} ({} %)", figure(number(tester.sends_missed)), figure(number(tester.sends)), figure(share * 100.0)),
            format!("{} % × {} ms", MISSED_MAX * 100.0, MISSED_US / 1_000),
        ),
        (words("자기 스레드, 최악의 10초", "its thread, worst 10 s"), busy, format!("{} %", CPU_MAX * 100.0)),
        (words("CPU 시간", "CPU time"), format!("{} s", figure(tester.cpu_s)), "–".to_owned()),
    ];
    rows.iter().try_for_each(|(name, value, limit)| write!(page, "<tr><td>{name}<td>{value}<td>{limit}"))?;
    write!(page, "</table></div>")
}
