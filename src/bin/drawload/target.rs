//! The server under test: where it listens, which event is played, and what opens its admin calls.

use crate::arguments::{Door, Vouching};
use crate::sources::Sources;
use crate::trust::{Trust, Voucher};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;

/// Where every path of the API begins.
const PREFIX: &str = "/api/luckydraw";

/// A server and one of its events.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    /// What the Host header says.
    pub authority: String,
    pub event: String,
    pub admin_token: Option<String>,
    /// None: it is spoken to in the clear.
    pub trust: Option<Trust>,
    sources: Rc<Sources>,
}

impl Target {
    /// Reads where to go; the event is still to be chosen if none is named.
    ///
    /// # Errors
    /// What is wrong with the arguments, in words for whoever typed them.
    pub fn of(door: &Door) -> Result<Self, String> {
        let target = Self::at(&door.host, &door.vouching)?;
        let sources = Sources::new(&door.source_ips);
        if sources.iter().any(|source| source.is_ipv4() != target.address.is_ipv4()) {
            return Err(format!("--source-ips: {} cannot be reached from an address of the other kind", target.address));
        }
        Ok(Self {
            event: door.event_id.clone().unwrap_or_default(),
            admin_token: door.admin_token()?,
            sources: Rc::new(sources),
            ..target
        })
    }

    /// A server without an event.
    ///
    /// # Errors
    /// When the URL names none that can be found, or it cannot be trusted as was asked.
    pub fn at(url: &str, vouching: &Vouching) -> Result<Self, String> {
        let (scheme, authority) = authority(url)?;
        let mut found = authority.to_socket_addrs().map_err(|error| format!("--host {url}: {error}"))?;
        let address = found.next().ok_or_else(|| format!("--host {url}: no address"))?;
        if vouching.insecure && !address.ip().is_loopback() {
            return Err(format!("--insecure: {authority} is not on this machine; name its authority with --ca"));
        }
        let voucher = match &vouching.ca {
            _ if vouching.insecure => Voucher::Nobody,
            Some(path) => Voucher::File(path),
            None => Voucher::Web,
        };
        let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host);
        let trust = match scheme {
            Scheme::Plain => None,
            Scheme::Tls => Some(Trust::new(host, voucher)?),
        };
        Ok(Self { address, authority, event: String::new(), admin_token: None, trust, sources: Rc::new(Sources::new(&[])) })
    }

    /// The address that the next connection comes from; none: the kernel chooses.
    pub fn next_source(&self) -> Option<IpAddr> {
        self.sources.next()
    }

    /// How many addresses connections come from.
    pub fn source_count(&self) -> u64 {
        self.sources.iter().count().max(1) as u64
    }

    /// A path of the API.
    pub fn path(&self, rest: &str) -> String {
        format!("{PREFIX}{rest}")
    }

    /// A path of this event's admin calls.
    pub fn admin_path(&self, rest: &str) -> String {
        format!("{PREFIX}/admin/{}/{rest}", self.event)
    }

    /// Where the event's sockets are. The scheme is that of a socket in the clear also under TLS, which is a matter of the connection.
    pub fn socket_url(&self, query: &str) -> String {
        format!("ws://{}{PREFIX}/ws/{}{query}", self.authority, self.event)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Plain,
    Tls,
}

/// How a URL's server is spoken to, and its `name:port`, whatever path follows.
fn authority(url: &str) -> Result<(Scheme, String), String> {
    let schemes = [
        ("http://", Scheme::Plain),
        ("ws://", Scheme::Plain),
        ("https://", Scheme::Tls),
        ("wss://", Scheme::Tls),
        ("", Scheme::Plain),
    ];
    let (scheme, rest) = schemes
        .into_iter()
        .find_map(|(prefix, scheme)| Some((scheme, url.strip_prefix(prefix)?)))
        .expect("the empty prefix fits every text");
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err(format!("--host {url}: names no server"));
    }
    let port = if scheme == Scheme::Tls { 443 } else { 80 };
    let after_bracket = authority.rsplit(']').next().unwrap_or(authority);
    let authority = if after_bracket.contains(':') { authority.to_owned() } else { format!("{authority}:{port}") };
    Ok((scheme, authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_understood_however_it_is_written() {
        let plain = |host: &str| Ok((Scheme::Plain, host.to_owned()));
        let tls = |host: &str| Ok((Scheme::Tls, host.to_owned()));
        for host in ["127.0.0.1:8000", "http://127.0.0.1:8000", "ws://127.0.0.1:8000/api/luckydraw/ws/demo?x=1"] {
            assert_eq!(authority(host), plain("127.0.0.1:8000"), "{host}");
        }
        assert_eq!(authority("http://draw.example/"), plain("draw.example:80"));
        assert_eq!(authority("http://[::1]"), plain("[::1]:80"));
        assert_eq!(authority("https://draw.example"), tls("draw.example:443"));
        assert_eq!(authority("wss://[::1]:8443/api"), tls("[::1]:8443"));
        assert!(authority("http:///x").is_err());
    }

    #[test]
    fn a_stranger_is_never_taken_for_the_server_unless_he_is_on_this_machine() {
        let vouching = |insecure| Vouching { ca: None, insecure };
        assert!(Target::at("https://127.0.0.1:1", &vouching(true)).is_ok_and(|target| target.trust.is_some()));
        assert!(Target::at("https://192.0.2.1:1", &vouching(true)).is_err_and(|why| why.contains("--insecure")));
        assert!(Target::at("https://192.0.2.1:1", &vouching(false)).is_ok());
        assert!(Target::at("http://127.0.0.1:1", &vouching(false)).is_ok_and(|target| target.trust.is_none()));
    }
}
