//! Listening sockets that the supervisor holds and hands over (`LISTEN_FDS`, sd_listen_fds(3)).
//!
//! They take the place of those that `LUCKYDRAW_BIND` would open. Since the supervisor keeps them open, phones that come while one server
//! makes way for the next wait in the kernel's queue and are refused by nobody. Everything that [`bind`] sets on a socket of its own is set on
//! these too; only what cannot be changed any more (IPv6 alone or not) is the supervisor's.

use crate::http::bind::{self, BindError};
use crate::http::bind::{Listener, Protocol};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd};

/// Why the sockets that were handed over cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    #[error("what the supervisor hands over in LISTEN_FDS cannot be read")]
    Misread(#[source] io::Error),
    #[error("the supervisor's socket {name:?} is not a listening TCP socket")]
    Strange { name: String },
    #[error("the supervisor's socket {name:?} cannot be prepared")]
    Refused { name: String, source: io::Error },
    #[error("nothing here is served on a socket named {name:?}: see FileDescriptorName= in the socket's unit")]
    Unserved { name: String },
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// The sockets that were handed over, each with its name (`FileDescriptorName=`).
#[derive(Debug, Default)]
pub struct Handed {
    sockets: Vec<(String, TcpListener)>,
}

impl Handed {
    /// Takes what was handed to this process. To be called once, before anything else opens a descriptor of its own: a second call would
    /// own the same descriptors again.
    ///
    /// # Errors
    /// When something else than listening TCP sockets was handed over, or, with `loopback_only`, one that others reach.
    pub fn take(loopback_only: bool) -> Result<Self, SocketsError> {
        let mut handed = Self::default();
        for (fd, name) in sd_notify::listen_fds_with_names().map_err(SocketsError::Misread)? {
            // SAFETY: the supervisor made this descriptor for this process alone (LISTEN_PID was compared), nothing else here knows of it,
            // and this is called once. One that is not open makes every call below fail, and closing it is refused without harm.
            let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(fd) });
            let listener = adopt(socket, &name, loopback_only)?;
            handed.sockets.push((name, listener));
        }
        Ok(handed)
    }

    /// Takes the sockets of this name out, to speak so there.
    pub fn gates(&mut self, name: &str, protocol: Protocol) -> Vec<Listener> {
        let (wanted, others) = std::mem::take(&mut self.sockets).into_iter().partition(|(own, _)| own == name);
        self.sockets = others;
        let wanted: Vec<_> = wanted;
        wanted.into_iter().map(|(_, socket)| Listener { socket, protocol }).collect()
    }

    /// Insists that every socket has been taken out: one that nobody accepts from would keep phones waiting for ever.
    ///
    /// # Errors
    /// When one is left.
    pub fn nothing_left(self) -> Result<(), SocketsError> {
        self.sockets.into_iter().next().map_or(Ok(()), |(name, _)| Err(SocketsError::Unserved { name }))
    }
}

/// Makes one of ours of a socket that was handed over.
fn adopt(socket: Socket, name: &str, loopback_only: bool) -> Result<TcpListener, SocketsError> {
    let strange = || SocketsError::Strange { name: name.to_owned() };
    let is_tcp = matches!(socket.domain(), Ok(Domain::IPV4 | Domain::IPV6)) && matches!(socket.r#type(), Ok(Type::STREAM));
    let address = socket.local_addr().ok().as_ref().and_then(SockAddr::as_socket).filter(|_| is_tcp).ok_or_else(strange)?;
    if !socket.is_listener().unwrap_or(false) {
        return Err(strange());
    }
    if loopback_only && !address.ip().is_loopback() {
        return Err(BindError::NotLoopback { address }.into());
    }
    bind::prepare(&socket).map_err(|source| SocketsError::Refused { name: name.to_owned(), source })?;
    tracing::info!(%address, name, "listening on the supervisor's socket");
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(address: &str) -> Socket {
        Socket::from(TcpListener::bind(address).unwrap())
    }

    #[test]
    fn an_adopted_socket_is_as_one_of_ours() {
        let listener = adopt(listening("127.0.0.1:0"), "http", true).unwrap();
        let socket = Socket::from(listener);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap() && socket.nonblocking().unwrap());
    }

    #[test]
    fn what_is_no_listening_tcp_socket_is_refused() {
        let idle = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let datagrams = Socket::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        let local = Socket::from(std::os::unix::net::UnixDatagram::unbound().unwrap());
        for socket in [idle, datagrams, local] {
            assert!(matches!(adopt(socket, "x", false), Err(SocketsError::Strange { .. })));
        }
    }

    #[test]
    fn open_mode_takes_no_socket_that_others_reach() {
        let error = adopt(listening("0.0.0.0:0"), "http", true).unwrap_err();
        assert!(matches!(error, SocketsError::Bind(BindError::NotLoopback { .. })), "{error}");
    }

    #[test]
    fn sockets_are_found_by_their_names() {
        let socket = |name: &str| (name.to_owned(), TcpListener::bind("127.0.0.1:0").unwrap());
        let mut handed = Handed { sockets: vec![socket("https"), socket("redirect"), socket("https")] };
        assert_eq!((handed.gates("https", Protocol::Tls).len(), handed.gates("https", Protocol::Tls).len()), (2, 0));
        assert!(matches!(handed.nothing_left(), Err(SocketsError::Unserved { name }) if name == "redirect"));
        assert!(Handed::default().nothing_left().is_ok());
    }
}
