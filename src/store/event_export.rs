//! One event in one file, with all it needs to go on elsewhere: its facts, its winners' details, its images and the key of its phones' tokens.
//!
//! The file is a journal of its own, under a secret made for it, and beside the journal's tables it has two more. So it is read, verified
//! and understood by what reads journals, and a person can ask it questions with `sqlite3`. Picks and details in it are closed with that secret
//! and not with the server's, which therefore never leaves its folder; but the secret lies in the same file, so whoever has the file has it all: it is
//! made for its owner alone, and is to be kept like a key.

use crate::store::copies;
use crate::store::error::JournalError;
use crate::store::journal::Journal;
use crate::store::keys::{Keys, KeysError};
use crate::store::reading::Reading;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::fs;
use std::path::Path;

const SQL: &str = "
    CREATE TABLE parcel (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE image (name TEXT PRIMARY KEY, bytes BLOB NOT NULL);";

/// Why a file is not taken for an export.
#[derive(Debug, thiserror::Error)]
pub enum EventExportError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

/// A file that holds one event.
#[derive(Debug)]
pub struct EventExport {
    db: Connection,
    /// The event as a journal.
    pub reading: Reading,
    /// What its phones' tokens are signed with.
    pub token_secret: [u8; 32],
}

/// Closes a parcel: the journal of one event with the secret it was written under, the key of its tokens and its images, which are read from
/// `images_dir` one at a time. Whole at `to`, or not there.
///
/// # Errors
/// When something cannot be read, or there is no space.
pub fn close(
    journal: &Journal,
    secret: &[u8],
    token_secret: &[u8; 32],
    (images_dir, images): (&Path, &[String]),
    to: &Path,
) -> Result<(), JournalError> {
    let db = &journal.db;
    db.execute_batch(SQL)?;
    db.execute("INSERT INTO parcel VALUES ('secret', ?1), ('token', ?2)", (secret, token_secret.as_slice()))?;
    for name in images {
        let path = images_dir.join(name);
        let bytes = fs::read(&path).map_err(|source| JournalError::Io { path, source })?;
        db.execute("INSERT OR IGNORE INTO image VALUES (?1, ?2)", (name, bytes))?;
    }
    copies::copy(db, to)
}

/// Returns whether the file at `path` is a parcel.
pub fn is_one(path: &Path) -> bool {
    let has_table = |db: Connection| db.table_exists(None, "parcel");
    path.is_file() && read_only(path).and_then(has_table).unwrap_or(false)
}

impl EventExport {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// When it is no parcel, a newer program's, or damaged.
    pub fn open(path: &Path) -> Result<Self, EventExportError> {
        let no_parcel = || JournalError::NoParcel { path: path.to_owned() };
        let db = read_only(path).map_err(|_| no_parcel())?;
        match db.table_exists(None, "parcel") {
            Ok(true) => {}
            // A database whose very list of tables is damaged may well have been one.
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
                return Err(JournalError::from(error).into());
            }
            Ok(false) | Err(_) => return Err(no_parcel().into()),
        }
        let value = |name: &str| -> Result<Vec<u8>, JournalError> {
            let row = db.query_row("SELECT value FROM parcel WHERE name = ?1", [name], |row| row.get(0)).optional()?;
            row.ok_or_else(no_parcel)
        };
        let keys = Keys::of(&value("secret")?, path)?;
        let token_secret = value("token")?.try_into().map_err(|_| no_parcel())?;
        Ok(Self { reading: Reading::open(path, &keys)?, token_secret, db })
    }

    /// Gives every image to `take`, by its name.
    ///
    /// # Errors
    /// When they cannot be read, or the first of `take`.
    pub fn images<E: From<JournalError>>(&self, mut take: impl FnMut(&str, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let read = |error: rusqlite::Error| E::from(JournalError::from(error));
        let mut statement = self.db.prepare("SELECT name, bytes FROM image").map_err(read)?;
        let mut rows = statement.query([]).map_err(read)?;
        while let Some(row) = rows.next().map_err(read)? {
            let (name, bytes): (String, Vec<u8>) = (row.get(0).map_err(read)?, row.get(1).map_err(read)?);
            take(&name, &bytes)?;
        }
        Ok(())
    }
}

fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}
