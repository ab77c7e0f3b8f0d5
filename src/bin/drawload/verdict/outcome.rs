//! The result of one scenario: every report is written from it, and every criterion judges it.

use super::audit::{self, Findings, ServerState};
use super::criteria::{Criterion, Judgement, Verdict, verdict};
use super::metric::{Evidence, METRICS};
use crate::actors::Run;
use crate::client::network::{Network, Path};
use crate::client::protocol::Call;
use crate::measure::address_ledger::AddressFigures;
use crate::measure::delivery_ledger::LostFrame;
use crate::measure::gap_grid::GapGrid;
use crate::measure::latency::{FIGURES, Figures, Latency, Wait};
use crate::measure::ms;
use crate::measure::process::ProcessStats;
use crate::measure::recorder::{Failure, Recorder};
use crate::measure::self_metrics::TesterHealth;
use crate::measure::server_usage::ServerUsage;
use crate::measure::time_series::{Curves, Sample};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;

/// Faults that are described per metric.
const FAULTS_MAX: usize = 20;

/// Promises that an interrupted run leaves open.
const UNFINISHED: [&str; 3] = ["numbers.missing", "draws.missing", "draws.order"];

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
    /// Failed calls by name, without those that never failed.
    pub call_errors: BTreeMap<&'static str, u64>,
    /// Response times, for the distributions.
    #[serde(skip)]
    pub histograms: BTreeMap<&'static str, Histogram<u64>>,
    pub curves: Curves,
    /// Faults in words: frames first, then winners, numbers and answers.
    pub faults: Vec<String>,
    pub lost: Vec<LostFrame>,
    /// The same by phone.
    #[serde(skip)]
    pub losses: Vec<PhoneLoss>,
    /// The same as a grid, for the picture.
    #[serde(skip)]
    pub gaps: GapGrid,
    pub draws: Vec<DrawOutcome>,
    pub socket_closes: BTreeMap<u16, u64>,
    /// In the order of the command line.
    pub addresses: Vec<AddressFigures>,
    pub failures: Vec<Failure>,
    /// Number of failures that are not listed.
    pub failures_unlisted: u64,
    /// The simulated network, if there was one.
    pub network: Option<NetworkFigures>,
    pub server: Option<ServerUsage>,
    pub tester: TesterHealth,
    #[serde(rename = "series")]
    pub samples: Vec<Sample>,
}

/// Phones of a simulated network, by kind.
#[derive(Debug, Serialize)]
pub struct NetworkFigures {
    pub wifi: usize,
    pub cellular: usize,
    /// Phones that change their network once, and whose tab sleeps once.
    pub roaming: usize,
    pub asleep: usize,
}

impl NetworkFigures {
    fn of(network: &Network) -> Self {
        let count = |holds: &dyn Fn(&Path) -> bool| network.paths().iter().filter(|path| holds(path)).count();
        Self {
            wifi: count(&|path| path.is_wifi),
            cellular: count(&|path| !path.is_wifi),
            roaming: count(&|path| path.roams_at.is_some()),
            asleep: count(&|path| path.sleep.is_some()),
        }
    }
}

/// The frames that one phone lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneLoss {
    pub phone: usize,
    pub frames: usize,
    pub first_seq: u64,
    /// The draw of the first one.
    pub draw: Option<u32>,
    /// Nothing came after the first one.
    pub is_everything: bool,
}

impl PhoneLoss {
    /// Losses by phone; `end_seq` is the last frame.
    fn of(lost: &[LostFrame], end_seq: u64) -> Vec<Self> {
        let of_phone = |frames: &[LostFrame]| {
            let first = &frames[0];
            Self {
                phone: first.phone,
                frames: frames.len(),
                first_seq: first.seq,
                draw: frames.iter().find_map(|frame| frame.draw),
                is_everything: frames.len() as u64 == end_seq + 1 - first.seq && frames.len() > 1,
            }
        };
        lost.chunk_by(|one, other| one.phone == other.phone).map(of_phone).collect()
    }
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
        let told_seq = state.sync.as_ref().map(|sync| sync.seq).or((!run.target().has(Call::State)).then_some(0));
        let end_seq = told_seq.unwrap_or(0).max(recorder.ledger.highest);
        let balance = recorder.ledger.balance(end_seq);
        let draws = record_spreads(recorder);
        let server =
            process.map(|(empty, end)| ServerUsage::of(recorder, empty, end, run.scenario.all_connected().as_secs_f64()));
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
            event_id: run.target().event.clone(),
            users: run.scenario.users,
            draws_planned: run.scenario.draw_count(),
            planned_s: run.scenario.end.as_secs_f64(),
            lasted_s,
            verdict: Verdict::Pass,
            judgements: Vec::new(),
            metrics,
            latencies: times,
            call_errors: recorder.errors_by_call(),
            histograms: latencies.into_iter().map(|(name, latency)| (name, latency.response)).collect(),
            curves: recorder.curves(),
            faults: faults(recorder, &balance.listed, end_seq, &findings),
            losses: PhoneLoss::of(&balance.listed, end_seq),
            lost: balance.listed,
            gaps: GapGrid::of(&recorder.ledger, end_seq),
            draws,
            socket_closes: recorder.drops.clone(),
            addresses: recorder.addresses.figures(),
            failures: std::mem::take(&mut recorder.failures),
            failures_unlisted: recorder.failures_unlisted,
            network: run.network.as_ref().map(NetworkFigures::of),
            server,
            tester: recorder.tester.health(),
            samples: std::mem::take(&mut recorder.samples),
        }
    }

    /// Judges the scenario by all criteria that apply to it.
    pub fn judge(&mut self, run: &Run, criteria: &[Criterion], time_scale: f64, interrupted: bool) {
        let has_network = self.network.is_some();
        let applies =
            |criterion: &&Criterion| criterion.applies_to(&run.scenario) || (has_network && criterion.metric == "storm.absent");
        let criteria = criteria.iter().filter(applies);
        self.judgements = criteria.map(|criterion| criterion.judge(&self.metrics, time_scale, has_network)).collect();
        if interrupted {
            // The plan was cut short by the signal, and not by the server.
            self.faults.retain(|fault| !UNFINISHED.iter().any(|metric| fault.starts_with(metric)));
        }
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

    /// Criteria with a limit that their value must stay below, by how close it comes.
    pub fn bottlenecks(&self) -> Vec<(&str, f64)> {
        let judged = self.judgements.iter().filter(|judgement| !judgement.is_void(&self.tester));
        let shares = judged.filter_map(|judgement| Some((&*judgement.metric, judgement.share?)));
        let mut ranked: Vec<_> = shares.collect();
        ranked.sort_by(|one, other| other.1.total_cmp(&one.1));
        ranked
    }

    /// Tells whether the run ended early since the server was gone.
    pub fn is_unreachable(&self) -> bool {
        self.metric("server.unreachable") == Some(1.0)
    }

    /// A metric, if it was measured.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.get(name).copied().flatten()
    }
}

/// Every fault in words, in the order of the metrics, each with the name of its metric.
fn faults(recorder: &Recorder, lost: &[LostFrame], end_seq: u64, findings: &Findings) -> Vec<String> {
    let everything = PhoneLoss::of(lost, end_seq).into_iter().filter(|loss| loss.is_everything);
    let everything: BTreeMap<usize, PhoneLoss> = everything.map(|loss| (loss.phone, loss)).collect();
    let describe = |lost: &LostFrame| {
        let name = recorder.ledger.name(lost.phone);
        let of_draw = |draw: Option<u32>| draw.map_or(String::new(), |draw| format!(" of draw {draw}"));
        match everything.get(&lost.phone) {
            Some(loss) if loss.first_seq != lost.seq => None,
            Some(loss) => {
                let (frames, seq, of_draw) = (loss.frames, loss.first_seq, of_draw(loss.draw));
                Some(format!("{name} never received seq {seq}{of_draw}, nor any of the {frames} frames from there on"))
            }
            None => Some(format!("{name} never received seq {} ({}{})", lost.seq, lost.kind, of_draw(lost.draw))),
        }
    };
    let of_metric = |metric: &'static str| {
        let lost = lost.iter().filter(move |_| metric == "delivery.lost").filter_map(describe);
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
        let show_spread = draw.turned_us.map(|(first_us, last_us)| last_us - first_us);
        show_spread.inspect(|us| recorder.record_us(Wait::ShowSpread, *us, *us));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_that_lost_everything_from_a_draw_on_is_told_from_one_that_lost_a_frame() {
        let lost = |phone, seq, draw| LostFrame { phone, seq, kind: String::new(), draw };
        let listed = [lost(3, 5, Some(2)), lost(8, 25, None), lost(8, 26, Some(7)), lost(8, 27, Some(7))];
        let losses = PhoneLoss::of(&listed, 27);
        assert_eq!(losses[0], PhoneLoss { phone: 3, frames: 1, first_seq: 5, draw: Some(2), is_everything: false });
        assert_eq!(losses[1], PhoneLoss { phone: 8, frames: 3, first_seq: 25, draw: Some(7), is_everything: true });
    }
}
