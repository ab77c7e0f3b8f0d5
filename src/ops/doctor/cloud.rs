//! The cloud's metadata about this machine: its public address, which it does not know otherwise.
//!
//! Amazon's machines, Lightsail's among them, ask at a link-local address (IMDSv2). Only a machine
//! whose firmware names Amazon asks, since elsewhere that address may be anybody's.

use crate::base::address::{BindAddress, Scheme};
use crate::base::http_client::{Request, Url};
use hyper::Method;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// The address of the metadata service.
const METADATA: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);

/// Time for each of its answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 4096;

/// Reads from the firmware if this is one of Amazon's machines.
pub fn is_amazon() -> bool {
    std::fs::read_to_string("/sys/class/dmi/id/sys_vendor").unwrap_or_default().starts_with("Amazon EC2")
}

/// The public IPv4 address, on a machine of Amazon's that has one.
pub fn public_address() -> Option<IpAddr> {
    if is_amazon() { fetch_address(METADATA).ok().flatten() } else { None }
}

fn fetch_address(service: SocketAddr) -> io::Result<Option<IpAddr>> {
    let token = fetch(service, Method::PUT, "/latest/api/token", ("X-aws-ec2-metadata-token-ttl-seconds", "60"))?;
    let address = fetch(service, Method::GET, "/latest/meta-data/public-ipv4", ("X-aws-ec2-metadata-token", token.trim()))?;
    Ok(address.trim().parse().ok())
}

/// The body of a 200; empty for any other status.
fn fetch(service: SocketAddr, method: Method, path: &str, header: (&str, &str)) -> io::Result<String> {
    let address = BindAddress { host: service.ip().to_string(), port: service.port() };
    let url = Url { scheme: Scheme::Http, address, path: path.into() };
    let headers = [header];
    let request = Request { method, headers: &headers, ..Request::get(&url, Instant::now() + ANSWER_TIMEOUT) };
    Ok(String::from_utf8_lossy(&request.send(ANSWER_BYTES_MAX)?.body).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    /// A service that answers one request per given text, and returns the requests.
    fn serve(answers: &'static [&'static str]) -> (SocketAddr, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = listener.local_addr().unwrap();
        let answer_one = move |answer: &&str| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut chunk = [0; 512];
            while !request.ends_with(b"\r\n\r\n") {
                let length = stream.read(&mut chunk).unwrap();
                request.extend_from_slice(&chunk[..length]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        };
        (service, std::thread::spawn(move || answers.iter().map(answer_one).collect()))
    }

    #[test]
    fn the_address_is_requested_with_a_token() {
        let (service, requests) = serve(&["HTTP/1.1 200 OK\r\nServer: x\r\n\r\nabc=", "HTTP/1.1 200 OK\r\n\r\n192.0.2.7"]);
        assert_eq!(fetch_address(service).unwrap(), Some("192.0.2.7".parse().unwrap()));
        let requests = requests.join().unwrap();
        assert!(requests[0].starts_with("PUT /latest/api/token ") && requests[1].contains("metadata-token: abc=\r\n"));
    }

    #[test]
    fn a_machine_without_a_public_address_gets_none() {
        let (service, requests) = serve(&["HTTP/1.1 200 OK\r\n\r\nabc", "HTTP/1.1 404 Not Found\r\n\r\n192.0.2.7"]);
        assert_eq!(fetch_address(service).unwrap(), None);
        requests.join().unwrap();
    }
}
