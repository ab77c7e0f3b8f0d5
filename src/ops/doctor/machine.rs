//! Checks of the machine: its clock, its memory and swap, and the burst credit of a small cloud
//! machine.
//!
//! A clock that is behind puts a fresh certificate into the future, and dates an event's draws
//! before those of the last one. A small cloud machine may use a few hundredths of each core for
//! ever and saves what it does not use, up to a day's worth. An event spends the savings, and once
//! they are gone everything takes twenty times as long. The provider alone shows the balance; the
//! rate of spending can be read here.

use crate::ops::doctor::cloud;
use crate::ops::doctor::report::Finding;
use crate::ops::limits::group_memory_max;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// When this was written, about: 2026-01-01T00:00:00Z, as time since 1970. No correct clock is
/// before it.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);

/// Lag behind the last write that needs no explanation.
const LAG_MAX: Duration = Duration::from_secs(60);

const MIB: u64 = 1 << 20;

/// Bytes below which an event of a few thousand phones has no room beside the operating system.
const MEMORY_MIN: u64 = 200 * MIB;

/// A machine up to this size should have swap, mainly for package updates.
const SMALL_MACHINE: u64 = 1_200 * MIB;
const SWAP_MIN: u64 = 256 * MIB;

/// Percent of each core that a machine of up to so many bytes may use for ever: Amazon's table for
/// its small sizes.
const BASELINES: &[(u64, u64)] = &[(600 << 20, 5), (1_200 << 20, 10), (2_500 << 20, 20)];

/// CPU-seconds of an event with 300 phones, rounded up from measurements; ten times the phones take
/// ten times as much.
const EVENT_CPU_S: f64 = 5.0;

/// Percent of time that the host may withhold before an event shows it.
const STEAL_MAX: f64 = 5.0;

/// State of the clock.
#[derive(Debug)]
struct Clock {
    /// Since 1970.
    now: Duration,
    /// Last write to the data folder, since 1970.
    last_write: Option<Duration>,
    /// True while a time service keeps it correct; `None` if the kernel does not say.
    is_synchronized: Option<bool>,
}

/// Checks the clock against the newest file of the data folder.
pub fn check_clock(data_dir: &Path) -> Finding {
    let since_1970 = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let files = std::fs::read_dir(data_dir).into_iter().flatten().flatten();
    let last_write = files.filter_map(|file| file.metadata().ok()?.modified().ok()).map(since_1970).max();
    grade_clock(&Clock { now: since_1970(SystemTime::now()), last_write, is_synchronized: is_synchronized() })
}

/// Asks the kernel if a time service keeps its clock correct (adjtimex(2)).
#[expect(unsafe_code, reason = "adjtimex(2) has no safe wrapper among the dependencies")]
fn is_synchronized() -> Option<bool> {
    // SAFETY: every field of a timex is an integer, for which zeros are a value; with no modes set,
    // adjtimex writes into it and changes nothing.
    let (state, status) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex.status)
    };
    (state >= 0).then_some(state != libc::TIME_ERROR && status & libc::STA_UNSYNC == 0)
}

fn grade_clock(clock: &Clock) -> Finding {
    const CHECK: &str = "clock";
    let fix = "timedatectl set-ntp true (apt-get install systemd-timesyncd), then timedatectl status";
    if clock.now < EARLIEST {
        return Finding::wrong(CHECK, "it is set before this program was written", fix);
    }
    match clock.last_write {
        Some(last) if clock.now + LAG_MAX < last => {
            let behind = (last - clock.now).as_secs();
            Finding::wrong(CHECK, format!("it is {behind} s behind the newest file of the data folder"), fix)
        }
        _ if clock.is_synchronized == Some(false) => Finding::advice(CHECK, "no time service keeps it correct", fix),
        _ => Finding::good(CHECK, "it is not behind what is written, and nothing says that it is wrong"),
    }
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug)]
struct Memory {
    total: u64,
    available: u64,
    swap: u64,
    /// The limit of the control group, if there is one.
    group_max: Option<u64>,
}

impl Memory {
    /// Parses `/proc/meminfo`, whose lines are `Name:  123 kB`.
    fn parse(table: &str, group_max: Option<u64>) -> Self {
        let bytes = |name: &str| {
            let line = table.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
        };
        Self { total: bytes("MemTotal"), available: bytes("MemAvailable"), swap: bytes("SwapTotal"), group_max }
    }

    fn read() -> Self {
        let table = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let group = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::parse(&table, group_memory_max(&group))
    }
}

/// Checks memory and swap.
pub fn check_memory() -> Vec<Finding> {
    grade_memory(&Memory::read())
}

fn grade_memory(memory: &Memory) -> Vec<Finding> {
    let total = memory.group_max.map_or(memory.total, |max| max.min(memory.total));
    let free = memory.available.min(total);
    let message = format!("{} MiB, {} of them free", total / MIB, free / MIB);
    let first = match () {
        () if total < MEMORY_MIN => Finding::wrong("memory", message, "take a machine, or a container's limit, of 512 MiB"),
        () if free < MEMORY_MIN / 2 => Finding::advice("memory", message, "see what else runs here: ps aux --sort=-rss | head"),
        () => Finding::good("memory", message),
    };
    let message = format!("{} MiB", memory.swap / MIB);
    let fix =
        "fallocate -l 1G /swapfile && chmod 600 /swapfile && mkswap /swapfile && swapon /swapfile, and a line in /etc/fstab";
    // Sized by the machine alone: a container's swap is its host's.
    let lacks_swap = memory.total <= SMALL_MACHINE && memory.swap < SWAP_MIN;
    let second = if lacks_swap { Finding::advice("swap", message, fix) } else { Finding::good("swap", message) };
    vec![first, second]
}

/// CPU time since the machine started, in seconds of all cores together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct CpuTime {
    busy_s: f64,
    /// Time that the host withheld.
    stolen_s: f64,
    all_s: f64,
}

impl CpuTime {
    /// Parses the first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq,
    /// steal, in hundredths of a second.
    fn parse(table: &str) -> Self {
        let line = table.lines().next().and_then(|line| line.strip_prefix("cpu ")).unwrap_or_default();
        let ticks: Vec<f64> = line.split_whitespace().take(8).filter_map(|ticks| ticks.parse().ok()).collect();
        let [user, nice, system, idle, iowait, irq, softirq, steal] = ticks[..] else { return Self::default() };
        let busy = user + nice + system + irq + softirq;
        Self { busy_s: busy / 100.0, stolen_s: steal / 100.0, all_s: (busy + idle + iowait + steal) / 100.0 }
    }
}

/// Checks the rate at which burst credit is earned and spent.
pub fn check_burst_credit() -> Finding {
    let cpu_time = CpuTime::parse(&std::fs::read_to_string("/proc/stat").unwrap_or_default());
    let memory = Memory::read().total;
    let baseline = BASELINES.iter().find(|(max, _)| memory <= *max).map(|(_, percent)| *percent);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    grade_burst_credit(&cpu_time, cores, baseline.filter(|_| cloud::is_amazon()))
}

/// `baseline`: percent of each core that may be used for ever; `None` on a machine without burst
/// credit.
fn grade_burst_credit(cpu_time: &CpuTime, cores: usize, baseline: Option<u64>) -> Finding {
    const CHECK: &str = "burst";
    let percent = |part: f64| 100.0 * part / cpu_time.all_s.max(1.0);
    let (used, stolen) = (percent(cpu_time.busy_s), percent(cpu_time.stolen_s));
    if stolen > STEAL_MAX {
        let fix = "look at the provider's burst graph; wait for credit before the event, or take the next size";
        return Finding::advice(CHECK, format!("the host withheld {stolen:.1} % of the time since the start"), fix);
    }
    let Some(baseline) = baseline else {
        return Finding::good(CHECK, format!("no burst credit known here; {used:.1} % of {cores} cores used since the start"));
    };
    // Seconds of one core per hour: one percent of an hour is 36 s.
    let earned_s = 36.0 * baseline as f64 * cores as f64;
    let spent_s = 36.0 * used * cores as f64;
    let message = format!(
        "earns {:.1} vCPU-minutes an hour ({cores} cores at {baseline} %), at most {:.0} saved; used {:.1} an hour since the \
         start; an event of 300 phones costs {:.1}",
        earned_s / 60.0,
        earned_s * 24.0 / 60.0,
        spent_s / 60.0,
        EVENT_CPU_S / 60.0,
    );
    if used < baseline as f64 {
        return Finding::good(CHECK, message);
    }
    let fix = "it saves nothing at this rate: see what runs (top), let it idle for some hours before the event";
    Finding::advice(CHECK, message, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::report::Grade;

    #[test]
    fn a_clock_that_is_behind_is_wrong() {
        let hour = Duration::from_secs(3_600);
        let (now, before) = (EARLIEST + 24 * hour, EARLIEST - hour);
        let grade = |now, last_write, is_synchronized| grade_clock(&Clock { now, last_write, is_synchronized }).grade;
        assert_eq!(grade(now, Some(now - hour), Some(true)), Grade::Good);
        assert_eq!(grade(now, None, None), Grade::Good, "a kernel that does not say is no finding");
        assert_eq!(grade(now, None, Some(false)), Grade::Advice);
        assert_eq!(grade(now, Some(now + hour), Some(true)), Grade::Wrong);
        assert_eq!(grade(before, None, Some(true)), Grade::Wrong);
    }

    #[test]
    fn a_small_machine_needs_swap_and_a_tiny_one_is_not_fit() {
        let grades = |total: u64, available: u64, swap: u64, group_max: Option<u64>| {
            let group_max = group_max.map(|max| max * MIB);
            let found = grade_memory(&Memory { total: total * MIB, available: available * MIB, swap: swap * MIB, group_max });
            (found[0].grade, found[1].grade)
        };
        assert_eq!(grades(460, 300, 1_024, None), (Grade::Good, Grade::Good));
        assert_eq!(grades(460, 300, 0, None), (Grade::Good, Grade::Advice));
        assert_eq!(grades(460, 50, 1_024, None), (Grade::Advice, Grade::Good));
        assert_eq!(grades(128, 100, 1_024, None), (Grade::Wrong, Grade::Good));
        assert_eq!(grades(24_000, 20_000, 0, Some(128)), (Grade::Wrong, Grade::Good), "a group's limit counts");
    }

    #[test]
    fn memory_is_read_from_the_kernel_s_table() {
        let memory = Memory::parse("MemTotal:  460000 kB\nMemAvailable: 300000 kB\nSwapTotal:  1048572 kB\n", None);
        assert_eq!((memory.total >> 10, memory.available >> 10, memory.swap >> 10), (460_000, 300_000, 1_048_572));
        assert!(check_memory().iter().all(|finding| !finding.message.starts_with("0 MiB,")));
    }

    fn cpu_time(used: f64, stolen: f64) -> CpuTime {
        CpuTime { busy_s: used * 100.0, stolen_s: stolen * 100.0, all_s: 10_000.0 }
    }

    #[test]
    fn the_smallest_box_earns_six_vcpu_minutes_per_hour() {
        let finding = grade_burst_credit(&cpu_time(1.0, 0.0), 2, Some(5));
        assert!(finding.grade == Grade::Good && finding.message.starts_with("earns 6.0 vCPU-minutes an hour"), "{finding}");
        assert!(finding.message.contains("at most 144 saved") && finding.message.contains("used 1.2 an hour"), "{finding}");
    }

    #[test]
    fn a_box_that_saves_nothing_or_is_throttled_gets_advice() {
        assert_eq!(grade_burst_credit(&cpu_time(9.0, 0.0), 2, Some(5)).grade, Grade::Advice);
        assert_eq!(grade_burst_credit(&cpu_time(1.0, 20.0), 2, Some(5)).grade, Grade::Advice);
        assert_eq!(grade_burst_credit(&cpu_time(90.0, 0.0), 2, None).grade, Grade::Good, "a machine without credit may be busy");
    }

    #[test]
    fn cpu_time_is_read_from_the_kernel_s_table() {
        let read = CpuTime::parse("cpu  100 0 100 700 50 25 25 1000 7 7\ncpu0 1 1\n");
        assert_eq!(read, CpuTime { busy_s: 2.5, stolen_s: 10.0, all_s: 20.0 });
        assert_eq!(CpuTime::parse(""), CpuTime::default());
    }
}
