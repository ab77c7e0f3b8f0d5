//! Everything one evening writes down, in one place: one thread writes it, so that a `RefCell` is all it takes.

use crate::clock::Clock;
use crate::http::Failure;
use crate::measure::course::{Course, Curves, Slice};
use crate::measure::latency::{API, Latency, Wait, histogram};
use crate::measure::ledger::Ledger;
use crate::measure::oneself::Oneself;
use crate::measure::process::{Cpu, Reading};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Failures that are described; the others are only counted.
const FAILURES_MAX: usize = 1_000;

/// A number that the server has acknowledged.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    pub number: u32,
    pub token: String,
}

/// Something that went wrong, for `failures`.
#[derive(Clone, Debug, Serialize)]
pub struct Mishap {
    pub at_s: f64,
    pub what: String,
    pub why: String,
}

/// One line of the run over time.
#[derive(Clone, Debug, Serialize)]
pub struct Moment {
    pub at_s: f64,
    pub registered: u64,
    pub sockets: u64,
    pub announced: u64,
    pub errors: u64,
    /// Of the API calls since the line before; 0 when there were none.
    pub api_p50_ms: f64,
    pub api_p95_ms: f64,
    pub server: Option<Reading>,
}

/// The book.
pub struct Book {
    pub clock: Clock,
    latencies: Vec<Latency>,
    /// The same over time, and all API calls together behind them.
    course: Course,
    pub recent: Histogram<u64>,
    pub calls: u64,
    pub errors: u64,
    pub mishaps: Vec<Mishap>,
    /// How many more there were than are described.
    pub mishaps_unlisted: u64,
    /// Registrations that were asked for and are not answered.
    pub registering: u64,
    pub handshakes: u64,
    pub handshakes_refused: u64,
    pub sockets: u64,
    /// Of phones that were there when the server was asked at the end, and of the display.
    pub sockets_at_end: u64,
    /// Sockets that ended on their own, by close code; 1006 for those that ended without one.
    pub drops: BTreeMap<u16, u64>,
    /// Slow phones that the server let go of, and those among them that read nothing and that it kept.
    pub slow_evicted: u64,
    pub slow_kept: u64,
    pub pings: u64,
    pub pongs: u64,
    pub phones: Vec<Option<Acknowledged>>,
    pub ledger: Ledger,
    /// Public answers that contradict what was announced.
    pub answers_wrong: Vec<String>,
    pub series: Vec<Moment>,
    pub server_cpu: Cpu,
    pub oneself: Oneself,
}

impl Book {
    /// A book for so many phones and a display.
    pub fn new(phones: usize) -> Self {
        Self {
            clock: Clock::starting_now(),
            latencies: Wait::ALL.map(|_| Latency::new()).to_vec(),
            course: Course::new(Wait::ALL.len() + 1),
            recent: histogram(),
            calls: 0,
            errors: 0,
            mishaps: Vec::new(),
            mishaps_unlisted: 0,
            registering: 0,
            handshakes: 0,
            handshakes_refused: 0,
            sockets: 0,
            sockets_at_end: 0,
            drops: BTreeMap::new(),
            slow_evicted: 0,
            slow_kept: 0,
            pings: 0,
            pongs: 0,
            phones: vec![None; phones],
            ledger: Ledger::new(phones + 1),
            answers_wrong: Vec::new(),
            series: Vec::new(),
            server_cpu: Cpu::default(),
            oneself: Oneself::new(),
        }
    }

    pub fn latency(&self, wait: Wait) -> &Latency {
        &self.latencies[wait as usize]
    }

    /// A wait that was planned for one moment and begun at another, and is over now.
    pub fn note(&mut self, wait: Wait, planned_us: u64, begun_us: u64) {
        let now_us = self.clock.now_us();
        self.record(wait, now_us.saturating_sub(planned_us), now_us.saturating_sub(begun_us));
    }

    /// A wait in microseconds.
    pub fn record(&mut self, wait: Wait, response_us: u64, service_us: u64) {
        self.latencies[wait as usize].record(response_us, service_us);
        let at_us = self.clock.now_us();
        if wait.is_over_time() {
            self.course.record(wait as usize, at_us, response_us);
        }
        if wait.is_api() {
            self.course.record(Wait::ALL.len(), at_us, response_us);
            self.recent.saturating_record(response_us.max(1));
        }
    }

    /// Response times over time, of everything that was waited for at all.
    pub fn curves(&self) -> Curves {
        let names = Wait::ALL.iter().map(|wait| wait.name()).chain([API]);
        let curves = names.enumerate().map(|(kind, name)| (name, self.course.curve(kind)));
        curves.filter(|(_, curve)| !curve.is_empty()).collect()
    }

    /// The API calls of the newest interval in which there were any.
    pub fn api_lately(&self) -> Option<Slice> {
        self.course.latest(Wait::ALL.len())
    }

    /// An API call is over, well or not. A failure counts in the error rate, and its time in the latencies all the same.
    pub fn note_call<T>(&mut self, wait: Wait, planned: Duration, begun_us: u64, answer: &Result<T, Failure>) {
        self.note(wait, crate::clock::micros(planned), begun_us);
        self.calls += 1;
        if let Err(failure) = answer {
            self.errors += 1;
            self.mishap(wait.name(), failure);
        }
    }

    pub fn mishap(&mut self, what: &str, why: &impl std::fmt::Display) {
        if self.mishaps.len() >= FAILURES_MAX {
            self.mishaps_unlisted += 1;
        } else {
            #[expect(clippy::cast_precision_loss, reason = "a run in microseconds fits 53 bits")]
            let at_s = self.clock.now_us() as f64 / 1e6;
            self.mishaps.push(Mishap { at_s, what: what.to_owned(), why: why.to_string() });
        }
    }

    pub fn registered(&self) -> u64 {
        self.phones.iter().flatten().count() as u64
    }

    pub fn announced(&self) -> u64 {
        self.ledger.draws.values().filter(|draw| draw.announced.is_some()).count() as u64
    }

    /// Draws that were revealed to the host, and that nobody heard of since.
    pub fn unannounced(&self) -> u64 {
        let unheard = self.ledger.draws.values().filter(|draw| draw.revealed.is_some() && draw.announced.is_none());
        unheard.count() as u64
    }

    /// A draw was announced to a phone now.
    pub fn note_delivery(&mut self, draw: Option<u32>) {
        let completed_us = draw.and_then(|draw| self.ledger.draws.get(&draw)).and_then(|draw| draw.completed_us);
        if let Some(completed_us) = completed_us {
            self.note(Wait::Delivery, completed_us, completed_us);
        }
    }
}
