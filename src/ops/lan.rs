//! The address by which phones on the local network reach this machine, for the QR code.
//!
//! A server that listens on every address does not know which one phones can reach. The kernel
//! does: asked for a route to the internet, it names the address that it would send from, and
//! asking sends no packet. A network without internet has no such route; there the kernel is asked
//! about the networks on its links. A machine without any gets its loopback address, which is true
//! if of little use. Nothing here opens a listening socket.

use crate::base::address::Scheme;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// An address on the internet, never sent to: TEST-NET-1 (RFC 5737).
const INTERNET: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// The address by which phones reach the server, without a path; from its listening addresses,
/// their scheme, and the server's domain name.
pub fn join_base(listening: &[SocketAddr], scheme: Scheme, domain: Option<&str>) -> String {
    let (host, port) = match domain {
        Some(domain) => (domain.to_owned(), listening.first().map_or(scheme.default_port(), SocketAddr::port)),
        None => {
            let address = reachable(listening, source_address);
            (host_of(address.ip()), address.port())
        }
    };
    if port == scheme.default_port() { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") }
}

/// The address as a host in a URL.
fn host_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// The listening address that other machines reach best. `source_address` is asked when the server
/// listens on all.
fn reachable(listening: &[SocketAddr], source_address: impl Fn() -> Option<IpAddr>) -> SocketAddr {
    let unspecified = listening.iter().find(|address| address.ip().is_unspecified());
    if let Some(address) = unspecified {
        let ip = source_address().unwrap_or(Ipv4Addr::LOCALHOST.into());
        return SocketAddr::new(ip, address.port());
    }
    let reachable = listening.iter().find(|address| !address.ip().is_loopback());
    reachable.or(listening.first()).copied().unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 80)))
}

/// The kernel's table of IPv4 routes.
const ROUTES: &str = "/proc/net/route";

/// Prefixes of links that lead to containers and virtual machines rather than to phones.
const VIRTUAL: [&str; 4] = ["docker", "br-", "virbr", "veth"];

/// The address that this machine sends from.
fn source_address() -> Option<IpAddr> {
    let on_links = || hosts_on_links(&std::fs::read_to_string(ROUTES).unwrap_or_default()).into_iter().find_map(source_towards);
    source_towards(INTERNET).or_else(on_links)
}

/// A host in each network on the machine's own links. A line of the table holds link, destination,
/// gateway, …, and the mask as its eighth field, with addresses in hexadecimal in the machine's
/// byte order.
fn hosts_on_links(routes: &str) -> Vec<(Ipv4Addr, u16)> {
    let host = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let address = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok().map(|raw| u32::from_be_bytes(raw.to_ne_bytes()));
        let (network, gateway, mask) = (address(1)?, address(2)?, address(7)?);
        let is_virtual = VIRTUAL.iter().any(|name| fields[0].starts_with(name));
        let is_network = gateway == 0 && mask != 0 && mask != u32::MAX;
        (is_network && !is_virtual).then(|| (Ipv4Addr::from(network | 1), INTERNET.1))
    };
    routes.lines().filter_map(host).collect()
}

/// The address that this machine sends from towards a destination.
fn source_towards(destination: (Ipv4Addr, u16)) -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(destination).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listening: &[&str], source: Option<[u8; 4]>, expected: &str) {
        let listening: Vec<SocketAddr> = listening.iter().map(|text| text.parse().unwrap()).collect();
        let address = reachable(&listening, || source.map(IpAddr::from));
        assert_eq!(address.to_string(), expected, "{listening:?}");
    }

    #[test]
    fn phones_get_the_address_that_they_can_reach() {
        let lan = Some([192, 168, 0, 7]);
        check(&["0.0.0.0:8000"], lan, "192.168.0.7:8000");
        check(&["[::]:8000"], lan, "192.168.0.7:8000");
        check(&["127.0.0.1:8000", "10.0.0.5:8001"], lan, "10.0.0.5:8001");
        check(&["127.0.0.1:8000", "[::1]:8000"], lan, "127.0.0.1:8000");
        check(&["0.0.0.0:8000"], None, "127.0.0.1:8000");
    }

    #[test]
    fn a_network_without_internet_still_has_an_address() {
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
        assert_eq!(hosts_on_links(&routes.concat()), [(Ipv4Addr::new(192, 168, 7, 1), INTERNET.1)]);
        assert_eq!(hosts_on_links(""), []);
    }

    #[test]
    fn a_domain_takes_precedence_over_addresses() {
        let listening = ["0.0.0.0:80".parse().unwrap()];
        assert_eq!(join_base(&listening, Scheme::Http, Some("draw.example.kr")), "http://draw.example.kr");
        assert_eq!(join_base(&listening, Scheme::Https, Some("draw.example.kr")), "https://draw.example.kr:80");
        let listening = ["0.0.0.0:8000".parse().unwrap()];
        assert_eq!(join_base(&listening, Scheme::Http, Some("draw.example.kr")), "http://draw.example.kr:8000");
    }

    #[test]
    fn a_port_is_named_only_where_it_is_not_the_scheme_s_own() {
        let base = |address: &str, scheme| join_base(&[address.parse().unwrap()], scheme, None);
        assert_eq!(base("10.0.0.5:80", Scheme::Http), "http://10.0.0.5");
        assert_eq!(base("10.0.0.5:80", Scheme::Https), "https://10.0.0.5:80");
        assert_eq!(base("[fd00::5]:443", Scheme::Https), "https://[fd00::5]");
        assert_eq!(base("[fd00::5]:8000", Scheme::Http), "http://[fd00::5]:8000");
    }
}
