//! The copies that are made before rows are deleted: the whole journal each time, and the newest ten of them are kept.
//!
//! Without a bound they would fill the disk that the journal needs. By number and not by age: who deletes the wrong event should find the copy, however
//! late it is noticed.

use crate::draw::{EventId, Timestamp};
use crate::store::error::JournalError;
use crate::store::folder;
use crate::store::journal::Journal;
use rusqlite::Connection;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The most copies that are kept.
const COPIES_MAX: usize = 10;

/// What their names begin and end with; between are the event and the time.
pub(crate) const BEGINNING: &str = "before-delete-";
pub(crate) const END: &str = ".sqlite";

impl Journal {
    /// Copies the journal into `dir` under a name that says what is about to be deleted and when, and lets the oldest such copies go.
    ///
    /// # Errors
    /// As [`Journal::backup`].
    pub fn copy_before_deletion(&self, dir: &Path, event: &EventId, at: Timestamp) -> Result<(), JournalError> {
        self.backup(&dir.join(format!("{BEGINNING}{event}-{}{END}", at.0)))?;
        if let Err(error) = prune(dir) {
            tracing::warn!(%error, "old copies of the journal could not be removed");
        }
        Ok(())
    }
}

/// Copies the journal that `db` reads to `path`: whole, compact and private, or not at all.
pub(super) fn copy(db: &Connection, path: &Path) -> Result<(), JournalError> {
    let io = |source| JournalError::Io { path: path.to_owned(), source };
    path.parent().map_or(Ok(()), folder::make).map_err(io)?;
    let beside = folder::beside(path);
    let name = beside.to_str().ok_or_else(|| io(io::ErrorKind::InvalidFilename.into()))?;
    // Made first, since SQLite takes an empty file as it is, and would make one for all to read.
    let file = folder::make_private(&beside).map_err(io)?;
    let copied = db.execute("VACUUM INTO ?1", [name]).map_err(JournalError::from);
    let kept = copied.and_then(|_| folder::move_durably(&file, &beside, path).map_err(io));
    if kept.is_err() {
        // What cannot be removed is written over by the next copy.
        let _ = fs::remove_file(&beside);
    }
    kept
}

/// Removes all but the newest copies, and what a crash left of one that was being made. Other files are left alone.
fn prune(dir: &Path) -> io::Result<()> {
    let mut copies: Vec<(i64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_prefix(BEGINNING)) else { continue };
        match name.strip_suffix(END).and_then(|name| name.rsplit_once('-')) {
            Some((_, at)) => copies.extend(at.parse().ok().map(|at| (at, path))),
            None if name.ends_with(".tmp") => fs::remove_file(&path)?,
            None => {}
        }
    }
    copies.sort_unstable();
    let surplus = copies.len().saturating_sub(COPIES_MAX);
    copies.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Keys;

    #[test]
    fn the_newest_copies_are_kept_and_nothing_else_is_touched() {
        let temp = tempfile::tempdir().unwrap();
        let journal = Journal::open(temp.path(), &Keys::open(temp.path()).unwrap()).unwrap();
        let dir = temp.path().join("backups");
        let copy = |event: &str, at| journal.copy_before_deletion(&dir, &EventId::parse(event).unwrap(), Timestamp(at)).unwrap();
        copy("first-1", 9);
        fs::write(dir.join("mine.sqlite"), "").unwrap();
        fs::write(dir.join("before-delete-x-5.sqlite.tmp"), "half").unwrap();
        (10..20).for_each(|at| copy("next", at));
        let mut names: Vec<_> =
            fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let kept = (10..20).map(|at| format!("before-delete-next-{at}.sqlite")).chain(["mine.sqlite".to_owned()]);
        assert_eq!(names, kept.collect::<Vec<_>>());
    }
}
