//! The layers below HTTP: the journal, the reactors and the sequencer between them, opened in the
//! order of their needs.
//!
//! The journal comes first, since opening it takes the data folder's lock: a second server is
//! refused before it touches anything. The sequencer comes last, when everything that it publishes
//! to is there; stopping it is the last step of a stop.

use crate::api::revoked_logins::RevokedLogins;
use crate::api::socket::SocketMessages;
use crate::api::stage_registry::Stages;
use crate::api::turn_meter::TurnMeters;
use crate::base::clock::SteadyClock;
use crate::base::data_dir::DataDir;
use crate::base::secret::Secret;
use crate::live::message_handler::MessageHandler;
use crate::live::reactor::Reactors;
use crate::live::room::Directory;
use crate::ops::config::Config;
use crate::ops::server::StartError;
use crate::ops::server::first_event::FirstEvent;
use crate::sequencer::Sequencer;
use crate::sequencer::commit_metrics::CommitMetrics;
use crate::sequencer::inbox::{self, Inbox, RequestQueue};
use crate::store::copied_details::DetailsPurged;
use crate::store::journal::Journal;
use crate::store::keys::Keys;
use crate::store::tokens::Tokens;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

/// The journal and its keys, locked for this server.
pub struct Storage {
    keys: Keys,
    journal: Journal,
}

impl Storage {
    /// Opens the journal in the data folder, and locks the folder.
    ///
    /// # Errors
    /// When another server holds it, or its files cannot be used.
    pub fn open(data_dir: &DataDir) -> Result<Self, StartError> {
        let keys = Keys::open(data_dir)?;
        let journal = Journal::open(data_dir, &keys)?;
        Ok(Self { keys, journal })
    }
}

/// The running layers below HTTP.
pub struct Core {
    /// Finds the room of an event.
    pub directory: Arc<Directory>,
    /// The way to the sequencer.
    pub inbox: Inbox,
    /// The threads that own the sockets.
    pub reactors: Reactors,
    /// Derives and verifies tokens and codes.
    pub tokens: Tokens,
    /// Logins that were ended by a log-out.
    pub revoked_logins: Arc<RevokedLogins>,
    /// False after a commit that failed, until one succeeds.
    pub durable: Arc<AtomicBool>,
    /// Judges what is old.
    pub clock: Arc<SteadyClock>,
    /// Counts and times of commits.
    pub commit_metrics: Arc<CommitMetrics>,
    /// The purges of winners' details, which copies follow.
    pub details_purged: DetailsPurged,
    /// The screens that show an event.
    pub stages: Arc<Stages>,
    /// The spread of the moments at which phones show winners.
    pub turns: Arc<TurnMeters>,
    /// Stopped last.
    pub sequencer: SequencerThread,
}

impl Core {
    /// Replays the journal and starts the threads. A journal without events begins with the
    /// demonstration.
    ///
    /// # Errors
    /// When the journal cannot be read to its end, or the operating system gives no threads.
    pub fn start(config: &Config, admin_token: &Secret, storage: Storage) -> Result<Self, StartError> {
        let Storage { keys, journal } = storage;
        let first_event = journal.events().next().is_none().then(|| FirstEvent::create(config));
        let tokens = Tokens::new(&keys);
        let directory = Arc::new(Directory::default());
        let durable = Arc::new(AtomicBool::new(true));
        let (stages, turns) = (Arc::new(Stages::default()), Arc::new(TurnMeters::default()));
        let clock = Arc::new(SteadyClock::new(journal.clock_record()?));
        let revoked_logins = Arc::new(RevokedLogins::open(config.app.data_dir.revoked_logins())?);
        let (inbox, requests) = inbox::queue(config.inbox_max);
        let message_handler = || -> Box<dyn MessageHandler> {
            Box::new(SocketMessages {
                settings: config.app.clone(),
                admin_token: admin_token.clone(),
                tokens: tokens.clone(),
                revoked_logins: Arc::clone(&revoked_logins),
                clock: Arc::clone(&clock),
                directory: Arc::clone(&directory),
                inbox: inbox.clone(),
                stages: Arc::clone(&stages),
                turns: Arc::clone(&turns),
            })
        };
        let reactors = Reactors::start(config.socket_threads, message_handler).map_err(StartError::Threads)?;
        let recover = |requests: RequestQueue| {
            let (directory, durable) = (Arc::clone(&directory), Arc::clone(&durable));
            let (limits, clock) = (config.sequencer.clone(), Arc::clone(&clock));
            Sequencer::recover(journal, directory, reactors.clone(), requests, limits, durable, clock)
        };
        let started = recover(requests).map_err(StartError::from).and_then(|sequencer| {
            let (commit_metrics, details_purged) = (sequencer.metrics(), sequencer.details_purged());
            Ok((SequencerThread::start(sequencer, inbox.clone(), first_event)?, commit_metrics, details_purged))
        });
        let stop_reactors = |_: &StartError| reactors.stop(Duration::ZERO, Duration::ZERO);
        let (sequencer, commit_metrics, details_purged) = started.inspect_err(stop_reactors)?;
        Ok(Self {
            directory,
            inbox,
            reactors,
            tokens,
            revoked_logins,
            durable,
            clock,
            commit_metrics,
            details_purged,
            stages,
            turns,
            sequencer,
        })
    }
}

/// The sequencer's thread.
pub struct SequencerThread {
    inbox: Inbox,
    thread: JoinHandle<()>,
}

impl SequencerThread {
    fn start(mut sequencer: Sequencer, inbox: Inbox, first_event: Option<FirstEvent>) -> Result<Self, StartError> {
        if let Some(FirstEvent { id, settings, prizes }) = first_event {
            sequencer.open_first_event(id, settings, prizes);
        }
        let thread = std::thread::Builder::new().name("sequencer".into()).spawn(|| sequencer.run());
        Ok(Self { inbox, thread: thread.map_err(StartError::Threads)? })
    }

    /// Lets the sequencer serve its inbox, checkpoint the journal and end; waits for it.
    pub fn stop(self) {
        // A sequencer that has ended has panicked, which joining it shows.
        self.inbox.stop();
        if self.thread.join().is_err() {
            tracing::error!("the sequencer had panicked");
        }
    }
}
