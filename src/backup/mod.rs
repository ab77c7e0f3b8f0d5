//! What is kept beside the evening, and how it comes back: backups of a data folder, and single events on their way to another server.
//!
//! One file an errand: [`backup`] makes copies and lets old ones go, [`keeper`] does so in a running server, [`restore`] puts one back, [`export`]
//! and [`import`] carry one event from a server to another; `owner` sees to it that the server can go on with what root has made. None of them deletes anything that it did not make itself, and none of them
//! believes a copy that was not read back. SQLite is `store`'s; this room only knows which files a data folder is made of.

pub mod copy;
pub mod export;
pub mod import;
mod owner;
pub mod restore;
pub mod thread;

use crate::base::clock::wall_clock;
use crate::draw::EventId;
use crate::store::event_export::EventExportError;
use crate::store::folder::LockError;
use crate::store::keys::{IMPORTED_FILE, KeysError, SECRET_FILE};
use crate::store::{CommitError, JournalError};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use thread::Plan;

/// Where copies go within a data folder, unless somebody says otherwise.
pub const BACKUPS: &str = "backups";

/// Where images lie within a data folder.
pub const IMAGES: &str = "images";

/// What belongs to a journal: without the first its tokens, picks and details are lost. The last is there where no admin token was given.
const BESIDE: [&str; 3] = [SECRET_FILE, IMPORTED_FILE, "admin.token"];

/// A copy to make, or to bring back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupCommand {
    /// Copies the data folder into the folder `to`, by default where the server makes its own; the newest `keep` stay.
    Backup { to: Option<PathBuf>, keep: Option<usize> },
    /// Replaces the data folder's contents by a backup.
    Restore { from: PathBuf },
    /// Writes one event into the file `to`, by default one of its name in the working directory.
    Export { event: EventId, to: Option<PathBuf> },
    /// Imports an exported event, under another name if one is given.
    Import { file: PathBuf, as_event: Option<EventId> },
}

/// Why an errand was not done. Whatever it is, nothing half-made is left and nothing was deleted.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("{} cannot be read or written", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} holds no journal: say which data folder with --data-dir", folder.display())]
    NoJournal { folder: PathBuf },
    #[error("another backup is being made in {}", folder.display())]
    Busy { folder: PathBuf },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("nothing was taken in")]
    Commit(#[from] CommitError),
    #[error("{} cannot be put back, and nothing was changed: choose another backup", path.display())]
    Unfit { path: PathBuf, source: Box<ArchiveError> },
    #[error("{} is neither a backup's folder nor a copy of a journal: choose another", path.display())]
    NoBackup { path: PathBuf },
    #[error("{} has no {SECRET_FILE} beside it, and the data folder none either: without the key nobody can read it", path.display())]
    NoKey { path: PathBuf },
    #[error("{} holds one event: take it in with `luckydraw import`", path.display())]
    IsExport { path: PathBuf },
    #[error("there is no event {event} in this data folder")]
    NoSuchEvent { event: EventId },
    #[error("an event {event} is there already: take it in under another name with --as, or delete that one first")]
    EventExists { event: EventId },
    #[error("the server holds at most {max} events: delete one, or raise LUCKYDRAW_MAX_EVENTS")]
    TooManyEvents { max: u32 },
    #[error("{} cannot be taken in, and nothing was changed: export the event again", path.display())]
    UnfitExport { path: PathBuf, source: Box<ArchiveError> },
    #[error("{name} in the export is not the image that its name says")]
    OtherImage { name: String },
    #[error("the export holds no event")]
    Empty,
}

impl From<EventExportError> for ArchiveError {
    fn from(error: EventExportError) -> Self {
        match error {
            EventExportError::Journal(error) => error.into(),
            EventExportError::Keys(error) => error.into(),
        }
    }
}

/// Runs a command, and returns the text for the operator. `plan` says where the data folder and its backups are, and
/// how many are kept; an import leaves at most `events_max` events.
///
/// # Errors
/// Why it was not done, and what to do.
pub fn run(command: &BackupCommand, plan: &Plan, events_max: u32) -> Result<String, ArchiveError> {
    let data = &plan.data;
    let done = do_one(command, plan, events_max);
    let settled = if data.is_dir() { owner::settle(data).map_err(at(data)) } else { Ok(()) };
    done.and_then(|said| settled.map(|()| said))
}

fn do_one(command: &BackupCommand, plan: &Plan, events_max: u32) -> Result<String, ArchiveError> {
    let data = &plan.data;
    match command {
        BackupCommand::Backup { to, keep } => {
            let to = to.clone().unwrap_or_else(|| plan.to.clone());
            let keep = keep.unwrap_or(plan.keep);
            let copy = copy::make(data, &to, copy::Cause::Asked, keep)?;
            Ok(format!(
                "{}\n{} bytes, read back and found whole; put it back with: luckydraw restore {0}\n\
                 It holds the key to everything in it: keep it where nobody else can read.\n",
                to.join(&copy.name).display(),
                copy.bytes
            ))
        }
        BackupCommand::Restore { from } => restore::restore(data, from).map(|restored| restored.to_string()),
        BackupCommand::Export { event, to } => {
            let to = to.clone().unwrap_or_else(|| PathBuf::from(format!("{event}.luckydraw")));
            export::export(data, event, &to).map(|exported| exported.to_string())
        }
        BackupCommand::Import { file, as_event } => {
            import::import(data, file, as_event.as_ref(), events_max).map(|imported| imported.to_string())
        }
    }
}

/// Milliseconds since 1970, as they stand in the names of what is made here.
fn now() -> i64 {
    wall_clock().0
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
    let path = path.to_owned();
    |source| ArchiveError::Io { path, source }
}

/// Copies a file, flushed, with its mode.
fn copy_file(from: &Path, to: &Path) -> Result<(), ArchiveError> {
    fs::copy(from, to).map_err(at(from))?;
    File::open(to).and_then(|file| file.sync_all()).map_err(at(to))
}

/// Copies the images in `from` to the folder `to`, which is made. An image is named by what it holds and never written again, so where the
/// disk lets one file have two names a copy costs nothing.
fn copy_images(from: &Path, to: &Path) -> Result<(), ArchiveError> {
    crate::store::folder::make(to).map_err(at(to))?;
    for entry in fs::read_dir(from).map_err(at(from))? {
        let entry = entry.map_err(at(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let is_whole = source.extension().is_some_and(|extension| extension != "part") && source.is_file();
        if is_whole && fs::hard_link(&source, &target).is_err() {
            copy_file(&source, &target)?;
        }
    }
    crate::store::folder::sync(to).map_err(at(to))
}
