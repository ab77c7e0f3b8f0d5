//! Prizes, and what is asked for when one is drawn.

use super::{DrawId, PrizeId, Refusal};
use std::sync::Arc;

/// How a draw is played. The mode bounds how many win at once, since a screen can only show so much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Slot,
    Card,
    Network,
    List,
}

impl Mode {
    /// Every mode, in the order of its limit.
    pub const ALL: [Mode; 4] = [Mode::Slot, Mode::Card, Mode::Network, Mode::List];

    /// The most winners of one draw in this mode.
    pub fn winners_max(self) -> u32 {
        match self {
            Mode::Slot => 1,
            Mode::Card => 5,
            Mode::Network => 10,
            Mode::List => 500,
        }
    }

    /// The mode's name on the wire and in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Slot => "slot",
            Mode::Card => "card",
            Mode::Network => "network",
            Mode::List => "list",
        }
    }

    /// The mode of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// A prize on the event's list. Its place in the list is its order of appearance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prize {
    pub id: PrizeId,
    pub name: Arc<str>,
    pub rank: u32,
    pub grade: Option<Arc<str>>,
    /// How many there are to win.
    pub quantity: u32,
    /// How it is played when a draw does not say.
    pub mode: Option<Mode>,
    /// How many win at once when a draw does not say.
    pub winner_count: Option<u32>,
    pub image: Option<Arc<str>>,
    /// Whether somebody who won another prize may win this one too.
    pub repeat_winners: bool,
    /// Only this group may win it, where the event uses groups.
    pub group: Option<Arc<str>>,
    /// Whether it is sent, so that its winners hand in an address.
    pub needs_address: bool,
}

/// What a console asks to draw, before the list of prizes filled in what it left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrawRequest {
    pub prize_id: Option<PrizeId>,
    pub prize_name: Option<Arc<str>>,
    pub prize_rank: Option<u32>,
    pub prize_image: Option<Arc<str>>,
    pub mode: Option<Mode>,
    pub winner_count: Option<u32>,
    /// The newest draw the asker knows of, `DrawId(0)` for none: another one means that somebody else was first.
    pub last_draw: Option<DrawId>,
    /// The SHA-256 of a `request_id`: asked with it again, a draw in one call is the draw there is.
    pub request: Option<[u8; 32]>,
}

/// What is drawn: the prize as it is shown, how, and for how many. Two wishes are the same draw when their specs are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrawSpec {
    /// The listed prize, if it is on the list: its quantity then binds.
    pub prize_id: Option<PrizeId>,
    pub prize_name: Arc<str>,
    pub prize_rank: u32,
    /// What a listed prize is called beside its rank: "대상".
    pub prize_grade: Option<Arc<str>>,
    pub prize_image: Option<Arc<str>>,
    pub mode: Mode,
    pub winner_count: u32,
}

impl DrawRequest {
    /// Settles what is drawn: a listed prize is found by id, else by exact name, and fills in what the wish left out.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for an unknown id, [`Refusal::Invalid`] for a missing name or rank or a count of nought, and
    /// [`Refusal::TooManyWinners`] for a count over the mode's limit.
    pub fn settle(&self, prizes: &[Prize]) -> Result<DrawSpec, Refusal> {
        let listed = match (self.prize_id, &self.prize_name) {
            (Some(id), _) => Some(prizes.iter().find(|prize| prize.id == id).ok_or(Refusal::NotFound("prize"))?),
            (None, Some(name)) => prizes.iter().find(|prize| prize.name == *name),
            (None, None) => None,
        };
        let name = self.prize_name.clone().or(listed.map(|prize| prize.name.clone()));
        let rank = self.prize_rank.or(listed.map(|prize| prize.rank));
        let image = self.prize_image.clone().or(listed.and_then(|prize| prize.image.clone()));
        let mode = self.mode.or(listed.and_then(|prize| prize.mode)).unwrap_or_default();
        let winner_count = self.winner_count.or(listed.and_then(|prize| prize.winner_count)).unwrap_or(1);
        if winner_count == 0 {
            return Err(Refusal::Invalid { field: "winner_count", why: "must be at least 1" });
        }
        if winner_count > mode.winners_max() {
            return Err(Refusal::TooManyWinners { mode, max: mode.winners_max() });
        }
        Ok(DrawSpec {
            prize_id: listed.map(|prize| prize.id),
            prize_name: name.ok_or(Refusal::Invalid { field: "prize_name", why: "is missing" })?,
            prize_rank: rank.ok_or(Refusal::Invalid { field: "prize_rank", why: "is missing" })?,
            prize_grade: listed.and_then(|prize| prize.grade.clone()),
            prize_image: image,
            mode,
            winner_count,
        })
    }
}
