//! What is spoken at which listening socket.

use crate::base::address::BindAddress;
use crate::base::address::Scheme;
use crate::http::bind::{self, BindError};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// What is spoken with whoever comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP in the clear.
    Plain,
    /// HTTP under TLS.
    Tls,
    /// HTTP in the clear, and every answer leads to the address under TLS.
    Redirect,
}

/// A listening socket and what is spoken there.
#[derive(Debug)]
pub struct Listener {
    pub socket: TcpListener,
    pub speech: Protocol,
}

/// Where a gate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub address: SocketAddr,
    pub speech: Protocol,
}

impl Protocol {
    /// The scheme of the addresses there.
    pub fn scheme(self) -> Scheme {
        match self {
            Protocol::Tls => Scheme::Https,
            Protocol::Plain | Protocol::Redirect => Scheme::Http,
        }
    }
}

impl Listener {
    /// Opens every address of every place; with `loopback_only` nothing else.
    ///
    /// # Errors
    /// As [`bind::bind`].
    pub fn open(places: &[BindAddress], speech: Protocol, loopback_only: bool) -> Result<Vec<Self>, BindError> {
        let sockets = bind::bind(places, loopback_only)?;
        Ok(sockets.into_iter().map(|socket| Self { socket, speech }).collect())
    }

    /// Where it is.
    ///
    /// # Errors
    /// When the socket is none that listens.
    pub fn address(&self) -> io::Result<Address> {
        Ok(Address { address: self.socket.local_addr()?, speech: self.speech })
    }
}
