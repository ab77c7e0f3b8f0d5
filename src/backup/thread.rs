//! Backups of a running server: when it is time, when an event changes its phase, and when somebody asks.
//!
//! They are made on a thread of their own, from a reader's view of the journal, so that the writer and with it every draw goes on meanwhile; the
//! thread gives way to everybody else. Askers queue in a short line, and who finds it full is told so: a backup is asked for by a person or before
//! a deed that can wait.

use crate::backup::ArchiveError;
use crate::backup::copy::{self, Backup, Cause};
use crate::draw::Timestamp;
use crate::store::journal::JOURNAL_FILE;
use crate::store::keys::Keys;
use crate::store::reading::{Counts, Reading};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::io;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The most backups that are waited for.
const ASKS_MAX: usize = 2;

/// How nice the thread is to the others (setpriority(2)).
const NICE: i32 = 10;

/// So long a look at the clock is put off where there is no timer.
const NEVER: Duration = Duration::from_secs(86_400);

/// Where, how often and how many.
#[derive(Clone, Debug)]
pub struct Plan {
    pub data: PathBuf,
    pub to: PathBuf,
    /// None: only when something happens.
    pub every: Option<Duration>,
    /// The most of a cause.
    pub keep: usize,
    /// After so long a backup goes, with the winners' details in it.
    pub age_max: Duration,
}

/// Why a backup was not made.
#[derive(Debug)]
pub enum NotMade {
    /// Others wait already, or the server is stopping.
    Busy,
    /// It could not be; the log says why.
    Failed,
}

struct Ask {
    cause: Cause,
    reply: Option<oneshot::Sender<Result<Backup, NotMade>>>,
}

/// Where backups are asked for. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    asks: Sender<Option<Ask>>,
}

impl Door {
    /// Makes a backup and waits for it. Dropping the future abandons the answer, not the backup.
    ///
    /// # Errors
    /// When others wait already, or it could not be made.
    pub async fn make(&self, cause: Cause) -> Result<Backup, NotMade> {
        let (reply, answer) = oneshot::channel();
        self.asks.try_send(Some(Ask { cause, reply: Some(reply) })).map_err(|_| NotMade::Busy)?;
        answer.await.unwrap_or(Err(NotMade::Failed))
    }

    /// Has a backup made that nobody waits for. Where others wait already it is left out: the next one holds the same.
    pub fn note(&self, cause: Cause) {
        if self.asks.try_send(Some(Ask { cause, reply: None })).is_err() {
            tracing::info!(cause = cause.name(), "a backup is left out: others are being made");
        }
    }
}

/// The thread that makes them.
pub struct BackupThread {
    door: Door,
    thread: JoinHandle<()>,
}

impl BackupThread {
    /// Starts it.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(plan: Plan) -> io::Result<Self> {
        let (asks, asked) = bounded(ASKS_MAX);
        let thread = std::thread::Builder::new().name("backups".into()).spawn(move || keep(&plan, &asked))?;
        Ok(Self { door: Door { asks }, thread })
    }

    /// Where backups are asked for.
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// Lets it finish what was asked for, and end.
    pub fn stop(self) {
        if self.door.asks.send(None).is_err() || self.thread.join().is_err() {
            tracing::error!("the thread that makes backups had ended");
        }
    }
}

fn keep(plan: &Plan, asked: &Receiver<Option<Ask>>) {
    // Of this thread alone: the kernel takes nought for whoever asks. Without it backups are made all the same.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "backups are made at everybody's pace");
    }
    let every = plan.every.unwrap_or(NEVER);
    let mut next = Instant::now() + every;
    let mut last = None;
    loop {
        match asked.recv_deadline(next) {
            Ok(Some(Ask { cause, reply })) => {
                let made = make(plan, cause, &mut last);
                // Whoever asked may have gone; the backup stands all the same.
                reply.into_iter().for_each(|reply| drop(reply.send(made.as_ref().cloned().map_err(as_told))));
            }
            Err(RecvTimeoutError::Timeout) => {
                next = Instant::now() + every;
                if plan.every.is_some() {
                    on_time(plan, &mut last);
                }
            }
            Ok(None) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Makes a backup unless nothing has changed since the last one, and lets those go that have become too old.
fn on_time(plan: &Plan, last: &mut Option<Counts>) {
    let now = look(plan).ok();
    if now.is_none() || now != *last {
        // Said in the log where it fails, and tried again the next time.
        let _ = make(plan, Cause::Timer, last);
    }
    let before = Timestamp(crate::backup::now().saturating_sub(plan.age_max.as_millis() as i64));
    if let Err(error) = copy::let_go(&plan.to, before) {
        tracing::warn!(%error, "old backups could not be removed");
    }
}

fn make(plan: &Plan, cause: Cause, last: &mut Option<Counts>) -> Result<Backup, ArchiveError> {
    // Looked at before: what is committed meanwhile may be in the copy or not, and counts as not.
    let now = look(plan).ok();
    let began = Instant::now();
    let made = copy::make(&plan.data, &plan.to, cause, plan.keep);
    match &made {
        Ok(backup) => {
            *last = now;
            let took_ms = began.elapsed().as_millis();
            tracing::info!(name = %backup.name, bytes = backup.bytes, took_ms, "a backup was made");
        }
        Err(error) => {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(%error, cause, "a backup could not be made");
        }
    }
    made
}

fn look(plan: &Plan) -> Result<Counts, ArchiveError> {
    Ok(Reading::open(&plan.data.join(JOURNAL_FILE), &Keys::read(&plan.data)?)?.counts(i64::MAX)?)
}

fn as_told(error: &ArchiveError) -> NotMade {
    match error {
        ArchiveError::Busy { .. } => NotMade::Busy,
        _ => NotMade::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::fact::{RecordedFact, Settings};
    use crate::draw::{Actor, Epoch, EventId, Fact, SessionId};
    use crate::store::{Journal, JournalEntry};
    use tempfile::TempDir;

    fn folder() -> (TempDir, Plan, Journal) {
        let temp = tempfile::tempdir().unwrap();
        let journal = Journal::open(temp.path(), &Keys::open(temp.path()).unwrap()).unwrap();
        let (data, to) = (temp.path().to_owned(), temp.path().join("backups"));
        let plan = Plan { data, to, every: None, keep: 9, age_max: NEVER };
        (temp, plan, journal)
    }

    fn opened(name: &str) -> JournalEntry {
        let event = EventId::parse(name).unwrap();
        let settings = Settings { title: "t".into(), participants_max: 9, ..Settings::default() };
        let fact = Fact::Opened { id: event.clone(), settings, session: SessionId([1; 16]), epoch: Epoch([2; 8]) };
        JournalEntry { event, stamped: RecordedFact { at: Timestamp(1), actor: Actor::Admin, fact }, details: None }
    }

    #[test]
    fn nothing_new_is_no_reason_for_a_backup() {
        let (_temp, plan, mut journal) = folder();
        let count = || copy::list(&plan.to).unwrap().len();
        let mut last = None;
        on_time(&plan, &mut last);
        on_time(&plan, &mut last);
        assert_eq!(count(), 1);
        journal.commit(&[opened("gala")]).unwrap();
        on_time(&plan, &mut last);
        assert_eq!(count(), 2);
    }

    #[test]
    fn a_backup_is_made_when_it_is_time_and_while_the_journal_is_held() {
        let (_temp, plan, _journal) = folder();
        let keeper = BackupThread::start(Plan { every: Some(Duration::from_millis(10)), ..plan.clone() }).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while copy::list(&plan.to).unwrap().is_empty() {
            assert!(Instant::now() < deadline, "no backup was made");
            std::thread::yield_now();
        }
        keeper.stop();
        assert_eq!(copy::list(&plan.to).unwrap()[0].cause, Cause::Timer);
    }

    #[test]
    fn who_finds_the_line_full_is_told_so() {
        let (asks, _asked) = bounded(1);
        let door = Door { asks };
        door.note(Cause::Phase);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(matches!(runtime.block_on(door.make(Cause::Asked)), Err(NotMade::Busy)));
    }
}
