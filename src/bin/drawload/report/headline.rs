//! The first line of a report: which criterion failed and why, in the reader's language; and
//! failures of one kind as one line.

use super::labels::{figure, unit};
use crate::measure::recorder::Failure;
use crate::run::summary::Summary;
use crate::verdict::criteria::{Judgement, Origin, Verdict};
use crate::verdict::metric::label_of;
use crate::verdict::outcome::Outcome;
use std::collections::BTreeMap;

/// The criterion that decided the verdict, or the reason why it is void, in Korean and English;
/// `None` for a run that passed.
pub fn headline(summary: &Summary) -> Option<(String, String)> {
    let limited = summary.scenarios.iter().filter(|outcome| outcome.verdict == Verdict::Void);
    let mut why_void = limited.filter_map(|outcome| {
        let (ko, en) = (outcome.tester.limited_by_ko.first()?, outcome.tester.limited_by.first()?);
        let scenario = outcome.scenario.to_uppercase();
        Some((format!("{scenario}: {ko}"), format!("{scenario}: the tester was the bottleneck: {en}")))
    });
    missed(summary).or_else(|| why_void.next())
}

fn missed(summary: &Summary) -> Option<(String, String)> {
    // The plan of an interrupted run was cut short by the signal.
    let missed = |outcome: &'_ &Outcome| {
        outcome.verdict == Verdict::Fail && outcome.judgements.iter().any(|judgement| counts(outcome, judgement))
    };
    let outcome = summary.scenarios.iter().find(missed)?;
    let mut missed: Vec<&Judgement> = outcome.judgements.iter().filter(|judgement| counts(outcome, judgement)).collect();
    missed.sort_by_key(|judgement| judgement.origin != Origin::Must);
    let judgement = missed.first()?;
    let scenario = outcome.scenario.to_uppercase();
    let metric = &judgement.metric;
    let (ko, en) = label_of(metric).map_or((metric.as_str(), metric.as_str()), |label| (label.ko, label.en));
    let value = judgement.value.map(|value| figure(value) + unit(metric));
    let (value_ko, value_en) = (value.clone().unwrap_or("재지 못함".into()), value.unwrap_or("not measured".into()));
    let wanted = format!("{}{}", judgement.wanted, unit(metric));
    let (why_ko, why_en) = why(outcome, metric);
    Some((
        format!("{scenario}: {ko} {value_ko} (기준 {wanted}){why_ko}"),
        format!("{scenario}: {en} {value_en}, wanted {wanted}{why_en}"),
    ))
}

/// Tells whether a judgement makes the run fail.
pub fn counts(outcome: &Outcome, judgement: &Judgement) -> bool {
    judgement.is_missed() && !judgement.is_void(&outcome.tester)
}

/// The reason, as far as one line can tell it.
fn why(outcome: &Outcome, metric: &str) -> (String, String) {
    if metric == "delivery.lost"
        && let Some(loss) = outcome.losses.iter().max_by_key(|loss| loss.frames)
        && let (true, Some(draw)) = (loss.is_everything, loss.draw)
    {
        let ko = format!(" — {}번 폰이 추첨 {draw}부터 모두 잃음", loss.phone);
        return (ko, format!(": phone {} lost everything from draw {draw} on", loss.phone));
    }
    let fault = outcome.faults.iter().find_map(|fault| fault.strip_prefix(metric)?.strip_prefix(": "));
    fault.map_or_else(Default::default, |fault| (format!(" — {fault}"), format!(": {fault}")))
}

/// Failures of the same kind, with their first and last time in seconds.
pub struct Group<'a> {
    pub what: &'a str,
    pub why: &'a str,
    pub count: usize,
    pub first_s: f64,
    pub last_s: f64,
}

/// Groups failures, the most frequent first. Those of several phones are of one kind.
pub fn group(failures: &[Failure]) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<(&str, &str), Group<'_>> = BTreeMap::new();
    for Failure { at_s, what, why } in failures {
        let (who, reason) = why.split_once(": ").unwrap_or_default();
        let why = if who.starts_with("phone ") { reason } else { why };
        let new = || Group { what, why, count: 0, first_s: *at_s, last_s: *at_s };
        let group = groups.entry((what, why)).or_insert_with(new);
        (group.count, group.last_s) = (group.count + 1, group.last_s.max(*at_s));
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups
}

impl Group<'_> {
    pub fn line(&self) -> String {
        let Self { what, why, count, first_s, last_s } = self;
        match count {
            1 => format!("at {first_s:.2} s {what}: {why}"),
            _ => format!("{count} times from {first_s:.2} s to {last_s:.2} s {what}: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_one_kind_are_one_line() {
        let failure = |at_s, what: &str| Failure { at_s, what: what.into(), why: "503 OVERLOADED".into() };
        let mut failures = vec![failure(1.0, "results"), failure(2.0, "register"), failure(3.5, "register")];
        failures
            .extend([3, 4, 5].map(|phone| Failure { why: format!("phone {phone}: refused"), ..failure(9.0, "ws.handshake") }));
        let lines: Vec<String> = group(&failures).iter().map(Group::line).collect();
        assert_eq!(lines.first().unwrap(), "3 times from 9.00 s to 9.00 s ws.handshake: refused");
        assert_eq!(lines[1..], ["2 times from 2.00 s to 3.50 s register: 503 OVERLOADED", "at 1.00 s results: 503 OVERLOADED"]);
    }
}
