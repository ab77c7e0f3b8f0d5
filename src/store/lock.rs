//! The lock of a folder: one process at a time may write a data folder, or a folder of backups.
//!
//! The lock is a file of its own: SQLite's locks come and go with its transactions and let a second
//! server in between. The kernel releases it when the process ends, however it ends, so a lock is
//! never stale and never needs removing by hand.

use crate::base::{data_dir, durable_file};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The most bytes that are read as a process id.
const PROCESS_ID_LEN_MAX: u64 = 20;

/// Why a folder cannot be locked.
#[expect(missing_docs, reason = "the text of each error shows its fields")]
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds the lock; `holder` names it.
    #[error("the data folder {} is in use by {holder}: stop it first, or choose another folder", folder.display())]
    InUse { folder: PathBuf, holder: String },
    /// The lock's file cannot be opened or written.
    #[error("the lock of the data folder cannot be taken")]
    Io(#[from] io::Error),
}

/// Keeps a folder for this process until it is dropped.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Locks `folder` and writes this process's id into the lock.
    ///
    /// # Errors
    /// [`LockError::InUse`] when another process holds it. Does not wait.
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        // Not truncated: while another process holds the lock, the file names it.
        let path = data_dir::lock_file(folder);
        let mut file = durable_file::private_options().read(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::InUse { folder: folder.to_owned(), holder: describe_holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())?;
        Ok(Self { _file: file })
    }
}

/// The id of the process that holds a folder, or held it last. The lock itself is not tried: a
/// server that starts at this instant would find it taken.
pub fn last_holder(folder: &Path) -> Option<u32> {
    read_process_id(&mut File::open(data_dir::lock_file(folder)).ok()?)?.parse().ok()
}

fn describe_holder(file: &mut File) -> String {
    read_process_id(file).map_or_else(|| "another process".to_owned(), |process| format!("process {process}"))
}

fn read_process_id(file: &mut File) -> Option<String> {
    let mut process = String::new();
    file.take(PROCESS_ID_LEN_MAX).read_to_string(&mut process).ok()?;
    (!process.is_empty()).then_some(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_names_its_holder_and_is_released_on_drop() {
        let temp = tempfile::tempdir().unwrap();
        let lock = FolderLock::acquire(temp.path()).unwrap();
        let refusal = FolderLock::acquire(temp.path()).unwrap_err().to_string();
        assert!(refusal.contains(&format!("process {}", std::process::id())), "{refusal}");
        assert_eq!(last_holder(temp.path()), Some(std::process::id()));
        drop(lock);
        FolderLock::acquire(temp.path()).unwrap();
    }

    #[test]
    fn the_last_holder_is_read_from_the_file_alone() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(last_holder(temp.path()), None);
        for (text, holder) in [("", None), ("71", Some(71)), ("a process", None), ("-1", None)] {
            std::fs::write(data_dir::lock_file(temp.path()), text).unwrap();
            assert_eq!(last_holder(temp.path()), holder, "{text:?}");
        }
    }
}
