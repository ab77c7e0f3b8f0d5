//! Certificates for tests and TLS clients: a real rustls client, and a tunnel that puts any other
//! test client behind TLS.

use crate::test_server::TIMEOUT;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The host name in certificates.
pub const NAME: &str = "localhost";

/// A certificate authority of the tests, with a folder for its files.
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    pub root: CertificateDer<'static>,
}

/// Validity of a certificate: first and last day, relative to now.
pub type Days = (i64, i64);

/// Valid today.
pub const TODAY: Days = (-1, 90);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        let folder = tempfile::tempdir().unwrap();
        Self { folder, issuer: Issuer::new(params, key), root }
    }

    /// The path of a file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the root certificate as PEM and returns the path.
    pub fn root_file(&self) -> PathBuf {
        let path = self.path("root.pem");
        std::fs::write(&path, pem("CERTIFICATE", &self.root)).unwrap();
        path
    }

    /// A certificate for `names` and its key, both as PEM.
    pub fn make(&self, names: &[&str], (from, until): Days) -> (String, String) {
        let mut params = CertificateParams::new(names.iter().map(|name| name.to_string()).collect::<Vec<_>>()).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = OffsetDateTime::now_utc() + Duration::days(from);
        params.not_after = OffsetDateTime::now_utc() + Duration::days(until);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Writes a certificate and its key to `stem.pem` and `stem.key` and returns their paths.
    pub fn files(&self, stem: &str, names: &[&str], days: Days) -> (PathBuf, PathBuf) {
        let (cert, key) = (self.path(&format!("{stem}.pem")), self.path(&format!("{stem}.key")));
        let (cert_text, key_text) = self.make(names, days);
        std::fs::write(&cert, cert_text).unwrap();
        std::fs::write(&key, key_text).unwrap();
        (cert, key)
    }

    /// A client that trusts this authority.
    pub fn client(&self, versions: &[&'static SupportedProtocolVersion], protocols: &[&str]) -> Arc<ClientConfig> {
        client_trusting([self.root.clone()], versions, protocols)
    }
}

/// A client that trusts these roots.
pub fn client_trusting(
    trusted: impl IntoIterator<Item = CertificateDer<'static>>,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    trusted.into_iter().for_each(|root| roots.add(root).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Connects and completes the handshake, as a browser does.
///
/// # Errors
/// The connection's or the handshake's.
pub async fn connect(address: SocketAddr, client: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from(NAME).unwrap();
    timeout(TIMEOUT, TlsConnector::from(Arc::clone(client)).connect(name, tcp)).await.expect("a handshake ends")
}

/// The certificate that a server presents.
pub async fn presented(address: SocketAddr, client: &Arc<ClientConfig>) -> Option<CertificateDer<'static>> {
    let stream = connect(address, client).await.ok()?;
    Some(stream.get_ref().1.peer_certificates()?[0].clone().into_owned())
}

/// The first certificate in a file.
pub fn first_of(path: &Path) -> CertificateDer<'static> {
    use rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_file(path).unwrap()
}

/// A tunnel that accepts plain connections and forwards them over TLS. Dropping it stops accepting.
pub struct Tunnel {
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Tunnel {
    pub async fn to(server: SocketAddr, client: Arc<ClientConfig>) -> Self {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            while let Ok((mut client_side, _)) = listener.accept().await {
                let client = Arc::clone(&client);
                tokio::spawn(async move {
                    if let Ok(mut server_side) = connect(server, &client).await {
                        let _ = copy_bidirectional(&mut client_side, &mut server_side).await;
                    }
                });
            }
        });
        Self { address, accepting }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", data_encoding::BASE64.encode(der))
}
