//! Copies of a whole journal in one file, and the bound on those that are made before a deletion.
//!
//! Without a bound, the copies would fill the disk that the journal needs. The bound is a number
//! and not an age: an operator who deletes the wrong event must find the copy, however late they
//! notice. This file must never delete a file that it did not make.

use crate::base::durable_file::{self, TEMPORARY_SUFFIX};
use crate::draw::{EventId, Timestamp};
use crate::store::error::JournalError;
use rusqlite::{Connection, OpenFlags};
use std::cmp::Reverse;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The most copies that are kept of those made before a deletion.
const COPIES_MAX: usize = 10;

/// A copy's name is this, the event, a dash and the time in milliseconds, and [`SUFFIX`].
const PREFIX: &str = "before-delete-";
const SUFFIX: &str = ".sqlite";

/// Copies the journal that `db` reads to `path`: whole, compact and private, or not at all.
///
/// # Errors
/// When there is no space, or `path` is not UTF-8.
pub(super) fn copy(db: &Connection, path: &Path) -> Result<(), JournalError> {
    let io = |source| JournalError::Io { path: path.to_owned(), source };
    path.parent().map_or(Ok(()), durable_file::create_folder).map_err(io)?;
    let temporary = durable_file::temporary_path(path);
    let name = temporary.to_str().ok_or_else(|| io(io::ErrorKind::InvalidFilename.into()))?;
    // Created first: SQLite takes an empty file as it is, and would create one that everybody can
    // read.
    let file = durable_file::create(&temporary).map_err(io)?;
    let copied = db.execute("VACUUM INTO ?1", [name]).map_err(JournalError::from);
    let persisted = copied.and_then(|_| durable_file::persist(&file, &temporary, path).map_err(io));
    if persisted.is_err() {
        // A leftover that cannot be removed is replaced by the next copy.
        let _ = fs::remove_file(&temporary);
    }
    persisted
}

/// Copies a journal that another thread writes. It keeps that thread waiting for nothing.
#[derive(Clone, Debug)]
pub struct JournalCopier {
    journal: PathBuf,
}

impl JournalCopier {
    pub(super) fn new(journal: PathBuf) -> Self {
        Self { journal }
    }

    /// Copies the journal into `folder` under a name that says which events are about to be
    /// deleted, and when. Removes the oldest such copies beyond [`COPIES_MAX`].
    ///
    /// # Errors
    /// As [`copy`]. A failure to remove an old copy is logged.
    pub fn copy_before_deletion(&self, folder: &Path, events: &[EventId], at: Timestamp) -> Result<(), JournalError> {
        let event = events.first().map_or("none", EventId::as_str);
        let more = if events.len() > 1 { format!("-and-{}-more", events.len() - 1) } else { String::new() };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&self.journal, flags)?;
        copy(&db, &folder.join(format!("{PREFIX}{event}{more}-{}{SUFFIX}", at.0)))?;
        if let Err(error) = remove_surplus(folder, at) {
            tracing::warn!(%error, "old copies of the journal could not be removed");
        }
        Ok(())
    }
}

/// The time at which a copy of that name was made; `None` for any other name.
pub(crate) fn made_at(name: &str) -> Option<Timestamp> {
    let (_, at) = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.rsplit_once('-')?;
    at.parse().ok().map(Timestamp)
}

/// Sorts copies from the newest to the oldest. Those from times that have not come yet were made
/// while the clock was wrong, before the one that is made `now`: they come last.
pub fn by_recency(made_at: Timestamp, now: Timestamp) -> impl Ord {
    (made_at > now, Reverse(made_at))
}

/// The copies in a folder that were made before a deletion, with their times; none where there is
/// no folder.
///
/// # Errors
/// When the folder cannot be read.
pub fn before_deletions(folder: &Path) -> io::Result<Vec<(Timestamp, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut copies = Vec::new();
    for entry in entries {
        let entry = entry?;
        copies.extend(entry.file_name().to_str().and_then(made_at).map(|at| (at, entry.path())));
    }
    Ok(copies)
}

/// Removes all but the newest copies, and the leftover of a crash during one. Leaves other files
/// alone.
fn remove_surplus(folder: &Path, now: Timestamp) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_leftover = |name: &str| name.starts_with(PREFIX) && name.ends_with(TEMPORARY_SUFFIX);
        if entry.file_name().to_str().is_some_and(is_leftover) {
            fs::remove_file(entry.path())?;
        }
    }
    let mut copies = before_deletions(folder)?;
    copies.sort_unstable_by_key(|(at, _)| by_recency(*at, now));
    copies.iter().skip(COPIES_MAX).try_for_each(|(_, path)| fs::remove_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::open_journal;

    #[test]
    fn the_newest_copies_are_kept_and_nothing_else_is_touched() {
        let (data, journal) = open_journal();
        let folder = data.backups();
        let copy = |event: &str, at| {
            let events = [EventId::parse(event).unwrap()];
            journal.copier().copy_before_deletion(&folder, &events, Timestamp(at)).unwrap();
        };
        copy("first-1", 9);
        copy("future", 4_000_000_000_000);
        fs::write(folder.join("mine.sqlite"), "").unwrap();
        fs::write(folder.join("before-delete-x-5.sqlite.tmp"), "half").unwrap();
        (10..20).for_each(|at| copy("next", at));
        let mut names: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let kept = (10..20).map(|at| format!("before-delete-next-{at}.sqlite")).chain(["mine.sqlite".to_owned()]);
        assert_eq!(names, kept.collect::<Vec<_>>());
    }

    #[test]
    fn a_name_tells_when_its_copy_was_made() {
        assert_eq!(made_at("before-delete-gala-9-12.sqlite"), Some(Timestamp(12)));
        for other in
            ["before-delete-gala-12.sqlite.tmp", "before-delete-12.sqlite", "before-delete-gala-x.sqlite", "gala-12.sqlite"]
        {
            assert_eq!(made_at(other), None, "{other}");
        }
    }
}
