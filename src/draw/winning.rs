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

#[cfg(test)]
mod tests {
    use super::super::Mode::{Card, List, Slot};
    use super::super::command::{Command, Redraw};
    use super::super::fact::{Mark, Settings};
    use super::super::testing::Evening;
    use super::*;
    use std::collections::BTreeSet;

    fn pool(evening: &Evening, prize: Option<super::super::PrizeId>) -> Vec<u32> {
        let prize = prize.and_then(|id| evening.event.prize(id));
        evening.event.eligible(prize).numbers().map(|number| number.0).collect()
    }

    #[test]
    fn nobody_wins_twice() {
        let mut evening = Evening::with(40);
        let mut winners = BTreeSet::new();
        for round in 0..8 {
            let draw = evening.draw(&format!("prize {round}"), Card, 5).unwrap();
            draw.winners().for_each(|number| assert!(winners.insert(number), "{number:?} won again"));
        }
        assert_eq!(evening.draw("one more", Slot, 1).unwrap_err(), Refusal::NobodyLeft);
    }

    #[test]
    fn a_voided_number_stays_out_unless_the_operator_erred() {
        for (reason, stays_out) in VoidReason::ALL.map(|reason| (reason, reason != VoidReason::OperatorError)) {
            let mut evening = Evening::with(3);
            let draw = evening.draw("TV", Slot, 1).unwrap();
            let number = draw.winners().next().unwrap();
            evening.void(&draw, number, reason, Redraw::No).unwrap();
            assert_eq!(!pool(&evening, None).contains(&number.0), stays_out, "{reason:?}");
        }
    }

    #[test]
    fn a_prize_for_repeat_winners_still_goes_to_nobody_twice() {
        let mut evening = Evening::with(4);
        let open = evening.list("Mug", 9, |prize| prize.repeat_winners = true);
        evening.draw("TV", List, 4).unwrap();
        assert_eq!(pool(&evening, None), [0u32; 0]);
        assert_eq!(pool(&evening, Some(open)), [1, 2, 3, 4]);
        let mug = evening.draw("Mug", Slot, 1).unwrap();
        assert_eq!(pool(&evening, Some(open)).len(), 3);
        evening.void(&mug, mug.winners().next().unwrap(), VoidReason::Absent, Redraw::No).unwrap();
        assert_eq!(pool(&evening, Some(open)).len(), 3, "whoever was absent stays out of it");
    }

    #[test]
    fn marks_groups_and_weights_count_only_where_they_are_on() {
        let mut evening = Evening::with(3);
        let prize = evening.list("Wine", 1, |prize| prize.group = Some("adults".into()));
        evening.mark(1, Mark { eligible: false, group: Some("adults".into()), weight: 1 });
        evening.mark(2, Mark { eligible: true, group: Some("adults".into()), weight: 7 });
        assert_eq!(pool(&evening, Some(prize)), [2, 3]);
        assert_eq!(evening.event.eligible(None).weights, []);
        let settings = Settings { groups: true, weights: true, ..Settings::clone(&evening.event.settings) };
        evening.order(Command::ChangeSettings(settings)).unwrap();
        assert_eq!(pool(&evening, Some(prize)), [2]);
        assert_eq!(pool(&evening, None), [2, 3]);
        assert_eq!(evening.event.eligible(None).weights, [(2, 7)]);
    }

    #[test]
    fn details_are_taken_once_and_from_winners_only() {
        let mut evening = Evening::with(3);
        let draw = evening.draw("TV", Slot, 1).unwrap();
        let (id, winner) = (draw.id, draw.winners().next().unwrap());
        let loser = Number(winner.0 % 3 + 1);
        let hand_in = |pick, number| Command::ReceiveDetails { pick, number };
        assert_eq!(evening.order(hand_in(Pick::Draw(id), loser)), Err(Refusal::NotAWinner));
        assert_eq!(evening.order(hand_in(Pick::PrizeNamed("Car".into()), winner)), Err(Refusal::NotAWinner));
        for first in [true, false] {
            let outcome = evening.order(hand_in(Pick::PrizeNamed("TV".into()), winner));
            assert_eq!(outcome, Ok(Outcome::Details { draw: id, number: winner, first }));
        }
        let pending = evening.start("Mug", Slot, 1).unwrap();
        let next = evening.event.pending().unwrap().sealed.picks[0];
        evening.order(Command::Reveal).unwrap();
        assert_eq!(evening.order(hand_in(Pick::Draw(pending), next)), Err(Refusal::NotAWinner), "not before the announcement");
        assert_eq!(evening.order(Command::Arrive { draw: pending, number: next }), Err(Refusal::NotAWinner));
        evening.order(Command::Arrive { draw: id, number: winner }).unwrap();
    }
}
