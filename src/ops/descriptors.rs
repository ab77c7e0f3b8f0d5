//! How many files and sockets this process may hold. The usual soft limit is 1,024, which a hall of phones exceeds; the hard
//! one is ours to take without asking anybody.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the house needs beside its connections and threads: the journal's files, listening sockets, standard streams, images
/// on their way.
const RESERVED: u64 = 40;

/// What a worker or a socket thread holds open: its readiness queue, its waker and, of a worker, its clone of the queue.
const PER_THREAD: u64 = 3;

/// Raises the limit as far as `wanted` connections need beside so many workers and socket threads, and tells how many connections
/// there may really be.
pub fn make_room(wanted: usize, workers: usize, socket_threads: usize) -> usize {
    let reserved = reserved(workers + socket_threads);
    let limit = getrlimit(Resource::Nofile);
    // None: there is no limit.
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let aim = (wanted as u64).saturating_add(reserved).min(hard);
    let soft = limit.current.unwrap_or(u64::MAX);
    let raise = || setrlimit(Resource::Nofile, Rlimit { current: Some(aim), maximum: limit.maximum });
    let granted = if aim > soft && raise().is_ok() { aim } else { soft };
    wanted.min(room_within(granted, workers + socket_threads))
}

/// How many connections a limit has room for, beside so many worker and socket `threads`.
pub fn room_within(limit: u64, threads: usize) -> usize {
    limit.saturating_sub(reserved(threads)).max(1) as usize
}

fn reserved(threads: usize) -> u64 {
    RESERVED + PER_THREAD * threads as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_up_to_the_hard_limit_and_no_further() {
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        let few = make_room(100, 1, 1);
        assert_eq!(few, 100.min(hard.saturating_sub(RESERVED + 2 * PER_THREAD) as usize));
        let all = make_room(10_000_000, 1, 1) as u64;
        let soft = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(all <= hard && soft >= all);
        assert!(make_room(10_000_000, 11, 1) as u64 <= all, "threads need descriptors too");
    }
}
