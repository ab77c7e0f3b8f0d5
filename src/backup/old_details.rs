//! Winners' details that are due, in every copy of the journal inside the data folder: backups,
//! copies from before a deletion, what a restore put aside, and copies made by hand.
//!
//! They follow the journal: what the writer has purged there goes from the copies within ten
//! minutes, whether backups are made on a timer or not. Each purge leaves a receipt, which names
//! files and numbers of rows and nobody. A copy itself stays. Copies outside the data folder are
//! out of reach, and `luckydraw doctor` says so.

use crate::backup::{BackupError, at};
use crate::base::clock::rfc3339;
use crate::base::data_dir::{DataDir, side_files};
use crate::base::durable_file;
use crate::draw::Timestamp;
use crate::store::copied_details::{self, DetailsPurged};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The deepest folder below the data folder in which copies are looked for: a backup in a folder
/// that a restore put aside.
const DEPTH_MAX: usize = 4;

/// The size from which receipts begin anew, in bytes.
const RECEIPTS_BYTES_MAX: u64 = 1 << 20;

/// A copy of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalCopy {
    /// Its file.
    pub path: PathBuf,
    /// The time of the oldest winners' details in it; `None` when it holds none.
    pub oldest: Option<Timestamp>,
}

/// The copies of the journal in a data folder, in the order of their paths.
///
/// # Errors
/// When a folder cannot be read. Files that are gone meanwhile, or no copies, are left out; a copy
/// that cannot be read is left out and logged.
pub fn copies(data: &DataDir) -> Result<Vec<JournalCopy>, BackupError> {
    let mut files = Vec::new();
    list_files(data.path(), DEPTH_MAX, &mut files).map_err(at(data.path()))?;
    let own = data.journal();
    let [log, index] = side_files(&own);
    files.retain(|file| ![&own, &log, &index].contains(&file) && copied_details::is_copy(file));
    files.sort_unstable();
    let read = |path: PathBuf| match copied_details::oldest(&path) {
        Ok(oldest) => Some(JournalCopy { oldest, path }),
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "a copy of the journal cannot be read, and may hold old winner details");
            None
        }
    };
    Ok(files.into_iter().filter_map(read).collect())
}

/// Purges what the journal has purged out of every copy, and leaves receipts for both.
///
/// # Errors
/// When the copies cannot be listed, or a receipt cannot be written. A copy that cannot be purged
/// is logged, and tried again.
pub fn purge(data: &DataDir, purged: &DetailsPurged, now: Timestamp) -> Result<(), BackupError> {
    let before = purged.before();
    let rows = purged.take_rows();
    if rows > 0 {
        write_receipt(data, &data.journal(), rows, before, now)?;
    }
    for copy in copies(data)?.iter().filter(|copy| copy.oldest.is_some_and(|at| at < before)) {
        match copied_details::purge(&copy.path, before) {
            Ok(rows) => write_receipt(data, &copy.path, rows, before, now)?,
            Err(error) => {
                tracing::warn!(%error, path = %copy.path.display(), "old winner details stay in this copy until the next try");
            }
        }
    }
    Ok(())
}

/// Appends a line to the receipts.
fn write_receipt(data: &DataDir, copy: &Path, rows: usize, before: Timestamp, now: Timestamp) -> Result<(), BackupError> {
    let path = data.purge_receipts();
    let name = copy.strip_prefix(data.path()).unwrap_or(copy).display();
    let line = format!("{} winners' details from before {}: {rows} purged in {name}\n", rfc3339(now), rfc3339(before));
    let append = || -> io::Result<()> {
        let is_long = fs::metadata(&path).is_ok_and(|metadata| metadata.len() > RECEIPTS_BYTES_MAX);
        let mut file = durable_file::private_options().create(true).append(!is_long).truncate(is_long).open(&path)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()
    };
    append().map_err(at(&path))
}

fn list_files(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_file() {
            files.push(entry.path());
        } else if kind.is_dir() && depth > 0 {
            // A folder that is removed meanwhile has no files.
            match list_files(&entry.path(), depth - 1, files) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::copy::{self, BackupCause};
    use crate::store::testing::{TempDataDir, open_journal};

    /// A folder with a copy of each kind, and the details that they hold.
    fn folder() -> (TempDataDir, crate::store::Journal, Vec<u8>) {
        let (data, mut journal) = open_journal();
        journal.commit(&crate::store::testing::announced_win("gala", 1_000)).unwrap();
        copy::create(&data, &data.backups(), BackupCause::Asked, 3).unwrap();
        let id = crate::store::testing::event_id("gala");
        journal.copier().copy_before_deletion(&data.backups(), &[id], Timestamp(5)).unwrap();
        let aside = DataDir::new(data.path().join("aside-7"));
        fs::create_dir(aside.path()).unwrap();
        fs::copy(data.backups().join("before-delete-gala-5.sqlite"), aside.journal()).unwrap();
        let db = rusqlite::Connection::open(aside.journal()).unwrap();
        let sealed = db.query_row("SELECT sealed FROM details", [], |row| row.get(0)).unwrap();
        (data, journal, sealed)
    }

    /// True when any file below the folder holds these bytes.
    fn holds(folder: &Path, needle: &[u8]) -> bool {
        let mut files = Vec::new();
        list_files(folder, DEPTH_MAX, &mut files).unwrap();
        files.iter().any(|file| fs::read(file).unwrap().windows(needle.len()).any(|window| window == needle))
    }

    #[test]
    fn details_that_are_due_leave_no_byte_in_the_folder_and_a_receipt() {
        let (data, mut journal, sealed) = folder();
        let purged = DetailsPurged::default();
        assert_eq!(copies(&data).unwrap().iter().map(|copy| copy.oldest).collect::<Vec<_>>(), [Some(Timestamp(1_000)); 3]);
        purged.note(Timestamp(1_000), 0);
        purge(&data, &purged, Timestamp(9)).unwrap();
        assert!(holds(data.path(), &sealed) && !data.purge_receipts().exists(), "not due");
        purged.note(Timestamp(1_001), journal.purge_details(Timestamp(1_001)).unwrap());
        assert!(holds(data.path(), &sealed), "in the copies");
        purge(&data, &purged, Timestamp(9)).unwrap();
        assert!(!holds(data.path(), &sealed), "in no byte of the folder");
        purge(&data, &purged, Timestamp(10)).unwrap();
        let receipts = fs::read_to_string(data.purge_receipts()).unwrap();
        assert_eq!(receipts.lines().count(), 4, "once each: {receipts}");
        for file in ["luckydraw.sqlite", "backups/before-delete-gala-5.sqlite", "aside-7/luckydraw.sqlite"] {
            assert!(receipts.contains(&format!("1 purged in {file}\n")), "{receipts}");
        }
        assert!(copies(&data).unwrap().iter().all(|copy| copy.oldest.is_none()), "the copies stay, without details");
        assert_eq!(copy::list(&data.backups()).unwrap().len(), 2);
    }
}
