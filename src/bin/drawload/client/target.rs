//! The server under test: its address, the event, and the admin token.

use super::protocol::{Call, Protocol};
use super::tls::{Authorities, TlsClient};
use crate::server_options::{ServerOptions, TrustOptions};
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Time for an address of a name to accept a connection, before the next one is tried.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// The server without --host, when none is found on this machine.
const DEFAULT_HOST: &str = "http://127.0.0.1:8000";

/// An address of a server, and one of its events.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    /// All addresses of its name.
    addresses: Vec<SocketAddr>,
    /// The Host header.
    pub authority: String,
    pub event: String,
    pub admin_token: Option<String>,
    /// The origin of the phones' pages; `None` for the server's own.
    pub origin: Option<String>,
    pub protocol: Rc<Protocol>,
    /// `None` for a server that speaks plain HTTP.
    pub tls: Option<TlsClient>,
    sources: Rc<SourceAddresses>,
}

/// Local addresses that connections come from in turn. One address has some 28,000 ports towards
/// one server, and the kernel would take the same address for every connection.
#[derive(Debug, Default)]
struct SourceAddresses {
    addresses: Vec<IpAddr>,
    turn: Cell<usize>,
}

impl SourceAddresses {
    fn next(&self) -> Option<IpAddr> {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let index = turn.checked_rem(self.addresses.len())?;
        self.addresses.get(index).copied()
    }
}

impl Target {
    /// Every address that the options name, or the one of `found` or [`DEFAULT_HOST`].
    ///
    /// # Errors
    /// Which option is wrong, and why.
    pub fn all(options: &ServerOptions, found: Option<&str>) -> Result<Vec<Self>, String> {
        let hosts: Vec<&str> = options.host.iter().map(String::as_str).collect();
        let hosts = if hosts.is_empty() { vec![found.unwrap_or(DEFAULT_HOST)] } else { hosts };
        hosts.into_iter().map(|host| Self::new(options, host)).collect()
    }

    /// Reads the options; the event is still to be chosen if they name none.
    ///
    /// # Errors
    /// Which option is wrong, and why.
    fn new(options: &ServerOptions, host: &str) -> Result<Self, String> {
        let target = Self::at(host, &options.trust)?;
        let addresses: Vec<IpAddr> = options.source_ips.iter().flat_map(|range| range.0.iter().copied()).collect();
        if addresses.iter().any(|source| source.is_ipv4() != target.address.is_ipv4()) {
            return Err(format!("--source-ips: {} cannot be reached from an address of the other kind", target.address));
        }
        Ok(Self {
            event: options.event_id.clone().unwrap_or_default(),
            admin_token: options.admin_token()?,
            protocol: Rc::new(Protocol::load(options.protocol.as_deref())?),
            sources: Rc::new(SourceAddresses { addresses, ..SourceAddresses::default() }),
            ..target
        })
    }

    /// A server without an event.
    ///
    /// # Errors
    /// When the URL names no server that can be found, or `trust` does not allow it.
    pub fn at(url: &str, trust: &TrustOptions) -> Result<Self, String> {
        let (scheme, authority) = parse_authority(url)?;
        let protocol = Rc::new(Protocol::load(None)?);
        let found = authority.to_socket_addrs().map_err(|error| format!("--host {url}: {error}"))?;
        let addresses: Vec<SocketAddr> = found.collect();
        let address = *addresses.first().ok_or_else(|| format!("--host {url}: no address"))?;
        if trust.insecure && !address.ip().is_loopback() {
            return Err(format!("--insecure: {authority} is not on this machine; name its authority with --ca"));
        }
        let authorities = match &trust.ca {
            _ if trust.insecure => Authorities::Unverified,
            Some(path) => Authorities::File(path),
            None => Authorities::Public,
        };
        let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host);
        let tls = match scheme {
            Scheme::Plain => None,
            Scheme::Tls => Some(TlsClient::new(host, authorities)?),
        };
        Ok(Self {
            address,
            addresses,
            authority,
            event: String::new(),
            admin_token: None,
            origin: None,
            protocol,
            tls,
            sources: Rc::default(),
        })
    }

    /// Takes the first address of the name that accepts a connection; leaves it when none does.
    pub async fn choose_address(&mut self) {
        if self.addresses.len() < 2 {
            return;
        }
        let usable = self.addresses.iter().filter(|address| address.is_ipv4() == self.address.is_ipv4() || !self.has_sources());
        for address in usable {
            if let Ok(Ok(_)) = timeout(CONNECT_MAX, TcpStream::connect(address)).await {
                self.address = *address;
                return;
            }
        }
    }

    fn has_sources(&self) -> bool {
        !self.sources.addresses.is_empty()
    }

    /// The local address of the next connection; `None` leaves the choice to the kernel.
    pub fn next_source(&self) -> Option<IpAddr> {
        self.sources.next()
    }

    /// Number of local addresses that connections come from.
    pub fn source_count(&self) -> u64 {
        self.sources.addresses.len().max(1) as u64
    }

    /// Tells whether the server has a call.
    pub fn has(&self, call: Call) -> bool {
        self.protocol.has(call)
    }

    /// The URL of the server.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.authority)
    }

    /// The URL of the event's sockets. Its scheme is `ws` under TLS too, which the connection adds.
    pub fn socket_url(&self, query: &str) -> String {
        format!("ws://{}{}", self.authority, self.protocol.socket_path(&self.event, query))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Plain,
    Tls,
}

/// The scheme of a URL and its `name:port`, whatever path follows.
fn parse_authority(url: &str) -> Result<(Scheme, String), String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (scheme, port) = match scheme {
        "http" | "ws" => (Scheme::Plain, 80),
        "https" | "wss" => (Scheme::Tls, 443),
        _ => return Err(format!("--host {url}: {scheme} is not http, https, ws or wss")),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err(format!("--host {url}: names no server"));
    }
    let after_bracket = authority.rsplit(']').next().unwrap_or(authority);
    let authority = if after_bracket.contains(':') { authority.to_owned() } else { format!("{authority}:{port}") };
    Ok((scheme, authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_understood_in_every_form() {
        let plain = |host: &str| Ok((Scheme::Plain, host.to_owned()));
        let tls = |host: &str| Ok((Scheme::Tls, host.to_owned()));
        for host in ["127.0.0.1:8000", "http://127.0.0.1:8000", "ws://127.0.0.1:8000/api/luckydraw/ws/demo?x=1"] {
            assert_eq!(parse_authority(host), plain("127.0.0.1:8000"), "{host}");
        }
        assert_eq!(parse_authority("http://draw.example/"), plain("draw.example:80"));
        assert_eq!(parse_authority("http://[::1]"), plain("[::1]:80"));
        assert_eq!(parse_authority("https://draw.example"), tls("draw.example:443"));
        assert_eq!(parse_authority("wss://[::1]:8443/api"), tls("[::1]:8443"));
        assert!(parse_authority("http:///x").is_err() && parse_authority("ftp://draw.example").is_err());
    }

    #[test]
    fn a_certificate_is_verified_unless_the_server_is_on_this_machine() {
        let trust = |insecure| TrustOptions { ca: None, insecure };
        assert!(Target::at("https://127.0.0.1:1", &trust(true)).is_ok_and(|target| target.tls.is_some()));
        assert!(Target::at("https://192.0.2.1:1", &trust(true)).is_err_and(|why| why.contains("--insecure")));
        assert!(Target::at("https://192.0.2.1:1", &trust(false)).is_ok());
        assert!(Target::at("http://127.0.0.1:1", &trust(false)).is_ok_and(|target| target.tls.is_none()));
    }

    #[test]
    fn local_addresses_take_turns() {
        let taken = |ranges: &[&str], count: usize| -> Vec<String> {
            let ranges = ranges.iter().map(|text| text.parse::<crate::server_options::SourceRange>().unwrap());
            let addresses = ranges.flat_map(|range| range.0).collect();
            let sources = SourceAddresses { addresses, ..SourceAddresses::default() };
            (0..count).filter_map(|_| sources.next()).map(|address| address.to_string()).collect()
        };
        let expected = ["127.0.0.254", "127.0.0.255", "127.0.1.0", "::1", "127.0.0.254"];
        assert_eq!(taken(&["127.0.0.254-127.0.1.0", "::1"], 5), expected);
        assert_eq!(taken(&[], 3), Vec::<String>::new());
    }
}
