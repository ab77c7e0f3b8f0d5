//! A backup: a folder that looks like the data folder it was made from, so that it explains itself and can even be put back by hand.
//!
//! It is made beside its place, read back as a server would read it, and only then given its name: what has a backup's name is whole. The
//! journal goes first and the images after it, so that every image a copied fact names is there. The server need not stop: a copy is one read of
//! the journal at one instant, which keeps no writer waiting.

use crate::backup::{ArchiveError, BESIDE, IMAGES, at, copy_file, copy_images, now};
use crate::draw::Timestamp;
use crate::store::folder::{self, Lock, LockError};
use crate::store::journal::JOURNAL_FILE;
use crate::store::keys::Keys;
use crate::store::reading::{Counts, Reading};
use crate::store::{JournalError, copies};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a backup is called until it is whole.
const UNFINISHED: &str = ".tmp";

/// How long a backup waits for another one, of the clock perhaps, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why a backup was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked for it.
    Asked,
    /// It was time.
    Timer,
    /// An event went on to its next phase.
    Phase,
    /// An event was about to be reset.
    BeforeReset,
    /// An event was about to be deleted. The writer makes these, as single files.
    BeforeDelete,
}

impl Cause {
    /// The causes of the folders that are made here.
    const OWN: [Cause; 4] = [Cause::Asked, Cause::Timer, Cause::Phase, Cause::BeforeReset];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Asked => "asked",
            Cause::Timer => "timer",
            Cause::Phase => "phase",
            Cause::BeforeReset => "before_reset",
            Cause::BeforeDelete => "before_delete",
        }
    }
}

/// A backup that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// What it is called in the folder of backups.
    pub name: String,
    pub made_at: Timestamp,
    pub bytes: u64,
    pub cause: Cause,
}

/// Makes a backup of the folder `data` in the folder `to`, and lets the oldest ones of its cause go until `keep` are left.
///
/// # Errors
/// When there is nothing to back up, no space, or what was written cannot be read back. Then nothing of it is left.
pub fn make(data: &Path, to: &Path, cause: Cause, keep: usize) -> Result<Backup, ArchiveError> {
    if !data.join(JOURNAL_FILE).is_file() {
        return Err(ArchiveError::NoJournal { folder: data.to_owned() });
    }
    folder::make(to).map_err(at(to))?;
    // One at a time, and what a crash left unfinished is then nobody's.
    let _lock = hold(to, PATIENCE)?;
    clear_unfinished(to).map_err(at(to))?;
    let made_at = Timestamp(now());
    let name = format!("{}-{}", cause.name(), made_at.0);
    let (unfinished, place) = (to.join(format!("{name}{UNFINISHED}")), to.join(&name));
    let made = fill(data, &unfinished).and_then(|()| fs::rename(&unfinished, &place).map_err(at(&place)));
    if made.is_err() {
        // What cannot be removed now is removed by the next backup.
        let _ = fs::remove_dir_all(&unfinished);
    }
    made?;
    folder::sync(to).map_err(at(to))?;
    let bytes = size(&place).map_err(at(&place))?;
    if let Err(error) = prune(to, cause, keep) {
        tracing::warn!(%error, "old backups could not be removed");
    }
    Ok(Backup { name, made_at, bytes, cause })
}

/// The backups in a folder, the newest first; none where there is no such folder.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<Backup>, ArchiveError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(folder)(error)),
    };
    let mut backups = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at(folder))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Some((cause, made_at)) = understand(&name) else { continue };
        // One that was let go meanwhile is none.
        let Ok(bytes) = size(&entry.path()) else { continue };
        backups.push(Backup { name, made_at, bytes, cause });
    }
    backups.sort_unstable_by(|a, b| (b.made_at, &b.name).cmp(&(a.made_at, &a.name)));
    Ok(backups)
}

/// Removes the backups made here before a time: winners' details in them are to go one day as well. The newest stays in any case.
///
/// # Errors
/// When one cannot be removed.
pub fn let_go(folder: &Path, before: Timestamp) -> Result<(), ArchiveError> {
    let own = list(folder)?.into_iter().filter(|backup| Cause::OWN.contains(&backup.cause));
    for old in own.skip(1).filter(|backup| backup.made_at < before) {
        let path = folder.join(&old.name);
        fs::remove_dir_all(&path).map_err(at(&path))?;
    }
    Ok(())
}

/// Holds the folder of backups, as soon as whoever makes one there is done.
fn hold(to: &Path, patience: Duration) -> Result<Lock, ArchiveError> {
    let deadline = Instant::now() + patience;
    loop {
        match Lock::take(to) {
            Ok(lock) => return Ok(lock),
            Err(LockError::Io(source)) => return Err(at(to)(source)),
            Err(LockError::InUse { .. }) if Instant::now() < deadline => std::thread::sleep(LOOK_EVERY),
            Err(LockError::InUse { .. }) => return Err(ArchiveError::Busy { folder: to.to_owned() }),
        }
    }
}

/// Copies everything and reads it back.
fn fill(data: &Path, to: &Path) -> Result<(), ArchiveError> {
    folder::make(to).map_err(at(to))?;
    let (from, copy) = (data.join(JOURNAL_FILE), to.join(JOURNAL_FILE));
    let source = Reading::open(&from, &Keys::read(data)?)?;
    let before = source.counts(i64::MAX)?;
    source.copy_to(&copy)?;
    let after = source.counts(before.last_fact)?;
    for name in BESIDE {
        let path = data.join(name);
        if path.is_file() {
            copy_file(&path, &to.join(name))?;
        }
    }
    let images = data.join(IMAGES);
    if images.is_dir() {
        copy_images(&images, &to.join(IMAGES))?;
    }
    folder::sync(to).map_err(at(to))?;
    let copied = Reading::open(&copy, &Keys::read(to)?)?;
    copied.verify()?;
    // Of facts, those that were there before: more may have come since. Rows go as well: old details, and events that are deleted.
    if is_between(before, copied.counts(before.last_fact)?, after) { Ok(()) } else { Err(JournalError::UnlikeCopy.into()) }
}

/// Returns whether a copy that was made between two looks at the original holds as much as it can have held then.
fn is_between(before: Counts, copied: Counts, after: Counts) -> bool {
    let held = |of: fn(Counts) -> i64| {
        let (a, b) = (of(before), of(after));
        (a.min(b)..=a.max(b)).contains(&of(copied))
    };
    held(|counts| counts.events) && held(|counts| counts.facts) && held(|counts| counts.details)
}

/// What a name says; none when it is no backup's.
fn understand(name: &str) -> Option<(Cause, Timestamp)> {
    if let Some(middle) = name.strip_prefix(copies::BEGINNING).and_then(|name| name.strip_suffix(copies::END)) {
        return Some((Cause::BeforeDelete, Timestamp(middle.rsplit_once('-')?.1.parse().ok()?)));
    }
    let (cause, made_at) = name.split_once('-')?;
    let cause = Cause::OWN.into_iter().find(|own| own.name() == cause)?;
    Some((cause, Timestamp(made_at.parse().ok()?)))
}

/// Removes all but the newest `keep` of a cause. What others put there is left alone.
fn prune(folder: &Path, cause: Cause, keep: usize) -> Result<(), ArchiveError> {
    let of_cause = list(folder)?.into_iter().filter(|backup| backup.cause == cause);
    of_cause.skip(keep.max(1)).map(|backup| folder.join(backup.name)).try_for_each(|path| {
        let removed = fs::remove_dir_all(&path);
        removed.map_err(at(&path))
    })
}

/// Removes what a crash left of backups that were being made.
fn clear_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(UNFINISHED)).and_then(understand);
        if name.is_some_and(|(cause, _)| cause != Cause::BeforeDelete) {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

/// The bytes of a file, or of all files of a folder.
fn size(path: &Path) -> io::Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let paths: Vec<PathBuf> = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    paths.iter().map(|path| size(path)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Journal;

    fn data() -> tempfile::TempDir {
        let temp = tempfile::tempdir().unwrap();
        Journal::open(temp.path(), &Keys::open(temp.path()).unwrap()).unwrap();
        temp
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_newest_of_a_cause_are_kept_and_nothing_of_others_is_touched() {
        let data = data();
        let to = data.path().join("copies");
        fs::create_dir_all(to.join("asked-17.tmp")).unwrap();
        fs::create_dir(to.join("asked-mine")).unwrap();
        fs::write(to.join("before-delete-gala-9-12.sqlite"), "12345").unwrap();
        for made_at in 1..=3 {
            fs::create_dir(to.join(format!("asked-{made_at}"))).unwrap();
            fs::create_dir(to.join(format!("timer-{made_at}"))).unwrap();
        }
        let made = make(data.path(), &to, Cause::Asked, 2).unwrap();
        let kept = ["asked-3", &made.name, "asked-mine", "before-delete-gala-9-12.sqlite", "luckydraw.lock"];
        let mut kept: Vec<_> = kept.into_iter().chain(["timer-1", "timer-2", "timer-3"]).collect();
        kept.sort();
        assert_eq!(names(&to), kept);
        let listed = list(&to).unwrap();
        assert_eq!(listed[0], made);
        assert!(listed.contains(&Backup {
            name: "before-delete-gala-9-12.sqlite".into(),
            made_at: Timestamp(12),
            bytes: 5,
            cause: Cause::BeforeDelete
        }));
        let_go(&to, Timestamp(3)).unwrap();
        assert_eq!(list(&to).unwrap().iter().map(|backup| backup.made_at.0).collect::<Vec<_>>(), [made.made_at.0, 12, 3, 3]);
    }

    #[test]
    fn one_is_made_at_a_time() {
        let temp = tempfile::tempdir().unwrap();
        let other = Lock::take(temp.path()).unwrap();
        assert!(matches!(hold(temp.path(), Duration::ZERO), Err(ArchiveError::Busy { .. })));
        let next = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| hold(temp.path(), PATIENCE).is_ok());
            drop(other);
            waiting.join().unwrap()
        });
        assert!(next, "who waits is let in");
    }
}
