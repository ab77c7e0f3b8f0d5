//! What lies behind the street: the journal, the stages and the writer between them, opened in the order in which they need
//! each other.
//!
//! The journal comes first, since opening it takes the data folder's lock: a second server is turned away before it touches
//! anything. The writer comes last of all, when everybody it tells of facts is there; closing it is the last thing a stop does.

use crate::api::app::Settings;
use crate::api::messages::Messages;
use crate::backup::BACKUPS;
use crate::live::directory::Directory;
use crate::live::reactor::Reactors;
use crate::ops::config::Config;
use crate::ops::demo::{self, Opening};
use crate::ops::server::StartError;
use crate::sequencer::commit_metrics::CommitMetrics;
use crate::sequencer::inbox::{Inbox, Request};
use crate::sequencer::{Limits, Sequencer};
use crate::store::journal::Journal;
use crate::store::keys::Keys;
use crate::store::tokens::Tokens;
use crossbeam::channel::{Sender, bounded};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the writer may take to have room for the order to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// The rooms behind the street, open.
pub struct Rooms {
    pub directory: Arc<Directory>,
    pub inbox: Inbox,
    pub stages: Reactors,
    pub tokens: Tokens,
    pub durable: Arc<AtomicBool>,
    pub pace: Arc<CommitMetrics>,
    pub writer: Writer,
}

/// The journal and its keys, held but not yet written.
pub struct Archive {
    keys: Keys,
    journal: Journal,
}

impl Archive {
    /// Takes the data folder for this server alone.
    ///
    /// # Errors
    /// When another server holds it, or it is not to be used as it is.
    pub fn take(data_dir: &Path) -> Result<Self, StartError> {
        let keys = Keys::open(data_dir)?;
        let journal = Journal::open(data_dir, &keys)?;
        Ok(Self { keys, journal })
    }
}

impl Rooms {
    /// Opens the rooms and replays the journal into them; one that holds no event yet begins with the demonstration.
    ///
    /// # Errors
    /// When the journal cannot be read to its end, or the operating system gives no threads.
    pub fn open(config: &Config, settings: &Settings, archive: Archive) -> Result<Self, StartError> {
        let Archive { keys, journal } = archive;
        let tokens = Tokens::new(&keys);
        let directory = Arc::new(Directory::default());
        let durable = Arc::new(AtomicBool::new(true));
        let (orders, taken) = bounded(config.inbox_max);
        let inbox = Inbox::new(orders.clone());
        let interpreter = || -> Box<dyn crate::live::protocol::MessageHandler> {
            Box::new(Messages::new(settings.clone(), tokens.clone(), Arc::clone(&directory), inbox.clone()))
        };
        let stages = Reactors::start(config.socket_threads, interpreter).map_err(StartError::Threads)?;
        let writer = || -> Result<(Writer, Arc<CommitMetrics>), StartError> {
            let (directory, durable) = (Arc::clone(&directory), Arc::clone(&durable));
            let mut sequencer = Sequencer::recover(journal, directory, stages.clone(), taken, limits(config), durable)?;
            let Opening { event, settings, prizes } = demo::event(config);
            sequencer.open_first_event(event, settings, prizes);
            let pace = sequencer.metrics();
            let thread = std::thread::Builder::new().name("sequencer".into()).spawn(|| sequencer.run());
            Ok((Writer { orders, thread: thread.map_err(StartError::Threads)? }, pace))
        };
        let (writer, pace) = writer().inspect_err(|_| stages.stop(Duration::ZERO, Duration::ZERO))?;
        Ok(Self { directory, inbox, stages, tokens, durable, pace, writer })
    }
}

/// The writer's thread.
pub struct Writer {
    orders: Sender<Box<Request>>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Lets it serve what has come in, fold the journal's log into its file, and end.
    pub fn stop(self) {
        if self.orders.send_timeout(Box::new(Request::Stop), STOP_PATIENCE).is_err() {
            return tracing::error!("the writer does not take the order to stop; the next start reads the journal's log");
        }
        if self.thread.join().is_err() {
            tracing::error!("the writer had panicked");
        }
    }
}

/// What the operator settled about the writer.
fn limits(config: &Config) -> Limits {
    Limits {
        events_max: config.events_max,
        announce_after: Duration::from_millis(config.announce_after_ms.into()),
        event_ttl: Duration::from_secs(config.event_ttl_s),
        details_ttl: Duration::from_secs(u64::from(config.pii_days) * 86_400),
        backups_dir: config.data_dir.join(BACKUPS),
    }
}
