//! A blocking HTTP/1.1 client for one small request: health checks, the cloud's metadata, an ACME
//! directory's clock, a round of drand.
//!
//! hyper on a runtime that lives for the request. One deadline covers the whole exchange: name
//! look-up, connection, TLS and every read. A head has a bound here, and a body the caller's.
//! Redirects and keep-alive are not supported, since none of the callers meets one. Nothing here
//! retries.

use crate::base::address::{BindAddress, Scheme};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderMap, USER_AGENT};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The longest head of a response, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// An absolute address: `http(s)://host[:port][/path]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// http or https.
    pub scheme: Scheme,
    /// The host and its port; the scheme's own port if the text names none.
    pub address: BindAddress,
    /// The path and query, `/` if the text has none.
    pub path: String,
}

impl Url {
    /// Parses the text; `None` if it is not such an address, or holds a byte that would end the
    /// request line.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let with_default_port = || BindAddress::parse(&format!("{authority}:{}", scheme.default_port()));
        let address = BindAddress::parse(authority).or_else(with_default_port)?;
        let is_visible = path.bytes().all(|byte| byte.is_ascii_graphic());
        let path = if path.is_empty() { "/" } else { path };
        is_visible.then(|| Self { scheme, address, path: path.into() })
    }

    /// The `Host` header: the port is left out where the scheme implies it.
    fn host_header(&self) -> String {
        let text = self.address.to_string();
        let default_port = format!(":{}", self.scheme.default_port());
        text.strip_suffix(&default_port).map_or(text.clone(), str::to_owned)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.host_header(), self.path)
    }
}

/// A request without a body.
pub struct Request<'r> {
    /// The method; no body is sent with any.
    pub method: Method,
    /// Where the request goes.
    pub url: &'r Url,
    /// Headers beside `Host`, `User-Agent` and `Connection: close`.
    pub headers: &'r [(&'r str, &'r str)],
    /// The trust anchors for an `https` URL.
    pub tls: Option<&'r Arc<ClientConfig>>,
    /// The end of the whole exchange.
    pub deadline: Instant,
}

impl<'r> Request<'r> {
    /// A plain `GET` without further headers.
    pub fn get(url: &'r Url, deadline: Instant) -> Self {
        Self { method: Method::GET, url, headers: &[], tls: None, deadline }
    }

    /// Sends the request and reads the response. Blocks, so it must not be called on a thread that
    /// runs asynchronous tasks.
    ///
    /// # Errors When no address answers by the deadline, TLS fails, the head is longer than 16 KiB,
    /// cut short or not HTTP/1, or the body is cut short or longer than `body_bytes_max`.
    pub fn send(&self, body_bytes_max: usize) -> io::Result<Response> {
        let request = self.build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let BindAddress { host, port } = &self.url.address;
        let addresses = resolve(host, *port, self.deadline)?;
        let exchange =
            async { tokio::time::timeout_at(self.deadline.into(), self.send_to(&addresses, request, body_bytes_max)).await };
        runtime.block_on(exchange).map_err(|_| io::Error::from(ErrorKind::TimedOut))?
    }

    fn build(&self) -> io::Result<hyper::Request<Full<Bytes>>> {
        let request = hyper::Request::builder().method(self.method.clone()).uri(&self.url.path);
        let request = request.header(HOST, self.url.host_header()).header(USER_AGENT, "luckydraw").header(CONNECTION, "close");
        let request = self.headers.iter().fold(request, |request, &(name, value)| request.header(name, value));
        request.body(Full::default()).map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))
    }

    async fn send_to(
        &self,
        addresses: &[SocketAddr],
        request: hyper::Request<Full<Bytes>>,
        body_bytes_max: usize,
    ) -> io::Result<Response> {
        let socket = TcpStream::connect(addresses).await?;
        if self.url.scheme == Scheme::Http {
            return exchange(socket, request, body_bytes_max).await;
        }
        let tls = self.tls.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "an https URL needs trust anchors"))?;
        let name = ServerName::try_from(self.url.address.host.clone()).map_err(io::Error::other)?;
        exchange(TlsConnector::from(Arc::clone(tls)).connect(name, socket).await?, request, body_bytes_max).await
    }
}

/// Sends a request over a connection of its own, and reads the response.
///
/// # Errors
/// When the head is longer than 16 KiB, cut short or not HTTP/1, or the body is cut short or longer
/// than `body_bytes_max`.
pub async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: hyper::Request<Full<Bytes>>,
    body_bytes_max: usize,
) -> io::Result<Response> {
    let connection = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connection.map_err(invalid_data)?;
    // Ends once the sender is dropped.
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.map_err(invalid_data)?.into_parts();
    let body = match head.status.is_success() {
        true => Limited::new(body, body_bytes_max).collect().await.map_err(invalid_data)?.to_bytes(),
        false => Bytes::new(),
    };
    Ok(Response { status: head.status, headers: head.headers, body })
}

/// A response, read to its end.
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body of a success; empty for any other status.
    pub body: Bytes,
}

fn invalid_data(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

/// The time until the deadline; an error when it has passed.
fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// The socket addresses of a name, each once; at least one.
///
/// # Errors
/// When the name has no address, or the resolver does not answer by the deadline.
pub fn resolve(host: &str, port: u16, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let name = host.to_owned();
    let (sender, receiver) = mpsc::channel();
    // The system's resolver takes no deadline, so its thread is left behind when it hangs.
    let look_up = move || drop(sender.send((name.as_str(), port).to_socket_addrs().map(Vec::from_iter)));
    std::thread::Builder::new().name("resolver".into()).spawn(look_up)?;
    let found = receiver.recv_timeout(time_left(deadline)?).map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(ErrorKind::NotFound.into()) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    /// A time that no test exceeds unless something hangs.
    const TEST_TIMEOUT: Duration = Duration::from_secs(20);

    /// A server on loopback that answers one request with these bytes, closes, and returns what it
    /// was sent.
    fn answer_once(answer: Vec<u8>) -> (Url, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}/path", listener.local_addr().unwrap())).unwrap();
        let serve = move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut chunk = [0; 512];
            while !request.ends_with(b"\r\n\r\n") {
                let length = stream.read(&mut chunk).unwrap();
                request.extend_from_slice(&chunk[..length]);
            }
            // A client that has seen enough may have closed already.
            let _ = stream.write_all(&answer);
            String::from_utf8(request).unwrap()
        };
        (url, std::thread::spawn(serve))
    }

    fn send(url: &Url, body_bytes_max: usize) -> io::Result<Response> {
        Request::get(url, Instant::now() + TEST_TIMEOUT).send(body_bytes_max)
    }

    /// The body of one answer, or the kind of the error.
    fn body_of(answer: impl Into<Vec<u8>>, bytes_max: usize) -> Result<String, ErrorKind> {
        let (url, server) = answer_once(answer.into());
        let response = send(&url, bytes_max).map_err(|error| error.kind());
        server.join().unwrap();
        response.map(|response| String::from_utf8(response.body.to_vec()).unwrap())
    }

    #[test]
    fn a_url_is_a_scheme_a_host_perhaps_a_port_and_perhaps_a_path() {
        for (text, address, path, shown) in [
            ("http://localhost", "localhost:80", "/", "http://localhost/"),
            ("https://localhost/dir?a=b", "localhost:443", "/dir?a=b", "https://localhost/dir?a=b"),
            ("http://[::1]:8000/", "[::1]:8000", "/", "http://[::1]:8000/"),
            ("http://10.0.0.1:1/health", "10.0.0.1:1", "/health", "http://10.0.0.1:1/health"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.address.to_string().as_str(), url.path.as_str(), url.to_string().as_str()), (address, path, shown));
        }
        for text in ["", "localhost:80", "ftp://a", "http://", "http://a b", "http://a/ HTTP/1.1", "http://a/\r\nX: y"] {
            assert_eq!(Url::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_request_is_whole_and_a_response_is_read_to_its_end() {
        let (url, server) = answer_once(b"HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 2\r\n\r\nhello".to_vec());
        let headers = [("X-Token", "abc")];
        let request = Request { method: Method::PUT, headers: &headers, ..Request::get(&url, Instant::now() + TEST_TIMEOUT) };
        let response = request.send(10).unwrap();
        assert_eq!((response.status, response.headers["date"].to_str().ok()), (StatusCode::OK, Some("today")));
        assert_eq!(response.body, "he", "Content-Length ends the body");
        let sent = server.join().unwrap().to_ascii_lowercase();
        assert!(sent.starts_with("put /path http/1.1\r\n") && sent.contains("\r\nx-token: abc\r\n"), "{sent}");
        assert!(sent.contains(&format!("\r\nhost: {}\r\n", url.address)) && sent.contains("\r\nconnection: close\r\n"), "{sent}");
    }

    #[test]
    fn a_body_has_a_bound_and_only_that_of_a_success_counts() {
        assert_eq!(body_of("HTTP/1.1 200 OK\r\n\r\nhello", 5), Ok("hello".into()));
        assert_eq!(body_of("HTTP/1.1 200 OK\r\n\r\nhello", 4), Err(ErrorKind::InvalidData));
        assert_eq!(body_of("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 9), Err(ErrorKind::InvalidData), "cut short");
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0A;x=1\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!((body_of(chunked, 13), body_of(chunked, 12)), (Ok("abc0123456789".into()), Err(ErrorKind::InvalidData)));
        assert_eq!(body_of("HTTP/1.1 404 Not Found\r\n\r\nhello", 4), Ok(String::new()));
    }

    #[test]
    fn a_head_that_is_endless_cut_short_or_not_http_is_an_error() {
        let endless = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 2 * HEAD_BYTES_MAX]].concat();
        for answer in [endless, b"HTTP/1.1 200 OK\r\nDate:".to_vec(), b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()] {
            assert_eq!(body_of(answer, 1), Err(ErrorKind::InvalidData));
        }
    }

    #[test]
    fn a_silent_server_is_waited_for_until_the_deadline_and_no_longer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let start = Instant::now();
        let error = Request::get(&url, start + Duration::from_millis(100)).send(1).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= Duration::from_millis(100) && start.elapsed() < TEST_TIMEOUT);
        assert_eq!(Request::get(&url, start).send(1).err().unwrap().kind(), ErrorKind::TimedOut, "a deadline that has passed");
    }

    #[test]
    fn a_header_cannot_smuggle_a_line() {
        let url = Url::parse("http://127.0.0.1:1/").unwrap();
        let headers = [("X-Token", "a\r\nX-Other: b")];
        let request = Request { headers: &headers, ..Request::get(&url, Instant::now() + TEST_TIMEOUT) };
        assert_eq!(request.send(1).err().unwrap().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn https_is_refused_without_trust_anchors() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
        assert_eq!(send(&url, 1).err().unwrap().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn each_address_of_a_name_is_tried() {
        let (url, server) = answer_once(b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
        let url = Url { address: BindAddress { host: "localhost".into(), ..url.address }, ..url };
        assert_eq!(send(&url, 0).unwrap().status, StatusCode::OK);
        server.join().unwrap();
        assert!(send(&url, 0).is_err());
        // The top-level domain .invalid never has an address (RFC 6761).
        assert!(resolve("no-such-host.invalid", 80, Instant::now() + TEST_TIMEOUT).is_err());
    }
}
