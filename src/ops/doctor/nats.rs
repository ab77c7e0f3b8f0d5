//! Checks of the way to NATS, where there is one: the connection, what it permits, and the clocks.

use crate::edge::check::{self, LinkReport, LinkRole};
use crate::edge::nats::LinkFault;
use crate::ops::config::Config;
use crate::ops::doctor::report::Finding;

const CHECK: &str = "nats";

/// The difference of clocks from which certificates and logs are hard to use. Phones show winners
/// by the origin's clock, whatever an edge's is.
const CLOCK_OFF_MS: u64 = 2_000;

/// Checks the way to NATS, if there is one.
pub fn check_link(config: &Config) -> Vec<Finding> {
    let Some(nats) = &config.nats else { return Vec::new() };
    let joins = nats.origin.is_some();
    let mut findings = grade(check::examine(nats), joins);
    if nats.credentials.is_none() {
        let fix = "give NATS the users of scripts/deploy/nats.conf, and name the credentials in LUCKYDRAW_NATS_CREDENTIALS";
        findings.push(Finding::wrong(CHECK, "everybody may publish to phones: there are no credentials", fix));
    }
    findings
}

/// `joins`: an edge's settings are examined.
fn grade(examined: Result<LinkReport, LinkFault>, joins: bool) -> Vec<Finding> {
    let report = match examined {
        Ok(report) => report,
        Err(fault) => return vec![grade_fault(&fault)],
    };
    let LinkReport { name, role, payload_max, payload_wanted, missing, excessive, clock_ahead_ms } = report;
    let owner = match role {
        LinkRole::Origin => "an origin",
        LinkRole::Edge => "an edge",
    };
    let mut findings = vec![Finding::good(CHECK, format!("signed in as {name}, with the credentials of {owner}"))];
    if joins && role == LinkRole::Origin {
        let fix = "give each edge credentials of its own: they are on a box that strangers' phones reach";
        findings.push(Finding::wrong(CHECK, format!("{name} may publish frames, and is an edge"), fix));
    }
    let rule = "give each user the permissions of its role in scripts/deploy/nats.conf";
    for what in missing {
        findings.push(Finding::wrong(CHECK, format!("NATS refuses {name} to {what}"), rule));
    }
    for what in excessive {
        findings.push(Finding::wrong(CHECK, format!("NATS permits {name} to {what}"), rule));
    }
    if payload_max < payload_wanted {
        let message = format!("NATS takes messages of {payload_max} bytes at most, and a picture may need {payload_wanted}");
        findings.push(Finding::wrong(CHECK, message, "set max_payload: 4MB in its configuration"));
    }
    findings.extend((role == LinkRole::Edge).then(|| grade_clock(clock_ahead_ms)));
    findings
}

fn grade_fault(fault: &LinkFault) -> Finding {
    let fix = match fault {
        LinkFault::Settings(_) => "name a file that is there and can be read",
        LinkFault::Refused => "compare user and password with those of NATS, or take a new code to join",
        LinkFault::Unreachable(_) => "start nats-server, open its port (4222) between the boxes, and compare LUCKYDRAW_NATS_URL",
        LinkFault::NoPermission => "give each user the permissions of its role in scripts/deploy/nats.conf",
    };
    let cause = std::error::Error::source(fault).map(|cause| format!(": {cause}")).unwrap_or_default();
    Finding::wrong(CHECK, format!("{fault}{cause}"), fix)
}

fn grade_clock(ahead_ms: Option<i64>) -> Finding {
    match ahead_ms {
        None => Finding::advice(CHECK, "no origin answers", "start the origin, with the same NATS"),
        Some(ahead_ms) if ahead_ms.unsigned_abs() > CLOCK_OFF_MS => {
            let message = format!("this clock is {} s ahead of the origin's", ahead_ms / 1_000);
            Finding::advice(CHECK, message, "set the clock by NTP: timedatectl set-ntp true")
        }
        Some(ahead_ms) => Finding::good(CHECK, format!("the origin answers, and its clock is {} ms behind this one", ahead_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::report::Grade;

    fn report() -> LinkReport {
        LinkReport {
            name: "edge1".into(),
            role: LinkRole::Edge,
            payload_max: 4 << 20,
            payload_wanted: 1 << 20,
            missing: Vec::new(),
            excessive: Vec::new(),
            clock_ahead_ms: Some(3),
        }
    }

    /// The findings that are not good, with their grades.
    fn problems(examined: Result<LinkReport, LinkFault>, joins: bool) -> Vec<(Grade, String)> {
        let problems = grade(examined, joins).into_iter().filter(|finding| finding.grade > Grade::Good);
        problems.inspect(|finding| assert!(!finding.fix.is_empty())).map(|finding| (finding.grade, finding.message)).collect()
    }

    #[test]
    fn a_sound_link_is_good_and_each_fault_is_named() {
        assert_eq!(problems(Ok(report()), true), []);
        for (broken, grade, word) in [
            (
                LinkReport { missing: vec!["publish ld.-.ask".into()], ..report() },
                Grade::Wrong,
                "refuses edge1 to publish ld.-.ask",
            ),
            (LinkReport { excessive: vec!["subscribe >".into()], ..report() }, Grade::Wrong, "permits edge1 to subscribe >"),
            (LinkReport { payload_max: 4096, ..report() }, Grade::Wrong, "4096 bytes"),
            (LinkReport { role: LinkRole::Origin, ..report() }, Grade::Wrong, "is an edge"),
            (LinkReport { clock_ahead_ms: Some(-3_600_000), ..report() }, Grade::Advice, "-3600 s"),
            (LinkReport { clock_ahead_ms: None, ..report() }, Grade::Advice, "no origin"),
        ] {
            let found = problems(Ok(broken), true);
            assert!(matches!(&*found, [(of, message)] if *of == grade && message.contains(word)), "{word}: {found:?}");
        }
        for fault in [LinkFault::Refused, LinkFault::NoPermission, LinkFault::Unreachable("DNS error".into())] {
            assert_eq!(problems(Err(fault), false)[0].0, Grade::Wrong);
        }
    }
}
