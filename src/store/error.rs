//! The failures of a journal, and how bad each one is.
//!
//! The one question that matters after a failed commit is whether the file is still what it was.
//! [`CommitError::NotDurable`]: it is; nothing was written, and the next try may work.
//! [`CommitError::Fatal`]: nobody can say. After a failed fsync the kernel may have dropped the
//! pages it could not write and call the next fsync a success (Rebello et al., "Can Applications
//! Recover from fsync Failures?", USENIX ATC 2020). Going on would acknowledge what is lost: the
//! process ends, and the next one reads what is really there.

use crate::draw::{DrawId, EventId, Number};
use crate::store::lock::LockError;
use crate::store::record::RecordError;
use rusqlite::ffi;
use std::io;
use std::path::PathBuf;

/// Why a journal cannot be opened, read or copied. The text says what the operator can do.
#[expect(missing_docs, reason = "the text of each error shows its fields")]
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk's error.
    #[error("{} cannot be used", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// Another server uses the folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A newer program wrote the journal.
    #[error(
        "the data folder is of schema {found} and this program knows up to {known}: \
         start the newer program again, or put back a backup that this one made with `luckydraw restore`"
    )]
    NewerSchema { found: i64, known: i64 },
    /// The file is a database of something else.
    #[error("{} is a database, but no journal of luckydraw: choose another data folder", path.display())]
    Foreign { path: PathBuf },
    /// The journal was written under another secret.
    #[error("secret.key does not belong to this journal: put back the one that was backed up with it")]
    OtherKeys,
    /// An event's id breaks the rules for ids.
    #[error("{name:?} in the journal is no event's name")]
    EventName { name: String },
    /// A fact's event does not exist.
    #[error("row {row} of the journal belongs to no event")]
    Orphan { row: i64 },
    /// A row is no fact that this program knows.
    #[error("row {row} of the journal cannot be read")]
    Record { row: i64, source: RecordError },
    /// A winner's details cannot be decrypted.
    #[error("the details of {} in draw {} do not open: they were closed with another secret.key or in another place", number.0, draw.0)]
    Details { draw: DrawId, number: Number },
    /// The rules cannot take a fact after those before it.
    #[error("the facts of {event} contradict each other: put a backup back with `luckydraw restore`")]
    Contradiction { event: EventId },
    /// SQLite found a page that is not as it was written.
    #[error("the journal is damaged ({what}): put a backup back with `luckydraw restore`, which keeps this one aside")]
    Damaged { what: String },
    /// A crash interrupted a restore while it moved files.
    #[error("a restore into {} was cut short: do it again with `luckydraw restore`", folder.display())]
    HalfRestored { folder: PathBuf },
    /// A copy does not hold the rows of its original.
    #[error("the copy holds other rows than the journal: it was thrown away")]
    CopyDiffers,
    /// The file is no export of an event.
    #[error("{} is no export of luckydraw: a backup is put back with `luckydraw restore`", path.display())]
    NotAnExport { path: PathBuf },
    /// Any other failure of SQLite.
    #[error("the journal cannot be read")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        let damaged = |failure: &ffi::Error| matches!(failure.extended_code & 0xff, ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB);
        match error.sqlite_error() {
            Some(failure) if damaged(failure) => JournalError::Damaged { what: error.to_string() },
            _ => JournalError::Sqlite(error),
        }
    }
}

/// Why a batch was not committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Nothing of it is kept, and the journal is as it was: no space, no permission, or another
    /// program is writing.
    #[error("the journal could not be written")]
    NotDurable(#[source] rusqlite::Error),
    /// The content of the disk is unknown. The process has to end.
    #[error("the journal can no longer be trusted")]
    Fatal(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for CommitError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error() {
            Some(failure) if is_fatal(failure.extended_code) => CommitError::Fatal(error),
            _ => CommitError::NotDurable(error),
        }
    }
}

/// True when the disk may hold something else than the journal believes. The low byte of an
/// extended code is its primary code.
fn is_fatal(extended_code: i32) -> bool {
    let primary_code = extended_code & 0xff;
    matches!(extended_code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC | ffi::SQLITE_READONLY_DBMOVED)
        || matches!(primary_code, ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(extended_code: i32, fatal: bool) {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(extended_code), None);
        assert_eq!(matches!(CommitError::from(error), CommitError::Fatal(_)), fatal, "{extended_code}");
    }

    #[test]
    fn a_failed_fsync_and_a_torn_file_are_fatal() {
        check(ffi::SQLITE_IOERR_FSYNC, true);
        check(ffi::SQLITE_IOERR_DIR_FSYNC, true);
        check(ffi::SQLITE_CORRUPT, true);
        check(ffi::SQLITE_CORRUPT_INDEX, true);
        check(ffi::SQLITE_NOTADB, true);
        check(ffi::SQLITE_READONLY_DBMOVED, true);
    }

    #[test]
    fn a_write_that_did_not_happen_may_be_retried() {
        check(ffi::SQLITE_FULL, false);
        check(ffi::SQLITE_IOERR_WRITE, false);
        check(ffi::SQLITE_IOERR_READ, false);
        check(ffi::SQLITE_IOERR_LOCK, false);
        check(ffi::SQLITE_BUSY, false);
        check(ffi::SQLITE_LOCKED, false);
        check(ffi::SQLITE_READONLY, false);
        check(ffi::SQLITE_CANTOPEN, false);
        check(ffi::SQLITE_CONSTRAINT_UNIQUE, false);
    }
}
