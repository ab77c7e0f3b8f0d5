//! The criteria: what must be zero in any run, the plan's table with both its columns, and what the
//! caller asks for.
//!
//! A figure that was not measured never passes. Where the tester itself was the bottleneck, a run
//! that would be judged by its times is void; faults of frames, winners and numbers count anyway.

use super::metric::{Comparison, METRICS, PLAN_TIMES, Requirement, is_metric, is_timed};
use crate::arguments::{CRITERION_MISSED, INTERRUPTED, VOID};
use crate::measure::self_metrics::TesterHealth;
use crate::scenario::Scenario;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The verdict on a scenario or a run; a later variant is worse.
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

/// The source of a criterion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Any run must meet it.
    Must,
    /// The plan's table.
    Plan,
    /// `--threshold`.
    Asked,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Criterion {
    pub origin: Origin,
    pub metric: String,
    side: Comparison,
    limit: f64,
    /// The plan's second column.
    acceptable: Option<f64>,
}

/// The grade of a scenario by one criterion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    Good,
    /// Misses the plan's target and keeps to its second column. The criterion is missed.
    Tolerable,
    Missed,
    /// Not judged; the note says why.
    Unjudged,
}

/// A criterion with its grade.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    pub origin: Origin,
    pub metric: String,
    /// The limit with its side, as in `< 500`.
    pub wanted: String,
    /// The plan's second column, as in `< 1000`.
    pub acceptable: Option<String>,
    pub value: Option<f64>,
    pub grade: Grade,
    pub note: &'static str,
    /// The value as a share of a limit that it must stay below.
    #[serde(skip)]
    pub share: Option<f64>,
}

/// A phone that reads nothing for this long must have been evicted.
const SLOW_JUDGED: Duration = Duration::from_secs(75);

/// A tester that stood still for longer may have lost its sockets by that.
const STALL_MS_MAX: f64 = 5_000.0;

/// The criteria of every run: what must be zero, then the plan's table.
pub fn standing_criteria() -> Vec<Criterion> {
    let times = PLAN_TIMES.map(|(metric, _, good, acceptable)| (metric, Requirement::Plan(Comparison::Below, good, acceptable)));
    let metrics = METRICS.iter().filter_map(|metric| Some((metric.name, metric.criterion?.0)));
    let (musts, plan): (Vec<_>, Vec<_>) = times
        .into_iter()
        .chain(metrics)
        .map(|(metric, requirement)| Criterion::standing(metric, requirement))
        .partition(|criterion| criterion.origin == Origin::Must);
    [musts, plan].concat()
}

impl Criterion {
    fn standing(metric: &str, requirement: Requirement) -> Self {
        let (origin, side, limit, acceptable) = match requirement {
            Requirement::Zero => (Origin::Must, Comparison::AtMost, 0.0, None),
            Requirement::Plan(side, limit, acceptable) => (Origin::Plan, side, limit, Some(acceptable)),
        };
        Self { origin, metric: metric.to_owned(), side, limit, acceptable }
    }

    /// Takes the plan's second column for its target.
    pub fn accept_threshold(&mut self) {
        self.limit = self.acceptable.take().unwrap_or(self.limit);
    }

    /// Parses `metric<limit`, also with `<=`, `>` and `>=`, and with ms, s, us, MB or % behind the
    /// number.
    ///
    /// # Errors
    /// Which part is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let at = text.find(['<', '>']).ok_or_else(|| format!("--threshold {text}: has no < or >"))?;
        let (metric, rest) = (text[..at].trim(), &text[at..]);
        let (side, limit) = match (&rest[..1], rest[1..].strip_prefix('=')) {
            ("<", None) => (Comparison::Below, &rest[1..]),
            ("<", Some(limit)) => (Comparison::AtMost, limit),
            (_, None) => (Comparison::Above, &rest[1..]),
            (_, Some(limit)) => (Comparison::AtLeast, limit),
        };
        if !is_metric(metric) {
            return Err(format!("--threshold {text}: there is no metric {metric}"));
        }
        let limit = parse_limit(limit.trim()).ok_or_else(|| format!("--threshold {text}: {limit} is no limit"))?;
        Ok(Self { origin: Origin::Asked, metric: metric.to_owned(), side, limit, acceptable: None })
    }

    fn is_of_sockets(&self) -> bool {
        ["draw.", "delivery.", "ws."].iter().any(|prefix| self.metric.starts_with(prefix))
    }

    /// Tells whether a scenario does what this criterion judges.
    pub fn applies_to(&self, scenario: &Scenario) -> bool {
        let has_sockets = scenario.sockets.is_some();
        let has_draws = scenario.draw_count() > 0;
        match self.metric.split('.').next().unwrap_or_default() {
            // The server evicts a silent socket within a minute, and not at once.
            "ws" if self.metric == "ws.slow_kept" && self.origin != Origin::Asked => scenario.slow_for() >= SLOW_JUDGED,
            "ws" if self.metric.starts_with("ws.return.") => scenario.storm.is_some(),
            "storm" => scenario.storm.is_some(),
            // Elsewhere a drop may have its reasons, and counts in the success of all sockets.
            "ws" if self.metric == "ws.drops" && self.origin != Origin::Asked => has_sockets && !has_draws,
            "delivery" if self.origin == Origin::Plan => has_draws && has_sockets,
            "ws" | "delivery" => has_sockets,
            "draw" | "draws" if self.metric.contains(".show") => has_draws && scenario.has_stage,
            "draw" if self.metric.starts_with("draw.delivery") || self.metric.starts_with("draw.complete") => {
                has_draws && !scenario.has_stage && (has_sockets || self.metric.starts_with("draw.complete"))
            }
            "draw" if self.metric.contains("spread") => has_draws && has_sockets,
            "draw" | "winners" | "history" | "draws" => has_draws,
            "results" if self.metric == "results.wrong" => has_draws,
            "results" | "check_winner" | "winner_info" | "details" => scenario.results.is_some(),
            "api" | "errors" | "numbers" | "answers" | "register" => scenario.registrations.is_some(),
            _ => true,
        }
    }

    /// Judges a scenario by its metrics. A simulated network takes its own time, and so does
    /// another time scale than the plan's.
    pub fn judge(&self, metrics: &BTreeMap<String, Option<f64>>, time_scale: f64, has_network: bool) -> Judgement {
        let value = metrics.get(&self.metric).copied().flatten();
        let is_plan = self.origin == Origin::Plan;
        let (grade, note) = match value {
            _ if is_plan && time_scale != 1.0 && is_timed(&self.metric) => (Grade::Unjudged, "the plan's times are scaled"),
            _ if is_plan && has_network && is_timed(&self.metric) && self.is_of_sockets() => {
                (Grade::Unjudged, "the network is simulated")
            }
            // Few draws show no growth, and the server's process is measured only when asked.
            None if is_plan && self.metric.ends_with("growth_ms") => (Grade::Unjudged, "not measured"),
            None if is_plan && self.metric.starts_with("server.") => (Grade::Unjudged, "not measured"),
            None => (Grade::Missed, "not measured"),
            Some(value) if self.side.holds(value, self.limit) => (Grade::Good, ""),
            Some(value) if self.acceptable.is_some_and(|limit| self.side.holds(value, limit)) => {
                (Grade::Tolerable, "beyond the target, within the plan's second column")
            }
            Some(_) => (Grade::Missed, ""),
        };
        let (metric, wanted) = (self.metric.clone(), self.side.describe(self.limit));
        let acceptable = self.acceptable.map(|limit| self.side.describe(limit));
        let is_below = matches!(self.side, Comparison::Below | Comparison::AtMost) && self.limit > 0.0;
        let share = value.filter(|_| is_below && grade != Grade::Unjudged).map(|value| value / self.limit);
        Judgement { origin: self.origin, metric, wanted, acceptable, value, grade, note, share }
    }
}

impl Judgement {
    pub fn is_missed(&self) -> bool {
        matches!(self.grade, Grade::Missed | Grade::Tolerable)
    }

    /// Tells whether a tester that was the bottleneck makes this judgement void. One that stood
    /// still for long was itself the reason for sockets that the server gave up.
    pub fn is_void(&self, tester: &TesterHealth) -> bool {
        let is_of_sockets = ["ws.", "storm.", "errors."].iter().any(|prefix| self.metric.starts_with(prefix));
        let stood_still = tester.longest_stall_ms > STALL_MS_MAX && is_of_sockets && self.is_missed();
        !tester.limited_by.is_empty() && (is_timed(&self.metric) || stood_still) && self.grade != Grade::Unjudged
    }
}

impl Comparison {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Comparison::Below => value < limit,
            Comparison::AtMost => value <= limit,
            Comparison::Above => value > limit,
            Comparison::AtLeast => value >= limit,
        }
    }

    fn describe(self, limit: f64) -> String {
        let side = match self {
            Comparison::Below => "<",
            Comparison::AtMost => "<=",
            Comparison::Above => ">",
            Comparison::AtLeast => ">=",
        };
        format!("{side} {limit}")
    }
}

/// Parses a number in the unit of its metric: milliseconds, percent, mebibytes or a count.
fn parse_limit(text: &str) -> Option<f64> {
    let units = [("ms", 1.0), ("us", 0.001), ("s", 1_000.0), ("MB", 1.0), ("%", 1.0), ("", 1.0)];
    let (number, factor) = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let value: f64 = number.trim().parse().ok()?;
    value.is_finite().then_some(value * factor)
}

/// The verdict on a scenario that ran to its end.
pub fn verdict(judgements: &[Judgement], tester: &TesterHealth) -> Verdict {
    if !tester.panics.is_empty() {
        Verdict::Void
    } else if judgements.iter().any(|judgement| judgement.is_missed() && !judgement.is_void(tester)) {
        Verdict::Fail
    } else if judgements.iter().any(|judgement| judgement.is_void(tester)) {
        Verdict::Void
    } else {
        Verdict::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_tester_voids_times_and_excuses_no_lost_frame() {
        let check = |metric: &str, grade, limited: bool| {
            let (metric, wanted) = (metric.to_owned(), String::new());
            let judgement =
                Judgement { origin: Origin::Plan, metric, wanted, acceptable: None, value: None, grade, note: "", share: None };
            let limited_by = if limited { vec!["it was slow".to_owned()] } else { vec![] };
            verdict(&[judgement], &TesterHealth { limited_by, ..TesterHealth::default() })
        };
        assert_eq!(check("api.p95", Grade::Good, false), Verdict::Pass);
        assert_eq!(check("api.p95", Grade::Missed, false), Verdict::Fail);
        assert_eq!(check("api.p95", Grade::Tolerable, false), Verdict::Fail);
        assert_eq!(check("api.p95", Grade::Missed, true), Verdict::Void);
        assert_eq!(check("api.p95", Grade::Good, true), Verdict::Void, "a good figure of a slow tester is none");
        assert_eq!(check("api.p95", Grade::Unjudged, true), Verdict::Pass);
        assert_eq!(check("delivery.lost", Grade::Missed, true), Verdict::Fail);
        let panicked = TesterHealth { panics: vec!["a phone".into()], ..TesterHealth::default() };
        assert_eq!(verdict(&[], &panicked), Verdict::Void, "a tester that failed proves nothing");
    }

    #[test]
    fn a_threshold_is_parsed_with_its_unit_and_must_name_a_metric() {
        let parse = |text| Criterion::parse(text).map(|criterion| (criterion.metric, criterion.side, criterion.limit));
        assert_eq!(parse("draw.spread.p99<100ms"), Ok(("draw.spread.p99".into(), Comparison::Below, 100.0)));
        assert_eq!(parse("api.max <= 2s"), Ok(("api.max".into(), Comparison::AtMost, 2_000.0)));
        assert_eq!(parse("ws.success.percent>=99.5%"), Ok(("ws.success.percent".into(), Comparison::AtLeast, 99.5)));
        assert_eq!(parse("server.rss_peak_mb<64MB"), Ok(("server.rss_peak_mb".into(), Comparison::Below, 64.0)));
        for text in ["", "api.p95", "api.p95<", "api.p95<x", "api.p95<NaN", "speed<1ms", "<5"] {
            assert!(Criterion::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_standing_criterion_names_a_metric() {
        let criteria = standing_criteria();
        assert!(criteria.iter().all(|criterion| is_metric(&criterion.metric)));
        let of = |origin| criteria.iter().filter(|criterion| criterion.origin == origin).count();
        assert_eq!((of(Origin::Must), of(Origin::Plan)), (37, 13), "six rows of the plan's table, delivery, shows and growth");
    }

    #[test]
    fn the_second_column_of_the_plan_can_be_asked_for() {
        let mut criterion = standing_criteria().into_iter().find(|criterion| criterion.metric == "api.p95").unwrap();
        criterion.accept_threshold();
        let judged = criterion.judge(&BTreeMap::from([("api.p95".to_owned(), Some(750.0))]), 1.0, false);
        assert_eq!((judged.grade, judged.share, &*judged.wanted), (Grade::Good, Some(0.75), "< 1000"));
    }

    #[test]
    fn a_figure_that_is_missing_is_missed_unless_nobody_could_measure_it() {
        let grade = |metric: &str, value: Option<f64>, scale| {
            let criterion = standing_criteria().into_iter().find(|criterion| criterion.metric == metric).unwrap();
            criterion.judge(&BTreeMap::from([(metric.to_owned(), value)]), scale, false).grade
        };
        assert_eq!(grade("delivery.lost", None, 1.0), Grade::Missed);
        assert_eq!(grade("api.p95", None, 1.0), Grade::Missed, "a call that was due");
        assert_eq!(grade("server.rss_peak_mb", None, 1.0), Grade::Unjudged, "without --pid");
        assert_eq!(
            [499.0, 500.0, 1_000.0].map(|ms| grade("api.p95", Some(ms), 1.0)),
            [Grade::Good, Grade::Tolerable, Grade::Missed]
        );
        assert_eq!(grade("api.p95", Some(1.0), 0.5), Grade::Unjudged, "scaled times");
        assert_eq!(grade("errors.percent", Some(9.0), 0.5), Grade::Missed, "a count is judged at any scale");
    }
}
