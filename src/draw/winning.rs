//! Who may win, and what winners may do afterwards.

use super::command::{Decision, Outcome, Pick};
use super::decide::Verdict;
use super::event::Audience;
use super::fact::VoidReason;
use super::{Draw, DrawId, Event, Fact, Number, Participant, Pool, Prize, Refusal, Seat};

impl Event {
    /// Everybody who may win `prize` now; none: a prize that is not on the list. O(participants + winners).
    pub(super) fn eligible(&self, prize: Option<&Prize>) -> Pool {
        let out = self.excluded_by_history(prize);
        let mut pool = Pool::new(self.highest_number());
        for (number, participant) in self.participants_after(0) {
            if !out[number.0 as usize] && self.may_win(participant, prize) {
                pool.push(number, self.weight(participant));
            }
        }
        pool
    }

    /// By number: whether earlier draws keep it out. Whoever won is out, and whoever lost a seat for a reason of their own; a prize open to
    /// earlier winners keeps out only those who won this very prize.
    fn excluded_by_history(&self, prize: Option<&Prize>) -> Vec<bool> {
        let mut out = vec![false; self.highest_number() as usize + 1];
        let repeats = prize.is_some_and(|prize| prize.repeat_winners);
        for draw in self.draws.iter() {
            let same_prize = draw.spec.prize_id.is_some() && draw.spec.prize_id == prize.map(|prize| prize.id);
            for seat in &draw.seats {
                let excluded = match seat.voided {
                    Some((_, reason)) => reason != VoidReason::OperatorError,
                    None => !repeats || same_prize,
                };
                out[seat.number.0 as usize] |= excluded;
            }
        }
        out
    }

    fn may_win(&self, participant: &Participant, prize: Option<&Prize>) -> bool {
        let mark = self.mark(participant);
        let wanted = prize.and_then(|prize| prize.group.as_deref()).filter(|_| self.settings.groups);
        let in_group = wanted.is_none_or(|group| mark.and_then(|mark| mark.group.as_deref()) == Some(group));
        in_group && mark.is_none_or(|mark| mark.eligible)
    }

    fn weight(&self, participant: &Participant) -> u16 {
        self.mark(participant).filter(|_| self.settings.weights).map_or(1, |mark| mark.weight)
    }

    /// Takes a winner's details once; handed in again, the first stay.
    pub(super) fn receive_details(&self, pick: &Pick, number: Number) -> Verdict {
        let (draw, seat) = match pick {
            Pick::Draw(id) => self.win(*id, number)?,
            Pick::PrizeNamed(name) => {
                let named = || {
                    self.wins(number, Audience::Public)
                        .filter(|(draw, _)| draw.spec.prize_name == *name)
                        .map(|(draw, seat)| (&**draw, seat))
                };
                named().find(|(_, seat)| seat.details_at.is_none()).or_else(|| named().next()).ok_or(Refusal::NotAWinner)?
            }
        };
        let first = seat.details_at.is_none();
        let facts = if first { vec![Fact::DetailsReceived { draw: draw.id, number }] } else { vec![] };
        Ok(Decision::new(facts, Outcome::Details { draw: draw.id, number, first }))
    }

    pub(super) fn arrive(&self, id: DrawId, number: Number) -> Verdict {
        let (draw, seat) = self.win(id, number)?;
        let facts = if seat.arrived_at.is_none() { vec![Fact::Arrived { draw: draw.id, number }] } else { vec![] };
        Ok(Decision::new(facts, Outcome::Done))
    }

    /// An announced win that was not voided.
    fn win(&self, id: DrawId, number: Number) -> Result<(&Draw, &Seat), Refusal> {
        let draw = self.draw(id).filter(|draw| draw.is_known_to(Audience::Public)).ok_or(Refusal::NotAWinner)?;
        let seat = draw.seat(number).filter(|seat| seat.voided.is_none()).ok_or(Refusal::NotAWinner)?;
        Ok((draw, seat))
    }
}
