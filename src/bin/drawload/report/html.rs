//! `report.html`: one file that asks for nothing else, in Korean and English, for a screen of any width and for paper.
//!
//! The verdict comes first, the figures second, the pictures third. It has no script: the switch of languages is two radio buttons and a style. A policy
//! in the page forbids whatever is not that one style, so that even something that slipped through the escaping could load and run nothing. Whatever
//! came from the server or the command line is escaped.

use super::words::{Words, escape, figure, verdict, words};
use super::{boxes, section, steps};
use crate::outcome::Summary;
use crate::verdict::{Grade, Verdict};
use data_encoding::BASE64;
use std::fmt::{self, Write};
use time::OffsetDateTime;
use time::macros::format_description;

const STYLE: &str = include_str!("report.css");

/// Writes the page.
pub fn write(summary: &Summary) -> String {
    let mut page = String::new();
    write_page(&mut page, summary).expect("a String takes everything");
    page
}

fn write_page(page: &mut String, summary: &Summary) -> fmt::Result {
    let (class, name) = verdict(summary.verdict);
    let style = BASE64.encode(ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes()).as_ref());
    write!(
        page,
        "<!doctype html><html lang=\"ko\"><head><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">"
    )?;
    write!(page, "<title>{} {} · drawload</title><style>{STYLE}</style></head><body>", name.ko, name.en)?;
    write!(
        page,
        "<input type=\"radio\" name=\"language\" id=\"ko\" aria-label=\"한국어\" checked>\
         <input type=\"radio\" name=\"language\" id=\"en\" aria-label=\"English\"><header><div class=\"top\"><h1>{}</h1>\
         <div class=\"switch\"><label for=\"ko\">한국어</label><label for=\"en\" lang=\"en\">English</label></div></div>",
        words("부하 시험 보고서", "Load test report")
    )?;
    write_facts(page, summary)?;
    write!(page, "<div class=\"verdict {class}\"><b>{name}</b><div><p>{}</p>", meaning(summary.verdict))?;
    write_counts(page, summary)?;
    write!(page, "</div></div></header><main>")?;
    if let Some(ceiling) = &summary.ceiling {
        steps::write(page, ceiling)?;
    }
    if summary.scenarios.len() > 1 {
        write_overview(page, summary)?;
    }
    boxes::write(page, &summary.advice)?;
    summary.scenarios.iter().try_for_each(|outcome| section::write(page, outcome))?;
    write!(
        page,
        "</main><footer>{} <code>summary.json</code> · <code>timeseries.csv</code> · <code>failures.csv</code> · \
         <code>*.hgrm</code> · <code>env.json</code></footer></body></html>",
        words("같은 결과의 다른 형식:", "The same results in other forms:")
    )
}

/// Where, when and how it was run.
fn write_facts(page: &mut String, summary: &Summary) -> fmt::Result {
    let began = i64::try_from(summary.started_unix_s).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let began = began.and_then(|began| began.format(&format).ok()).unwrap_or_default();
    let facts = [
        escape(&summary.host),
        began,
        format!("{} {}", words("시간 배율", "time scale"), summary.time_scale),
        format!("seed {}", summary.seed),
        format!("{} vCPU", summary.vcpus),
        format!("drawload {}", summary.version),
    ];
    write!(page, "<p class=\"facts\">")?;
    facts.iter().try_for_each(|fact| write!(page, "<span class=\"fact\">{fact}</span>"))?;
    write!(page, "</p>")
}

/// What a verdict means to somebody who reads one for the first time.
fn meaning(verdict: Verdict) -> Words {
    match verdict {
        Verdict::Pass => words(
            "판정한 기준을 모두 지켰습니다. 재지 못한 것을 좋다고 친 것은 없습니다.",
            "Every criterion that was judged was met. Nothing that was not measured was taken for good.",
        ),
        Verdict::Void => words(
            "시험기 자신이 느려서 서버의 시간을 잴 수 없었습니다. 좋다고도 나쁘다고도 할 수 없으니, 더 한가한 기계에서 다시 하십시오.",
            "The tester itself was the bottleneck (generator-limited), so its times say nothing of the server, good or bad. Run it again on a quieter machine.",
        ),
        Verdict::Fail => words(
            "지키지 못한 기준이 있습니다. 아래의 판정표와 결함 목록에 무엇이 왜 그런지 있습니다.",
            "A criterion was missed. The tables and the list of faults below say which, and why.",
        ),
        Verdict::Interrupted => words(
            "도중에 멈추었습니다. 그때까지 본 것만 있으며, 합격이 아닙니다.",
            "The run was cut short. What was seen until then is here; it is no pass.",
        ),
    }
}

/// How many criteria came out how, and of how many frames.
fn write_counts(page: &mut String, summary: &Summary) -> fmt::Result {
    let grades = || summary.scenarios.iter().flat_map(|outcome| &outcome.judgements).map(|judgement| judgement.grade);
    let of = |wanted: fn(&Grade) -> bool| grades().filter(wanted).count();
    let good = of(|grade| *grade == Grade::Good);
    let unjudged = of(|grade| *grade == Grade::Unjudged);
    let missed = grades().count() - good - unjudged;
    let sum = |name: &str| summary.scenarios.iter().filter_map(|outcome| *outcome.metrics.get(name)?).sum::<f64>();
    let frames = (figure(sum("delivery.received")), figure(sum("delivery.expected")));
    write!(
        page,
        "<p class=\"facts\"><span class=\"ko\">기준 {good}개 충족 · {missed}개 미달 · {unjudged}개 판정 안 함 · 프레임 {1}개 중 {0}개 도착</span>\
         <span class=\"en\" lang=\"en\">{good} criteria met · {missed} missed · {unjudged} not judged · {0} of {1} frames heard</span></p>",
        frames.0, frames.1
    )
}

/// One line a scenario.
fn write_overview(page: &mut String, summary: &Summary) -> fmt::Result {
    let columns = [
        words("인원", "people"),
        words("추첨", "draws"),
        words("도착한 프레임", "frames heard"),
        words("잃음", "lost"),
        words("API 95 %", "API p95"),
        words("메모리 최대", "peak memory"),
        words("CPU 최악 10초", "CPU worst 10 s"),
    ];
    write!(page, "<section class=\"card\"><h2>{}</h2><div class=\"scroll\"><table><tr><th>", words("한눈에", "At a glance"))?;
    columns.iter().try_for_each(|column| write!(page, "<th>{column}"))?;
    write!(page, "<th>")?;
    for outcome in &summary.scenarios {
        let metric = |name: &str, unit: &str| {
            outcome.metrics.get(name).copied().flatten().map_or("–".to_owned(), |value| figure(value) + unit)
        };
        let (class, name) = verdict(outcome.verdict);
        write!(page, "<tr><td><a href=\"#{}\">{}</a>", escape(outcome.scenario), section::title(outcome))?;
        write!(page, "<td>{}<td>{}", figure(crate::metric::number(outcome.users as u64)), figure(outcome.draws_planned.into()))?;
        write!(page, "<td>{}<td>{}", metric("delivery.received", ""), metric("delivery.lost", ""))?;
        write!(page, "<td>{}<td>{}", metric("api.p95", " ms"), metric("server.rss_peak_mb", " MB"))?;
        write!(page, "<td>{}<td><span class=\"badge {class}\">{name}</span>", metric("server.cpu_percent", " %"))?;
    }
    write!(page, "</table></div></section>")
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

    #[test]
    fn nothing_in_the_page_needs_what_its_policy_forbids() {
        let page = write(&Summary::new("h", 1, 1.0));
        let tags: Vec<&str> = page.split('<').filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag).collect();
        for forbidden in ["script", " style=", " src=", " onclick=", " onload=", "http:", "https:"] {
            assert!(!tags.iter().any(|tag| tag.contains(forbidden)), "{forbidden}");
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }
}
