//! The data folder: made for its owner alone, held by one server at a time, and written to so that a crash leaves the old file or
//! the new one, never half of one.
//!
//! The lock is a file of its own: SQLite's locks come and go with its transactions and let a second server in between. The kernel
//! gives it back when the process ends, however it ends, so a lock is never stale and never has to be removed by hand.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The lock's file within a folder.
pub(crate) const LOCK_FILE: &str = "luckydraw.lock";

/// Why a folder cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("the data folder {} is in use by {holder}: stop it first, or choose another folder", folder.display())]
    InUse { folder: PathBuf, holder: String },
    #[error("the lock of the data folder cannot be taken")]
    Io(#[from] io::Error),
}

/// Holds a data folder until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Holds `folder`, and writes into the lock who does.
    ///
    /// # Errors
    /// [`LockError::InUse`] when another server holds it.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        // Not truncated: while another holds the lock, the file says who.
        let mut file = private().read(true).create(true).truncate(false).open(folder.join(LOCK_FILE))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::InUse { folder: folder.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())?;
        Ok(Self { _file: file })
    }
}

/// The process that holds a folder, or was the last to: the lock itself is not tried, since a server that starts at this instant would find it taken.
pub fn last_holder(folder: &Path) -> Option<u32> {
    let mut process = String::new();
    File::open(folder.join(LOCK_FILE)).ok()?.take(20).read_to_string(&mut process).ok()?;
    process.parse().ok()
}

/// Makes the folder, readable by nobody but its owner, unless it is there.
pub(crate) fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    sync(&parent(folder))
}

/// Makes a private file at `path` that is whole or not there: written beside it, flushed, and then moved to its place by name.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    let mut file = make_private(&beside)?;
    file.write_all(bytes)?;
    move_durably(&file, &beside, path)
}

/// Flushes `file`, gives it its name `to` and flushes the folder: without the last the name may be lost though the bytes are kept.
pub(crate) fn move_durably(file: &File, from: &Path, to: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(from, to)?;
    sync(&parent(to))
}

/// An empty file at `path` that only its owner may read; one that a crash left there is removed first, whoever could read it.
pub(crate) fn make_private(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => private().create_new(true).open(path),
    }
}

/// Where a file is written before it gets its name.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// How files of this folder are opened to be written: made with mode 0600.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Flushes a folder, so that the names in it are kept.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The folder that `path` lies in.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Who holds a lock, as its file says.
fn holder(file: &mut File) -> String {
    let mut process = String::new();
    match file.take(20).read_to_string(&mut process) {
        Ok(len) if len > 0 => format!("process {process}"),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_and_its_files_are_their_owners_alone() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("deep/data");
        make(&folder).unwrap();
        write_durably(&folder.join("file"), b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("file"))), (0o700, 0o600));
    }

    #[test]
    fn a_lock_says_who_holds_it_and_is_given_back() {
        let temp = tempfile::tempdir().unwrap();
        let lock = Lock::take(temp.path()).unwrap();
        let refusal = Lock::take(temp.path()).unwrap_err().to_string();
        assert!(refusal.contains(&format!("process {}", std::process::id())), "{refusal}");
        assert_eq!(last_holder(temp.path()), Some(std::process::id()));
        drop(lock);
        Lock::take(temp.path()).unwrap();
    }

    #[test]
    fn what_a_crash_left_beside_a_file_does_not_matter() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        fs::write(beside(&path), b"half of something longer").unwrap();
        fs::set_permissions(beside(&path), fs::Permissions::from_mode(0o644)).unwrap();
        write_durably(&path, b"whole").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!beside(&path).exists());
    }
}
