//! A restore: a backup replaces the files in the data folder, and those that were there are kept
//! aside.
//!
//! The backup is copied into the data folder under another name, opened there as a server would
//! open it, verified, and given new epochs; all failures happen there, where nothing is changed
//! yet. Then the files are renamed into place. That step is marked, so that a server which starts
//! after a crash in its middle refuses instead of beginning an empty event. A restore must never
//! delete a file that it did not make.

use crate::backup::{BackupError, at, copy_companion_files, copy_file, copy_images, now_ms};
use crate::base::chance;
use crate::base::data_dir::{DataDir, JOURNAL_FILE, SIDE_FILE_SUFFIXES, side_files};
use crate::base::durable_file;
use crate::draw::fact::RecordedFact;
use crate::draw::{Actor, Event, Fact, Timestamp};
use crate::store::journal::Journal;
use crate::store::keys::Keys;
use crate::store::lock::FolderLock;
use crate::store::reader::JournalReader;
use crate::store::{JournalEntry, event_export};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The result of a restore.
#[derive(Debug)]
pub struct Restored {
    events: Vec<Event>,
    /// The folder of the files that were replaced, if there were any.
    aside: Option<PathBuf>,
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "restored {} events:", self.events.len())?;
        for event in &self.events {
            writeln!(f, "  {}: {} participants, {} draws", event.id, event.participant_count(), event.draws().len())?;
        }
        match &self.aside {
            Some(aside) => writeln!(f, "what was there before is kept in {}", aside.display()),
            None => Ok(()),
        }
    }
}

/// The backup to restore.
struct Source {
    journal: PathBuf,
    /// The folder it lies in, where that is a whole backup; a journal alone brings neither key nor
    /// images.
    folder: Option<DataDir>,
}

/// Replaces the files in `data` by the backup `from`, a folder or a copy of a journal.
///
/// # Errors
/// When a server uses `data`, or the backup cannot be used; then nothing is changed.
pub fn restore(data: &DataDir, from: &Path) -> Result<Restored, BackupError> {
    let source = Source::find(from)?;
    data.create().map_err(at(data.path()))?;
    let _lock = FolderLock::acquire(data.path())?;
    let staging = data.restore_staging();
    remove(staging.path())?;
    let staged = source.stage(data, &staging);
    let events = staged.map_err(|error| {
        // A leftover that cannot be removed now is removed by the next restore.
        let _ = fs::remove_dir_all(staging.path());
        BackupError::Unfit { path: from.to_owned(), source: Box::new(error) }
    })?;
    let aside = swap_files(data, &staging)?;
    Ok(Restored { events, aside })
}

impl Source {
    fn find(from: &Path) -> Result<Self, BackupError> {
        let folder = DataDir::new(from);
        if folder.journal().is_file() {
            return Ok(Self { journal: folder.journal(), folder: Some(folder) });
        }
        if event_export::is_export(from) {
            return Err(BackupError::IsExport { path: from.to_owned() });
        }
        if !from.is_file() {
            return Err(BackupError::NoBackup { path: from.to_owned() });
        }
        Ok(Self { journal: from.to_owned(), folder: None })
    }

    /// Prepares the backup in `staging`; returns its events.
    fn stage(&self, data: &DataDir, staging: &DataDir) -> Result<Vec<Event>, BackupError> {
        staging.create().map_err(at(staging.path()))?;
        copy_file(&self.journal, &staging.journal())?;
        for (from, to) in side_files(&self.journal).into_iter().zip(side_files(&staging.journal())) {
            // A copy that was made by hand may have its log beside it, with the last commits in it.
            if from.is_file() {
                copy_file(&from, &to)?;
            }
        }
        if let Some(folder) = &self.folder {
            copy_companion_files(folder, staging)?;
            copy_images(folder, staging)?;
        }
        let with_key = [staging, data].into_iter().find(|folder| folder.secret_key().is_file());
        let with_key = with_key.ok_or_else(|| BackupError::NoKey { path: self.journal.clone() })?;
        let events = renew_histories(staging, &Keys::read(with_key)?)?;
        remove(&staging.lock())?;
        durable_file::sync_folder(staging.path()).map_err(at(staging.path()))?;
        Ok(events)
    }
}

/// Opens and verifies the journal in `folder`, and gives every event a new epoch and seed chain.
/// Facts that phones heard of after the backup was made may be undone, and the epoch makes phones
/// forget them. Their seeds are public, so that no later draw may use them again.
fn renew_histories(folder: &DataDir, keys: &Keys) -> Result<Vec<Event>, BackupError> {
    let mut journal = Journal::open(folder, keys)?;
    let reader = JournalReader::open(&folder.journal(), keys)?;
    let renewed: Vec<JournalEntry> = reader.verify()?.iter().flat_map(|event| renewal(event, Timestamp(now_ms()))).collect();
    journal.commit(&renewed)?;
    let events = reader.verify()?;
    drop(reader);
    journal.checkpoint()?;
    Ok(events)
}

fn renewal(event: &Event, at: Timestamp) -> impl Iterator<Item = JournalEntry> {
    let facts = [Fact::EpochRenewed { epoch: chance::epoch() }, Event::begin_chain(chance::bytes())];
    let entry =
        |fact| JournalEntry { event: event.id.clone(), stamped: RecordedFact { at, actor: Actor::Admin, fact }, details: None };
    facts.map(entry).into_iter()
}

/// Moves the files in `staging` to their places in `data`, and those that were there to a folder
/// aside, which it returns.
fn swap_files(data: &DataDir, staging: &DataDir) -> Result<Option<PathBuf>, BackupError> {
    let (folder, aside, swap) = (data.path(), data.aside(now_ms()), data.half_restored());
    let mut is_aside = move_aside(&swap, &aside)?;
    fs::rename(staging.path(), &swap).map_err(at(&swap))?;
    durable_file::sync_folder(folder).map_err(at(folder))?;
    let mut names = names(&swap)?;
    let old_side_files = SIDE_FILE_SUFFIXES.map(|suffix| format!("{JOURNAL_FILE}{suffix}"));
    for name in names.iter().chain(&old_side_files) {
        is_aside |= move_aside(&folder.join(name), &aside)?;
    }
    // The journal last: a server that finds it must find its key.
    names.sort_unstable_by_key(|name| name.starts_with(JOURNAL_FILE));
    for name in &names {
        let place = folder.join(name);
        fs::rename(swap.join(name), &place).map_err(at(&place))?;
    }
    durable_file::sync_folder(folder).map_err(at(folder))?;
    fs::remove_dir(&swap).map_err(at(&swap))?;
    durable_file::sync_folder(folder).map_err(at(folder))?;
    Ok(is_aside.then_some(aside))
}

/// Moves a file or a folder into the folder `aside`, if it exists; returns whether it did.
fn move_aside(path: &Path, aside: &Path) -> Result<bool, BackupError> {
    let Some(name) = path.file_name().filter(|_| path.exists()) else { return Ok(false) };
    durable_file::create_folder(aside).map_err(at(aside))?;
    fs::rename(path, aside.join(name)).map_err(at(path))?;
    Ok(true)
}

fn names(folder: &Path) -> Result<Vec<String>, BackupError> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    names.collect::<io::Result<_>>().map_err(at(folder))
}

/// Removes a file or a folder of a restore's own making, if it exists.
fn remove(path: &Path) -> Result<(), BackupError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::copy::{self, BackupCause};
    use crate::store::testing::{TempDataDir, open_in, open_journal, opened, registered, temp_data_dir};
    use crate::store::{JournalError, KeysError};

    /// A folder with an event and an image, and a backup of it.
    fn backed_up() -> (TempDataDir, PathBuf) {
        let (data, mut journal) = open_journal();
        journal.commit(&[opened("gala"), registered("gala", 1)]).unwrap();
        fs::create_dir(data.images()).unwrap();
        fs::write(data.images().join("a.png"), "picture").unwrap();
        let backup = copy::create(&data, &data.backups(), BackupCause::Asked, 3).unwrap();
        let path = data.backups().join(backup.name);
        (data, path)
    }

    fn fact_count(data: &DataDir) -> usize {
        let mut facts = 0;
        open_in(data).replay(|_, _| facts += 1).unwrap();
        facts
    }

    #[test]
    fn a_restore_replaces_everything_and_keeps_the_old_files_aside() {
        let (_data, backup) = backed_up();
        let (target, mut journal) = open_journal();
        journal.commit(&[opened("other"), opened("another"), opened("third")]).unwrap();
        drop(journal);
        let old_secret = fs::read(target.secret_key()).unwrap();
        let restored = restore(&target, &backup).unwrap();
        assert_eq!(fact_count(&target), 4, "and a new epoch and a new seed chain");
        assert_eq!(fs::read(target.images().join("a.png")).unwrap(), b"picture");
        let aside = DataDir::new(restored.aside.unwrap());
        assert_eq!(fs::read(aside.secret_key()).unwrap(), old_secret);
        assert_eq!(fact_count(&aside), 3);
        assert!(!target.restore_staging().path().exists() && !target.half_restored().exists());
    }

    #[test]
    fn a_restore_into_no_folder_creates_one_and_keeps_nothing_aside() {
        let (_data, backup) = backed_up();
        let temp = temp_data_dir();
        let target = DataDir::new(temp.path().join("fresh"));
        assert!(restore(&target, &backup).unwrap().aside.is_none());
        assert_eq!(fact_count(&target), 4);
    }

    #[test]
    fn a_restore_that_was_cut_short_is_done_again() {
        let (_data, backup) = backed_up();
        let target = temp_data_dir();
        fs::create_dir(target.half_restored()).unwrap();
        fs::write(target.half_restored().join("secret.key"), "of the first try").unwrap();
        let aside = restore(&target, &backup).unwrap().aside.unwrap();
        assert_eq!(fs::read(aside.join("restore.swap/secret.key")).unwrap(), b"of the first try");
        assert_eq!(fact_count(&target), 4);
    }

    #[test]
    fn a_backup_that_cannot_be_used_changes_nothing() {
        let (_data, backup) = backed_up();
        let (target, journal) = open_journal();
        drop(journal);
        let lone_journal = target.path().join("copy.sqlite");
        fs::copy(backup.join(JOURNAL_FILE), &lone_journal).unwrap();
        let before = names(target.path()).unwrap().len();
        let unfit = restore(&target, &lone_journal).unwrap_err();
        assert!(
            matches!(&unfit, BackupError::Unfit { source, .. } if matches!(**source, BackupError::Journal(JournalError::OtherKeys))),
            "{unfit}"
        );
        fs::write(backup.join("secret.key"), [7; 16]).unwrap();
        let unfit = restore(&target, &backup).unwrap_err();
        assert!(
            matches!(&unfit, BackupError::Unfit { source, .. } if matches!(**source, BackupError::Keys(KeysError::SecretLength { .. }))),
            "{unfit}"
        );
        let nothing = restore(&target, &target.images()).unwrap_err();
        assert!(matches!(nothing, BackupError::NoBackup { .. }), "{nothing}");
        assert_eq!(names(target.path()).unwrap().len(), before);
    }

    #[test]
    fn a_lone_journal_needs_a_key() {
        let (_data, backup) = backed_up();
        let (temp, target) = (tempfile::tempdir().unwrap(), temp_data_dir());
        let lone_journal = temp.path().join("copy.sqlite");
        fs::copy(backup.join(JOURNAL_FILE), &lone_journal).unwrap();
        let unfit = restore(&target, &lone_journal).unwrap_err();
        assert!(matches!(&unfit, BackupError::Unfit { source, .. } if matches!(**source, BackupError::NoKey { .. })), "{unfit}");
        fs::copy(backup.join("secret.key"), target.secret_key()).unwrap();
        restore(&target, &lone_journal).unwrap();
        assert_eq!(fact_count(&target), 4);
    }
}
