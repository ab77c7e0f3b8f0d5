//! Where a request ends: improper HTTP/1.1 is refused, and no byte of one request is read as part
//! of another (request smuggling; RFC 9112, sections 2, 3, 6, 7 and 9).
//!
//! Each case is sent with one more request behind it, which asks for `OPTIONS *` and the end of the
//! connection. The statuses until the server closes then tell everything: a 204 at the end shows
//! that the connection goes on behind the case; without it, the connection was closed at the case.

use crate::event_steps::EVENT;
use crate::test_server::{TIMEOUT, TestServer};
use futures_util::{StreamExt, stream};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Name, bytes as Latin-1 text, and the statuses until the server closes.
type Case = (&'static str, String, &'static str);

/// Requests at once.
const CONCURRENCY: usize = 8;

/// The request behind each case.
const NEXT: &str = "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A request that would be answered with 200, hidden in another one's body.
const HIDDEN: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A body that its handler reads to the end, and answers with 404.
const BODY: &str = r#"{"event_id":"nowhere"}"#;

#[tokio::test]
async fn a_request_ends_where_it_says_or_ends_the_connection() {
    let server = TestServer::start().await;
    server.open_event().await;
    let cases =
        [request_lines(), line_ends(), fields(), hosts(), lengths(), encodings(), chunks(), bodies(), handshakes()].concat();
    assert!(cases.len() >= 220, "SECURITY names the number of cases: {}", cases.len());
    let answers = stream::iter(cases).map(|case| run(server.address, case)).buffer_unordered(CONCURRENCY);
    let wrong: Vec<String> = answers.filter_map(|wrong| async { wrong }).collect().await;
    assert!(wrong.is_empty(), "{} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Runs one case; returns how its answers differ from the expected ones.
async fn run(address: SocketAddr, (name, request, expected): Case) -> Option<String> {
    let bytes: Vec<u8> = (request + NEXT).chars().map(|c| u8::try_from(c).expect("a case is Latin-1")).collect();
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may close before it has read a case that is too large.
    let _ = stream.write_all(&bytes).await;
    let mut received = Vec::new();
    let reading = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut received)).await;
    assert!(reading.is_ok(), "{name}: the server neither answers nor closes");
    let received = String::from_utf8_lossy(&received);
    let statuses: Vec<&str> = received.split("HTTP/1.").skip(1).map(|answer| &answer[2..5]).collect();
    let statuses = statuses.join(" ");
    // HTTP/1.0 closes without saying so.
    let says_so = received.lines().any(|line| line.starts_with("connection: ") && line.ends_with("close"));
    let is_announced = says_so || received.starts_with("HTTP/1.0") || statuses == "101";
    if statuses != expected {
        return Some(format!("{name}: expected {expected:?}, got {statuses:?}: {}", received.lines().last().unwrap_or_default()));
    }
    (!statuses.is_empty() && !is_announced).then(|| format!("{name}: closes without `Connection: close`: {received}"))
}

/// A GET with this request line.
fn line(line: &str) -> String {
    format!("{line}\r\nHost: localhost\r\n\r\n")
}

/// A GET with further header lines.
fn get(lines: &str) -> String {
    format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

/// A POST with further header lines and a body.
fn post(lines: &str, body: &str) -> String {
    format!("POST /api/luckydraw/register HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n{body}")
}

fn request_lines() -> Vec<Case> {
    vec![
        ("a request", line("GET /healthz HTTP/1.1"), "200 204"),
        ("no version", line("GET /healthz"), "400"),
        ("HTTP/0.9", line("GET /healthz HTTP/0.9"), "400"),
        ("HTTP/1.2", line("GET /healthz HTTP/1.2"), "400"),
        ("HTTP/2.0", line("GET /healthz HTTP/2.0"), "400"),
        ("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), ""),
        ("a version in small letters", line("GET /healthz http/1.1"), "400"),
        ("a version without a dot", line("GET /healthz HTTP/11"), "400"),
        ("a version with a comma", line("GET /healthz HTTP/1,1"), "400"),
        ("a version with a zero in front", line("GET /healthz HTTP/01.1"), "400"),
        ("a word behind the version", line("GET /healthz HTTP/1.1 x"), "400"),
        ("a space behind the version", line("GET /healthz HTTP/1.1 "), "400"),
        ("two spaces before the target", line("GET  /healthz HTTP/1.1"), "400"),
        ("two spaces behind the target", line("GET /healthz  HTTP/1.1"), "400"),
        ("tabs for spaces", line("GET\t/healthz\tHTTP/1.1"), "400"),
        ("a space before the method", line(" GET /healthz HTTP/1.1"), "400"),
        ("no method", line("/healthz HTTP/1.1"), "400"),
        ("a bracket in the method", line("GE(T /healthz HTTP/1.1"), "400"),
        ("a method in small letters", line("get /healthz HTTP/1.1"), "405"),
        ("an unknown method", line("BREW /healthz HTTP/1.1"), "405"),
        ("TRACE", line("TRACE /healthz HTTP/1.1"), "405"),
        ("CONNECT to this server", line("CONNECT localhost:80 HTTP/1.1"), "400"),
        ("CONNECT to a path", line("CONNECT /healthz HTTP/1.1"), "405"),
        ("no target", line("GET  HTTP/1.1"), "400"),
        ("a target without a slash", line("GET healthz HTTP/1.1"), "400"),
        ("an authority as target", line("GET localhost:80 HTTP/1.1"), "400"),
        ("a space in the target", line("GET /health z HTTP/1.1"), "400"),
        ("a NUL in the target", line("GET /health\0z HTTP/1.1"), "400"),
        ("a control character in the target", line("GET /health\x01z HTTP/1.1"), "400"),
        ("DEL in the target", line("GET /health\x7fz HTTP/1.1"), "400"),
        ("Latin-1 in the target", line("GET /healthz\u{e9} HTTP/1.1"), "400"),
        ("quotes in the target", line("GET /\"<> HTTP/1.1"), "400"),
        ("a backslash as target", line("GET \\healthz HTTP/1.1"), "400"),
        ("a bad escape in the target", line("GET /%zz HTTP/1.1"), "404 204"),
        ("dots in the target", line("GET /../../etc/passwd HTTP/1.1"), "404 204"),
        ("a long target", line(&format!("GET /{} HTTP/1.1", "a".repeat(12_000))), "404 204"),
        ("too long a target", line(&format!("GET /{} HTTP/1.1", "a".repeat(20_000))), "431"),
        ("GET of the server as a whole", line("GET * HTTP/1.1"), "404 204"),
        ("OPTIONS of the server as a whole", line("OPTIONS * HTTP/1.1"), "204 204"),
        ("an absolute target", line("GET http://localhost/healthz HTTP/1.1"), "200 204"),
        ("an absolute target elsewhere", line("GET http://evil.example/healthz HTTP/1.1"), "400"),
        ("an absolute target with a user", line("GET http://a@localhost/healthz HTTP/1.1"), "400"),
        ("an absolute target under TLS", line("GET https://localhost/healthz HTTP/1.1"), "400"),
        ("an absolute target of FTP", line("GET ftp://localhost/healthz HTTP/1.1"), "400"),
        ("an absolute target without a host", line("GET http:///healthz HTTP/1.1"), "400"),
        ("no HTTP at all", "hello\r\n\r\n".into(), "400"),
        ("NULs", "\0".repeat(16), "400"),
        ("a TLS hello", "\x16\x03\x01\x02\0\x01\0".into(), "400"),
        ("HTTP/1.0", "GET /healthz HTTP/1.0\r\n\r\n".into(), "200"),
        ("HTTP/1.0 that stays", "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".into(), "200 204"),
        ("HTTP/1.0 to a foreign host", "GET /healthz HTTP/1.0\r\nHost: evil.example\r\n\r\n".into(), "403"),
    ]
}

/// A line may end with LF alone (RFC 9112, section 2.2); CR alone ends none.
fn line_ends() -> Vec<Case> {
    let empty_lines = "\r\n".repeat(3_000);
    vec![
        ("an empty line in front", format!("\r\n{}", get("")), "200 204"),
        ("empty lines in front", format!("{empty_lines}{}", get("")), "200 204"),
        ("LF behind the request line", "GET /healthz HTTP/1.1\nHost: localhost\r\n\r\n".into(), "200 204"),
        ("LF behind a header line", get("X: y\n"), "200 204"),
        ("LF as the empty line", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\n".into(), "200 204"),
        ("LF everywhere", "GET /healthz HTTP/1.1\nHost: localhost\n\n".into(), "200 204"),
        ("a length behind LF", post(&format!("X: y\nContent-Length: {}\r\n", BODY.len()), BODY), "404 204"),
        ("CR behind the request line", "GET /healthz HTTP/1.1\rHost: localhost\r\n\r\n".into(), "400"),
        ("CR behind a header line", get("X: y\rContent-Length: 5\r\n"), "400"),
        ("CR in a value", get("X: a\rb\r\n"), "400"),
        ("two CR", get("X: y\r\r\n"), "400"),
        ("a folded value", get("X: a\r\n b\r\n"), "400"),
        ("a value folded by a tab", get("X: a\r\n\tb\r\n"), "400"),
        ("a folded length", post("Content-Length:\r\n 22\r\n", BODY), "400"),
        ("a folded encoding", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), "400"),
        ("a folded request line", "GET /healthz HTTP/1.1\r\n Host: localhost\r\n\r\n".into(), "400"),
        ("a space before the first name", "GET /healthz HTTP/1.1\r\n X: y\r\nHost: localhost\r\n\r\n".into(), "400"),
    ]
}

fn fields() -> Vec<Case> {
    let many = |count: usize| get(&(0..count).map(|index| format!("X{index}: y\r\n")).collect::<String>());
    vec![
        ("a space before the colon", get("X : y\r\n"), "400"),
        ("a tab before the colon", get("X\t: y\r\n"), "400"),
        ("a space before a length's colon", post("Content-Length : 22\r\n", BODY), "400"),
        ("a space before an encoding's colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), "400"),
        ("no colon", get("X\r\n"), "400"),
        ("no name", get(": y\r\n"), "400"),
        ("a space in a name", get("X y: z\r\n"), "400"),
        ("a bracket in a name", get("X(: y\r\n"), "400"),
        ("an @ in a name", get("X@: y\r\n"), "400"),
        ("a NUL in a name", get("X\0: y\r\n"), "400"),
        ("Latin-1 in a name", get("X\u{e9}: y\r\n"), "400"),
        ("a NUL in a value", get("X: a\0b\r\n"), "400"),
        ("a control character in a value", get("X: a\x01b\r\n"), "400"),
        ("a vertical tab in a value", get("X: a\x0bb\r\n"), "400"),
        ("DEL in a value", get("X: a\x7fb\r\n"), "400"),
        ("UTF-8 in a value", get("X: \u{ea}\u{b9}\u{80}\r\n"), "200 204"),
        ("a tab in a value", get("X: a\tb\r\n"), "200 204"),
        ("spaces around a value", get("X: \t a \t \r\n"), "200 204"),
        ("99 more fields", many(99), "200 204"),
        ("101 more fields", many(101), "431"),
        ("a field of 8 KiB", get(&format!("X: {}\r\n", "y".repeat(8 << 10))), "200 204"),
        ("a field of 16 KiB", get(&format!("X: {}\r\n", "y".repeat(16 << 10))), "431"),
        ("a name of 16 KiB", get(&format!("{}: y\r\n", "N".repeat(16 << 10))), "431"),
        ("a close", get("Connection: close\r\n"), "200"),
        ("a close in a list", get("Connection: keep-alive, close\r\n"), "200"),
        ("a close and then none", get("Connection: close\r\nConnection: keep-alive\r\n"), "200"),
        ("another method in a header", get("X-HTTP-Method-Override: DELETE\r\n"), "200 204"),
        (
            "an upgrade to HTTP/2",
            get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
            "200 204",
        ),
    ]
}

fn hosts() -> Vec<Case> {
    let host = |lines: &str| format!("GET /healthz HTTP/1.1\r\n{lines}\r\n");
    vec![
        ("no host", host(""), "400"),
        ("an empty host", host("Host:\r\n"), "400"),
        ("the same host twice", host("Host: localhost\r\nHost: localhost\r\n"), "400"),
        ("two hosts", host("Host: localhost\r\nHost: evil.example\r\n"), "400"),
        ("two hosts in one line", host("Host: localhost, evil.example\r\n"), "400"),
        ("a host with a user", host("Host: a@localhost\r\n"), "400"),
        ("a host with a path", host("Host: localhost/x\r\n"), "400"),
        ("a host with a space", host("Host: local host\r\n"), "400"),
        ("a host with an escape", host("Host: %6cocalhost\r\n"), "400"),
        ("a host in Latin-1", host("Host: local\u{e9}\r\n"), "400"),
        ("a port out of range", host("Host: localhost:99999\r\n"), "400"),
        ("a port with a letter", host("Host: localhost:80x\r\n"), "400"),
        ("a bad IPv6 address", host("Host: [::g]\r\n"), "400"),
        ("a foreign host", host("Host: evil.example\r\n"), "403"),
        ("a host with a dot behind it", host("Host: localhost.\r\n"), "403"),
        ("a folded host", host("Host:\r\n localhost\r\n"), "400"),
        ("a host in small letters", host("host: LOCALHOST\r\n"), "200 204"),
        ("an IPv6 address", host("Host: [::1]:80\r\n"), "200 204"),
        ("a host behind a tab", host("Host:\tlocalhost\r\n"), "200 204"),
    ]
}

fn lengths() -> Vec<Case> {
    let length = |value: &str| post(&format!("Content-Length: {value}\r\n"), BODY);
    vec![
        ("a length", length("22"), "404 204"),
        ("a length with a zero in front", length("022"), "404 204"),
        ("a length between tabs", length("\t22\t"), "404 204"),
        ("the same length twice", post("Content-Length: 22\r\nContent-Length: 22\r\n", BODY), "404 204"),
        ("the same length twice in one line", length("22, 22"), "400"),
        ("two lengths", post("Content-Length: 22\r\nContent-Length: 0\r\n", BODY), "400"),
        ("two lengths in one line", length("22, 0"), "400"),
        ("no length in the line", length(""), "400"),
        ("a length with a plus", length("+22"), "400"),
        ("a negative length", length("-1"), "400"),
        ("a hexadecimal length", length("0x16"), "400"),
        ("a length with a fraction", length("22.0"), "400"),
        ("a length with an exponent", length("2e1"), "400"),
        ("a length with a space", length("2 2"), "400"),
        ("a length in quotes", length("\"22\""), "400"),
        ("a length in words", length("many"), "400"),
        ("a length in full-width digits", length("\u{ef}\u{bc}\u{92}"), "400"),
        ("a length of 2^64", length("18446744073709551616"), "400"),
        ("a length of 2^64 + 22", length("18446744073709551638"), "400"),
        ("a length of 2^64 - 1", length("18446744073709551615"), "431"),
        ("a length of 2^63", length("9223372036854775808"), "413"),
        ("an underscore for the hyphen", post("Content_Length: 22\r\n", ""), "422 204"),
        ("no length and no body", post("", ""), "422 204"),
        ("a body without a length", post("", BODY), "422 400"),
    ]
}

fn encodings() -> Vec<Case> {
    let chunked = |lines: &str| post(lines, &format!("16\r\n{BODY}\r\n0\r\n\r\n"));
    let encoding = |value: &str| chunked(&format!("Transfer-Encoding: {value}\r\n"));
    vec![
        ("chunks", encoding("chunked"), "404 204"),
        ("chunks in capitals", encoding("CHUNKED"), "404 204"),
        ("chunks behind a tab", encoding("\tchunked"), "404 204"),
        ("gzip", encoding("gzip"), "400"),
        ("gzip in chunks", encoding("gzip, chunked"), "400"),
        ("chunks in gzip", encoding("chunked, gzip"), "400"),
        ("chunks in chunks", encoding("chunked, chunked"), "400"),
        ("chunks in two lines", chunked("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "400"),
        ("identity", encoding("identity"), "400"),
        ("identity in chunks", encoding("identity, chunked"), "400"),
        ("identity and chunks in two lines", chunked("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"), "400"),
        ("chunks and identity in two lines", chunked("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), "400"),
        ("a letter before the encoding", encoding("xchunked"), "400"),
        ("a letter behind the encoding", encoding("chunkedx"), "400"),
        ("an encoding in quotes", encoding("\"chunked\""), "400"),
        ("an encoding with a parameter", encoding("chunked;a=b"), "400"),
        ("a comma before the encoding", encoding(",chunked"), "400"),
        ("a comma behind the encoding", encoding("chunked,"), "400"),
        ("no encoding in the line", encoding(""), "400"),
        ("a vertical tab before the encoding", encoding("\x0bchunked"), "400"),
        ("a NUL before the encoding", encoding("\0chunked"), "400"),
        ("a no-break space behind the encoding", encoding("chunked\u{c2}\u{a0}"), "400"),
        // RFC 9112, section 6.1: a server may read the chunks, and must close after the answer.
        ("a length and chunks", chunked("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"), "404"),
        ("chunks and a length", chunked("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"), "404"),
        (
            "chunks, a length and a wish to stay",
            chunked("Transfer-Encoding: chunked\r\nContent-Length: 4\r\nConnection: keep-alive\r\n"),
            "404",
        ),
        ("a bad length and chunks", chunked("Content-Length: x\r\nTransfer-Encoding: chunked\r\n"), "400"),
        ("chunks and a bad length", chunked("Transfer-Encoding: chunked\r\nContent-Length: x\r\n"), "404"),
        ("chunks in HTTP/1.0", encoding("chunked").replace("HTTP/1.1", "HTTP/1.0"), "400"),
        ("an underscore for the encoding's hyphen", chunked("Transfer_Encoding: chunked\r\n"), "422 400"),
    ]
}

fn chunks() -> Vec<Case> {
    let chunks = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    let sized = |size: &str| chunks(&format!("{size}\r\n{BODY}\r\n0\r\n\r\n"));
    let behind = |end: &str| chunks(&format!("16\r\n{BODY}\r\n{end}"));
    vec![
        ("two chunks", chunks(&format!("1\r\n{{\r\n15\r\n{}\r\n0\r\n\r\n", &BODY[1..])), "404 204"),
        ("a size with zeros in front", sized("00016"), "404 204"),
        ("a space behind a size", sized("16 "), "404 204"),
        ("an extension", sized("16;a=b"), "404 204"),
        ("an extension in quotes", sized("16;a=\"x;y\""), "404 204"),
        ("an extension of 17 KiB", sized(&format!("16;{}", "a".repeat(17 << 10))), "400"),
        ("LF in an extension", sized("16;a\nb"), "400"),
        ("CR in an extension", sized("16;a\rb"), "400"),
        ("no size", sized(""), "400"),
        ("a size in letters", sized("zz"), "400"),
        ("a size with 0x", sized("0x16"), "400"),
        ("a negative size", sized("-1"), "400"),
        ("a size with a plus", sized("+16"), "400"),
        ("a size with an underscore", sized("1_6"), "400"),
        ("a space before a size", sized(" 16"), "400"),
        ("a size of 2^64", sized("10000000000000000"), "400"),
        ("a size of 2^68 - 1", sized("fffffffffffffffff"), "400"),
        ("a size of 2^64 + 22", sized("10000000000000016"), "400"),
        ("a chunk shorter than its size", sized("17"), "400"),
        ("a chunk longer than its size", sized("15"), "400"),
        ("nothing behind a chunk", chunks(&format!("16\r\n{BODY}0\r\n\r\n")), "400"),
        ("LF behind a size", chunks(&format!("16\n{BODY}\r\n0\r\n\r\n")), "400"),
        ("LF behind a chunk", chunks(&format!("16\r\n{BODY}\n0\r\n\r\n")), "400"),
        ("LF behind the last size", behind("0\n\r\n"), "400"),
        ("LF as the end", behind("0\r\n\n"), "400"),
        ("CR as the end", behind("0\r\n\rX"), "400"),
        ("a trailer", behind("0\r\nX: y\r\n\r\n"), "400"),
        ("a trailer with a length", behind("0\r\nContent-Length: 5\r\n\r\n"), "400"),
        ("a bad trailer", behind("0\r\nX y\r\n\r\n"), "400"),
        ("a trailer of 17 KiB", behind(&format!("0\r\nX: {}\r\n\r\n", "y".repeat(17 << 10))), "400"),
        ("too many chunks", chunks(&format!("1000\r\n{}\r\n", "x".repeat(0x1000)).repeat(20)), "413"),
    ]
}

/// Bodies that nobody asked for, and requests hidden in bodies.
fn bodies() -> Vec<Case> {
    let hidden =
        |line: &str, more: &str| format!("{line}\r\nHost: localhost\r\nContent-Length: {}\r\n{more}\r\n{HIDDEN}", HIDDEN.len());
    let chunked = |line: &str| {
        format!("{line}\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len())
    };
    vec![
        ("a request hidden in a GET", hidden("GET /healthz HTTP/1.1", ""), "200 204"),
        ("a request hidden in a HEAD", hidden("HEAD /healthz HTTP/1.1", ""), "200 204"),
        ("a request hidden in an OPTIONS", hidden("OPTIONS * HTTP/1.1", ""), "204 204"),
        ("a request hidden in chunks of a GET", chunked("GET /healthz HTTP/1.1"), "200 204"),
        ("a request hidden in a body that is read", hidden("POST /api/luckydraw/register HTTP/1.1", ""), "422 204"),
        ("a request hidden behind a 404", hidden("POST /nothing HTTP/1.1", ""), "404 204"),
        ("a request hidden behind a 405", hidden("POST /healthz HTTP/1.1", ""), "405 204"),
        ("a request hidden behind a 401", hidden("POST /api/luckydraw/admin/gala-2026/reset HTTP/1.1", ""), "401 204"),
        ("a request hidden behind an unknown method", hidden("BREW /healthz HTTP/1.1", ""), "405"),
        (
            "a request hidden behind a foreign origin",
            hidden("POST /api/luckydraw/register HTTP/1.1", "Origin: http://evil.example\r\n"),
            "403 204",
        ),
        ("a request hidden behind a foreign host", hidden("POST /x HTTP/1.1", "").replace("localhost", "evil.example"), "403"),
        (
            "a request hidden behind a preflight",
            hidden("OPTIONS /api/luckydraw/register HTTP/1.1", "Access-Control-Request-Method: POST\r\n"),
            "204 204",
        ),
        ("two requests behind one that fails", format!("{}{}", post("Content-Length: x\r\n", BODY), HIDDEN), "400"),
        ("two requests behind a good one", format!("{}{}", get(""), get("Connection: close\r\n")), "200 200"),
        ("a body too large", post("Content-Length: 70000\r\n", &"x".repeat(70_000)), "413"),
        ("a body too large to ask for", post("Expect: 100-continue\r\nContent-Length: 99999999\r\n", ""), "413"),
        ("a body that is asked for", post("Expect: 100-continue\r\nContent-Length: 22\r\n", BODY), "100 404 204"),
        ("an expectation without a body", get("Expect: 100-continue\r\n"), "200 204"),
        ("an unknown expectation", post("Expect: teapot\r\nContent-Length: 22\r\n", BODY), "404 204"),
    ]
}

/// Upgrades. A proxy may take a refused one for accepted and forward whatever follows, so a refusal
/// closes. After a 101 the request behind is a broken frame, which closes too.
fn handshakes() -> Vec<Case> {
    const FIELDS: [(&str, &str); 5] = [
        ("Host", "localhost"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let handshake = |line: &str, without: &str, more: &str| {
        let fields = FIELDS.iter().filter(|(name, _)| *name != without);
        let fields: String = fields.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{line}\r\n{fields}{more}\r\n")
    };
    let target = format!("GET /api/luckydraw/ws/{EVENT} HTTP/1.1");
    let ws = |without: &str, more: &str| handshake(&target, without, more);
    let body = format!("Content-Length: {}\r\n", HIDDEN.len());
    vec![
        ("a handshake", ws("", ""), "101"),
        ("no host in a handshake", ws("Host", ""), "400"),
        ("no upgrade", ws("Upgrade", ""), "426 204"),
        ("no wish to upgrade", ws("Connection", ""), "426"),
        ("no version of the protocol", ws("Sec-WebSocket-Version", ""), "426"),
        ("no key", ws("Sec-WebSocket-Key", ""), "400"),
        ("an old version of the protocol", ws("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8\r\n"), "426"),
        ("two versions of the protocol", ws("", "Sec-WebSocket-Version: 8\r\n"), "400"),
        ("the same version twice", ws("", "Sec-WebSocket-Version: 13\r\n"), "400"),
        ("two keys", ws("", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), "400"),
        ("a short key", ws("Sec-WebSocket-Key", "Sec-WebSocket-Key: abc\r\n"), "400"),
        ("a key that is no base64", ws("Sec-WebSocket-Key", "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n"), "400"),
        ("a key of 18 bytes", ws("Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA\r\n"), "400"),
        ("a handshake by POST", handshake(&target.replace("GET", "POST"), "", ""), "405"),
        ("a handshake by POST with a request hidden", handshake(&target.replace("GET", "POST"), "", &body) + HIDDEN, "405"),
        ("a handshake in HTTP/1.0", handshake(&target.replace("1.1", "1.0"), "", ""), "400"),
        ("a handshake with a body", ws("", &body) + HIDDEN, "400"),
        ("a handshake with no chunks", ws("", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n", "400"),
        ("a handshake with chunks", ws("", "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n", "400"),
        ("a handshake that closes", ws("Connection", "Connection: close\r\n"), "426"),
        ("an upgrade to HTTP/2 in its place", ws("Upgrade", "Upgrade: h2c\r\n"), "426 204"),
        ("a handshake from a foreign page", ws("", "Origin: http://evil.example\r\n"), "403"),
        ("a handshake where no socket is", handshake("GET /healthz HTTP/1.1", "", ""), "200"),
        ("a handshake where nothing is", handshake("GET /nothing HTTP/1.1", "", ""), "404"),
        ("a handshake that expects to go on", ws("", "Expect: 100-continue\r\n"), "101"),
        (
            "extensions and protocols",
            ws("", "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n"),
            "101",
        ),
    ]
}
