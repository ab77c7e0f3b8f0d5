//! A scenario from a TOML file: phases one after the other, or at the times that they name.
//!
//! Nothing is guessed: an unknown key, an impossible phase and a number out of range are refused by
//! name.

use super::{Draws, Scenario, Size, share};
use crate::arguments::{FullScenario, PRIZES_MAX, SECONDS_MAX, USERS_MAX, percentage};
use crate::measure::clock::Span;
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// Number of users when neither the file nor the command line names one.
const USERS: u32 = 300;

/// The name of a file that has none.
pub const CUSTOM: &str = "a custom scenario";

/// The plan's scenarios.
const PLANNED: [(&str, &str); 4] =
    [("a", include_str!("a.toml")), ("b", include_str!("b.toml")), ("c", include_str!("c.toml")), ("d", include_str!("d.toml"))];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioFile {
    name: Option<String>,
    users: Option<u32>,
    /// Seconds in all; by default until the end of the last phase.
    duration: Option<f64>,
    /// Seconds between two pings of a phone.
    ping_interval: Option<f64>,
    dead_clients: Option<String>,
    slow_clients: Option<String>,
    #[serde(default)]
    reconnect_storm: bool,
    #[serde(default)]
    stage: bool,
    #[serde(default)]
    phase: Vec<Phase>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Phase {
    kind: Kind,
    /// Seconds since the start; by default the end of the phase before.
    from: Option<f64>,
    seconds: Option<f64>,
    /// Of draws.
    count: Option<u32>,
    interval: Option<f64>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Every phone registers.
    Arrivals,
    /// Every phone opens a socket.
    Sockets,
    Draws,
    /// Every phone requests the results, and winners submit their details.
    Details,
    /// Nothing but pings.
    Idle,
}

/// Reads the file. The command line overrides it.
///
/// # Errors
/// Which key is wrong, and why.
pub fn read(path: &Path, options: &FullScenario) -> Result<Scenario, String> {
    let wrong = |why: String| format!("--scenario-file {}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let mut file: ScenarioFile = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    file.users = options.users.or(file.users);
    file.reconnect_storm |= options.trouble.reconnect_storm;
    file.stage |= options.trouble.stage;
    let scenario = file.scenario(options.time_scale, options.trouble.slow_clients).map_err(wrong)?;
    if options.prizes.is_some() {
        return Err(wrong("--prizes is not for a file: its draws have a count".into()));
    }
    Ok(scenario)
}

/// One of the plan's scenarios in the size that the command line asks for.
///
/// # Errors
/// Which number is out of range.
pub fn planned(name: &'static str, size: Size) -> Result<Scenario, String> {
    let text = PLANNED.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| *text);
    let mut file: ScenarioFile = toml::from_str(text).map_err(|error| format!("scenario {name}: {error}"))?;
    file.users = Some(size.users);
    file.phase.retain(|phase| phase.kind != Kind::Draws || size.prizes > 0);
    for phase in &mut file.phase {
        match phase.kind {
            Kind::Draws => (phase.count, phase.interval) = (Some(size.prizes), Some(size.draw_interval_s)),
            Kind::Idle => phase.seconds = Some(size.idle_s),
            Kind::Arrivals | Kind::Sockets | Kind::Details => {}
        }
    }
    let scenario = file.build(size.scale, None)?;
    let dead = file.dead_clients.map_or(0, |_| share(scenario.users, size.dead_fraction));
    Ok(Scenario { name, dead, ..scenario })
}

impl ScenarioFile {
    fn scenario(&self, scale: f64, slow_option: Option<f64>) -> Result<Scenario, String> {
        let scenario = self.build(scale, slow_option)?;
        check_whole(&scenario, self.reconnect_storm).map(|()| scenario)
    }

    /// The scenario, of which it is not known whether its parts fit together.
    fn build(&self, scale: f64, slow_option: Option<f64>) -> Result<Scenario, String> {
        let users = self.users.unwrap_or(USERS);
        if !(1..=USERS_MAX).contains(&users) {
            return Err(format!("users: {users} is not 1 to {USERS_MAX}"));
        }
        let users = users as usize;
        let ping_s = check_seconds("ping_interval", self.ping_interval.unwrap_or(30.0), f64::MIN_POSITIVE)?;
        let mut scenario = Scenario {
            name: "file",
            what: self.name.clone().unwrap_or_else(|| CUSTOM.into()),
            users,
            scale,
            ping_interval: Duration::from_secs_f64(ping_s * scale),
            dead: share(users, fraction("dead_clients", self.dead_clients.as_deref())?),
            has_stage: self.stage,
            ..Scenario::default()
        };
        let end_s = self.add_phases(&mut scenario, scale)?;
        let duration_s = check_seconds("duration", self.duration.unwrap_or(end_s), f64::MIN_POSITIVE)?;
        if duration_s < end_s {
            return Err(format!("duration: {duration_s} s end before the last phase does, at {end_s} s"));
        }
        scenario.end = Duration::from_secs_f64(duration_s * scale);
        let slow = slow_option.map_or_else(|| fraction("slow_clients", self.slow_clients.as_deref()), Ok)?;
        Ok(scenario.troubled(slow, self.reconnect_storm))
    }

    /// Adds the phases to the scenario; returns the end of the last one, in seconds.
    fn add_phases(&self, scenario: &mut Scenario, scale: f64) -> Result<f64, String> {
        if self.phase.is_empty() {
            return Err("phase: there is none".into());
        }
        let (mut before_s, mut end_s) = (0.0, 0.0_f64);
        for (phase, place) in self.phase.iter().zip(1..) {
            let from_s = phase.from.unwrap_or(before_s);
            let at = |why: String| format!("phase {place} ({}): {why}", format!("{:?}", phase.kind).to_lowercase());
            let length_s = check_seconds("from", from_s, 0.0).and_then(|_| phase.add(scenario, from_s, scale)).map_err(at)?;
            before_s = from_s + length_s;
            end_s = end_s.max(before_s);
        }
        Ok(end_s)
    }
}

impl Phase {
    /// Adds itself to the scenario; returns its length in seconds.
    fn add(&self, scenario: &mut Scenario, from_s: f64, scale: f64) -> Result<f64, String> {
        if self.kind == Kind::Draws {
            return self.add_draws(scenario, from_s, scale);
        }
        for (key, given) in [("count", self.count.is_some()), ("interval", self.interval.is_some())] {
            if given {
                return Err(format!("{key} is for draws"));
            }
        }
        let seconds = check_seconds("seconds", self.seconds.ok_or("seconds is missing")?, 0.0)?;
        let span = match self.kind {
            Kind::Arrivals => &mut scenario.registrations,
            Kind::Sockets => &mut scenario.sockets,
            Kind::Details => &mut scenario.results,
            Kind::Draws | Kind::Idle => return Ok(seconds),
        };
        if span.replace(Span::seconds(from_s, seconds, scale)).is_some() {
            return Err("kind: there is such a phase already; only draws and idle may come again".into());
        }
        Ok(seconds)
    }

    fn add_draws(&self, scenario: &mut Scenario, from_s: f64, scale: f64) -> Result<f64, String> {
        if self.seconds.is_some() {
            return Err("seconds is not for draws: they take count times interval".into());
        }
        let count = self.count.ok_or("count is missing")?;
        if !(1..=PRIZES_MAX).contains(&count) {
            return Err(format!("count: {count} is not 1 to {PRIZES_MAX}"));
        }
        let interval_s = check_seconds("interval", self.interval.ok_or("interval is missing")?, f64::MIN_POSITIVE)?;
        let from = Duration::from_secs_f64(from_s * scale);
        if scenario.draws.last().is_some_and(|draws| from < draws.end()) {
            return Err("from: the draws before are not over then".into());
        }
        scenario.draws.push(Draws { from, count, interval: Duration::from_secs_f64(interval_s * scale) });
        Ok(f64::from(count) * interval_s)
    }
}

/// Checks what no phase can know alone.
fn check_whole(scenario: &Scenario, storm: bool) -> Result<(), String> {
    let arrived = scenario.registrations.map(Span::end);
    if scenario.draw_count() as usize > scenario.users {
        return Err(format!("count: {} draws, and only {} users to win them", scenario.draw_count(), scenario.users));
    }
    if scenario.draws.first().is_some_and(|draws| arrived.is_none_or(|arrived| draws.from < arrived)) {
        return Err("phase: draws come before all have arrived, and the pool may be empty".into());
    }
    if scenario.results.is_some() && scenario.draws.is_empty() {
        return Err("phase: details without draws".into());
    }
    if scenario.sockets.is_none() && (storm || scenario.slow + scenario.dead > 0) {
        return Err("reconnect_storm, slow_clients and dead_clients need a phase of sockets".into());
    }
    if scenario.slow + scenario.dead > scenario.users {
        return Err("dead_clients and slow_clients are more than all".into());
    }
    Ok(())
}

/// Checks that a number of seconds is at least `min` and at most a week.
fn check_seconds(key: &str, value: f64, min: f64) -> Result<f64, String> {
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

    fn scenario(text: &str) -> Result<Scenario, String> {
        toml::from_str::<ScenarioFile>(text).map_err(|error| error.to_string())?.scenario(0.5, None)
    }

    const EVENT: &str = "
        name = 'gala'\nusers = 40\nping_interval = 20\nslow_clients = '5%'\nreconnect_storm = true\nduration = 100
        [[phase]]\nkind = 'arrivals'\nseconds = 10
        [[phase]]\nkind = 'sockets'\nfrom = 5\nseconds = 15
        [[phase]]\nkind = 'draws'\ncount = 4\ninterval = 3
        [[phase]]\nkind = 'idle'\nseconds = 8
        [[phase]]\nkind = 'draws'\ncount = 2\ninterval = 5
        [[phase]]\nkind = 'details'\nseconds = 20";

    #[test]
    fn phases_follow_one_another_unless_they_name_a_time() {
        let scenario = scenario(EVENT).unwrap();
        let span = |span: Option<Span>| span.map(|span| (span.from.as_secs_f64(), span.end().as_secs_f64()));
        let arrivals = [span(scenario.registrations), span(scenario.sockets)];
        assert_eq!(arrivals, [Some((0.0, 5.0)), Some((2.5, 10.0))], "at half of the file's time");
        assert_eq!(span(scenario.results), Some((25.0, 35.0)));
        let draws: Vec<_> = scenario.draws.iter().map(|draws| (draws.from.as_secs_f64(), draws.count)).collect();
        assert_eq!(draws, [(10.0, 4), (20.0, 2)]);
        assert_eq!((scenario.end.as_secs(), scenario.ping_interval.as_secs(), scenario.slow), (50, 10, 2));
        assert_eq!(scenario.storm.map(|at| at.as_secs_f64()), Some(14.5), "with the fourth draw of six");
    }

    #[test]
    fn a_file_that_makes_no_sense_is_refused_by_name() {
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
            let why = scenario(&text).map(|scenario| scenario.what).unwrap_err();
            assert!(why.contains(named), "{named:?} is named: {why}");
        }
    }
}
