//! The one result that every report is written from, and that the verdict is spoken over.

use crate::advice::Advice;
use crate::audit::{Findings, Memory};
use crate::book::{Book, Mishap, Moment};
use crate::ceiling::Ceiling;
use crate::measure::course::Curves;
use crate::measure::latency::{API, FIGURES, Figures, Latency, Wait, in_ms};
use crate::measure::ledger::{Gaps, Lost};
use crate::measure::oneself::Myself;
use crate::measure::process::{Reading, vcpus};
use crate::metric::{METRICS, Seen};
use crate::plan::Plan;
use crate::verdict::{Judgement, Verdict};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;

pub const CRITERION_MISSED: u8 = 99;
pub const VOID: u8 = 4;
pub const COULD_NOT_RUN: u8 = 3;
pub const USAGE: u8 = 64;
pub const INTERRUPTED: u8 = 105;

/// What the shape of `summary.json` is called; `summary.schema.json` describes it.
pub const FORMAT: &str = "drawload/1";

/// All scenarios of one run.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub format: &'static str,
    pub version: &'static str,
    pub started_unix_s: u64,
    pub host: String,
    pub seed: u64,
    pub time_scale: f64,
    pub vcpus: f64,
    pub verdict: Verdict,
    pub exit_code: u8,
    pub scenarios: Vec<Outcome>,
    /// What the climb came to, if this was one; `scenarios` are then the highest step that held and the lowest that did not.
    pub ceiling: Option<Ceiling>,
    pub advice: Advice,
}

/// One scenario.
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
    /// Response times as they are, for the distributions.
    #[serde(skip)]
    pub histograms: BTreeMap<&'static str, Histogram<u64>>,
    /// Response times over time.
    pub curves: Curves,
    /// What went wrong, in words: frames first, then winners, numbers and answers.
    pub faults: Vec<String>,
    pub lost: Vec<Lost>,
    /// The same as a grid, for the picture.
    #[serde(skip)]
    pub gaps: Gaps,
    pub draws: Vec<DrawLine>,
    pub socket_closes: BTreeMap<u16, u64>,
    pub failures: Vec<Mishap>,
    /// How many more failures there were than are listed.
    pub failures_unlisted: u64,
    pub server: Option<Server>,
    pub tester: Myself,
    pub series: Vec<Moment>,
}

/// Response times from the planned moment, service times from the sending.
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

/// A draw as the hall saw it.
#[derive(Debug, Serialize)]
pub struct DrawLine {
    pub draw_id: u32,
    pub prize: String,
    pub winners: Vec<u32>,
    pub phones: u32,
    pub spread_ms: Option<f64>,
    pub reveal_to_last_ms: Option<f64>,
}

/// The server's process.
#[derive(Debug, Serialize)]
pub struct Server {
    pub empty: Reading,
    pub end: Reading,
    pub rss_peak_mb: f64,
    pub pss_peak_mb: f64,
    pub cpu_s: f64,
    /// In percent of all vCPUs; none for a run of less than ten seconds.
    pub cpu_worst_10s_percent: Option<f64>,
    pub burst_minutes: f64,
}

/// What is left when an evening is over.
pub struct Evidence<'a> {
    pub plan: &'a Plan,
    pub event_id: String,
    pub lasted_s: f64,
    pub book: &'a mut Book,
    pub memory: &'a Memory,
    pub findings: &'a Findings,
    pub empty: Option<Reading>,
    pub end: Option<Reading>,
}

impl Summary {
    pub fn new(host: &str, seed: u64, time_scale: f64) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION"),
            started_unix_s: now.map_or(0, |since| since.as_secs()),
            host: host.to_owned(),
            seed,
            time_scale,
            vcpus: vcpus(),
            verdict: Verdict::Pass,
            exit_code: 0,
            scenarios: Vec::new(),
            ceiling: None,
            advice: Advice::of(&[], time_scale),
        }
    }

    /// One more scenario; the worst of them is the verdict.
    pub fn add(&mut self, outcome: Outcome) {
        self.verdict = self.verdict.max(outcome.verdict);
        self.exit_code = self.verdict.exit_code();
        self.scenarios.push(outcome);
        self.advice = Advice::of(&self.scenarios, self.time_scale);
    }

    /// A climb is over: its own verdict counts, and not that of the step that broke.
    pub fn conclude(&mut self, verdict: Verdict, ceiling: Ceiling) {
        self.verdict = verdict;
        self.exit_code = verdict.exit_code();
        self.ceiling = Some(ceiling);
    }
}

impl Outcome {
    /// Everything but the verdict, which is spoken over it.
    pub fn of(evidence: Evidence<'_>) -> Self {
        let Evidence { plan, event_id, lasted_s, book, memory, findings, empty, end } = evidence;
        let balance = book.ledger.balance(memory.seq.unwrap_or(0));
        let draws = note_spreads(book);
        let server = empty.zip(end).map(|(empty, end)| server(book, empty, end));
        let histograms = with_api(book);
        let latencies = histograms.iter().map(|(name, latency)| (*name, Times::of(latency))).collect::<BTreeMap<_, _>>();
        let histograms = histograms.into_iter().map(|(name, latency)| (name, latency.response)).collect();
        let mut metrics: BTreeMap<String, Option<f64>> = BTreeMap::new();
        for (name, times) in &latencies {
            for (figure, value) in FIGURES.iter().zip(times.response.values()) {
                metrics.insert(format!("{name}.{figure}"), Some(value));
            }
        }
        let seen = Seen { book, balance: memory.seq.is_some().then_some(&balance), findings, memory, server: server.as_ref() };
        metrics.extend(METRICS.iter().map(|metric| (metric.name.to_owned(), (metric.of)(&seen))));
        Self {
            scenario: plan.name,
            what: plan.what.clone(),
            event_id,
            users: plan.users,
            draws_planned: plan.draw_count(),
            planned_s: plan.end.as_secs_f64(),
            lasted_s,
            verdict: Verdict::Pass,
            judgements: Vec::new(),
            metrics,
            latencies,
            histograms,
            curves: book.curves(),
            faults: faults(book, &balance.listed, findings),
            lost: balance.listed,
            gaps: book.ledger.gaps(memory.seq.unwrap_or(0)),
            draws,
            socket_closes: book.drops.clone(),
            failures: std::mem::take(&mut book.mishaps),
            failures_unlisted: book.mishaps_unlisted,
            server,
            tester: book.oneself.myself(),
            series: std::mem::take(&mut book.series),
        }
    }
}

/// Everything that went wrong, in words.
fn faults(book: &Book, lost: &[Lost], findings: &Findings) -> Vec<String> {
    let lost = lost.iter().take(20).map(|lost| {
        let of_draw = lost.draw.map_or(String::new(), |draw| format!(" of draw {draw}"));
        format!("{} never heard seq {} ({}{of_draw})", book.ledger.name(lost.phone), lost.seq, lost.kind)
    });
    let Findings { winners_repeated, winners_wrong, history_missing, numbers_doubled, numbers_lost, numbers_holes } = findings;
    let lists = [winners_repeated, winners_wrong, history_missing, numbers_doubled, numbers_lost, numbers_holes];
    let found = lists.into_iter().flatten().flat_map(|list| list.iter().take(20)).cloned();
    lost.chain(book.ledger.witnesses.iter().cloned()).chain(found).chain(book.answers_wrong.iter().take(20).cloned()).collect()
}

/// The draws, their spreads written into the latencies on the way.
fn note_spreads(book: &mut Book) -> Vec<DrawLine> {
    let draws = std::mem::take(&mut book.ledger.draws);
    let mut lines = Vec::with_capacity(draws.len());
    for (id, draw) in &draws {
        let spread = draw.first_us.map(|first_us| draw.last_us.saturating_sub(first_us));
        let to_last =
            draw.reveal_asked_us.filter(|_| draw.first_us.is_some()).map(|asked_us| draw.last_us.saturating_sub(asked_us));
        spread.inspect(|us| book.record(Wait::Spread, *us, *us));
        to_last.inspect(|us| book.record(Wait::RevealToLast, *us, *us));
        lines.push(DrawLine {
            draw_id: *id,
            prize: draw.prize.clone(),
            winners: draw.announced.clone().unwrap_or_default(),
            phones: draw.heard,
            spread_ms: spread.map(in_ms),
            reveal_to_last_ms: to_last.map(in_ms),
        });
    }
    book.ledger.draws = draws;
    lines
}

/// Those waits that there were, and all API calls together.
fn with_api(book: &Book) -> BTreeMap<&'static str, Latency> {
    let mut api = Latency::new();
    for wait in Wait::ALL.into_iter().filter(|wait| wait.is_api()) {
        let of_wait = book.latency(wait);
        let same_bounds = "all histograms have the same bounds";
        api.response.add(&of_wait.response).expect(same_bounds);
        api.service.add(&of_wait.service).expect(same_bounds);
    }
    let each = Wait::ALL.into_iter().map(|wait| (wait.name(), book.latency(wait).clone()));
    each.chain([(API, api)]).filter(|(_, latency)| !latency.response.is_empty()).collect()
}

fn server(book: &Book, empty: Reading, end: Reading) -> Server {
    let sampled = book.series.iter().filter_map(|moment| moment.server).chain([end]);
    let peak = sampled.fold(empty, |peak, next| Reading { rss: peak.rss.max(next.rss), pss: peak.pss.max(next.pss), ..peak });
    Server {
        empty,
        end,
        rss_peak_mb: megabytes(peak.rss),
        pss_peak_mb: megabytes(peak.pss),
        cpu_s: book.server_cpu.total_s(),
        cpu_worst_10s_percent: book.server_cpu.worst_10s().map(|busy| 100.0 * busy / vcpus()),
        burst_minutes: book.server_cpu.burst_minutes(),
    }
}

/// Bytes in mebibytes.
#[expect(clippy::cast_precision_loss, reason = "memory fits 53 bits")]
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
