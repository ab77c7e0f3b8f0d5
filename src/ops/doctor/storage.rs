//! Checks of the data folder, writable and its owner's alone; and of the disk under it, its free
//! space and the time of an fsync, for which every answer of the server waits.

use crate::backup::old_details::{self, JournalCopy};
use crate::base::clock::{ClockTrust, SteadyClock, rfc3339};
use crate::base::data_dir::DataDir;
use crate::draw::Timestamp;
use crate::ops::doctor::report::Finding;
use crate::store::reader::read_clock_record;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// Writes that are timed, and the longest time for all of them.
const WRITES: usize = 32;
const WRITES_TIME_MAX: Duration = Duration::from_secs(3);

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// One timed write: a page of the journal.
const PAGE: [u8; 4096] = [0x5a; 4096];

/// Free bytes below which the journal of an event and a copy of it may not fit.
const FREE_MIN: u64 = 64 << 20;
const FREE_ADVISED: u64 = 512 << 20;

/// A registration is to be answered within 500 ms, and its commit is only a part of that.
const FSYNC_SLOW: Duration = Duration::from_millis(20);
const FSYNC_TOO_SLOW: Duration = Duration::from_secs(1);

/// State of the data folder.
#[derive(Debug)]
struct Folder {
    /// The permission bits, if it is a folder that can be looked at.
    mode: Result<u32, ErrorKind>,
    /// The result of making a file in it.
    writable: Result<(), ErrorKind>,
}

/// Checks the folder; makes a file in it and removes it again.
pub fn check_folder(path: &Path) -> Finding {
    let require_folder = |found: fs::Metadata| if found.is_dir() { Ok(found) } else { Err(ErrorKind::NotADirectory.into()) };
    let mode = fs::metadata(path).and_then(require_folder).map(|found| found.permissions().mode() & 0o7777);
    let folder = Folder { mode: mode.map_err(|e| e.kind()), writable: try_write(path).map_err(|e| e.kind()) };
    grade_folder(&path.display().to_string(), &folder)
}

/// Lists the copies of the journal in the folder that hold winners' details, and when those go.
pub fn check_copies(data: &DataDir, details_days: u32) -> Vec<Finding> {
    const CHECK: &str = "copies";
    if !data.path().is_dir() {
        return Vec::new();
    }
    let copies = match old_details::copies(data) {
        Ok(copies) => copies,
        Err(error) => return vec![Finding::wrong(CHECK, error.to_string(), "give the folder to the user of the server")],
    };
    let finding = |JournalCopy { path, oldest }: &JournalCopy| {
        let goes_at = rfc3339(Timestamp((*oldest)?.0.saturating_add(i64::from(details_days) * DAY_MS)));
        let name = path.strip_prefix(data.path()).unwrap_or(path).display();
        Some(Finding::good(CHECK, format!("winners' details in {name} go from {goes_at} on, while the server runs")))
    };
    let mut findings: Vec<_> = copies.iter().filter_map(finding).collect();
    if findings.is_empty() {
        findings.push(Finding::good(CHECK, format!("none of {} in the data folder holds winners' details", copies.len())));
    }
    findings.push(Finding::good(CHECK, "those outside the data folder, exports too, are yours to delete"));
    findings
}

/// Checks that what is old is deleted: after an hour's pause a server begins anew to watch its
/// clock, and one that runs for its events alone never trusts it. No finding without a journal.
pub fn check_deletions(data: &DataDir) -> Option<Finding> {
    let journal = data.journal();
    if !journal.is_file() {
        return None;
    }
    Some(match read_clock_record(&journal) {
        Ok(record) => {
            let clock = SteadyClock::new(record);
            grade_deletions(clock.trust(), clock.record().steady)
        }
        Err(error) => Finding::wrong("deletions", error.to_string(), "give the folder to the user of the server"),
    })
}

/// Grades the trust in the clock after the server ran for `steady` without a jump or a long pause.
fn grade_deletions(trust: ClockTrust, steady: Duration) -> Finding {
    const CHECK: &str = "deletions";
    let hours = steady.as_secs() / 3_600;
    let fix = "let the server run on for a day, or confirm its clock in the console; or delete events once their prizes are sent";
    match trust {
        ClockTrust::Steady => Finding::good(CHECK, "winners' details and events go by their age"),
        ClockTrust::New => {
            let message = format!("nothing goes by its age: the server ran for {hours} of 24 hours without an hour's pause");
            Finding::advice(CHECK, message, fix)
        }
        ClockTrust::Jumped => {
            let message = format!("nothing goes by its age: the clock jumped, and ran steadily for {hours} of 24 hours since");
            Finding::advice(CHECK, message, fix)
        }
    }
}

fn try_write(path: &Path) -> io::Result<()> {
    let file = path.join(format!("doctor.{}.tmp", std::process::id()));
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
    fs::remove_file(file)
}

fn grade_folder(path: &str, folder: &Folder) -> Finding {
    const CHECK: &str = "data folder";
    let mode = match folder.mode {
        Ok(mode) => mode,
        Err(ErrorKind::NotFound) => {
            let fix = format!("the first start makes it, or now: install -d -m 700 -o luckydraw {path}");
            return Finding::wrong(CHECK, format!("{path} is not there"), fix);
        }
        Err(error) => {
            let fix = "name a folder in LUCKYDRAW_DATA_DIR that the server may enter";
            return Finding::wrong(CHECK, format!("{path}: {error}"), fix);
        }
    };
    if let Err(error) = folder.writable {
        let fix = format!("chown -R luckydraw {path}, and see that its file system is not mounted read-only");
        return Finding::wrong(CHECK, format!("no file can be made in {path}: {error}"), fix);
    }
    if mode & 0o077 != 0 {
        let message = format!("{path} is open to others (mode {mode:o}), and it holds the key and winners' details");
        return Finding::advice(CHECK, message, format!("chmod 700 {path}"));
    }
    Finding::good(CHECK, format!("{path} is there and writable"))
}

/// Checks free space and the time of an fsync. No finding where the folder is missing.
pub fn check_disk(folder: &Path) -> Vec<Finding> {
    if !folder.is_dir() {
        return Vec::new();
    }
    let free = rustix::fs::statvfs(folder).map(|disk| (disk.f_bavail * disk.f_frsize, disk.f_favail));
    let space = free.map_or_else(
        |error| Finding::wrong("disk space", format!("is unknown: {error}"), "look at the file system under the data folder"),
        |(bytes, inodes)| grade_space(bytes, inodes),
    );
    let fsync = time_writes(folder).map_or_else(
        |error| Finding::wrong("fsync", format!("fails: {error}"), "look at the disk under the data folder: dmesg, df"),
        |mut times| grade_fsync(&mut times),
    );
    vec![space, fsync]
}

/// Writes pages, with an fsync after each, and returns their times. Removes the file again.
fn time_writes(folder: &Path) -> io::Result<Vec<Duration>> {
    let path = folder.join(format!("doctor.{}.fsync", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let start = Instant::now();
    let mut times = Vec::with_capacity(WRITES);
    let mut run = || -> io::Result<()> {
        while times.len() < WRITES && start.elapsed() < WRITES_TIME_MAX {
            let begin = Instant::now();
            file.rewind()?;
            file.write_all(&PAGE)?;
            file.sync_data()?;
            times.push(begin.elapsed());
        }
        Ok(())
    };
    let result = run();
    fs::remove_file(path)?;
    result.map(|()| times)
}

fn grade_space(bytes: u64, inodes: u64) -> Finding {
    let message = format!("{} MiB and {inodes} inodes are free", bytes >> 20);
    let fix = "make room (journalctl --vacuum-size=50M, apt-get clean, old files in backups/) or take a larger disk";
    match bytes {
        _ if inodes == 0 => Finding::wrong("disk space", message, fix),
        0..FREE_MIN => Finding::wrong("disk space", message, fix),
        FREE_MIN..FREE_ADVISED => Finding::advice("disk space", message, fix),
        _ => Finding::good("disk space", message),
    }
}

/// Grades by the median: a single slow write is an outlier.
fn grade_fsync(times: &mut [Duration]) -> Finding {
    times.sort_unstable();
    let (Some(median), Some(worst)) = (times.get(times.len() / 2).copied(), times.last()) else {
        return Finding::wrong("fsync", "no write could be timed", "look at the disk under the data folder");
    };
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let message = format!("a write is on the disk after {} (median of {}; worst {})", ms(median), times.len(), ms(*worst));
    let fix = "keep the data folder on the box's own SSD, not on a network disk, and let nothing else write to it meanwhile";
    match median {
        _ if median >= FSYNC_TOO_SLOW => Finding::wrong("fsync", message, fix),
        _ if median >= FSYNC_SLOW => Finding::advice("fsync", message, fix),
        _ => Finding::good("fsync", message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::report::Grade;

    #[test]
    fn a_folder_has_to_be_there_and_writable_and_closed_to_others() {
        let grade = |mode, writable| grade_folder("/data", &Folder { mode, writable }).grade;
        assert_eq!(grade(Ok(0o700), Ok(())), Grade::Good);
        assert_eq!(grade(Ok(0o755), Ok(())), Grade::Advice);
        assert_eq!(grade(Ok(0o700), Err(ErrorKind::ReadOnlyFilesystem)), Grade::Wrong);
        assert_eq!(grade(Err(ErrorKind::NotFound), Err(ErrorKind::NotFound)), Grade::Wrong);
        assert_eq!(grade(Err(ErrorKind::NotADirectory), Err(ErrorKind::NotADirectory)), Grade::Wrong);
    }

    #[test]
    fn a_check_leaves_nothing_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        check_folder(folder.path());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(check_folder(&file).grade, Grade::Wrong);
    }

    #[test]
    fn a_full_disk_is_wrong_and_a_nearly_full_one_gets_advice() {
        let grade = |mib: u64, inodes| grade_space(mib << 20, inodes).grade;
        assert_eq!([grade(10, 9), grade(100, 9), grade(9_000, 9), grade(9_000, 0)], {
            [Grade::Wrong, Grade::Advice, Grade::Good, Grade::Wrong]
        });
    }

    #[test]
    fn a_slow_disk_is_graded_by_its_median() {
        let grade = |times_ms: &[u64]| {
            let mut times: Vec<_> = times_ms.iter().copied().map(Duration::from_millis).collect();
            grade_fsync(&mut times).grade
        };
        assert_eq!(grade(&[5_000, 1, 1]), Grade::Good, "one slow write is an outlier");
        assert_eq!((grade(&[50, 60, 1]), grade(&[1_200, 1_100, 1_000])), (Grade::Advice, Grade::Wrong));
        assert_eq!(grade(&[]), Grade::Wrong);
    }

    #[test]
    fn a_server_that_runs_for_its_events_alone_is_told_that_nothing_goes() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::new(folder.path());
        assert!(check_deletions(&data).is_none(), "there is nothing to delete yet");
        let db = rusqlite::Connection::open(data.journal()).unwrap();
        db.execute_batch("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT)").unwrap();
        let now_ms = crate::base::clock::wall_clock().0;
        let grade = |ended_ms: i64, steady_hours: i64| {
            let record = format!("{ended_ms} {} 0", steady_hours * 3_600_000);
            db.execute("INSERT OR REPLACE INTO meta VALUES ('clock', ?1)", [record]).unwrap();
            check_deletions(&data).unwrap()
        };
        assert_eq!(grade(now_ms - 60_000, 24).grade, Grade::Good);
        let with_a_pause = grade(now_ms - 18 * 3_600_000, 24);
        assert_eq!(with_a_pause.grade, Grade::Advice);
        assert!(with_a_pause.message.contains("0 of 24 hours"), "{with_a_pause}");
        assert!(grade(now_ms - 60_000, 6).message.contains("6 of 24 hours"));
        assert_eq!(grade(now_ms + 86_400_000, 24).grade, Grade::Advice, "a clock that went back");
    }

    #[test]
    fn writes_are_timed_and_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let times = time_writes(folder.path()).unwrap();
        assert!(!times.is_empty() && times.iter().all(|time| !time.is_zero()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(time_writes(Path::new("/proc")).is_err());
    }
}
