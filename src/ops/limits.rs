//! The limits that bound connections: open files, and memory. The usual soft limit on open files is
//! 1,024, and the phones of an event exceed it; a process may raise it to the hard limit without
//! privileges.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors beside those of connections and threads: the journal's files, listening sockets,
/// standard streams, images.
const RESERVED: u64 = 40;

/// Descriptors per worker or socket thread: its readiness queue, its waker and, for a worker, its
/// clone of the queue.
const PER_THREAD: u64 = 3;

/// Bytes of memory that a connection may pin at worst: what its kernel holds for a peer that reads
/// nothing, and its own state.
const BYTES_PER_CONNECTION: u64 = 56 << 10;

/// Bytes of memory beside connections: the program, its events and every budget.
const RESERVED_MEMORY: u64 = 160 << 20;

/// Connections, at least, whatever the memory.
const CONNECTIONS_MIN: u64 = 256;

/// Connections for which the memory of this process has room, were all of them hostile. The limit
/// on open files alone let 3 GB of unread answers into a group of 400 MB.
pub fn connections_in_memory() -> usize {
    connections_in(memory_limit().unwrap_or(u64::MAX))
}

fn connections_in(memory: u64) -> usize {
    let connections = memory.saturating_sub(RESERVED_MEMORY) / BYTES_PER_CONNECTION;
    usize::try_from(connections.max(CONNECTIONS_MIN)).unwrap_or(usize::MAX)
}

/// Bytes of memory that this process may use: the limit of its control group, or the machine's
/// memory where that is less or there is none.
fn memory_limit() -> Option<u64> {
    let table = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = table.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    let group = group_memory_max(&std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default());
    total.map(|kib| kib << 10).into_iter().chain(group).min()
}

/// The memory limit of this process's control group, which `/proc/self/cgroup` names.
pub fn group_memory_max(group: &str) -> Option<u64> {
    let limits = group.lines().filter_map(memory_file).filter_map(|file| std::fs::read_to_string(file).ok());
    limits.filter_map(|text| text.trim().parse().ok()).min()
}

/// The file with the memory limit of a control group, of version 2 (`0::/path`) or 1
/// (`9:memory:/path`).
fn memory_file(line: &str) -> Option<String> {
    let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
    let path = path.trim_end_matches('/');
    match controllers {
        "" => Some(format!("/sys/fs/cgroup{path}/memory.max")),
        _ if controllers.split(',').any(|name| name == "memory") => {
            Some(format!("/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"))
        }
        _ => None,
    }
}

/// Raises the soft limit as far as `connections` need it beside so many worker and socket
/// `threads`, and returns how many connections there may be: at most `connections`, at least one.
pub fn raise_open_files(connections: usize, threads: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    // `None`: there is no limit.
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let soft = limit.current.unwrap_or(u64::MAX);
    let wanted = (connections as u64).saturating_add(reserved(threads)).min(hard);
    let raise = || setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    let granted = if wanted > soft && raise().is_ok() { wanted } else { soft };
    connections.min(connections_within(granted, threads))
}

/// Connections for which a limit on open files has room, beside so many worker and socket
/// `threads`; at least one.
pub fn connections_within(limit: u64, threads: usize) -> usize {
    limit.saturating_sub(reserved(threads)).max(1) as usize
}

fn reserved(threads: usize) -> u64 {
    RESERVED + PER_THREAD * threads as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_the_hard_one_and_no_further() {
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        let few = raise_open_files(100, 2);
        assert_eq!(few, 100.min(hard.saturating_sub(RESERVED + 2 * PER_THREAD) as usize));
        let all = raise_open_files(10_000_000, 2) as u64;
        let soft = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(all <= hard && soft >= all);
        assert!(raise_open_files(10_000_000, 12) as u64 <= all, "threads need descriptors too");
    }

    #[test]
    fn memory_bounds_connections() {
        assert_eq!(connections_in(400 << 20), 4_388, "the unit's limit on the smallest box");
        assert_eq!((connections_in(0), connections_in(160 << 20)), (256, 256));
        assert!(connections_in(u64::MAX) > 1_000_000);
        assert!(memory_limit().is_some_and(|bytes| bytes > 16 << 20), "this machine has memory");
    }

    #[test]
    fn both_versions_of_control_groups_name_a_limit() {
        let file = |line| memory_file(line).unwrap_or_default();
        assert_eq!(file("0::/system.slice/luckydraw.service"), "/sys/fs/cgroup/system.slice/luckydraw.service/memory.max");
        assert_eq!(file("0::/"), "/sys/fs/cgroup/memory.max");
        assert_eq!(file("9:memory:/docker/1"), "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes");
        assert_eq!(file("4:cpuset,memory:/"), "/sys/fs/cgroup/memory/memory.limit_in_bytes");
        assert_eq!((file("2:cpu,cpuacct:/"), file("1:name=systemd:/"), file("")), Default::default());
    }

    #[test]
    fn a_limit_too_low_for_the_server_itself_still_leaves_one_connection() {
        assert_eq!(connections_within(0, 8), 1);
        assert_eq!(connections_within(RESERVED + PER_THREAD + 7, 1), 7);
    }
}
