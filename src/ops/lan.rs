//! How phones in the hall reach this machine: the address that goes into the QR code.
//!
//! A server that listens on every address does not know which one the hall can see. The kernel does: asked for a route to the
//! outside, it names the address it would send from, and asking sends nothing. A hall whose network leads nowhere has no such
//! route: there the kernel is asked about the networks on its links. A machine without any shows its loopback address, which is
//! true if of little use.

use crate::base::address::Scheme;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// A place outside, never sent to: TEST-NET-1 (RFC 5737).
const OUTSIDE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// The address phones reach the server by, without a path, given where it listens, what it speaks there, and the name it goes by.
pub fn join_base(listening: &[SocketAddr], scheme: Scheme, domain: Option<&str>) -> String {
    let port = listening.first().map_or(scheme.default_port(), SocketAddr::port);
    match domain {
        Some(domain) if port == scheme.default_port() => format!("{scheme}://{domain}"),
        Some(domain) => format!("{scheme}://{domain}:{port}"),
        None => format!("{scheme}://{}", reachable(listening, outward)),
    }
}

/// The address among those listened on that others can reach best; `outward` is asked when the server listens on all.
fn reachable(listening: &[SocketAddr], outward: impl Fn() -> Option<IpAddr>) -> SocketAddr {
    let everywhere = listening.iter().find(|address| address.ip().is_unspecified());
    if let Some(address) = everywhere {
        let ip = outward().unwrap_or(Ipv4Addr::LOCALHOST.into());
        return SocketAddr::new(ip, address.port());
    }
    let beyond = listening.iter().find(|address| !address.ip().is_loopback());
    beyond.or(listening.first()).copied().unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 80)))
}

/// The kernel's routes, on Linux.
const ROUTES: &str = "/proc/net/route";

/// Networks that lead to containers and virtual machines rather than to phones, by how their links are called.
const INWARD: [&str; 4] = ["docker", "br-", "virbr", "veth"];

/// The address this machine would send from.
fn outward() -> Option<IpAddr> {
    let beside = || on_links(&std::fs::read_to_string(ROUTES).unwrap_or_default()).into_iter().find_map(source_towards);
    source_towards(OUTSIDE).or_else(beside)
}

/// A place in each network on the machine's own links, as its table of routes lists them: link, destination, gateway, …, the
/// mask as the eighth, addresses as hexadecimal in the machine's byte order.
fn on_links(routes: &str) -> Vec<(Ipv4Addr, u16)> {
    let place = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let address = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok().map(|raw| u32::from_be_bytes(raw.to_ne_bytes()));
        let (network, gateway, mask) = (address(1)?, address(2)?, address(7)?);
        let is_inward = INWARD.iter().any(|name| fields[0].starts_with(name));
        let is_network = gateway == 0 && mask != 0 && mask != u32::MAX;
        (is_network && !is_inward).then(|| (Ipv4Addr::from(network | 1), OUTSIDE.1))
    };
    routes.lines().filter_map(place).collect()
}

/// The address this machine would send from to get there.
fn source_towards(place: (Ipv4Addr, u16)) -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(place).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listening: &[&str], outward: Option<[u8; 4]>, expected: &str) {
        let listening: Vec<SocketAddr> = listening.iter().map(|text| text.parse().unwrap()).collect();
        let address = reachable(&listening, || outward.map(IpAddr::from));
        assert_eq!(address.to_string(), expected, "{listening:?}");
    }

    #[test]
    fn phones_are_sent_to_the_address_they_can_reach() {
        let lan = Some([192, 168, 0, 7]);
        check(&["0.0.0.0:8000"], lan, "192.168.0.7:8000");
        check(&["[::]:8000"], lan, "192.168.0.7:8000");
        check(&["127.0.0.1:8000", "10.0.0.5:8001"], lan, "10.0.0.5:8001");
        check(&["127.0.0.1:8000", "[::1]:8000"], lan, "127.0.0.1:8000");
        check(&["0.0.0.0:8000"], None, "127.0.0.1:8000");
    }

    #[test]
    fn a_network_that_leads_nowhere_is_still_the_hall_s() {
        let hex = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let line = |link: &str, network: [u8; 4], gateway: [u8; 4], mask: [u8; 4]| {
            format!("{link}\t{}\t{}\t0001\t0\t0\t0\t{}\t0\t0\t0\n", hex(network), hex(gateway), hex(mask))
        };
        let (none, wide) = ([0; 4], [255, 255, 255, 0]);
        let routes = [
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n".into(),
            line("eth0", none, [192, 168, 0, 1], none),
            line("docker0", [172, 17, 0, 0], none, [255, 255, 0, 0]),
            line("wlan0", [192, 168, 7, 0], none, wide),
            line("eth0", [10, 0, 0, 9], none, [255; 4]),
        ];
        assert_eq!(on_links(&routes.concat()), [(Ipv4Addr::new(192, 168, 7, 1), OUTSIDE.1)]);
        assert_eq!(on_links(""), []);
    }

    #[test]
    fn a_domain_outweighs_addresses() {
        let listening = ["0.0.0.0:80".parse().unwrap()];
        assert_eq!(join_base(&listening, Scheme::Http, Some("draw.example.kr")), "http://draw.example.kr");
        assert_eq!(join_base(&listening, Scheme::Https, Some("draw.example.kr")), "https://draw.example.kr:80");
        let listening = ["0.0.0.0:8000".parse().unwrap()];
        assert_eq!(join_base(&listening, Scheme::Http, Some("draw.example.kr")), "http://draw.example.kr:8000");
    }
}
