//! The addresses to listen on: free, or held by a server of ours that answers; and reached by the server's own name.
//!
//! Nobody can tell from within whether a firewall outside lets strangers in. The nearest thing is to come in by the public name; where the
//! network brings no machine back to itself, that says nothing, and so it is advice and never a verdict.

use crate::base::address::BindAddress;
use crate::http::bind::{BindError, Listener, Protocol};
use crate::ops::config::Config;
use crate::ops::doctor::finding::Finding;
use crate::ops::healthcheck;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const CHECK: &str = "port";

/// How long the way in by the public name may take.
const REACH_TIME_MAX: Duration = Duration::from_secs(3);

/// What became of trying to listen.
#[derive(Debug, PartialEq, Eq)]
enum Tried {
    Free,
    /// Somebody listens there; whether it is a healthy server of ours.
    Taken {
        by_ours: bool,
    },
    Refused(ErrorKind),
    Unknown,
}

/// Tries every address for a moment, and comes in by the public name.
pub fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let beside = config.tls.iter().flat_map(|tls| tls.plain.iter().chain(&tls.redirect));
    for place in config.bind.iter().chain(beside) {
        let opened = Listener::open(std::slice::from_ref(place), Protocol::Plain, false);
        findings.push(judge(place, &tried(config, place, &opened)));
        if let Some(domain) = config.app.http.domain.as_deref().filter(|_| place.port != 0 && !findings.iter().any(is_wrong)) {
            findings.push(judge_reach(domain, place.port, reaches(domain, place.port)));
        }
        drop(opened);
    }
    findings
}

fn is_wrong(finding: &Finding) -> bool {
    finding.grade == crate::ops::doctor::finding::Grade::Wrong
}

fn tried(config: &Config, place: &BindAddress, opened: &Result<Vec<Listener>, BindError>) -> Tried {
    match opened {
        Ok(_) => Tried::Free,
        Err(BindError::Listen { source, .. }) if source.kind() == ErrorKind::AddrInUse => {
            // What speaks TLS or leads on to it is asked where the same server speaks in the clear.
            let asked = if config.tls.is_some() { healthcheck::plain_addresses(config) } else { Ok(std::slice::from_ref(place)) };
            let answer = asked.ok().and_then(|addresses| healthcheck::ask_at(addresses.first()?, "/healthz").ok());
            Tried::Taken { by_ours: answer.is_some() }
        }
        Err(BindError::Listen { source, .. }) => Tried::Refused(source.kind()),
        Err(BindError::Resolve { .. } | BindError::NotLoopback { .. }) => Tried::Unknown,
    }
}

/// Whether a connection to the public name comes about.
fn reaches(domain: &str, port: u16) -> bool {
    let Some(addresses) = crate::ops::doctor::dns::resolve(domain) else { return false };
    addresses.iter().any(|ip| TcpStream::connect_timeout(&SocketAddr::new(*ip, port), REACH_TIME_MAX).is_ok())
}

fn judge(place: &BindAddress, tried: &Tried) -> Finding {
    let port = place.port;
    match tried {
        Tried::Free => Finding::good(CHECK, format!("{place} is free")),
        Tried::Taken { by_ours: true } => Finding::good(CHECK, format!("{place} is served by a luckydraw that is well")),
        Tried::Taken { by_ours: false } => {
            let mend =
                format!("find who holds it with ss -ltnp 'sport = :{port}' and stop it, or choose another in LUCKYDRAW_BIND");
            Finding::wrong(CHECK, format!("{place} is in use, and not by a luckydraw that answers"), mend)
        }
        Tried::Refused(ErrorKind::PermissionDenied) => {
            let mend = "let luckydraw.socket hold it, or give the server CAP_NET_BIND_SERVICE";
            Finding::wrong(CHECK, format!("{place} may not be opened by this user"), mend)
        }
        Tried::Refused(why) => Finding::wrong(
            CHECK,
            format!("{place} cannot be opened: {why}"),
            "name an address of this machine in LUCKYDRAW_BIND (ip addr)",
        ),
        Tried::Unknown => {
            Finding::wrong(CHECK, format!("{place} has no address"), "name an address of this machine in LUCKYDRAW_BIND")
        }
    }
}

fn judge_reach(domain: &str, port: u16, reached: bool) -> Finding {
    if reached {
        return Finding::good("reach", format!("{domain}:{port} leads to an open port"));
    }
    let mend = format!(
        "open {port} in the provider's firewall, for IPv4 and for IPv6 by itself, then try from a phone off the Wi-Fi: some networks bring no machine back to itself"
    );
    Finding::advice("reach", format!("{domain}:{port} is not reached from here"), mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::finding::Grade;

    #[test]
    fn a_port_is_free_or_ours_or_wrong() {
        let place = BindAddress::parse("0.0.0.0:443").unwrap();
        let grade = |tried| judge(&place, &tried).grade;
        assert_eq!((grade(Tried::Free), grade(Tried::Taken { by_ours: true })), (Grade::Good, Grade::Good));
        for tried in [
            Tried::Taken { by_ours: false },
            Tried::Refused(ErrorKind::PermissionDenied),
            Tried::Refused(ErrorKind::AddrNotAvailable),
            Tried::Unknown,
        ] {
            let finding = judge(&place, &tried);
            assert!(finding.grade == Grade::Wrong && !finding.mend.is_empty(), "{finding}");
        }
    }

    #[test]
    fn a_way_in_is_a_connection_that_comes_about() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(reaches("localhost", port));
        drop(listener);
        assert!(!reaches("localhost", port));
        assert_eq!(judge_reach("draw.example", 443, false).grade, Grade::Advice);
    }
}
