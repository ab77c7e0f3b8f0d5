//! Prizes, and requests to draw them.
//!
//! A request can leave out what the list of prizes knows; resolving it gives a complete
//! [`DrawSpec`]. Nothing behind that may look a prize up again, since the list can change while a
//! draw is pending.

use super::pick::sha256;
use super::{DrawId, PrizeId, Refusal};
use std::sync::Arc;

/// The animation of a draw. It limits the winners per draw, since a screen can only show so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A slot machine, for one winner.
    #[default]
    Slot,
    /// Cards that turn over.
    Card,
    /// A network of numbers.
    Network,
    /// A plain list, for many winners.
    List,
}

impl Mode {
    /// Every mode, by rising limit.
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

/// The length of a show, from the reveal to the winners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShowLength(u32);

impl ShowLength {
    /// Every length, in seconds.
    pub const SECONDS: [u32; 4] = [2, 5, 9, 15];

    /// The length of that many seconds.
    pub fn from_seconds(seconds: u32) -> Option<Self> {
        Self::SECONDS.contains(&seconds).then_some(Self(seconds))
    }

    /// Seconds.
    pub fn seconds(self) -> u32 {
        self.0
    }
}

/// A prize on the event's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prize {
    /// Its number within the event.
    pub id: PrizeId,
    /// Its name, unique within the list.
    pub name: Arc<str>,
    /// Its rank; 1 is the highest.
    pub rank: u32,
    /// The name of its rank, such as "대상".
    pub grade: Option<Arc<str>>,
    /// The number of prizes to win.
    pub quantity: u32,
    /// The mode of draws that name none.
    pub mode: Option<Mode>,
    /// The winners of draws that name no count.
    pub winner_count: Option<u32>,
    /// The length of its show; `None` is as long as the animation takes.
    pub show_length: Option<ShowLength>,
    /// The path of its image.
    pub image: Option<Arc<str>>,
    /// Winners of other prizes can win this one too.
    pub repeat_winners: bool,
    /// The only group that can win it, where the event uses groups.
    pub group: Option<Arc<str>>,
    /// The prize is sent, so its winners hand in an address.
    pub needs_address: bool,
}

/// The rules of a draw: what the list said of its prize when the draw began. A later change of the
/// list changes no draw, and a redraw has the rules of the draw whose seat it fills.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrawRules {
    /// Winners of other prizes can win this one too.
    pub repeat_winners: bool,
    /// The only group that can win it, where the event uses groups.
    pub group: Option<Arc<str>>,
    /// The prize is sent, so its winners hand in an address.
    pub needs_address: bool,
}

impl DrawRules {
    /// The rules of a prize; the default ones for a prize that is not on the list.
    pub fn of(prize: Option<&Prize>) -> Self {
        let rules = |prize: &Prize| Self {
            repeat_winners: prize.repeat_winners,
            group: prize.group.clone(),
            needs_address: prize.needs_address,
        };
        prize.map(rules).unwrap_or_default()
    }
}

/// The content of a prize in 64 bits, by which an operator says what a change was made from.
///
/// The content and not a counter: after a restore a counter would give an old page's version to
/// another content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrizeVersion(pub [u8; 8]);

impl Prize {
    /// The version of this content.
    pub fn version(&self) -> PrizeVersion {
        // The debug text has every field, one that is added later too, and quotes each text.
        let hash = sha256(b"luckydraw prize", format!("{self:?}").as_bytes());
        PrizeVersion(std::array::from_fn(|i| hash[i]))
    }
}

/// A draw as an operator asks for it; the list of prizes fills in what it leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrawRequest {
    /// The listed prize, by id.
    pub prize_id: Option<PrizeId>,
    /// The prize's name; without an id it also finds the listed prize.
    pub prize_name: Option<Arc<str>>,
    /// The prize's rank.
    pub prize_rank: Option<u32>,
    /// The path of the prize's image.
    pub prize_image: Option<Arc<str>>,
    /// The animation.
    pub mode: Option<Mode>,
    /// The number of winners.
    pub winner_count: Option<u32>,
    /// The newest draw that the operator knows of, `DrawId(0)` for none. A newer draw means that
    /// another operator was first.
    pub last_draw: Option<DrawId>,
    /// The SHA-256 of a `request_id`, by which a retried draw in one call finds the existing draw.
    pub request: Option<[u8; 32]>,
}

/// A complete draw request. Two requests ask for the same draw when their specs are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrawSpec {
    /// The listed prize, whose quantity limits the draw; `None` for a prize that is not on the
    /// list.
    pub prize_id: Option<PrizeId>,
    /// The prize's name.
    pub prize_name: Arc<str>,
    /// The prize's rank.
    pub prize_rank: u32,
    /// The name of a listed prize's rank, such as "대상".
    pub prize_grade: Option<Arc<str>>,
    /// The path of the prize's image.
    pub prize_image: Option<Arc<str>>,
    /// The animation.
    pub mode: Mode,
    /// The number of winners, within the mode's limit.
    pub winner_count: u32,
    /// The length of the show, as a listed prize chooses it.
    pub show_length: Option<ShowLength>,
}

impl DrawSpec {
    /// Milliseconds that a stage's show lasts from the reveal on: as the prize says, else by the
    /// animation and the number of winners.
    pub fn show_length_ms(&self) -> u32 {
        if let Some(length) = self.show_length {
            return length.seconds() * 1_000;
        }
        let more = self.winner_count.saturating_sub(1);
        match self.mode {
            Mode::Slot => 5_000,
            Mode::Card => 2_600 + more * 1_050,
            Mode::Network => 2_600 + more * if more < 3 { 1_250 } else { 600 },
            Mode::List => 4_500,
        }
    }
}

impl DrawRequest {
    /// Completes the request: a listed prize is found by id, else by exact name, and fills in what
    /// the request leaves out.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for an unknown id, [`Refusal::Invalid`] for a missing name or rank or
    /// a count of zero, and [`Refusal::TooManyWinners`] for a count over the mode's limit.
    pub fn resolve(&self, prizes: &[Prize]) -> Result<DrawSpec, Refusal> {
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
            show_length: listed.and_then(|prize| prize.show_length),
        })
    }

    /// This request, completed by what is on standby: without another mode or count, the draw of
    /// the prize on standby begins as the hall sees it.
    pub fn completed_by(&self, standby: Option<&DrawSpec>) -> Self {
        let Some(shown) = standby.filter(|shown| self.prize_id.is_some() && shown.prize_id == self.prize_id) else {
            return self.clone();
        };
        let (mode, count) = (self.mode.or(Some(shown.mode)), self.winner_count.or(Some(shown.winner_count)));
        Self { mode, winner_count: count, ..self.clone() }
    }
}

impl DrawSpec {
    /// This standby after a change of its prize, from `before` to `after`. It follows the list,
    /// except where the operator asked for something else.
    pub fn after_change(&self, before: &Prize, after: &Prize) -> Self {
        let listed = |prize: &Prize| {
            DrawRequest { prize_id: Some(prize.id), ..DrawRequest::default() }.resolve(std::slice::from_ref(prize))
        };
        let (Ok(old), Ok(new)) = (listed(before), listed(after)) else { return self.clone() };
        fn follow<T: Clone + PartialEq>(shown: &T, old: &T, new: &T) -> T {
            if shown == old { new.clone() } else { shown.clone() }
        }
        let spec = Self {
            prize_id: self.prize_id,
            prize_name: follow(&self.prize_name, &old.prize_name, &new.prize_name),
            prize_rank: follow(&self.prize_rank, &old.prize_rank, &new.prize_rank),
            prize_grade: new.prize_grade.clone(),
            prize_image: follow(&self.prize_image, &old.prize_image, &new.prize_image),
            mode: follow(&self.mode, &old.mode, &new.mode),
            winner_count: follow(&self.winner_count, &old.winner_count, &new.winner_count),
            show_length: new.show_length,
        };
        // The operator's own mode or count may not fit the other one's change.
        if spec.winner_count > spec.mode.winners_max() { new } else { spec }
    }
}
