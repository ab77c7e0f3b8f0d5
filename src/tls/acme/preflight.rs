//! Whether an authority could find its way here, asked before it is called.
//!
//! A failed order costs one of a few tries; these questions cost nothing. Is the directory there, and does its clock agree with this machine's? Does the
//! domain have addresses, and does a call to each of them, on the authority's port, come in at this very server? The call is a TLS hello that asks for
//! a name made up for the purpose: whoever else answers there cannot know it. A router that does not lead a machine back to itself
//! fails it although the street may come in; then certificates from files are the way.

use crate::tls::resolver::{Call, CertificateResolver};
use crate::tls::settings::AcmeOrder;
use hyper::Uri;
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long each step may take: a look-up, a connection, an answer.
const STEP_TIME_MAX: Duration = Duration::from_secs(10);

/// How far the clocks may be apart.
const CLOCK_ERROR_MAX: Duration = Duration::from_secs(300);

/// The most of an answer that is read to find its date.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// The most addresses of a domain that are called.
const ADDRESSES_MAX: usize = 8;

/// What is in the way of an order.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    #[error("the directory {directory} cannot be asked: {error}")]
    NoDirectory { directory: String, error: io::Error },
    #[error("this machine's clock is wrong, or the directory's certificate is: {directory} shows one that is not good today")]
    OtherDay { directory: String },
    #[error("this machine's clock is {apart_s} s away from that of {directory}: set it (timedatectl set-ntp true)")]
    WrongClock { directory: String, apart_s: u64 },
    #[error("{domain} has no address in DNS: {error}")]
    NoAddress { domain: String, error: io::Error },
    #[error(
        "{address}, an address of {domain}, does not answer: is the port open in every firewall, for IPv4 and IPv6 each? ({error})"
    )]
    NoAnswer { domain: String, address: SocketAddr, error: io::Error },
    #[error("{address}, an address of {domain} in DNS, leads to another server than this one")]
    Elsewhere { domain: String, address: SocketAddr },
    #[error("the question could not be asked")]
    NotAsked,
}

/// The questions before an order.
pub struct Preflight {
    order: AcmeOrder,
    client: Arc<ClientConfig>,
    /// The name that the call asks for, and where it is noted.
    name: String,
    call: Arc<Call>,
}

impl Preflight {
    /// The questions for an order; `shelf` is where the call to oneself comes in.
    pub fn new(order: &AcmeOrder, shelf: &CertificateResolver, client: &Arc<ClientConfig>) -> Self {
        let mut secret = [0; 16];
        // Without chance the name could be guessed, and a wrong address would pass: the practice order finds that.
        let _ = SystemRandom::new().fill(&mut secret);
        let name = format!("{}.preflight.invalid", data_encoding::HEXLOWER.encode(&secret));
        Self { order: order.clone(), client: Arc::clone(client), call: shelf.expect(&name), name }
    }

    /// Asks them all.
    ///
    /// # Errors
    /// The first that is in the way.
    pub async fn make(self) -> Result<(), Obstacle> {
        // They wait for the network in plain words, each for a bounded time, on a thread of their own.
        tokio::task::spawn_blocking(move || self.ask()).await.unwrap_or(Err(Obstacle::NotAsked))
    }

    fn ask(&self) -> Result<(), Obstacle> {
        self.check_clock()?;
        let AcmeOrder { domain, port, .. } = &self.order;
        let found = (domain.as_str(), *port).to_socket_addrs();
        let addresses: Vec<_> = found.map_err(|error| Obstacle::NoAddress { domain: domain.clone(), error })?.collect();
        addresses.iter().take(ADDRESSES_MAX).try_for_each(|&address| self.call(address))
    }

    /// Compares the clocks. What is wrong with the way to the directory is found too.
    fn check_clock(&self) -> Result<(), Obstacle> {
        let directory = &self.order.directory;
        let date = date_of(directory, &self.client).map_err(|error| match is_other_day(&error) {
            true => Obstacle::OtherDay { directory: directory.clone() },
            false => Obstacle::NoDirectory { directory: directory.clone(), error },
        })?;
        let now = SystemTime::now();
        let apart = now.duration_since(date).or_else(|_| date.duration_since(now)).unwrap_or_default();
        match apart > CLOCK_ERROR_MAX {
            true => Err(Obstacle::WrongClock { directory: directory.clone(), apart_s: apart.as_secs() }),
            false => Ok(()),
        }
    }

    /// Calls this server by one of its addresses.
    fn call(&self, address: SocketAddr) -> Result<(), Obstacle> {
        let domain = self.order.domain.clone();
        match self.say_hello(address) {
            // Whoever was called may hang up in any way: what counts is who it was.
            _ if self.call.has_come() => Ok(()),
            Ok(()) => Err(Obstacle::Elsewhere { domain, address }),
            Err(error) => Err(Obstacle::NoAnswer { domain, address, error }),
        }
    }

    /// Says a hello that asks for the made-up name, and waits for whatever comes.
    fn say_hello(&self, address: SocketAddr) -> io::Result<()> {
        let mut socket = connect(address)?;
        let name = ServerName::try_from(self.name.clone()).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(Arc::clone(&self.client), name).map_err(io::Error::other)?;
        while tls.wants_write() {
            tls.write_tls(&mut socket)?;
        }
        socket.read(&mut [0; 64]).map(drop)
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, STEP_TIME_MAX)?;
    socket.set_read_timeout(Some(STEP_TIME_MAX))?;
    socket.set_write_timeout(Some(STEP_TIME_MAX))?;
    Ok(socket)
}

/// What a server's clock says, as its answer tells.
fn date_of(directory: &str, client: &Arc<ClientConfig>) -> io::Result<SystemTime> {
    let wrong = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
    let uri: Uri = directory.parse().map_err(|_| wrong("that is no address"))?;
    let authority = uri.authority().ok_or_else(|| wrong("the address has no host"))?;
    let (host, port) = (authority.host(), authority.port_u16().unwrap_or(443));
    let address =
        (host.trim_matches(['[', ']']), port).to_socket_addrs()?.next().ok_or_else(|| wrong("the host has no address"))?;
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)?;
    let tls = ClientConnection::new(Arc::clone(client), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(tls, connect(address)?);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: luckydraw\r\nConnection: close\r\n\r\n")?;
    let head = read_head(&mut stream)?;
    let date = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then(|| httpdate::parse_http_date(value.trim()).ok())?
    });
    date.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it does not say what its clock says"))
}

fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let (mut head, mut room) = (Vec::new(), [0; 2048]);
    while head.len() < HEAD_BYTES_MAX && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut room)? {
            0 => break,
            count => head.extend_from_slice(&room[..count]),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Whether a certificate was refused for its time.
fn is_other_day(error: &io::Error) -> bool {
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
