//! The burst credit of a small cloud machine: what it earns, what it has spent, and whether it is held back now.
//!
//! Such a machine may use a few hundredths of each core for ever and saves what it does not use, up to a day's worth; an evening spends the savings, and
//! once they are gone everything takes twenty times as long. The balance itself is shown by the provider alone; what can be read here is the pace.

use crate::ops::doctor::cloud;
use crate::ops::doctor::finding::Finding;

const CHECK: &str = "burst";

/// What a machine of up to so much memory may use of each core for ever, in percent: Amazon's table for its small sizes. Larger ones are left out.
const BASELINES: &[(u64, u64)] = &[(600 << 20, 5), (1_200 << 20, 10), (2_500 << 20, 20)];

/// The CPU-seconds of the plan's evening with 300 phones, rounded up from measurements; ten times that is ten times the phones.
const EVENING_CPU_S: f64 = 5.0;

/// The share of time that the host may keep from us, in percent, before an evening shows it.
const STEAL_MAX: f64 = 5.0;

/// What the kernel counted since the machine was started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Spent {
    /// Seconds of all cores together.
    busy_s: f64,
    stolen_s: f64,
    all_s: f64,
}

/// Reads the kernel's counts.
pub fn examine() -> Finding {
    let spent = read(&std::fs::read_to_string("/proc/stat").unwrap_or_default());
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0);
    let baseline = BASELINES.iter().find(|(most, _)| kib << 10 <= *most).map(|(_, percent)| *percent);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    judge(&spent, cores, baseline.filter(|_| cloud::is_amazon()))
}

/// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal, in hundredths of seconds.
fn read(table: &str) -> Spent {
    let line = table.lines().next().and_then(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().take(8).filter_map(|ticks| ticks.parse().ok()).collect();
    let [user, nice, system, idle, iowait, irq, softirq, steal] = ticks[..] else { return Spent::default() };
    let busy = user + nice + system + irq + softirq;
    Spent { busy_s: busy / 100.0, stolen_s: steal / 100.0, all_s: (busy + idle + iowait + steal) / 100.0 }
}

/// `baseline`: what may be used of each core for ever, in percent; none on a machine that has no such thing.
fn judge(spent: &Spent, cores: usize, baseline: Option<u64>) -> Finding {
    let share = |part: f64| 100.0 * part / spent.all_s.max(1.0);
    let (used, stolen) = (share(spent.busy_s), share(spent.stolen_s));
    if stolen > STEAL_MAX {
        let mend = "look at the provider's burst graph; wait for credit before the evening, or take the next size";
        return Finding::advice(
            CHECK,
            format!("the host kept {stolen:.1} % of the time from this machine since its start"),
            mend,
        );
    }
    let Some(baseline) = baseline else {
        return Finding::good(CHECK, format!("no burst credit known here; {used:.1} % of {cores} cores used since the start"));
    };
    let earned_s = 36.0 * baseline as f64 * cores as f64;
    let spent_s = 36.0 * used * cores as f64;
    let says = format!(
        "earns {:.1} vCPU-minutes an hour ({cores} cores at {baseline} %), at most {:.0} saved; used {:.1} an hour since the start; an evening of 300 phones costs {:.1}",
        earned_s / 60.0,
        earned_s * 24.0 / 60.0,
        spent_s / 60.0,
        EVENING_CPU_S / 60.0,
    );
    if used < baseline as f64 {
        return Finding::good(CHECK, says);
    }
    Finding::advice(
        CHECK,
        says,
        "it saves nothing at this pace: see what runs (top), let it idle for some hours before the evening",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::finding::Grade;

    fn spent(used: f64, stolen: f64) -> Spent {
        Spent { busy_s: used * 100.0, stolen_s: stolen * 100.0, all_s: 10_000.0 }
    }

    #[test]
    fn the_smallest_box_earns_six_vcpu_minutes_an_hour() {
        let finding = judge(&spent(1.0, 0.0), 2, Some(5));
        assert!(finding.grade == Grade::Good && finding.says.starts_with("earns 6.0 vCPU-minutes an hour"), "{finding}");
        assert!(finding.says.contains("at most 144 saved") && finding.says.contains("used 1.2 an hour"), "{finding}");
    }

    #[test]
    fn a_box_that_saves_nothing_or_is_held_back_is_said() {
        assert_eq!(judge(&spent(9.0, 0.0), 2, Some(5)).grade, Grade::Advice);
        assert_eq!(judge(&spent(1.0, 20.0), 2, Some(5)).grade, Grade::Advice);
        assert_eq!(judge(&spent(90.0, 0.0), 2, None).grade, Grade::Good, "a machine without credit may be busy");
    }

    #[test]
    fn the_kernel_s_counts_are_read() {
        let read = read("cpu  100 0 100 700 50 25 25 1000 7 7\ncpu0 1 1\n");
        assert_eq!(read, Spent { busy_s: 2.5, stolen_s: 10.0, all_s: 20.0 });
        assert_eq!(super::read(""), Spent::default());
    }
}
