//! The clients of one scenario: phones, the display and the host, on one thread.
//!
//! Each is a task that shares a [`Run`]. A tester that is too slow shows in its late timers, so
//! that one thread is enough and nothing needs a lock.

pub mod driver;
pub mod entry;
pub mod interview;
pub mod message;
pub mod phone;
mod pings;
mod socket;

use crate::client::http::{Request, RequestError};
use crate::client::network::Network;
use crate::client::target::Target;
use crate::measure::address_ledger::AddressLedger;
use crate::measure::clock::{Clock, Span};
use crate::measure::latency::Wait;
use crate::measure::micros;
use crate::measure::recorder::Recorder;
use crate::scenario::Scenario;
use entry::{CallFailure, Entry};
use message::{Message, line};
use serde::de::DeserializeOwned;
use socket::{Frame, record_frame};
use std::cell::{RefCell, RefMut};
use std::future::pending;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

/// One scenario while it runs, as all its tasks share it.
pub struct Run {
    pub scenario: Scenario,
    /// The addresses of the server; the host and the display go by the first.
    targets: Vec<Target>,
    pub clock: Clock,
    recorder: RefCell<Recorder>,
    /// The way to the coordinator, on an agent.
    coordinator: Option<Sender<String>>,
    /// The paths of phones, where they are simulated.
    pub network: Option<Network>,
    /// Tells that the host has driven every draw.
    pub drawn: CancellationToken,
    /// Tells every phone to ping once more: the run is about to end.
    pub leaving: CancellationToken,
    /// Tells that nothing has reached the server for long.
    pub server_gone: CancellationToken,
    /// Tells that an agent has failed.
    pub tester_failed: CancellationToken,
    /// Tells every task to close its socket and end.
    pub ended: CancellationToken,
}

impl Run {
    /// A run by this clock, against the addresses of a server, of which there is one or more. With
    /// `network_seed`, each phone gets a path of its own.
    pub fn start(
        scenario: Scenario,
        targets: Vec<Target>,
        mut recorder: Recorder,
        clock: Clock,
        network_seed: Option<u64>,
    ) -> Self {
        recorder.clock = clock;
        recorder.addresses = AddressLedger::new(scenario.users, targets.iter().map(|target| target.authority.clone()).collect());
        let [drawn, leaving, server_gone, tester_failed, ended] = [(); 5].map(|()| CancellationToken::new());
        let from = scenario.all_connected();
        let within = Span { from, length: scenario.end.saturating_sub(from) };
        let network = network_seed.map(|seed| Network::new(seed, scenario.users, within, clock, ended.clone()));
        let recorder = RefCell::new(recorder);
        let coordinator = None;
        Self { scenario, targets, clock, recorder, coordinator, network, drawn, leaving, server_gone, tester_failed, ended }
    }

    /// Sends every entry to the coordinator too.
    pub fn report_to(self, coordinator: Sender<String>) -> Self {
        Self { coordinator: Some(coordinator), ..self }
    }

    /// The server, by its first address.
    pub fn target(&self) -> &Target {
        &self.targets[0]
    }

    /// The server, by the address of a phone; the host and the display have the first.
    pub fn target_of(&self, index: usize) -> &Target {
        &self.targets[self.recorder().addresses.of(index)]
    }

    /// All addresses of the server.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Sends a phone by the next address, since its own failed it.
    fn move_on(&self, index: usize) {
        if self.targets.len() > 1 && index < self.scenario.users {
            self.note(index, Entry::MovedOn);
        }
    }

    /// Tells whether the simulated network broke the socket of a phone, or kept it silent.
    fn is_disturbed(&self, phone: usize) -> bool {
        phone < self.scenario.users && self.network.as_ref().is_some_and(|network| network.is_disturbed(phone))
    }

    /// Borrows the recorder; the borrow must never be held across an await.
    pub fn recorder(&self) -> RefMut<'_, Recorder> {
        self.recorder.borrow_mut()
    }

    /// Waits until something is to be sent, and records how late the tester itself is.
    pub async fn wait_to_send(&self, index: usize, at: Duration) {
        let late_us = self.clock.wait_until(at).await;
        self.note(index, Entry::Sent { late_us });
    }

    /// Makes an entry of a phone or the display.
    pub fn note(&self, index: usize, entry: Entry<'_>) {
        self.send_on(index, &entry);
        entry::apply(&mut self.recorder(), index, entry);
    }

    /// Makes an entry of another machine, with the time at which it made it.
    pub fn note_at(&self, index: usize, at_us: u64, entry: Entry<'_>) {
        let mut recorder = self.recorder();
        recorder.entry_us = Some(at_us);
        entry::apply(&mut recorder, index, entry);
        recorder.entry_us = None;
    }

    /// Records a frame and returns its fields.
    fn note_frame<'a>(&self, index: usize, text: &'a str) -> Option<Frame<'a>> {
        self.send_on(index, &Entry::Frame(text.into()));
        record_frame(&mut self.recorder(), index, text)
    }

    /// Sends an entry to the coordinator, if this is an agent. A way that is full ends the run.
    fn send_on(&self, index: usize, entry: &Entry<'_>) {
        if let Some(coordinator) = &self.coordinator
            && coordinator.try_send(line(&Message::Entry(index, self.clock.now_us(), entry.clone()))).is_err()
        {
            self.ended.cancel();
        }
    }

    /// Resolves when the reconnect storm begins; pending forever once it is over, or without one.
    pub async fn storm(&self) {
        match self.scenario.storm.filter(|at| *at > self.clock.now()) {
            Some(at) => drop(self.clock.wait_until(at).await),
            None => pending().await,
        }
    }

    /// Sends a request and records its time and outcome; returns `None` when it failed.
    async fn call<T: DeserializeOwned>(&self, index: usize, wait: Wait, planned: Duration, request: Request<'_>) -> Option<T> {
        let (planned_us, started_us) = (micros(planned), self.clock.now_us());
        let note = |wait, error: Option<&RequestError>| {
            let failure = error.map(|error| CallFailure {
                why: error.to_string(),
                is_unreached: error.is_unreached(),
                is_refusal: error.is_refusal(),
            });
            self.note(index, Entry::Call { wait, planned_us, started_us, failure });
        };
        if request.is_absent() {
            return None;
        }
        if request.needs_preflight() {
            let allowed = request.preflight().await;
            note(Wait::Preflight, allowed.as_ref().err());
            allowed.ok()?;
        }
        let answer = request.send().await;
        note(wait, answer.as_ref().err());
        if answer.as_ref().is_err_and(|error| error.is_unreached() || error.is_refusal()) {
            self.move_on(index);
        }
        answer.ok()
    }
}
