//! The report for a terminal: the verdict first, then what it rests on.

use crate::metric::is_timed;
use crate::outcome::{Outcome, Summary};
use crate::verdict::{Grade, Origin, Verdict};
use std::fmt::Write;

/// Faults that are told; the others are in `summary.json`.
const FAULTS_MAX: usize = 10;

/// One scenario.
pub fn of(outcome: &Outcome) -> String {
    let mut text = String::new();
    write_all(&mut text, outcome).expect("a String takes everything");
    text
}

/// The end of a run: the advice, and the verdict in one line.
pub fn ending(summary: &Summary) -> String {
    let mut text = String::new();
    super::boxes::write_text(&mut text, &summary.advice).expect("a String takes everything");
    let each: Vec<String> = summary
        .scenarios
        .iter()
        .map(|outcome| format!("{} {}", outcome.scenario.to_uppercase(), name(outcome.verdict)))
        .collect();
    text + &format!("drawload: {} ({}), exit {}", name(summary.verdict), each.join(", "), summary.exit_code)
}

fn write_all(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let Outcome { scenario, what, users, draws_planned, lasted_s, .. } = outcome;
    writeln!(
        text,
        "\n== {} {what}: {users} users, {draws_planned} draws, {lasted_s:.1} s: {}",
        scenario.to_uppercase(),
        name(outcome.verdict)
    )?;
    writeln!(text, "{:<22}{:>8}{:>10}{:>10}{:>10}{:>10}{:>12}", "ms", "count", "p50", "p95", "p99", "max", "service p99")?;
    for (name, times) in &outcome.latencies {
        let of = &times.response;
        writeln!(
            text,
            "{name:<22}{:>8}{:>10.2}{:>10.2}{:>10.2}{:>10.2}{:>12.2}",
            of.count, of.p50_ms, of.p95_ms, of.p99_ms, of.max_ms, times.service.p99_ms
        )?;
    }
    let metric = |name: &str| outcome.metrics.get(name).copied().flatten().map_or("?".to_owned(), |value| value.to_string());
    writeln!(
        text,
        "frames   {} heard of {} due to phones and display: {} lost, {} doubled, {} reordered, {} contradicted, {} strange",
        metric("delivery.received"),
        metric("delivery.expected"),
        metric("delivery.lost"),
        metric("delivery.doubled"),
        metric("delivery.reordered"),
        metric("delivery.contradicted"),
        metric("delivery.strange")
    )?;
    match &outcome.server {
        Some(server) => writeln!(
            text,
            "server   {:.1} MB RSS at its peak ({:.1} MB PSS), {:.2} CPU-seconds, worst 10 s {}, {:.2} burst minutes",
            server.rss_peak_mb,
            server.pss_peak_mb,
            server.cpu_s,
            server.cpu_worst_10s_percent.map_or("not measured".to_owned(), |percent| format!("{percent:.1} %")),
            server.burst_minutes
        )?,
        None => writeln!(text, "server   not measured: give its --pid")?,
    }
    let tester = &outcome.tester;
    writeln!(
        text,
        "tester   timers {:.1} ms late at p99, {} of {} sends missed their time, {:.2} CPU-seconds",
        tester.timer_lag_p99_ms, tester.sends_missed, tester.sends, tester.cpu_s
    )?;
    tester.limited_by.iter().try_for_each(|why| writeln!(text, "         generator-limited: {why}"))?;
    write_judgements(text, outcome)?;
    outcome.faults.iter().take(FAULTS_MAX).try_for_each(|fault| writeln!(text, "fault    {fault}"))?;
    outcome
        .failures
        .iter()
        .take(FAULTS_MAX)
        .try_for_each(|failure| writeln!(text, "failure  at {:.2} s {}: {}", failure.at_s, failure.what, failure.why))
}

fn write_judgements(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    writeln!(text, "{:<9}{:<24}{:>12}  {:<10}{:<12}", "", "criterion", "measured", "good", "acceptable")?;
    let limited = !outcome.tester.limited_by.is_empty();
    for judgement in &outcome.judgements {
        let grade = match judgement.grade {
            Grade::Good | Grade::Tolerable | Grade::Missed if limited && is_timed(&judgement.metric) => "void",
            Grade::Good => "good",
            Grade::Tolerable => "MISSED (acceptable)",
            Grade::Missed => "MISSED",
            Grade::Unjudged => "not judged",
        };
        let origin = match judgement.origin {
            Origin::Must => "must",
            Origin::Plan => "plan",
            Origin::Asked => "asked",
        };
        let value = judgement.value.map_or("-".to_owned(), |value| format!("{:.3}", value));
        let acceptable = judgement.acceptable.as_deref().unwrap_or_default();
        let (metric, wanted) = (&judgement.metric, &judgement.wanted);
        writeln!(text, "{origin:<9}{metric:<24}{value:>12}  {wanted:<10}{acceptable:<12}{grade} {}", judgement.note)?;
    }
    Ok(())
}

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Void => "VOID",
        Verdict::Fail => "FAIL",
        Verdict::Interrupted => "INTERRUPTED",
    }
}
