//! The server's name: it leads somewhere, and that is here.

use crate::ops::doctor::cloud;
use crate::ops::doctor::finding::Finding;
use std::net::{IpAddr, ToSocketAddrs, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;

const CHECK: &str = "name";

/// How long the answer to one name may take.
const TIME_MAX: Duration = Duration::from_secs(5);

/// An address that the name leads to, and whether it is this machine's.
#[derive(Clone, Copy, Debug)]
struct Lead {
    address: IpAddr,
    is_ours: bool,
}

/// Looks the name up, if there is one.
pub fn examine(domain: Option<&str>) -> Option<Finding> {
    let domain = domain?;
    let Some(addresses) = resolve(domain) else { return Some(judge(domain, &[], None)) };
    let public = cloud::public_address();
    let is_ours = |address| Some(address) == public || UdpSocket::bind((address, 0)).is_ok();
    let leads: Vec<Lead> = addresses.into_iter().map(|address| Lead { address, is_ours: is_ours(address) }).collect();
    Some(judge(domain, &leads, public))
}

/// The addresses of a name, each once; none when it has none or nobody answers in time.
pub(super) fn resolve(domain: &str) -> Option<Vec<IpAddr>> {
    let name = domain.to_owned();
    let (answer, answered) = mpsc::channel();
    // On a thread that is left behind when the resolver hangs: it has no time limit of its own.
    let look_up = move || drop(answer.send((name.as_str(), 0).to_socket_addrs().map(Vec::from_iter)));
    std::thread::Builder::new().name("resolver".into()).spawn(look_up).ok()?;
    let mut addresses: Vec<IpAddr> = answered.recv_timeout(TIME_MAX).ok()?.ok()?.into_iter().map(|found| found.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    (!addresses.is_empty()).then_some(addresses)
}

fn judge(domain: &str, leads: &[Lead], public: Option<IpAddr>) -> Finding {
    let list = |ours: bool| {
        let some = leads.iter().filter(|lead| lead.is_ours == ours).map(|lead| lead.address.to_string());
        some.collect::<Vec<_>>().join(", ")
    };
    let (here, elsewhere) = (list(true), list(false));
    let own = public.map_or("this machine's public address".into(), |address| address.to_string());
    match (here.is_empty(), elsewhere.is_empty()) {
        (true, true) => {
            Finding::wrong(CHECK, format!("{domain} leads nowhere"), format!("make an A record of {domain} that says {own}"))
        }
        (false, true) => Finding::good(CHECK, format!("{domain} leads here ({here})")),
        (false, false) => {
            let mend = "remove the other records: some phones go there (a forgotten AAAA record is the usual one)";
            Finding::wrong(CHECK, format!("{domain} leads here ({here}) and elsewhere ({elsewhere})"), mend)
        }
        (true, false) if public.is_some() => Finding::wrong(
            CHECK,
            format!("{domain} leads to {elsewhere}, and this machine is {own}"),
            format!("let its A record say {own}"),
        ),
        // Behind an address translator a machine does not know its own address.
        (true, false) => {
            let says = format!("{domain} leads to {elsewhere}, which is no address of this machine");
            Finding::advice(CHECK, says, "compare with the public address that the provider shows")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::finding::Grade;

    #[test]
    fn a_name_has_to_lead_here_and_nowhere_else() {
        let lead = |address: &str, is_ours| Lead { address: address.parse().unwrap(), is_ours };
        let public = Some("192.0.2.1".parse().unwrap());
        let grade = |leads: &[Lead], public| judge("draw.example", leads, public).grade;
        assert_eq!(grade(&[lead("192.0.2.1", true), lead("2001:db8::1", true)], public), Grade::Good);
        assert_eq!(grade(&[], None), Grade::Wrong);
        assert_eq!(grade(&[lead("192.0.2.1", true), lead("2001:db8::9", false)], public), Grade::Wrong);
        assert_eq!(grade(&[lead("192.0.2.9", false)], public), Grade::Wrong);
        assert_eq!(grade(&[lead("192.0.2.9", false)], None), Grade::Advice, "it may be an address translator's");
    }

    #[test]
    fn localhost_leads_here() {
        assert_eq!(examine(Some("localhost")).unwrap().grade, Grade::Good);
        assert_eq!(examine(None), None);
    }
}
