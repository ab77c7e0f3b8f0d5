//! `--scenario ceiling`: more and more users until a criterion breaks, then closer and closer to
//! the number at which it does.
//!
//! Each step is a scenario of its own on an event of its own. The number doubles while the server
//! holds; then the gap is halved. Where the tester itself was too slow, or the machine has no more
//! sockets for it, the server's ceiling is unknown, and the report has that reason.

use super::{Settings, run_scenario};
use crate::arguments::{FullScenario, RunError};
use crate::client::target::Target;
use crate::scenario::{Scenario, Size, file};
use crate::verdict::criteria::{Judgement, Origin, Verdict};
use crate::verdict::outcome::Outcome;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use std::collections::BTreeMap;

/// The gap between what held and what broke is closed to this share of what held.
const GAP: u32 = 20;

/// Metrics that are reported of each step.
pub const FIGURES: [&str; 9] = [
    "register.p95",
    "api.p95",
    "api.p99",
    "ws.handshake.p95",
    "draw.spread.p99",
    "errors.percent",
    "ws.success.percent",
    "server.cpu_percent",
    "server.rss_peak_mb",
];

/// Faults that a late tester may itself have caused, by not receiving in time.
const MAYBE_OF_A_LATE_TESTER: [&str; 6] =
    ["ws.ungreeted", "ws.greeted_late", "ws.pongs_missing", "ws.forgotten", "delivery.lost", "storm.absent"];

/// Promises that a server at its limit may openly refuse to keep.
const MAYBE_OF_A_FULL_SERVER: [&str; 3] = ["ws.absent", "numbers.missing", "draws.missing"];

/// Shares that open refusals lower.
const SHARES_OF_REFUSALS: [&str; 2] = ["errors.percent", "ws.success.percent"];

/// The result of a search.
#[derive(Debug, Serialize)]
pub struct Ceiling {
    /// The most users that met every criterion; 0 when none did.
    pub held: u32,
    /// The fewest users that missed one.
    pub broke: Option<u32>,
    pub ended_by: End,
    /// The criteria that broke, or the reason why the tester stopped.
    pub why: Vec<String>,
    pub steps: Vec<Step>,
}

/// Reason for the end of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// A criterion broke, and the tester kept up.
    Server,
    /// The tester did not keep up, or the machine had no more sockets for it.
    Generator,
    /// The maximum number of users held.
    Bound,
    Interrupted,
}

/// One number of users.
#[derive(Debug, Serialize)]
pub struct Step {
    pub users: u32,
    pub verdict: Verdict,
    /// Criteria that broke, in words.
    pub missed: Vec<String>,
    /// Reasons why the tester was the bottleneck; empty when it was not.
    pub limited_by: Vec<String>,
    pub metrics: BTreeMap<&'static str, Option<f64>>,
    /// Set when a criterion was missed that no load excuses.
    #[serde(skip)]
    fault: bool,
}

/// The range that holds the ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Search {
    start: u32,
    max: u32,
    held: u32,
    broke: Option<u32>,
}

impl Search {
    /// The next number of users; `None` when the ceiling is found.
    fn next(self) -> Option<u32> {
        match self.broke {
            None if self.held == 0 => Some(self.start.min(self.max)),
            None if self.held >= self.max => None,
            None => Some(self.held.saturating_mul(2).min(self.max)),
            Some(broke) if broke - self.held <= (self.held / GAP).max(1) => None,
            Some(broke) => Some(self.held + (broke - self.held) / 2),
        }
    }
}

/// Result of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
enum StepResult {
    Held,
    ServerBroke(Vec<String>),
    TesterLimited(Vec<String>),
}

/// Searches the ceiling. Returns it with the outcomes of the highest step that held and the lowest
/// that did not.
///
/// # Errors
/// When the first step could not begin.
pub async fn find_ceiling(
    options: &FullScenario,
    size: Size,
    targets: &[Target],
    settings: &Settings<'_>,
) -> Result<(Ceiling, Vec<Outcome>), RunError> {
    let limit = socket_limit(targets[0].source_count());
    let max = options.users_max.min(u32::try_from(limit.users).unwrap_or(u32::MAX));
    let mut search = Search { start: size.users, max, held: 0, broke: None };
    let (mut steps, mut last_break, mut interrupted) = (Vec::new(), StepResult::Held, false);
    let (mut held, mut broken): (Option<Outcome>, Option<Outcome>) = (None, None);
    while let Some(users) = search.next() {
        reserve_sockets(users.into(), targets[0].source_count()).map_err(RunError::CouldNotRun)?;
        // All phones within 20 s and the draws: the more users, the steeper.
        let size = Size { users, prizes: size.prizes.min(users), ..size };
        let step = file::planned("b", size).map_err(RunError::Usage)?;
        let scenario = Scenario { name: "ceiling", what: "a step towards the ceiling".to_owned(), ..step };
        let scenario = scenario.with_trouble(&options.trouble);
        let outcome = match run_scenario(scenario, targets, settings).await {
            Err(RunError::CouldNotRun(why)) if !steps.is_empty() => {
                steps.push(Step::unreached(users, why.clone()));
                (search.broke, last_break) = (Some(users), StepResult::ServerBroke(vec![why]));
                continue;
            }
            Err(RunError::Interrupted) if !steps.is_empty() => {
                interrupted = true;
                break;
            }
            outcome => outcome?,
        };
        let step = Step::of(users, &outcome);
        eprintln!("{}", step.line());
        steps.push(step);
        if outcome.verdict == Verdict::Interrupted {
            interrupted = true;
            break;
        }
        match step_result(&outcome) {
            StepResult::Held => (search.held, held) = (users, Some(outcome)),
            result => {
                (search.broke, last_break) = (Some(users), result);
                broken = Some(Outcome { scenario: "ceiling-broken", ..outcome });
            }
        }
    }
    let (ended_by, why) = end(search, last_break, interrupted, limit, options.users_max);
    let ceiling = Ceiling { held: search.held, broke: search.broke, ended_by, why, steps };
    Ok((ceiling, held.into_iter().chain(broken).collect()))
}

/// Judges one step: held, or too much for the server or for the tester.
fn step_result(outcome: &Outcome) -> StepResult {
    let limited = &outcome.tester.limited_by;
    let missed: Vec<&Judgement> = missed(outcome).collect();
    let was_refused = outcome.metric("errors.refused") > Some(0.0);
    match outcome.verdict {
        // A late tester has changed the verdict where that matters.
        Verdict::Pass => StepResult::Held,
        Verdict::Fail if limited.is_empty() || is_fault(&missed, limited) || (was_refused && is_full(&missed)) => {
            StepResult::ServerBroke(missed.into_iter().map(describe).collect())
        }
        _ => StepResult::TesterLimited(limited.clone()),
    }
}

/// Tells whether something happened that neither load nor a late tester excuses: a number given
/// twice, frames that contradict each other.
fn is_fault(missed: &[&Judgement], limited: &[String]) -> bool {
    let excused = |metric: &&str| {
        MAYBE_OF_A_FULL_SERVER.contains(metric) || (!limited.is_empty() && MAYBE_OF_A_LATE_TESTER.contains(metric))
    };
    let mut musts = missed.iter().filter(|judgement| judgement.origin == Origin::Must && judgement.value.is_some());
    musts.any(|judgement| !excused(&&*judgement.metric))
}

/// Tells whether a criterion was missed that open refusals miss. A late tester is no reason for
/// those.
fn is_full(missed: &[&Judgement]) -> bool {
    let mut of_refusals = MAYBE_OF_A_FULL_SERVER.iter().chain(&SHARES_OF_REFUSALS);
    of_refusals.any(|metric| missed.iter().any(|judgement| judgement.metric == *metric && judgement.value.is_some()))
}

fn missed(outcome: &Outcome) -> impl Iterator<Item = &Judgement> {
    outcome.judgements.iter().filter(|judgement| judgement.is_missed())
}

fn describe(judgement: &Judgement) -> String {
    let value = judgement.value.map_or("not measured".to_owned(), |value| format!("{value:.3}"));
    format!("{} is {value}, wanted {}", judgement.metric, judgement.wanted)
}

/// Names the end of a search, and its reasons.
fn end(search: Search, last_break: StepResult, interrupted: bool, limit: SocketLimit, users_max: u32) -> (End, Vec<String>) {
    match last_break {
        _ if interrupted => (End::Interrupted, vec!["it was interrupted".to_owned()]),
        StepResult::ServerBroke(why) => (End::Server, why),
        StepResult::TesterLimited(why) => (End::Generator, why),
        StepResult::Held if search.max < users_max => {
            (End::Generator, vec![format!("{} users are as many as fit: {}", search.max, limit.by)])
        }
        StepResult::Held => (End::Bound, vec![format!("--users-max is {users_max}")]),
    }
}

impl Step {
    fn of(users: u32, outcome: &Outcome) -> Self {
        Self {
            users,
            verdict: outcome.verdict,
            missed: missed(outcome).map(describe).collect(),
            limited_by: outcome.tester.limited_by.clone(),
            metrics: FIGURES.into_iter().map(|name| (name, outcome.metric(name))).collect(),
            fault: is_fault(&missed(outcome).collect::<Vec<_>>(), &outcome.tester.limited_by),
        }
    }

    /// A step for which the server, which had carried earlier steps, could not be reached.
    fn unreached(users: u32, why: String) -> Self {
        Self { users, verdict: Verdict::Fail, missed: vec![why], limited_by: Vec::new(), metrics: BTreeMap::new(), fault: false }
    }

    fn line(&self) -> String {
        let figure = |name| self.metrics.get(name).copied().flatten().map_or("-".to_owned(), |value| format!("{value:.1}"));
        let held = self.missed.is_empty().then(|| "held".to_owned());
        let limited = self.limited_by.iter().map(|why| format!("generator-limited: {why}"));
        let end = self.missed.iter().cloned().chain(held).chain(limited).collect::<Vec<_>>().join("; ");
        format!(
            "{:>8} users  register p95 {:>8}  handshake p95 {:>8}  spread p99 {:>8} ms  {end}",
            self.users,
            figure("register.p95"),
            figure("ws.handshake.p95"),
            figure("draw.spread.p99")
        )
    }
}

impl Ceiling {
    /// A ceiling alone is no failure. A fault that no load excuses is one, and so is a server that
    /// holds no user.
    pub fn verdict(&self) -> Verdict {
        let fault = self.steps.iter().any(|step| step.fault);
        match self.ended_by {
            End::Interrupted => Verdict::Interrupted,
            _ if fault => Verdict::Fail,
            End::Server if self.held == 0 => Verdict::Fail,
            End::Generator => Verdict::Void,
            End::Server | End::Bound => Verdict::Pass,
        }
    }

    /// The search as text for a terminal.
    pub fn text(&self) -> String {
        let (held, why) = (self.held, self.why.join("; "));
        let limit = "the generator was the limit, and the server's ceiling is not known";
        let found = match (self.ended_by, self.broke) {
            (End::Server, Some(broke)) => format!("{held} users held, {broke} did not: {why}"),
            (End::Generator, Some(broke)) => format!("{held} users held; with {broke} {limit}: {why}"),
            (End::Generator, None) => format!("{held} users held; {limit}: {why}"),
            (End::Interrupted, _) => format!("{held} users held until then: {why}"),
            (End::Server | End::Bound, _) => format!("{held} users held, the maximum of this search: {why}"),
        };
        let steps: String = self.steps.iter().map(|step| step.line() + "\n").collect();
        format!("\n{steps}ceiling: {found}\n")
    }
}

/// Descriptors beside those of the phones.
const SPARE_DESCRIPTORS: u64 = 80;

/// Ports left to other programs of this machine, and to the calls beside the sockets.
const SPARE_PORTS: u64 = 256;

/// Maximum number of users, and the resource that limits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketLimit {
    pub users: u64,
    pub by: &'static str,
}

/// The limit of this machine, for connections from this many addresses.
pub fn socket_limit(addresses: u64) -> SocketLimit {
    let descriptors = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX).saturating_sub(SPARE_DESCRIPTORS);
    let ports = ports_per_address().saturating_sub(SPARE_PORTS).saturating_mul(addresses);
    if ports < descriptors {
        SocketLimit { users: ports, by: "the ports of the addresses that it comes from; --source-ips gives it more" }
    } else {
        SocketLimit { users: descriptors, by: "the descriptors that RLIMIT_NOFILE allows it" }
    }
}

/// Raises the soft limit on descriptors as far as this many users need.
///
/// # Errors
/// When a resource is too small.
pub fn reserve_sockets(users: u64, addresses: u64) -> Result<(), String> {
    let limit = socket_limit(addresses);
    if users > limit.users {
        return Err(format!("{users} users are too many for {}: {} fit", limit.by, limit.users));
    }
    let (needed, descriptors) = (users + SPARE_DESCRIPTORS, getrlimit(Resource::Nofile));
    if descriptors.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(needed), ..descriptors });
    raised.map_err(|error| format!("{needed} descriptors are needed, RLIMIT_NOFILE allows fewer: {error}"))
}

/// Ports of one address towards one server; a range that cannot be read does not limit.
fn ports_per_address() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = text.split_whitespace().map_while(|end| end.parse::<u64>().ok());
    let (Some(first), Some(last)) = (ends.next(), ends.next()) else { return u64::from(u16::MAX) };
    (last + 1).saturating_sub(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::criteria::Grade;

    /// Searches a server that carries this many; returns the numbers that were tried, and what
    /// held.
    fn tried(start: u32, max: u32, carries: u32) -> (Vec<u32>, u32) {
        let mut search = Search { start, max, held: 0, broke: None };
        let mut tried = Vec::new();
        while let Some(users) = search.next() {
            tried.push(users);
            assert!(tried.len() < 40, "it ends: {tried:?}");
            if users <= carries { search.held = users } else { search.broke = Some(users) }
        }
        (tried, search.held)
    }

    #[test]
    fn the_number_doubles_and_then_the_gap_is_halved() {
        assert_eq!(tried(100, 20_000, 1_000), (vec![100, 200, 400, 800, 1_600, 1_200, 1_000, 1_100, 1_050], 1_000));
        assert_eq!(tried(300, 1_000, 5_000), (vec![300, 600, 1_000], 1_000), "it stops at the bound");
        assert_eq!(tried(300, 200, 5_000), (vec![200], 200));
    }

    #[test]
    fn the_number_falls_when_the_first_is_too_much() {
        let (numbers, held) = tried(100, 20_000, 3);
        assert_eq!((&numbers[..2], held), (&[100, 50][..], 3));
        assert_eq!(tried(8, 20_000, 0), (vec![8, 4, 2, 1], 0));
    }

    #[test]
    fn any_ceiling_is_found_within_the_gap() {
        for carries in [1, 7, 99, 300, 301, 4_567, 19_999] {
            let (_, held) = tried(300, 20_000, carries);
            assert!(held <= carries && carries - held <= (held / GAP).max(1), "{carries}: {held}");
        }
    }

    #[test]
    fn a_ceiling_is_no_failure_and_a_fault_is() {
        let verdict = |ended_by, held, faults: &[bool]| {
            let steps = faults.iter().map(|fault| Step { fault: *fault, ..Step::unreached(1, String::new()) }).collect();
            Ceiling { held, broke: None, ended_by, why: vec![], steps }.verdict()
        };
        assert_eq!(verdict(End::Server, 10, &[false]), Verdict::Pass);
        assert_eq!(verdict(End::Server, 0, &[false]), Verdict::Fail, "not one user");
        assert_eq!(verdict(End::Server, 10, &[false, true]), Verdict::Fail);
        assert_eq!(verdict(End::Generator, 10, &[false]), Verdict::Void);
        assert_eq!(verdict(End::Bound, 10, &[false]), Verdict::Pass);
    }

    #[test]
    fn a_refusal_is_the_server_s_limit_however_late_the_tester_is() {
        let judgement = |metric: &str, value| Judgement {
            origin: Origin::Must,
            metric: metric.to_owned(),
            wanted: String::new(),
            acceptable: None,
            value,
            grade: Grade::Missed,
            note: "",
            share: None,
        };
        let (refused, unknown) = (judgement("draws.missing", Some(2.0)), judgement("numbers.lost", None));
        let late = ["its timers came 58 ms late".to_owned()];
        assert!(is_full(&[&unknown, &refused]) && !is_full(&[&unknown]));
        for limited in [&late[..], &[]] {
            assert!(!is_fault(&[&unknown, &refused], limited), "load excuses both");
            assert!(is_fault(&[&judgement("numbers.doubled", Some(1.0))], limited));
            assert_eq!(is_fault(&[&judgement("delivery.lost", Some(1.0))], limited), limited.is_empty());
        }
    }

    #[test]
    fn the_limit_of_the_machine_is_not_that_of_the_server() {
        let limit = SocketLimit { users: 50, by: "the descriptors" };
        let search = Search { start: 10, max: 50, held: 50, broke: None };
        let (ended_by, why) = end(search, StepResult::Held, false, limit, 100);
        assert!(ended_by == End::Generator && why[0].contains("the descriptors"), "{why:?}");
        assert_eq!(end(search, StepResult::Held, false, limit, 50).0, End::Bound);
        assert_eq!(end(search, StepResult::ServerBroke(vec![]), false, limit, 50).0, End::Server);
    }

    #[test]
    fn ten_users_fit_and_a_city_does_not() {
        assert_eq!(reserve_sockets(10, 1), Ok(()));
        assert!(reserve_sockets(u64::MAX - SPARE_DESCRIPTORS, 1).is_err_and(|why| why.contains("fit")));
        let one = socket_limit(1);
        assert!(socket_limit(2).users >= one.users && one.users > 0);
    }
}
