//! Checks of the network: the way that phones take, which is the listening addresses, the server's
//! name in DNS and its certificate; and the relays of drand.
//!
//! No check from within can show whether a firewall outside lets clients in. The nearest one is to
//! connect to the public name. Behind a router without hairpin NAT that fails for another reason,
//! so it gives advice and never a fault.

use crate::base::address::BindAddress;
use crate::base::clock::wall_clock;
use crate::base::http_client::resolve;
use crate::http::bind::{BindError, Listener, Protocol};
use crate::ops::config::Config;
use crate::ops::doctor::cloud;
use crate::ops::doctor::report::{Finding, Grade};
use crate::ops::drand::relay::{FetchError, Relays};
use crate::ops::healthcheck;
use crate::tls::CertificateOrigin;
use crate::tls::certificate::{Certificate, CertificateError, utc_text};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

/// Time for a connection to the public name.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Time for the look-up of a name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A public authority's certificate is valid for 90 days and is renewed 30 before its end; with
/// less left than this, the renewal does not work.
const VALIDITY_ADVISED: Duration = Duration::from_secs(14 * 86_400);

/// Time for all relays of drand together, and for each.
const RELAYS_TIMEOUT: Duration = Duration::from_secs(4);
const RELAY_TIMEOUT: Duration = Duration::from_secs(2);

/// Rounds before the next to come that every relay has.
const ROUNDS_BACK: u64 = 5;

/// The result of trying to listen on an address.
#[derive(Debug, PartialEq, Eq)]
enum Port {
    Free,
    /// Another process listens there; perhaps a healthy server of ours.
    Taken {
        by_luckydraw: bool,
    },
    Refused(ErrorKind),
    /// The address is not one of this machine.
    Unknown,
}

/// Tries to listen on every address, and connects to the public name.
pub fn check_ports(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for address in config.addresses() {
        let opened = Listener::open(std::slice::from_ref(address), Protocol::Plain, false);
        findings.push(grade_port(address, &port_state(config, address, &opened)));
        let is_wrong = |finding: &Finding| finding.grade == Grade::Wrong;
        if let Some(domain) = config.app.http.domain.as_deref().filter(|_| address.port != 0 && !findings.iter().any(is_wrong)) {
            findings.push(grade_reach(domain, address.port, can_connect(domain, address.port)));
        }
        drop(opened);
    }
    findings
}

fn port_state(config: &Config, address: &BindAddress, opened: &Result<Vec<Listener>, BindError>) -> Port {
    match opened {
        Ok(_) => Port::Free,
        Err(BindError::Listen { source, .. }) if source.kind() == ErrorKind::AddrInUse => {
            // A server with TLS is asked where it speaks plain HTTP.
            let asked = if config.tls.is_some() {
                healthcheck::plain_addresses(config).ok()
            } else {
                Some(std::slice::from_ref(address))
            };
            let answer = asked.and_then(|addresses| healthcheck::ask_at(addresses.first()?, "/healthz").ok());
            Port::Taken { by_luckydraw: answer.is_some() }
        }
        Err(BindError::Listen { source, .. }) => Port::Refused(source.kind()),
        Err(BindError::Resolve { .. } | BindError::NotLoopback { .. }) => Port::Unknown,
    }
}

/// Connects to the public name; true if one of its addresses accepts.
fn can_connect(domain: &str, port: u16) -> bool {
    let addresses = resolve(domain, port, Instant::now() + RESOLVE_TIMEOUT).unwrap_or_default();
    addresses.iter().any(|address| TcpStream::connect_timeout(address, CONNECT_TIMEOUT).is_ok())
}

fn grade_port(address: &BindAddress, port: &Port) -> Finding {
    const CHECK: &str = "port";
    let number = address.port;
    match port {
        Port::Free => Finding::good(CHECK, format!("{address} is free")),
        Port::Taken { by_luckydraw: true } => Finding::good(CHECK, format!("{address} is served by a healthy luckydraw")),
        Port::Taken { by_luckydraw: false } => {
            let fix =
                format!("find who holds it with ss -ltnp 'sport = :{number}' and stop it, or choose another in LUCKYDRAW_BIND");
            Finding::wrong(CHECK, format!("{address} is in use, and not by a luckydraw that answers"), fix)
        }
        Port::Refused(ErrorKind::PermissionDenied) => {
            let fix = "let luckydraw.socket hold it, or give the server CAP_NET_BIND_SERVICE";
            Finding::wrong(CHECK, format!("{address} may not be opened by this user"), fix)
        }
        Port::Refused(error) => {
            let fix = "name an address of this machine in LUCKYDRAW_BIND (ip addr)";
            Finding::wrong(CHECK, format!("{address} cannot be opened: {error}"), fix)
        }
        Port::Unknown => {
            Finding::wrong(CHECK, format!("{address} has no address"), "name an address of this machine in LUCKYDRAW_BIND")
        }
    }
}

fn grade_reach(domain: &str, port: u16, is_reached: bool) -> Finding {
    if is_reached {
        return Finding::good("reach", format!("{domain}:{port} leads to an open port"));
    }
    let fix = format!(
        "open {port} in the provider's firewall, for IPv4 and IPv6 separately, then try from a phone off the Wi-Fi: some routers \
         bring no machine back to itself"
    );
    Finding::advice("reach", format!("{domain}:{port} is not reached from here"), fix)
}

/// An address of the name, and whether it is this machine's.
#[derive(Clone, Copy, Debug)]
struct DnsRecord {
    address: IpAddr,
    is_ours: bool,
}

/// Looks the name up, if there is one.
pub fn check_name(domain: Option<&str>) -> Option<Finding> {
    let domain = domain?;
    let found = resolve(domain, 0, Instant::now() + RESOLVE_TIMEOUT).unwrap_or_default();
    let mut addresses: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let public = if addresses.is_empty() { None } else { cloud::public_address() };
    let is_ours = |address| Some(address) == public || UdpSocket::bind((address, 0)).is_ok();
    let records: Vec<_> = addresses.into_iter().map(|address| DnsRecord { address, is_ours: is_ours(address) }).collect();
    Some(grade_name(domain, &records, public))
}

fn grade_name(domain: &str, records: &[DnsRecord], public: Option<IpAddr>) -> Finding {
    const CHECK: &str = "name";
    let list = |ours: bool| {
        let some = records.iter().filter(|record| record.is_ours == ours).map(|record| record.address.to_string());
        some.collect::<Vec<_>>().join(", ")
    };
    let (here, elsewhere) = (list(true), list(false));
    let own = public.map_or("this machine's public address".into(), |address| address.to_string());
    match (here.is_empty(), elsewhere.is_empty()) {
        (true, true) => {
            let fix = format!("make an A record of {domain} with {own}");
            Finding::wrong(CHECK, format!("{domain} leads nowhere"), fix)
        }
        (false, true) => Finding::good(CHECK, format!("{domain} leads here ({here})")),
        (false, false) => {
            let fix = "remove the other records: some phones go there (a forgotten AAAA record is the usual one)";
            Finding::wrong(CHECK, format!("{domain} leads here ({here}) and elsewhere ({elsewhere})"), fix)
        }
        (true, false) if public.is_some() => {
            let message = format!("{domain} leads to {elsewhere}, and this machine is {own}");
            Finding::wrong(CHECK, message, format!("set its A record to {own}"))
        }
        // Behind an address translator a machine does not know its own address.
        (true, false) => {
            let message = format!("{domain} leads to {elsewhere}, which is no address of this machine");
            Finding::advice(CHECK, message, "compare with the public address that the provider shows")
        }
    }
}

/// Asks relays of drand for a round of some seconds ago, until one has it, and then for the round
/// that a draw would wait for, which it must not have.
pub fn check_relays(config: &Config) -> Finding {
    let (chain, deadline) = (config.sequencer.drand, Instant::now() + RELAYS_TIMEOUT);
    let round = chain.round_after(wall_clock()).saturating_sub(ROUNDS_BACK);
    let mut relays = Relays::new(&config.drand_relays, None);
    let mut fetched = Err(FetchError::NoRelay);
    for _ in 0..relays.len() {
        fetched = relays.fetch(&chain, round, deadline.min(Instant::now() + RELAY_TIMEOUT));
        if fetched.is_ok() || Instant::now() >= deadline {
            break;
        }
    }
    let mut has_next = || relays.fetch(&chain, chain.round_after(wall_clock()), Instant::now() + RELAY_TIMEOUT).is_ok();
    let is_slow = fetched.is_ok() && has_next();
    grade_relays(fetched.map(|_| round), is_slow)
}

/// `round`: the round that a relay gave, or the last relay's failure; `is_slow`: it also gave one
/// that comes only in three seconds by this machine's clock.
fn grade_relays(round: Result<u64, FetchError>, is_slow: bool) -> Finding {
    const CHECK: &str = "drand";
    let fix =
        "let this machine reach one of LUCKYDRAW_DRAND_URLS and set its clock, or use no drand as the outside value of events";
    match round {
        Ok(_) if is_slow => {
            let fix = "set the clock (timedatectl set-ntp true): a draw by drand would be locked when its round is known";
            Finding::wrong(CHECK, "a relay has a round that is three seconds ahead: this machine's clock is slow", fix)
        }
        Ok(round) => Finding::good(CHECK, format!("a relay gave round {round}, which is signed")),
        Err(error) => Finding::advice(CHECK, format!("no relay gave a recent round: {error}"), fix),
    }
}

/// Reads the certificate, where files hold one.
pub fn check_certificate(config: &Config) -> Option<Finding> {
    match &config.tls.as_ref()?.origin {
        CertificateOrigin::Files { cert, key } => {
            let now = SystemTime::now();
            let read = Certificate::read(cert, key, config.app.http.domain.as_deref(), now);
            Some(grade_certificate(read.map(|certificate| certificate.not_after), now))
        }
        CertificateOrigin::Acme(order) => {
            let message =
                format!("ordered for {} by the server itself, which checks name, port and clock before each order", order.domain);
            Some(Finding::good("certificate", message))
        }
    }
}

/// `not_after`: the end of its validity, or what is wrong with it.
fn grade_certificate(not_after: Result<SystemTime, CertificateError>, now: SystemTime) -> Finding {
    const CHECK: &str = "certificate";
    let fix = "renew it (certbot renew, or where it comes from) and name the new chain and key in LUCKYDRAW_TLS_CERT and \
               LUCKYDRAW_TLS_KEY";
    let not_after = match not_after {
        Ok(not_after) => not_after,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            return Finding::wrong(CHECK, format!("{error}{cause}"), fix);
        }
    };
    let left = not_after.duration_since(now).unwrap_or_default();
    let message = format!("valid until {}, {} days from now", utc_text(not_after), left.as_secs() / 86_400);
    if left < VALIDITY_ADVISED { Finding::advice(CHECK, message, fix) } else { Finding::good(CHECK, message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_relay_is_needed_only_by_events_that_ask_for_drand() {
        assert_eq!(grade_relays(Ok(7), false).grade, Grade::Good);
        assert_eq!(grade_relays(Ok(7), true).grade, Grade::Wrong, "the clock is slow");
        let missing = grade_relays(Err(FetchError::NoRound { relay: "http://relay/".into(), status: 404 }), false);
        assert!(missing.grade == Grade::Advice && missing.message.contains("http://relay/"), "{missing:?}");
    }

    #[test]
    fn a_port_is_free_or_ours_or_wrong() {
        let address = BindAddress::parse("0.0.0.0:443").unwrap();
        let grade = |port| grade_port(&address, &port).grade;
        assert_eq!((grade(Port::Free), grade(Port::Taken { by_luckydraw: true })), (Grade::Good, Grade::Good));
        for port in [
            Port::Taken { by_luckydraw: false },
            Port::Refused(ErrorKind::PermissionDenied),
            Port::Refused(ErrorKind::AddrNotAvailable),
            Port::Unknown,
        ] {
            let finding = grade_port(&address, &port);
            assert!(finding.grade == Grade::Wrong && !finding.fix.is_empty(), "{finding}");
        }
    }

    #[test]
    fn a_name_is_reached_by_connecting_to_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(can_connect("localhost", port));
        drop(listener);
        assert!(!can_connect("localhost", port));
        assert_eq!(grade_reach("draw.example", 443, false).grade, Grade::Advice);
    }

    #[test]
    fn a_name_has_to_lead_here_and_nowhere_else() {
        let record = |address: &str, is_ours| DnsRecord { address: address.parse().unwrap(), is_ours };
        let public = Some("192.0.2.1".parse().unwrap());
        let grade = |records: &[DnsRecord], public| grade_name("draw.example", records, public).grade;
        assert_eq!(grade(&[record("192.0.2.1", true), record("2001:db8::1", true)], public), Grade::Good);
        assert_eq!(grade(&[], None), Grade::Wrong);
        assert_eq!(grade(&[record("192.0.2.1", true), record("2001:db8::9", false)], public), Grade::Wrong);
        assert_eq!(grade(&[record("192.0.2.9", false)], public), Grade::Wrong);
        assert_eq!(grade(&[record("192.0.2.9", false)], None), Grade::Advice, "it may be an address translator's");
    }

    #[test]
    fn localhost_leads_here() {
        assert_eq!(check_name(Some("localhost")).unwrap().grade, Grade::Good);
        assert_eq!(check_name(None), None);
    }

    #[test]
    fn an_unusable_certificate_is_wrong_and_one_about_to_end_gets_advice() {
        let now = SystemTime::now();
        let grade = |days: u64| grade_certificate(Ok(now + Duration::from_secs(days * 86_400)), now).grade;
        assert_eq!((grade(60), grade(5)), (Grade::Good, Grade::Advice));
        let missing = Certificate::read("/nowhere/cert".as_ref(), "/nowhere/key".as_ref(), None, now);
        let finding = grade_certificate(missing.map(|certificate| certificate.not_after), now);
        assert!(finding.grade == Grade::Wrong && finding.message.contains("/nowhere/"), "{finding}");
    }
}
