//! The supervisor's side, which is systemd on a box: listening sockets that it hands over, and
//! notifications to it.
//!
//! Sockets come by `LISTEN_FDS` (sd_listen_fds(3)) and take the place of those that
//! `LUCKYDRAW_BIND` would open. Since the supervisor keeps them open, phones that connect while one
//! server replaces the next wait in the kernel's queue and none is refused. Everything that
//! [`bind`] sets on a socket of its own is set on these too; only what cannot change any more (IPv6
//! alone or not) is the supervisor's. Without a supervisor nothing here happens.

use crate::http::bind::{self, BindError};
use crate::http::bind::{Listener, Protocol};
use sd_notify::NotifyState;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd};

/// Reasons against using the supervisor's sockets.
#[expect(missing_docs, reason = "the messages say what failed")]
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    #[error("the supervisor's sockets in LISTEN_FDS cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("the supervisor's socket {name:?} is not a listening TCP socket")]
    NotListening { name: String },
    #[error("the supervisor's socket {name:?} cannot be prepared")]
    Unprepared { name: String, source: io::Error },
    #[error("no socket named {name:?} is served here: see FileDescriptorName= in the socket's unit")]
    UnknownName { name: String },
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// Sends notifications to the supervisor, if there is one. A failure is logged and stops nothing.
pub fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the supervisor could not be notified");
    }
}

/// Inherited listening sockets, each with its name (`FileDescriptorName=`).
#[derive(Debug, Default)]
pub struct InheritedSockets {
    sockets: Vec<(String, TcpListener)>,
}

impl InheritedSockets {
    /// Takes over the sockets of this process. To be called once, before anything else opens a
    /// descriptor: a second call would own the same descriptors again.
    ///
    /// # Errors
    /// When something other than a listening TCP socket is among them, or, with `loopback_only`,
    /// one that others reach.
    #[expect(unsafe_code, reason = "a descriptor that the supervisor passed becomes ours once")]
    pub fn adopt_all(loopback_only: bool) -> Result<Self, SocketsError> {
        let mut inherited = Self::default();
        for (fd, name) in sd_notify::listen_fds_with_names().map_err(SocketsError::Unreadable)? {
            // SAFETY: the supervisor made this descriptor for this process alone (LISTEN_PID was
            // compared), nothing else here knows of it, and this function is called once. With a
            // descriptor that is not open every call below fails, and closing it is refused without
            // harm.
            let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(fd) });
            let listener = adopt(socket, &name, loopback_only)?;
            inherited.sockets.push((name, listener));
        }
        Ok(inherited)
    }

    /// Removes the sockets of this name, and returns them as listeners that speak `protocol`.
    pub fn take(&mut self, name: &str, protocol: Protocol) -> Vec<Listener> {
        let named = self.sockets.extract_if(.., |(own, _)| own == name);
        named.map(|(_, socket)| Listener { socket, protocol }).collect()
    }

    /// Checks that every socket has been taken: phones would wait for ever at one that nobody
    /// accepts from.
    ///
    /// # Errors
    /// When one is left.
    pub fn require_empty(self) -> Result<(), SocketsError> {
        self.sockets.into_iter().next().map_or(Ok(()), |(name, _)| Err(SocketsError::UnknownName { name }))
    }
}

/// Checks an inherited socket, and gives it the options of our own.
fn adopt(socket: Socket, name: &str, loopback_only: bool) -> Result<TcpListener, SocketsError> {
    let not_listening = || SocketsError::NotListening { name: name.to_owned() };
    let is_tcp = matches!(socket.domain(), Ok(Domain::IPV4 | Domain::IPV6)) && matches!(socket.r#type(), Ok(Type::STREAM));
    let address = socket.local_addr().ok().as_ref().and_then(SockAddr::as_socket).filter(|_| is_tcp);
    let address = address.ok_or_else(not_listening)?;
    if !socket.is_listener().unwrap_or(false) {
        return Err(not_listening());
    }
    if loopback_only && !address.ip().is_loopback() {
        return Err(BindError::NotLoopback { address }.into());
    }
    bind::prepare(&socket).map_err(|source| SocketsError::Unprepared { name: name.to_owned(), source })?;
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
    fn an_adopted_socket_has_the_options_of_our_own() {
        let listener = adopt(listening("127.0.0.1:0"), "http", true).unwrap();
        let socket = Socket::from(listener);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap() && socket.nonblocking().unwrap());
    }

    #[test]
    fn a_descriptor_that_is_not_a_listening_tcp_socket_is_refused() {
        let idle = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let datagrams = Socket::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        let local = Socket::from(std::os::unix::net::UnixDatagram::unbound().unwrap());
        for socket in [idle, datagrams, local] {
            assert!(matches!(adopt(socket, "x", false), Err(SocketsError::NotListening { .. })));
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
        let mut inherited = InheritedSockets { sockets: vec![socket("https"), socket("redirect"), socket("https")] };
        assert_eq!((inherited.take("https", Protocol::Tls).len(), inherited.take("https", Protocol::Tls).len()), (2, 0));
        assert!(matches!(inherited.require_empty(), Err(SocketsError::UnknownName { name }) if name == "redirect"));
        assert!(InheritedSockets::default().require_empty().is_ok());
    }
}
