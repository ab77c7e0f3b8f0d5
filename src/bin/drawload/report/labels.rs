//! Labels of the page in Korean and English, readable numbers, and the page's one kind of table.
//!
//! Both languages are in the page and a style hides one, so that the switch needs no script.

use crate::measure::{Label, label, number};
use crate::scenario::file::CUSTOM;
use crate::verdict::criteria::{Grade, Verdict};
use crate::verdict::metric::is_latency;
use maud::{Markup, Render, html};

impl Render for Label {
    fn render(&self) -> Markup {
        if self.ko == self.en {
            html! { (self.ko) }
        } else {
            both(self.ko, self.en)
        }
    }
}

/// Both languages, for sentences with figures in them.
pub fn both(ko: impl Render, en: impl Render) -> Markup {
    html! { span.ko { (ko) } span.en lang="en" { (en) } }
}

/// A short text in the colour of its class.
pub fn badge(class: &str, text: impl Render) -> Markup {
    html! { span.badge.(class) { (text) } }
}

/// Class and label of a verdict.
pub fn verdict(verdict: Verdict) -> (&'static str, Label) {
    match verdict {
        Verdict::Pass => ("pass", label("통과", "PASS")),
        Verdict::Void => ("void", label("무효", "VOID")),
        Verdict::Fail => ("fail", label("실패", "FAIL")),
        Verdict::Interrupted => ("interrupted", label("중단", "INTERRUPTED")),
    }
}

/// Class and label of a grade.
pub fn grade(grade: Grade) -> (&'static str, Label) {
    match grade {
        Grade::Good => ("good", label("✓ 충족", "✓ met")),
        Grade::Tolerable => ("tolerable", label("목표 미달 · 허용 범위", "missed · acceptable")),
        Grade::Missed => ("missed", label("✗ 미달", "✗ missed")),
        Grade::Unjudged => ("unjudged", label("판정 안 함", "not judged")),
    }
}

/// The label of a built-in scenario; a scenario file has its own name.
pub fn scenario(name: &str, what: &str) -> Option<Label> {
    Some(match name {
        "file" if what == CUSTOM => label("직접 만든 시나리오", CUSTOM),
        "a" => label("등록 폭주", "registration spike"),
        "b" => label("연속 추첨", "draws"),
        "c" => label("복합 행사", "mixed event"),
        "d" => label("장시간 유지", "idle sockets"),
        "websocket" => label("웹소켓 단독", "sockets alone"),
        "http-registration" => label("HTTP 등록", "registrations over HTTP"),
        "http-draw" => label("HTTP 추첨", "draws over HTTP"),
        "http-mixed" => label("HTTP 복합", "mixed calls over HTTP"),
        "ceiling" => label("한계: 버틴 단계", "ceiling: the step that held"),
        "ceiling-broken" => label("한계: 버티지 못한 단계", "ceiling: the step that did not"),
        _ => return None,
    })
}

/// The unit of a metric, to be put behind its value.
pub fn unit(metric: &str) -> &'static str {
    match metric.rsplit(['.', '_']).next().unwrap_or_default() {
        "second" => " /s",
        "ms" => " ms",
        "percent" => " %",
        "mb" => " MB",
        "minutes" => " min",
        _ if is_latency(metric) => " ms",
        "s" => " s",
        _ => "",
    }
}

/// A readable number: few decimals, thousands separated.
pub fn figure(value: f64) -> String {
    let magnitude = value.abs();
    let text = match () {
        () if magnitude == 0.0 || (magnitude.fract() == 0.0 && magnitude < 1e15) => format!("{value:.0}"),
        () if magnitude < 9.995 => format!("{value:.2}"),
        () if magnitude < 99.95 => format!("{value:.1}"),
        () => format!("{value:.0}"),
    };
    let (sign, digits) = text.strip_prefix('-').map_or(("", &*text), |digits| ("−", digits));
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut separated = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            separated.push(',');
        }
        separated.push(digit);
    }
    format!("{sign}{separated}{fraction}")
}

/// A readable count.
pub fn count(count: impl TryInto<u64>) -> String {
    figure(number(count))
}

/// A figure that may be missing, with its unit.
pub fn maybe(value: Option<f64>, unit: &str) -> String {
    value.map_or("–".to_owned(), |value| figure(value) + unit)
}

/// A table of [`row!`]s.
pub fn table<Heading: Render>(headings: impl IntoIterator<Item = Heading>, rows: impl IntoIterator<Item = Markup>) -> Markup {
    html! {
        div.scroll { table {
            tr { @for heading in headings { th { (heading) } } }
            @for row in rows { (row) }
        } }
    }
}

/// A row of a table, from cells of any type that a page renders.
macro_rules! row {
    ($($cell:expr),+ $(,)?) => { maud::html! { tr { $(td { ($cell) })+ } } };
}
pub(super) use row;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::latency::{API, Wait};
    use crate::verdict::metric::{METRICS, PLAN_TIMES, label_of};

    #[test]
    fn every_wait_and_every_standing_criterion_has_a_label_in_both_languages() {
        for name in Wait::ALL.iter().map(|wait| wait.name()).chain([API]) {
            assert!(Wait::label_of(name).is_some_and(|label| label.ko != label.en), "{name}");
        }
        let judged = METRICS.iter().filter(|metric| metric.criterion.is_some()).map(|metric| metric.name);
        for name in judged.chain(PLAN_TIMES.map(|(name, ..)| name)) {
            assert!(label_of(name).is_some_and(|label| label.ko != label.en), "{name}");
        }
    }

    #[test]
    fn numbers_are_readable() {
        let written = [0.0, 7.0, 0.456, 12.34, 123.4, 37_200.0, 1_234_567.0, -0.5].map(figure);
        assert_eq!(written, ["0", "7", "0.46", "12.3", "123", "37,200", "1,234,567", "−0.50"]);
        let units = ["api.p95", "errors.percent", "delivery.lost", "server.cpu_s", "delivery.growth_ms"].map(unit);
        assert_eq!(units, [" ms", " %", "", " s", " ms"]);
    }
}
