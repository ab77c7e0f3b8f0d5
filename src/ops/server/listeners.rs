//! The server's listening sockets: the supervisor's where it hands some over, else our own.
//!
//! They are opened before anything else, though nothing is accepted yet. A port in use is reported
//! before a file is touched, and phones that reconnect while the journal is replayed wait in the
//! kernel's queue.

use crate::http::bind::{Listener, Protocol};
use crate::ops::config::Config;
use crate::ops::server::StartError;
use crate::ops::supervisor::InheritedSockets;
use std::io;
use std::net::SocketAddr;

/// Names of the supervisor's sockets by protocol, and the name that it reports for a socket without
/// one.
const HTTPS: &str = "https";
const HTTP: &str = "http";
const REDIRECT: &str = "redirect";
const UNNAMED: &str = "unknown";

/// Opens every listening socket; those that phones are sent to come first.
///
/// # Errors
/// When an address cannot be opened, or the supervisor hands over a socket that nothing is served
/// on.
pub fn open(config: &Config) -> Result<Vec<Listener>, StartError> {
    let loopback_only = config.app.http.open;
    let mut inherited = InheritedSockets::adopt_all(loopback_only)?;
    let main = main_protocol(config);
    let mut listeners = inherited.take(if main == Protocol::Tls { HTTPS } else { HTTP }, main);
    listeners.extend(inherited.take(UNNAMED, main));
    if listeners.is_empty() {
        listeners = Listener::open(&config.bind, main, loopback_only)?;
    }
    if let Some(tls) = &config.tls {
        for (name, protocol, addresses) in [(HTTP, Protocol::Plain, &tls.plain), (REDIRECT, Protocol::Redirect, &tls.redirect)] {
            let given = inherited.take(name, protocol);
            listeners.extend(if given.is_empty() { Listener::open(addresses, protocol, loopback_only)? } else { given });
        }
    }
    inherited.require_empty()?;
    Ok(listeners)
}

/// The protocol of `LUCKYDRAW_BIND`.
pub fn main_protocol(config: &Config) -> Protocol {
    if config.tls.is_some() { Protocol::Tls } else { Protocol::Plain }
}

/// The addresses that speak the main protocol, with the ports that the system chose.
///
/// # Errors
/// When the operating system does not name one.
pub fn main_addresses(config: &Config, listeners: &[Listener]) -> io::Result<Vec<SocketAddr>> {
    let main = main_protocol(config);
    let addresses = listeners.iter().map(Listener::address).collect::<io::Result<Vec<_>>>()?;
    Ok(addresses.iter().filter(|listening| listening.protocol == main).map(|listening| listening.address).collect())
}
