//! What happens when: the scenarios as one kind of table.
//!
//! A scenario is data, not code, so that what differs between them can be read at a glance, and a phone does not know which one it is in.

use crate::arguments::Calls;
use crate::clock::Span;
use std::time::Duration;

/// A scenario with its times.
#[derive(Clone, Debug)]
pub struct Plan {
    pub name: &'static str,
    pub what: String,
    pub users: usize,
    /// When they register, if they do.
    pub registrations: Option<Span>,
    /// When they open their sockets, if they do. Without sockets there is no display, and the host completes the draws.
    pub sockets: Option<Span>,
    /// One block after another.
    pub draws: Vec<Draws>,
    /// When everybody looks up the results, and winners hand in their details.
    pub aftermath: Option<Span>,
    pub end: Duration,
    pub ping_every: Duration,
    /// How many phones vanish without a word once all are connected.
    pub dead: usize,
    /// How many phones read little or nothing once all are connected.
    pub slow: usize,
    /// When all sockets drop at once, to come back.
    pub storm: Option<Duration>,
}

/// Draws at a steady pace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draws {
    pub from: Duration,
    pub count: u32,
    pub interval: Duration,
}

/// What the arguments change about a scenario.
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
    /// People and nothing else, in the plan's time.
    fn of(users: u32) -> Self {
        Self { users, prizes: 0, draw_interval_s: 1.0, scale: 1.0, idle_s: 0.0, dead_fraction: 0.0 }
    }
}

impl Plan {
    /// A: everybody registers within 10 s, opens a socket in the next 20 s and holds it until 120 s.
    pub fn a(size: Size) -> Self {
        Self::base("a", "registration spike", size, 10.0, Span::seconds(10.0, 20.0, size.scale), 120.0)
    }

    /// B: sockets first, then the draws. Those who can win have to be registered, so that it begins with 20 s of arrivals.
    pub fn b(size: Size) -> Self {
        Self::with_draws("b", "draws", size)
    }

    /// C: a minute of registrations, a minute of sockets, the draws, three minutes of results and winner details.
    pub fn c(size: Size) -> Self {
        let draws_s = f64::from(size.prizes) * size.draw_interval_s;
        let base = Self::base("c", "mixed evening", size, 60.0, Span::seconds(60.0, 60.0, size.scale), 300.0 + draws_s);
        let aftermath = Some(Span::seconds(120.0 + draws_s, 180.0, size.scale));
        Self { draws: vec![Draws::of(120.0, size)], aftermath, ..base }
    }

    /// D: sockets within a minute, then an hour of silence but for pings; some phones vanish. Tokens are taken in the 10 s before.
    pub fn d(size: Size) -> Self {
        let base = Self::base("d", "idle sockets", size, 10.0, Span::seconds(10.0, 60.0, size.scale), 70.0 + size.idle_s);
        Self { dead: share(base.users, size.dead_fraction), ..base }
    }

    /// One step on the way to the ceiling: everybody within 20 s, and the draws, as in b. The more people, the steeper.
    pub fn step(size: Size) -> Self {
        Self::with_draws("ceiling", "a step towards the ceiling", size)
    }

    /// Sockets alone: all within `ramp_up_s`, held until the end.
    pub fn websocket(users: u32, ramp_up_s: f64, duration_s: f64) -> Self {
        Self {
            registrations: None,
            ..Self::base("websocket", "sockets", Size::of(users), 0.0, Span::seconds(0.0, ramp_up_s, 1.0), duration_s)
        }
    }

    /// Calls alone, as `calls` says, within `duration_s`.
    pub fn http(calls: Calls, users: u32, prizes: u32, duration_s: f64) -> Self {
        // The shares of the time that registrations, draws and results get.
        let (name, what, [registrations, draws, results]) = match calls {
            Calls::Registration => ("http-registration", "registrations", [1.0, 0.0, 0.0]),
            Calls::Draw => ("http-draw", "draws over HTTP", [0.1, 0.9, 0.0]),
            Calls::Mixed => ("http-mixed", "mixed calls", [0.3, 0.4, 0.3]),
        };
        let size = Size { prizes, draw_interval_s: draws * duration_s / f64::from(prizes), ..Size::of(users) };
        let base = Self::base(name, what, size, registrations * duration_s, Span::seconds(0.0, 0.0, 1.0), duration_s);
        let from_s = (registrations + draws) * duration_s;
        Self {
            sockets: None,
            draws: (draws > 0.0).then(|| Draws::of(registrations * duration_s, size)).into_iter().collect(),
            aftermath: (results > 0.0).then(|| Span::seconds(from_s, results * duration_s, 1.0)),
            ..base
        }
    }

    /// The same with trouble: a share of slow phones, and perhaps a storm of reconnects.
    pub fn troubled(self, slow_fraction: f64, storm: bool) -> Self {
        let storm = if storm { self.middle() } else { None };
        Self { slow: share(self.users, slow_fraction), storm, ..self }
    }

    /// How many draws there are.
    pub fn draw_count(&self) -> u32 {
        self.draws.iter().map(|draws| draws.count).sum()
    }

    /// When phones begin to vanish or to be slow: once all are connected.
    pub fn assembled(&self) -> Duration {
        self.sockets.map_or(self.end, Span::end)
    }

    /// How long slow phones are slow.
    pub fn slow_for(&self) -> Duration {
        if self.slow == 0 { Duration::ZERO } else { self.end.saturating_sub(self.assembled()) }
    }

    /// The middle of what happens on the sockets, just before a draw where there is one, so that there is something to be missed.
    fn middle(&self) -> Option<Duration> {
        let sockets = self.sockets?;
        let mut from = self.draws.iter().flat_map(|draws| (0..draws.count).map(|index| draws.from + draws.interval * index));
        let halfway = usize::try_from(self.draw_count() / 2).ok()?;
        Some(from.nth(halfway).unwrap_or_else(|| sockets.end() + self.end.saturating_sub(sockets.end()) / 2))
    }

    /// Everybody within 20 s, then the draws.
    fn with_draws(name: &'static str, what: &str, size: Size) -> Self {
        let draws_s = f64::from(size.prizes) * size.draw_interval_s;
        let base = Self::base(name, what, size, 10.0, Span::seconds(10.0, 10.0, size.scale), 20.0 + draws_s);
        Self { draws: vec![Draws::of(20.0, size)], ..base }
    }

    fn base(name: &'static str, what: &str, size: Size, registrations_s: f64, sockets: Span, end_s: f64) -> Self {
        Self {
            name,
            what: what.to_owned(),
            users: size.users as usize,
            registrations: Some(Span::seconds(0.0, registrations_s, size.scale)),
            sockets: Some(sockets),
            draws: Vec::new(),
            aftermath: None,
            end: Duration::from_secs_f64(end_s * size.scale),
            ping_every: Duration::from_secs_f64(30.0 * size.scale),
            dead: 0,
            slow: 0,
            storm: None,
        }
    }
}

impl Draws {
    fn of(from_s: f64, size: Size) -> Self {
        let seconds = |s: f64| Duration::from_secs_f64(s * size.scale);
        Self { from: seconds(from_s), count: size.prizes, interval: seconds(size.draw_interval_s) }
    }
}

/// So many of the phones.
pub fn share(users: usize, fraction: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "at most 20,000 phones"
    )]
    let count = (users as f64 * fraction).round() as usize;
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { users: 300, prizes: 100, draw_interval_s: 3.0, scale: 1.0, idle_s: 3_600.0, dead_fraction: 0.02 };

    #[test]
    fn the_scenarios_last_as_long_as_the_plan_says() {
        let ends = [Plan::a(SIZE), Plan::b(SIZE), Plan::c(SIZE), Plan::d(SIZE)].map(|plan| plan.end.as_secs());
        assert_eq!(ends, [120, 320, 600, 3_670], "b and d with the arrivals before their 300 and 3,600 s");
        let c = Plan::c(SIZE);
        assert_eq!([c.registrations, c.sockets].map(|span| span.map(|span| span.end().as_secs())), [Some(60), Some(120)]);
        assert_eq!(c.aftermath.map(|span| (span.from.as_secs(), span.end().as_secs())), Some((420, 600)));
        let http = Plan::http(Calls::Mixed, 300, 20, 60.0);
        assert_eq!((http.sockets, http.draw_count(), http.aftermath.map(|span| span.end().as_secs())), (None, 20, Some(60)));
        assert_eq!(Plan::http(Calls::Registration, 300, 20, 60.0).draw_count(), 0);
        assert_eq!(Plan::websocket(300, 10.0, 120.0).registrations, None);
        assert_eq!(Plan::d(SIZE).dead, 6);
        assert_eq!(Plan::a(Size { scale: 0.5, ..SIZE }).end.as_secs(), 60);
    }

    #[test]
    fn trouble_comes_when_all_are_there() {
        let storm = |plan: Plan| plan.troubled(0.0, true).storm.map(|at| at.as_secs());
        assert_eq!(storm(Plan::b(SIZE)), Some(170), "with the fifty-first draw");
        assert_eq!(storm(Plan::a(SIZE)), Some(75), "between the last socket and the end");
        assert_eq!(storm(Plan::http(Calls::Draw, 300, 20, 60.0)), None, "no socket, no storm");
        let slow = Plan::a(SIZE).troubled(0.02, false);
        assert_eq!((slow.slow, slow.slow_for().as_secs(), slow.storm), (6, 90, None));
    }
}
