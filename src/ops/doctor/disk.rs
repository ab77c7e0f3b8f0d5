//! The disk under the data folder: how much is free, and how long it takes to keep a write. Every answer waits for that.

use crate::ops::doctor::finding::Finding;
use std::fs::{self, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many writes are timed, and for how long at most.
const WRITES: usize = 32;
const TIME_MAX: Duration = Duration::from_secs(3);

/// What is written at a time: a page of the journal.
const PAGE: [u8; 4096] = [0x5a; 4096];

/// Below this the journal of an evening and a copy of it may not fit.
const FREE_MIN: u64 = 64 << 20;
const FREE_ADVISED: u64 = 512 << 20;

/// A registration is to be answered within 500 ms, and its commit is only a part of that.
const SLOW: Duration = Duration::from_millis(20);
const TOO_SLOW: Duration = Duration::from_secs(1);

/// Measures both, where the folder is there.
pub fn examine(folder: &Path) -> Vec<Finding> {
    if !folder.is_dir() {
        return Vec::new();
    }
    let free = rustix::fs::statvfs(folder).map(|disk| (disk.f_bavail * disk.f_frsize, disk.f_favail));
    let space = free.map_or_else(
        |error| Finding::wrong("disk space", format!("cannot be told: {error}"), "look at the file system under the data folder"),
        |(bytes, inodes)| judge_space(bytes, inodes),
    );
    let latency = time_writes(folder).map_or_else(
        |error| Finding::wrong("fsync", format!("fails: {error}"), "look at the disk under the data folder: dmesg, df"),
        |mut times| judge_latency(&mut times),
    );
    vec![space, latency]
}

/// Writes pages and waits for each to be kept. The file is gone afterwards.
fn time_writes(folder: &Path) -> io::Result<Vec<Duration>> {
    let path = folder.join(format!("doctor.{}.fsync", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let begun = Instant::now();
    let mut times = Vec::with_capacity(WRITES);
    let mut timed = || -> io::Result<()> {
        while times.len() < WRITES && begun.elapsed() < TIME_MAX {
            let at = Instant::now();
            file.rewind()?;
            file.write_all(&PAGE)?;
            file.sync_data()?;
            times.push(at.elapsed());
        }
        Ok(())
    };
    let outcome = timed();
    fs::remove_file(path)?;
    outcome.map(|()| times)
}

fn judge_space(bytes: u64, inodes: u64) -> Finding {
    let says = format!("{} MiB and {inodes} inodes are free", bytes >> 20);
    let mend = "make room (journalctl --vacuum-size=50M, apt-get clean, old files in backups/) or take a larger disk";
    match bytes {
        _ if inodes == 0 => Finding::wrong("disk space", says, mend),
        0..FREE_MIN => Finding::wrong("disk space", says, mend),
        FREE_MIN..FREE_ADVISED => Finding::advice("disk space", says, mend),
        _ => Finding::good("disk space", says),
    }
}

/// Judges by the median: one slow write is weather.
fn judge_latency(times: &mut [Duration]) -> Finding {
    times.sort_unstable();
    let (Some(median), Some(worst)) = (times.get(times.len() / 2).copied(), times.last()) else {
        return Finding::wrong("fsync", "nothing could be timed", "look at the disk under the data folder");
    };
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let says = format!("a write is kept after {} (median of {}; worst {})", ms(median), times.len(), ms(*worst));
    let mend = "keep the data folder on the box's own SSD, not on a network disk, and let nothing else write to it this evening";
    match median {
        _ if median >= TOO_SLOW => Finding::wrong("fsync", says, mend),
        _ if median >= SLOW => Finding::advice("fsync", says, mend),
        _ => Finding::good("fsync", says),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::finding::Grade;

    #[test]
    fn a_full_disk_is_wrong_and_a_nearly_full_one_is_said() {
        let grade = |mib: u64, inodes| judge_space(mib << 20, inodes).grade;
        assert_eq!([grade(10, 9), grade(100, 9), grade(9_000, 9), grade(9_000, 0)], {
            [Grade::Wrong, Grade::Advice, Grade::Good, Grade::Wrong]
        });
    }

    #[test]
    fn a_slow_disk_is_judged_by_its_median() {
        let grade = |times_ms: &[u64]| {
            let mut times: Vec<_> = times_ms.iter().copied().map(Duration::from_millis).collect();
            judge_latency(&mut times).grade
        };
        assert_eq!(grade(&[5_000, 1, 1]), Grade::Good, "one slow write is weather");
        assert_eq!((grade(&[50, 60, 1]), grade(&[1_200, 1_100, 1_000])), (Grade::Advice, Grade::Wrong));
        assert_eq!(grade(&[]), Grade::Wrong);
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
