//! Certificates that the server orders itself from a real authority: Debian's pebble, on loopback.

use crate::credentials::{Authority, NAME, TODAY, Tunnel, client_trusting, connect, presented};
use crate::http_client::RequestBuilder;
use crate::test_server::{TIMEOUT, TestServer, poll};
use hyper::Method;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A running pebble, whose own certificate is from the tests' authority. Dropping it kills it.
struct Pebble {
    child: Child,
    authority: Authority,
    port: u16,
    /// The address that serves its roots.
    management: SocketAddr,
    log: PathBuf,
}

impl Pebble {
    /// Starts a pebble that validates on `tls_port` and issues certificates of this validity.
    async fn start(tls_port: u16, validity_s: u32) -> Self {
        let authority = Authority::new();
        let (cert, key) = authority.files("pebble", &[NAME, "127.0.0.1"], TODAY);
        let (port, management) = (free_port(), SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"), "managementListenAddress": management.to_string(), "certificate": cert,
            "privateKey": key, "httpPort": 1, "tlsPort": tls_port, "ocspResponderURL": "",
            "externalAccountBindingRequired": false, "certificateValidityPeriod": validity_s,
        }});
        let (config_file, log) = (authority.path("pebble.json"), authority.path("pebble.log"));
        std::fs::write(&config_file, config.to_string()).unwrap();
        let output = File::create(&log).unwrap();
        let mut command = Command::new("pebble");
        command.arg("-config").arg(&config_file).env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
        command.stdout(output.try_clone().unwrap()).stderr(output).stdin(std::process::Stdio::null());
        let child = command.env("PEBBLE_WFE_NONCEREJECT", "0").spawn().expect("Debian's package pebble is installed");
        let pebble = Self { child, authority, port, management, log };
        poll("pebble listens", || pebble.output().contains("ACME directory available").then_some(())).await;
        pebble
    }

    fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Orders that it received.
    fn orders(&self) -> usize {
        self.output().matches("orders in the db").count()
    }

    /// A client that trusts what it issues.
    async fn client(&self) -> Arc<ClientConfig> {
        let tunnel = Tunnel::to(self.management, self.authority.client(&[&TLS13, &TLS12], &[])).await;
        let root = RequestBuilder::new(tunnel.address, Method::GET, "/roots/0").await;
        client_trusting([CertificateDer::from_pem_slice(&root.body).unwrap()], &[&TLS13, &TLS12], &[])
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- pebble's output:\n{}", self.output());
        }
    }
}

/// A port without a listener.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A server that orders its certificate from `pebble` and speaks TLS on `port`.
async fn ordering_server(pebble: &Pebble, port: u16, more: &[(&str, &str)]) -> TestServer {
    let (bind, port) = (format!("127.0.0.1:{port}"), port.to_string());
    let (directory, root) = (format!("https://{NAME}:{}/dir", pebble.port), pebble.authority.root_file());
    let defaults = [
        ("LUCKYDRAW_BIND", bind.as_str()),
        ("LUCKYDRAW_PLAIN_BIND", "127.0.0.1:0"),
        ("LUCKYDRAW_DOMAIN", NAME),
        ("LUCKYDRAW_ACME_CONTACT", "ops@example.kr"),
        ("LUCKYDRAW_ACME_DIRECTORY", &directory),
        ("LUCKYDRAW_ACME_CA", root.to_str().unwrap()),
        ("LUCKYDRAW_ACME_PORT", &port),
    ];
    TestServer::start_with(&[&defaults[..], more].concat()).await
}

/// Waits until the server presents a certificate other than `but`.
async fn wait_for_certificate(
    address: SocketAddr,
    client: &Arc<ClientConfig>,
    but: Option<&CertificateDer<'_>>,
) -> CertificateDer<'static> {
    let deadline = Instant::now() + 2 * TIMEOUT;
    loop {
        match presented(address, client).await {
            Some(cert) if Some(&cert) != but => return cert,
            _ => assert!(Instant::now() < deadline, "no certificate within the deadline"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_staging_order_comes_first_and_the_certificate_survives_a_restart() {
    let port = free_port();
    let pebble = Pebble::start(port, 90 * 86_400).await;
    let staging = format!("https://127.0.0.1:{}/dir", pebble.port);
    let mut server = ordering_server(&pebble, port, &[("LUCKYDRAW_ACME_STAGING", &staging)]).await;
    let (address, client) = (server.listening("https"), pebble.client().await);
    let first = wait_for_certificate(address, &client, None).await;
    assert_eq!(pebble.orders(), 2, "one from staging, one from production");
    let (staged, ordered) = (server.printed().find(&staging), server.printed().rfind(&format!("{NAME}:{}/dir", pebble.port)));
    assert!(staged.is_some() && staged < ordered, "staging comes first");

    let folder = server.data_dir().join("acme");
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "pem")).count() == 1, "{files:?}");
    for path in files.iter().chain([&folder]) {
        let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} is private: {mode:o}", path.display());
    }

    let challenge_client = Arc::new({
        let mut config = ClientConfig::clone(&client);
        config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
        config
    });
    assert!(connect(address, &challenge_client).await.is_err(), "the challenge certificate is presented only during an order");

    server.kill();
    server.restart().await;
    assert_eq!(wait_for_certificate(address, &client, None).await, first, "the saved one is presented at once");
    assert_eq!(pebble.orders(), 2, "nothing is ordered again");
}

#[tokio::test]
async fn a_certificate_is_renewed_when_a_third_of_its_validity_is_left() {
    let port = free_port();
    let pebble = Pebble::start(port, 15).await;
    let server = ordering_server(&pebble, port, &[]).await;
    let (address, client) = (server.listening("https"), pebble.client().await);
    let first = wait_for_certificate(address, &client, None).await;
    wait_for_certificate(address, &client, Some(&first)).await;
}

#[tokio::test]
async fn a_failed_order_is_not_repeated_at_once_even_after_a_restart() {
    let port = free_port();
    // Pebble validates on a port without a listener.
    let pebble = Pebble::start(free_port(), 90 * 86_400).await;
    let mut server = ordering_server(&pebble, port, &[]).await;
    poll("the order has failed", || server.printed().contains("no certificate was obtained").then_some(())).await;
    assert_eq!(pebble.orders(), 1);
    server.hang_up();
    server.kill();
    server.restart().await;
    poll("the log says that it waits", || server.printed().contains("the next order waits").then_some(())).await;
    server.hang_up();
    assert_eq!(
        RequestBuilder::new(server.listening("http"), Method::GET, "/health").await.status,
        200,
        "the server serves while it waits"
    );
    server.terminate();
    server.ended().await;
    assert_eq!(pebble.orders(), 1, "no second order was made");
}

#[tokio::test]
async fn nothing_is_ordered_while_the_domain_resolves_elsewhere() {
    let (port, elsewhere) = (free_port(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let pebble = Pebble::start(port, 90 * 86_400).await;
    let closed = free_port().to_string();
    let server = ordering_server(&pebble, port, &[("LUCKYDRAW_ACME_PORT", &closed)]).await;
    poll("the log says that nothing answers there", || server.printed().contains("does not answer").then_some(())).await;
    drop(server);

    let other = elsewhere.local_addr().unwrap().port().to_string();
    let answering = std::thread::spawn(move || drop(elsewhere.accept()));
    let server = ordering_server(&pebble, port, &[("LUCKYDRAW_ACME_PORT", &other)]).await;
    let is_logged = || server.printed().contains("another server than this one") || server.printed().contains("does not answer");
    poll("the log says that another server answers there", || is_logged().then_some(())).await;
    drop(server);
    answering.join().unwrap();

    let server = ordering_server(&pebble, port, &[("LUCKYDRAW_DOMAIN", "no-such-host.invalid")]).await;
    poll("the log says that the name has no address", || server.printed().contains("has no address in DNS").then_some(())).await;
    assert_eq!(pebble.orders(), 0);
}
