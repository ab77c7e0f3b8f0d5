//! The plan's part 6 as a checklist: what a load test must have shown, filled in by what ran.
//!
//! The items follow from the scenarios and their criteria. One that nothing judged stays open: a
//! checklist that ticks itself would be worth nothing.

use super::labels::{badge, grade, table};
use crate::measure::{Label, label};
use crate::run::summary::Summary;
use crate::verdict::criteria::Grade;
use crate::verdict::outcome::Outcome;
use maud::{Markup, html};

/// An item, and the beginnings of the metrics that show it.
struct Item {
    label: Label,
    metrics: &'static [&'static str],
}

const fn item(ko: &'static str, en: &'static str, metrics: &'static [&'static str]) -> Item {
    Item { label: label(ko, en), metrics }
}

const ITEMS: [Item; 14] = [
    item("모두가 저마다의 번호를 받고, 다시 물어도 같다", "everybody has a number of their own, and keeps it", &["numbers."]),
    item(
        "모든 소켓이 열리고, 인사받고, 살아 있다",
        "every socket opens, is greeted and stays alive",
        &[
            "ws.absent",
            "ws.ungreeted",
            "ws.greeted_late",
            "ws.pongs_missing",
            "ws.drops",
            "ws.success.percent",
            "ws.restarts_endless",
        ],
    ),
    item("추첨마다 모든 단계가 한 번씩, 제때에", "each draw takes every step once, in order, in its time", &["draws."]),
    item(
        "모든 프레임이 모든 폰에 한 번씩",
        "every frame reaches every phone once",
        &["delivery.lost", "delivery.doubled", "delivery.reordered", "delivery.contradicted", "delivery.strange"],
    ),
    item(
        "당첨자가 어디서나 같고 자격이 있다",
        "winners are eligible, and the same everywhere",
        &["winners.", "history.", "results.wrong", "answers.wrong"],
    ),
    item(
        "모두가 함께 안다",
        "all phones learn it together",
        &["draw.delivery", "draw.spread", "draw.show", "delivery.slowest", "delivery.growth"],
    ),
    item("응답 시간과 오류율", "response times and errors", &["api.", "errors."]),
    item(
        "메모리가 한계 아래이고 늘지 않는다",
        "memory stays below its limit and does not grow",
        &["server.rss_peak_mb", "server.growth_mb"],
    ),
    item("CPU가 한계 아래", "CPU stays below its limit", &["server.cpu_percent"]),
    item(
        "떠난 폰이 서버에 남지 않는다",
        "nothing is left of phones that are gone",
        &["ws.ghosts", "ws.forgotten", "ws.slow_kept", "server.descriptors_leaked"],
    ),
    item("끊긴 뒤 모두가 돌아와 놓친 것을 받는다", "all come back after a loss, and catch up", &["storm."]),
    item("당첨자 정보가 남는다", "winners' details are kept", &["details."]),
    item("서버가 끝까지 있다", "the server is there to the end", &["server.lost", "server.unreachable"]),
    item("서버 로그에 오류가 없다", "the server's log holds no error", &["server.log_errors"]),
];

/// Metrics that count what draws send.
const OF_DRAWS: [&str; 2] = ["delivery.", "winners."];

/// A row per item, a column per scenario.
pub fn section(summary: &Summary) -> Markup {
    let columns =
        [html! {}].into_iter().chain(summary.scenarios.iter().map(|outcome| html! { (outcome.scenario.to_uppercase()) }));
    let rows = ITEMS.iter().map(|item| {
        html! {
            tr {
                td { (item.label) }
                @for outcome in &summary.scenarios { td { (state(item, outcome)) } }
            }
        }
    });
    html! {
        section.card {
            h2 { (label("점검표 (계획 6부)", "Checklist (the plan's part 6)")) }
            p.note { (label("항목은 시나리오와 기준에서 왔습니다. 판정하지 않은 것은 비어 있습니다.", "Items follow from the scenarios and their criteria. One that nothing judged is open.")) }
            (table(columns, rows))
        }
    }
}

fn state(item: &Item, outcome: &Outcome) -> Markup {
    match judge(item, outcome) {
        None => html! { "–" },
        Some(Grade::Unjudged) => badge("void", label("무효", "void")),
        Some(found) => {
            let (class, name) = grade(found);
            badge(class, name)
        }
    }
}

/// The worst grade of an item; `None` when nothing judged it, `Unjudged` when the tester voids it.
fn judge(item: &Item, outcome: &Outcome) -> Option<Grade> {
    let of_item = |metric: &str| item.metrics.iter().any(|beginning| metric.starts_with(beginning));
    let judged = outcome.judgements.iter().filter(|judgement| of_item(&judgement.metric) && judgement.grade != Grade::Unjudged);
    let grades = judged.map(|judgement| match judgement.is_void(&outcome.tester) {
        true => Grade::Unjudged,
        false => judgement.grade,
    });
    let worst = grades.max_by_key(|grade| match grade {
        Grade::Good => 0,
        Grade::Unjudged => 1,
        Grade::Tolerable => 2,
        Grade::Missed => 3,
    });
    // Without draws there was nothing to deliver and nobody to win. Only a fault shows then.
    let is_empty = outcome.draws_planned == 0 && item.metrics.iter().any(|beginning| OF_DRAWS.contains(beginning));
    worst.filter(|grade| !is_empty || *grade != Grade::Good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::criteria::standing_criteria;

    #[test]
    fn every_standing_criterion_has_its_item_and_every_item_its_criterion() {
        let criteria = standing_criteria();
        let fits = |item: &Item, metric: &str| item.metrics.iter().any(|beginning| metric.starts_with(beginning));
        for criterion in &criteria {
            assert_eq!(ITEMS.iter().filter(|item| fits(item, &criterion.metric)).count(), 1, "{}", criterion.metric);
        }
        for item in &ITEMS {
            assert!(criteria.iter().any(|criterion| fits(item, &criterion.metric)), "{}", item.label.en);
        }
    }
}
