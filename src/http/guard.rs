//! The guard: refuses requests that are not proper HTTP, and requests to a host name that is not
//! ours.
//!
//! hyper reads HTTP as liberally as proxies do. Between a liberal reader and another one, a second
//! request can hide in the body of the first (request smuggling), and a page of another site can
//! reach this server under a name of its own (DNS rebinding). So the framing must be plain, and
//! there must be exactly one valid `Host` that this server goes by. A refusal closes the
//! connection: what follows on it cannot be trusted to be a request. Reads heads only, and knows no
//! path.

use crate::base::address::Scheme;
use crate::http::HttpSettings;
use crate::http::response::HttpError;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, Version};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Methods of this server. A connection that sends another one is closed after its answer.
const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// The message to who comes by a name of the local network, such as laptop.local.
const UNKNOWN_HOST: &str = "this server does not go by that host name: use its IP address, or set LUCKYDRAW_DOMAIN to the name";

/// Returns whether this server knows a method.
pub fn is_known(method: &Method) -> bool {
    METHODS.contains(method)
}

/// A host and its port, as a `Host` header or an origin names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// As it was written: `name`, `name:port`, `[v6]` or `[v6]:port`.
    text: Box<str>,
    name_len: usize,
    port: Option<u16>,
}

impl Host {
    /// Reads `name`, `name:port`, `[v6]` or `[v6]:port`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let name_len = match text.strip_prefix('[') {
            Some(inner) => inner.find(']')? + 2,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (name, port) = text.split_at(name_len);
        let host = Self { text: text.into(), name_len, port: parse_port(port)? };
        (host.ip_v6().is_some() || is_host_name(name)).then_some(host)
    }

    /// Host and port as they were written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name without the port; an IPv6 address keeps its brackets.
    pub fn name(&self) -> &str {
        &self.text[..self.name_len]
    }

    /// Returns whether both mean one place, where `default_port` stands for a port that is not
    /// written.
    pub fn is_same(&self, other: &Host, default_port: u16) -> bool {
        self.has_name(other.name()) && self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
    }

    /// Returns whether the name is one of the three that open mode trusts: `localhost`,
    /// `127.0.0.1`, `[::1]`.
    pub fn is_local(&self) -> bool {
        self.has_name("localhost") || self.name() == "127.0.0.1" || self.ip_v6() == Some(Ipv6Addr::LOCALHOST)
    }

    /// The IP address that the name is.
    pub fn ip(&self) -> Option<IpAddr> {
        self.name().parse::<Ipv4Addr>().map(IpAddr::from).ok().or(self.ip_v6().map(IpAddr::from))
    }

    /// Returns whether the name is an IP address.
    pub fn is_ip(&self) -> bool {
        self.ip().is_some()
    }

    /// Returns whether this is the name; case does not matter.
    pub fn has_name(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name)
    }

    fn ip_v6(&self) -> Option<Ipv6Addr> {
        self.name().strip_prefix('[')?.strip_suffix(']')?.parse().ok()
    }
}

/// Checks a request's head that came by `scheme`, and returns the host it names; an HTTP/1.0
/// request may name none.
///
/// # Errors
/// 400 for a head that is not proper HTTP/1.1, 403 for a host this server does not go by.
pub fn check(settings: &HttpSettings, scheme: Scheme, head: &Parts) -> Result<Option<Host>, HttpError> {
    check_framing(&head.headers)?;
    // An absolute target names the scheme too (RFC 9112, section 3.3).
    if head.uri.scheme_str().is_some_and(|named| named != scheme.as_str()) {
        return Err(malformed("the request target names another scheme"));
    }
    let Some(host) = read_host(head)? else { return Ok(None) };
    if is_ours(settings, &host) {
        return Ok(Some(host));
    }
    let error = HttpError::new(StatusCode::FORBIDDEN, "FORBIDDEN_ORIGIN", UNKNOWN_HOST);
    Err(HttpError { closes: true, ..error })
}

/// A body's length is given in one way only. hyper 1.12 keeps `Transfer-Encoding` alone where both
/// are sent, and closes the connection after such a request; the second check holds should another
/// version pass both on.
fn check_framing(headers: &HeaderMap) -> Result<(), HttpError> {
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(encoding) = encodings.next() else { return Ok(()) };
    if encodings.next().is_some() || !encoding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(malformed("the only transfer encoding is chunked"));
    }
    if headers.contains_key(CONTENT_LENGTH) {
        return Err(malformed("a chunked body has no content length"));
    }
    Ok(())
}

/// The one `Host` of a request (RFC 9112, section 3.2), which an absolute request target must
/// repeat.
fn read_host(head: &Parts) -> Result<Option<Host>, HttpError> {
    let mut values = head.headers.get_all(HOST).iter();
    let text = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().map_err(|_| malformed("the host is not valid"))?,
        (None, _) if head.version < Version::HTTP_11 => return Ok(None),
        _ => return Err(malformed("a request names exactly one host")),
    };
    let target = head.uri.authority().map(|authority| authority.as_str());
    if target.is_some_and(|target| !target.eq_ignore_ascii_case(text)) {
        return Err(malformed("the request target names another host"));
    }
    Host::parse(text).map(Some).ok_or_else(|| malformed("the host is not valid"))
}

/// Returns whether a text is an origin of the web: `http(s)://host`, with a port if needed.
pub fn is_web_origin(text: &str) -> bool {
    let host = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
    host.is_some_and(|(_, host)| Host::parse(host).is_some())
}

/// Returns whether this server goes by that name.
fn is_ours(settings: &HttpSettings, host: &Host) -> bool {
    if settings.open {
        return host.is_local();
    }
    let is_listed = |origin: &String| {
        let listed = origin.split_once("://").and_then(|(_, rest)| Host::parse(rest));
        listed.is_some_and(|listed| host.has_name(listed.name()))
    };
    host.is_ip()
        || host.has_name("localhost")
        || settings.domain.as_ref().is_some_and(|domain| host.has_name(domain))
        || settings.allowed_origins.iter().any(is_listed)
}

/// Letters, digits, `-` and `.`: every host name, and every IPv4 address.
fn is_host_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 253 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

/// The port of `:port` or of an empty text; `None` for anything else.
fn parse_port(text: &str) -> Option<Option<u16>> {
    let Some(digits) = text.strip_prefix(':') else { return text.is_empty().then_some(None) };
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten().map(Some)
}

fn malformed(message: &'static str) -> HttpError {
    HttpError { closes: true, ..HttpError::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    #[test]
    fn fuzzed_hosts_are_read_or_refused() {
        crate::fuzz::run("addresses", 3_000, |bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return "no text".into() };
            let Some(host) = Host::parse(text) else { return "no host".into() };
            assert!(host.as_str() == text && text.starts_with(host.name()));
            format!("{} {} {}", host.is_ip(), host.is_local(), host.port.is_some())
        });
    }

    fn check_head(settings: &HttpSettings, version: Version, uri: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().version(version).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        match check(settings, Scheme::Http, &head) {
            Ok(_) => 200,
            Err(error) => {
                assert!(error.closes, "a refusal closes the connection");
                error.status.as_u16()
            }
        }
    }

    fn check_host(settings: &HttpSettings, host: &str) -> u16 {
        check_head(settings, Version::HTTP_11, "/", &[("host", host)])
    }

    #[test]
    fn the_server_goes_by_addresses_localhost_its_domain_and_listed_hosts() {
        let settings = HttpSettings {
            domain: Some("draw.example.kr".into()),
            allowed_origins: vec!["https://stage.example.kr:8443".into()],
            ..HttpSettings::default()
        };
        for host in [
            "192.168.0.7",
            "192.168.0.7:8000",
            "[fe80::1]",
            "[::1]:8000",
            "localhost",
            "LOCALHOST:80",
            "Draw.Example.kr",
            "draw.example.kr:8000",
            "stage.example.kr",
            "stage.example.kr:9000",
        ] {
            assert_eq!(check_host(&settings, host), 200, "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "xdraw.example.kr", "127.1", "draw.example.kr."] {
            assert_eq!(check_host(&settings, host), 403, "{host}");
        }
    }

    #[test]
    fn open_mode_goes_by_three_names_only() {
        let settings = HttpSettings { open: true, domain: Some("draw.example.kr".into()), ..HttpSettings::default() };
        for host in ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "[0:0:0:0:0:0:0:1]"] {
            assert_eq!(check_host(&settings, host), 200, "{host}");
        }
        for host in ["192.168.0.7:8000", "127.0.0.2", "draw.example.kr", "[::2]"] {
            assert_eq!(check_host(&settings, host), 403, "{host}");
        }
    }

    #[test]
    fn a_request_names_exactly_one_valid_host() {
        let settings = HttpSettings::default();
        for host in [
            "",
            ":80",
            "localhost:",
            "localhost:x",
            "localhost:+1",
            "localhost:65536",
            "a b",
            "a@localhost",
            "[::1",
            "[zz]",
            "a,b",
        ] {
            assert_eq!(check_host(&settings, host), 400, "{host:?}");
        }
        assert_eq!(check_head(&settings, Version::HTTP_11, "/", &[]), 400);
        assert_eq!(check_head(&settings, Version::HTTP_11, "/", &[("host", "localhost"), ("host", "localhost")]), 400);
        assert_eq!(check_head(&settings, Version::HTTP_10, "/", &[]), 200, "HTTP/1.0 had no host yet");
        assert_eq!(check_head(&settings, Version::HTTP_11, "http://localhost/", &[("host", "localhost")]), 200);
        assert_eq!(check_head(&settings, Version::HTTP_11, "http://evil.example/", &[("host", "localhost")]), 400);
        assert_eq!(check_head(&settings, Version::HTTP_11, "https://localhost/", &[("host", "localhost")]), 400);
    }

    #[test]
    fn the_length_of_a_body_is_said_in_one_way() {
        let settings = HttpSettings::default();
        let status = |headers: &[(&str, &str)]| {
            let all: Vec<_> = [("host", "localhost")].iter().chain(headers).copied().collect();
            check_head(&settings, Version::HTTP_11, "/", &all)
        };
        assert_eq!(status(&[("transfer-encoding", "Chunked")]), 200);
        assert_eq!(status(&[("content-length", "3")]), 200);
        for encoding in ["gzip, chunked", "identity", "chunked, chunked", "xchunked", ""] {
            assert_eq!(status(&[("transfer-encoding", encoding)]), 400, "{encoding:?}");
        }
        assert_eq!(status(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]), 400);
        assert_eq!(status(&[("transfer-encoding", "chunked"), ("content-length", "3")]), 400);
    }
}
