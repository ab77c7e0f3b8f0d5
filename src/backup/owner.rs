//! Ownership of the data folder: a command is often run by root, over a folder in which a server
//! without rights goes on.
//!
//! Files that root created in such a folder are given to the folder's owner afterwards. Otherwise a
//! backup by hand would lock the server out of its own backups, and a restore out of its journal.
//! Files with a second name are left alone: a name of root's file, put here by the server's user,
//! must not become theirs. Links must never be followed.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

const ROOT: u32 = 0;

/// Gives root's files in `folder` to the folder's owner, when root runs the program.
///
/// # Errors
/// When the folder cannot be read, or a file's owner not be changed.
pub(super) fn give_to_folder_owner(folder: &Path) -> io::Result<()> {
    let owner = fs::metadata(folder)?;
    if owner.uid() == ROOT || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    change_owner(folder, owner.uid(), owner.gid())
}

fn change_owner(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        // A running server removes files of its own meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    if metadata.uid() == ROOT && (metadata.is_dir() || metadata.nlink() == 1) {
        lchown(path, Some(uid), Some(gid))?;
    }
    if metadata.is_dir() {
        fs::read_dir(path)?.try_for_each(|entry| change_owner(&entry?.path(), uid, gid))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_root_creates_in_anothers_folder_become_the_others() {
        const OTHER: u32 = 12_345;
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("backups")).unwrap();
        for name in ["backups/journal", "named"] {
            fs::write(temp.path().join(name), "").unwrap();
        }
        let elsewhere = tempfile::tempdir_in(temp.path().parent().unwrap()).unwrap();
        fs::hard_link(temp.path().join("named"), elsewhere.path().join("second-name")).unwrap();
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            std::os::unix::fs::chown(temp.path(), Some(OTHER), Some(OTHER)).unwrap();
        }
        give_to_folder_owner(temp.path()).unwrap();
        let uid = |name: &str| fs::metadata(temp.path().join(name)).unwrap().uid();
        let own = fs::metadata(elsewhere.path()).unwrap().uid();
        let expected = if is_root { OTHER } else { own };
        assert_eq!([uid("backups"), uid("backups/journal"), uid("named")], [expected, expected, own]);
    }
}
