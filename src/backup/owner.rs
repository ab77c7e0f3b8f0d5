//! Whose the files are: an errand is often run by root, over a folder that a server without rights has to go on with.
//!
//! What root has made in such a folder is given to the folder's owner afterwards. Without that, a backup by hand would lock the server out of
//! its own backups, and a restore out of its journal. Files with a second name are left alone: a name of root's file, put here by the
//! server's user, must not become theirs; and links are never followed.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

const ROOT: u32 = 0;

/// Gives what is root's in `folder` to the folder's owner, where root asks.
///
/// # Errors
/// When the folder cannot be walked through, or a file not be given away.
pub(super) fn settle(folder: &Path) -> io::Result<()> {
    let owner = fs::metadata(folder)?;
    if owner.uid() == ROOT || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    give(folder, owner.uid(), owner.gid())
}

fn give(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        // A running server lets go of its own files meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    if metadata.uid() == ROOT && (metadata.is_dir() || metadata.nlink() == 1) {
        lchown(path, Some(uid), Some(gid))?;
    }
    if metadata.is_dir() {
        fs::read_dir(path)?.try_for_each(|entry| give(&entry?.path(), uid, gid))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_root_makes_in_another_s_folder_becomes_the_other_s() {
        const OTHER: u32 = 12_345;
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("backups")).unwrap();
        for name in ["backups/journal", "named"] {
            fs::write(temp.path().join(name), "").unwrap();
        }
        let twice = tempfile::tempdir_in(temp.path().parent().unwrap()).unwrap();
        fs::hard_link(temp.path().join("named"), twice.path().join("twice")).unwrap();
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            std::os::unix::fs::chown(temp.path(), Some(OTHER), Some(OTHER)).unwrap();
        }
        settle(temp.path()).unwrap();
        let uid = |name: &str| fs::metadata(temp.path().join(name)).unwrap().uid();
        let own = fs::metadata(twice.path()).unwrap().uid();
        let expected = if is_root { OTHER } else { own };
        assert_eq!([uid("backups"), uid("backups/journal"), uid("named")], [expected, expected, own]);
    }
}
