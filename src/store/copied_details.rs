//! Winners' details in copies of a journal: they go on the day on which those of the journal go.
//!
//! A copy is kept for long after the details in it are due, and it must not be deleted for their
//! sake: it may be the only backup. So they are deleted out of it, by the time in the clear beside
//! each, and overwritten with zeros. No key is needed. This file must never touch another table.

use crate::draw::Timestamp;
use crate::store::error::JournalError;
use rusqlite::{Connection, OpenFlags};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// The first bytes of every SQLite file.
const HEADER: &[u8; 16] = b"SQLite format 3\0";

/// The longest wait for another program that holds a copy.
const BUSY_WAIT: Duration = Duration::from_millis(250);

/// The purges of winners' details in the journal. The copies follow it, so that one place decides
/// what a wall clock may destroy. Written by the writer alone; relaxed, since nothing else is read
/// on the strength of it.
#[derive(Clone, Debug)]
pub struct DetailsPurged(Arc<Purged>);

#[derive(Debug)]
struct Purged {
    before: AtomicI64,
    /// Rows that no receipt tells of yet.
    rows: AtomicUsize,
}

impl Default for DetailsPurged {
    fn default() -> Self {
        Self(Arc::new(Purged { before: AtomicI64::new(i64::MIN), rows: AtomicUsize::new(0) }))
    }
}

impl DetailsPurged {
    /// Notes that the journal's details from before this time are purged, and how many went now.
    pub fn note(&self, before: Timestamp, rows: usize) {
        self.0.before.fetch_max(before.0, Relaxed);
        self.0.rows.fetch_add(rows, Relaxed);
    }

    /// The latest such time.
    pub fn before(&self) -> Timestamp {
        Timestamp(self.0.before.load(Relaxed))
    }

    /// The rows that went since the last call.
    pub fn take_rows(&self) -> usize {
        self.0.rows.swap(0, Relaxed)
    }
}

/// True when the file at `path` is a journal or an export, or a copy of one.
pub fn is_copy(path: &Path) -> bool {
    let mut header = [0; HEADER.len()];
    let is_sqlite = File::open(path).and_then(|mut file| file.read_exact(&mut header)).is_ok() && header == *HEADER;
    is_sqlite && open(path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|db| has_details(&db)).unwrap_or(false)
}

/// The time of the oldest details in a copy; `None` when it holds none.
///
/// # Errors
/// When it cannot be read.
pub fn oldest(path: &Path) -> Result<Option<Timestamp>, JournalError> {
    let db = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    Ok(db.query_row("SELECT min(at) FROM details", [], |row| row.get(0)).map(|at: Option<i64>| at.map(Timestamp))?)
}

/// Deletes the details in a copy that were submitted before a time, and returns their number.
/// Nothing is written where there are none.
///
/// # Errors
/// When it cannot be read or written, or another program holds it.
pub fn purge(path: &Path, before: Timestamp) -> Result<usize, JournalError> {
    if oldest(path)?.is_none_or(|oldest| oldest >= before) {
        return Ok(0);
    }
    let db = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.pragma_update(None, "secure_delete", true)?;
    db.pragma_update(None, "synchronous", "FULL")?;
    let purged = db.execute("DELETE FROM details WHERE at < ?1", [before.0])?;
    // A journal that was put aside may have its log beside it, which still holds the rows.
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(purged)
}

fn open(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(BUSY_WAIT)?;
    Ok(db)
}

fn has_details(db: &Connection) -> rusqlite::Result<bool> {
    Ok(db.table_exists(None, "meta")? && db.table_exists(None, "fact")? && db.table_exists(None, "details")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::reader::JournalReader;
    use crate::store::testing::{details_received, event_id, open_journal, opened, temp_data_dir};
    use crate::store::{Journal, Keys};
    use std::fs;

    /// A copy of a journal with two winners' details, and the sealed bytes of the older ones.
    fn copied(journal: &mut Journal, path: &Path, keys: &Keys, of: &Path) -> Vec<u8> {
        let entries = [opened("gala"), details_received("gala", 7, 1_000), details_received("gala", 8, 2_000)];
        journal.commit(&entries).unwrap();
        JournalReader::open(of, keys).unwrap().copy_to(path).unwrap();
        Connection::open(path).unwrap().query_row("SELECT sealed FROM details WHERE at = 1000", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn old_details_leave_no_byte_in_a_copy_and_the_rest_stays() {
        let (data, mut journal) = open_journal();
        let keys = Keys::open(&data).unwrap();
        let path = data.path().join("copy.sqlite");
        let sealed = copied(&mut journal, &path, &keys, &data.journal());
        let holds = || fs::read(&path).unwrap().windows(sealed.len()).any(|window| window == sealed);
        assert!(is_copy(&path) && holds());
        assert_eq!(oldest(&path).unwrap(), Some(Timestamp(1_000)));
        assert_eq!(purge(&path, Timestamp(1_000)).unwrap(), 0, "not due");
        assert_eq!(purge(&path, Timestamp(1_001)).unwrap(), 1);
        assert!(!holds());
        assert_eq!(oldest(&path).unwrap(), Some(Timestamp(2_000)));
        let reader = JournalReader::open(&path, &keys).unwrap();
        assert_eq!(reader.details(&event_id("gala")).unwrap().len(), 1);
        assert_eq!(reader.count_rows(i64::MAX).unwrap().facts, 3);
    }

    #[test]
    fn a_file_of_something_else_is_no_copy() {
        let data = temp_data_dir();
        let songs = data.path().join("songs.sqlite");
        Connection::open(&songs).unwrap().execute_batch("CREATE TABLE details (at)").unwrap();
        fs::write(data.path().join("text"), "no database").unwrap();
        for path in [songs, data.path().join("text"), data.path().join("missing"), data.path().to_owned()] {
            assert!(!is_copy(&path), "{}", path.display());
        }
    }

    #[test]
    fn the_copies_never_fall_behind_the_journal_again() {
        let purged = DetailsPurged::default();
        assert_eq!(purged.before(), Timestamp(i64::MIN));
        purged.note(Timestamp(9), 2);
        purged.clone().note(Timestamp(7), 1);
        assert_eq!((purged.before(), purged.take_rows(), purged.take_rows()), (Timestamp(9), 3, 0));
    }
}
