//! The one writer: takes requests in batches, lets the rules decide, commits the facts, publishes,
//! then replies.
//!
//! One thread does all of it, so an event has one history and needs no lock. While a commit waits
//! for the disk, the next batch gathers in the [`inbox`]; that is the group commit. `batch` serves
//! commands, `queries` what no rule decides, `upkeep` what falls due by the deadlines of `timers`,
//! and `deletion` deletes events slice by slice between the batches. `event_state` is an event as
//! the writer holds it, `counts` merges counts on their way to sockets, [`commit_metrics`] measures
//! commits, and `recovery` rebuilds everything from the journal.
//!
//! This module holds the clock and the entropy. It never holds a rule, a byte layout or a socket,
//! and runs no code of `api`.

mod batch;
pub mod commit_metrics;
pub mod counts;
mod deletion;
mod event_state;
pub mod inbox;
mod queries;
mod recovery;
#[cfg(test)]
mod testing;
mod timers;
mod upkeep;

use crate::base::clock::SteadyClock;
use crate::base::threads::EndProcessOnPanic;
use crate::draw::fact::Settings;
use crate::draw::proof::DrandChain;
use crate::draw::{EventId, Prize};
use crate::live::reactor::Reactors;
use crate::live::room::Directory;
use crate::store::CommitError;
use crate::store::copied_details::DetailsPurged;
use crate::store::journal::Journal;
use commit_metrics::CommitMetrics;
use crossbeam::channel::RecvTimeoutError;
use deletion::Deletions;
use event_state::EventState;
use inbox::{Request, RequestQueue, Responder};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use timers::{TICK, Timers};

/// The exit code of a process that can no longer trust its journal (EX_IOERR of sysexits.h).
const JOURNAL_LOST: i32 = 74;

/// Limits that the operator configures.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most events at a time.
    pub events_max: u32,
    /// Time that a revealed draw without a planned show waits for a display to complete it.
    pub announce_after: Duration,
    /// Time from an announcement to the planned end of the show, for frames to travel.
    pub announce_early: Duration,
    /// Time that an event is kept after its last fact.
    pub event_ttl: Duration,
    /// Time that winners' details are kept.
    pub details_ttl: Duration,
    /// Folder of the copies that are made before rows are deleted.
    pub backups_dir: PathBuf,
    /// The chain whose rounds draws by drand wait for.
    pub drand: DrandChain,
}

/// The writer and everything it writes to.
pub struct Sequencer {
    journal: Journal,
    events: BTreeMap<EventId, EventState>,
    directory: Arc<Directory>,
    reactors: Reactors,
    requests: RequestQueue,
    limits: Limits,
    /// False from a failed write to the next that succeeds. Written here alone, read by the health
    /// checks; relaxed, since nothing else is read on the strength of it.
    durable: Arc<AtomicBool>,
    /// Stamps facts with the wall clock, and judges what is old.
    clock: Arc<SteadyClock>,
    /// The start of this process, by [`monotonic_ms`]. It counts as a display having been there:
    /// after a restart the screen is about to come back.
    ///
    /// [`monotonic_ms`]: crate::base::clock::monotonic_ms
    started_ms: i64,
    timers: Timers,
    deletions: Deletions,
    metrics: Arc<CommitMetrics>,
    details_purged: DetailsPurged,
}

impl Sequencer {
    /// Opens a first event if the journal holds none.
    pub fn open_first_event(&mut self, event: EventId, settings: Settings, prizes: Vec<Prize>) {
        if self.events.is_empty() {
            self.serve(vec![Request::Open { event, settings, prizes, reply: Responder::Discard }]);
        }
    }

    /// The purges of winners' details, which copies of the journal follow.
    pub fn details_purged(&self) -> DetailsPurged {
        self.details_purged.clone()
    }

    /// The metrics of its commits.
    pub fn metrics(&self) -> Arc<CommitMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Serves requests until [`Request::Stop`] or the last inbox is dropped, then folds the
    /// journal's log into its file.
    pub fn run(mut self) {
        // A writer that panicked may have changed an event by half.
        let _guard = EndProcessOnPanic;
        self.journal.reserve_log();
        self.serve_until_stopped();
        self.save_clock();
        self.checkpoint("the journal's log stays beside its file; the next start folds it in", Instant::now());
    }

    fn serve_until_stopped(&mut self) {
        loop {
            // A deletion's next slice waits for no tick, and for every request that is there.
            let deadline = if self.has_deletion_slice() { Instant::now() } else { self.timers.tick_at() };
            match self.requests.recv_deadline(deadline) {
                Ok(first) => {
                    let (requests, stop) = self.gather(first);
                    self.serve(requests);
                    if stop {
                        break;
                    }
                    self.timers.hasten_tick(Instant::now() + TICK);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.has_deletion_slice() {
                self.advance_deletions();
            }
            let now = Instant::now();
            if now >= self.timers.tick_at() {
                let is_busy = self.tick(now);
                self.timers.restart_tick(Instant::now(), is_busy);
                if let Some(due) = self.next_show_end(now) {
                    self.timers.hasten_tick(due);
                }
            }
        }
    }
}

/// The result of a write to the journal, if the journal can still be trusted.
///
/// After a failed fsync nobody knows what the disk holds, and a second fsync may be answered from
/// memory. The process ends, and the next one reads what is really there.
fn exit_if_fatal<T>(written: Result<T, CommitError>) -> Result<T, CommitError> {
    if let Err(CommitError::Fatal(cause)) = &written {
        tracing::error!(%cause, "the disk did not keep what was written; ending the process");
        std::process::exit(JOURNAL_LOST);
    }
    written
}
