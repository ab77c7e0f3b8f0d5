//! The clients of one scenario: phones, the display and the host, on one thread.
//!
//! Each is a task that shares a [`Run`]. A tester that is too slow shows in its late timers, so
//! that one thread is enough and nothing needs a lock.

pub mod driver;
pub mod interview;
pub mod phone;
mod pings;
mod socket;

use crate::client::http::{Request, RequestError};
use crate::client::network::Network;
use crate::client::target::Target;
use crate::measure::clock::{Clock, Span};
use crate::measure::latency::Wait;
use crate::measure::recorder::Recorder;
use crate::scenario::Scenario;
use serde::de::DeserializeOwned;
use std::cell::{RefCell, RefMut};
use std::future::pending;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// One scenario while it runs, as all its tasks share it.
pub struct Run {
    pub scenario: Scenario,
    pub target: Target,
    pub clock: Clock,
    recorder: RefCell<Recorder>,
    /// The paths of phones, where they are simulated.
    pub network: Option<Network>,
    /// Tells that the host has driven every draw.
    pub drawn: CancellationToken,
    /// Tells every phone to ping once more: the run is about to end.
    pub leaving: CancellationToken,
    /// Tells that nothing has reached the server for long.
    pub server_gone: CancellationToken,
    /// Tells every task to close its socket and end.
    pub ended: CancellationToken,
}

impl Run {
    /// Starts the clock.
    /// With `network_seed`, each phone gets a path of its own.
    pub fn start(scenario: Scenario, target: Target, mut recorder: Recorder, network_seed: Option<u64>) -> Self {
        let clock = Clock::start();
        recorder.clock = clock;
        let [drawn, leaving, server_gone, ended] = [(); 4].map(|()| CancellationToken::new());
        let from = scenario.all_connected();
        let within = Span { from, length: scenario.end.saturating_sub(from) };
        let network = network_seed.map(|seed| Network::new(seed, scenario.users, within, clock, ended.clone()));
        Self { scenario, target, clock, recorder: RefCell::new(recorder), network, drawn, leaving, server_gone, ended }
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
    pub async fn wait_to_send(&self, at: Duration) {
        let late_us = self.clock.wait_until(at).await;
        self.recorder().tester.record_send(late_us);
    }

    /// Resolves when the reconnect storm begins; pending forever once it is over, or without one.
    pub async fn storm(&self) {
        match self.scenario.storm.filter(|at| *at > self.clock.now()) {
            Some(at) => drop(self.clock.wait_until(at).await),
            None => pending().await,
        }
    }

    /// Sends a request and records its time and outcome; returns `None` when it failed.
    async fn call<T: DeserializeOwned>(&self, wait: Wait, planned: Duration, request: Request<'_>) -> Option<T> {
        let started_us = self.clock.now_us();
        if request.is_absent() {
            return None;
        }
        if request.needs_preflight() {
            let allowed = request.preflight().await;
            self.recorder().record_call(Wait::Preflight, planned, started_us, &allowed);
            allowed.ok()?;
        }
        let answer = request.send().await;
        let mut recorder = self.recorder();
        recorder.note_reached(!answer.as_ref().is_err_and(RequestError::is_unreached));
        recorder.counts.refused += u64::from(answer.as_ref().is_err_and(RequestError::is_refusal));
        recorder.record_call(wait, planned, started_us, &answer);
        answer.ok()
    }
}
