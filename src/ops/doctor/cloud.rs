//! What the cloud says about a machine of its own: its public address, which it does not otherwise know.
//!
//! Amazon's machines, Lightsail's among them, ask at a link-local address (IMDSv2). Only a machine whose firmware says that it is one of theirs is asked, since
//! elsewhere that address may be anybody's.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// Where the metadata is.
const METADATA: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254)), 80);

/// How long each of its answers may take.
const TIME_MAX: Duration = Duration::from_secs(1);

/// The longest answer.
const ANSWER_MAX: u64 = 4096;

/// Whether this is one of Amazon's machines.
pub fn is_amazon() -> bool {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    read("/sys/class/dmi/id/sys_vendor").starts_with("Amazon EC2")
}

/// The public IPv4 address, on a machine that has one and can be told.
pub fn public_address() -> Option<IpAddr> {
    if is_amazon() { ask_address(METADATA).ok().flatten() } else { None }
}

fn ask_address(at: SocketAddr) -> io::Result<Option<IpAddr>> {
    let token = ask(at, "PUT /latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 60")?;
    let address = ask(at, "GET /latest/meta-data/public-ipv4", &format!("X-aws-ec2-metadata-token: {}", token.trim()))?;
    Ok(address.trim().parse().ok())
}

/// One request; gives back the body of a 200, else nothing.
fn ask(at: SocketAddr, request: &str, header: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&at, TIME_MAX)?;
    stream.set_read_timeout(Some(TIME_MAX))?;
    stream.set_write_timeout(Some(TIME_MAX))?;
    write!(stream, "{request} HTTP/1.0\r\nHost: {}\r\n{header}\r\nContent-Length: 0\r\n\r\n", at.ip())?;
    let mut answer = BufReader::new(stream.take(ANSWER_MAX));
    let mut line = String::new();
    answer.read_line(&mut line)?;
    if line.split(' ').nth(1) != Some("200") {
        return Ok(String::new());
    }
    while !line.trim().is_empty() {
        line.clear();
        answer.read_line(&mut line)?;
    }
    let mut body = String::new();
    answer.read_to_string(&mut body)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers so many requests, each with the next of these, and gives back what was asked.
    fn metadata(answers: &'static [&'static str]) -> (SocketAddr, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let serve = move |answer: &&str| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut chunk = [0; 512];
            while !asked.ends_with(b"\r\n\r\n") {
                let length = stream.read(&mut chunk).unwrap();
                asked.extend_from_slice(&chunk[..length]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap()
        };
        (at, std::thread::spawn(move || answers.iter().map(serve).collect()))
    }

    #[test]
    fn the_address_is_asked_for_with_a_token() {
        let (at, asked) = metadata(&["HTTP/1.1 200 OK\r\nServer: x\r\n\r\nabc=", "HTTP/1.1 200 OK\r\n\r\n192.0.2.7"]);
        assert_eq!(ask_address(at).unwrap(), Some("192.0.2.7".parse().unwrap()));
        assert!(asked.join().unwrap()[1].contains("metadata-token: abc=\r\n"));
    }

    #[test]
    fn a_machine_without_an_address_is_told_none() {
        let (at, asked) = metadata(&["HTTP/1.1 200 OK\r\n\r\nabc", "HTTP/1.1 404 Not Found\r\n\r\n192.0.2.7"]);
        assert_eq!(ask_address(at).unwrap(), None);
        asked.join().unwrap();
    }
}
