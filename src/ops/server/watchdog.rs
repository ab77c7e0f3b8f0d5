//! Notifications to the supervisor while the server runs: readiness, status, and pings that prove
//! every thread alive.
//!
//! A ping is sent only after the sequencer, every worker and every socket thread have answered a
//! probe since the last ping. A thread of its own asks them: a timer within one of them would prove
//! that one alone, and a timer beside them nothing. When a thread does not answer, the supervisor
//! gets its name and no ping, and restarts the server once `WatchdogSec=` is over; the next process
//! reads everything from the journal.

use crate::api::app::App;
use crate::base::threads::{PendingProbe, probe};
use crate::ops::supervisor::notify;
use sd_notify::NotifyState;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Time between status notifications where the supervisor wants no pings.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// The threads that a server cannot do without.
pub struct Watchdog {
    /// Threads that run async tasks, by their names.
    pub runtimes: Vec<(String, Handle)>,
    /// Probes all other threads, which have until then to answer.
    pub probe: Box<dyn Fn(Instant) -> Vec<PendingProbe> + Send>,
    /// The server's state in one line.
    pub status: Box<dyn Fn() -> String + Send>,
}

impl Watchdog {
    /// The watchdog of a server. It outlives the server without keeping it open.
    pub fn of_server(app: Arc<App>, workers: &[Handle]) -> Self {
        let status_of = Arc::clone(&app);
        let probe = move |deadline| {
            let mut probes = vec![app.inbox.send_probe(deadline)];
            probes.extend(app.reactors.probe(deadline));
            probes
        };
        Self { runtimes: named(workers), probe: Box::new(probe), status: Box::new(move || status(&status_of)) }
    }

    /// Notifies the supervisor that the server is ready, and goes on with status and pings until
    /// the process ends. Without a supervisor nothing happens.
    pub fn start(self) {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return;
        }
        // A quarter of the timeout: an answer may take another quarter, and half of it is left.
        let ping_every = sd_notify::watchdog_enabled().map(|timeout| timeout / 4);
        notify(&[NotifyState::Ready, NotifyState::Status(&(self.status)())]);
        let watch = move || {
            let every = ping_every.unwrap_or(STATUS_EVERY);
            loop {
                std::thread::sleep(every);
                self.check(every, ping_every.is_some());
            }
        };
        if let Err(error) = std::thread::Builder::new().name("watchdog".into()).spawn(watch) {
            tracing::error!(%error, "no watchdog: the supervisor will take the server for dead");
        }
    }

    /// Probes every thread once, and notifies the supervisor of the result.
    fn check(&self, timeout: Duration, pings: bool) {
        let silent = self.silent_threads(Instant::now() + timeout);
        if silent.is_empty() {
            let status = (self.status)();
            let states = [NotifyState::Status(&status), NotifyState::Watchdog];
            return notify(if pings { &states } else { &states[..1] });
        }
        let names = silent.join(", ");
        tracing::error!(threads = names, "no answer");
        notify(&[NotifyState::Status(&format!("no answer from {names}"))]);
    }

    /// Names of the threads that do not answer by `deadline`.
    fn silent_threads(&self, deadline: Instant) -> Vec<String> {
        let probe_runtime = |(name, runtime): &(String, Handle)| {
            probe(name.clone(), |call| {
                // Dropped when the thread comes to run it, or at once when its runtime has ended.
                drop(runtime.spawn(async move { drop(call) }));
                true
            })
        };
        let mut probes: Vec<PendingProbe> = self.runtimes.iter().map(probe_runtime).collect();
        probes.extend((self.probe)(deadline));
        probes.into_iter().filter(|probe| !probe.answers_by(deadline)).map(|probe| probe.name).collect()
    }
}

/// Workers by their names.
pub fn named(workers: &[Handle]) -> Vec<(String, Handle)> {
    workers.iter().enumerate().map(|(index, worker)| (format!("worker-{index}"), worker.clone())).collect()
}

/// The state of a server in one line.
fn status(app: &App) -> String {
    let rooms = app.directory.all();
    let sockets: usize = rooms.iter().map(|room| room.connections.total() as usize).sum();
    let participants: u64 = rooms.iter().map(|room| u64::from(room.snapshot().event.participant_count())).sum();
    let journal = if app.durable.load(Relaxed) { "kept" } else { "NOT WRITABLE" };
    format!("{} events, {participants} participants, {sockets} sockets, journal {journal}", rooms.len())
}
