//! The result of one scenario: every report is written from it, and every criterion judges it.

use super::audit::{self, Findings, ServerState};
use super::criteria::{Criterion, Judgement, Verdict, verdict};
use super::metric::{Evidence, METRICS};
use crate::actors::Run;
use crate::measure::delivery_ledger::{GapGrid, LostFrame};
use crate::measure::latency::{FIGURES, Figures, Latency, Wait};
use crate::measure::ms;
use crate::measure::process::ProcessStats;
use crate::measure::recorder::{Failure, Recorder, Sample, ServerUsage};
use crate::measure::self_metrics::TesterHealth;
use crate::measure::time_series::Curves;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;

/// Faults that are described per metric.
const FAULTS_MAX: usize = 20;

/// One scenario; its shape is part of `summary.schema.json`.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub scenario: &'static str,
    pub what: String,
    pub event_id: String,
    pub users: usize,
    pub draws_planned: u32,
    pub planned_s: f64,
    pub lasted_s: f64,
    pub verdict: Verdict,
    pub judgements: Vec<Judgement>,
    /// Every figure that a threshold can name; null where it was not measured.
    pub metrics: BTreeMap<String, Option<f64>>,
    pub latencies: BTreeMap<&'static str, Times>,
    /// Response times, for the distributions.
    #[serde(skip)]
    pub histograms: BTreeMap<&'static str, Histogram<u64>>,
    pub curves: Curves,
    /// Faults in words: frames first, then winners, numbers and answers.
    pub faults: Vec<String>,
    pub lost: Vec<LostFrame>,
    /// The same as a grid, for the picture.
    #[serde(skip)]
    pub gaps: GapGrid,
    pub draws: Vec<DrawOutcome>,
    pub socket_closes: BTreeMap<u16, u64>,
    pub failures: Vec<Failure>,
    /// Number of failures that are not listed.
    pub failures_unlisted: u64,
    pub server: Option<ServerUsage>,
    pub tester: TesterHealth,
    #[serde(rename = "series")]
    pub samples: Vec<Sample>,
}

/// Response times count from the planned time, service times from the sending.
#[derive(Debug, Serialize)]
pub struct Times {
    pub response: Figures,
    pub service: Figures,
}

impl Times {
    fn of(latency: &Latency) -> Self {
        Self { response: Figures::of(&latency.response), service: Figures::of(&latency.service) }
    }
}

/// A draw as the clients saw it.
#[derive(Debug, Serialize)]
pub struct DrawOutcome {
    pub draw_id: u32,
    pub prize: String,
    pub winners: Vec<u32>,
    pub phones: u32,
    pub spread_ms: Option<f64>,
    pub reveal_to_last_ms: Option<f64>,
}

impl Outcome {
    /// Everything but the judgements. `process` is the server's, before and after the scenario.
    pub fn new(run: &Run, lasted_s: f64, state: &ServerState, process: Option<(ProcessStats, ProcessStats)>) -> Self {
        let recorder = &mut *run.recorder();
        let findings = audit::compare(state, recorder);
        let told_seq = state.sync.as_ref().map(|sync| sync.seq);
        let end_seq = told_seq.unwrap_or(0).max(recorder.ledger.highest);
        let balance = recorder.ledger.balance(end_seq);
        let draws = record_spreads(recorder);
        let server = process.map(|(empty, end)| recorder.server_usage(empty, end, run.scenario.all_connected().as_secs_f64()));
        let latencies = recorder.latencies();
        let times: BTreeMap<_, _> = latencies.iter().map(|(name, latency)| (*name, Times::of(latency))).collect();
        let figures = times.iter().flat_map(|(name, times)| {
            FIGURES.iter().zip(times.response.values()).map(move |(figure, value)| (format!("{name}.{figure}"), Some(value)))
        });
        let evidence = Evidence {
            recorder,
            balance: told_seq.is_some().then_some(&balance),
            findings: &findings,
            state,
            server: server.as_ref(),
        };
        let counts = METRICS.iter().map(|metric| (metric.name.to_owned(), (metric.read)(&evidence)));
        let metrics = figures.chain(counts).collect();
        Self {
            scenario: run.scenario.name,
            what: run.scenario.what.clone(),
            event_id: run.target.event.clone(),
            users: run.scenario.users,
            draws_planned: run.scenario.draw_count(),
            planned_s: run.scenario.end.as_secs_f64(),
            lasted_s,
            verdict: Verdict::Pass,
            judgements: Vec::new(),
            metrics,
            latencies: times,
            histograms: latencies.into_iter().map(|(name, latency)| (name, latency.response)).collect(),
            curves: recorder.curves(),
            faults: faults(recorder, &balance.listed, &findings),
            lost: balance.listed,
            gaps: recorder.ledger.gaps(end_seq),
            draws,
            socket_closes: recorder.drops.clone(),
            failures: std::mem::take(&mut recorder.failures),
            failures_unlisted: recorder.failures_unlisted,
            server,
            tester: recorder.tester.health(),
            samples: std::mem::take(&mut recorder.samples),
        }
    }

    /// Judges the scenario by all criteria that apply to it.
    pub fn judge(&mut self, run: &Run, criteria: &[Criterion], time_scale: f64, interrupted: bool) {
        let criteria = criteria.iter().filter(|criterion| criterion.applies_to(&run.scenario));
        self.judgements = criteria.map(|criterion| criterion.judge(&self.metrics, time_scale)).collect();
        self.verdict = if interrupted { Verdict::Interrupted } else { verdict(&self.judgements, &self.tester) };
    }

    /// The server's CPU between every two samples: end and length in seconds, and busy vCPUs.
    pub fn cpu_usage(&self) -> Vec<(f64, f64, f64)> {
        let used = |two: &[Sample]| {
            let length_s = two[1].at_s - two[0].at_s;
            let used_s = two[1].server?.cpu_s - two[0].server?.cpu_s;
            (length_s > 0.0).then(|| (two[1].at_s, length_s, (used_s / length_s).max(0.0)))
        };
        self.samples.windows(2).filter_map(used).collect()
    }

    /// A metric, if it was measured.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.get(name).copied().flatten()
    }
}

/// Every fault in words, in the order of the metrics, each with the name of its metric.
fn faults(recorder: &Recorder, lost: &[LostFrame], findings: &Findings) -> Vec<String> {
    let of_metric = |metric: &'static str| {
        let lost = lost.iter().filter(move |_| metric == "delivery.lost").map(|lost| {
            let of_draw = lost.draw.map_or(String::new(), |draw| format!(" of draw {draw}"));
            format!("{} never received seq {} ({}{of_draw})", recorder.ledger.name(lost.phone), lost.seq, lost.kind)
        });
        let received = recorder.ledger.faults.get(metric).into_iter().flatten().cloned();
        let found = findings.lines(metric).iter().cloned();
        lost.chain(received).chain(found).take(FAULTS_MAX).map(move |fault| format!("{metric}: {fault}"))
    };
    METRICS.iter().flat_map(|metric| of_metric(metric.name)).collect()
}

/// Records the spread of every draw in the latencies, and returns the draws.
fn record_spreads(recorder: &mut Recorder) -> Vec<DrawOutcome> {
    let draws = std::mem::take(&mut recorder.ledger.draws);
    let prizes: BTreeMap<u32, String> = recorder.plan.iter().filter_map(|draw| Some((draw.id?, draw.prize.clone()))).collect();
    let mut outcomes = Vec::with_capacity(draws.len());
    for (id, draw) in &draws {
        let to_last = |from_us: u64| draw.last_us.saturating_sub(from_us);
        let spread = draw.first_us.map(to_last);
        let reveal_to_last = draw.reveal_planned_us.filter(|_| draw.first_us.is_some()).map(to_last);
        spread.inspect(|us| recorder.record_us(Wait::Spread, *us, *us));
        reveal_to_last.inspect(|us| recorder.record_us(Wait::RevealToLast, *us, *us));
        outcomes.push(DrawOutcome {
            draw_id: *id,
            prize: prizes.get(id).cloned().unwrap_or_default(),
            winners: draw.winners.clone().unwrap_or_default(),
            phones: draw.phones,
            spread_ms: spread.map(ms),
            reveal_to_last_ms: reveal_to_last.map(ms),
        });
    }
    recorder.ledger.draws = draws;
    outcomes
}
