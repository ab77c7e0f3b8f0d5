//! Checks whether an authority could reach this server, before an order is made.
//!
//! A failed order costs one of a few, and these checks cost nothing. The directory has to answer,
//! and its clock has to agree with this machine's. The domain needs addresses, and a connection to
//! each of them, on the authority's port, has to arrive at this very server. That connection sends
//! a TLS hello with a server name made up for the purpose, which no other server can know. A router
//! that does not lead a machine back to itself fails the check although phones may connect; there
//! certificates from files are the way.

use crate::base::chance;
use crate::base::http_client::{Request, Url, resolve};
use crate::tls::AcmeOrder;
use crate::tls::resolver::{CertificateResolver, ReachProbe};
use hyper::header::DATE;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, ClientConnection};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::oneshot;

/// Time for each step: the directory's answer, a look-up, a connection.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest difference of the clocks.
const CLOCK_ERROR_MAX: Duration = Duration::from_secs(300);

/// The longest directory, in bytes: that of a real authority has some 1,000.
const DIRECTORY_BYTES_MAX: usize = 64 << 10;

/// Addresses of the domain that are tried, at most.
const ADDRESSES_MAX: usize = 8;

/// The first obstacle to an order.
#[expect(missing_docs, reason = "the messages say what failed")]
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    #[error("the directory {directory} cannot be asked: {error}")]
    NoDirectory { directory: String, error: io::Error },
    #[error("this machine's clock is wrong, or the directory's certificate is: {directory} shows one that is not valid today")]
    NotValidToday { directory: String },
    #[error("this machine's clock is {apart_s} s away from that of {directory}: set it (timedatectl set-ntp true)")]
    WrongClock { directory: String, apart_s: u64 },
    #[error("{domain} has no address in DNS: {error}")]
    NoAddress { domain: String, error: io::Error },
    #[error(
        "{address}, an address of {domain}, does not answer: is the port open in every firewall, for IPv4 and IPv6 each? ({error})"
    )]
    NoAnswer { domain: String, address: SocketAddr, error: io::Error },
    #[error("{address}, an address of {domain} in DNS, leads to another server than this one")]
    OtherServer { domain: String, address: SocketAddr },
    #[error("the check could not be run")]
    NotRun,
}

/// The checks before an order.
pub struct Preflight {
    order: AcmeOrder,
    client: Arc<ClientConfig>,
    /// The server name of the connection to this server.
    server_name: String,
    probe: Arc<ReachProbe>,
}

impl Preflight {
    /// The checks for an order; the connection to this server arrives at `resolver`.
    pub fn new(order: &AcmeOrder, resolver: &CertificateResolver, client: &Arc<ClientConfig>) -> Self {
        let server_name = format!("{}.preflight.invalid", chance::hex(16));
        let probe = resolver.expect_probe(&server_name);
        Self { order: order.clone(), client: Arc::clone(client), server_name, probe }
    }

    /// Runs all checks, on a thread of their own since they block. Dropping the future leaves the
    /// thread to its timeouts.
    ///
    /// # Errors
    /// The first obstacle.
    pub async fn run(self) -> Result<(), PreflightError> {
        let (sender, result) = oneshot::channel();
        let check = move || drop(sender.send(self.check()));
        if std::thread::Builder::new().name("preflight".into()).spawn(check).is_err() {
            return Err(PreflightError::NotRun);
        }
        result.await.unwrap_or(Err(PreflightError::NotRun))
    }

    fn check(&self) -> Result<(), PreflightError> {
        self.check_clock()?;
        let AcmeOrder { domain, port, .. } = &self.order;
        let found = resolve(domain, *port, Instant::now() + STEP_TIMEOUT);
        let addresses = found.map_err(|error| PreflightError::NoAddress { domain: domain.clone(), error })?;
        addresses.iter().take(ADDRESSES_MAX).try_for_each(|&address| self.check_address(address))
    }

    /// Compares the clocks, and so finds out whether the directory can be reached.
    fn check_clock(&self) -> Result<(), PreflightError> {
        let directory = self.order.directory.clone();
        let date = match date_of(&directory, &self.client) {
            Ok(date) => date,
            Err(error) if is_outside_validity(&error) => return Err(PreflightError::NotValidToday { directory }),
            Err(error) => return Err(PreflightError::NoDirectory { directory, error }),
        };
        let now = SystemTime::now();
        let apart = now.duration_since(date).or_else(|_| date.duration_since(now)).unwrap_or_default();
        if apart > CLOCK_ERROR_MAX {
            return Err(PreflightError::WrongClock { directory, apart_s: apart.as_secs() });
        }
        Ok(())
    }

    /// Connects to this server by one of its addresses.
    fn check_address(&self, address: SocketAddr) -> Result<(), PreflightError> {
        let domain = self.order.domain.clone();
        match self.send_hello(address) {
            // However the connection ended: it has arrived here.
            _ if self.probe.has_arrived() => Ok(()),
            Ok(()) => Err(PreflightError::OtherServer { domain, address }),
            Err(error) => Err(PreflightError::NoAnswer { domain, address, error }),
        }
    }

    /// Sends a hello with the made-up server name, and waits for any answer.
    fn send_hello(&self, address: SocketAddr) -> io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&address, STEP_TIMEOUT)?;
        stream.set_read_timeout(Some(STEP_TIMEOUT))?;
        stream.set_write_timeout(Some(STEP_TIMEOUT))?;
        let name = ServerName::try_from(self.server_name.clone()).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(Arc::clone(&self.client), name).map_err(io::Error::other)?;
        while tls.wants_write() {
            tls.write_tls(&mut stream)?;
        }
        stream.read(&mut [0; 64]).map(drop)
    }
}

/// The time of the directory's clock, from the `Date` of its answer.
fn date_of(directory: &str, client: &Arc<ClientConfig>) -> io::Result<SystemTime> {
    let url = Url::parse(directory).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "this is not a URL"))?;
    let request = Request { tls: Some(client), ..Request::get(&url, Instant::now() + STEP_TIMEOUT) };
    let response = request.send(DIRECTORY_BYTES_MAX)?;
    let date = response.headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    date.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer has no date"))
}

/// True if a certificate was refused because it has expired or is not valid yet.
fn is_outside_validity(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(
        inner,
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
        ))
    )
}
