//! A blocking HTTP/1.1 client for one small request: health checks, the cloud's metadata, an ACME
//! directory's clock, a round of drand.
//!
//! One deadline covers the whole exchange: name look-up, connection, TLS and every read. A head has
//! a bound here, and a body the caller's. hyper is not used: its client needs a runtime, and a
//! health check runs in a container once per few seconds. Redirects and keep-alive are not
//! supported, since none of the callers meets one. Nothing here retries.

use crate::base::address::{BindAddress, Scheme};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// The longest head of a response, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// The longest line before a chunk, in bytes.
const CHUNK_LINE_BYTES_MAX: usize = 256;

const TOO_LONG: &str = "the response's body is too long";

/// Bytes per read.
const READ_BYTES: usize = 2048;

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
    /// `GET`, `HEAD` or `POST`.
    pub method: &'r str,
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
        Self { method: "GET", url, headers: &[], tls: None, deadline }
    }

    /// Sends the request and reads the response's head.
    ///
    /// # Errors
    /// When no address answers in time, TLS fails, or the head is longer than 16 KiB, cut short or
    /// not HTTP/1.
    pub fn send(&self) -> io::Result<Response> {
        let Self { method, url, headers, tls, deadline } = self;
        if headers.iter().any(|(name, value)| name.chars().chain(value.chars()).any(char::is_control)) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "a header holds a control character"));
        }
        let socket = TimedStream::connect(&url.address, *deadline)?;
        let mut stream: Box<dyn Stream> = match (url.scheme, tls) {
            (Scheme::Http, _) => Box::new(socket),
            (Scheme::Https, Some(tls)) => {
                let name = ServerName::try_from(url.address.host.clone()).map_err(io::Error::other)?;
                let tls = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
                Box::new(StreamOwned::new(tls, socket))
            }
            (Scheme::Https, None) => return Err(io::Error::new(ErrorKind::InvalidInput, "an https URL needs trust anchors")),
        };
        let mut text = format!("{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: luckydraw\r\n", url.path, url.host_header());
        text.extend(headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
        if *method != "GET" {
            text.push_str("Content-Length: 0\r\n");
        }
        text.push_str("Connection: close\r\n\r\n");
        stream.write_all(text.as_bytes())?;
        stream.flush()?;
        Response::read_head(stream)
    }
}

/// A response whose head has been read.
pub struct Response {
    /// The status line, as `HTTP/1.1 200 OK`.
    pub status_line: String,
    /// The three digits of the status line.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The part of the body that has been read.
    received: Vec<u8>,
    stream: Box<dyn Stream>,
}

impl Response {
    fn read_head(mut stream: Box<dyn Stream>) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if bytes.len() >= HEAD_BYTES_MAX {
                return Err(invalid("the response's head is longer than 16 KiB"));
            }
            let mut chunk = [0; READ_BYTES];
            match stream.read(&mut chunk)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                length => bytes.extend_from_slice(&chunk[..length]),
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default().to_owned();
        let status = status_line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        let status = status.ok_or_else(|| invalid("the answer is not HTTP/1"))?;
        Ok(Self { status_line, status, headers, received: bytes.split_off(end + 4), stream })
    }

    /// The first header of this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Reads the body: its chunks, or up to its `Content-Length` or the end of the connection.
    ///
    /// # Errors
    /// When it is longer than `bytes_max`, cut short, malformed, not UTF-8 or late.
    pub fn read_body(mut self, bytes_max: usize) -> io::Result<String> {
        let body = match self.header("transfer-encoding") {
            Some(coding) if coding.eq_ignore_ascii_case("chunked") => self.read_chunks(bytes_max)?,
            Some(_) => return Err(io::Error::new(ErrorKind::Unsupported, "the response's body has an unknown coding")),
            None => self.read_plain(bytes_max)?,
        };
        String::from_utf8(body).map_err(|_| invalid("the response's body is not UTF-8"))
    }

    fn read_plain(&mut self, bytes_max: usize) -> io::Result<Vec<u8>> {
        let length = self.header("content-length").map(|text| text.parse::<usize>().map_err(|_| invalid("bad Content-Length")));
        let length = length.transpose()?;
        let wanted = length.unwrap_or(usize::MAX);
        while self.received.len() < wanted && self.received.len() <= bytes_max {
            match self.read_more()? {
                0 if length.is_some() => return Err(ErrorKind::UnexpectedEof.into()),
                0 => break,
                _ => {}
            }
        }
        let mut body = std::mem::take(&mut self.received);
        body.truncate(wanted);
        if body.len() > bytes_max { Err(invalid(TOO_LONG)) } else { Ok(body) }
    }

    /// Reads chunks (RFC 9112, section 7.1), up to the one of no bytes. Nothing after it counts.
    fn read_chunks(&mut self, bytes_max: usize) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.take_line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let is_hex = !size.is_empty() && size.bytes().all(|digit| digit.is_ascii_hexdigit());
            let size = usize::from_str_radix(size, 16).ok().filter(|_| is_hex).ok_or_else(|| invalid("bad chunk"))?;
            if size == 0 {
                return Ok(body);
            }
            if size > bytes_max - body.len() {
                return Err(invalid(TOO_LONG));
            }
            while self.received.len() < size {
                self.require_more()?;
            }
            body.extend(self.received.drain(..size));
            if !self.take_line()?.is_empty() {
                return Err(invalid("bad chunk"));
            }
        }
    }

    /// The next line of the body, without its end.
    fn take_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.received.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.received.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).map_err(|_| invalid("bad chunk"));
            }
            if self.received.len() > CHUNK_LINE_BYTES_MAX {
                return Err(invalid("bad chunk"));
            }
            self.require_more()?;
        }
    }

    fn require_more(&mut self) -> io::Result<()> {
        if self.read_more()? == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Appends what comes next to the body that has been read; the number of bytes.
    fn read_more(&mut self) -> io::Result<usize> {
        let mut chunk = [0; READ_BYTES];
        let count = self.stream.read(&mut chunk)?;
        self.received.extend_from_slice(&chunk[..count]);
        Ok(count)
    }
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, message)
}

/// A byte stream, with or without TLS.
trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// A TCP connection on which every read and write ends at one deadline.
pub struct TimedStream {
    socket: TcpStream,
    deadline: Instant,
}

impl TimedStream {
    /// Connects to the first address of the name that accepts.
    ///
    /// # Errors
    /// The last address's error; `TimedOut` at the deadline.
    pub fn connect(address: &BindAddress, deadline: Instant) -> io::Result<Self> {
        let mut last = io::Error::from(ErrorKind::NotFound);
        for address in resolve(&address.host, address.port, deadline)? {
            match Self::connect_to(address, deadline) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Connects to one address.
    ///
    /// # Errors
    /// When it refuses, or does not accept by the deadline.
    pub fn connect_to(address: SocketAddr, deadline: Instant) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, time_left(deadline)?)?;
        Ok(Self { socket, deadline })
    }
}

impl Read for TimedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(time_left(self.deadline)?))?;
        self.socket.read(buffer).map_err(name_timeout)
    }
}

impl Write for TimedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(time_left(self.deadline)?))?;
        self.socket.write(bytes).map_err(name_timeout)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// Linux reports a socket's timeout as `WouldBlock`, whose message tells an operator nothing.
fn name_timeout(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}

/// The time until the deadline; never zero, which a socket would take for no timeout at all.
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

    fn send(url: &Url) -> io::Result<Response> {
        Request::get(url, Instant::now() + TEST_TIMEOUT).send()
    }

    fn body_of(answer: &str, bytes_max: usize) -> Result<String, ErrorKind> {
        let (url, server) = answer_once(answer.as_bytes().to_vec());
        let body = send(&url).unwrap().read_body(bytes_max).map_err(|error| error.kind());
        server.join().unwrap();
        body
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
        let request = Request { method: "PUT", headers: &headers, ..Request::get(&url, Instant::now() + TEST_TIMEOUT) };
        let response = request.send().unwrap();
        assert_eq!((response.status, response.status_line.as_str()), (200, "HTTP/1.1 200 OK"));
        assert_eq!((response.header("date"), response.header("server")), (Some("today"), None));
        assert_eq!(response.read_body(10).unwrap(), "he", "Content-Length ends the body");
        let sent = server.join().unwrap();
        assert!(sent.starts_with("PUT /path HTTP/1.1\r\n") && sent.contains("\r\nX-Token: abc\r\n"), "{sent}");
        assert!(sent.contains(&format!("\r\nHost: {}\r\n", url.address)) && sent.contains("\r\nConnection: close\r\n"), "{sent}");
    }

    #[test]
    fn a_body_ends_with_the_connection_and_has_a_bound() {
        assert_eq!(body_of("HTTP/1.1 200 OK\r\n\r\nhello", 5), Ok("hello".into()));
        assert_eq!(body_of("HTTP/1.1 200 OK\r\n\r\nhello", 4), Err(ErrorKind::InvalidData));
        assert_eq!(body_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 4), Err(ErrorKind::InvalidData));
        assert_eq!(body_of("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 9), Err(ErrorKind::UnexpectedEof));
        assert_eq!(body_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n", 9), Err(ErrorKind::Unsupported));
    }

    #[test]
    fn a_head_that_is_endless_cut_short_or_not_http_is_an_error() {
        let endless = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 2 * HEAD_BYTES_MAX]].concat();
        for (answer, kind) in [
            (endless, ErrorKind::InvalidData),
            (b"HTTP/1.1 200 OK\r\nDate:".to_vec(), ErrorKind::UnexpectedEof),
            (b"SSH-2.0-OpenSSH\r\n\r\n".to_vec(), ErrorKind::InvalidData),
        ] {
            let (url, server) = answer_once(answer);
            assert_eq!(send(&url).err().map(|error| error.kind()), Some(kind));
            server.join().unwrap();
        }
    }

    #[test]
    fn a_silent_server_is_waited_for_until_the_deadline_and_no_longer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let start = Instant::now();
        let error = Request::get(&url, start + Duration::from_millis(100)).send().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= Duration::from_millis(100) && start.elapsed() < TEST_TIMEOUT);
        assert_eq!(Request::get(&url, start).send().err().unwrap().kind(), ErrorKind::TimedOut, "a deadline that has passed");
    }

    #[test]
    fn a_chunked_body_is_put_together_and_bounded() {
        let chunked = |chunks: &str, max| body_of(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"), max);
        assert_eq!(chunked("3\r\nabc\r\n0A;x=1\r\n0123456789\r\n0\r\n\r\n", 13), Ok("abc0123456789".into()));
        assert_eq!(chunked("0\r\n\r\n", 0), Ok(String::new()));
        for (chunks, kind) in [
            ("3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n", ErrorKind::InvalidData),
            ("ffffffffffffffff\r\nabc", ErrorKind::InvalidData),
            ("fffffffffffffffff\r\nabc", ErrorKind::InvalidData),
            ("+3\r\nabc\r\n0\r\n\r\n", ErrorKind::InvalidData),
            ("\r\n", ErrorKind::InvalidData),
            ("3\r\nabcd\r\n0\r\n\r\n", ErrorKind::InvalidData),
            ("3\r\nab", ErrorKind::UnexpectedEof),
            ("3\r\nabc\r\n", ErrorKind::UnexpectedEof),
        ] {
            assert_eq!(chunked(chunks, 12), Err(kind), "{chunks:?}");
        }
        assert_eq!(chunked(&"1".repeat(1_000), 12), Err(ErrorKind::InvalidData), "a line without an end");
    }

    #[test]
    fn a_header_cannot_smuggle_a_line() {
        let url = Url::parse("http://127.0.0.1:1/").unwrap();
        let headers = [("X-Token", "a\r\nX-Other: b")];
        let request = Request { headers: &headers, ..Request::get(&url, Instant::now() + TEST_TIMEOUT) };
        assert_eq!(request.send().err().unwrap().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn https_is_refused_without_trust_anchors() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
        assert_eq!(send(&url).err().unwrap().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn each_address_of_a_name_is_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let deadline = Instant::now() + TEST_TIMEOUT;
        assert!(TimedStream::connect(&BindAddress { host: "localhost".into(), port }, deadline).is_ok());
        drop(listener);
        assert!(TimedStream::connect(&BindAddress { host: "localhost".into(), port }, deadline).is_err());
        // The top-level domain .invalid never has an address (RFC 6761).
        assert!(resolve("no-such-host.invalid", 80, deadline).is_err());
    }
}
