//! The data folder: the one place that names the files and folders in it.
//!
//! A backup is a folder of the same shape, so the same type names what is in it. `DataDir` builds
//! paths and reads nothing: what a file holds is known by the module that writes it. A file that is
//! named elsewhere too would be missed by a backup or left behind by a restore.

use crate::base::durable_file;
use crate::base::image_name::ImageName;
use std::io;
use std::path::{Path, PathBuf};

/// The journal's file name. SQLite puts its side files beside it, under longer names that begin
/// with this one.
pub const JOURNAL_FILE: &str = "luckydraw.sqlite";

/// The endings of the journal's side files: the write-ahead log and its index.
pub const SIDE_FILE_SUFFIXES: [&str; 2] = ["-wal", "-shm"];

/// A data folder, or a backup of one. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataDir {
    path: PathBuf,
}

impl DataDir {
    /// The data folder at `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the folder, for its owner alone; one that exists is left as it is.
    ///
    /// # Errors
    /// The disk's error.
    pub fn create(&self) -> io::Result<()> {
        durable_file::create_folder(&self.path)
    }

    /// The journal.
    pub fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL_FILE)
    }

    /// The journal's write-ahead log.
    pub fn journal_log(&self) -> PathBuf {
        side_files(&self.journal())[0].clone()
    }

    /// The secret that every key is derived from.
    pub fn secret_key(&self) -> PathBuf {
        self.path.join("secret.key")
    }

    /// The token keys of imported events.
    pub fn imported_keys(&self) -> PathBuf {
        self.path.join("imported.keys")
    }

    /// The admin token that the server made, where the operator gave none.
    pub fn admin_token(&self) -> PathBuf {
        self.path.join("admin.token")
    }

    /// The logins that were revoked before they expired.
    pub fn revoked_logins(&self) -> PathBuf {
        self.path.join("revoked.logins")
    }

    /// The files that belong to the journal: its tokens, sealed picks and winners' details are lost
    /// without the first. A folder need not have the others.
    pub fn companion_files(&self) -> [PathBuf; 3] {
        [self.secret_key(), self.imported_keys(), self.admin_token()]
    }

    /// The file whose lock says that a process uses the folder.
    pub fn lock(&self) -> PathBuf {
        lock_file(&self.path)
    }

    /// The folder of images.
    pub fn images(&self) -> PathBuf {
        self.path.join("images")
    }

    /// A stored image.
    pub fn image(&self, name: &ImageName) -> PathBuf {
        self.images().join(name.as_str())
    }

    /// The folder of backups, unless a command names another.
    pub fn backups(&self) -> PathBuf {
        self.path.join("backups")
    }

    /// The folder of certificates, account keys and the attempts at getting them.
    pub fn acme(&self) -> PathBuf {
        self.path.join("acme")
    }

    /// The folder in which a restore prepares a backup.
    pub fn restore_staging(&self) -> DataDir {
        Self::new(self.path.join("restore.tmp"))
    }

    /// The folder from which a restore moves the files into place. It marks a restore that was cut
    /// short: no journal opens beside it.
    pub fn half_restored(&self) -> PathBuf {
        self.path.join("restore.swap")
    }

    /// The folder in which a restore keeps the files that it replaces; `at_ms` is milliseconds
    /// since 1970.
    pub fn aside(&self, at_ms: i64) -> PathBuf {
        self.path.join(format!("aside-{at_ms}"))
    }
}

/// The lock of a folder: of a data folder, or of a folder of backups.
pub fn lock_file(folder: &Path) -> PathBuf {
    folder.join("luckydraw.lock")
}

/// The paths of SQLite's side files beside a journal, which need not exist.
pub fn side_files(journal: &Path) -> [PathBuf; 2] {
    SIDE_FILE_SUFFIXES.map(|suffix| {
        let mut name = journal.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_has_a_name_of_its_own_directly_in_the_folder() {
        let data = DataDir::new("/data");
        let [secret, imported, token] = data.companion_files();
        let [log, index] = side_files(&data.journal());
        let restore = [data.restore_staging().path().to_owned(), data.half_restored(), data.aside(7)];
        let folders = [data.images(), data.backups(), data.acme()];
        let files = [data.journal(), log, index, secret, imported, token, data.lock()];
        let all: BTreeSet<PathBuf> = restore.into_iter().chain(folders).chain(files).collect();
        assert_eq!(all.len(), 13);
        assert!(all.iter().all(|path| path.parent() == Some(data.path())), "{all:?}");
    }

    #[test]
    fn the_names_that_operators_and_scripts_know_stay() {
        let data = DataDir::new("data");
        let known = [
            (data.journal(), "data/luckydraw.sqlite"),
            (data.journal_log(), "data/luckydraw.sqlite-wal"),
            (data.secret_key(), "data/secret.key"),
            (data.imported_keys(), "data/imported.keys"),
            (data.admin_token(), "data/admin.token"),
            (data.lock(), "data/luckydraw.lock"),
            (data.images(), "data/images"),
            (data.backups(), "data/backups"),
            (data.acme(), "data/acme"),
            (data.half_restored(), "data/restore.swap"),
            (data.aside(12), "data/aside-12"),
        ];
        known.into_iter().for_each(|(path, name)| assert_eq!(path, Path::new(name)));
    }
}
