//! The expected state of an event, in plain vectors and sets.
//!
//! It must share no rule with the server, or both could be wrong together.

use luckydraw::draw::Phase;
use luckydraw::draw::fact::VoidReason;
use std::collections::{BTreeMap, BTreeSet};

/// A draw that is picked and not revealed.
#[derive(Clone)]
pub struct Pending {
    pub draw: u32,
    pub prize: &'static str,
    pub count: u32,
    /// The numbers that could win when it started: a seat voided since then does not change the
    /// sealed pick.
    pub pool: BTreeSet<u32>,
}

/// A winner's seat.
#[derive(Clone)]
pub struct Seat {
    pub draw: u32,
    pub prize: &'static str,
    pub number: u32,
    pub voided: Option<VoidReason>,
}

/// The expected state, as simple as possible.
#[derive(Clone)]
pub struct Model {
    /// The answered number of each registration, by its key.
    pub numbers: BTreeMap<[u8; 32], u32>,
    /// Numbers marked as not eligible.
    pub excluded: BTreeSet<u32>,
    pub seats: Vec<Seat>,
    pub pending: Option<Pending>,
    pub unannounced: Option<u32>,
    pub announced: BTreeSet<u32>,
    pub standby: bool,
    pub phase: Phase,
    /// Seats with submitted details.
    pub details: BTreeSet<(u32, u32)>,
    /// The same since the last reset.
    pub details_now: BTreeSet<(u32, u32)>,
    pub announcements: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            numbers: BTreeMap::new(),
            excluded: BTreeSet::new(),
            seats: Vec::new(),
            pending: None,
            unannounced: None,
            announced: BTreeSet::new(),
            standby: false,
            phase: Phase::Open,
            details: BTreeSet::new(),
            details_now: BTreeSet::new(),
            announcements: 0,
        }
    }
}

impl Model {
    /// The numbers that can win a prize.
    pub fn eligible(&self, prize: &str) -> BTreeSet<u32> {
        let may_win = |number: &u32| !self.excluded.contains(number) && !self.is_out(*number, prize);
        self.numbers.values().copied().filter(may_win).collect()
    }

    /// True when a draw of this many winners is impossible, with no draw pending.
    pub fn lacks(&self, prize: &str, count: u32) -> bool {
        let quantity = match prize {
            "TV" => 2,
            "Mug" => 40,
            _ => u32::MAX,
        };
        quantity - self.taken(prize).min(quantity) < count || (self.eligible(prize).len() as u32) < count
    }

    /// The code by which a start is refused, if it is.
    pub fn refuses_start(&self, prize: &'static str, count: u32) -> Option<&'static str> {
        match &self.pending {
            Some(pending) => (pending.prize != prize || pending.count != count).then_some("DRAW_IN_PROGRESS"),
            None => self.lacks(prize, count).then_some("DRAW_FAILED"),
        }
    }

    /// A draw starts, after the announcement of the previous one.
    pub fn start_draw(&mut self, draw: u32, prize: &'static str, count: u32) {
        self.announce_last();
        self.pending = Some(Pending { draw, prize, count, pool: self.eligible(prize) });
        self.standby = false;
    }

    /// The pending draw is revealed with these winners.
    pub fn reveal(&mut self, winners: &BTreeSet<u32>) {
        let Pending { draw, prize, count, pool } = self.pending.take().expect("a draw is pending");
        assert_eq!(winners.len() as u32, count, "as many as requested, and nobody twice");
        assert!(winners.is_subset(&pool), "{winners:?} are registered and eligible for {prize}");
        self.seats.extend(winners.iter().map(|&number| Seat { draw, prize, number, voided: None }));
        self.unannounced = Some(draw);
    }

    pub fn announce_last(&mut self) {
        if let Some(draw) = self.unannounced.take() {
            self.announced.insert(draw);
            self.announcements += 1;
        }
    }

    /// Clears the scope of a reset. The last draw is announced first. Details go with the
    /// participants; a reset of the draws alone leaves them to their days.
    pub fn reset(&mut self, clears_participants: bool) {
        self.announce_last();
        let Self { numbers, excluded, phase, details, announcements, .. } = std::mem::take(self);
        *self = Self { phase, announcements, ..Self::default() };
        if !clears_participants {
            (self.numbers, self.excluded, self.details) = (numbers, excluded, details);
        }
    }

    fn taken(&self, prize: &str) -> u32 {
        self.seats.iter().filter(|seat| seat.prize == prize && seat.voided.is_none()).count() as u32
    }

    fn is_out(&self, number: u32, prize: &str) -> bool {
        self.seats.iter().filter(|seat| seat.number == number).any(|seat| match seat.voided {
            Some(reason) => reason != VoidReason::OperatorError,
            None => prize != "Mug" || seat.prize == "Mug",
        })
    }
}
