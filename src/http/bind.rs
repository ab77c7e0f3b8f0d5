//! Listening sockets: from `address:port` as the operator wrote it to sockets that listen.
//!
//! Apart from accepting, so that sockets handed over by a supervisor can take the place of these.
//! Options that every connection needs are set on the listening socket, since on Linux an accepted
//! socket inherits them: no system call is spent on them while 10,000 phones arrive.

use crate::base::address::{BindAddress, Scheme};
use socket2::{Domain, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

/// The requested size of a connection's send buffer. Linux doubles it, and an answer that nobody
/// reads pins some 52 KiB. With the size that the kernel chooses it pinned 512 KiB, and 500 of them
/// the whole memory of a small box.
const SEND_BUFFER_BYTES: usize = 12 << 10;

/// Time that sent bytes may stay unacknowledged, or a full window closed, before the kernel drops
/// the connection.
const USER_TIMEOUT: Duration = Duration::from_secs(12);

/// The deepest backlog that the kernel gives: it cuts this down to `net.core.somaxconn`.
const BACKLOG: i32 = i32::MAX;

/// Protocol of a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Plain HTTP.
    Plain,
    /// HTTP under TLS.
    Tls,
    /// Plain HTTP, where every answer redirects to the TLS port.
    Redirect,
}

impl Protocol {
    /// The scheme of addresses there.
    pub fn scheme(self) -> Scheme {
        match self {
            Protocol::Tls => Scheme::Https,
            Protocol::Plain | Protocol::Redirect => Scheme::Http,
        }
    }
}

/// A listening socket and its protocol.
#[derive(Debug)]
pub struct Listener {
    /// Non-blocking.
    pub socket: TcpListener,
    /// Protocol of the socket.
    pub protocol: Protocol,
}

/// Where a listener listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// With the port that the kernel chose.
    pub address: SocketAddr,
    /// Protocol of the socket.
    pub protocol: Protocol,
}

/// Why a listening socket could not be opened.
#[expect(missing_docs, reason = "the messages say it")]
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("cannot find the address of {address}")]
    Resolve { address: BindAddress, source: io::Error },
    #[error("cannot listen on {address}{}", hint(source))]
    Listen { address: SocketAddr, source: io::Error },
    #[error("open mode trusts every client and binds loopback addresses only: {address} is not one")]
    NotLoopback { address: SocketAddr },
}

/// The way out of a failure to listen, where there is a usual one.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => ", which another program has: stop that one, or choose another port with --bind",
        io::ErrorKind::PermissionDenied => ", which only root may: choose a port from 1024 on with --bind",
        _ => "",
    }
}

impl Listener {
    /// Opens all addresses; a name opens every address it has, on one port. With `loopback_only`,
    /// nothing else is opened.
    ///
    /// # Errors
    /// When an address cannot be resolved or opened. An address of a name that this machine lacks
    /// (often `::1`) is skipped as long as another opens.
    pub fn open(addresses: &[BindAddress], protocol: Protocol, loopback_only: bool) -> Result<Vec<Self>, BindError> {
        let sockets = open_sockets(addresses, loopback_only)?;
        Ok(sockets.into_iter().map(|socket| Self { socket, protocol }).collect())
    }

    /// Its address and protocol.
    ///
    /// # Errors
    /// When the socket does not listen.
    pub fn address(&self) -> io::Result<ListenAddress> {
        Ok(ListenAddress { address: self.socket.local_addr()?, protocol: self.protocol })
    }
}

fn open_sockets(addresses: &[BindAddress], loopback_only: bool) -> Result<Vec<TcpListener>, BindError> {
    let mut resolved = Vec::with_capacity(addresses.len());
    for address in addresses {
        let found = resolve(address).map_err(|source| BindError::Resolve { address: address.clone(), source })?;
        if let Some(&address) = found.iter().find(|address| loopback_only && !address.ip().is_loopback()) {
            return Err(BindError::NotLoopback { address });
        }
        resolved.push(found);
    }
    let v4_ports: Vec<u16> = resolved.iter().flatten().filter(|address| address.is_ipv4()).map(SocketAddr::port).collect();
    let mut sockets = Vec::new();
    for addresses in resolved {
        open_all(&addresses, &v4_ports, &mut sockets)?;
    }
    Ok(sockets)
}

/// The socket addresses of a bind address, each once.
fn resolve(address: &BindAddress) -> io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in (address.host.as_str(), address.port).to_socket_addrs()? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(addresses) }
}

/// Opens the addresses of one name. Where any port will do, the first one's is taken for all.
fn open_all(addresses: &[SocketAddr], v4_ports: &[u16], sockets: &mut Vec<TcpListener>) -> Result<(), BindError> {
    let mut port = None;
    let mut absent = None;
    for &(mut address) in addresses {
        address.set_port(port.unwrap_or(address.port()));
        match listen(address, v4_ports.contains(&address.port())) {
            Ok(socket) => {
                port = Some(socket.local_addr().map_err(|source| BindError::Listen { address, source })?.port());
                sockets.push(socket);
            }
            Err(source) if is_absent(&source) => absent = Some(BindError::Listen { address, source }),
            Err(source) => return Err(BindError::Listen { address, source }),
        }
    }
    match (port, absent) {
        (None, Some(error)) => Err(error),
        (_, None) => Ok(()),
        (Some(_), Some(error)) => {
            tracing::warn!(%error, "skipped: this machine has no such address");
            Ok(())
        }
    }
}

/// Returns whether an address could not be opened because this machine lacks it.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

/// One listening socket. An IPv6 one accepts IPv4 as well (`[::]`), unless IPv4 has a socket of its
/// own on that port.
fn listen(address: SocketAddr, v4_is_apart: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(v4_is_apart)?;
    }
    socket.bind(&address.into())?;
    prepare(&socket)?;
    Ok(socket.into())
}

/// Makes a bound socket listen with the deepest backlog, and sets the options that every connection
/// inherits. A socket that listens already is set up alike.
///
/// # Errors
/// When the operating system refuses.
pub fn prepare(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5)).with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses_of(texts: &[&str]) -> Vec<BindAddress> {
        texts.iter().map(|text| BindAddress::parse(text).unwrap()).collect()
    }

    #[test]
    fn a_name_opens_all_its_addresses_on_one_port() {
        let listeners = open_sockets(&addresses_of(&["localhost:0"]), true).unwrap();
        let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        assert!(!addresses.is_empty() && addresses.iter().all(|address| address.ip().is_loopback()));
        assert!(addresses.iter().all(|address| address.port() == addresses[0].port() && address.port() != 0));
    }

    #[test]
    fn open_mode_opens_nothing_when_one_address_is_not_loopback() {
        let error = open_sockets(&addresses_of(&["127.0.0.1:0", "0.0.0.0:0"]), true).unwrap_err();
        assert!(matches!(error, BindError::NotLoopback { address } if address.ip().is_unspecified()));
    }

    #[test]
    fn a_port_in_use_is_an_error() {
        let first = open_sockets(&addresses_of(&["127.0.0.1:0"]), true).unwrap();
        let taken = first[0].local_addr().unwrap();
        let error = open_sockets(&addresses_of(&[&taken.to_string()]), true).unwrap_err();
        assert!(error.to_string().contains("another program has") && error.to_string().contains("--bind"), "{error}");
        assert!(matches!(error, BindError::Listen { address, .. } if address == taken));
    }

    #[test]
    fn an_accepted_connection_inherits_what_every_connection_needs() {
        let listener = open_sockets(&addresses_of(&["127.0.0.1:0"]), true).unwrap().remove(0);
        listener.set_nonblocking(false).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepted = Socket::from(listener.accept().unwrap().0);
        assert!(accepted.tcp_nodelay().unwrap() && accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
        assert_eq!(accepted.send_buffer_size().unwrap(), 2 * SEND_BUFFER_BYTES, "the kernel doubles it");
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), Duration::from_secs(15));
    }
}
