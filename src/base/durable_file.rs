//! The one way to write a private file: written beside its place, flushed, renamed, and the folder
//! flushed after it.
//!
//! A crash at any instant leaves the file that was there or the new one, never half of one. Mode
//! 0600 is set before the first byte, since a `chmod` afterwards leaves a time in which others
//! may open the file. Nothing here knows what a file holds, and none of it may be used by two
//! threads on one path: they would share the temporary file.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The ending of a file that is still being written.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// Writes `bytes` to `path`, replacing the file that is there. Costs two flushes.
///
/// # Errors
/// The disk's error. The old file stays, and the next write removes the temporary one.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary_path(path);
    let mut file = create(&temporary)?;
    file.write_all(bytes)?;
    persist(&file, &temporary, path)
}

/// Creates an empty file that only its owner may read. Replaces a leftover of a crash, whatever its
/// mode.
///
/// # Errors
/// The disk's error.
pub fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => private_options().create_new(true).open(path),
    }
}

/// Flushes `file`, renames it from `temporary` to `path` and flushes the folder: without the last
/// step a power cut may lose the name while the bytes are kept.
///
/// # Errors
/// The disk's error. After a failed flush the file keeps its temporary name.
pub fn persist(file: &File, temporary: &Path, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(temporary, path)?;
    sync_folder(&parent(path))
}

/// The path at which a file is written before it is renamed to `path`.
pub fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY_SUFFIX);
    name.into()
}

/// Options that open a file for writing, and create it with mode 0600.
pub fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Creates a folder with mode 0700, and those above it. A folder that exists is left as it is.
///
/// # Errors
/// The disk's error.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    sync_folder(&parent(folder))
}

/// Flushes a folder, so that the names in it survive a power cut.
///
/// # Errors
/// The disk's error.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The folder that `path` lies in.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_and_its_files_belong_to_their_owner_alone() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("deep/data");
        create_folder(&folder).unwrap();
        create_folder(&folder).unwrap();
        write(&folder.join("file"), b"x").unwrap();
        assert_eq!((mode(&folder), mode(&folder.join("file"))), (0o700, 0o600));
    }

    #[test]
    fn a_folder_that_exists_keeps_its_mode() {
        let temp = tempfile::tempdir().unwrap();
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o750)).unwrap();
        create_folder(temp.path()).unwrap();
        assert_eq!(mode(temp.path()), 0o750);
    }

    #[test]
    fn a_write_replaces_the_file_and_leaves_no_other() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        for bytes in [&b"a longer first text"[..], b"second", b""] {
            write(&path, bytes).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
            assert_eq!(names(temp.path()), ["file"]);
        }
    }

    #[test]
    fn a_replaced_file_that_others_could_read_becomes_private() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_crash_leaves_the_old_file_whole_at_every_step() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        write(&path, b"old").unwrap();
        // The steps of a write, each of which may be the last.
        let mut file = create(&temporary_path(&path)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        file.write_all(b"half of").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        file.write_all(b" the new").unwrap();
        file.sync_all().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        persist(&file, &temporary_path(&path), &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"half of the new");
    }

    #[test]
    fn the_leftover_of_a_crash_does_no_harm() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        fs::write(temporary_path(&path), b"half of something longer").unwrap();
        fs::set_permissions(temporary_path(&path), fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, b"whole").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(names(temp.path()), ["file"]);
    }

    #[test]
    fn a_write_that_fails_keeps_the_old_file() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        write(&path, b"old").unwrap();
        // A folder in the way of the temporary file cannot be removed as a file.
        fs::create_dir(temporary_path(&path)).unwrap();
        write(&path, b"new").unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write(&temp.path().join("no/such/folder/file"), b"x").unwrap_err();
    }

    #[test]
    fn a_path_without_a_folder_lies_in_the_current_one() {
        assert_eq!(parent(Path::new("file")), Path::new("."));
        assert_eq!(parent(Path::new("folder/file")), Path::new("folder"));
        assert_eq!(temporary_path(Path::new("a/secret.key")), Path::new("a/secret.key.tmp"));
    }
}
