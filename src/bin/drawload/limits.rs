//! How many sockets this machine lets the tester have: descriptors and ports.

/// Descriptors beside those of the phones.
const SPARE_DESCRIPTORS: u64 = 80;

/// Ports left to everybody else on this machine, and to the calls beside the sockets.
const SPARE_PORTS: u64 = 256;

/// So many users, and what does not allow one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub users: u64,
    pub by: &'static str,
}

/// The most users that this machine has room for, from so many addresses.
pub fn room(addresses: u64) -> Room {
    let descriptors = descriptors().map_or(u64::MAX, |limit| limit.rlim_max).saturating_sub(SPARE_DESCRIPTORS);
    let ports = ports_of_an_address().saturating_sub(SPARE_PORTS).saturating_mul(addresses);
    if ports < descriptors {
        Room { users: ports, by: "the ports of the addresses that it comes from; --source-ips gives it more" }
    } else {
        Room { users: descriptors, by: "the descriptors that RLIMIT_NOFILE allows it" }
    }
}

/// Makes room for so many users.
///
/// # Errors
/// What there is too little of.
pub fn make_room(users: u64, addresses: u64) -> Result<(), String> {
    let room = room(addresses);
    if users > room.users {
        return Err(format!("{users} users are too many for {}: {} fit", room.by, room.users));
    }
    raise_descriptors(users + SPARE_DESCRIPTORS)
}

/// Towards one server; what cannot be read does not limit.
fn ports_of_an_address() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = text.split_whitespace().map_while(|end| end.parse::<u64>().ok());
    let (Some(first), Some(last)) = (ends.next(), ends.next()) else { return u64::from(u16::MAX) };
    (last + 1).saturating_sub(first)
}

fn descriptors() -> Option<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit writes one rlimit, which lives until it returns.
    (unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0).then_some(limit)
}

/// Lifts the soft limit on descriptors as far as is needed.
fn raise_descriptors(needed: u64) -> Result<(), String> {
    let mut limit = descriptors().ok_or("RLIMIT_NOFILE cannot be read")?;
    if limit.rlim_cur >= needed {
        return Ok(());
    }
    limit.rlim_cur = needed;
    // SAFETY: setrlimit reads one rlimit, which lives until it returns.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    if result == 0 { Ok(()) } else { Err(format!("{needed} descriptors are needed, RLIMIT_NOFILE allows {}", limit.rlim_max)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_a_hall_and_not_for_a_city() {
        assert_eq!(make_room(10, 1), Ok(()));
        assert!(make_room(u64::MAX - SPARE_DESCRIPTORS, 1).is_err_and(|why| why.contains("fit")));
        let few = room(1);
        assert!(room(2).users >= few.users && few.users > 0);
    }
}
