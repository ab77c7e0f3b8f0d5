//! The subcommand `healthcheck`: asks a running server whether it is alive, for containers and
//! watchdogs.
//!
//! The address comes from the settings that the server was started with, so that nothing is
//! configured twice. A container without a shell or curl has this one binary. One request, one line
//! of output, one deadline.

use crate::base::address::{BindAddress, Scheme};
use crate::base::http_client::{Request, Url};
use crate::ops::config::Config;
use crate::ops::config::arguments::HealthcheckArguments;
use hyper::StatusCode;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Time for the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(4);

/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Reasons for which a server counts as not healthy.
#[expect(missing_docs, reason = "the messages say what failed")]
#[derive(Debug, thiserror::Error)]
pub enum HealthcheckError {
    #[error("{url:?} is not http://host[:port][/path]")]
    Url { url: String },
    #[error("LUCKYDRAW_BIND has port 0, which is any free one: give --url")]
    AnyPort,
    #[error(
        "LUCKYDRAW_BIND speaks TLS: set LUCKYDRAW_PLAIN_BIND=127.0.0.1:8000, where this machine asks in the clear, or give --url"
    )]
    OnlyTls,
    #[error("no answer at {address}")]
    NoAnswer { address: BindAddress, source: io::Error },
    #[error("{address} answers {status}")]
    WrongStatus { address: BindAddress, status: StatusCode },
}

/// Asks the server of these settings, or the one at the arguments' URL, and returns its
/// status.
///
/// # Errors
/// When it does not answer 200 in time.
pub fn run(config: &Config, arguments: &HealthcheckArguments) -> Result<String, HealthcheckError> {
    let path = if arguments.ready { "/readyz" } else { "/healthz" };
    match &arguments.url {
        Some(text) => ask(&parse_url(text, path).ok_or_else(|| HealthcheckError::Url { url: text.clone() })?),
        None => ask_at(plain_addresses(config)?.first().ok_or(HealthcheckError::AnyPort)?, path),
    }
}

/// The addresses where a server of these settings speaks plain HTTP.
///
/// # Errors
/// When it speaks nothing but TLS.
pub fn plain_addresses(config: &Config) -> Result<&[BindAddress], HealthcheckError> {
    match &config.tls {
        None => Ok(&config.bind),
        Some(tls) if tls.plain.is_empty() => Err(HealthcheckError::OnlyTls),
        Some(tls) => Ok(&tls.plain),
    }
}

/// Asks the server that listens on `address`.
///
/// # Errors
/// As [`run`].
pub fn ask_at(address: &BindAddress, path: &str) -> Result<String, HealthcheckError> {
    ask(&Url { scheme: Scheme::Http, address: reachable(address)?, path: path.into() })
}

fn ask(url: &Url) -> Result<String, HealthcheckError> {
    let address = url.address.clone();
    match Request::get(url, Instant::now() + TIMEOUT).send(ANSWER_BYTES_MAX).map(|response| response.status) {
        Ok(StatusCode::OK) => Ok(StatusCode::OK.to_string()),
        Ok(status) => Err(HealthcheckError::WrongStatus { address, status }),
        Err(source) => Err(HealthcheckError::NoAnswer { address, source }),
    }
}

/// The address by which this machine reaches a listener: loopback for one that listens on every
/// address.
fn reachable(address: &BindAddress) -> Result<BindAddress, HealthcheckError> {
    if address.port == 0 {
        return Err(HealthcheckError::AnyPort);
    }
    let host = match address.host.parse() {
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => Ipv6Addr::LOCALHOST.to_string(),
        _ => address.host.clone(),
    };
    Ok(BindAddress { host, port: address.port })
}

/// Parses `http://host[:port][/path]`; without a path, `default_path` is asked.
fn parse_url(text: &str, default_path: &str) -> Option<Url> {
    let url = Url::parse(text).filter(|url| url.scheme == Scheme::Http)?;
    let path = if url.path == "/" { default_path.to_owned() } else { url.path };
    Some(Url { path, ..url })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn a_listener_on_every_address_is_asked_on_loopback() {
        for (bind, asked) in [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("192.168.0.7:1", "192.168.0.7:1")] {
            assert_eq!(reachable(&BindAddress::parse(bind).unwrap()).unwrap().to_string(), asked);
        }
        assert!(matches!(reachable(&BindAddress::parse("0.0.0.0:0").unwrap()), Err(HealthcheckError::AnyPort)));
    }

    #[test]
    fn a_url_without_a_path_asks_for_the_probe_and_must_be_plain_http() {
        for (text, address, path) in [
            ("http://localhost", "localhost:80", "/readyz"),
            ("http://[::1]:8000/", "[::1]:8000", "/readyz"),
            ("http://10.0.0.1:1/health", "10.0.0.1:1", "/health"),
        ] {
            let url = parse_url(text, "/readyz").unwrap();
            assert_eq!((url.address.to_string().as_str(), url.path.as_str()), (address, path), "{text}");
        }
        for text in ["", "localhost:80", "https://localhost", "ftp://a", "http://", "http://a b", "http://a/ HTTP/1.1"] {
            assert_eq!(parse_url(text, "/"), None, "{text}");
        }
    }

    /// The answer to one request at a server that writes these bytes and closes.
    fn check(answer: &'static [u8]) -> Result<String, HealthcheckError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = BindAddress::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(answer).unwrap();
        });
        let result = ask_at(&address, "/healthz");
        server.join().unwrap();
        result
    }

    #[test]
    fn only_the_status_200_is_healthy() {
        assert_eq!(check(b"HTTP/1.1 200 OK\r\n\r\n").unwrap(), "200 OK");
        assert!(matches!(check(b"HTTP/1.1 503 Busy\r\n\r\n"), Err(HealthcheckError::WrongStatus { .. })));
        assert!(matches!(check(b""), Err(HealthcheckError::NoAnswer { .. })));
    }

    #[test]
    fn a_server_that_accepts_and_stays_silent_is_not_healthy() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = BindAddress::parse(&silent.local_addr().unwrap().to_string()).unwrap();
        assert!(matches!(ask_at(&address, "/healthz"), Err(HealthcheckError::NoAnswer { .. })));
    }
}
