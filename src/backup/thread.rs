//! Backups of a running server: on a timer, when an event changes its phase, and on request. The
//! same thread removes unused images, and winners' details that are due from the copies.
//!
//! They are made on a thread of their own, through a reader of the journal, so that the writer and
//! with it every draw goes on meanwhile. The thread runs at a low priority. Requests queue in a
//! short line, and one that finds it full is refused: a person asks for a backup, or a call that
//! can wait.

use crate::backup::BackupError;
use crate::backup::copy::{self, Backup, BackupCause};
use crate::backup::old_details;
use crate::backup::unused_images::{self, UnusedImages};
use crate::base::data_dir::DataDir;
use crate::base::image_name::ImageName;
use crate::draw::Timestamp;
use crate::store::copied_details::DetailsPurged;
use crate::store::keys::Keys;
use crate::store::reader::{JournalReader, RowCounts};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::collections::BTreeSet;
use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The most requests that wait.
const REQUESTS_MAX: usize = 2;

/// The interval between two passes over the images and over the details in copies.
const UPKEEP_EVERY: Duration = Duration::from_secs(600);

/// The thread's nice value (setpriority(2)).
const NICE: i32 = 10;

/// The interval between two looks at the clock where there is no timer.
const NEVER: Duration = Duration::from_secs(86_400);

/// When backups are made and how many are kept. They lie in the data folder.
#[derive(Clone, Debug)]
pub struct BackupSchedule {
    /// The folder to back up.
    pub data: DataDir,
    /// The timer's interval; `None`: only on request.
    pub every: Option<Duration>,
    /// The most backups that are kept per cause.
    pub keep_max: usize,
}

/// Why a backup was not made.
#[derive(Debug)]
pub enum BackupFailure {
    /// Other requests wait already, or the server is stopping.
    Busy,
    /// An error, which is in the log.
    Failed,
}

struct BackupRequest {
    cause: BackupCause,
    reply: Option<oneshot::Sender<Result<Backup, BackupFailure>>>,
}

/// Finds the images that events show at this moment.
pub type ImagesInUse = Box<dyn Fn() -> BTreeSet<ImageName> + Send>;

/// Requests backups from the thread. Cheap to clone.
#[derive(Clone)]
pub struct BackupHandle {
    /// `None` ends the thread.
    requests: Sender<Option<BackupRequest>>,
}

impl BackupHandle {
    /// Makes a backup and waits for it. Dropping the future abandons the answer, not the backup.
    ///
    /// # Errors
    /// When other requests wait already, or the backup failed.
    pub async fn make(&self, cause: BackupCause) -> Result<Backup, BackupFailure> {
        let (reply, answer) = oneshot::channel();
        self.requests.try_send(Some(BackupRequest { cause, reply: Some(reply) })).map_err(|_| BackupFailure::Busy)?;
        answer.await.unwrap_or(Err(BackupFailure::Failed))
    }

    /// Requests a backup and does not wait. Where other requests wait already it is left out: the
    /// next one holds the same.
    pub fn request(&self, cause: BackupCause) {
        if self.requests.try_send(Some(BackupRequest { cause, reply: None })).is_err() {
            tracing::info!(cause = cause.name(), "a backup is left out: others are being made");
        }
    }
}

/// The thread that makes backups.
pub struct BackupThread {
    handle: BackupHandle,
    thread: JoinHandle<()>,
}

impl BackupThread {
    /// Starts the thread. Images that are in use stay, and winners' details in copies go once they
    /// are `purged` from the journal.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(schedule: BackupSchedule, in_use: ImagesInUse, purged: DetailsPurged) -> io::Result<Self> {
        // Before the first upload.
        if let Err(error) = unused_images::remove_unfinished(&schedule.data) {
            tracing::warn!(%error, "half-written images could not be removed");
        }
        let (requests, received) = bounded(REQUESTS_MAX);
        let thread =
            std::thread::Builder::new().name("backups".into()).spawn(move || serve(&schedule, &in_use, &purged, &received))?;
        Ok(Self { handle: BackupHandle { requests }, thread })
    }

    /// A handle for requests.
    pub fn handle(&self) -> BackupHandle {
        self.handle.clone()
    }

    /// Ends the thread once it has served the requests that wait. Blocks until then.
    pub fn stop(self) {
        if self.handle.requests.send(None).is_err() || self.thread.join().is_err() {
            tracing::error!("the thread that makes backups had ended");
        }
    }
}

fn serve(schedule: &BackupSchedule, in_use: &ImagesInUse, purged: &DetailsPurged, received: &Receiver<Option<BackupRequest>>) {
    // Of this thread alone: zero means the caller to the kernel. A refusal costs priority and no
    // backup.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "backups are made at everybody's pace");
    }
    let every = schedule.every.unwrap_or(NEVER);
    let mut next = Instant::now() + every;
    let mut last_counts = None;
    let (mut unused, mut next_upkeep) = (UnusedImages::default(), Instant::now());
    loop {
        if Instant::now() >= next_upkeep {
            collect_images(&schedule.data, in_use, &mut unused);
            purge_copies(&schedule.data, purged);
            next_upkeep = Instant::now() + UPKEEP_EVERY;
        }
        match received.recv_deadline(next.min(next_upkeep)) {
            Ok(Some(BackupRequest { cause, reply })) => {
                let made = make(schedule, cause, &mut last_counts);
                // The requester may have gone; the backup is kept all the same.
                reply.into_iter().for_each(|reply| drop(reply.send(made.as_ref().cloned().map_err(failure))));
            }
            Err(RecvTimeoutError::Timeout) if Instant::now() < next => {}
            Err(RecvTimeoutError::Timeout) => {
                next = Instant::now() + every;
                if schedule.every.is_some() {
                    make_on_timer(schedule, &mut last_counts);
                }
            }
            Ok(None) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Purges the details that are due out of the copies.
fn purge_copies(data: &DataDir, purged: &DetailsPurged) {
    if let Err(error) = old_details::purge(data, purged, Timestamp(crate::backup::now_ms())) {
        tracing::warn!(%error, "old winner details stay in copies until the next try");
    }
}

/// Removes the images that no event has shown for long enough.
fn collect_images(data: &DataDir, in_use: &ImagesInUse, unused: &mut UnusedImages) {
    match unused.collect(data, in_use, Instant::now()) {
        Ok(0) => {}
        Ok(images) => tracing::info!(images, "images that nothing shows were removed"),
        Err(error) => tracing::warn!(%error, "unused images could not be removed"),
    }
}

/// Makes a backup unless nothing has changed since the last one.
fn make_on_timer(schedule: &BackupSchedule, last_counts: &mut Option<RowCounts>) {
    let counts = count_rows(schedule).ok();
    if counts.is_none() || counts != *last_counts {
        // A failure is logged, and the timer tries again.
        let _ = make(schedule, BackupCause::Timer, last_counts);
    }
}

fn make(schedule: &BackupSchedule, cause: BackupCause, last_counts: &mut Option<RowCounts>) -> Result<Backup, BackupError> {
    // Counted before: a fact that is committed meanwhile may be in the copy or not, and counts as
    // not.
    let counts = count_rows(schedule).ok();
    let begun = Instant::now();
    let made = copy::create(&schedule.data, &schedule.data.backups(), cause, schedule.keep_max);
    match &made {
        Ok(backup) => {
            *last_counts = counts;
            let took_ms = begun.elapsed().as_millis();
            tracing::info!(name = %backup.name, bytes = backup.bytes, took_ms, "a backup was made");
        }
        Err(error) => {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(%error, cause, "a backup could not be made");
        }
    }
    made
}

fn count_rows(schedule: &BackupSchedule) -> Result<RowCounts, BackupError> {
    let data = &schedule.data;
    Ok(JournalReader::open(&data.journal(), &Keys::read(data)?)?.count_rows(i64::MAX)?)
}

fn failure(error: &BackupError) -> BackupFailure {
    match error {
        BackupError::Busy { .. } => BackupFailure::Busy,
        _ => BackupFailure::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Journal;
    use crate::store::testing::{TempDataDir, open_journal, opened};

    fn none_in_use() -> ImagesInUse {
        Box::new(BTreeSet::new)
    }

    fn schedule() -> (TempDataDir, BackupSchedule, Journal) {
        let (data, journal) = open_journal();
        let schedule = BackupSchedule { data: data.clone(), every: None, keep_max: 9 };
        (data, schedule, journal)
    }

    #[test]
    fn a_timer_makes_no_backup_of_an_unchanged_journal() {
        let (data, schedule, mut journal) = schedule();
        let count = || copy::list(&data.backups()).unwrap().len();
        let mut last_counts = None;
        make_on_timer(&schedule, &mut last_counts);
        make_on_timer(&schedule, &mut last_counts);
        assert_eq!(count(), 1);
        journal.commit(&[opened("gala")]).unwrap();
        make_on_timer(&schedule, &mut last_counts);
        assert_eq!(count(), 2);
    }

    #[test]
    fn a_backup_is_made_on_the_timer_and_while_the_journal_is_held() {
        let (data, schedule, _journal) = schedule();
        let thread = BackupThread::start(
            BackupSchedule { every: Some(Duration::from_millis(10)), ..schedule },
            none_in_use(),
            DetailsPurged::default(),
        )
        .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while copy::list(&data.backups()).unwrap().is_empty() {
            assert!(Instant::now() < deadline, "no backup was made");
            std::thread::yield_now();
        }
        thread.stop();
        assert_eq!(copy::list(&data.backups()).unwrap()[0].cause, BackupCause::Timer);
    }

    #[test]
    fn a_stop_serves_the_requests_that_wait() {
        let (data, schedule, _journal) = schedule();
        let thread = BackupThread::start(schedule, none_in_use(), DetailsPurged::default()).unwrap();
        thread.handle().request(BackupCause::Phase);
        thread.stop();
        assert_eq!(copy::list(&data.backups()).unwrap()[0].cause, BackupCause::Phase);
    }

    #[test]
    fn a_request_that_finds_the_line_full_is_refused() {
        let (requests, _received) = bounded(1);
        let handle = BackupHandle { requests };
        handle.request(BackupCause::Phase);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(matches!(runtime.block_on(handle.make(BackupCause::Asked)), Err(BackupFailure::Busy)));
    }
}
