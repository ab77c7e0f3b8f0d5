//! The address by which phones on the local network reach this machine, for the QR code.
//!
//! A server that listens on every address does not know which one phones can reach. It looks at the
//! links of the machine each time it is asked, since networks come and go while a hall is set up:
//! a private network over the air first, since phones are on it; a VPN, a self-assigned address and
//! a network of virtual machines last. The kernel names the address of each link when it is asked
//! for a route, and asking sends no packet. A machine without any network gets its loopback
//! address, and a page that shows it must warn. Nothing here opens a listening socket.

use crate::api::app::JoinBase;
use crate::base::address::Scheme;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;

/// An address on the internet, never sent to: TEST-NET-1 (RFC 5737).
const INTERNET: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// The address by which phones reach the server; from its listening addresses, their scheme, and
/// the server's domain name.
pub fn join_base(listening: &[SocketAddr], scheme: Scheme, domain: Option<&str>) -> JoinBase {
    let links = links();
    let (host, port, is_reachable) = match domain {
        Some(domain) => (domain.to_owned(), listening.first().map_or(scheme.default_port(), SocketAddr::port), true),
        None => {
            let address = reachable(listening, || best(&links).map(|link| link.ip.into()));
            (host_of(address.ip()), address.port(), !address.ip().is_loopback())
        }
    };
    let address = if port == scheme.default_port() { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") };
    JoinBase { address, is_reachable, detours: detours(&links) }
}

/// The address as a host in a URL.
fn host_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// The listening address that other machines reach best. `own_address` is asked when the server
/// listens on all.
fn reachable(listening: &[SocketAddr], own_address: impl Fn() -> Option<IpAddr>) -> SocketAddr {
    let unspecified = listening.iter().find(|address| address.ip().is_unspecified());
    if let Some(address) = unspecified {
        let ip = own_address().unwrap_or(Ipv4Addr::LOCALHOST.into());
        return SocketAddr::new(ip, address.port());
    }
    let reachable = listening.iter().find(|address| !address.ip().is_loopback());
    reachable.or(listening.first()).copied().unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 80)))
}

/// The kernel's table of IPv4 routes.
const ROUTES: &str = "/proc/net/route";
/// The kernel's folder of links.
const LINKS: &str = "/sys/class/net";
/// Prefixes of links that lead to containers and virtual machines rather than to phones.
const VIRTUAL: [&str; 6] = ["docker", "br-", "virbr", "veth", "vmnet", "vboxnet"];
/// Prefixes of links that lead into another network through a tunnel.
const TUNNELS: [&str; 7] = ["tun", "tap", "wg", "ppp", "tailscale", "zt", "ipsec"];

/// A link of this machine, and its address there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Link {
    name: String,
    ip: Ipv4Addr,
    is_wireless: bool,
    /// The machine reaches the internet over it.
    is_default: bool,
}

/// The best link: the first rank, then over the air, then the way to the internet.
fn best(links: &[Link]) -> Option<&Link> {
    links.iter().min_by_key(|link| (link.rank(), !link.is_wireless, !link.is_default))
}

/// Addresses of this machine that phones should not be sent to, since it has a better one: of a
/// VPN, of a network of virtual machines, and self-assigned ones.
fn detours(links: &[Link]) -> Vec<IpAddr> {
    if best(links).is_none_or(|best| best.rank() > DIRECT_RANK_MAX) {
        return Vec::new();
    }
    links.iter().filter(|link| link.rank() > DIRECT_RANK_MAX).map(|link| link.ip.into()).collect()
}

/// The highest rank of a network that phones are on.
const DIRECT_RANK_MAX: u8 = 1;

impl Link {
    /// The rank of the link, the lowest first.
    fn rank(&self) -> u8 {
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| self.name.starts_with(prefix));
        match self.ip.octets() {
            [127, ..] => 6,
            [169, 254, ..] => 5,
            _ if begins(&VIRTUAL) => 4,
            _ if begins(&TUNNELS) => 3,
            // Networks of carriers and of overlay VPNs (RFC 6598).
            [100, 64..=127, ..] => 2,
            _ if self.ip.is_private() => 0,
            _ => 1,
        }
    }
}

/// The links of this machine, as its routes name them; without a table of routes the one by which
/// it sends to the internet.
fn links() -> Vec<Link> {
    let routes = std::fs::read_to_string(ROUTES).unwrap_or_default();
    let default = source_towards(INTERNET);
    let link = |(name, host): (String, Ipv4Addr)| {
        let ip = source_towards((host, INTERNET.1))?;
        let is_wireless = Path::new(LINKS).join(&name).join("wireless").exists();
        Some(Link { name, ip, is_wireless, is_default: default == Some(ip) })
    };
    let mut links: Vec<_> = networks(&routes).into_iter().filter_map(link).collect();
    if let Some(ip) = default.filter(|ip| links.iter().all(|link| link.ip != *ip)) {
        links.push(Link { name: String::new(), ip, is_wireless: false, is_default: true });
    }
    links
}

/// A host in each network on the machine's own links, by the link's name. A line of the table holds
/// link, destination, gateway, …, and the mask as its eighth field, with addresses in hexadecimal
/// in the machine's byte order.
fn networks(routes: &str) -> Vec<(String, Ipv4Addr)> {
    let host = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let address = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok().map(|raw| u32::from_be_bytes(raw.to_ne_bytes()));
        let (network, gateway, mask) = (address(1)?, address(2)?, address(7)?);
        let is_network = gateway == 0 && mask != 0 && mask != u32::MAX;
        is_network.then(|| (fields[0].to_owned(), Ipv4Addr::from(network | 1)))
    };
    routes.lines().filter_map(host).collect()
}

/// The address that this machine sends from towards a destination.
fn source_towards(destination: (Ipv4Addr, u16)) -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(destination).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(ip) if !ip.is_unspecified() => Some(ip),
        _ => None,
    }
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
    fn a_private_network_over_the_air_comes_before_a_vpn_and_a_self_assigned_address() {
        let link = |text: &&str| {
            let fields: Vec<_> = text.split(' ').collect();
            let (is_wireless, is_default) = (fields[2..].contains(&"wireless"), fields[2..].contains(&"default"));
            Link { name: fields[0].into(), ip: fields[1].parse().unwrap(), is_wireless, is_default }
        };
        for (links, expected) in [
            (&["wlan0 192.168.0.7 wireless", "tun0 10.8.0.2 default"][..], "192.168.0.7"),
            (&["eth0 169.254.3.4", "wlan0 172.30.1.9 wireless default"], "172.30.1.9"),
            (&["eth0 10.0.0.5 default", "wlan0 192.168.0.7 wireless"], "192.168.0.7"),
            (&["eth0 10.0.0.5", "eth1 192.168.1.5 default"], "192.168.1.5"),
            (&["docker0 172.17.0.1", "eth0 10.0.0.5 default"], "10.0.0.5"),
            (&["tailscale0 100.101.102.103", "eth0 203.0.113.9 default"], "203.0.113.9"),
            (&["utun 100.101.102.103 default", "wlan0 192.168.0.7 wireless"], "192.168.0.7"),
            (&["eth0 169.254.3.4", "wg0 10.9.0.2 default"], "10.9.0.2"),
            (&["eth0 169.254.3.4", "docker0 172.17.0.1 default"], "172.17.0.1"),
            (&["eth0 169.254.3.4", "lo 127.0.0.1 default"], "169.254.3.4"),
        ] {
            let links: Vec<_> = links.iter().map(link).collect();
            assert_eq!(best(&links).unwrap().ip.to_string(), expected, "{links:?}");
        }
        assert_eq!(best(&[]), None);
        let detours_of = |links: &[&str]| detours(&links.iter().map(link).collect::<Vec<_>>()).len();
        assert_eq!(detours_of(&["wlan0 192.168.0.7 wireless", "tun0 10.8.0.2", "eth0 169.254.3.4", "eth1 10.0.0.5"]), 2);
        assert_eq!(detours_of(&["tailscale0 100.101.102.103", "eth0 169.254.3.4"]), 0, "there is no better way");
    }

    #[test]
    fn the_kernel_s_routes_name_the_networks_on_its_links() {
        let hex = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let line = |link: &str, network: [u8; 4], gateway: [u8; 4], mask: [u8; 4]| {
            format!("{link}\t{}\t{}\t0001\t0\t0\t0\t{}\t0\t0\t0\n", hex(network), hex(gateway), hex(mask))
        };
        let (none, wide) = ([0; 4], [255, 255, 255, 0]);
        let routes = [
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n".into(),
            line("eth0", none, [192, 168, 0, 1], none),
            line("wlan0", [192, 168, 7, 0], none, wide),
            line("eth0", [10, 0, 0, 9], none, [255; 4]),
        ];
        assert_eq!(networks(&routes.concat()), [("wlan0".to_owned(), Ipv4Addr::new(192, 168, 7, 1))]);
        assert_eq!(networks(""), []);
    }

    #[test]
    fn an_address_of_this_machine_alone_is_told_from_others() {
        let base = |address: &str| join_base(&[address.parse().unwrap()], Scheme::Http, None);
        let base_of = |address: &str| (base(address).address, base(address).is_reachable);
        assert_eq!(base_of("127.0.0.1:8000"), ("http://127.0.0.1:8000".into(), false));
        assert!(base("10.0.0.5:8000").is_reachable);
    }

    #[test]
    fn a_domain_takes_precedence_over_addresses() {
        let base = |address: &str, scheme| join_base(&[address.parse().unwrap()], scheme, Some("draw.example.kr")).address;
        assert_eq!(base("0.0.0.0:80", Scheme::Http), "http://draw.example.kr");
        assert_eq!(base("0.0.0.0:80", Scheme::Https), "https://draw.example.kr:80");
        assert_eq!(base("0.0.0.0:8000", Scheme::Http), "http://draw.example.kr:8000");
    }

    #[test]
    fn a_port_is_named_only_where_it_is_not_the_scheme_s_own() {
        let base = |address: &str, scheme| join_base(&[address.parse().unwrap()], scheme, None).address;
        assert_eq!(base("10.0.0.5:80", Scheme::Http), "http://10.0.0.5");
        assert_eq!(base("10.0.0.5:80", Scheme::Https), "https://10.0.0.5:80");
        assert_eq!(base("[fd00::5]:443", Scheme::Https), "https://[fd00::5]");
        assert_eq!(base("[fd00::5]:8000", Scheme::Http), "http://[fd00::5]:8000");
    }
}
