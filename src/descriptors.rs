//! How many files and sockets this process may hold. The usual soft limit is 1,024, which a hall of phones exceeds; the hard
//! one is ours to take without asking anybody.

use std::io;

/// What the house needs beside its connections: the journal, readiness queues, listening sockets, standard streams, images on
/// their way.
const RESERVED: u64 = 128;

/// Raises the limit as far as `connections_max` needs, and tells how many connections there may really be.
///
/// # Errors
/// When the limit cannot be read.
pub fn make_room(connections_max: usize) -> io::Result<usize> {
    let (soft, hard) = limit()?;
    let wanted = (connections_max as u64 + RESERVED).min(hard);
    let granted = if wanted > soft && set_limit(wanted, hard).is_ok() { wanted } else { soft };
    Ok(connections_max.min(granted.saturating_sub(RESERVED).max(1) as usize))
}

/// The soft and the hard limit.
fn limit() -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes one rlimit to where the pointer says, which is one.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } {
        0 => Ok((limit.rlim_cur, limit.rlim_max)),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set_limit(soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the call reads one rlimit from where the pointer says, which is one.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_up_to_the_hard_limit_and_no_further() {
        let (_, hard) = limit().unwrap();
        let few = make_room(100).unwrap();
        assert_eq!(few, 100.min(hard.saturating_sub(RESERVED) as usize));
        let all = make_room(usize::MAX / 2).unwrap() as u64;
        assert!(all <= hard && limit().unwrap().0 >= all);
    }
}
