//! Resources of the process, as the kernel counts them: memory, CPU time, threads, open files.
//!
//! The small box earns a tenth of a core and saves what it does not use; above that it spends. CPU
//! time beyond the baseline is added up as burst credit, from one reading to the next: a peak
//! shorter than the time between two readings is smoothed.

use std::fs;
use std::sync::Mutex;
use std::time::Instant;

/// Cores that the box earns: 5 % of each of its two.
pub const BASELINE_CORES: f64 = 0.1;

/// Resources that the process uses. A figure that the kernel does not give is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Resident memory now.
    pub resident_bytes: u64,
    /// The highest resident memory so far.
    pub resident_peak_bytes: u64,
    /// CPU time, user and system.
    pub cpu_s: f64,
    /// Threads of the process.
    pub threads: u64,
    /// Open files and sockets.
    pub open_files: u64,
    /// Soft limit on them.
    pub open_files_max: u64,
}

/// Burst credit spent since the first reading.
#[derive(Debug, Default)]
pub struct BurstCredit {
    // Guards three numbers for straight-line code.
    last: Mutex<Option<(Instant, f64, f64)>>,
}

impl BurstCredit {
    /// vCPU-seconds spent beyond the baseline, up to this reading.
    pub fn spent_s(&self, now: Instant, cpu_s: f64) -> f64 {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let spent = last.map_or(0.0, |(at, cpu_before, spent)| {
            let earned = (now - at).as_secs_f64() * BASELINE_CORES;
            spent + (cpu_s - cpu_before - earned).max(0.0)
        });
        *last = Some((now, cpu_s, spent));
        spent
    }
}

/// Resources that this process uses now.
pub fn usage() -> Usage {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let ticks_per_s = rustix::param::clock_ticks_per_second();
    let open_files = fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    parse(&read("/proc/self/status"), &read("/proc/self/stat"), &read("/proc/self/limits"), ticks_per_s, open_files)
}

/// Reads the files of `/proc/self`.
fn parse(status: &str, stat: &str, limits: &str, ticks_per_s: u64, open_files: u64) -> Usage {
    let line =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok());
    // After the last parenthesis, since the name before it may hold anything. Field 3 is state, 14
    // and 15 are utime and stime.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks: u64 = fields.iter().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    let files_max = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok());
    Usage {
        resident_bytes: line("VmRSS:").unwrap_or(0) * 1024,
        resident_peak_bytes: line("VmHWM:").unwrap_or(0) * 1024,
        cpu_s: ticks as f64 / ticks_per_s.max(1) as f64,
        threads: line("Threads:").unwrap_or(0),
        open_files,
        open_files_max: files_max.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn figures_are_found_behind_a_name_that_means_trouble() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        let cost =
            parse("VmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\nThreads:\t6\n", stat, "Max open files  1024  4096  files\n", 100, 9);
        assert_eq!((cost.resident_bytes, cost.resident_peak_bytes, cost.threads), (1 << 20, 2 << 20, 6));
        assert_eq!((cost.cpu_s, cost.open_files, cost.open_files_max), (2.0, 9, 1024));
    }

    #[test]
    fn this_very_process_costs_something() {
        let cost = usage();
        assert!(cost.resident_bytes > 0 && cost.threads > 0 && cost.open_files > 0 && cost.open_files_max > 0, "{cost:?}");
    }

    #[test]
    fn only_what_is_above_the_baseline_is_spent() {
        let (credit, start) = (BurstCredit::default(), Instant::now());
        assert_eq!(credit.spent_s(start, 5.0), 0.0, "what came before the first look is not known");
        let minute = start + Duration::from_secs(60);
        assert_eq!(credit.spent_s(minute, 10.0), 0.0, "5 s in a minute are under the baseline's 6");
        let spent = credit.spent_s(minute + Duration::from_secs(10), 13.0);
        assert!((spent - 2.0).abs() < 1e-9, "{spent}: 3 s in ten seconds are 2 above it");
    }
}
