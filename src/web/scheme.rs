//! How a request came: in the clear, or under TLS.
//!
//! It is a matter of the connection and not of the server, since both may be spoken at once: a phone comes by https, the box itself by a
//! loopback address in the clear. The worker notes it on each request that came under TLS; one without a note came in the clear, which
//! costs those nothing.

use hyper::http::Extensions;
use std::fmt;

/// The scheme of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// The scheme that a request was noted to have come by.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or(Scheme::Http)
    }

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
