//! How phones in the hall reach this machine: the address that goes into the QR code.
//!
//! A server that listens on every address does not know which one the hall can see. The kernel does: asked for a route to the
//! outside, it names the address it would send from, and asking sends nothing. A machine without a route shows its loopback
//! address, which is true if of little use.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// A place outside, never sent to: TEST-NET-1 (RFC 5737).
const OUTSIDE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// The address phones reach the server by, without a path, given where it listens and the name it goes by.
pub fn join_base(listening: &[SocketAddr], domain: Option<&str>) -> String {
    let port = listening.first().map_or(80, SocketAddr::port);
    match domain {
        Some(domain) if port == 80 => format!("http://{domain}"),
        Some(domain) => format!("http://{domain}:{port}"),
        None => format!("http://{}", reachable(listening, outward)),
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

/// The address this machine would send from.
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(OUTSIDE).ok()?;
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
    fn a_domain_outweighs_addresses() {
        let listening = ["0.0.0.0:80".parse().unwrap()];
        assert_eq!(join_base(&listening, Some("draw.example.kr")), "http://draw.example.kr");
        let listening = ["0.0.0.0:8000".parse().unwrap()];
        assert_eq!(join_base(&listening, Some("draw.example.kr")), "http://draw.example.kr:8000");
    }
}
