//! `compare`: two runs side by side, and whether the second is worse than allowed.
//!
//! Runs of another size, plan or pace are refused, and a run that did not pass is never better. A
//! run whose tester was the bottleneck makes the comparison void: its times are the tester's.

use crate::arguments::{CRITERION_MISSED, Compare, RunError, VOID};
use crate::run::summary::FORMAT;
use crate::verdict::metric::{is_latency, is_metric};
use serde_json::Value;
use std::path::Path;

/// Metrics that are always shown.
const SHOWN: [&str; 9] = [
    "api.p95",
    "api.p99",
    "register.p95",
    "ws.handshake.p95",
    "draw.delivery.p99",
    "draw.spread.p99",
    "errors.percent",
    "server.rss_peak_mb",
    "server.cpu_s",
];

/// Fields that two runs must have in common, per scenario and as a whole.
const SAME: [&str; 3] = ["users", "draws_planned", "planned_s"];
const SAME_IN_ALL: [&str; 1] = ["time_scale"];

/// A smaller change of a time is noise: timers have a resolution of a millisecond.
const NOISE_MS: f64 = 1.0;

/// A change that is too much: `register.p95>+20%`, or without percent sign in the metric's own
/// unit.
#[derive(Debug, PartialEq)]
struct Limit {
    metric: String,
    more: bool,
    change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Percent(f64),
    Amount(f64),
}

impl Limit {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("--fail-if {text}: {why}");
        let at = text.find(['<', '>']).ok_or_else(|| wrong("has no < or >"))?;
        let (metric, change) = (text[..at].trim(), text[at + 1..].trim());
        if !is_metric(metric) {
            return Err(wrong(&format!("there is no metric {metric}")));
        }
        let (number, of): (&str, fn(f64) -> Change) = match change.strip_suffix('%') {
            Some(number) => (number, Change::Percent),
            None => (change.trim_end_matches("ms").trim_end_matches("MB"), Change::Amount),
        };
        let signed = number.starts_with(['+', '-']);
        let value = number.parse().ok().filter(|value: &f64| value.is_finite() && signed);
        let change = of(value.ok_or_else(|| wrong("the change is to be like +20% or -5"))?);
        Ok(Self { metric: metric.to_owned(), more: text[at..].starts_with('>'), change })
    }

    /// Tells whether the change from `before` to `after` is too much. A percentage of next to
    /// nothing is noise.
    fn is_broken(&self, before: f64, after: f64) -> bool {
        let is_percentage = matches!(self.change, Change::Percent(_));
        if is_percentage && is_latency(&self.metric) && (after - before).abs() < NOISE_MS {
            return false;
        }
        let allowed = match self.change {
            Change::Percent(percent) => before * (1.0 + percent / 100.0),
            Change::Amount(amount) => before + amount,
        };
        if self.more { after > allowed } else { after < allowed }
    }
}

/// Compares two summaries, scenario by scenario.
///
/// # Errors
/// When a file is no summary, a limit names no metric, or the runs are not comparable.
pub fn compare(options: &Compare) -> Result<u8, RunError> {
    let limits = options.fail_if.iter().map(|text| Limit::parse(text)).collect::<Result<Vec<_>, _>>().map_err(RunError::Usage)?;
    let (before, after) = (read(&options.before)?, read(&options.after)?);
    let limited = limits.iter().map(|limit| limit.metric.as_str()).filter(|metric| !SHOWN.contains(metric));
    let metrics: Vec<&str> = SHOWN.into_iter().chain(limited).collect();
    require_same(&SAME_IN_ALL, &before, &after, "the runs")?;
    let (mut broken, mut void, mut pairs) = (false, false, 0);
    for one in scenarios(&before) {
        let Some(other) = scenarios(&after).find(|other| other["scenario"] == one["scenario"]) else { continue };
        pairs += 1;
        require_same(&SAME, one, other, &format!("scenario {}", one["scenario"]))?;
        let title = format!("== {}", one["scenario"].as_str().unwrap_or("?"));
        println!("{title:<28}{:>14}{:>14}{:>12}", "before", "after", "change");
        for run in [one, other] {
            if run["tester"]["limited_by"].as_array().is_some_and(|reasons| !reasons.is_empty()) {
                void = true;
                println!("generator-limited: {}", run["tester"]["limited_by"]);
            }
        }
        if other["verdict"] != "pass" {
            broken = true;
            println!("the later run did not pass: {}", other["verdict"]);
        }
        if one["verdict"] != "pass" {
            void = true;
            println!("the earlier run did not pass, and is no measure: {}", one["verdict"]);
        }
        for metric in &metrics {
            let values = (one["metrics"][metric].as_f64(), other["metrics"][metric].as_f64());
            let too_much = limits.iter().filter(|limit| limit.metric == *metric).any(|limit| {
                // A missing figure never passes.
                values.0.zip(values.1).is_none_or(|(before, after)| limit.is_broken(before, after))
            });
            broken |= too_much;
            println!("{}", row(metric, values, too_much));
        }
    }
    if pairs == 0 {
        return Err(RunError::CouldNotRun("the two runs have no scenario in common".into()));
    }
    let (word, code) = match () {
        () if void && !broken => ("VOID", VOID),
        () if broken => ("FAIL", CRITERION_MISSED),
        () => ("PASS", 0),
    };
    println!("compare: {word}, exit {code}");
    Ok(code)
}

/// Refuses to compare what is not alike.
fn require_same(keys: &[&str], one: &Value, other: &Value, what: &str) -> Result<(), RunError> {
    match keys.iter().find(|key| one[**key] != other[**key]) {
        Some(key) => {
            let why = format!("{what}: {key} is {} before and {} after, so nothing can be compared", one[*key], other[*key]);
            Err(RunError::CouldNotRun(why))
        }
        None => Ok(()),
    }
}

fn row(metric: &str, values: (Option<f64>, Option<f64>), too_much: bool) -> String {
    let shown = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    let change = match values {
        (Some(before), Some(after)) if before != 0.0 => format!("{:+.1} %", (after / before - 1.0) * 100.0),
        _ => "-".to_owned(),
    };
    format!("{metric:<28}{:>14}{:>14}{change:>12}{}", shown(values.0), shown(values.1), if too_much { "  TOO MUCH" } else { "" })
}

fn read(path: &Path) -> Result<Value, RunError> {
    let could_not = |error: &dyn std::fmt::Display| RunError::CouldNotRun(format!("{}: {error}", path.display()));
    let text = std::fs::read(path).map_err(|error| could_not(&error))?;
    let summary: Value = serde_json::from_slice(&text).map_err(|error| could_not(&error))?;
    if summary["format"] == FORMAT { Ok(summary) } else { Err(could_not(&"is no summary of this tester")) }
}

fn scenarios(summary: &Value) -> impl Iterator<Item = &Value> {
    summary["scenarios"].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_signed_change_of_a_metric() {
        let limit = |metric: &str, more, change| Ok(Limit { metric: metric.into(), more, change });
        assert_eq!(Limit::parse("register.p95>+20%"), limit("register.p95", true, Change::Percent(20.0)));
        assert_eq!(Limit::parse("ws.success.percent < -0.5"), limit("ws.success.percent", false, Change::Amount(-0.5)));
        assert_eq!(Limit::parse("api.p99>+5ms"), limit("api.p99", true, Change::Amount(5.0)));
        for text in ["", "register.p95", "register.p95>20%", "speed>+1%", "api.p95>+x%", "api.p95>+NaN"] {
            assert!(Limit::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_change_beyond_the_limit_breaks_it() {
        let broken = |text: &str, before, after| Limit::parse(text).unwrap().is_broken(before, after);
        assert!(!broken("register.p95>+20%", 10.0, 12.0) && broken("register.p95>+20%", 10.0, 12.1));
        assert!(!broken("register.p95>+20%", 10.0, 1.0), "faster is fine");
        assert!(!broken("register.p95>+20%", 0.5, 1.2), "less than a timer resolves");
        assert!(broken("register.p95>+0.5ms", 0.5, 1.2), "unless it is asked for");
        assert!(broken("ws.success.percent<-0.5", 100.0, 99.0) && !broken("ws.success.percent<-0.5", 100.0, 99.6));
    }
}
