//! Asking a running server whether it lives, for containers and watchdogs: one request, one word, all of it bounded.
//!
//! The address comes from the settings that the server was started with, so that nothing has to be said twice. It speaks HTTP by hand: a container
//! without a shell or curl has this one binary, and a client of its own would have to be bounded all the same.

use crate::base::address::BindAddress;
use crate::ops::config::Config;
use crate::ops::config::arguments::Healthcheck;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long the whole question may take.
const TIME_MAX: Duration = Duration::from_secs(4);

/// The most of an answer that is read: its status line is all that matters.
const ANSWER_MAX: u64 = 16 << 10;

/// Why a server is not healthy.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    #[error("{url:?} is not http://host[:port][/path]")]
    Url { url: String },
    #[error("LUCKYDRAW_BIND says port 0, which is any free one: say --url")]
    AnyPort,
    #[error(
        "LUCKYDRAW_BIND speaks TLS: set LUCKYDRAW_PLAIN_BIND=127.0.0.1:8000, where this machine asks in the clear, or say --url"
    )]
    OnlyTls,
    #[error("nobody answers at {place}")]
    Silent { place: String, source: io::Error },
    #[error("{place} answers {line:?}")]
    Says { place: String, line: String },
}

/// Where to ask what.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Question {
    place: BindAddress,
    path: String,
}

/// Where a server of these settings is asked: in the clear, from this machine.
///
/// # Errors
/// When it speaks nothing but TLS.
pub fn places(config: &Config) -> Result<&[BindAddress], Unhealthy> {
    match &config.tls {
        None => Ok(&config.bind),
        Some(tls) if tls.plain.is_empty() => Err(Unhealthy::OnlyTls),
        Some(tls) => Ok(&tls.plain),
    }
}

/// Asks once, at `wanted`'s address or else at the first of `bind`, where the server listens in the clear; gives back what the server said.
///
/// # Errors
/// When it does not answer 200 in time.
pub fn ask(bind: &[BindAddress], wanted: &Healthcheck) -> Result<String, Unhealthy> {
    let path = if wanted.ready { "/readyz" } else { "/healthz" };
    let question = match &wanted.url {
        Some(url) => parse(url, path).ok_or_else(|| Unhealthy::Url { url: url.clone() })?,
        None => Question { place: bind.first().map(nearest).ok_or(Unhealthy::AnyPort)??, path: path.into() },
    };
    let place = question.place.to_string();
    let answer = exchange(&question).map_err(|source| Unhealthy::Silent { place: place.clone(), source })?;
    let line = answer.lines().next().unwrap_or_default().to_owned();
    if line.split(' ').nth(1) == Some("200") { Ok(line) } else { Err(Unhealthy::Says { place, line }) }
}

/// How this machine reaches a place where the server listens: one that means every address is asked on loopback.
fn nearest(place: &BindAddress) -> Result<BindAddress, Unhealthy> {
    if place.port == 0 {
        return Err(Unhealthy::AnyPort);
    }
    let host = match place.host.parse() {
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => Ipv6Addr::LOCALHOST.to_string(),
        _ => place.host.clone(),
    };
    Ok(BindAddress { host, port: place.port })
}

/// Takes `http://host[:port][/path]`.
fn parse(url: &str, path: &str) -> Option<Question> {
    let rest = url.strip_prefix("http://")?;
    let (authority, own_path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let place = BindAddress::parse(authority).or_else(|| BindAddress::parse(&format!("{authority}:80")))?;
    // A space or a line's end within would make another request of it.
    let is_plain = own_path.bytes().all(|b| b.is_ascii_graphic());
    let path = if own_path.len() > 1 { own_path } else { path };
    is_plain.then(|| Question { place, path: path.into() })
}

/// One request and the head of its answer.
fn exchange(question: &Question) -> io::Result<String> {
    let deadline = Instant::now() + TIME_MAX;
    let Question { place, path } = question;
    let mut stream = connect(place, deadline)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    // By the name it was asked by, and the port that the server compares nothing with.
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut chunk = [0; 1024];
    while !answer.contains(&b'\n') && (answer.len() as u64) < ANSWER_MAX {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut chunk)? {
            0 => break,
            length => answer.extend_from_slice(&chunk[..length]),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Tries every address of a place.
fn connect(place: &BindAddress, deadline: Instant) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = (place.host.as_str(), place.port).to_socket_addrs()?.collect();
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// The time that is left, if any.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_means_all_is_asked_on_loopback() {
        for (bind, asked) in [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("192.168.0.7:1", "192.168.0.7:1")] {
            assert_eq!(nearest(&BindAddress::parse(bind).unwrap()).unwrap().to_string(), asked);
        }
        assert!(matches!(nearest(&BindAddress::parse("0.0.0.0:0").unwrap()), Err(Unhealthy::AnyPort)));
    }

    #[test]
    fn a_url_is_a_host_perhaps_a_port_and_perhaps_a_path() {
        for (url, place, path) in [
            ("http://localhost", "localhost:80", "/readyz"),
            ("http://[::1]:8000/", "[::1]:8000", "/readyz"),
            ("http://10.0.0.1:1/health", "10.0.0.1:1", "/health"),
        ] {
            let question = parse(url, "/readyz").unwrap();
            assert_eq!((question.place.to_string().as_str(), question.path.as_str()), (place, path), "{url}");
        }
        for url in ["", "localhost:80", "ftp://a", "http://", "http://a b", "http://a/ HTTP/1.1"] {
            assert_eq!(parse(url, "/"), None, "{url}");
        }
    }

    #[test]
    fn who_takes_connections_and_says_nothing_is_not_healthy() {
        let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let question = parse(&format!("http://{}", mute.local_addr().unwrap()), "/").unwrap();
        assert!(exchange(&question).is_err());
    }
}
