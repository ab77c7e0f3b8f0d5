//! A backup: a folder of the same shape as the data folder it was made from, so that it explains
//! itself and can even be put back by hand.
//!
//! It is made under a temporary name, read back as a server would read it, and only then renamed: a
//! folder with a backup's name is whole. The journal is copied first and the images after it, so
//! that every image that a copied fact names is there. The server need not stop: a copy is one read
//! of the journal at one instant, which keeps no writer waiting.

use crate::backup::{BackupError, at, copy_companion_files, copy_images, now_ms};
use crate::base::data_dir::DataDir;
use crate::base::durable_file::{self, TEMPORARY_SUFFIX};
use crate::draw::Timestamp;
use crate::store::keys::Keys;
use crate::store::lock::{FolderLock, LockError};
use crate::store::reader::{JournalReader, RowCounts};
use crate::store::{JournalError, copied_details, copies};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest wait for another backup in the same folder, and the interval of the tries.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(30);
const LOCK_RETRY_EVERY: Duration = Duration::from_millis(20);

/// Why a backup was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupCause {
    /// A person asked for it.
    Asked,
    /// The timer of the running server.
    Timer,
    /// An event went on to its next phase.
    Phase,
    /// An event was about to be reset.
    BeforeReset,
    /// An event was about to be deleted. The writer makes these, as single files.
    BeforeDelete,
}

impl BackupCause {
    /// The causes of the folders that are made here.
    const OWN: [BackupCause; 4] = [BackupCause::Asked, BackupCause::Timer, BackupCause::Phase, BackupCause::BeforeReset];

    /// The cause's name on the wire and in a backup's name.
    pub fn name(self) -> &'static str {
        match self {
            BackupCause::Asked => "asked",
            BackupCause::Timer => "timer",
            BackupCause::Phase => "phase",
            BackupCause::BeforeReset => "before_reset",
            BackupCause::BeforeDelete => "before_delete",
        }
    }
}

/// A finished backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its name in the folder of backups.
    pub name: String,
    /// The start of the copy.
    pub made_at: Timestamp,
    /// The size of all its files.
    pub bytes: u64,
    /// Why it was made.
    pub cause: BackupCause,
    /// The time of the oldest winners' details in it; `None` when it holds none.
    pub oldest_details: Option<Timestamp>,
}

/// Makes a backup of `data` in the folder `to`, and removes the oldest ones of its cause until
/// `keep_max` are left. Waits up to 30 s for another backup in that folder.
///
/// # Errors
/// When there is nothing to back up, no space, or the copy cannot be read back. Then nothing of it
/// is left.
pub fn create(data: &DataDir, to: &Path, cause: BackupCause, keep_max: usize) -> Result<Backup, BackupError> {
    if !data.journal().is_file() {
        return Err(BackupError::NoJournal { folder: data.path().to_owned() });
    }
    durable_file::create_folder(to).map_err(at(to))?;
    // One at a time: unfinished folders are then the leftovers of a crash.
    let _lock = lock_folder(to, LOCK_WAIT_MAX)?;
    remove_unfinished(to).map_err(at(to))?;
    let made_at = Timestamp(now_ms());
    let name = format!("{}-{}", cause.name(), made_at.0);
    let place = to.join(&name);
    let unfinished = durable_file::temporary_path(&place);
    let copied = copy_and_verify(data, &DataDir::new(&unfinished));
    let made = copied.and_then(|()| fs::rename(&unfinished, &place).map_err(at(&place)));
    if made.is_err() {
        // A leftover that cannot be removed now is removed by the next backup.
        let _ = fs::remove_dir_all(&unfinished);
    }
    made?;
    durable_file::sync_folder(to).map_err(at(to))?;
    let bytes = size(&place).map_err(at(&place))?;
    if let Err(error) = remove_surplus(to, cause, keep_max, made_at) {
        tracing::warn!(%error, "old backups could not be removed");
    }
    Ok(Backup { name, made_at, bytes, cause, oldest_details: oldest_details(&place) })
}

/// The backups in a folder, the newest first; none where there is no such folder.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<Backup>, BackupError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(folder)(error)),
    };
    let mut backups = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at(folder))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Some((cause, made_at)) = parse_name(&name) else { continue };
        // A backup that was removed meanwhile has no size.
        let Ok(bytes) = size(&entry.path()) else { continue };
        let oldest_details = oldest_details(&entry.path());
        backups.push(Backup { name, made_at, bytes, cause, oldest_details });
    }
    backups.sort_unstable_by(|a, b| (b.made_at, &b.name).cmp(&(a.made_at, &a.name)));
    Ok(backups)
}

/// Removes all but the newest `keep_max` of a cause, and never the one made at `now`, wherever the
/// clock was meanwhile. Leaves other files alone.
fn remove_surplus(folder: &Path, cause: BackupCause, keep_max: usize, now: Timestamp) -> Result<(), BackupError> {
    let mut of_cause = list(folder)?;
    of_cause.retain(|backup| backup.cause == cause);
    of_cause.sort_by_key(|backup| copies::by_recency(backup.made_at, now));
    of_cause.iter().skip(keep_max.max(1)).try_for_each(|backup| remove(folder, backup))
}

fn remove(folder: &Path, backup: &Backup) -> Result<(), BackupError> {
    let path = folder.join(&backup.name);
    fs::remove_dir_all(&path).map_err(at(&path))
}

/// Locks the folder of backups, and waits for a backup that is being made there.
fn lock_folder(to: &Path, wait_max: Duration) -> Result<FolderLock, BackupError> {
    let deadline = Instant::now() + wait_max;
    loop {
        match FolderLock::acquire(to) {
            Ok(lock) => return Ok(lock),
            Err(LockError::Io(source)) => return Err(at(to)(source)),
            Err(LockError::InUse { .. }) if Instant::now() < deadline => std::thread::sleep(LOCK_RETRY_EVERY),
            Err(LockError::InUse { .. }) => return Err(BackupError::Busy { folder: to.to_owned() }),
        }
    }
}

/// Copies everything and reads it back.
fn copy_and_verify(data: &DataDir, copy: &DataDir) -> Result<(), BackupError> {
    copy.create().map_err(at(copy.path()))?;
    let original = JournalReader::open(&data.journal(), &Keys::read(data)?)?;
    let before = original.count_rows(i64::MAX)?;
    original.copy_to(&copy.journal())?;
    let after = original.count_rows(before.last_fact)?;
    copy_companion_files(data, copy)?;
    copy_images(data, copy)?;
    durable_file::sync_folder(copy.path()).map_err(at(copy.path()))?;
    let copied = JournalReader::open(&copy.journal(), &Keys::read(copy)?)?;
    copied.verify()?;
    // Of facts, only those of before are counted: more may have come since. Rows go as well: old
    // details, deleted events.
    if is_between(before, copied.count_rows(before.last_fact)?, after) { Ok(()) } else { Err(JournalError::CopyDiffers.into()) }
}

/// True when a copy made between two counts of the original holds as many rows as the original can
/// have held then.
fn is_between(before: RowCounts, copied: RowCounts, after: RowCounts) -> bool {
    let held = |of: fn(RowCounts) -> i64| {
        let (a, b) = (of(before), of(after));
        (a.min(b)..=a.max(b)).contains(&of(copied))
    };
    held(|counts| counts.events) && held(|counts| counts.facts) && held(|counts| counts.details)
}

/// The cause and the time in a backup's name; `None` for any other name.
fn parse_name(name: &str) -> Option<(BackupCause, Timestamp)> {
    if let Some(made_at) = copies::made_at(name) {
        return Some((BackupCause::BeforeDelete, made_at));
    }
    let (cause, made_at) = name.split_once('-')?;
    let cause = BackupCause::OWN.into_iter().find(|own| own.name() == cause)?;
    Some((cause, Timestamp(made_at.parse().ok()?)))
}

/// Removes the backups that a crash left unfinished.
fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(TEMPORARY_SUFFIX)).and_then(parse_name);
        if name.is_some_and(|(cause, _)| cause != BackupCause::BeforeDelete) {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

/// The time of the oldest winners' details in a backup; `None` for one that holds none, or that
/// cannot be read.
fn oldest_details(path: &Path) -> Option<Timestamp> {
    let journal = if path.is_dir() { DataDir::new(path).journal() } else { path.to_owned() };
    copied_details::oldest(&journal).ok().flatten()
}

/// The bytes of a file, or of all files in a folder.
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
    use crate::store::testing::{details_received, open_journal, opened};

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_newest_of_a_cause_are_kept_and_nothing_of_others_is_touched() {
        let (data, _journal) = open_journal();
        let to = data.path().join("copies");
        fs::create_dir_all(to.join("asked-17.tmp")).unwrap();
        fs::create_dir(to.join("asked-mine")).unwrap();
        fs::write(to.join("before-delete-gala-9-12.sqlite"), "12345").unwrap();
        for made_at in 1..=3 {
            fs::create_dir(to.join(format!("asked-{made_at}"))).unwrap();
            fs::create_dir(to.join(format!("timer-{made_at}"))).unwrap();
        }
        fs::create_dir(to.join("asked-4000000000000")).unwrap();
        let made = create(&data, &to, BackupCause::Asked, 2).unwrap();
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
            cause: BackupCause::BeforeDelete,
            oldest_details: None
        }));
    }

    #[test]
    fn a_backup_that_cannot_be_read_back_is_not_left_behind() {
        let (data, mut journal) = open_journal();
        // No draw 1 was ever started, so that the rules cannot take this fact.
        journal.commit(&[opened("gala"), details_received("gala", 7, 1_000)]).unwrap();
        let refusal = create(&data, &data.backups(), BackupCause::Asked, 2).unwrap_err();
        assert!(matches!(refusal, BackupError::Journal(JournalError::Contradiction { .. })), "{refusal}");
        assert_eq!(names(&data.backups()), ["luckydraw.lock"]);
    }

    #[test]
    fn a_name_tells_the_cause_and_the_time() {
        for cause in BackupCause::OWN {
            assert_eq!(parse_name(&format!("{}-17", cause.name())), Some((cause, Timestamp(17))));
        }
        for other in ["asked", "asked-", "asked-x", "asked-17.tmp", "before_delete-17", "mine-17", "luckydraw.lock"] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_copy_may_hold_only_rows_that_its_original_held() {
        let counts = |events, facts, details| RowCounts { events, facts, details, last_fact: 9 };
        let (before, after) = (counts(2, 9, 5), counts(1, 4, 5));
        for good in [before, after, counts(1, 9, 5), counts(2, 5, 5)] {
            assert!(is_between(before, good, after), "{good:?}");
        }
        for bad in [counts(3, 9, 5), counts(0, 4, 5), counts(2, 10, 5), counts(1, 3, 5), counts(2, 9, 4), counts(2, 9, 6)] {
            assert!(!is_between(before, bad, after), "{bad:?}");
        }
    }

    #[test]
    fn backups_are_made_one_at_a_time() {
        let temp = tempfile::tempdir().unwrap();
        let other = FolderLock::acquire(temp.path()).unwrap();
        assert!(matches!(lock_folder(temp.path(), Duration::ZERO), Err(BackupError::Busy { .. })));
        let next = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock_folder(temp.path(), LOCK_WAIT_MAX).is_ok());
            drop(other);
            waiting.join().unwrap()
        });
        assert!(next, "the one that waits goes on");
    }
}
