//! How many files and sockets this process may hold. The usual soft limit is 1,024, which a hall of phones exceeds; the hard
//! one is ours to take without asking anybody.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the house needs beside its connections and threads: the journal's files, listening sockets, standard streams, images
/// on their way.
const RESERVED: u64 = 40;

/// What a worker or a stage holds open: its readiness queue, its waker and, of a worker, its clone of the queue.
const PER_THREAD: u64 = 3;

/// Raises the limit as far as `wanted` connections need beside so many workers and stages, and tells how many connections
/// there may really be.
pub fn make_room(wanted: usize, workers: usize, stages: usize) -> usize {
    let reserved = reserved(workers + stages);
    let limit = getrlimit(Resource::Nofile);
    // None: there is no limit.
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let aim = (wanted as u64).saturating_add(reserved).min(hard);
    let soft = limit.current.unwrap_or(u64::MAX);
    let raise = || setrlimit(Resource::Nofile, Rlimit { current: Some(aim), maximum: limit.maximum });
    let granted = if aim > soft && raise().is_ok() { aim } else { soft };
    // Where each stage has a table of its own, the limit holds for each alone. Every connection may become a socket of theirs.
    let tables = if cfg!(feature = "file-tables") { stages } else { 1 };
    wanted.min(room_within(granted, workers + stages).saturating_mul(tables))
}

/// How many connections may be with the workers when `left` are left of all: those too, where sockets leave for their stage's
/// own table, must fit into the process's.
pub fn seats(left: usize, threads: usize) -> usize {
    if cfg!(feature = "file-tables") {
        left.min(room_within(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), threads))
    } else {
        left
    }
}

/// How many connections a limit has room for, beside so many worker and stage `threads`.
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

    #[cfg(feature = "file-tables")]
    #[test]
    fn each_stage_has_room_of_its_own_and_the_workers_that_of_one_table() {
        let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        let one = room_within(limit, 4);
        assert_eq!(make_room(usize::MAX, 1, 3), one.saturating_mul(3));
        assert_eq!((seats(usize::MAX, 4), seats(5, 4)), (one, 5));
    }
}
