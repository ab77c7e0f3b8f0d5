//! Backups of a data folder and their restore, and single events on their way to another server.
//!
//! [`copy`] makes backups and removes old ones, [`thread`] does so in a running server, [`restore`]
//! puts one back, [`export`] and [`import`] carry one event from a server to another,
//! [`unused_images`] removes images that nothing shows, [`old_details`] winners' details that are
//! due from copies, and `owner` gives the files that root creates to the server. None of them may
//! delete a file that it did not make itself, or trust a copy that was not read back. SQLite
//! belongs to `store`, the names of the files to [`DataDir`].

pub mod copy;
pub mod export;
pub mod import;
pub mod old_details;
mod owner;
pub mod restore;
pub mod thread;
pub mod unused_images;

use crate::base::clock::wall_clock;
use crate::base::data_dir::DataDir;
use crate::base::durable_file;
use crate::draw::EventId;
use crate::store::event_export::EventExportError;
use crate::store::{CommitError, JournalError, KeysError, LockError};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A subcommand that makes a backup or an export, or brings one back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupCommand {
    /// Backs up the data folder.
    Backup {
        /// The folder of backups; `None`: where the server makes its own.
        to: Option<PathBuf>,
        /// The most requested backups that are kept; `None`: as the settings say.
        keep: Option<usize>,
    },
    /// Replaces the data folder by a backup.
    Restore {
        /// The backup's folder, or a copy of a journal.
        from: PathBuf,
    },
    /// Writes one event into a file.
    Export {
        /// The event.
        event: EventId,
        /// The file; `None`: one of the event's name in the current folder.
        to: Option<PathBuf>,
    },
    /// Takes in an exported event.
    Import {
        /// The file of the export.
        file: PathBuf,
        /// The name it gets here; `None`: its own.
        as_event: Option<EventId>,
    },
}

/// Why a command failed. Nothing half-made is left and nothing was deleted. The text says what the
/// operator can do.
#[expect(missing_docs, reason = "the text of each error shows its fields")]
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The disk's error.
    #[error("{} cannot be read or written", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The data folder has no journal.
    #[error("{} holds no journal: say which data folder with --data-dir", folder.display())]
    NoJournal { folder: PathBuf },
    /// There is a file where one would be written.
    #[error("{} exists: name another file with --to, or remove that one", path.display())]
    FileExists { path: PathBuf },
    /// The lock of the folder of backups stayed taken.
    #[error("another backup is being made in {}", folder.display())]
    Busy { folder: PathBuf },
    /// A server uses the data folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The import's commit failed.
    #[error("nothing was taken in")]
    Commit(#[from] CommitError),
    /// The backup does not verify.
    #[error("{} cannot be put back, and nothing was changed: choose another backup", path.display())]
    Unfit { path: PathBuf, source: Box<BackupError> },
    /// The path is no backup at all.
    #[error("{} is neither a backup's folder nor a copy of a journal: choose another", path.display())]
    NoBackup { path: PathBuf },
    /// A copy of a journal comes without its secret.
    #[error("{} has no secret.key beside it, and the data folder none either: without the key nobody can read it", path.display())]
    NoKey { path: PathBuf },
    /// The file to restore is an export.
    #[error("{} holds one event: take it in with `luckydraw import`", path.display())]
    IsExport { path: PathBuf },
    /// The event to export does not exist.
    #[error("there is no event {event} in this data folder")]
    NoSuchEvent { event: EventId },
    /// An event of the imported one's name exists.
    #[error("an event {event} is there already: take it in under another name with --as, or delete that one first")]
    EventExists { event: EventId },
    /// The server's bound on events is reached.
    #[error("the server holds at most {max} events: delete one, or raise LUCKYDRAW_MAX_EVENTS")]
    TooManyEvents { max: u32 },
    /// The export does not verify.
    #[error("{} cannot be taken in, and nothing was changed: export the event again", path.display())]
    UnfitExport { path: PathBuf, source: Box<BackupError> },
    /// An image in an export is not named by its SHA-256.
    #[error("{name} in the export is not the image that its name says")]
    OtherImage { name: String },
    /// The export's journal is empty, or holds more than an export does.
    #[error("the export does not hold one event")]
    NotOneEvent,
}

impl From<EventExportError> for BackupError {
    fn from(error: EventExportError) -> Self {
        match error {
            EventExportError::Journal(error) => error.into(),
            EventExportError::Keys(error) => error.into(),
        }
    }
}

/// Runs a command over a data folder; returns the text for the operator. Keeps `keep_max` backups
/// unless the command names a number, and imports into at most `events_max` events.
///
/// # Errors
/// Why the command failed, and what to do.
pub fn run(data: &DataDir, command: &BackupCommand, keep_max: usize, events_max: u32) -> Result<String, BackupError> {
    let done = execute(data, command, keep_max, events_max);
    let path = data.path();
    let owned = if path.is_dir() { owner::give_to_folder_owner(path).map_err(at(path)) } else { Ok(()) };
    done.and_then(|text| owned.map(|()| text))
}

fn execute(data: &DataDir, command: &BackupCommand, keep_max: usize, events_max: u32) -> Result<String, BackupError> {
    match command {
        BackupCommand::Backup { to, keep } => {
            let to = to.clone().unwrap_or_else(|| data.backups());
            let copy = copy::create(data, &to, copy::BackupCause::Asked, keep.unwrap_or(keep_max))?;
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

/// Milliseconds since 1970, as the names of backups carry them.
fn now_ms() -> i64 {
    wall_clock().0
}

/// Adds the path to a disk's error.
fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    |source| BackupError::Io { path, source }
}

/// Copies a file with its mode, and flushes the copy.
fn copy_file(from: &Path, to: &Path) -> Result<(), BackupError> {
    fs::copy(from, to).map_err(at(from))?;
    File::open(to).and_then(|file| file.sync_all()).map_err(at(to))
}

/// Copies the files that belong to a journal, as far as `from` has them.
fn copy_companion_files(from: &DataDir, to: &DataDir) -> Result<(), BackupError> {
    let pairs = from.companion_files().into_iter().zip(to.companion_files());
    pairs.filter(|(source, _)| source.is_file()).try_for_each(|(source, target)| copy_file(&source, &target))
}

/// Copies the images of `from`, if it has any. An image is named by its content and never written
/// again, so a hard link makes the copy free where the disk allows one.
fn copy_images(from: &DataDir, to: &DataDir) -> Result<(), BackupError> {
    let (from, to) = (from.images(), to.images());
    if !from.is_dir() {
        return Ok(());
    }
    durable_file::create_folder(&to).map_err(at(&to))?;
    for entry in fs::read_dir(&from).map_err(at(&from))? {
        let entry = entry.map_err(at(&from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if is_whole_image(&source) && source.is_file() && fs::hard_link(&source, &target).is_err() {
            copy_file(&source, &target)?;
        }
    }
    durable_file::sync_folder(&to).map_err(at(&to))
}

/// False for an image that a crash left half-written: `.tmp`, or `.part` by a program of before.
fn is_whole_image(path: &Path) -> bool {
    path.extension().and_then(OsStr::to_str).is_some_and(|extension| !matches!(extension, "tmp" | "part"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::temp_data_dir;

    #[test]
    fn images_are_copied_without_those_half_written() {
        let (from, to) = (temp_data_dir(), temp_data_dir());
        copy_images(&from, &to).unwrap();
        assert!(!to.images().exists(), "a folder without images is copied without them");
        fs::create_dir(from.images()).unwrap();
        for name in ["a.png", "b.jpg.tmp", "c.ThreadId(7).part", "noext"] {
            fs::write(from.images().join(name), name).unwrap();
        }
        copy_images(&from, &to).unwrap();
        let names: Vec<_> = fs::read_dir(to.images()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a.png"]);
        assert_eq!(fs::read(to.images().join("a.png")).unwrap(), b"a.png");
    }

    #[test]
    fn the_files_that_are_there_go_along_with_a_journal() {
        let (from, to) = (temp_data_dir(), temp_data_dir());
        fs::write(from.secret_key(), "secret").unwrap();
        fs::write(from.admin_token(), "token").unwrap();
        copy_companion_files(&from, &to).unwrap();
        assert_eq!(to.companion_files().map(|path| path.is_file()), [true, false, true]);
    }

    #[test]
    fn a_command_over_no_data_folder_creates_none() {
        let temp = temp_data_dir();
        let data = DataDir::new(temp.path().join("nowhere"));
        let refusal = run(&data, &BackupCommand::Backup { to: None, keep: None }, 3, 9).unwrap_err();
        assert!(matches!(refusal, BackupError::NoJournal { .. }) && !data.path().exists(), "{refusal}");
    }
}
