//! Number of sockets that this machine allows the tester: descriptors and ports.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors beside those of the phones.
const SPARE_DESCRIPTORS: u64 = 80;

/// Ports left to other programs of this machine, and to the calls beside the sockets.
const SPARE_PORTS: u64 = 256;

/// Maximum number of users, and the resource that limits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketLimit {
    pub users: u64,
    pub by: &'static str,
}

/// The limit of this machine, for connections from this many addresses.
pub fn socket_limit(addresses: u64) -> SocketLimit {
    let descriptors = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX).saturating_sub(SPARE_DESCRIPTORS);
    let ports = ports_per_address().saturating_sub(SPARE_PORTS).saturating_mul(addresses);
    if ports < descriptors {
        SocketLimit { users: ports, by: "the ports of the addresses that it comes from; --source-ips gives it more" }
    } else {
        SocketLimit { users: descriptors, by: "the descriptors that RLIMIT_NOFILE allows it" }
    }
}

/// Raises the soft limit on descriptors as far as this many users need.
///
/// # Errors
/// When a resource is too small.
pub fn reserve_sockets(users: u64, addresses: u64) -> Result<(), String> {
    let limit = socket_limit(addresses);
    if users > limit.users {
        return Err(format!("{users} users are too many for {}: {} fit", limit.by, limit.users));
    }
    let (needed, descriptors) = (users + SPARE_DESCRIPTORS, getrlimit(Resource::Nofile));
    if descriptors.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(needed), ..descriptors });
    raised.map_err(|error| format!("{needed} descriptors are needed, RLIMIT_NOFILE allows fewer: {error}"))
}

/// Ports of one address towards one server; a range that cannot be read does not limit.
fn ports_per_address() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = text.split_whitespace().map_while(|end| end.parse::<u64>().ok());
    let (Some(first), Some(last)) = (ends.next(), ends.next()) else { return u64::from(u16::MAX) };
    (last + 1).saturating_sub(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_users_fit_and_a_city_does_not() {
        assert_eq!(reserve_sockets(10, 1), Ok(()));
        assert!(reserve_sockets(u64::MAX - SPARE_DESCRIPTORS, 1).is_err_and(|why| why.contains("fit")));
        let one = socket_limit(1);
        assert!(socket_limit(2).users >= one.users && one.users > 0);
    }
}
