//! The one writer: it takes commands in batches, lets the rules decide, commits the facts, publishes, and then answers.
//!
//! One thread does all of it, so that an event has one history and needs no lock. While a commit waits for the disk, the next batch
//! gathers in the [`inbox`]; that is the group commit. [`batch`] is one such round; [`hall`] is an event as the writer holds it;
//! [`deadlines`] is what falls due without anybody asking; [`tally`] are the merged counts; [`pace`] tells how it keeps up; [`recovery`] rebuilds it all from the journal.
//!
//! The order of a round is the product's promise: decide, commit, show, tell, reply. Nobody hears of a fact that could still be lost. This room
//! holds the clock and the chance, and no rule, no byte layout and no socket.

pub mod batch;
pub mod commit_metrics;
pub mod count_updates;
pub mod event_state;
pub mod inbox;
pub mod recovery;
#[cfg(test)]
mod testing;
pub mod timers;

use crate::base::clock::wall_clock;
use crate::base::threads::EndProcessOnPanic;
use crate::draw::fact::Settings;
use crate::draw::{EventId, Prize, Timestamp};
use crate::live::reactor::Reactors;
use crate::live::room::Directory;
use crate::store::journal::Journal;
use crossbeam::channel::{Receiver, RecvTimeoutError};
use event_state::EventState;
use inbox::{Request, Responder};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// The most orders one commit carries.
const BATCH_ORDERS_MAX: usize = 512;
/// The longest a batch goes on gathering.
const BATCH_TIME_MAX: Duration = Duration::from_millis(2);
/// How often deadlines and counts are looked at while there is something to tell or to wait for.
const TICK: Duration = Duration::from_millis(100);
/// The same while there is not: sockets come and go without a word to the writer. Ten looks a second were a fifth of a quiet evening's CPU.
const QUIET_TICK: Duration = Duration::from_millis(500);

/// What the operator settled about the writer.
#[derive(Clone, Debug)]
pub struct Limits {
    pub events_max: u32,
    /// How long a revealed draw waits for its completion.
    pub announce_after: Duration,
    /// How long an event is kept after its last fact.
    pub event_ttl: Duration,
    /// How long winners' details are kept.
    pub details_ttl: Duration,
    /// Where the copy goes that is made before rows are deleted.
    pub backups_dir: PathBuf,
}

/// The writer, with everything it writes.
pub struct Sequencer {
    journal: Journal,
    halls: BTreeMap<EventId, EventState>,
    directory: Arc<Directory>,
    stages: Reactors,
    orders: Receiver<Box<Request>>,
    limits: Limits,
    /// Written here alone; read by the health paths. Relaxed: it stands alone.
    durable: Arc<AtomicBool>,
    clock: Clock,
    /// When this process began. A restart counts as a display having been there: the screen is about to come back.
    started_at: Timestamp,
    deadlines: timers::Timers,
    pace: Arc<commit_metrics::CommitMetrics>,
}

impl Sequencer {
    /// Opens a first event where the journal has none.
    pub fn begin_with(&mut self, event: EventId, settings: Settings, prizes: Vec<Prize>) {
        if self.halls.is_empty() {
            self.round(vec![Request::Open { event, settings, prizes, reply: Responder::Nobody }]);
        }
    }

    /// How it keeps up, for whoever watches.
    pub fn pace(&self) -> Arc<commit_metrics::CommitMetrics> {
        Arc::clone(&self.pace)
    }

    /// Writes until it is told to stop, then folds the journal's log into its file.
    pub fn run(mut self) {
        // A writer that panicked may hold half a truth.
        let _guard = EndProcessOnPanic;
        let mut next_tick = Instant::now() + TICK;
        loop {
            let first = match self.orders.recv_deadline(next_tick) {
                Ok(order) => Some(order),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Some(first) = first {
                let (orders, stop) = self.gather(first);
                self.round(orders);
                if stop {
                    break;
                }
                // What it changed is told soon.
                next_tick = next_tick.min(Instant::now() + TICK);
            }
            if Instant::now() >= next_tick {
                let is_busy = self.tick();
                next_tick = Instant::now() + if is_busy { TICK } else { QUIET_TICK };
            }
        }
        self.close();
    }

    /// The first order and those that came while the last commit was under way. Says whether to stop after them.
    fn gather(&self, first: Box<Request>) -> (Vec<Request>, bool) {
        let until = Instant::now() + BATCH_TIME_MAX;
        let mut orders = Vec::new();
        let mut next = Some(first);
        while let Some(order) = next {
            if matches!(*order, Request::Stop) {
                return (orders, true);
            }
            orders.push(*order);
            let more = orders.len() < BATCH_ORDERS_MAX && Instant::now() < until;
            next = if more { self.orders.try_recv().ok() } else { None };
        }
        (orders, false)
    }

    fn close(&mut self) {
        if let Err(error) = batch::unless_fatal(self.journal.checkpoint()) {
            tracing::warn!(%error, "the journal's log stays beside its file; the next start folds it in");
        }
    }
}

/// The wall clock, held to never step back while this process lives. Across a restart it may: a start that went by a clock set wrong must not
/// bind every later one, and what came first is said by the journal's order, never by its times.
#[derive(Debug, Default)]
struct Clock {
    last: Timestamp,
}

impl Clock {
    fn now(&mut self) -> Timestamp {
        self.last = self.last.max(wall_clock());
        self.last
    }
}
