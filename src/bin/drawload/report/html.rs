//! `report.html`: one file that requests nothing else, in Korean and English, for a screen of any
//! width and for paper.
//!
//! The verdict comes first, figures second, pictures third. It has no script: the language switch
//! is two radio buttons and a style. Its policy forbids everything but that one style, so that even
//! markup that slipped through the escaping could load and run nothing. Text from the server or the
//! command line is escaped.

use super::labels::{both, count, escape, figure, maybe, unit, verdict, write_table};
use super::{section, sizing};
use crate::measure::latency::Wait;
use crate::measure::{Label, label, labels};
use crate::run::ceiling::{Ceiling, End, FIGURES};
use crate::run::summary::Summary;
use crate::verdict::criteria::{Grade, Verdict};
use crate::verdict::metric;
use data_encoding::BASE64;
use std::fmt::{self, Write};
use time::OffsetDateTime;
use time::macros::format_description;

const STYLE: &str = include_str!("report.css");

pub fn page(summary: &Summary) -> String {
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
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{} {} · drawload</title><style>{STYLE}</style></head><body>\
         <input type=\"radio\" name=\"language\" id=\"ko\" aria-label=\"한국어\" checked>\
         <input type=\"radio\" name=\"language\" id=\"en\" aria-label=\"English\"><header><div class=\"top\"><h1>{}</h1>\
         <div class=\"switch\"><label for=\"ko\">한국어</label><label for=\"en\" lang=\"en\">English</label></div></div>",
        name.ko,
        name.en,
        label("부하 시험 보고서", "Load test report")
    )?;
    write_facts(page, summary)?;
    write!(page, "<div class=\"verdict {class}\"><b>{name}</b><div><p>{}</p>", meaning(summary.verdict))?;
    write_counts(page, summary)?;
    write!(page, "</div></div></header><main>")?;
    if let Some(ceiling) = &summary.ceiling {
        write_ceiling(page, ceiling)?;
    }
    if summary.scenarios.len() > 1 {
        write_overview(page, summary)?;
    }
    sizing::write(page, &summary.sizing)?;
    summary.scenarios.iter().try_for_each(|outcome| section::write(page, outcome))?;
    write!(
        page,
        "</main><footer>{} <code>summary.json</code> · <code>timeseries.csv</code> · <code>failures.csv</code> · \
         <code>*.hgrm</code> · <code>env.json</code></footer></body></html>",
        label("같은 결과의 다른 형식:", "The same results in other forms:")
    )
}

/// Where, when and how the run was made.
fn write_facts(page: &mut String, summary: &Summary) -> fmt::Result {
    let began = i64::try_from(summary.started_unix_s).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let facts = [
        escape(&summary.host),
        began.and_then(|began| began.format(&format).ok()).unwrap_or_default(),
        format!("{} {}", label("시간 배율", "time scale"), summary.time_scale),
        format!("seed {}", summary.seed),
        format!("{} vCPU", summary.vcpus),
        format!("drawload {}", summary.version),
    ];
    let facts = facts.map(|fact| format!("<span class=\"fact\">{fact}</span>"));
    write!(page, "<p class=\"facts\">{}</p>", facts.concat())
}

/// A verdict explained to a first-time reader.
fn meaning(verdict: Verdict) -> Label {
    match verdict {
        Verdict::Pass => label(
            "판정한 기준을 모두 지켰습니다. 재지 못한 것을 좋다고 친 것은 없습니다.",
            "Every criterion that was judged was met. Nothing that was not measured was taken for good.",
        ),
        Verdict::Void => label(
            "시험기 자신이 느려서 서버의 시간을 잴 수 없었습니다. 좋다고도 나쁘다고도 할 수 없으니, 더 한가한 기계에서 다시 하십시오.",
            "The tester itself was the bottleneck (generator-limited), so its times say nothing of the server, good or bad. Run it again on a quieter machine.",
        ),
        Verdict::Fail => label(
            "지키지 못한 기준이 있습니다. 아래의 판정표와 결함 목록에 무엇이 왜 그런지 있습니다.",
            "A criterion was missed. The tables and the list of faults below say which, and why.",
        ),
        Verdict::Interrupted => label(
            "도중에 멈추었습니다. 그때까지 본 것만 있으며, 합격이 아닙니다.",
            "The run was cut short. What was seen until then is here; it is no pass.",
        ),
    }
}

/// Counts of criteria by grade, and of frames.
fn write_counts(page: &mut String, summary: &Summary) -> fmt::Result {
    let judgements = summary.scenarios.iter().flat_map(|outcome| &outcome.judgements);
    let grades: Vec<Grade> = judgements.map(|judgement| judgement.grade).collect();
    let of = |wanted: Grade| grades.iter().filter(|grade| **grade == wanted).count();
    let (good, unjudged) = (of(Grade::Good), of(Grade::Unjudged));
    let missed = grades.len() - good - unjudged;
    let sum = |name: &str| figure(summary.scenarios.iter().filter_map(|outcome| outcome.metric(name)).sum());
    let (received, expected) = (sum("delivery.received"), sum("delivery.expected"));
    let ko = format!("기준 {good}개 충족 · {missed}개 미달 · {unjudged}개 판정 안 함 · 프레임 {expected}개 중 {received}개 도착");
    let en = format!("{good} criteria met · {missed} missed · {unjudged} not judged · {received} of {expected} frames heard");
    write!(page, "<p class=\"facts\">{}</p>", both(ko, en))
}

/// A row per scenario.
fn write_overview(page: &mut String, summary: &Summary) -> fmt::Result {
    let columns = labels![
        "" "", "인원" "people", "추첨" "draws", "도착한 프레임" "frames heard", "잃음" "lost", "API 95 %" "API p95",
        "메모리 최대" "peak memory", "CPU 최악 10초" "CPU worst 10 s", "" ""
    ];
    let rows = summary.scenarios.iter().map(|outcome| {
        let metric = |name: &str| maybe(outcome.metric(name), unit(name));
        let (class, name) = verdict(outcome.verdict);
        [
            format!("<a href=\"#{}\">{}</a>", escape(outcome.scenario), section::title(outcome)),
            count(outcome.users),
            count(outcome.draws_planned),
            metric("delivery.received"),
            metric("delivery.lost"),
            metric("api.p95"),
            metric("server.rss_peak_mb"),
            metric("server.cpu_percent"),
            format!("<span class=\"badge {class}\">{name}</span>"),
        ]
    });
    write!(page, "<section class=\"card\"><h2>{}</h2>", label("한눈에", "At a glance"))?;
    write_table(page, columns, rows)?;
    write!(page, "</section>")
}

/// The search of the ceiling: a row per number of users, and what ended it.
fn write_ceiling(page: &mut String, ceiling: &Ceiling) -> fmt::Result {
    let found = match ceiling.ended_by {
        End::Server => label("명까지 버텼습니다. 그 위에서 기준이 깨졌습니다:", "users held. Above that a criterion broke:"),
        End::Generator => label(
            "명까지 버텼습니다. 시험기가 먼저 한계에 닿아 서버의 한계는 알 수 없습니다:",
            "users held. The tester came to its own end first, and the server's ceiling is not known:",
        ),
        End::Bound => label("명까지 버텼고, 더는 묻지 않았습니다:", "users held, and more were not asked for:"),
        End::Interrupted => label("명까지 버텼습니다. 중단되었습니다:", "users held until it was interrupted:"),
    };
    write!(page, "<section class=\"card\"><h2>{}</h2>", label("한계", "The ceiling"))?;
    write!(page, "<p><b>{}</b> {found}</p>", count(ceiling.held))?;
    ceiling.why.iter().try_for_each(|why| write!(page, "<p class=\"note\">{}</p>", escape(why)))?;
    let headings = [label("사람", "users").to_string(), String::new()].into_iter().chain(FIGURES.map(heading));
    let rows = ceiling.steps.iter().map(|step| {
        let (class, name) = verdict(step.verdict);
        let figures = FIGURES.map(|name| maybe(step.metrics.get(name).copied().flatten(), unit(name)));
        let status = format!("<span class=\"badge {class}\">{name}</span>");
        [count(step.users), status].into_iter().chain(figures).collect::<Vec<_>>()
    });
    write_table(page, headings, rows)?;
    write!(page, "</section>")
}

/// A metric as a heading: a criterion by its label, a latency by that of its wait and its
/// percentile.
fn heading(name: &str) -> String {
    let of_wait = || name.rsplit_once('.').and_then(|(of, percentile)| Some(format!("{} {percentile}", Wait::label_of(of)?)));
    metric::label_of(name).map(|label| label.to_string()).or_else(of_wait).unwrap_or_else(|| escape(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_becomes_no_markup() {
        let mut summary = Summary::new("<script>alert(1)</script>", 1, 1.0);
        summary.verdict = Verdict::Fail;
        let page = page(&summary);
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
        assert!(page.contains("실패 FAIL"));
    }

    #[test]
    fn nothing_in_the_page_needs_what_its_policy_forbids() {
        let page = page(&Summary::new("h", 1, 1.0));
        let tags: Vec<&str> = page.split('<').filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag).collect();
        for forbidden in ["script", " style=", " src=", " onclick=", " onload=", "http:", "https:"] {
            assert!(!tags.iter().any(|tag| tag.contains(forbidden)), "{forbidden}");
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }
}
