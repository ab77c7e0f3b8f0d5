//! The clock: kept right by somebody, and not before what is already written.
//!
//! A clock that is behind makes a fresh certificate one of the future, and dates an evening's draws before the last one's.

use crate::ops::doctor::finding::Finding;
use std::path::Path;
use std::time::{Duration, SystemTime};

const CHECK: &str = "clock";

/// When this was written, about: 2026-01-01T00:00:00Z. No right clock is before it.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);

/// How far the clock may be behind the last write without anybody having turned it.
const SLACK: Duration = Duration::from_secs(60);

/// What was read of the clock.
#[derive(Debug)]
struct Clock {
    /// Since 1970.
    now: Duration,
    /// When the data folder was last written to.
    last_write: Option<Duration>,
    /// Whether the kernel is told the right time by somebody; none: it does not say.
    is_kept: Option<bool>,
}

/// Looks at the clock and at the newest file of the data folder.
pub fn examine(data_dir: &Path) -> Finding {
    let since_1970 = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let files = std::fs::read_dir(data_dir).into_iter().flatten().flatten();
    let last_write = files.filter_map(|file| file.metadata().ok()?.modified().ok()).map(since_1970).max();
    judge(&Clock { now: since_1970(SystemTime::now()), last_write, is_kept: is_kept() })
}

/// Whether the kernel's clock is held to a reference (adjtimex(2)): the kernel takes it for free-running until a time service has spoken.
fn is_kept() -> Option<bool> {
    // SAFETY: every field of a timex is an integer, for which zeros are a value; with no modes set, adjtimex writes into it and changes nothing.
    let (state, status) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex.status)
    };
    (state >= 0).then_some(state != libc::TIME_ERROR && status & libc::STA_UNSYNC == 0)
}

fn judge(clock: &Clock) -> Finding {
    let mend = "timedatectl set-ntp true (apt-get install systemd-timesyncd), then timedatectl status";
    if clock.now < EARLIEST {
        return Finding::wrong(CHECK, "it stands before this program was written", mend);
    }
    match clock.last_write {
        Some(last) if clock.now + SLACK < last => {
            let behind = (last - clock.now).as_secs();
            Finding::wrong(CHECK, format!("it is {behind} s behind the newest file of the data folder"), mend)
        }
        _ if clock.is_kept == Some(false) => Finding::advice(CHECK, "nobody keeps it right", mend),
        _ => Finding::good(CHECK, "it goes on from what is written, and nothing says that it is wrong"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::finding::Grade;

    #[test]
    fn a_clock_that_is_behind_is_wrong() {
        let hour = Duration::from_secs(3_600);
        let (now, before) = (EARLIEST + 24 * hour, EARLIEST - hour);
        let grade = |now, last_write, is_kept| judge(&Clock { now, last_write, is_kept }).grade;
        assert_eq!(grade(now, Some(now - hour), Some(true)), Grade::Good);
        assert_eq!(grade(now, None, None), Grade::Good, "a kernel that does not say is no finding");
        assert_eq!(grade(now, None, Some(false)), Grade::Advice);
        assert_eq!(grade(now, Some(now + hour), Some(true)), Grade::Wrong);
        assert_eq!(grade(before, None, Some(true)), Grade::Wrong);
    }
}
