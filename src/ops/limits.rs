//! The limit on open files, which bounds connections. The usual soft limit is 1,024, and a hall of
//! phones exceeds it; a process may raise it to the hard limit without asking anybody.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors beside those of connections and threads: the journal's files, listening sockets,
/// standard streams, images.
const RESERVED: u64 = 40;

/// Descriptors per worker or socket thread: its readiness queue, its waker and, for a worker, its
/// clone of the queue.
const PER_THREAD: u64 = 3;

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
    fn a_limit_too_low_for_the_server_itself_still_leaves_one_connection() {
        assert_eq!(connections_within(0, 8), 1);
        assert_eq!(connections_within(RESERVED + PER_THREAD + 7, 1), 7);
    }
}
