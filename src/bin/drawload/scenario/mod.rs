//! Scenarios: what happens when, as values of one type.
//!
//! A scenario is data and not code, so that differences can be read at a glance, and no phone knows
//! which one it is in. "The plan" is the specification that this tester was built for: its
//! scenarios are a to d, files that are part of the program.

pub mod file;

use crate::arguments::{HttpCalls, Trouble};
use crate::measure::clock::Span;
use crate::measure::draw_record::SHOW;
use crate::measure::number;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The reveal of a draw with a stage, as part of its interval; the show takes the rest.
pub const STAGE_REVEAL_AT: f64 = 0.05;

/// Time for the host's calls before and after a show.
const STAGE_SPARE: Duration = Duration::from_millis(200);

/// A scenario with its times, counted from the start of the run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Scenario {
    #[serde(skip)]
    pub name: &'static str,
    pub what: String,
    pub users: usize,
    /// When users register; `None`: they do not.
    pub registrations: Option<Span>,
    /// When users open their sockets; `None`: they do not, there is no display, and the host
    /// completes the draws.
    pub sockets: Option<Span>,
    /// Blocks of draws, in order.
    pub draws: Vec<Draws>,
    /// When users request the results, and winners submit their details.
    pub results: Option<Span>,
    pub end: Duration,
    /// Factor of all times of the plan.
    pub scale: f64,
    pub ping_interval: Duration,
    /// Number of phones that vanish without closing once all are connected.
    pub dead: usize,
    /// Number of phones that read little or nothing once all are connected.
    pub slow: usize,
    /// When all sockets drop at once, to reconnect.
    pub storm: Option<Duration>,
    /// The display is a stage: the server plans its shows and ends them itself.
    pub has_stage: bool,
}

/// Draws at a steady pace.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draws {
    pub from: Duration,
    pub count: u32,
    pub interval: Duration,
}

/// Options of the command line that change a scenario.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub users: u32,
    pub prizes: u32,
    pub draw_interval_s: f64,
    pub scale: f64,
    pub idle_s: f64,
    pub dead_fraction: f64,
}

impl Size {
    /// Users and nothing else, in the plan's time.
    fn of(users: u32) -> Self {
        Self { users, prizes: 0, draw_interval_s: 1.0, scale: 1.0, idle_s: 0.0, dead_fraction: 0.0 }
    }
}

impl Scenario {
    /// Sockets alone: all within `ramp_up_s`, held until the end.
    pub fn websocket(users: u32, ramp_up_s: f64, duration_s: f64) -> Self {
        let sockets = Span::seconds(0.0, ramp_up_s, 1.0);
        Self { registrations: None, ..Self::base("websocket", "sockets", Size::of(users), 0.0, sockets, duration_s) }
    }

    /// Calls alone, within `duration_s`.
    pub fn http(calls: HttpCalls, users: u32, prizes: u32, duration_s: f64) -> Self {
        // The shares of the time for registrations, draws and results.
        let (name, what, [registrations, draws, results]) = match calls {
            HttpCalls::Registration => ("http-registration", "registrations", [1.0, 0.0, 0.0]),
            HttpCalls::Draw => ("http-draw", "draws over HTTP", [0.1, 0.9, 0.0]),
            HttpCalls::Mixed => ("http-mixed", "mixed calls", [0.3, 0.4, 0.3]),
        };
        let size = Size { prizes, draw_interval_s: draws * duration_s / f64::from(prizes), ..Size::of(users) };
        let base = Self::base(name, what, size, registrations * duration_s, Span::seconds(0.0, 0.0, 1.0), duration_s);
        let from_s = (registrations + draws) * duration_s;
        Self {
            sockets: None,
            draws: (draws > 0.0).then(|| Draws::of(registrations * duration_s, size)).into_iter().collect(),
            results: (results > 0.0).then(|| Span::seconds(from_s, results * duration_s, 1.0)),
            ..base
        }
    }

    /// Adds slow phones and a reconnect storm, as the command line asks.
    pub fn with_trouble(self, trouble: &Trouble) -> Self {
        let scenario = self.troubled(trouble.slow_clients.unwrap_or(0.0), trouble.reconnect_storm);
        Self { has_stage: trouble.stage, ..scenario }
    }

    /// Checks that draws leave the time for the shows of a stage, which no time scale shortens.
    ///
    /// # Errors
    /// The interval that is needed.
    pub fn check_stage(&self) -> Result<(), String> {
        let needed = (SHOW + STAGE_SPARE).div_f64(1.0 - STAGE_REVEAL_AT);
        let is_short = self.draws.iter().any(|draws| draws.interval < needed);
        let why =
            format!("--stage: a show takes {:.1} s of real time; draws need {:.2} s", SHOW.as_secs_f64(), needed.as_secs_f64());
        if self.has_stage && is_short { Err(why) } else { Ok(()) }
    }

    fn troubled(self, slow_fraction: f64, storm: bool) -> Self {
        let storm = if storm { self.middle() } else { None };
        Self { slow: share(self.users, slow_fraction), storm, ..self }
    }

    pub fn draw_count(&self) -> u32 {
        self.draws.iter().map(|draws| draws.count).sum()
    }

    /// Start and interval of every draw.
    pub fn each_draw(&self) -> impl Iterator<Item = (Duration, Duration)> {
        let blocks = self.draws.iter();
        blocks.flat_map(|block| (0..block.count).map(|index| (block.from + block.interval * index, block.interval)))
    }

    /// When phones begin to vanish or to be slow: once all are connected.
    pub fn all_connected(&self) -> Duration {
        self.sockets.map_or(self.end, Span::end)
    }

    /// Length of the time in which slow phones are slow.
    pub fn slow_for(&self) -> Duration {
        if self.slow == 0 { Duration::ZERO } else { self.end.saturating_sub(self.all_connected()) }
    }

    /// The middle of the time with sockets; just before a draw where there is one, so that phones
    /// miss something.
    fn middle(&self) -> Option<Duration> {
        let sockets = self.sockets?;
        let halfway = usize::try_from(self.draw_count() / 2).ok()?;
        let draw = self.each_draw().nth(halfway).map(|(from, _)| from);
        Some(draw.unwrap_or_else(|| sockets.end() + self.end.saturating_sub(sockets.end()) / 2))
    }

    fn base(name: &'static str, what: &str, size: Size, registrations_s: f64, sockets: Span, end_s: f64) -> Self {
        Self {
            name,
            what: what.to_owned(),
            users: size.users as usize,
            registrations: Some(Span::seconds(0.0, registrations_s, size.scale)),
            sockets: Some(sockets),
            end: Duration::from_secs_f64(end_s * size.scale),
            scale: size.scale,
            ping_interval: Duration::from_secs_f64(30.0 * size.scale),
            ..Self::default()
        }
    }
}

impl Draws {
    fn of(from_s: f64, size: Size) -> Self {
        let seconds = |s: f64| Duration::from_secs_f64(s * size.scale);
        Self { from: seconds(from_s), count: size.prizes, interval: seconds(size.draw_interval_s) }
    }

    pub fn end(self) -> Duration {
        self.from + self.interval * self.count
    }
}

/// A share of the phones.
fn share(users: usize, fraction: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 20,000 phones")]
    let count = (number(users) * fraction).round() as usize;
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(name: &'static str, size: Size) -> Scenario {
        file::planned(name, size).unwrap()
    }

    const SIZE: Size = Size { users: 300, prizes: 100, draw_interval_s: 3.0, scale: 1.0, idle_s: 3_600.0, dead_fraction: 0.02 };

    #[test]
    fn the_scenarios_last_as_long_as_the_plan_says() {
        let ends = ["a", "b", "c", "d"].map(|name| planned(name, SIZE).end.as_secs());
        assert_eq!(ends, [120, 320, 600, 3_670], "b and d with the arrivals before their 300 and 3,600 s");
        let c = planned("c", SIZE);
        assert_eq!([c.registrations, c.sockets].map(|span| span.map(|span| span.end().as_secs())), [Some(60), Some(120)]);
        assert_eq!(c.results.map(|span| (span.from.as_secs(), span.end().as_secs())), Some((420, 600)));
        let http = Scenario::http(HttpCalls::Mixed, 300, 20, 60.0);
        assert_eq!((http.sockets, http.draw_count(), http.results.map(|span| span.end().as_secs())), (None, 20, Some(60)));
        assert_eq!(Scenario::http(HttpCalls::Registration, 300, 20, 60.0).draw_count(), 0);
        assert_eq!(Scenario::websocket(300, 10.0, 120.0).registrations, None);
        assert_eq!(planned("d", SIZE).dead, 6);
        let drawless = planned("c", Size { prizes: 0, ..SIZE });
        assert_eq!((drawless.draw_count(), drawless.end.as_secs()), (0, 300));
        assert_eq!(planned("a", Size { scale: 0.5, ..SIZE }).end.as_secs(), 60);
    }

    #[test]
    fn trouble_begins_when_all_are_connected() {
        let storm = |scenario: Scenario| scenario.troubled(0.0, true).storm.map(|at| at.as_secs());
        assert_eq!(storm(planned("b", SIZE)), Some(170), "with the fifty-first draw");
        assert_eq!(storm(planned("a", SIZE)), Some(75), "between the last socket and the end");
        assert_eq!(storm(Scenario::http(HttpCalls::Draw, 300, 20, 60.0)), None, "no socket, no storm");
        let slow = planned("a", SIZE).troubled(0.02, false);
        assert_eq!((slow.slow, slow.slow_for().as_secs(), slow.storm), (6, 90, None));
    }
}
