//! Everything that one scenario records, in one place.
//!
//! One thread writes it, so a `RefCell` is all the protection it needs.

use super::address_ledger::AddressLedger;
use super::clock::{Clock, ServerClock, parse_time_us};
use super::connection_ledger::ConnectionLedger;
use super::counts::Counts;
use super::delivery_ledger::DeliveryLedger;
use super::draw_record::DrawRecord;
use super::latency::{API, Latency, Wait, histogram};
use super::process::{CpuUsage, ProcessStats};
use super::self_metrics::SelfMetrics;
use super::time_series::{Curves, Interval, Sample, TimeSeries};
use super::{micros, ms, number};
use crate::answers::{DrawResult, You};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

/// Failures that are described; the others are only counted.
const FAILURES_MAX: usize = 1_000;

/// A number that the server has acknowledged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Registration {
    pub number: u32,
    pub token: String,
}

/// A statement of the server about draws, to be compared when the run is over.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The last frame that it covers.
    pub seq: u64,
    pub results: Vec<DrawResult>,
    pub you: Option<You>,
}

/// `winner_revealed` as the display received it.
#[derive(Clone, Debug)]
pub struct Shown {
    pub at_us: u64,
    pub draw: u32,
    pub text: String,
}

/// An event that existed before the run, as it was then; empty for one that the run made.
#[derive(Clone, Debug, Default)]
pub struct Before {
    pub seq: u64,
    pub connections: u64,
    pub participants_count: u64,
    pub results: Vec<DrawResult>,
    pub participants: Option<Vec<u32>>,
}

/// The display's presence, which decides when the server may announce.
#[derive(Clone, Debug, Default)]
pub struct DisplayPresence {
    /// Start and end of each connection, from the state sync on; the last may still be open.
    pub spans: Vec<(u64, Option<u64>)>,
    /// The last number of participants that the server told it.
    pub participants: Option<u64>,
}

/// A call or a socket that failed.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    pub at_s: f64,
    pub what: String,
    pub why: String,
}

/// The record of one scenario.
pub struct Recorder {
    pub clock: Clock,
    /// The time of an entry that another machine made; `None` for one of now.
    pub entry_us: Option<u64>,
    pub counts: Counts,
    latencies: Vec<Latency>,
    /// Failed calls, by `Wait`.
    errors: Vec<u64>,
    /// Response times by `Wait`, and all API calls together behind them.
    over_time: TimeSeries,
    /// API calls since the last sample.
    recent: Histogram<u64>,
    pub failures: Vec<Failure>,
    /// Number of failures that are not described.
    pub failures_unlisted: u64,
    /// Sockets that the server or the network closed, by close code; 1006 for those without one.
    pub drops: BTreeMap<u16, u64>,
    pub phones: Vec<Option<Registration>>,
    /// The server's clock, as each phone estimates it.
    clocks: Vec<ServerClock>,
    pub ledger: DeliveryLedger,
    pub addresses: AddressLedger,
    pub connections: ConnectionLedger,
    pub before: Before,
    /// The scenario opens sockets, so that frames are heard.
    pub has_sockets: bool,
    /// Phones have simulated paths, which take their own time.
    pub has_network: bool,
    /// The draws of the plan.
    pub plan: Vec<DrawRecord>,
    pub shown: Vec<Shown>,
    pub display: DisplayPresence,
    /// The last state sync of each socket, by phone; the display comes last.
    pub statements: BTreeMap<usize, Statement>,
    /// Public answers that contradict what was announced.
    pub answers_wrong: Vec<String>,
    /// Phones that check-winner told that they have won, and their numbers. The announcement may
    /// still be on its way.
    pub told_won: Vec<(usize, u32)>,
    /// Numbers that changed when a phone sent its request again.
    pub numbers_changed: Vec<String>,
    /// Winners that the public learned before their announcement.
    pub told_early: Vec<String>,
    /// Numbers whose details the server acknowledged, and their draws.
    pub details: Vec<(u32, u32)>,
    pub samples: Vec<Sample>,
    /// The run ended early, since nothing reached the server any more.
    pub is_server_gone: bool,
    /// Since when no connection was accepted; `None` while the server answers.
    unreachable_since_us: Option<u64>,
    /// Readings of the server's process that failed, and the last reason.
    pub unread: u64,
    pub unread_because: String,
    /// Lines of the server's log that report an error; `None` without its log.
    pub log_errors: Option<Vec<String>>,
    /// Calls and frames at the last sample.
    sampled: (u64, u64),
    pub server_cpu: CpuUsage,
    pub tester: SelfMetrics,
}

impl Recorder {
    /// A recorder for this many phones and a display.
    pub fn new(phones: usize) -> Self {
        Self {
            clock: Clock::start(),
            entry_us: None,
            counts: Counts::default(),
            latencies: vec![Latency::new(); Wait::ALL.len()],
            errors: vec![0; Wait::ALL.len()],
            over_time: TimeSeries::new(Wait::ALL.len() + 1),
            recent: histogram(),
            failures: Vec::new(),
            failures_unlisted: 0,
            drops: BTreeMap::new(),
            phones: vec![None; phones],
            clocks: vec![ServerClock::default(); phones + 1],
            ledger: DeliveryLedger::new(phones + 1),
            addresses: AddressLedger::new(phones, vec![String::new()]),
            connections: ConnectionLedger::new(phones + 1),
            before: Before::default(),
            has_sockets: false,
            has_network: false,
            plan: Vec::new(),
            shown: Vec::new(),
            display: DisplayPresence::default(),
            statements: BTreeMap::new(),
            answers_wrong: Vec::new(),
            told_won: Vec::new(),
            numbers_changed: Vec::new(),
            told_early: Vec::new(),
            details: Vec::new(),
            samples: Vec::new(),
            is_server_gone: false,
            unreachable_since_us: None,
            unread: 0,
            unread_because: String::new(),
            log_errors: None,
            sampled: (0, 0),
            server_cpu: CpuUsage::default(),
            tester: SelfMetrics::new(),
        }
    }

    /// The time of the entry that is being made.
    pub fn now_us(&self) -> u64 {
        self.entry_us.unwrap_or_else(|| self.clock.now_us())
    }

    /// Ends the presence of the display, if the socket is its.
    pub fn end_presence(&mut self, socket: usize) {
        let now_us = self.now_us();
        if socket == self.phones.len() {
            self.display.spans.last_mut().map(|(_, end_us)| end_us.get_or_insert(now_us));
        }
    }

    /// Records a wait that ends now.
    pub fn record(&mut self, wait: Wait, planned_us: u64, started_us: u64) {
        let now_us = self.now_us();
        self.record_us(wait, now_us.saturating_sub(planned_us), now_us.saturating_sub(started_us));
    }

    /// Records a wait of known length.
    pub fn record_us(&mut self, wait: Wait, response_us: u64, service_us: u64) {
        self.latencies[wait as usize].record(response_us, service_us);
        let at_us = self.now_us();
        if wait.is_over_time() {
            self.over_time.record(wait as usize, at_us, response_us);
        }
        if wait.is_api() {
            self.over_time.record(Wait::ALL.len(), at_us, response_us);
            self.recent.saturating_record(response_us.max(1));
        }
    }

    /// Records an API call that ended. A failure counts in the error rate, and its time in the
    /// latencies all the same.
    pub fn record_call<T>(&mut self, wait: Wait, planned: Duration, started_us: u64, answer: &Result<T, impl Display>) {
        self.record(wait, micros(planned), started_us);
        self.counts.calls += 1;
        if let Err(error) = answer {
            self.counts.errors += 1;
            self.errors[wait as usize] += 1;
            self.record_failure(wait.name(), error);
        }
    }

    pub fn record_failure(&mut self, what: &str, why: &impl Display) {
        if self.failures.len() >= FAILURES_MAX {
            self.failures_unlisted += 1;
        } else {
            let at_s = self.clock.now().as_secs_f64();
            self.failures.push(Failure { at_s, what: what.to_owned(), why: why.to_string() });
        }
    }

    /// Takes the server's time from a pong; `sent_us` is when its ping was sent. Returns false when
    /// the pong has none.
    pub fn record_server_time(&mut self, socket: usize, sent_us: u64, time: Option<&str>) -> bool {
        let (server_us, now_us) = (time.and_then(parse_time_us), self.now_us());
        server_us.map(|server_us| self.clocks[socket].add(sent_us, now_us, server_us)).is_some()
    }

    /// The time of the run at which a socket is to show a draw, by its own estimate.
    pub fn show_us(&self, socket: usize, show_at: Option<&str>) -> Option<u64> {
        self.clocks[socket].when(parse_time_us(show_at?)?)
    }

    /// Records that a draw was announced to a phone now, which is to show it at `show_us`.
    pub fn record_delivery(&mut self, draw: Option<u32>, show_us: Option<u64>) {
        if let Some(show_us) = show_us {
            let late_us = self.now_us().saturating_sub(show_us);
            return self.record_us(Wait::ShowLate, late_us, late_us);
        }
        let draw = draw.and_then(|draw| self.ledger.draws.get(&draw));
        if let Some(completed_us) = draw.and_then(|draw| draw.completed_us) {
            self.record(Wait::Delivery, completed_us, completed_us);
        }
    }

    /// Records whether a phone or the host could reach the server just now. Only the first address
    /// can show that it is gone: a phone that another one fails goes by the next.
    pub fn note_reached(&mut self, index: usize, reached: bool) {
        let now_us = self.now_us();
        if reached {
            self.unreachable_since_us = None;
        } else if self.addresses.of(index) == 0 {
            self.unreachable_since_us.get_or_insert(now_us);
        }
    }

    /// Time since when nothing reaches the server, in microseconds; 0 while it answers.
    pub fn unreachable_us(&self) -> u64 {
        self.unreachable_since_us.map_or(0, |since_us| self.now_us().saturating_sub(since_us))
    }

    /// Takes a reading of the server's process. A lost measurement must not look like none.
    pub fn note_reading(&mut self, reading: Result<ProcessStats, String>) -> Option<ProcessStats> {
        if let Err(why) = &reading {
            self.unread += 1;
            self.unread_because.clone_from(why);
        }
        reading.ok()
    }

    /// Adds a row to the time series, with the server's process if it was read.
    pub fn record_sample(&mut self, at_s: f64, server: Option<ProcessStats>) {
        self.tester.record_cpu(at_s);
        if let Some(server) = server {
            self.server_cpu.record(at_s, server.cpu_s);
        }
        let (calls, frames) = (self.counts.calls, self.ledger.received);
        let (calls_before, frames_before) = std::mem::replace(&mut self.sampled, (calls, frames));
        // The first sample comes at once: a call within a millisecond is no rate.
        let elapsed_s = self.samples.last().map(|sample| at_s - sample.at_s);
        let per_s =
            |count: u64| elapsed_s.filter(|elapsed_s| *elapsed_s > 0.0).map_or(0.0, |elapsed_s| number(count) / elapsed_s);
        let (requests_per_s, frames_per_s) = (per_s(calls - calls_before), per_s(frames - frames_before));
        self.samples.push(Sample {
            at_s,
            registered: self.registered(),
            sockets: self.counts.sockets,
            announced: self.announced(),
            errors: self.counts.errors,
            api_p50_ms: ms(self.recent.value_at_quantile(0.5)),
            api_p95_ms: ms(self.recent.value_at_quantile(0.95)),
            requests_per_s,
            frames_per_s,
            server,
        });
        self.recent.reset();
    }

    /// Failed calls by the name of their wait, without those that never failed.
    pub fn errors_by_call(&self) -> BTreeMap<&'static str, u64> {
        Wait::ALL
            .iter()
            .zip(&self.errors)
            .filter(|(_, errors)| **errors > 0)
            .map(|(wait, errors)| (wait.name(), *errors))
            .collect()
    }

    pub fn preflights(&self) -> u64 {
        self.latencies[Wait::Preflight as usize].response.len()
    }

    /// Phones that got all that the scenario owes them: a number, a greeting, and each frame.
    /// `incomplete` lists those that lost one.
    pub fn served(&self, incomplete: &BTreeSet<usize>) -> u64 {
        let needs_number = self.counts.registrations_due > 0;
        let phones = self.phones.iter().enumerate();
        let is_served = |(index, phone): &(usize, &Option<Registration>)| {
            (phone.is_some() || !needs_number) && self.connections.is_served(*index) && !incomplete.contains(index)
        };
        phones.filter(is_served).count() as u64
    }

    pub fn registered(&self) -> u64 {
        self.phones.iter().flatten().count() as u64
    }

    pub fn announced(&self) -> u64 {
        self.ledger.draws.values().filter(|draw| draw.winners.is_some()).count() as u64
    }

    /// Every number that was given to a phone.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.phones.iter().flatten().map(|phone| phone.number)
    }

    /// Sockets that the server counts beyond those that it may.
    pub fn ghosts(&self, counted: u64) -> u64 {
        counted.saturating_sub(self.before.connections + self.counts.sockets_at_end.1 + self.counts.ghosts_allowed)
    }

    /// Sockets that phones hold and the server does not count.
    pub fn forgotten(&self, counted: u64) -> u64 {
        self.counts.sockets_at_end.0.saturating_sub(counted)
    }

    /// Every draw that was announced, in order: as the sockets received them, and as the host was
    /// told where no socket listened yet, or none ever.
    pub fn announced_draws(&self) -> Vec<DrawResult> {
        let frames = self.ledger.frames.values().filter(|frame| frame.kind == "winner_announced");
        let heard: Vec<DrawResult> = frames.filter_map(|frame| serde_json::from_str(&frame.text).ok()).collect();
        let ids: BTreeSet<u32> = heard.iter().map(|draw| draw.draw_id).collect();
        let completed = self.plan.iter().filter(|draw| draw.completed.is_some());
        let told = completed.filter_map(|draw| draw.revealed.clone()).filter(|draw| !ids.contains(&draw.draw_id));
        let listened_late = self.ledger.first_base().is_none_or(|base| base > self.before.seq);
        told.filter(|_| listened_late || !self.has_sockets).chain(heard).collect()
    }

    /// The API calls of the newest interval that has any.
    pub fn latest_api(&self) -> Option<Interval> {
        self.over_time.latest(Wait::ALL.len())
    }

    /// Response times over time, of every wait that occurred.
    pub fn curves(&self) -> Curves {
        let names = Wait::ALL.iter().map(|wait| wait.name()).chain([API]);
        let curves = names.enumerate().map(|(kind, name)| (name, self.over_time.curve(kind)));
        curves.filter(|(_, curve)| !curve.is_empty()).collect()
    }

    /// Every wait that occurred, and all API calls together, by name.
    pub fn latencies(&self) -> BTreeMap<&'static str, Latency> {
        let mut api = Latency::new();
        let mut all = BTreeMap::new();
        for (wait, latency) in Wait::ALL.iter().zip(&self.latencies) {
            if wait.is_api() {
                api.add(latency);
            }
            all.insert(wait.name(), latency.clone());
        }
        all.insert(API, api);
        all.retain(|_, latency| !latency.response.is_empty());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_beyond_the_bound_are_counted_and_not_kept() {
        let mut recorder = Recorder::new(1);
        (0..FAILURES_MAX + 3).for_each(|index| recorder.record_failure("register", &index));
        assert_eq!((recorder.failures.len(), recorder.failures_unlisted), (FAILURES_MAX, 3));
    }

    #[test]
    fn a_failed_call_is_an_error_with_a_latency() {
        let mut recorder = Recorder::new(1);
        recorder.record_call(Wait::Register, Duration::ZERO, 0, &Err::<(), _>("refused"));
        recorder.record_call(Wait::Results, Duration::ZERO, 0, &Ok::<_, &str>(()));
        recorder.record_us(Wait::Ping, 900, 900);
        assert_eq!((recorder.counts.calls, recorder.counts.errors), (2, 1));
        let latencies = recorder.latencies();
        assert_eq!(latencies.keys().copied().collect::<Vec<_>>(), [API, "register", "results", "ws.ping"]);
        assert_eq!(latencies[API].response.len(), 2, "a ping is no API call");
    }

    #[test]
    fn the_first_sample_has_no_rate() {
        let mut recorder = Recorder::new(1);
        recorder.counts.calls = 1;
        recorder.record_sample(0.003, None);
        recorder.counts.calls = 5;
        recorder.record_sample(2.003, None);
        assert_eq!(recorder.samples.iter().map(|sample| sample.requests_per_s).collect::<Vec<_>>(), [0.0, 2.0]);
    }

    #[test]
    fn a_sample_has_the_api_calls_since_the_one_before() {
        let mut recorder = Recorder::new(1);
        recorder.record_us(Wait::Register, 80_000, 80_000);
        (1..=3).for_each(|at| recorder.record_sample(f64::from(at), None));
        let p95: Vec<f64> = recorder.samples.iter().map(|sample| sample.api_p95_ms.round()).collect();
        assert_eq!(p95, [80.0, 0.0, 0.0]);
    }
}
