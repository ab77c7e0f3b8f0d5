//! TLS in the process: https and wss through a real client, resumption, reloads, and bad
//! certificates.

use crate::credentials::{Authority, NAME, TODAY, Tunnel, connect, first_of, presented};
use crate::event_steps::{EVENT, numbers, prize};
use crate::http_client::{RequestBuilder, exchange};
use crate::test_server::{TIMEOUT, TestServer, poll, run_to_end};
use crate::websocket_client::{RawSocket, Socket, gapless};
use hyper::Method;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, SupportedProtocolVersion};
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// A server with a certificate of the authority, which speaks TLS, and plain HTTP beside it.
async fn start(cert: &Path, key: &Path) -> TestServer {
    start_with(cert, key, &[]).await
}

async fn start_with(cert: &Path, key: &Path, more: &[(&str, &str)]) -> TestServer {
    let defaults = [
        ("LUCKYDRAW_TLS_CERT", cert.to_str().unwrap()),
        ("LUCKYDRAW_TLS_KEY", key.to_str().unwrap()),
        ("LUCKYDRAW_PLAIN_BIND", "127.0.0.1:0"),
    ];
    TestServer::start_with(&[&defaults[..], more].concat()).await
}

/// An authority, a server with its certificate, and the address that speaks TLS.
async fn server_with_certificate() -> (Authority, TestServer, SocketAddr) {
    let authority = Authority::new();
    let (cert, key) = authority.files("usual", &[NAME], TODAY);
    let server = start(&cert, &key).await;
    let address = server.listening("https");
    (authority, server, address)
}

#[tokio::test]
async fn simulated_phones_come_by_tls_as_all_do() {
    let (_authority, server, _) = server_with_certificate().await;
    server.open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": [], "rehearsal": true})).await;
    server.simulate(10).await.ok();
    server.until_simulated("connected", 10).await;
    server.until_connected(10).await;
    assert_eq!(server.admin_get("stats").await["participant_count"], 10);
}

#[tokio::test]
async fn pages_and_calls_answer_under_both_versions_with_hsts() {
    let (authority, server, address) = server_with_certificate().await;
    server.open_event().await;
    for version in BOTH {
        let tunnel = Tunnel::to(address, authority.client(&[version], &["http/1.1"])).await;
        let page = RequestBuilder::new(tunnel.address, Method::GET, "/lottery").await;
        assert_eq!(page.status, 200);
        assert!(page.header("strict-transport-security").starts_with("max-age=63072000"), "{:?}", page.headers);
        for (host, place) in [("192.168.0.7:8443", "192.168.0.7:8443".to_owned()), ("localhost", address.to_string())] {
            let join = RequestBuilder::new(tunnel.address, Method::GET, &format!("/api/luckydraw/join?event_id={EVENT}"));
            let join = join.header("host", host).await.ok();
            assert_eq!(join["join_address"], format!("https://{place}/j/{EVENT}"), "phones get an https address");
        }
        let body =
            json!({"event_id": EVENT, "request_id": crate::event_steps::request_id(u64::from(u16::from(version.version)))});
        let register = RequestBuilder::new(tunnel.address, Method::POST, "/api/luckydraw/register").json(&body).await;
        register.expect_data(201);
        assert!(register.header("set-cookie").ends_with("; Secure"), "{:?}", register.headers);
        let login = RequestBuilder::new(tunnel.address, Method::POST, "/api/luckydraw/admin/login");
        let login = login.json(&json!({"token": crate::test_server::ADMIN_TOKEN})).await;
        assert!(login.header("set-cookie").ends_with("; Secure"), "{:?}", login.headers);
        let page = |origin: String| RequestBuilder::new(tunnel.address, Method::GET, "/health").header("origin", &origin);
        assert_eq!(page(format!("https://{}", tunnel.address)).await.status, 200);
        page(format!("http://{}", tunnel.address)).await.expect_refusal(403, "FORBIDDEN_ORIGIN");
    }
    let plain = server.request(Method::GET, "/health").await;
    assert_eq!(plain.header("strict-transport-security"), "", "a plain connection sets no policy");
    let plain = server.post("/register").json(&json!({"event_id": EVENT})).await;
    assert!(!plain.header("set-cookie").contains("Secure"), "or its cookie would be lost");
    assert!(server.printed().contains(&format!("https://{address}")), "{}", server.printed());
}

#[tokio::test]
async fn only_http_1_1_is_offered_and_it_is_the_default() {
    let (authority, _server, address) = server_with_certificate().await;
    for version in BOTH {
        for (offered, agreed) in [(&["h2", "http/1.1"][..], Some(&b"http/1.1"[..])), (&[], None)] {
            let stream = connect(address, &authority.client(&[version], offered)).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), agreed);
            assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        }
        for protocol in ["h2", "acme-tls/1"] {
            assert!(connect(address, &authority.client(&[version], &[protocol])).await.is_err(), "{protocol} is not supported");
        }
    }
}

#[tokio::test]
async fn a_phone_that_reconnects_resumes_by_its_ticket() {
    let (authority, _server, address) = server_with_certificate().await;
    for version in BOTH {
        let client = authority.client(&[version], &["http/1.1"]);
        let mut kinds = Vec::new();
        for _ in 0..3 {
            let mut stream = connect(address, &client).await.unwrap();
            // The ticket of TLS 1.3 arrives with the first answer.
            stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("it ends with a close_notify");
            assert!(answer.starts_with(b"HTTP/1.1 200"));
            kinds.push(stream.get_ref().1.handshake_kind().unwrap());
        }
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed], "{version:?}");
    }
}

#[tokio::test]
async fn an_event_over_wss_is_the_same_as_over_ws() {
    let (authority, server, address) = server_with_certificate().await;
    server.open_event().await;
    let phones = server.register_many(20).await;
    let tunnels = [
        Tunnel::to(address, authority.client(&[&TLS13], &[])).await,
        Tunnel::to(address, authority.client(&[&TLS12], &[])).await,
    ];
    let mut sockets = Vec::new();
    for (index, phone) in phones.iter().enumerate() {
        let query = format!("?token={}", phone.token);
        let listener = [tunnels[0].address, tunnels[1].address, server.address][index % 3];
        sockets.push(Socket::connect(listener, EVENT, &query, &[]).await.synced().await);
    }
    let mut winners = Vec::new();
    for name in ["TV", "자전거"] {
        winners.push(server.whole_draw(&prize(name)).await.1);
    }
    for socket in &mut sockets {
        socket.until("draw_complete").await;
        socket.until("draw_complete").await;
        socket.drain().await;
        let announced: Vec<_> = socket.received("winner_announced").iter().map(|frame| numbers(&frame["winners"])).collect();
        assert_eq!(announced, winners);
        gapless(&socket.numbered()).unwrap();
    }
    // A phone that was away gets every frame it missed.
    let seq = gapless(&sockets[0].numbered()).unwrap();
    let long = "x".repeat(150);
    for n in 0..200 {
        server.admin_post("draw/standby", &prize(&format!("{n} {long}"))).await.ok();
    }
    let epoch = sockets[0].numbered()[0]["epoch"].as_str().unwrap().to_owned();
    let query = format!("?token={}&since={seq}&epoch={epoch}", phones[0].token);
    for tunnel in &tunnels {
        let mut back = Socket::connect(tunnel.address, EVENT, &query, &[]).await.synced().await;
        assert_eq!(back.received("draw_standby").len(), 200);
        assert_eq!(back.numbered()[0]["seq"], seq + 1);
        gapless(&back.numbered()).unwrap();
        back.drain().await;
    }
}

#[tokio::test]
async fn close_codes_arrive_over_tls() {
    let (authority, server, address) = server_with_certificate().await;
    server.open_event().await;
    for version in BOTH {
        let tunnel = Tunnel::to(address, authority.client(&[version], &[])).await;
        let mut unknown_event = Socket::connect(tunnel.address, "no-such-event", "", &[]).await;
        assert_eq!(unknown_event.closed().await, 4404);
        let mut wrong_token = Socket::connect(tunnel.address, EVENT, "?token=made-up", &[]).await;
        assert_eq!(wrong_token.closed().await, 4401);
        let mut binary = RawSocket::connect(tunnel.address, EVENT).await;
        binary.write(&[0x82, 0x80, 0, 0, 0, 0]).await;
        assert_eq!(binary.closed().await, 1003);
    }
    let tunnel = Tunnel::to(address, authority.client(&[&TLS13], &[])).await;
    let mut last = Socket::connect(tunnel.address, EVENT, "", &[]).await.synced().await;
    server.terminate();
    assert_eq!(last.closed().await, 1012);
}

#[tokio::test]
async fn a_phone_that_stops_reading_is_evicted_and_the_others_get_every_frame() {
    let (authority, server, address) = server_with_certificate().await;
    server.open_event().await;
    server.register(1).await;
    let tunnel = Tunnel::to(address, authority.client(&[&TLS13], &[])).await;
    let mut reader = Socket::connect(tunnel.address, EVENT, "", &[]).await.synced().await;
    let mut stalled = stalled_socket(address, &authority).await;
    let long = "x".repeat(150);
    let mut sent = 0;
    loop {
        for _ in 0..50 {
            sent += 1;
            server.admin_post("draw/standby", &prize(&format!("{sent} {long}"))).await.ok();
        }
        if server.admin_get("stats").await["evicted"] == 1 {
            break;
        }
        assert!(sent < 10_000, "it was never evicted");
    }
    for _ in 0..sent {
        reader.until("draw_standby").await;
    }
    gapless(&reader.numbered()).unwrap();
    // Records are whole to the end, and the close frame comes last.
    let mut received = Vec::new();
    timeout(TIMEOUT, stalled.read_to_end(&mut received)).await.unwrap().expect("the stream ends with a close_notify");
    assert_eq!(received[received.len() - 4..], [0x88, 2, 0x11, 0x4e], "4430");
}

/// A socket that never reads after its handshake, with a tiny receive buffer.
async fn stalled_socket(address: SocketAddr, authority: &Authority) -> tokio_rustls::client::TlsStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let tcp = socket.connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(authority.client(&[&TLS13], &[]));
    let name = rustls::pki_types::ServerName::try_from(NAME).unwrap();
    let mut stream = connector.connect(name, tcp).await.unwrap();
    let request = format!(
        "GET /api/luckydraw/ws/{EVENT} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 101");
    stream
}

#[tokio::test]
async fn a_connection_without_a_whole_hello_is_closed() {
    let (_authority, server, address) = server_with_certificate().await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1]).await.unwrap();
    for stream in [&mut silent, &mut half] {
        let mut received = Vec::new();
        // A close or a reset; both free the connection's permit.
        let _ = timeout(TIMEOUT, stream.read_to_end(&mut received)).await.expect("the server closes the connection");
    }
    assert_eq!(server.request(Method::GET, "/health").await.status, 200);
}

#[tokio::test]
async fn plain_http_on_the_tls_port_gets_a_400_that_names_https() {
    let (_authority, _server, address) = server_with_certificate().await;
    let answer = exchange(address, b"GET /lottery HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https"), "{answer}");
    let answer = exchange(address, b"\x00\x01\x02 neither HTTP nor TLS").await;
    assert!(!answer.starts_with("HTTP/"), "{answer:?}");
}

#[tokio::test]
async fn a_new_certificate_is_reloaded_with_and_without_the_signal_and_a_bad_one_is_refused() {
    let authority = Authority::new();
    let (cert, key) = authority.files("first", &[NAME], TODAY);
    let server = start(&cert, &key).await;
    let (address, client) = (server.listening("https"), authority.client(&BOTH, &[]));
    let first = first_of(&cert);
    assert_eq!(presented(address, &client).await, Some(first.clone()));

    std::fs::write(&cert, authority.make(&[NAME], TODAY).0).unwrap();
    poll("the log says that the pair does not fit", || server.printed().contains("not that of the certificate").then_some(()))
        .await;
    assert_eq!(presented(address, &client).await, Some(first.clone()), "the old one stays in use");

    let (cert_text, key_text) = authority.make(&[NAME], TODAY);
    std::fs::write(&key, key_text).unwrap();
    std::fs::write(&cert, cert_text).unwrap();
    let second = first_of(&cert);
    wait_for_certificate(address, &client, &second).await;

    let third = authority.files("third", &[NAME], TODAY);
    std::fs::rename(third.1, &key).unwrap();
    std::fs::rename(third.0, &cert).unwrap();
    server.hang_up();
    wait_for_certificate(address, &client, &first_of(&cert)).await;

    std::fs::write(&cert, "not a certificate").unwrap();
    server.hang_up();
    poll("the log names the error", || server.printed().contains("holds no certificate").then_some(())).await;
    assert!(presented(address, &client).await.is_some());
}

async fn wait_for_certificate(
    address: SocketAddr,
    client: &std::sync::Arc<rustls::ClientConfig>,
    expected: &rustls::pki_types::CertificateDer<'static>,
) {
    let waiting = async {
        while presented(address, client).await.as_ref() != Some(expected) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, waiting).await.expect("the new certificate is presented");
}

#[tokio::test]
async fn the_signal_does_not_end_a_server_without_certificates() {
    let server = TestServer::start().await;
    server.hang_up();
    poll("the log says so", || server.printed().contains("nothing to be read again").then_some(())).await;
    assert_eq!(server.request(Method::GET, "/health").await.status, 200);
}

#[tokio::test]
async fn a_bad_certificate_is_reported_at_the_start() {
    let authority = Authority::new();
    let good = authority.files("good", &[NAME], TODAY);
    let other = authority.files("other", &[NAME], TODAY);
    let past = authority.files("past", &[NAME], (-90, -1));
    let future = authority.files("future", &[NAME], (1, 90));
    let (text, absent) = (authority.path("text"), authority.path("absent"));
    std::fs::write(&text, "a shopping list\n").unwrap();
    let damaged = authority.path("damaged");
    std::fs::write(&damaged, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    for (cert, key, domain, error) in [
        (&good.0, &other.1, "", "is not that of the certificate"),
        (&past.0, &past.1, "", "ended on"),
        (&future.0, &future.1, "", "clock says"),
        (&text, &good.1, "", "holds no certificate"),
        (&good.0, &text, "", "holds no private key"),
        (&good.0, &good.0, "", "holds no private key"),
        (&absent, &good.1, "", "cannot be read"),
        (&good.0, &absent, "", "cannot be read"),
        (&damaged, &good.1, "", "is damaged"),
        (&good.0, &good.1, "draw.example.kr", "is not for draw.example.kr"),
    ] {
        let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
        let settings = [("LUCKYDRAW_TLS_CERT", cert), ("LUCKYDRAW_TLS_KEY", key), ("LUCKYDRAW_DOMAIN", domain)];
        let (status, printed) = run_to_end(&[], &settings).await;
        assert_eq!(status.code(), Some(64), "{error}: {printed}");
        let lines: Vec<_> = printed.lines().filter(|line| line.starts_with("luckydraw: ")).collect();
        assert!(lines.len() == 1 && lines[0].contains(error), "one line says {error:?}: {printed}");
    }
}

#[tokio::test]
async fn the_redirect_listener_redirects_and_answers_nothing_else() {
    let authority = Authority::new();
    let (cert, key) = authority.files("usual", &[NAME], TODAY);
    let more = [("LUCKYDRAW_REDIRECT_BIND", "127.0.0.1:0"), ("LUCKYDRAW_DOMAIN", NAME)];
    let server = start_with(&cert, &key, &more).await;
    server.open_event().await;
    let printed = server.printed();
    let (_, rest) = printed.split_once("leading on to https from http://").expect("the address is printed");
    let address: SocketAddr = rest.lines().next().unwrap().parse().unwrap();
    let port = server.listening("https").port();
    for (method, path) in
        [(Method::GET, "/lottery?event=a"), (Method::POST, "/api/luckydraw/register"), (Method::GET, "/nowhere")]
    {
        let request = RequestBuilder::new(address, method, path).at_side_port().header("host", NAME).admin();
        let answer = request.json(&json!({"event_id": EVENT})).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (308, &*format!("https://{NAME}:{port}{path}")));
        assert_eq!((answer.header("connection"), answer.body.len()), ("close", 0));
    }
    assert_eq!(RequestBuilder::new(address, Method::GET, "/").at_side_port().header("host", "evil.example").await.status, 403);
    let refused = Socket::try_connect(address, EVENT, "", &[]).await;
    assert!(refused.is_err(), "no WebSocket is opened there");
    assert_eq!(server.admin_get("participants").await["total_count"], 0);
    let mut silent = TcpStream::connect(address).await.unwrap();
    silent.write_all(b"GET / HTT").await.unwrap();
    let mut received = Vec::new();
    let _ =
        timeout(TIMEOUT, silent.read_to_end(&mut received)).await.expect("the server closes a connection with half a request");
}
