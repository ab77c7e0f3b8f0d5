//! The report for a terminal: the verdict first, then its evidence.

use super::headline::{group, headline};
use super::labels::verdict;
use super::sizing;
use crate::measure::address_ledger::AddressFigures;
use crate::run::summary::Summary;
use crate::verdict::criteria::{Grade, Origin, Verdict};
use crate::verdict::outcome::Outcome;
use std::fmt::{self, Write};

/// Faults that are printed per metric, and failures; all are in `failures.csv`.
const FAULTS_MAX: usize = 3;
const FAILURES_MAX: usize = 10;

/// Bottlenecks that are printed.
const BOTTLENECKS: usize = 3;

/// One scenario.
pub fn scenario(outcome: &Outcome) -> String {
    let mut text = String::new();
    write_scenario(&mut text, outcome).expect("a String takes everything");
    text
}

/// The end of a run: the sizing, and the verdict in one line.
pub fn ending(summary: &Summary) -> String {
    let mut text = String::new();
    sizing::write_text(&mut text, &summary.sizing).expect("a String takes everything");
    let each = summary.scenarios.iter().map(|outcome| format!("{} {}", outcome.scenario.to_uppercase(), name(outcome.verdict)));
    let each = each.collect::<Vec<_>>().join(", ");
    let why = headline(summary).map_or(String::new(), |(_, en)| format!("drawload: {en}\n"));
    text + &format!("{why}drawload: {} ({each}), exit {}", name(summary.verdict), summary.exit_code)
}

fn write_scenario(text: &mut String, outcome: &Outcome) -> fmt::Result {
    let Outcome { scenario, what, users, draws_planned, lasted_s, tester, .. } = outcome;
    let (scenario, verdict) = (scenario.to_uppercase(), name(outcome.verdict));
    writeln!(text, "\n== {scenario} {what}: {users} users, {draws_planned} draws, {lasted_s:.1} s: {verdict}")?;
    writeln!(text, "{:<22}{:>8}{:>10}{:>10}{:>10}{:>10}{:>12}", "ms", "count", "p50", "p95", "p99", "max", "service p99")?;
    for (name, times) in &outcome.latencies {
        let (of, service) = (&times.response, times.service.p99_ms);
        write!(text, "{name:<22}{:>8}{:>10.2}{:>10.2}", of.count, of.p50_ms, of.p95_ms)?;
        writeln!(text, "{:>10.2}{:>10.2}{service:>12.2}", of.p99_ms, of.max_ms)?;
    }
    let metric = |name: &str| outcome.metric(name).map_or("?".to_owned(), |value| value.to_string());
    let [received, expected] = ["delivery.received", "delivery.expected"].map(metric);
    write!(text, "frames   {received} received of {expected} due to phones and display: ")?;
    let faults = ["lost", "doubled", "reordered", "contradicted", "strange"];
    let faults = faults.map(|fault| format!("{} {fault}", metric(&format!("delivery.{fault}"))));
    writeln!(text, "{}", faults.join(", "))?;
    match &outcome.server {
        Some(server) => writeln!(
            text,
            "server   {:.1} MB RSS at its peak{}, {:.2} CPU-seconds, worst 10 s {}, {:.2} burst minutes",
            server.rss_peak_mb,
            outcome.metric("server.pss_peak_mb").map_or(String::new(), |mb| format!(" ({mb:.1} MB PSS)")),
            server.cpu_s,
            server.cpu_worst_10s_percent.map_or("not measured".to_owned(), |percent| format!("{percent:.1} %")),
            server.burst_minutes
        )?,
        None => writeln!(text, "server   not measured: give its --pid")?,
    }
    if outcome.addresses.len() > 1 {
        outcome.addresses.iter().try_for_each(|of| write_address(text, of))?;
    }
    write!(text, "tester   timers {:.1} ms late at p99, ", tester.timer_lag_p99_ms)?;
    write!(text, "{} of {} sends missed their time, ", tester.sends_missed, tester.sends)?;
    writeln!(text, "{:.2} CPU-seconds", tester.cpu_s)?;
    tester.limited_by.iter().try_for_each(|why| writeln!(text, "         generator-limited: {why}"))?;
    write_judgements(text, outcome)?;
    let metric = |fault: &str| fault.split_once(": ").map(|(metric, _)| metric.to_owned());
    for faults in outcome.faults.chunk_by(|one, other| metric(one) == metric(other)) {
        faults.iter().take(FAULTS_MAX).try_for_each(|fault| writeln!(text, "fault    {fault}"))?;
    }
    let groups = group(&outcome.failures);
    groups.iter().take(FAILURES_MAX).try_for_each(|group| writeln!(text, "failure  {}", group.line()))?;
    write_bottlenecks(text, outcome)
}

fn write_address(text: &mut String, of: &AddressFigures) -> fmt::Result {
    let AddressFigures { address, phones, left, handshakes, handshakes_failed, deliveries, spread } = of;
    write!(
        text,
        "address  {address}: {phones} phones, {left} left it, {handshakes} handshakes and {handshakes_failed} failed, "
    )?;
    writeln!(text, "{deliveries} announcements, spread p99 {:.1} ms", spread.p99_ms)
}

fn write_judgements(text: &mut String, outcome: &Outcome) -> fmt::Result {
    writeln!(text, "{:<9}{:<24}{:>12}  {:<10}{:<12}", "", "criterion", "measured", "good", "acceptable")?;
    for judgement in &outcome.judgements {
        let grade = match judgement.grade {
            _ if judgement.is_void(&outcome.tester) => "void",
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
        let value = judgement.value.map_or("-".to_owned(), |value| format!("{value:.3}"));
        let acceptable = judgement.acceptable.as_deref().unwrap_or_default();
        let (metric, wanted) = (&judgement.metric, &judgement.wanted);
        writeln!(text, "{origin:<9}{metric:<24}{value:>12}  {wanted:<10}{acceptable:<12}{grade} {}", judgement.note)?;
    }
    Ok(())
}

/// The plan's part 5.1: what comes closest to its limit, the closest first.
fn write_bottlenecks(text: &mut String, outcome: &Outcome) -> fmt::Result {
    let ranked = outcome.bottlenecks();
    let first: Vec<String> =
        ranked.iter().take(BOTTLENECKS).map(|(metric, share)| format!("{metric} at {:.0} %", share * 100.0)).collect();
    if first.is_empty() { Ok(()) } else { writeln!(text, "closest  to its limit: {}", first.join(", ")) }
}

pub fn name(of: Verdict) -> &'static str {
    verdict(of).1.en
}
