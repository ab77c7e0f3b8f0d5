//! `--scenario ceiling`: more and more users until a criterion breaks, and then closer and closer to the number at which it does.
//!
//! Each step is a scenario of its own on an event of its own. The number is doubled while the server holds, and the gap is halved once it did not. Where the
//! tester itself was too slow, or the machine has no more sockets for it, the server is not blamed: then its ceiling is not known, and that is said.

use crate::arguments::FullScenario;
use crate::evening::{Stopped, play};
use crate::limits::{self, Room};
use crate::outcome::{Outcome, Summary};
use crate::plan::{Plan, Size};
use crate::run::Run;
use crate::target::Target;
use crate::verdict::{Grade, Judgement, Origin, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;

/// The gap between what was held and what was not is closed to this share of what was held.
const GAP: u32 = 20;

/// What is told of each step.
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

/// What a late tester may itself have brought about: what it did not hear in time it may not have listened to.
const OF_A_LATE_TESTER: [&str; 3] = ["ws.ungreeted", "delivery.lost", "storm.absent"];

/// What the climb came to.
#[derive(Debug, Serialize)]
pub struct Ceiling {
    /// The most users that every criterion held with; 0: none did.
    pub held: u32,
    /// The fewest that one broke with.
    pub broke: Option<u32>,
    pub ended_by: End,
    /// Which criteria broke, or what kept the tester from going on.
    pub why: Vec<String>,
    pub steps: Vec<Step>,
}

/// What ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// A criterion broke, and the tester kept up.
    Server,
    /// The tester did not keep up, or the machine had no more sockets for it.
    Generator,
    /// It held as many users as were to be tried.
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
    /// Why the tester was the bottleneck; empty when it was not.
    pub limited_by: Vec<String>,
    pub metrics: BTreeMap<&'static str, Option<f64>>,
    /// No load excuses what was missed.
    #[serde(skip)]
    fault: bool,
}

/// Between what was held and what was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Climb {
    start: u32,
    max: u32,
    held: u32,
    broke: Option<u32>,
}

impl Climb {
    /// How many users come next; none when the ceiling is found.
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

/// How one step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fall {
    None,
    Server(Vec<String>),
    Generator(Vec<String>),
}

/// Climbs, and writes into the summary what it came to: the verdict, the steps, and in full the highest that held and the lowest that did not.
///
/// # Errors
/// When it could not begin.
pub async fn climb(
    asked: &FullScenario,
    size: Size,
    target: Target,
    run: &Run<'_>,
    summary: &mut Summary,
) -> Result<(), Stopped> {
    let room = limits::room(target.source_count());
    let max = asked.users_max.min(u32::try_from(room.users).unwrap_or(u32::MAX));
    let mut climb = Climb { start: size.users, max, held: 0, broke: None };
    let (mut steps, mut fall, mut interrupted) = (Vec::new(), Fall::None, false);
    let (mut held, mut broken): (Option<Outcome>, Option<Outcome>) = (None, None);
    while let Some(users) = climb.next() {
        limits::make_room(users.into(), target.source_count()).map_err(Stopped::CouldNotRun)?;
        let plan = Plan::step(Size { users, prizes: size.prizes.min(users), ..size });
        let trouble = &asked.trouble;
        let plan = plan.troubled(trouble.slow_clients.unwrap_or(0.0), trouble.reconnect_storm);
        let outcome = match play(plan, target.clone(), run).await {
            Err(Stopped::CouldNotRun(why)) if !steps.is_empty() => {
                steps.push(Step::unreached(users, why.clone()));
                (climb.broke, fall) = (Some(users), Fall::Server(vec![why]));
                continue;
            }
            played => played?,
        };
        steps.push(Step::of(users, &outcome));
        eprintln!("{}", steps.last().map_or(String::new(), Step::line));
        if outcome.verdict == Verdict::Interrupted {
            interrupted = true;
            break;
        }
        match fell(&outcome) {
            Fall::None => (climb.held, held) = (users, Some(outcome)),
            fell => (climb.broke, fall, broken) = (Some(users), fell, Some(Outcome { scenario: "ceiling-broken", ..outcome })),
        }
    }
    let (ended_by, why) = ending(climb, fall, interrupted, room, asked.users_max);
    let outcomes = held.into_iter().chain(broken);
    outcomes.for_each(|outcome| {
        print!("{}", crate::report::text::of(&outcome));
        summary.add(outcome);
    });
    summary
        .conclude(verdict(ended_by, climb.held, &steps), Ceiling { held: climb.held, broke: climb.broke, ended_by, why, steps });
    if let Some(ceiling) = &summary.ceiling {
        print!("{}", ceiling.text());
    }
    Ok(())
}

/// Whether a step was one too many, and who is to blame.
fn fell(outcome: &Outcome) -> Fall {
    let limited = &outcome.tester.limited_by;
    match outcome.verdict {
        // How late the tester was is in the verdict, where it matters.
        Verdict::Pass => Fall::None,
        Verdict::Fail if limited.is_empty() || is_fault(outcome) => Fall::Server(missed(outcome).map(words).collect()),
        _ => Fall::Generator(limited.clone()),
    }
}

/// Whether something was seen that no load excuses, and no lateness of the tester: a number given twice, frames that contradict each other.
fn is_fault(outcome: &Outcome) -> bool {
    let limited = !outcome.tester.limited_by.is_empty();
    let musts = missed(outcome).filter(|judgement| judgement.origin == Origin::Must && judgement.value.is_some());
    musts.into_iter().any(|judgement| !limited || !OF_A_LATE_TESTER.contains(&judgement.metric.as_str()))
}

fn missed(outcome: &Outcome) -> impl Iterator<Item = &Judgement> {
    outcome.judgements.iter().filter(|judgement| matches!(judgement.grade, Grade::Missed | Grade::Tolerable))
}

fn words(judgement: &Judgement) -> String {
    let value = judgement.value.map_or("not measured".to_owned(), |value| format!("{value:.3}"));
    format!("{} is {value}, wanted {}", judgement.metric, judgement.wanted)
}

/// What ended the climb, in a word and in several.
fn ending(climb: Climb, fall: Fall, interrupted: bool, room: Room, users_max: u32) -> (End, Vec<String>) {
    match fall {
        _ if interrupted => (End::Interrupted, vec!["it was interrupted".to_owned()]),
        Fall::Server(why) => (End::Server, why),
        Fall::Generator(why) => (End::Generator, why),
        Fall::None if climb.max < users_max => {
            (End::Generator, vec![format!("{} users are as many as fit: {}", climb.max, room.by)])
        }
        Fall::None => (End::Bound, vec![format!("--users-max is {users_max}")]),
    }
}

/// To find the ceiling is no failure. Not one user held, or a fault that no load excuses, is one.
fn verdict(ended_by: End, held: u32, steps: &[Step]) -> Verdict {
    let fault = steps.iter().any(|step| step.fault);
    match ended_by {
        End::Interrupted => Verdict::Interrupted,
        End::Server if held == 0 || fault => Verdict::Fail,
        _ if fault => Verdict::Fail,
        End::Generator => Verdict::Void,
        End::Server | End::Bound => Verdict::Pass,
    }
}

impl Step {
    fn of(users: u32, outcome: &Outcome) -> Self {
        let metric = |name: &'static str| (name, outcome.metrics.get(name).copied().flatten());
        Self {
            users,
            verdict: outcome.verdict,
            missed: missed(outcome).map(words).collect(),
            limited_by: outcome.tester.limited_by.clone(),
            metrics: FIGURES.map(metric).into_iter().collect(),
            fault: is_fault(outcome),
        }
    }

    /// The server was there for the steps before, and not for this one.
    fn unreached(users: u32, why: String) -> Self {
        Self { users, verdict: Verdict::Fail, missed: vec![why], limited_by: Vec::new(), metrics: BTreeMap::new(), fault: false }
    }

    fn line(&self) -> String {
        let figure = |name| self.metrics.get(name).copied().flatten().map_or("-".to_owned(), |value| format!("{value:.1}"));
        let end = match (&self.missed[..], &self.limited_by[..]) {
            ([], []) => "held".to_owned(),
            (missed, []) => missed.join("; "),
            (_, limited) => format!("generator-limited: {}", limited.join("; ")),
        };
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
    /// For a terminal.
    pub fn text(&self) -> String {
        let why = self.why.join("; ");
        let held = self.held;
        let found = match (self.ended_by, self.broke) {
            (End::Server, Some(broke)) => format!("{held} users held, {broke} did not: {why}"),
            (End::Generator, Some(broke)) => {
                format!(
                    "{held} users held; with {broke} the generator was the limit, and the server's ceiling is not known: {why}"
                )
            }
            (End::Generator, None) => {
                format!("{held} users held; the generator was the limit, and the server's ceiling is not known: {why}")
            }
            (End::Interrupted, _) => format!("{held} users held until then: {why}"),
            (End::Server | End::Bound, _) => format!("{held} users held, and more were not asked for: {why}"),
        };
        let steps: String = self.steps.iter().map(|step| step.line() + "\n").collect();
        format!("\n{steps}ceiling: {found}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Climbs to a server that bears so many; gives the numbers that were tried, and what held in the end.
    fn tried(start: u32, max: u32, bears: u32) -> (Vec<u32>, u32) {
        let mut climb = Climb { start, max, held: 0, broke: None };
        let mut tried = Vec::new();
        while let Some(users) = climb.next() {
            tried.push(users);
            assert!(tried.len() < 40, "it ends: {tried:?}");
            if users <= bears { climb.held = users } else { climb.broke = Some(users) }
        }
        (tried, climb.held)
    }

    #[test]
    fn it_doubles_and_then_halves_the_gap() {
        assert_eq!(tried(100, 20_000, 1_000), (vec![100, 200, 400, 800, 1_600, 1_200, 1_000, 1_100, 1_050], 1_000));
        assert_eq!(tried(300, 1_000, 5_000), (vec![300, 600, 1_000], 1_000), "it stops at the bound");
        assert_eq!(tried(300, 200, 5_000), (vec![200], 200));
    }

    #[test]
    fn it_goes_down_when_the_beginning_is_too_much() {
        let (numbers, held) = tried(100, 20_000, 3);
        assert_eq!((&numbers[..2], held), (&[100, 50][..], 3));
        assert_eq!(tried(8, 20_000, 0), (vec![8, 4, 2, 1], 0));
    }

    #[test]
    fn any_server_is_found_within_the_gap() {
        for bears in [1, 7, 99, 300, 301, 4_567, 19_999] {
            let (_, held) = tried(300, 20_000, bears);
            assert!(held <= bears && bears - held <= (held / GAP).max(1), "{bears}: {held}");
        }
    }

    #[test]
    fn a_ceiling_is_no_failure_and_a_fault_is() {
        let step = |fault| Step { fault, ..Step::unreached(1, String::new()) };
        assert_eq!(verdict(End::Server, 10, &[step(false)]), Verdict::Pass);
        assert_eq!(verdict(End::Server, 0, &[step(false)]), Verdict::Fail, "not one user");
        assert_eq!(verdict(End::Server, 10, &[step(false), step(true)]), Verdict::Fail);
        assert_eq!(verdict(End::Generator, 10, &[step(false)]), Verdict::Void);
        assert_eq!(verdict(End::Bound, 10, &[step(false)]), Verdict::Pass);
    }

    #[test]
    fn the_machines_own_end_is_not_the_servers() {
        let room = Room { users: 50, by: "the descriptors" };
        let climb = Climb { start: 10, max: 50, held: 50, broke: None };
        let (end, why) = ending(climb, Fall::None, false, room, 100);
        assert!(end == End::Generator && why[0].contains("the descriptors"), "{why:?}");
        assert_eq!(ending(climb, Fall::None, false, room, 50).0, End::Bound);
        assert_eq!(ending(climb, Fall::Server(vec![]), false, room, 50).0, End::Server);
    }
}
