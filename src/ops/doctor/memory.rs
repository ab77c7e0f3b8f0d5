//! Memory and swap: what there is for the server, in the machine or in the group it is held to.

use crate::ops::doctor::finding::Finding;

const MIB: u64 = 1 << 20;

/// Below this an evening of a few thousand phones has no room beside the operating system.
const MEMORY_MIN: u64 = 200 * MIB;

/// A machine up to this size wants swap, for what else runs on it (package updates, above all).
const SMALL: u64 = 1_200 * MIB;
const SWAP_MIN: u64 = 256 * MIB;

/// What there is, in bytes.
#[derive(Clone, Copy, Debug)]
struct Memory {
    total: u64,
    available: u64,
    swap: u64,
    /// The limit of the control group, if there is one.
    group_max: Option<u64>,
}

/// Reads the kernel's tables.
pub fn examine() -> Vec<Finding> {
    let table = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let group = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    judge(&read(&table, group_max(&group)))
}

/// Sizes as `/proc/meminfo` has them: `Name:  123 kB`.
fn read(table: &str, group_max: Option<u64>) -> Memory {
    let size = |name: &str| {
        let line = table.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
    };
    Memory { total: size("MemTotal"), available: size("MemAvailable"), swap: size("SwapTotal"), group_max }
}

/// The limit of the group of this process, which `/proc/self/cgroup` names as `0::/path`.
fn group_max(group: &str) -> Option<u64> {
    let path = group.lines().find_map(|line| line.strip_prefix("0::"))?;
    let text = std::fs::read_to_string(format!("/sys/fs/cgroup{}/memory.max", path.trim_end_matches('/'))).ok()?;
    text.trim().parse().ok()
}

fn judge(memory: &Memory) -> Vec<Finding> {
    let total = memory.group_max.map_or(memory.total, |most| most.min(memory.total));
    let free = memory.available.min(total);
    let says = format!("{} MiB, {} of them free", total / MIB, free / MIB);
    let first = match () {
        () if total < MEMORY_MIN => Finding::wrong("memory", says, "take a machine, or a container's limit, of 512 MiB"),
        () if free < MEMORY_MIN / 2 => Finding::advice("memory", says, "see what else runs here: ps aux --sort=-rss | head"),
        () => Finding::good("memory", says),
    };
    let says = format!("{} MiB", memory.swap / MIB);
    let mend =
        "fallocate -l 1G /swapfile && chmod 600 /swapfile && mkswap /swapfile && swapon /swapfile, and a line in /etc/fstab";
    // A container's swap is its host's affair.
    let is_small = memory.total <= SMALL;
    let second =
        if is_small && memory.swap < SWAP_MIN { Finding::advice("swap", says, mend) } else { Finding::good("swap", says) };
    vec![first, second]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::finding::Grade;

    fn grades(total: u64, available: u64, swap: u64, group_max: Option<u64>) -> (Grade, Grade) {
        let memory =
            Memory { total: total * MIB, available: available * MIB, swap: swap * MIB, group_max: group_max.map(|m| m * MIB) };
        let found = judge(&memory);
        (found[0].grade, found[1].grade)
    }

    #[test]
    fn a_small_machine_wants_swap_and_a_tiny_one_does_not_do() {
        assert_eq!(grades(460, 300, 1_024, None), (Grade::Good, Grade::Good));
        assert_eq!(grades(460, 300, 0, None), (Grade::Good, Grade::Advice));
        assert_eq!(grades(460, 50, 1_024, None), (Grade::Advice, Grade::Good));
        assert_eq!(grades(128, 100, 1_024, None), (Grade::Wrong, Grade::Good));
        assert_eq!(grades(24_000, 20_000, 0, Some(128)), (Grade::Wrong, Grade::Good), "a group's limit counts");
    }

    #[test]
    fn the_kernel_s_table_is_read() {
        let memory = read("MemTotal:  460000 kB\nMemAvailable: 300000 kB\nSwapTotal:  1048572 kB\n", None);
        assert_eq!((memory.total >> 10, memory.available >> 10, memory.swap >> 10), (460_000, 300_000, 1_048_572));
        assert!(examine().iter().all(|finding| !finding.says.starts_with("0 MiB,")));
    }
}
