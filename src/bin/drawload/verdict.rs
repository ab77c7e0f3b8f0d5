//! The verdict: the plan's criteria in both its columns, what no run may miss, and what the caller asks for besides.
//!
//! What was not measured is never taken for good: a must that could not be looked at is missed. Where the tester itself was the bottleneck, a run
//! that would be judged by its times is void; what went wrong with frames, winners and numbers counts all the same.

use crate::measure::oneself::Myself;
use crate::metric::{Held, METRICS, PLAN_TIMES, is_metric, is_timed};
use crate::outcome::{CRITERION_MISSED, INTERRUPTED, Outcome, VOID};
use crate::plan::Plan;
use serde::Serialize;
use std::time::Duration;

/// The judgement on a scenario or a run; a later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    Void,
    Fail,
    Interrupted,
}

impl Verdict {
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Pass => 0,
            Verdict::Void => VOID,
            Verdict::Fail => CRITERION_MISSED,
            Verdict::Interrupted => INTERRUPTED,
        }
    }
}

/// Who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// What no run may miss.
    Must,
    /// The plan's table.
    Plan,
    /// `--threshold`.
    Asked,
}

/// Which side of the limit is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Below,
    AtMost,
    Above,
    AtLeast,
}

/// A criterion.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub origin: Origin,
    pub metric: String,
    pub side: Side,
    pub limit: f64,
    /// The plan's second column, which is still tolerable.
    pub tolerable: Option<f64>,
}

/// How a scenario did by a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    Good,
    /// Misses the plan's target and keeps to its second column. The criterion is missed.
    Tolerable,
    Missed,
    /// It is not judged, and says why.
    Unjudged,
}

/// A rule and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    pub origin: Origin,
    pub metric: String,
    /// The limit with its side, as in `< 500`.
    pub wanted: String,
    /// The plan's second column, as in `< 1000`; none where there is no second one.
    pub acceptable: Option<String>,
    pub value: Option<f64>,
    pub grade: Grade,
    pub note: &'static str,
}

/// A phone that reads nothing for so long must be gone.
const SLOW_JUDGED: Duration = Duration::from_secs(75);

/// The rules that every run is held to: what must be nothing, then the plan's table.
pub fn standing_rules() -> Vec<Rule> {
    let times = PLAN_TIMES.into_iter().map(|(metric, limit, tolerable)| of_plan(metric, Side::Below, limit, tolerable));
    let (mut must, mut plan) = (Vec::new(), times.collect::<Vec<_>>());
    for metric in METRICS {
        match metric.held {
            Held::Told => {}
            Held::Nothing => must.push(Rule {
                origin: Origin::Must,
                metric: metric.name.into(),
                side: Side::AtMost,
                limit: 0.0,
                tolerable: None,
            }),
            Held::Plan(side, limit, tolerable) => plan.push(of_plan(metric.name, side, limit, tolerable)),
        }
    }
    must.append(&mut plan);
    must
}

fn of_plan(metric: &str, side: Side, limit: f64, tolerable: f64) -> Rule {
    Rule { origin: Origin::Plan, metric: metric.into(), side, limit, tolerable: Some(tolerable) }
}

impl Rule {
    /// Reads `metric<limit`, with `<=`, `>` and `>=` too, and ms, s, us, MB or % behind the number.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let at = text.find(['<', '>']).ok_or_else(|| format!("--threshold {text}: has no < or >"))?;
        let (metric, rest) = (text[..at].trim(), &text[at..]);
        let (side, limit) = match (&rest[..1], rest[1..].strip_prefix('=')) {
            ("<", None) => (Side::Below, &rest[1..]),
            ("<", Some(limit)) => (Side::AtMost, limit),
            (_, None) => (Side::Above, &rest[1..]),
            (_, Some(limit)) => (Side::AtLeast, limit),
        };
        if !is_metric(metric) {
            return Err(format!("--threshold {text}: there is no metric {metric}"));
        }
        let limit = read_limit(limit.trim()).ok_or_else(|| format!("--threshold {text}: {limit} is no limit"))?;
        Ok(Self { origin: Origin::Asked, metric: metric.to_owned(), side, limit, tolerable: None })
    }

    fn holds(&self, value: f64, limit: f64) -> bool {
        match self.side {
            Side::Below => value < limit,
            Side::AtMost => value <= limit,
            Side::Above => value > limit,
            Side::AtLeast => value >= limit,
        }
    }

    /// Whether a plan does at all what this rule speaks of; what the caller asked for always counts.
    fn concerns(&self, plan: &Plan) -> bool {
        self.origin == Origin::Asked
            || match self.metric.split('.').next().unwrap_or_default() {
                // The server lets go of a silent socket within a minute, and not at once.
                "ws" if self.metric == "ws.slow_kept" => plan.slow_for() >= SLOW_JUDGED,
                "storm" => plan.storm.is_some(),
                "ws" | "delivery" => plan.sockets.is_some(),
                "api" | "errors" | "numbers" => plan.registrations.is_some(),
                "winners" | "history" | "draws" => plan.draw_count() > 0,
                _ => true,
            }
    }

    fn judge(&self, outcome: &Outcome, time_scale: f64) -> Judgement {
        let value = outcome.metrics.get(&self.metric).copied().flatten();
        let scaled = time_scale != 1.0 && self.origin == Origin::Plan && is_timed(&self.metric);
        let (grade, note) = match value {
            _ if scaled => (Grade::Unjudged, "the plan's times are scaled"),
            // Without a --pid nobody looked; a call that nobody made, though, was to be made.
            None if self.origin == Origin::Plan && self.metric.starts_with("server.") => (Grade::Unjudged, "not measured"),
            None => (Grade::Missed, "not measured"),
            Some(value) if self.holds(value, self.limit) => (Grade::Good, ""),
            Some(value) if self.tolerable.is_some_and(|limit| self.holds(value, limit)) => {
                (Grade::Tolerable, "beyond the target, within the plan's second column")
            }
            Some(_) => (Grade::Missed, ""),
        };
        let metric = self.metric.clone();
        let acceptable = self.tolerable.map(|limit| self.side.of(limit));
        Judgement { origin: self.origin, metric, wanted: self.side.of(self.limit), acceptable, value, grade, note }
    }
}

impl Side {
    fn of(self, limit: f64) -> String {
        let side = match self {
            Side::Below => "<",
            Side::AtMost => "<=",
            Side::Above => ">",
            Side::AtLeast => ">=",
        };
        format!("{side} {limit}")
    }
}

/// A number in the unit of its metric: milliseconds, percent, mebibytes or a count.
fn read_limit(text: &str) -> Option<f64> {
    let units = [("ms", 1.0), ("us", 0.001), ("s", 1_000.0), ("MB", 1.0), ("%", 1.0), ("", 1.0)];
    let (number, factor) = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let value: f64 = number.trim().parse().ok()?;
    value.is_finite().then_some(value * factor)
}

/// Judges a scenario by all rules and writes it down.
pub fn speak(outcome: &mut Outcome, plan: &Plan, rules: &[Rule], time_scale: f64, interrupted: bool) {
    outcome.judgements = rules.iter().filter(|rule| rule.concerns(plan)).map(|rule| rule.judge(outcome, time_scale)).collect();
    outcome.verdict = if interrupted { Verdict::Interrupted } else { verdict(&outcome.judgements, &outcome.tester) };
}

fn verdict(judgements: &[Judgement], tester: &Myself) -> Verdict {
    let missed = |judgement: &&Judgement| matches!(judgement.grade, Grade::Missed | Grade::Tolerable);
    let limited = !tester.limited_by.is_empty();
    if judgements.iter().filter(missed).any(|judgement| !limited || !is_timed(&judgement.metric)) {
        Verdict::Fail
    } else if limited && judgements.iter().any(|judgement| is_timed(&judgement.metric) && judgement.grade != Grade::Unjudged) {
        Verdict::Void
    } else {
        Verdict::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judgement(metric: &str, grade: Grade) -> Judgement {
        Judgement {
            origin: Origin::Plan,
            metric: metric.into(),
            wanted: String::new(),
            acceptable: None,
            value: None,
            grade,
            note: "",
        }
    }

    fn tester(limited: bool) -> Myself {
        let limited_by = if limited { vec!["it was slow".to_owned()] } else { vec![] };
        Myself { timer_lag_p99_ms: 0.0, sends: 0, sends_missed: 0, cpu_s: 0.0, cpu_worst_10s: None, limited_by }
    }

    #[test]
    fn a_slow_tester_voids_times_and_excuses_no_lost_frame() {
        let check = |metric, grade, limited| verdict(&[judgement(metric, grade)], &tester(limited));
        assert_eq!(check("api.p95", Grade::Good, false), Verdict::Pass);
        assert_eq!(check("api.p95", Grade::Missed, false), Verdict::Fail);
        assert_eq!(check("api.p95", Grade::Tolerable, false), Verdict::Fail);
        assert_eq!(check("api.p95", Grade::Missed, true), Verdict::Void);
        assert_eq!(check("api.p95", Grade::Good, true), Verdict::Void, "a good figure of a slow tester is none");
        assert_eq!(check("api.p95", Grade::Unjudged, true), Verdict::Pass);
        assert_eq!(check("delivery.lost", Grade::Missed, true), Verdict::Fail);
    }

    #[test]
    fn a_threshold_is_read_with_its_unit_and_must_name_a_metric() {
        let rule = |text| Rule::parse(text).map(|rule| (rule.metric, rule.side, rule.limit));
        assert_eq!(rule("draw.spread.p99<100ms"), Ok(("draw.spread.p99".into(), Side::Below, 100.0)));
        assert_eq!(rule("api.max <= 2s"), Ok(("api.max".into(), Side::AtMost, 2_000.0)));
        assert_eq!(rule("ws.success.percent>=99.5%"), Ok(("ws.success.percent".into(), Side::AtLeast, 99.5)));
        assert_eq!(rule("server.rss_peak_mb<64MB"), Ok(("server.rss_peak_mb".into(), Side::Below, 64.0)));
        for text in ["", "api.p95", "api.p95<", "api.p95<x", "api.p95<NaN", "speed<1ms", "<5"] {
            assert!(Rule::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_standing_rule_names_a_metric() {
        let rules = standing_rules();
        assert!(rules.iter().all(|rule| is_metric(&rule.metric)));
        let of = |origin| rules.iter().filter(|rule| rule.origin == origin).count();
        assert_eq!((of(Origin::Must), of(Origin::Plan)), (16, 6), "the plan's table has six lines");
    }
}
