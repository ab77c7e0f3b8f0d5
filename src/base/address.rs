//! Addresses as operators and browsers write them: where to listen, and under which scheme.

use std::fmt;
use std::net::IpAddr;

/// Where to listen, as it was written: an address or a name, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindAddress {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    /// 0: any free one.
    pub port: u16,
}

impl BindAddress {
    /// Takes `host:port` or `[v6]:port`.
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

    /// Whether everybody beyond this machine is shut out, as far as can be told without asking what a name means.
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
    Http,
    Https,
}

impl Scheme {
    /// As addresses spell it.
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
