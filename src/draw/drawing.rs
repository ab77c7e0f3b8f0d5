//! The rules of one draw's way: standby, start, reveal, completion, announcement; and how it is called off or a seat drawn again.
//!
//! Two promises are kept here. A pick is made once: whoever starts the same draw again gets the same draw, and calling one off leaves it in the
//! proof. And the next draw never begins before everybody was told of the last.

use super::command::{Chance, Decision, Outcome, Redraw, Which};
use super::decide::Verdict;
use super::fact::{Cause, Sealed, VoidReason};
use super::pick::pick;
use super::{Draw, DrawId, DrawSpec, Event, Fact, Mode, Moment, Number, Refusal, SpecWish, Status};
use std::sync::Arc;

/// The most draws of an event between resets.
pub const DRAWS_MAX: u32 = 10_000;

impl Event {
    pub(super) fn stand_by(&self, wish: &SpecWish) -> Verdict {
        self.refuse_pending()?;
        let spec = wish.settle(&self.prizes)?;
        let mut facts: Vec<_> = self.announcing_the_last().into_iter().collect();
        facts.push(Fact::StandbyShown { spec: Arc::new(spec) });
        Ok(Decision::new(facts, Outcome::Standby))
    }

    /// Picks the winners in secret. Asked again for the same while it is pending, it answers with the draw there is.
    pub(super) fn start(&self, at: Moment, wish: &SpecWish, chance: Chance<'_>) -> Verdict {
        let spec = wish.settle(&self.prizes)?;
        if let Some(pending) = self.pending() {
            let same = *pending.spec == spec;
            return if same {
                Ok(Decision::new([], Outcome::Started(pending.id)))
            } else {
                Err(Refusal::DrawInProgress(pending.id))
            };
        }
        let (facts, draw) = self.begin(at, self.announcing_the_last().into_iter().collect(), spec, None, chance)?;
        Ok(Decision::new(facts, Outcome::Started(draw)))
    }

    pub(super) fn reveal(&self) -> Verdict {
        let pending = self.pending().ok_or(Refusal::NothingToReveal)?;
        Ok(Decision::new([pending.revealing()], Outcome::Revealed(pending.id)))
    }

    pub(super) fn complete(&self, which: &Which) -> Verdict {
        let draw = match which {
            Which::Latest => self.latest_revealed(),
            Which::Draw(id) => self.draw(*id).filter(|draw| draw.revealed_at.is_some()),
            Which::Winners(winners) => self.draws().rev().find(|draw| draw.drew_exactly(winners)),
        };
        self.announce(draw.ok_or(Refusal::NothingToComplete)?.id, Cause::Completed)
    }

    /// Tells everybody, once: a draw that is announced already is left as it is.
    pub(super) fn announce(&self, id: DrawId, cause: Cause) -> Verdict {
        let facts = match self.draw(id).map(|draw| draw.status()) {
            Some(Status::Revealed) => vec![Fact::Announced { draw: id, cause }],
            Some(Status::Announced) => vec![],
            Some(Status::Started | Status::Cancelled) | None => return Err(Refusal::NothingToComplete),
        };
        Ok(Decision::new(facts, Outcome::Completed(id)))
    }

    pub(super) fn cancel(&self, reason: &Arc<str>) -> Verdict {
        if let Some(pending) = self.pending() {
            return Ok(Decision::new([pending.calling_off(reason.clone())], Outcome::Cancelled(Some(pending.id))));
        }
        self.standby.as_ref().ok_or(Refusal::NothingToCancel)?;
        Ok(Decision::new([Fact::StandbyEnded], Outcome::Cancelled(None)))
    }

    /// Voids an announced seat, and with `redraw` starts a draw of that one seat. All or nothing: where nobody is left to redraw from, the
    /// seat is not voided either.
    pub(super) fn void(
        &self,
        at: Moment,
        seat: (DrawId, Number),
        reason: VoidReason,
        redraw: Redraw,
        chance: Chance<'_>,
    ) -> Verdict {
        let (id, number) = seat;
        let draw = self.draw(id).ok_or(Refusal::NotFound("draw"))?;
        if draw.status() != Status::Announced {
            return Err(Refusal::DrawInProgress(id));
        }
        draw.seat(number).filter(|seat| seat.voided.is_none()).ok_or(Refusal::NotAWinner)?;
        let voided = Fact::SeatVoided { draw: id, number, reason };
        if redraw == Redraw::No {
            return Ok(Decision::new([voided], Outcome::Voided { redraw: None }));
        }
        self.refuse_pending()?;
        let first: Vec<_> = self.announcing_the_last().into_iter().chain([voided]).collect();
        let spec = DrawSpec { winner_count: 1, ..DrawSpec::clone(&draw.spec) };
        let (facts, redraw) = self.begin(at, first, spec, Some(seat), chance)?;
        Ok(Decision::new(facts, Outcome::Voided { redraw: Some(redraw) }))
    }

    /// The whole draw in one call.
    pub(super) fn draw_at_once(&self, at: Moment, wish: &SpecWish, chance: Chance<'_>) -> Verdict {
        self.refuse_pending()?;
        let spec = SpecWish { mode: Some(Mode::List), ..wish.clone() }.settle(&self.prizes)?;
        let (mut facts, draw) = self.begin(at, self.announcing_the_last().into_iter().collect(), spec, None, chance)?;
        let Some(Fact::Started { sealed, .. }) = facts.last() else { unreachable!("a beginning ends with its start") };
        facts.push(Fact::Revealed { draw, sealed: sealed.clone() });
        Ok(Decision::new(facts, Outcome::Revealed(draw)))
    }

    /// `first` and then the start of a draw of `spec`, picked from the pool as it stands once `first` is true.
    fn begin(
        &self,
        at: Moment,
        first: Vec<Fact>,
        spec: DrawSpec,
        redraw_of: Option<(DrawId, Number)>,
        chance: Chance<'_>,
    ) -> Result<(Vec<Fact>, DrawId), Refusal> {
        let mut event = self.clone();
        first.iter().for_each(|fact| event.apply(at, fact));
        if event.draws.len() as u32 >= DRAWS_MAX {
            return Err(Refusal::TooMany { what: "draws", max: DRAWS_MAX });
        }
        let prize = spec.prize_id.and_then(|id| event.prize(id));
        if let Some(prize) = prize {
            let left = prize.quantity.saturating_sub(event.seats_taken(prize.id, |_| true));
            if left < spec.winner_count {
                return Err(Refusal::PrizeExhausted { left });
            }
        }
        let pool = event.eligible(prize);
        match pool.size {
            _ if event.registered == 0 => return Err(Refusal::NobodyRegistered),
            0 => return Err(Refusal::NobodyLeft),
            left if left < spec.winner_count => return Err(Refusal::TooFewLeft { left }),
            _ => {}
        }
        let entropy = chance();
        let picks = pick(&pool, spec.winner_count, &entropy).into();
        let draw = DrawId(event.next_draw);
        let sealed = Sealed { entropy, picks };
        let started = Fact::Started { draw, spec: Arc::new(spec), pool: Arc::new(pool), sealed, redraw_of };
        Ok((first.into_iter().chain([started]).collect(), draw))
    }

    /// The announcement of the draw that is revealed and not announced, if there is one: it goes before whatever comes next.
    pub(super) fn announcing_the_last(&self) -> Option<Fact> {
        self.unannounced().map(|draw| Fact::Announced { draw: draw.id, cause: Cause::NextDraw })
    }

    pub(super) fn refuse_pending(&self) -> Result<(), Refusal> {
        self.pending().map_or(Ok(()), |draw| Err(Refusal::DrawInProgress(draw.id)))
    }
}

impl Draw {
    fn revealing(&self) -> Fact {
        Fact::Revealed { draw: self.id, sealed: self.sealed.clone() }
    }

    pub(super) fn calling_off(&self, reason: Arc<str>) -> Fact {
        Fact::Cancelled { draw: self.id, sealed: self.sealed.clone(), reason }
    }

    /// Whether it drew exactly these, in any order.
    fn drew_exactly(&self, winners: &[Number]) -> bool {
        !self.seats.is_empty() && self.seats.len() == winners.len() && self.winners().all(|number| winners.contains(&number))
    }
}
