//! `report.html`: one file that asks for nothing else, in Korean and English, readable on paper.
//!
//! The verdict comes first, the figures second, the pictures third. Whatever came from the server or the command line is escaped.

use super::svg::{Line, chart, matrix};
use crate::measure::latency::Figures;
use crate::outcome::{Outcome, Server, Summary};
use crate::verdict::{Grade, Origin, Verdict};
use std::fmt::{self, Write};

/// The page has no script and asks for no font or picture.
const STYLE: &str = "body{font:15px/1.5 system-ui,'Noto Sans KR',sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1f;background:#fff}\
h1,h2{line-height:1.2}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}td,th{border-bottom:1px solid #ddd;padding:.25rem .5rem;text-align:right}\
td:first-child,th:first-child{text-align:left}.pass,.good{color:#086b2c}.fail,.missed,.tolerable,.interrupted{color:#b00020;font-weight:700}.void,.unjudged{color:#8a5a00}\
figure{margin:1.5rem 0}figcaption{color:#555}svg{width:100%;height:auto;background:#fafafa}@media(max-width:40rem){table{font-size:12px}}";

/// Writes the page.
pub fn write(summary: &Summary) -> String {
    let mut page = String::new();
    write_page(&mut page, summary).expect("a String takes everything");
    page
}

fn write_page(page: &mut String, summary: &Summary) -> fmt::Result {
    let verdict = verdict_name(summary.verdict);
    write!(
        page,
        "<!doctype html><html lang=\"ko\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
    )?;
    write!(page, "<title>drawload {}</title><style>{STYLE}</style>", verdict.1)?;
    let class = verdict.0;
    write!(page, "<h1>부하 시험 결과 <small>Load test</small>: <span class=\"{class}\">{}</span></h1>", verdict.1)?;
    let (host, seed, scale) = (escape(&summary.host), summary.seed, summary.time_scale);
    write!(
        page,
        "<p>{host} · seed {seed} · 시간 배율 time scale {scale} · {} vCPU · drawload {}</p>",
        summary.vcpus, summary.version
    )?;
    for outcome in &summary.scenarios {
        write_scenario(page, outcome)?;
    }
    write!(page, "</html>")
}

fn write_scenario(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let (class, name) = verdict_name(outcome.verdict);
    let Outcome { scenario, what, users, draws_planned, lasted_s, .. } = outcome;
    write!(page, "<section><h2>{} · {what}: <span class=\"{class}\">{name}</span></h2>", scenario.to_uppercase())?;
    write!(page, "<p>{users}명 users · 추첨 {draws_planned} draws · {lasted_s:.1} s</p>")?;
    for why in &outcome.tester.limited_by {
        write!(page, "<p class=\"void\">시험기가 병목 generator-limited: {}</p>", escape(why))?;
    }
    write_judgements(page, outcome)?;
    write_faults(page, outcome)?;
    write_latencies(page, outcome)?;
    write_server(page, outcome.server.as_ref())?;
    write_charts(page, outcome)?;
    write!(page, "</section>")
}

fn write_judgements(page: &mut String, outcome: &Outcome) -> fmt::Result {
    write!(
        page,
        "<h3>판정 <small>Criteria</small></h3><table><tr><th>기준 criterion<th>from<th>목표 wanted<th>측정 measured<th>"
    )?;
    for judgement in &outcome.judgements {
        let (class, grade) = match judgement.grade {
            Grade::Good => ("good", "충족 met"),
            Grade::Tolerable => ("tolerable", "목표 미달, 허용 범위 missed, tolerable"),
            Grade::Missed => ("missed", "미달 missed"),
            Grade::Unjudged => ("unjudged", "판정 안 함 not judged"),
        };
        let origin = match judgement.origin {
            Origin::Must => "must",
            Origin::Plan => "계획 plan",
            Origin::Asked => "asked",
        };
        let value = judgement.value.map_or("–".to_owned(), |value| format!("{value:.3}"));
        let (metric, wanted) = (escape(&judgement.metric), escape(&judgement.wanted));
        write!(page, "<tr><td>{metric}<td>{origin}<td>{wanted}<td>{value}<td class=\"{class}\">{grade} {}", judgement.note)?;
    }
    write!(page, "</table>")
}

fn write_faults(page: &mut String, outcome: &Outcome) -> fmt::Result {
    if outcome.faults.is_empty() && outcome.failures.is_empty() {
        return Ok(());
    }
    write!(page, "<h3>결함과 오류 <small>Faults and failures</small></h3><ul>")?;
    outcome.faults.iter().try_for_each(|fault| write!(page, "<li class=\"missed\">{}", escape(fault)))?;
    for failure in outcome.failures.iter().take(20) {
        write!(page, "<li>{:.2} s {}: {}", failure.at_s, escape(&failure.what), escape(&failure.why))?;
    }
    write!(page, "</ul>")
}

fn write_latencies(page: &mut String, outcome: &Outcome) -> fmt::Result {
    write!(
        page,
        "<h3>지연 시간 <small>Latency from the planned moment, ms</small></h3><table><tr><th><th>count<th>p50<th>p90<th>p95<th>p99<th>p99.9<th>max<th>service p99"
    )?;
    for (name, times) in &outcome.latencies {
        let Figures { count, p50_ms, p90_ms, p95_ms, p99_ms, p999_ms, max_ms } = &times.response;
        write!(
            page,
            "<tr><td>{name}<td>{count}<td>{p50_ms:.2}<td>{p90_ms:.2}<td>{p95_ms:.2}<td>{p99_ms:.2}<td>{p999_ms:.2}<td>{max_ms:.2}"
        )?;
        write!(page, "<td>{:.2}", times.service.p99_ms)?;
    }
    write!(page, "</table>")
}

fn write_server(page: &mut String, server: Option<&Server>) -> fmt::Result {
    let Some(server) = server else {
        return write!(page, "<p>서버 프로세스는 측정하지 않음 · the server's process was not measured (--pid)</p>");
    };
    let worst = server.cpu_worst_10s_percent.map_or("–".to_owned(), |percent| format!("{percent:.1} %"));
    write!(
        page,
        "<h3>서버 <small>Server</small></h3><p>RSS {:.1} MB, PSS {:.1} MB 최대 peak · ",
        server.rss_peak_mb, server.pss_peak_mb
    )?;
    write!(
        page,
        "CPU {:.2} s, 최악 10초 worst 10 s {worst} · 버스트 {:.2}분 burst vCPU-minutes above 5 %</p>",
        server.cpu_s, server.burst_minutes
    )
}

fn write_charts(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let series = &outcome.series;
    let line = |name, of: &dyn Fn(&crate::book::Moment) -> Option<f64>| Line {
        name,
        points: series.iter().filter_map(|moment| Some((moment.at_s, of(moment)?))).collect(),
    };
    #[expect(clippy::cast_precision_loss, reason = "counts of a run fit 53 bits")]
    let count = |count: u64| Some(count as f64);
    let registered = line("등록 registered", &|moment| count(moment.registered));
    let sockets = line("소켓 sockets", &|moment| count(moment.sockets));
    figure(page, "등록과 소켓 · registrations and sockets over time (s)", &chart(&[registered, sockets], None))?;
    let asked = |ms: f64| (ms > 0.0).then_some(ms);
    let (p50, p95) = (line("p50", &|moment| asked(moment.api_p50_ms)), line("p95", &|moment| asked(moment.api_p95_ms)));
    figure(page, "API 지연 · API latency over time (ms)", &chart(&[p50, p95], None))?;
    if outcome.server.is_some() {
        let rss = line("RSS MB", &|moment| count(moment.server?.rss >> 20));
        let pss = line("PSS MB", &|moment| count(moment.server?.pss >> 20));
        figure(page, "메모리 · memory over time (MB), the line is 512 MB", &chart(&[rss, pss], Some(512.0)))?;
    }
    if !outcome.draws.is_empty() {
        let spread = outcome.draws.iter().filter_map(|draw| Some((f64::from(draw.draw_id), draw.spread_ms?))).collect();
        figure(
            page,
            "추첨별 편차 · spread first to last phone, by draw (ms)",
            &chart(&[Line { name: "spread", points: spread }], None),
        )?;
        let draws: Vec<u32> = outcome.draws.iter().map(|draw| draw.draw_id).collect();
        let lost: Vec<(u32, usize)> = outcome.lost.iter().filter_map(|lost| Some((lost.draw?, lost.phone))).collect();
        figure(
            page,
            "전달 행렬 · draws × phones: a red dot is a frame that never came",
            &matrix(&draws, outcome.users + 1, &lost),
        )?;
    }
    Ok(())
}

fn figure(page: &mut String, caption: &str, picture: &str) -> fmt::Result {
    write!(page, "<figure>{picture}<figcaption>{caption}</figcaption></figure>")
}

/// A verdict's class and its name in both languages.
fn verdict_name(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Pass => ("pass", "통과 PASS"),
        Verdict::Void => ("void", "무효 VOID"),
        Verdict::Fail => ("fail", "실패 FAIL"),
        Verdict::Interrupted => ("interrupted", "중단 INTERRUPTED"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_elsewhere_becomes_no_markup() {
        let mut summary = Summary::new("<script>alert(1)</script>", 1, 1.0);
        summary.verdict = Verdict::Fail;
        let page = write(&summary);
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
        assert!(page.contains("실패 FAIL"));
    }
}
