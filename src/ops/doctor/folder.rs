//! The data folder: there, writable, its owner's alone.

use crate::ops::doctor::finding::Finding;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

const CHECK: &str = "data folder";

/// What was read of a folder.
#[derive(Debug)]
struct Folder {
    /// The permission bits, if it is a folder that can be looked at.
    mode: Result<u32, ErrorKind>,
    /// Whether a file could be made in it.
    writable: Result<(), ErrorKind>,
}

/// Looks at the folder; a file is made in it for a moment.
pub fn examine(path: &Path) -> Vec<Finding> {
    let is_folder = |found: fs::Metadata| if found.is_dir() { Ok(found) } else { Err(ErrorKind::NotADirectory.into()) };
    let mode = fs::metadata(path).and_then(is_folder).map(|found| found.permissions().mode() & 0o7777);
    let writable = write_into(path);
    judge(&path.display().to_string(), &Folder { mode: mode.map_err(|e| e.kind()), writable: writable.map_err(|e| e.kind()) })
}

fn write_into(path: &Path) -> io::Result<()> {
    let file = path.join(format!("doctor.{}.tmp", std::process::id()));
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
    fs::remove_file(file)
}

fn judge(path: &str, folder: &Folder) -> Vec<Finding> {
    let mode = match folder.mode {
        Ok(mode) => mode,
        Err(ErrorKind::NotFound) => {
            let mend = format!("the first start makes it, or now: install -d -m 700 -o luckydraw {path}");
            return vec![Finding::wrong(CHECK, format!("{path} is not there"), mend)];
        }
        Err(why) => {
            return vec![Finding::wrong(
                CHECK,
                format!("{path}: {why}"),
                "name a folder in LUCKYDRAW_DATA_DIR that the server may enter",
            )];
        }
    };
    if let Err(why) = folder.writable {
        let mend = format!("chown -R luckydraw {path}, and see that its file system is not mounted read-only");
        return vec![Finding::wrong(CHECK, format!("no file can be made in {path}: {why}"), mend)];
    }
    if mode & 0o077 != 0 {
        let says = format!("{path} is open to others (mode {mode:o}), and it holds the key and winners' details");
        return vec![Finding::advice(CHECK, says, format!("chmod 700 {path}"))];
    }
    vec![Finding::good(CHECK, format!("{path} is there and writable"))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::finding::Grade;

    #[test]
    fn a_folder_has_to_be_there_and_writable_and_closed_to_others() {
        let grade = |mode, writable| judge("/data", &Folder { mode, writable })[0].grade;
        assert_eq!(grade(Ok(0o700), Ok(())), Grade::Good);
        assert_eq!(grade(Ok(0o755), Ok(())), Grade::Advice);
        assert_eq!(grade(Ok(0o700), Err(ErrorKind::ReadOnlyFilesystem)), Grade::Wrong);
        assert_eq!(grade(Err(ErrorKind::NotFound), Err(ErrorKind::NotFound)), Grade::Wrong);
        assert_eq!(grade(Err(ErrorKind::NotADirectory), Err(ErrorKind::NotADirectory)), Grade::Wrong);
    }

    #[test]
    fn nothing_stays_in_a_folder_that_was_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        examine(folder.path());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(examine(&file)[0].grade, Grade::Wrong);
    }
}
