//! `report.html`: one file that requests nothing else, in Korean and English, for a screen of any
//! width and for paper.
//!
//! The verdict comes first, figures second, pictures third. It has no script: the language switch
//! is two radio buttons and a style. Its policy forbids everything but that one style, so that even
//! markup that slipped through the escaping could load and run nothing. `maud` escapes every text.

use super::headline;
use super::labels::{badge, both, count, figure, maybe, row, table, unit, verdict};
use super::{checklist, section, sizing};
use crate::measure::latency::Wait;
use crate::measure::{Label, label, labels};
use crate::run::ceiling::{Ceiling, End, FIGURES};
use crate::run::summary::Summary;
use crate::verdict::criteria::{Grade, Judgement, Verdict};
use crate::verdict::metric;
use crate::verdict::outcome::Outcome;
use data_encoding::BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use time::OffsetDateTime;
use time::macros::format_description;

const STYLE: &str = include_str!("report.css");

/// The whole page.
pub fn page(summary: &Summary) -> String {
    let (class, name) = verdict(summary.verdict);
    let style = BASE64.encode(ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes()).as_ref());
    let policy = format!("default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'");
    let page = html! {
        (DOCTYPE)
        html lang="ko" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width";
                meta name="color-scheme" content="light dark";
                title { (name.ko) " " (name.en) " · drawload" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                input #ko type="radio" name="language" aria-label="한국어" checked;
                input #en type="radio" name="language" aria-label="English";
                header {
                    div.top {
                        h1 { (label("부하 시험 보고서", "Load test report")) }
                        div.switch { label for="ko" { "한국어" } label for="en" lang="en" { "English" } }
                    }
                    (facts(summary))
                    div.verdict.(class) { b { (name) } div { (why(summary)) p { (meaning(summary.verdict)) } (counts(summary)) } }
                }
                main {
                    @if let Some(ceiling) = &summary.ceiling { (ceiling_section(ceiling)) }
                    @if summary.scenarios.len() > 1 { (overview(summary)) }
                    @if !summary.scenarios.is_empty() { (checklist::section(summary)) }
                    (sizing::section(&summary.sizing))
                    @for outcome in &summary.scenarios { (section::section(outcome)) }
                }
                footer {
                    (label("같은 결과의 다른 형식:", "The same results in other forms:"))
                    @for file in ["summary.json", "timeseries.csv", "failures.csv", "junit.xml", "metrics.prom", "*.hgrm", "env.json"] { " " code { (file) } }
                }
            }
        }
    };
    page.into_string()
}

/// Where, when and how the run was made.
fn facts(summary: &Summary) -> Markup {
    let started = i64::try_from(summary.started_unix_s).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let facts = [
        html! { (summary.host) },
        html! { (started.and_then(|started| started.format(&format).ok()).unwrap_or_default()) },
        html! { (label("시간 배율", "time scale")) " " (summary.time_scale) },
        html! { "seed " (summary.seed) },
        html! { (summary.vcpus) " vCPU" },
        html! { "drawload " (summary.version) },
    ];
    html! { p.facts { @for fact in facts { span.fact { (fact) } } } }
}

/// A verdict explained to a first-time reader.
fn meaning(verdict: Verdict) -> Label {
    match verdict {
        Verdict::Pass => label(
            "판정한 기준을 모두 지켰습니다. 재지 못한 것을 좋다고 친 것은 없습니다.",
            "Every criterion that was judged was met. A missing measurement never counts as met.",
        ),
        Verdict::Void => label(
            "시험기 자신이 느려서 서버의 시간을 잴 수 없었습니다. 좋다고도 나쁘다고도 할 수 없으니, 더 한가한 기계에서 다시 하십시오.",
            "The tester itself was the bottleneck (generator-limited), so its times are not those of the server. Run it again on a less busy machine.",
        ),
        Verdict::Fail => label(
            "지키지 못한 기준이 있습니다. 아래의 판정표와 결함 목록에 무엇이 왜 그런지 있습니다.",
            "A criterion was missed. The tables and the list of faults below show which, and why.",
        ),
        Verdict::Interrupted => label(
            "도중에 멈추었습니다. 그때까지 본 것만 있으며, 합격이 아닙니다.",
            "The run was interrupted. The report holds its results until then; the run did not pass.",
        ),
    }
}

/// The criterion that decided, before anything else.
fn why(summary: &Summary) -> Markup {
    match headline::headline(summary) {
        Some((ko, en)) => html! { p { b { (both(ko, en)) } } },
        None => html! {},
    }
}

/// Counts of criteria by grade, and of frames.
fn counts(summary: &Summary) -> Markup {
    let count = |counts: &dyn Fn(&Outcome, &Judgement) -> bool| {
        let of = |outcome: &Outcome| outcome.judgements.iter().filter(|judgement| counts(outcome, judgement)).count();
        summary.scenarios.iter().map(of).sum::<usize>()
    };
    let (missed, void) = (count(&headline::counts), count(&|outcome, judgement| judgement.is_void(&outcome.tester)));
    let good = count(&|outcome, judgement| judgement.grade == Grade::Good && !judgement.is_void(&outcome.tester));
    let unjudged = count(&|_, judgement| judgement.grade == Grade::Unjudged);
    let sum = |name: &str| figure(summary.scenarios.iter().filter_map(|outcome| outcome.metric(name)).sum());
    let (received, expected) = (sum("delivery.received"), sum("delivery.expected"));
    let ko = format!(
        "기준 {good}개 충족 · {missed}개 미달 · {void}개 무효 · {unjudged}개 판정 안 함 · 프레임 {expected}개 중 {received}개 도착"
    );
    let en = format!(
        "{good} criteria met · {missed} missed · {void} void · {unjudged} not judged · {received} of {expected} frames received"
    );
    html! { p.facts { (both(ko, en)) } }
}

/// A row per scenario.
fn overview(summary: &Summary) -> Markup {
    let columns = labels![
        "" "", "인원" "people", "추첨" "draws", "도착한 프레임" "frames received", "잃음" "lost", "API 95 %" "API p95",
        "메모리 최대" "peak memory", "CPU 최악 10초" "CPU worst 10 s", "" ""
    ];
    let rows = summary.scenarios.iter().map(|outcome| {
        let metric = |name: &str| maybe(outcome.metric(name), unit(name));
        let (class, name) = verdict(outcome.verdict);
        row![
            html! { a href=(format!("#{}", outcome.scenario)) { (section::title(outcome)) } },
            count(outcome.users),
            count(outcome.draws_planned),
            metric("delivery.received"),
            metric("delivery.lost"),
            metric("api.p95"),
            metric("server.rss_peak_mb"),
            metric("server.cpu_percent"),
            badge(class, name),
        ]
    });
    html! { section.card { h2 { (label("한눈에", "At a glance")) } (table(columns, rows)) } }
}

/// The search of the ceiling: a row per number of users, and the reason for its end.
fn ceiling_section(ceiling: &Ceiling) -> Markup {
    let found = match ceiling.ended_by {
        End::Server => label("명까지 버텼습니다. 그 위에서 기준이 깨졌습니다:", "users held. Above that a criterion broke:"),
        End::Generator => label(
            "명까지 버텼습니다. 시험기가 먼저 한계에 닿아 서버의 한계는 알 수 없습니다:",
            "users held. The tester reached its own limit first, and the server's ceiling is not known:",
        ),
        End::Bound => label("명까지 버텼고, 더는 묻지 않았습니다:", "users held, the maximum of this search:"),
        End::Interrupted => label("명까지 버텼습니다. 중단되었습니다:", "users held until it was interrupted:"),
    };
    let headings = [html! { (label("사람", "users")) }, html! {}].into_iter().chain(FIGURES.map(heading));
    let rows = ceiling.steps.iter().map(|step| {
        let (class, name) = verdict(step.verdict);
        html! {
            tr {
                td { (count(step.users)) }
                td { (badge(class, name)) }
                @for name in FIGURES { td { (maybe(step.metrics.get(name).copied().flatten(), unit(name))) } }
            }
        }
    });
    html! {
        section.card {
            h2 { (label("한계", "The ceiling")) }
            p { b { (count(ceiling.held)) } " " (found) }
            @for why in &ceiling.why { p.note { (why) } }
            (table(headings, rows))
        }
    }
}

/// A metric as a heading: a criterion by its label, a latency by that of its wait and its
/// percentile.
fn heading(name: &str) -> Markup {
    let wait = name.rsplit_once('.').and_then(|(wait, percentile)| Some((Wait::label_of(wait)?, percentile)));
    match (metric::label_of(name), wait) {
        (Some(label), _) => html! { (label) },
        (None, Some((label, percentile))) => html! { (label) " " (percentile) },
        (None, None) => html! { (name) },
    }
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
