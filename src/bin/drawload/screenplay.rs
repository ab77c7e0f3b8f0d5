//! A scenario of one's own, from a TOML file: phases one after the other, or wherever they say that they begin.
//!
//! Nothing in it is guessed: a key that is not known, a phase that cannot be played and a number that makes no sense are refused, and named.

use crate::arguments::{FullScenario, USERS_MAX, percentage};
use crate::clock::Span;
use crate::plan::{Draws, Plan, share};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// The longest that anything may take: a week.
const SECONDS_MAX: f64 = 604_800.0;

/// Users when neither the file nor the caller says how many.
const USERS: u32 = 300;

const PRIZES_MAX: u32 = 10_000;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Screenplay {
    name: Option<String>,
    users: Option<u32>,
    /// Seconds in all; when the last phase ends, if it is not said.
    duration: Option<f64>,
    /// Seconds between two pings of a phone.
    ping_interval: Option<f64>,
    dead_clients: Option<String>,
    slow_clients: Option<String>,
    #[serde(default)]
    reconnect_storm: bool,
    #[serde(default)]
    phase: Vec<Phase>,
}

/// One phase.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Phase {
    kind: Kind,
    /// Seconds since the beginning; when the phase before it ends, if it is not said.
    from: Option<f64>,
    seconds: Option<f64>,
    /// Of draws.
    count: Option<u32>,
    interval: Option<f64>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Everybody registers.
    Arrivals,
    /// Everybody opens a socket.
    Sockets,
    Draws,
    /// Everybody looks up the results, and winners hand in their details.
    Details,
    /// Nothing but pings.
    Idle,
}

/// Reads the file; what the caller says outweighs it.
///
/// # Errors
/// What is wrong with it, and where.
pub fn read(path: &Path, asked: &FullScenario) -> Result<Plan, String> {
    let wrong = |why: String| format!("--scenario-file {}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let mut play: Screenplay = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    play.users = asked.users.or(play.users);
    play.reconnect_storm |= asked.trouble.reconnect_storm;
    let plan = play.plan(asked.time_scale, asked.trouble.slow_clients).map_err(wrong)?;
    if asked.prizes.is_some() {
        return Err(wrong("--prizes is not for a file: its draws have a count".into()));
    }
    Ok(plan)
}

impl Screenplay {
    fn plan(&self, scale: f64, slow_asked: Option<f64>) -> Result<Plan, String> {
        let users = self.users.unwrap_or(USERS);
        if !(1..=USERS_MAX).contains(&users) {
            return Err(format!("users: {users} is not 1 to {USERS_MAX}"));
        }
        let users = users as usize;
        let ping_s = number("ping_interval", self.ping_interval.unwrap_or(30.0), f64::MIN_POSITIVE)?;
        let mut plan = Plan {
            name: "file",
            what: self.name.clone().unwrap_or_else(|| "a scenario of one's own".into()),
            users,
            registrations: None,
            sockets: None,
            draws: Vec::new(),
            aftermath: None,
            end: Duration::ZERO,
            ping_every: Duration::from_secs_f64(ping_s * scale),
            dead: share(users, fraction("dead_clients", self.dead_clients.as_deref())?),
            slow: 0,
            storm: None,
        };
        let end_s = self.set_phases(&mut plan, scale)?;
        let duration_s = number("duration", self.duration.unwrap_or(end_s), f64::MIN_POSITIVE)?;
        if duration_s < end_s {
            return Err(format!("duration: {duration_s} s end before the last phase does, at {end_s} s"));
        }
        plan.end = Duration::from_secs_f64(duration_s * scale);
        let slow = slow_asked.map_or_else(|| fraction("slow_clients", self.slow_clients.as_deref()), Ok)?;
        let plan = plan.troubled(slow, self.reconnect_storm);
        check(&plan, self.reconnect_storm).map(|()| plan)
    }

    /// Plays the phases through on paper; gives back when the last one ends, in seconds.
    fn set_phases(&self, plan: &mut Plan, scale: f64) -> Result<f64, String> {
        if self.phase.is_empty() {
            return Err("phase: there is none".into());
        }
        let (mut before_s, mut end_s) = (0.0, 0.0_f64);
        for (phase, place) in self.phase.iter().zip(1..) {
            let from_s = phase.from.unwrap_or(before_s);
            let at = |why: String| format!("phase {place} ({}): {why}", format!("{:?}", phase.kind).to_lowercase());
            let length_s = number("from", from_s, 0.0).and_then(|_| phase.set(plan, from_s, scale)).map_err(at)?;
            before_s = from_s + length_s;
            end_s = end_s.max(before_s);
        }
        Ok(end_s)
    }
}

impl Phase {
    /// Writes itself into the plan; gives back how many seconds it takes.
    fn set(&self, plan: &mut Plan, from_s: f64, scale: f64) -> Result<f64, String> {
        if self.kind == Kind::Draws {
            return self.set_draws(plan, from_s, scale);
        }
        for (key, given) in [("count", self.count.is_some()), ("interval", self.interval.is_some())] {
            if given {
                return Err(format!("{key} is for draws"));
            }
        }
        let seconds = number("seconds", self.seconds.ok_or("seconds is missing")?, 0.0)?;
        let place = match self.kind {
            Kind::Arrivals => &mut plan.registrations,
            Kind::Sockets => &mut plan.sockets,
            Kind::Details => &mut plan.aftermath,
            Kind::Draws | Kind::Idle => return Ok(seconds),
        };
        if place.replace(Span::seconds(from_s, seconds, scale)).is_some() {
            return Err("kind: there is such a phase already; only draws and idle may come again".into());
        }
        Ok(seconds)
    }

    fn set_draws(&self, plan: &mut Plan, from_s: f64, scale: f64) -> Result<f64, String> {
        if self.seconds.is_some() {
            return Err("seconds is not for draws: they take count times interval".into());
        }
        let count = self.count.ok_or("count is missing")?;
        if !(1..=PRIZES_MAX).contains(&count) {
            return Err(format!("count: {count} is not 1 to {PRIZES_MAX}"));
        }
        let interval_s = number("interval", self.interval.ok_or("interval is missing")?, f64::MIN_POSITIVE)?;
        let from = Duration::from_secs_f64(from_s * scale);
        let before_end = plan.draws.last().map(|draws| draws.from + draws.interval * draws.count);
        if before_end.is_some_and(|end| from < end) {
            return Err("from: the draws before are not over then".into());
        }
        plan.draws.push(Draws { from, count, interval: Duration::from_secs_f64(interval_s * scale) });
        Ok(f64::from(count) * interval_s)
    }
}

/// What no phase can know alone.
fn check(plan: &Plan, storm: bool) -> Result<(), String> {
    let arrived = plan.registrations.map(Span::end);
    if plan.draw_count() as usize > plan.users {
        return Err(format!("count: {} draws, and only {} users to win them", plan.draw_count(), plan.users));
    }
    if plan.draws.first().is_some_and(|draws| arrived.is_none_or(|arrived| draws.from < arrived)) {
        return Err("phase: draws come before all have arrived, and may find nobody".into());
    }
    if plan.aftermath.is_some() && plan.draws.is_empty() {
        return Err("phase: details without draws".into());
    }
    if plan.sockets.is_none() && (storm || plan.slow + plan.dead > 0) {
        return Err("reconnect_storm, slow_clients and dead_clients need a phase of sockets".into());
    }
    if plan.slow + plan.dead > plan.users {
        return Err("dead_clients and slow_clients are more than all".into());
    }
    Ok(())
}

/// At least `min`, and no longer than a week.
fn number(key: &str, value: f64, min: f64) -> Result<f64, String> {
    let fits = value >= min && value <= SECONDS_MAX;
    let least = if min > 0.0 { "above 0" } else { "0 or more" };
    if fits { Ok(value) } else { Err(format!("{key}: {value} is not {least} and at most a week of seconds")) }
}

fn fraction(key: &str, text: Option<&str>) -> Result<f64, String> {
    text.map_or(Ok(0.0), |text| percentage(text).map_err(|why| format!("{key}: {text} {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan, String> {
        toml::from_str::<Screenplay>(text).map_err(|error| error.to_string())?.plan(0.5, None)
    }

    const EVENING: &str = "
        name = 'evening'\nusers = 40\nping_interval = 20\nslow_clients = '5%'\nreconnect_storm = true\nduration = 100
        [[phase]]\nkind = 'arrivals'\nseconds = 10
        [[phase]]\nkind = 'sockets'\nfrom = 5\nseconds = 15
        [[phase]]\nkind = 'draws'\ncount = 4\ninterval = 3
        [[phase]]\nkind = 'idle'\nseconds = 8
        [[phase]]\nkind = 'draws'\ncount = 2\ninterval = 5
        [[phase]]\nkind = 'details'\nseconds = 20";

    #[test]
    fn phases_follow_one_another_unless_they_say_when() {
        let plan = plan(EVENING).unwrap();
        let span = |span: Option<Span>| span.map(|span| (span.from.as_secs_f64(), span.end().as_secs_f64()));
        assert_eq!(
            [span(plan.registrations), span(plan.sockets)],
            [Some((0.0, 5.0)), Some((2.5, 10.0))],
            "half of the plan's time"
        );
        assert_eq!(span(plan.aftermath), Some((25.0, 35.0)));
        let draws: Vec<_> = plan.draws.iter().map(|draws| (draws.from.as_secs_f64(), draws.count)).collect();
        assert_eq!(draws, [(10.0, 4), (20.0, 2)]);
        assert_eq!((plan.end.as_secs(), plan.ping_every.as_secs(), plan.slow), (50, 10, 2));
        assert_eq!(plan.storm.map(|at| at.as_secs_f64()), Some(14.5), "with the fourth draw of six");
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_named() {
        let arrivals = "[[phase]]\nkind = 'arrivals'\nseconds = 1\n";
        let cases = [
            (String::new(), "phase"),
            (format!("user = 3\n{arrivals}"), "user"),
            (format!("users = 0\n{arrivals}"), "users"),
            (format!("users = 'many'\n{arrivals}"), "users"),
            (format!("ping_interval = 0\n{arrivals}"), "ping_interval"),
            (format!("ping_interval = nan\n{arrivals}"), "ping_interval"),
            (format!("slow_clients = '101%'\n{arrivals}"), "slow_clients"),
            (format!("reconnect_storm = true\n{arrivals}"), "reconnect_storm"),
            (format!("duration = 0.5\n{arrivals}"), "duration"),
            (format!("{arrivals}{arrivals}"), "phase 2 (arrivals): kind"),
            (arrivals.replace("seconds = 1", "seconds = -1"), "phase 1 (arrivals): seconds"),
            (arrivals.replace("seconds = 1", ""), "phase 1 (arrivals): seconds"),
            (arrivals.replace("seconds", "secondes"), "secondes"),
            (arrivals.replace("arrivals", "arrival"), "arrival"),
            (format!("{arrivals}count = 3"), "phase 1 (arrivals): count"),
            (format!("{arrivals}from = inf"), "phase 1 (arrivals): from"),
            (format!("{arrivals}[[phase]]\nkind = 'draws'\ncount = 3"), "phase 2 (draws): interval"),
            (format!("{arrivals}[[phase]]\nkind = 'draws'\ncount = 0\ninterval = 1"), "phase 2 (draws): count"),
            (format!("{arrivals}[[phase]]\nkind = 'draws'\ncount = 1\ninterval = 1\nseconds = 1"), "phase 2 (draws): seconds"),
            (format!("users = 2\n{arrivals}[[phase]]\nkind = 'draws'\ncount = 3\ninterval = 1"), "count"),
            ("[[phase]]\nkind = 'draws'\ncount = 1\ninterval = 1".into(), "draws"),
            (format!("{arrivals}[[phase]]\nkind = 'details'\nseconds = 1"), "details"),
        ];
        for (text, named) in cases {
            let why = plan(&text).map(|plan| plan.what).unwrap_err();
            assert!(why.contains(named), "{named:?} is named: {why}");
        }
    }
}
