//! Opening the doors: from `address:port` as the operator wrote it to sockets that listen.
//!
//! Apart from accepting, so that sockets handed over by a supervisor can take the place of these. What every connection needs
//! is set here on the listening socket, since on Linux an accepted socket inherits it: no system call is then spent on it while
//! 10,000 phones arrive.

use crate::base::address::BindAddress;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

/// How long sent bytes may stay unacknowledged, or a full window shut, before the kernel gives a connection up.
const USER_TIMEOUT: Duration = Duration::from_secs(12);

/// Asks the kernel for the deepest backlog it gives: it cuts this down to `net.core.somaxconn`.
const BACKLOG: i32 = i32::MAX;

/// Why a door could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("cannot find the address of {place}")]
    Unknown { place: BindAddress, source: io::Error },
    #[error("cannot listen on {address}")]
    Refused { address: SocketAddr, source: io::Error },
    #[error("open mode trusts every client and binds loopback addresses only: {address} is not one")]
    OpenToOthers { address: SocketAddr },
}

/// Opens every address of every place; a name opens all its addresses, on one port. With `loopback_only`, nothing else is opened.
///
/// # Errors
/// When a place cannot be found or opened. An address of a name that this machine has not got (often `::1`) is passed over as
/// long as another opens.
pub fn bind(places: &[BindAddress], loopback_only: bool) -> Result<Vec<TcpListener>, BindError> {
    let mut found = Vec::with_capacity(places.len());
    for place in places {
        let addresses = resolve(place).map_err(|source| BindError::Unknown { place: place.clone(), source })?;
        if let Some(&address) = addresses.iter().find(|address| loopback_only && !address.ip().is_loopback()) {
            return Err(BindError::OpenToOthers { address });
        }
        found.push(addresses);
    }
    let v4_ports: Vec<u16> = found.iter().flatten().filter(|address| address.is_ipv4()).map(SocketAddr::port).collect();
    let mut listeners = Vec::new();
    for addresses in found {
        bind_place(&addresses, &v4_ports, &mut listeners)?;
    }
    Ok(listeners)
}

/// The addresses of a place, each once.
fn resolve(place: &BindAddress) -> io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in (place.host.as_str(), place.port).to_socket_addrs()? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(addresses) }
}

/// Opens the addresses of one place. Where any port will do, the first one's is taken for all.
fn bind_place(addresses: &[SocketAddr], v4_ports: &[u16], listeners: &mut Vec<TcpListener>) -> Result<(), BindError> {
    let mut port = None;
    let mut absent = None;
    for &(mut address) in addresses {
        address.set_port(port.unwrap_or(address.port()));
        match listen(address, v4_ports.contains(&address.port())) {
            Ok(listener) => {
                port = Some(listener.local_addr().map_err(|source| BindError::Refused { address, source })?.port());
                listeners.push(listener);
            }
            Err(source) if is_absent(&source) => absent = Some(BindError::Refused { address, source }),
            Err(source) => return Err(BindError::Refused { address, source }),
        }
    }
    match (port, absent) {
        (None, Some(error)) => Err(error),
        (_, None) => Ok(()),
        (Some(_), Some(error)) => {
            tracing::warn!(%error, "passed over: this machine has no such address");
            Ok(())
        }
    }
}

/// Whether an address could not be opened because this machine has not got it.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

/// One listening socket. An IPv6 one takes IPv4 as well (`[::]`), unless the port is opened for IPv4 by itself.
fn listen(address: SocketAddr, v4_is_apart: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(v4_is_apart)?;
    }
    socket.bind(&address.into())?;
    prepare(&socket)?;
    Ok(socket.into())
}

/// Makes a bound socket listen, or one that listens already do so as ours do: with the deepest queue, and with what every connection inherits.
///
/// # Errors
/// When the operating system refuses it.
pub fn prepare(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5)).with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(texts: &[&str]) -> Vec<BindAddress> {
        texts.iter().map(|text| BindAddress::parse(text).unwrap()).collect()
    }

    #[test]
    fn a_place_is_a_host_and_a_port() {
        for text in ["0.0.0.0:8000", "localhost:0", "[::1]:8000", "draw-1.local:80"] {
            assert_eq!(BindAddress::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "8000",
            ":8000",
            "localhost",
            "localhost:",
            "localhost:+1",
            "localhost:65536",
            "[::1]",
            "[x]:1",
            "a b:1",
            "http://a:1",
        ] {
            assert_eq!(BindAddress::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_name_opens_all_its_addresses_on_one_port() {
        let listeners = bind(&places(&["localhost:0"]), true).unwrap();
        let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        assert!(!addresses.is_empty() && addresses.iter().all(|address| address.ip().is_loopback()));
        assert!(addresses.iter().all(|address| address.port() == addresses[0].port() && address.port() != 0));
    }

    #[test]
    fn open_mode_opens_nothing_when_one_address_is_not_loopback() {
        let error = bind(&places(&["127.0.0.1:0", "0.0.0.0:0"]), true).unwrap_err();
        assert!(matches!(error, BindError::OpenToOthers { address } if address.ip().is_unspecified()));
    }

    #[test]
    fn a_port_in_use_is_said() {
        let first = bind(&places(&["127.0.0.1:0"]), true).unwrap();
        let taken = first[0].local_addr().unwrap();
        let error = bind(&places(&[&taken.to_string()]), true).unwrap_err();
        assert!(matches!(error, BindError::Refused { address, .. } if address == taken));
    }

    #[test]
    fn an_accepted_connection_inherits_what_every_connection_needs() {
        let listener = bind(&places(&["127.0.0.1:0"]), true).unwrap().remove(0);
        listener.set_nonblocking(false).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepted = Socket::from(listener.accept().unwrap().0);
        assert!(accepted.tcp_nodelay().unwrap() && accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), Duration::from_secs(15));
    }
}
