//! One event in one file, with all it needs to go on elsewhere: its facts, its winners' details,
//! its images and the key of its phones' tokens.
//!
//! The file is a journal of its own, under a secret made for it, with two more tables. So it is
//! read and verified by the code that reads journals, and a person can query it with `sqlite3`. Its
//! picks and details are sealed with that secret and not with the server's, which therefore never
//! leaves its folder. But the secret lies in the same file, so the file discloses everything to its
//! holder: it is created for its owner alone, and must be guarded like a key.

use crate::base::data_dir::DataDir;
use crate::base::image_name::ImageName;
use crate::store::copies;
use crate::store::error::JournalError;
use crate::store::journal::Journal;
use crate::store::keys::{Keys, KeysError};
use crate::store::reader::JournalReader;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::fs;
use std::path::Path;

/// The tables beside the journal's. `parcel` has the name that the first exports gave it.
const SQL: &str = "
    CREATE TABLE parcel (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE image (name TEXT PRIMARY KEY, bytes BLOB NOT NULL);";

/// The images, without those that no server stored: a file of a stranger could use up the memory.
/// SQLite knows the length of a blob without reading it.
const SELECT_IMAGES: &str = "SELECT name, bytes FROM image WHERE typeof(bytes) = 'blob' AND length(bytes) <= 16777216 LIMIT 2000";

/// Why a file cannot be used as an export.
#[derive(Debug, thiserror::Error)]
pub enum EventExportError {
    /// The file is no export, or its journal is damaged.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The secret in it cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

/// An open file that holds one event.
#[derive(Debug)]
pub struct EventExport {
    db: Connection,
    /// Reads the event's facts and details.
    pub reader: JournalReader,
    /// The secret that signs its phones' tokens.
    pub token_secret: [u8; 32],
}

/// Writes an export: the journal of one event with the secret it was written under, the secret of
/// its tokens, and the images of these names, which are read from the data folder one at a time.
/// Whole at `to`, or not there.
///
/// # Errors
/// When something cannot be read, or there is no space.
pub fn write(
    journal: &Journal,
    secret: &[u8],
    token_secret: &[u8; 32],
    (data, images): (&DataDir, &[ImageName]),
    to: &Path,
) -> Result<(), JournalError> {
    let db = &journal.db;
    db.execute_batch(SQL)?;
    db.execute("INSERT INTO parcel VALUES ('secret', ?1), ('token', ?2)", (secret, token_secret.as_slice()))?;
    for name in images {
        let path = data.image(name);
        let bytes = fs::read(&path).map_err(|source| JournalError::Io { path, source })?;
        db.execute("INSERT OR IGNORE INTO image VALUES (?1, ?2)", (name.as_str(), bytes))?;
    }
    copies::copy(db, to)
}

/// True when the file at `path` is an export.
pub fn is_export(path: &Path) -> bool {
    let has_table = |db: Connection| db.table_exists(None, "parcel");
    path.is_file() && open_read_only(path).and_then(has_table).unwrap_or(false)
}

impl EventExport {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// When it is no export, a newer program's, or damaged.
    pub fn open(path: &Path) -> Result<Self, EventExportError> {
        let not_an_export = || JournalError::NotAnExport { path: path.to_owned() };
        // Also a folder, and a file that nobody may read.
        fs::File::open(path).map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
        let db = open_read_only(path).map_err(|_| not_an_export())?;
        match db.table_exists(None, "parcel") {
            Ok(true) => {}
            // A database whose very list of tables is damaged may well have been one.
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
                return Err(JournalError::from(error).into());
            }
            Ok(false) | Err(_) => return Err(not_an_export().into()),
        }
        let value = |name: &str| -> Result<Vec<u8>, JournalError> {
            let row = db.query_row("SELECT value FROM parcel WHERE name = ?1", [name], |row| row.get(0)).optional()?;
            row.ok_or_else(not_an_export)
        };
        let keys = Keys::from_secret(&value("secret")?, path)?;
        let token_secret = value("token")?.try_into().map_err(|_| not_an_export())?;
        Ok(Self { reader: JournalReader::open(path, &keys)?, token_secret, db })
    }

    /// Calls `take` with the name and the bytes of every image.
    ///
    /// # Errors
    /// When an image cannot be read, or the first error of `take`.
    pub fn images<E: From<JournalError>>(&self, mut take: impl FnMut(&str, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let read = |error: rusqlite::Error| E::from(JournalError::from(error));
        let mut statement = self.db.prepare(SELECT_IMAGES).map_err(read)?;
        let mut rows = statement.query([]).map_err(read)?;
        while let Some(row) = rows.next().map_err(read)? {
            let (name, bytes): (String, Vec<u8>) = (row.get(0).map_err(read)?, row.get(1).map_err(read)?);
            take(&name, &bytes)?;
        }
        Ok(())
    }
}

fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{details_received, event_id, open_journal, opened, registered, temp_data_dir};

    #[test]
    fn an_export_brings_back_facts_details_images_and_the_token_secret() {
        let (data, mut journal) = open_journal();
        let details = details_received("gala", 7, 1_000);
        journal.commit(&[opened("gala"), registered("gala", 7), details.clone()]).unwrap();
        fs::create_dir(data.images()).unwrap();
        let name = ImageName::parse(&format!("{}.png", "a".repeat(64))).unwrap();
        fs::write(data.image(&name), "picture").unwrap();
        let (to, secret) = (data.path().join("gala.luckydraw"), fs::read(data.secret_key()).unwrap());
        write(&journal, &secret, &[9; 32], (&*data, std::slice::from_ref(&name)), &to).unwrap();
        assert!(is_export(&to) && !is_export(&data.secret_key()) && !is_export(data.path()));
        let export = EventExport::open(&to).unwrap();
        assert_eq!((export.reader.count_rows(i64::MAX).unwrap().facts, export.token_secret), (3, [9; 32]));
        assert_eq!(export.reader.details(&event_id("gala")).unwrap(), [details.details.unwrap()]);
        let mut images = Vec::new();
        let mut take = |name: &str, bytes: &[u8]| {
            images.push((name.to_owned(), bytes.to_vec()));
            Ok::<_, JournalError>(())
        };
        export.images(&mut take).unwrap();
        assert_eq!(images, [(name.to_string(), b"picture".to_vec())]);
    }

    #[test]
    fn a_journal_and_a_file_of_something_else_are_no_exports() {
        let (data, journal) = open_journal();
        drop(journal);
        let other = temp_data_dir();
        fs::write(other.journal(), "no database at all").unwrap();
        for path in [data.journal(), other.journal()] {
            assert!(!is_export(&path));
            let refusal = EventExport::open(&path).unwrap_err();
            assert!(matches!(refusal, EventExportError::Journal(JournalError::NotAnExport { .. })), "{refusal}");
        }
        let missing = EventExport::open(&other.path().join("missing")).unwrap_err();
        assert!(matches!(missing, EventExportError::Journal(JournalError::Io { .. })), "{missing}");
    }
}
