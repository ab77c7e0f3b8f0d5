//! The server under test: where it listens, which event is played, and what opens its admin calls.

use crate::arguments::Door;
use std::net::{SocketAddr, ToSocketAddrs};

/// Where every path of the API begins.
const PREFIX: &str = "/api/luckydraw";

/// A server and one of its events.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: SocketAddr,
    /// What the Host header says.
    pub authority: String,
    pub event: String,
    pub admin_token: Option<String>,
}

impl Target {
    /// Reads where to go; the event is still to be chosen if none is named.
    ///
    /// # Errors
    /// What is wrong with the arguments, in words for whoever typed them.
    pub fn of(door: &Door) -> Result<Self, String> {
        let authority = authority(&door.host)?;
        let mut found = authority.to_socket_addrs().map_err(|error| format!("--host {}: {error}", door.host))?;
        let address = found.next().ok_or_else(|| format!("--host {}: no address", door.host))?;
        let admin_token = match &door.admin_token_file {
            None => door.admin_token.clone(),
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
                Some(text.trim().to_owned())
            }
        };
        Ok(Self { address, authority, event: door.event_id.clone().unwrap_or_default(), admin_token })
    }

    /// A path of the API.
    pub fn path(&self, rest: &str) -> String {
        format!("{PREFIX}{rest}")
    }

    /// A path of this event's admin calls.
    pub fn admin_path(&self, rest: &str) -> String {
        format!("{PREFIX}/admin/{}/{rest}", self.event)
    }

    /// Where the event's sockets are.
    pub fn socket_url(&self, query: &str) -> String {
        format!("ws://{}{PREFIX}/ws/{}{query}", self.authority, self.event)
    }
}

/// `name:port` of a URL, whatever path follows.
fn authority(host: &str) -> Result<String, String> {
    if host.starts_with("https://") || host.starts_with("wss://") {
        return Err("--host: this tester does not speak TLS; give it http:// or ws://".into());
    }
    let rest = host.strip_prefix("http://").or_else(|| host.strip_prefix("ws://")).unwrap_or(host);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err(format!("--host {host}: names no server"));
    }
    let after_bracket = authority.rsplit(']').next().unwrap_or(authority);
    Ok(if after_bracket.contains(':') { authority.to_owned() } else { format!("{authority}:80") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_understood_however_it_is_written() {
        for host in ["127.0.0.1:8000", "http://127.0.0.1:8000", "ws://127.0.0.1:8000/api/luckydraw/ws/demo?x=1"] {
            assert_eq!(authority(host), Ok("127.0.0.1:8000".into()), "{host}");
        }
        assert_eq!(authority("http://draw.example/"), Ok("draw.example:80".into()));
        assert_eq!(authority("http://[::1]"), Ok("[::1]:80".into()));
        assert!(authority("https://draw.example").is_err() && authority("http:///x").is_err());
    }
}
