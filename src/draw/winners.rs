//! Eligibility of participants, and the steps of a winner after the announcement: details, arrival,
//! hand-over.
//!
//! A command about a win must never succeed before that win is public, since its answer would tell
//! the secret.

use super::command::{Decision, Outcome, WinSelector};
use super::event::Audience;
use super::fact::VoidReason;
use super::{Draw, DrawId, Event, Fact, Number, Participant, Pool, Prize, Refusal, Seat};
use std::sync::Arc;

impl Event {
    /// The numbers that can win `prize` now; `None` is a prize that is not on the list.
    /// O(participants + winners).
    pub(super) fn eligible_pool(&self, prize: Option<&Prize>) -> Pool {
        let excluded = self.excluded_by_earlier_draws(prize);
        let mut pool = Pool::new(self.highest_number());
        for (number, participant) in self.participants_after(0) {
            if !excluded[number.0 as usize] && self.is_eligible(participant, prize) {
                pool.push(number, self.weight(participant));
            }
        }
        pool
    }

    /// By number: true when an earlier draw excludes it. Winners are excluded, and so are numbers
    /// whose seat was voided for any reason but the operator's error. A prize open to repeat
    /// winners excludes only winners of this same prize.
    fn excluded_by_earlier_draws(&self, prize: Option<&Prize>) -> Vec<bool> {
        let mut excluded = vec![false; self.highest_number() as usize + 1];
        let repeats = prize.is_some_and(|prize| prize.repeat_winners);
        for draw in self.draws.iter() {
            let same_prize = draw.spec.prize_id.is_some() && draw.spec.prize_id == prize.map(|prize| prize.id);
            for seat in &draw.seats {
                let is_out = match seat.voided {
                    Some((_, reason)) => reason != VoidReason::OperatorError,
                    None => !repeats || same_prize,
                };
                excluded[seat.number.0 as usize] |= is_out;
            }
        }
        excluded
    }

    fn is_eligible(&self, participant: &Participant, prize: Option<&Prize>) -> bool {
        let eligibility = self.eligibility(participant);
        let required = prize.and_then(|prize| prize.group.as_deref()).filter(|_| self.settings.groups);
        let in_group = required.is_none_or(|group| eligibility.and_then(|own| own.group.as_deref()) == Some(group));
        in_group && eligibility.is_none_or(|own| own.eligible)
    }

    fn weight(&self, participant: &Participant) -> u16 {
        self.eligibility(participant).filter(|_| self.settings.weights).map_or(1, |own| own.weight)
    }

    /// Accepts a winner's details. Only the first are kept.
    pub(super) fn receive_details(&self, pick: &WinSelector, number: Number, has_address: bool) -> Result<Decision, Refusal> {
        let (draw, seat) = match pick {
            WinSelector::Draw(id) => self.announced_win(*id, number)?,
            WinSelector::PrizeNamed(name) => {
                let named = || {
                    self.wins(number, Audience::Public)
                        .filter(|(draw, _)| draw.spec.prize_name == *name)
                        .map(|(draw, seat)| (&**draw, seat))
                };
                named().find(|(_, seat)| seat.details_at.is_none()).or_else(|| named().next()).ok_or(Refusal::NotAWinner)?
            }
        };
        let first = seat.details_at.is_none();
        let keeps_address = self.needs_address(draw);
        if first && keeps_address && !has_address {
            return Err(Refusal::Invalid { field: "address", why: "is needed for this prize" });
        }
        let facts = if first { vec![Fact::DetailsReceived { draw: draw.id, number }] } else { vec![] };
        Ok(Decision::new(facts, Outcome::Details { draw: draw.id, number, first, keeps_address }))
    }

    /// Notes that a winner is present.
    pub(super) fn arrive(&self, id: DrawId, number: Number) -> Result<Decision, Refusal> {
        let (draw, seat) = self.announced_win(id, number)?;
        let facts = if seat.arrived_at.is_none() { vec![Fact::Arrived { draw: draw.id, number }] } else { vec![] };
        Ok(Decision::new(facts, Outcome::Done))
    }

    /// True when the draw's prize is sent to its winners, by the list of prizes as it is now.
    pub fn needs_address(&self, draw: &Draw) -> bool {
        draw.spec.prize_id.and_then(|id| self.prize(id)).is_some_and(|prize| prize.needs_address)
    }

    /// Hands a prize over, once. The refusal of a second time tells when and where the first was.
    pub(super) fn hand_over(&self, id: DrawId, number: Number, desk: &Arc<str>) -> Result<Decision, Refusal> {
        let (draw, seat) = self.announced_seat(id, number)?;
        if seat.voided.is_some() {
            return Err(Refusal::WinVoided);
        }
        draw.require_not_handed_over(seat)?;
        Ok(Decision::new([Fact::HandedOver { draw: id, number, desk: desk.clone() }], Outcome::Done))
    }

    /// Takes back a mistaken hand-over.
    pub(super) fn undo_hand_over(&self, id: DrawId, number: Number) -> Result<Decision, Refusal> {
        let (_, seat) = self.announced_seat(id, number)?;
        if seat.handed_over.is_none() {
            return Err(Refusal::NotHandedOver);
        }
        Ok(Decision::new([Fact::HandOverUndone { draw: id, number }], Outcome::Done))
    }

    /// An announced win that is not voided.
    fn announced_win(&self, id: DrawId, number: Number) -> Result<(&Draw, &Seat), Refusal> {
        let (draw, seat) = self.announced_seat(id, number)?;
        if seat.voided.is_some() { Err(Refusal::NotAWinner) } else { Ok((draw, seat)) }
    }

    fn announced_seat(&self, id: DrawId, number: Number) -> Result<(&Draw, &Seat), Refusal> {
        let draw = self.draw(id).filter(|draw| draw.is_known_to(Audience::Public)).ok_or(Refusal::NotAWinner)?;
        Ok((draw, draw.seat(number).ok_or(Refusal::NotAWinner)?))
    }
}

impl Draw {
    /// Refuses a seat whose prize was handed over.
    pub(super) fn require_not_handed_over(&self, seat: &Seat) -> Result<(), Refusal> {
        let Some((at, desk)) = &seat.handed_over else { return Ok(()) };
        let prize = self.spec.prize_name.clone();
        Err(Refusal::AlreadyHandedOver { draw: self.id, number: seat.number, prize, at: *at, desk: desk.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mode::{Card, List, Slot};
    use super::super::command::SettingsPatch;
    use super::super::command::{Command, DrawSelector, Redraw};
    use super::super::fact::Eligibility;
    use super::super::sample::EventFixture;
    use super::*;
    use std::collections::BTreeSet;

    fn pool(fixture: &EventFixture, prize: Option<crate::draw::PrizeId>) -> Vec<u32> {
        let prize = prize.and_then(|id| fixture.event.prize(id));
        fixture.event.eligible_pool(prize).numbers().map(|number| number.0).collect()
    }

    #[test]
    fn nobody_wins_twice() {
        let mut fixture = EventFixture::with(40);
        let mut winners = BTreeSet::new();
        for round in 0..8 {
            let draw = fixture.draw(&format!("prize {round}"), Card, 5).unwrap();
            draw.winners().for_each(|number| assert!(winners.insert(number), "{number:?} won again"));
        }
        assert_eq!(fixture.draw("one more", Slot, 1).unwrap_err(), Refusal::NobodyLeft);
    }

    #[test]
    fn a_voided_number_stays_out_unless_the_operator_erred() {
        for (reason, stays_out) in VoidReason::ALL.map(|reason| (reason, reason != VoidReason::OperatorError)) {
            let mut fixture = EventFixture::with(3);
            let draw = fixture.draw("TV", Slot, 1).unwrap();
            let number = draw.winners().next().unwrap();
            fixture.void(&draw, number, reason, Redraw::No).unwrap();
            assert_eq!(!pool(&fixture, None).contains(&number.0), stays_out, "{reason:?}");
        }
    }

    #[test]
    fn a_prize_for_repeat_winners_still_goes_to_nobody_twice() {
        let mut fixture = EventFixture::with(4);
        let open = fixture.list("Mug", 9, |prize| prize.repeat_winners = true);
        fixture.draw("TV", List, 4).unwrap();
        assert_eq!(pool(&fixture, None), [0u32; 0]);
        assert_eq!(pool(&fixture, Some(open)), [1, 2, 3, 4]);
        let mug = fixture.draw("Mug", Slot, 1).unwrap();
        assert_eq!(pool(&fixture, Some(open)).len(), 3);
        fixture.void(&mug, mug.winners().next().unwrap(), VoidReason::Absent, Redraw::No).unwrap();
        assert_eq!(pool(&fixture, Some(open)).len(), 3, "an absent winner stays excluded");
    }

    #[test]
    fn groups_and_weights_count_only_where_they_are_on() {
        let mut fixture = EventFixture::with(3);
        let prize = fixture.list("Wine", 1, |prize| prize.group = Some("adults".into()));
        fixture.mark(1, Eligibility { eligible: false, group: Some("adults".into()), weight: 1 });
        fixture.mark(2, Eligibility { eligible: true, group: Some("adults".into()), weight: 7 });
        assert_eq!(pool(&fixture, Some(prize)), [2, 3]);
        assert_eq!(fixture.event.eligible_pool(None).weights, []);
        let patch = SettingsPatch { groups: Some(true), weights: Some(true), ..SettingsPatch::default() };
        fixture.execute(Command::ChangeSettings(patch)).unwrap();
        assert_eq!(pool(&fixture, Some(prize)), [2]);
        assert_eq!(pool(&fixture, None), [2, 3]);
        assert_eq!(fixture.event.eligible_pool(None).weights, [(2, 7)]);
    }

    #[test]
    fn details_are_accepted_once_and_from_winners_only() {
        let mut fixture = EventFixture::with(3);
        let draw = fixture.draw("TV", Slot, 1).unwrap();
        let (id, winner) = (draw.id, draw.winners().next().unwrap());
        let loser = Number(winner.0 % 3 + 1);
        let hand_in = |pick, number| Command::ReceiveDetails { pick, number, has_address: false };
        assert_eq!(fixture.execute(hand_in(WinSelector::Draw(id), loser)), Err(Refusal::NotAWinner));
        assert_eq!(fixture.execute(hand_in(WinSelector::PrizeNamed("Car".into()), winner)), Err(Refusal::NotAWinner));
        for first in [true, false] {
            let outcome = fixture.execute(hand_in(WinSelector::PrizeNamed("TV".into()), winner));
            assert_eq!(outcome, Ok(Outcome::Details { draw: id, number: winner, first, keeps_address: false }));
        }
        let pending = fixture.start("Mug", Slot, 1).unwrap();
        let next = fixture.event.pending_draw().unwrap().sealed.as_ref().unwrap().picks[0];
        fixture.execute(Command::Reveal).unwrap();
        assert_eq!(
            fixture.execute(hand_in(WinSelector::Draw(pending), next)),
            Err(Refusal::NotAWinner),
            "not before the announcement"
        );
        assert_eq!(fixture.execute(Command::Arrive { draw: pending, number: next }), Err(Refusal::NotAWinner));
        fixture.execute(Command::Arrive { draw: id, number: winner }).unwrap();
    }

    #[test]
    fn a_prize_is_handed_over_once_and_the_second_desk_learns_where() {
        let mut fixture = EventFixture::with(5);
        let drawn = fixture.draw("TV", List, 2).unwrap();
        let (id, seats): (_, Vec<_>) = (drawn.id, drawn.winners().collect());
        let hand = |number, desk: &str| Command::HandOver { draw: id, number, desk: desk.into() };
        let undo = |number| Command::UndoHandOver { draw: id, number };
        assert_eq!(fixture.execute(undo(seats[0])), Err(Refusal::NotHandedOver));
        fixture.execute(hand(seats[0], "lobby")).unwrap();
        let Err(Refusal::AlreadyHandedOver { desk, number, .. }) = fixture.execute(hand(seats[0], "garden")) else {
            panic!("twice")
        };
        assert_eq!((&*desk, number), ("lobby", seats[0]));
        let voided = fixture.void(&drawn, seats[0], VoidReason::Absent, Redraw::No).unwrap_err();
        assert_eq!(voided.code(), "ALREADY_HANDED_OVER", "a prize that was handed over is not redrawn");
        fixture.execute(undo(seats[0])).unwrap();
        fixture.execute(hand(seats[0], "garden")).unwrap();
        fixture.void(&drawn, seats[1], VoidReason::Absent, Redraw::No).unwrap();
        assert_eq!(fixture.execute(hand(seats[1], "lobby")), Err(Refusal::WinVoided));
        fixture.execute(Command::ChangePhase(crate::draw::Phase::Closed)).unwrap();
        fixture.execute(undo(seats[0])).unwrap();
    }

    #[test]
    fn nothing_is_handed_over_before_the_announcement() {
        let mut fixture = EventFixture::with(1);
        let id = fixture.start("TV", Slot, 1).unwrap();
        let hand = || Command::HandOver { draw: id, number: Number(1), desk: "lobby".into() };
        assert_eq!(fixture.execute(hand()), Err(Refusal::NotAWinner));
        fixture.execute(Command::Reveal).unwrap();
        assert_eq!(fixture.execute(hand()), Err(Refusal::NotAWinner));
        fixture.execute(Command::Complete(DrawSelector::Latest)).unwrap();
        fixture.execute(hand()).unwrap();
    }

    #[test]
    fn an_address_is_required_when_the_prize_is_sent() {
        let mut fixture = EventFixture::with(2);
        fixture.list("TV", 1, |prize| prize.needs_address = true);
        let sent = fixture.draw("TV", Slot, 1).unwrap();
        let fetched = fixture.draw("Mug", Slot, 1).unwrap();
        let hand_in = |draw: &Draw, has_address| Command::ReceiveDetails {
            pick: WinSelector::Draw(draw.id),
            number: draw.seats[0].number,
            has_address,
        };
        assert_eq!(fixture.execute(hand_in(&sent, false)).unwrap_err().code(), "INVALID_REQUEST");
        let kept = |outcome| matches!(outcome, Ok(Outcome::Details { keeps_address: true, first: true, .. }));
        assert!(kept(fixture.execute(hand_in(&sent, true))) && !kept(fixture.execute(hand_in(&fetched, true))));
    }
}
