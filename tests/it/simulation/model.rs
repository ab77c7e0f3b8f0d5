//! What has to come out of an evening, said with nothing but vectors and sets.

use luckydraw::draw::Phase;
use luckydraw::draw::fact::VoidReason;
use std::collections::{BTreeMap, BTreeSet};

/// A draw that is picked and not revealed.
#[derive(Clone)]
pub struct Pending {
    pub draw: u32,
    pub prize: &'static str,
    pub count: u32,
    /// Who could win it when it was started: a seat voided since changes nothing about a sealed pick.
    pub pool: BTreeSet<u32>,
}

/// A winner's place.
#[derive(Clone)]
pub struct Place {
    pub draw: u32,
    pub prize: &'static str,
    pub number: u32,
    pub voided: Option<VoidReason>,
}

/// What has to be true, kept as simply as it can be said.
#[derive(Clone)]
pub struct Model {
    /// What each registration was answered, by its key.
    pub numbers: BTreeMap<[u8; 32], u32>,
    /// The desk said that they may not win.
    pub barred: BTreeSet<u32>,
    pub places: Vec<Place>,
    pub pending: Option<Pending>,
    pub unannounced: Option<u32>,
    pub announced: BTreeSet<u32>,
    pub standby: bool,
    pub phase: Phase,
    /// Whose details were handed in, and whose were since the last reset.
    pub details: BTreeSet<(u32, u32)>,
    pub details_now: BTreeSet<(u32, u32)>,
    pub announcements: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            numbers: BTreeMap::new(),
            barred: BTreeSet::new(),
            places: Vec::new(),
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
    /// Everybody who may win a prize.
    pub fn free(&self, prize: &str) -> BTreeSet<u32> {
        let may_win = |number: &u32| !self.barred.contains(number) && !self.is_out(*number, prize);
        self.numbers.values().copied().filter(may_win).collect()
    }

    /// Whether a draw of so many cannot be had, with nothing pending.
    pub fn lacks(&self, prize: &str, count: u32) -> bool {
        let quantity = match prize {
            "TV" => 2,
            "Mug" => 40,
            _ => u32::MAX,
        };
        quantity - self.taken(prize).min(quantity) < count || (self.free(prize).len() as u32) < count
    }

    /// The code a start is refused with, if it is.
    pub fn refuses_start(&self, prize: &'static str, count: u32) -> Option<&'static str> {
        match &self.pending {
            Some(pending) => (pending.prize != prize || pending.count != count).then_some("DRAW_IN_PROGRESS"),
            None => self.lacks(prize, count).then_some("DRAW_FAILED"),
        }
    }

    /// A draw begins: whoever comes after it hears of the last one first.
    pub fn begin(&mut self, draw: u32, prize: &'static str, count: u32) {
        self.announce_last();
        self.pending = Some(Pending { draw, prize, count, pool: self.free(prize) });
        self.standby = false;
    }

    /// The pending draw is revealed, with these winners.
    pub fn reveal(&mut self, winners: &BTreeSet<u32>) {
        let Pending { draw, prize, count, pool } = self.pending.take().expect("a draw is pending");
        assert_eq!(winners.len() as u32, count, "as many as were asked for, and nobody twice");
        assert!(winners.is_subset(&pool), "{winners:?} are registered, and might win {prize}");
        self.places.extend(winners.iter().map(|&number| Place { draw, prize, number, voided: None }));
        self.unannounced = Some(draw);
    }

    pub fn announce_last(&mut self) {
        if let Some(draw) = self.unannounced.take() {
            self.announced.insert(draw);
            self.announcements += 1;
        }
    }

    /// Forgets what a reset clears.
    pub fn reset(&mut self, everybody: bool) {
        let Self { numbers, barred, phase, details, announcements, .. } = std::mem::take(self);
        *self = Self { phase, details, announcements, ..Self::default() };
        if !everybody {
            (self.numbers, self.barred) = (numbers, barred);
        }
    }

    fn taken(&self, prize: &str) -> u32 {
        self.places.iter().filter(|place| place.prize == prize && place.voided.is_none()).count() as u32
    }

    fn is_out(&self, number: u32, prize: &str) -> bool {
        self.places.iter().filter(|place| place.number == number).any(|place| match place.voided {
            Some(reason) => reason != VoidReason::OperatorError,
            None => prize != "Mug" || place.prize == "Mug",
        })
    }
}
