//! A restore: a backup takes the place of what is in the data folder, and what was there is kept aside.
//!
//! The backup is copied into the data folder under another name, opened there as a server would open it, verified, and given its new
//! epochs; all that can go wrong goes wrong there, where nothing is changed yet. Then names change places. That step is marked, so that a server
//! which starts after a crash in its middle refuses instead of beginning an empty evening. Nothing is ever deleted.

use crate::backup::{ArchiveError, BESIDE, IMAGES, at, copy_file, copy_images, now};
use crate::base::chance;
use crate::draw::fact::RecordedFact;
use crate::draw::{Actor, Event, Fact, Timestamp};
use crate::store::folder::{self, LOCK_FILE, Lock};
use crate::store::journal::{HALF_RESTORED, JOURNAL_FILE, Journal};
use crate::store::keys::{Keys, SECRET_FILE};
use crate::store::reading::Reading;
use crate::store::{JournalEntry, event_export};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where a backup is made ready within the data folder.
const STAGING: &str = "restore.tmp";

/// What SQLite keeps beside a journal.
const SIDE_FILES: [&str; 2] = ["-wal", "-shm"];

/// What came back.
#[derive(Debug)]
pub struct Restored {
    events: Vec<Event>,
    /// Where what was there is kept, if anything was.
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

/// What is to come back.
struct Source {
    journal: PathBuf,
    /// The folder it lies in, where that is a whole backup; a journal alone brings neither key nor images.
    folder: Option<PathBuf>,
}

/// Puts the backup `from`, a folder or a copy of a journal, in the place of what is in `data`.
///
/// # Errors
/// When a server holds `data`, or the backup cannot be used; then nothing is changed.
pub fn restore(data: &Path, from: &Path) -> Result<Restored, ArchiveError> {
    let source = Source::find(from)?;
    folder::make(data).map_err(at(data))?;
    let _lock = Lock::take(data)?;
    let staging = data.join(STAGING);
    remove(&staging)?;
    let staged = source.stage(data, &staging);
    let events = staged.map_err(|error| {
        // What cannot be removed is removed by the next restore.
        let _ = fs::remove_dir_all(&staging);
        ArchiveError::Unfit { path: from.to_owned(), source: Box::new(error) }
    })?;
    let aside = change_places(data, &staging)?;
    Ok(Restored { events, aside })
}

impl Source {
    fn find(from: &Path) -> Result<Self, ArchiveError> {
        let inside = from.join(JOURNAL_FILE);
        if inside.is_file() {
            return Ok(Self { journal: inside, folder: Some(from.to_owned()) });
        }
        if event_export::is_one(from) {
            return Err(ArchiveError::IsExport { path: from.to_owned() });
        }
        if !from.is_file() {
            return Err(ArchiveError::NoBackup { path: from.to_owned() });
        }
        Ok(Self { journal: from.to_owned(), folder: None })
    }

    /// Makes it ready in `staging`, and gives the events as they stand in it.
    fn stage(&self, data: &Path, staging: &Path) -> Result<Vec<Event>, ArchiveError> {
        folder::make(staging).map_err(at(staging))?;
        let journal = staging.join(JOURNAL_FILE);
        copy_file(&self.journal, &journal)?;
        for (from, to) in side_files(&self.journal).zip(side_files(&journal)) {
            // A copy that was made by hand may have its log beside it, with the last commits in it.
            if from.is_file() {
                copy_file(&from, &to)?;
            }
        }
        if let Some(folder) = &self.folder {
            for name in BESIDE.into_iter().filter(|name| folder.join(name).is_file()) {
                copy_file(&folder.join(name), &staging.join(name))?;
            }
            if folder.join(IMAGES).is_dir() {
                copy_images(&folder.join(IMAGES), &staging.join(IMAGES))?;
            }
        }
        let has_key = |folder: &&Path| folder.join(SECRET_FILE).is_file();
        let key = [staging, data].into_iter().find(has_key).ok_or_else(|| ArchiveError::NoKey { path: self.journal.clone() })?;
        let events = renew(staging, &Keys::read(key)?)?;
        remove(&staging.join(LOCK_FILE))?;
        folder::sync(staging).map_err(at(staging))?;
        Ok(events)
    }
}

/// Opens and verifies the journal in `folder`, and gives every event in it a new epoch: what phones heard after the backup was made may not
/// have happened any more, and the epoch tells them to forget it.
fn renew(folder: &Path, keys: &Keys) -> Result<Vec<Event>, ArchiveError> {
    let mut journal = Journal::open(folder, keys)?;
    let reading = Reading::open(&folder.join(JOURNAL_FILE), keys)?;
    let renewed: Vec<JournalEntry> = reading.verify()?.iter().map(|event| renewal(event, Timestamp(now()))).collect();
    journal.commit(&renewed)?;
    let events = reading.verify()?;
    drop(reading);
    journal.checkpoint()?;
    Ok(events)
}

/// The fact that an event goes on from a copy.
fn renewal(event: &Event, at: Timestamp) -> JournalEntry {
    let fact = Fact::EpochRenewed { epoch: chance::epoch() };
    JournalEntry { event: event.id.clone(), stamped: RecordedFact { at, actor: Actor::Admin, fact }, details: None }
}

/// Moves what is in `staging` to its places in `data`, and what stands there to a folder of its own, which it gives.
fn change_places(data: &Path, staging: &Path) -> Result<Option<PathBuf>, ArchiveError> {
    let aside = data.join(format!("aside-{}", now()));
    let swap = data.join(HALF_RESTORED);
    let mut is_aside = put_aside(data, HALF_RESTORED, &aside)?;
    fs::rename(staging, &swap).map_err(at(&swap))?;
    folder::sync(data).map_err(at(data))?;
    let mut names = names(&swap)?;
    let old_log = SIDE_FILES.map(|end| format!("{JOURNAL_FILE}{end}"));
    for name in names.iter().chain(&old_log) {
        is_aside |= put_aside(data, name, &aside)?;
    }
    // The journal last: whoever finds it finds its key.
    names.sort_unstable_by_key(|name| name.starts_with(JOURNAL_FILE));
    for name in &names {
        fs::rename(swap.join(name), data.join(name)).map_err(at(&data.join(name)))?;
    }
    folder::sync(data).map_err(at(data))?;
    fs::remove_dir(&swap).map_err(at(&swap))?;
    folder::sync(data).map_err(at(data))?;
    Ok(is_aside.then_some(aside))
}

/// Moves `name` of `data` into the folder `aside`, if it is there, and says whether it was.
fn put_aside(data: &Path, name: &str, aside: &Path) -> Result<bool, ArchiveError> {
    let path = data.join(name);
    if !path.exists() {
        return Ok(false);
    }
    folder::make(aside).map_err(at(aside))?;
    fs::rename(&path, aside.join(name)).map_err(at(&path))?;
    Ok(true)
}

fn names(folder: &Path) -> Result<Vec<String>, ArchiveError> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    names.collect::<io::Result<_>>().map_err(at(folder))
}

fn side_files(journal: &Path) -> impl Iterator<Item = PathBuf> {
    SIDE_FILES.into_iter().map(|end| {
        let mut name = journal.as_os_str().to_owned();
        name.push(end);
        name.into()
    })
}

/// Removes a file or a folder of this errand's own making, if it is there.
fn remove(path: &Path) -> Result<(), ArchiveError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}
