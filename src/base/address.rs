//! Addresses as operators and browsers write them: where to listen, and by which scheme.
//!
//! Names are not resolved here, so nothing in this file waits for a network.

use std::fmt;
use std::net::IpAddr;

/// An address to listen on: an IP address or a host name, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindAddress {
    /// The address or name, without the brackets of an IPv6 address.
    pub host: String,
    /// The port; 0 for any free one.
    pub port: u16,
}

impl BindAddress {
    /// Parses `host:port` or `[v6]:port`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').filter(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())?,
            None => host,
        };
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let is_host = host.parse::<IpAddr>().is_ok() || (!host.is_empty() && host.bytes().all(is_plain));
        let is_number = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        (is_host && is_number).then_some(Self { host: host.into(), port: port.parse().ok()? })
    }

    /// False when other machines can reach the address. A host name counts as loopback, since it is
    /// not resolved here.
    pub fn may_be_loopback(&self) -> bool {
        self.host.parse::<IpAddr>().map_or(true, |ip| ip.is_loopback())
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracketed = self.host.contains(':');
        if bracketed { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

/// The scheme of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// The scheme's name in addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port of an address that names none.
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_printed_as_it_was_written() {
        for text in ["127.0.0.1:8000", "0.0.0.0:0", "[::1]:443", "[::]:65535", "lucky-draw.example:80", "localhost:1"] {
            assert_eq!(BindAddress::parse(text).map(|address| address.to_string()).as_deref(), Some(text));
        }
    }

    #[test]
    fn text_that_is_no_address_is_refused() {
        for text in
            ["", "8000", ":8000", "a:", "a:-1", "a:+1", "a:65536", "a b:80", "[::1:80", "[a]:80", "a/b:80", "[127.0.0.1]:80"]
        {
            assert_eq!(BindAddress::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_an_address_that_others_can_reach_is_not_loopback() {
        let may_be_loopback = |text| BindAddress::parse(text).unwrap().may_be_loopback();
        assert!(["127.0.0.1:80", "127.8.8.8:80", "[::1]:80", "localhost:80"].into_iter().all(may_be_loopback));
        assert!(!["0.0.0.0:80", "[::]:80", "192.168.0.9:80"].into_iter().any(may_be_loopback));
    }

    #[test]
    fn a_bind_address_is_a_host_and_a_port() {
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
}
