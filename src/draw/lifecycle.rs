//! The rules of one draw's way: standby, start, reveal, completion, announcement; and how it is called off or a seat drawn again.
//!
//! Two promises are kept here. A pick is made once: whoever starts the same draw again gets the same draw, and calling one off leaves it in the
//! proof. And the next draw never begins before everybody was told of the last.

use super::command::{Decision, DrawSelector, EntropySource, Outcome, Redraw};
use super::decide::Verdict;
use super::fact::{Cause, SealedPick, VoidReason};
use super::pick::pick;
use super::{Draw, DrawId, DrawRequest, DrawSpec, Event, Fact, Mode, Number, Refusal, Status, Timestamp};
use std::sync::Arc;

/// The most draws of an event between resets.
pub const DRAWS_MAX: u32 = 10_000;

impl Event {
    pub(super) fn stand_by(&self, wish: &DrawRequest) -> Verdict {
        self.refuse_pending()?;
        self.refuse_outdated(wish)?;
        let spec = wish.settle(&self.prizes)?;
        let mut facts: Vec<_> = self.announcing_the_last().into_iter().collect();
        facts.push(Fact::StandbyShown { spec: Arc::new(spec) });
        Ok(Decision::new(facts, Outcome::Standby))
    }

    /// Picks the winners in secret. Asked again for the same while it is pending, it answers with the draw there is.
    pub(super) fn start(&self, at: Timestamp, wish: &DrawRequest, chance: EntropySource<'_>) -> Verdict {
        let spec = wish.settle(&self.prizes)?;
        if let Some(pending) = self.pending() {
            let same = *pending.spec == spec;
            return if same {
                Ok(Decision::new([], Outcome::Started(pending.id)))
            } else {
                Err(Refusal::DrawInProgress(pending.id))
            };
        }
        self.refuse_outdated(wish)?;
        let (facts, draw) = self.begin(at, self.announcing_the_last().into_iter().collect(), spec, None, chance)?;
        Ok(Decision::new(facts, Outcome::Started(draw)))
    }

    pub(super) fn reveal(&self) -> Verdict {
        let pending = self.pending().ok_or(Refusal::NothingToReveal)?;
        Ok(Decision::new([pending.revealing()], Outcome::Revealed(pending.id)))
    }

    /// Reveals that draw and no other. One that is revealed already is answered as it is: two operators may press at once.
    pub(super) fn reveal_draw(&self, id: DrawId) -> Verdict {
        match self.draw(id).map(|draw| draw.status()) {
            Some(Status::Started) => self.reveal(),
            Some(Status::Revealed | Status::Announced) => Ok(Decision::new([], Outcome::Revealed(id))),
            Some(Status::Cancelled) | None => Err(Refusal::Outdated),
        }
    }

    pub(super) fn cancel_draw(&self, id: DrawId, reason: &Arc<str>) -> Verdict {
        match self.pending() {
            Some(pending) if pending.id == id => self.cancel(reason),
            _ => Err(Refusal::Outdated),
        }
    }

    pub(super) fn complete(&self, which: &DrawSelector) -> Verdict {
        let draw = match which {
            DrawSelector::Latest => self.latest_revealed(),
            DrawSelector::Draw(id) => self.draw(*id).filter(|draw| draw.revealed_at.is_some()),
            DrawSelector::Winners(winners) => self.draws().rev().find(|draw| draw.drew_exactly(winners)),
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
        at: Timestamp,
        seat: (DrawId, Number),
        reason: VoidReason,
        redraw: Redraw,
        chance: EntropySource<'_>,
    ) -> Verdict {
        let (id, number) = seat;
        let draw = self.draw(id).ok_or(Refusal::NotFound("draw"))?;
        if draw.status() != Status::Announced {
            return Err(Refusal::DrawInProgress(id));
        }
        let seat_there = draw.seat(number).filter(|seat| seat.voided.is_none()).ok_or(Refusal::NotAWinner)?;
        draw.refuse_handed_over(seat_there)?;
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

    /// The whole draw in one call; asked for again with the same request, the draw there is. It is known by the journal, so that this
    /// holds across a crash, and until a reset.
    pub(super) fn draw_at_once(&self, at: Timestamp, wish: &DrawRequest, chance: EntropySource<'_>) -> Verdict {
        let known = wish.request.and_then(|request| self.draws().find(|draw| draw.request == Some(request)));
        if let Some(draw) = known {
            return Ok(Decision::new([], Outcome::Revealed(draw.id)));
        }
        self.refuse_pending()?;
        self.refuse_outdated(wish)?;
        let spec = DrawRequest { mode: Some(Mode::List), ..wish.clone() }.settle(&self.prizes)?;
        let (mut facts, draw) = self.begin(at, self.announcing_the_last().into_iter().collect(), spec, None, chance)?;
        let Some(Fact::Started { sealed, request, .. }) = facts.last_mut() else {
            unreachable!("a beginning ends with its start")
        };
        *request = wish.request;
        let sealed = sealed.clone();
        facts.push(Fact::Revealed { draw, sealed });
        Ok(Decision::new(facts, Outcome::Revealed(draw)))
    }

    /// `first` and then the start of a draw of `spec`, picked from the pool as it stands once `first` is true.
    fn begin(
        &self,
        at: Timestamp,
        first: Vec<Fact>,
        spec: DrawSpec,
        redraw_of: Option<(DrawId, Number)>,
        chance: EntropySource<'_>,
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
        let sealed = SealedPick { entropy, picks };
        let started = Fact::Started { draw, spec: Arc::new(spec), pool: Arc::new(pool), sealed, redraw_of, request: None };
        Ok((first.into_iter().chain([started]).collect(), draw))
    }

    /// The announcement of the draw that is revealed and not announced, if there is one: it goes before whatever comes next.
    pub(super) fn announcing_the_last(&self) -> Option<Fact> {
        self.unannounced().map(|draw| Fact::Announced { draw: draw.id, cause: Cause::NextDraw })
    }

    /// Refuses a wish that was made before the newest draw: another operator was first.
    fn refuse_outdated(&self, wish: &DrawRequest) -> Result<(), Refusal> {
        let outdated = wish.last_draw.is_some_and(|known| known != self.last_draw());
        if outdated { Err(Refusal::Outdated) } else { Ok(()) }
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

#[cfg(test)]
mod tests {
    use super::super::Mode::{Card, List, Network, Slot};
    use super::super::command::{Command, ResetScope};
    use super::super::event::Audience;
    use super::super::testing::{EventFixture, wish};
    use super::super::{Phase, SessionId};
    use super::*;

    #[test]
    fn a_double_click_on_start_picks_once() {
        let mut fixture = EventFixture::with(50);
        let first = fixture.start("TV", Slot, 1).unwrap();
        let picks = fixture.event.pending().unwrap().sealed.picks.clone();
        assert_eq!(fixture.start("TV", Slot, 1), Ok(first));
        assert_eq!(fixture.event.pending().unwrap().sealed.picks, picks);
        assert_eq!(fixture.start("Car", Slot, 1), Err(Refusal::DrawInProgress(first)));
        assert_eq!(fixture.order(Command::Standby(wish("Car", Slot, 1))), Err(Refusal::DrawInProgress(first)));
        assert_eq!(fixture.order(Command::DrawAtOnce(wish("Car", List, 1))), Err(Refusal::DrawInProgress(first)));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused_and_changes_nothing() {
        let mut nobody = EventFixture::with(0);
        assert_eq!(nobody.start("TV", Slot, 1), Err(Refusal::NobodyRegistered));
        let mut fixture = EventFixture::with(3);
        fixture.list("Mug", 2, |_| {});
        for (mode, count, refusal) in [
            (Slot, 2, Refusal::TooManyWinners { mode: Slot, max: 1 }),
            (Card, 6, Refusal::TooManyWinners { mode: Card, max: 5 }),
            (Network, 11, Refusal::TooManyWinners { mode: Network, max: 10 }),
            (List, 501, Refusal::TooManyWinners { mode: List, max: 500 }),
            (List, 0, Refusal::Invalid { field: "winner_count", why: "must be at least 1" }),
            (Card, 3, Refusal::PrizeExhausted { left: 2 }),
        ] {
            assert_eq!(fixture.start("Mug", mode, count), Err(refusal), "{mode:?} {count}");
        }
        assert_eq!(fixture.start("Sock", Card, 4), Err(Refusal::TooFewLeft { left: 3 }));
        fixture.draw("Sock", Card, 3).unwrap();
        assert_eq!(fixture.start("Sock", Slot, 1), Err(Refusal::NobodyLeft));
        assert_eq!(fixture.order(Command::Reveal), Err(Refusal::NothingToReveal));
        assert_eq!(fixture.order(Command::Cancel { reason: "".into() }), Err(Refusal::NothingToCancel));
        assert_eq!(EventFixture::with(1).order(Command::Complete(DrawSelector::Latest)), Err(Refusal::NothingToComplete));
    }

    #[test]
    fn a_draw_is_public_only_once_it_is_announced() {
        let mut fixture = EventFixture::with(9);
        let id = fixture.start("TV", Slot, 1).unwrap();
        let knows = |fixture: &EventFixture, audience| fixture.event.draw(id).unwrap().is_known_to(audience);
        assert!(!knows(&fixture, Audience::Operators));
        assert!(fixture.event.draw(id).unwrap().disclosed_pick().is_none(), "a pick is sealed before its reveal");
        fixture.order(Command::Reveal).unwrap();
        assert!(knows(&fixture, Audience::Operators) && !knows(&fixture, Audience::Public));
        fixture.order(Command::Complete(DrawSelector::Latest)).unwrap();
        assert!(knows(&fixture, Audience::Public));
    }

    #[test]
    fn completing_again_changes_nothing_and_says_the_same() {
        let mut fixture = EventFixture::with(9);
        let draw = fixture.draw("TV", Card, 3).unwrap();
        let facts = fixture.facts.len();
        let backwards: Vec<_> = draw.winners().collect::<Vec<_>>().into_iter().rev().collect();
        for which in [DrawSelector::Latest, DrawSelector::Draw(draw.id), DrawSelector::Winners(backwards)] {
            assert_eq!(fixture.order(Command::Complete(which)), Ok(Outcome::Completed(draw.id)));
        }
        assert_eq!(fixture.facts.len(), facts);
        assert_eq!(fixture.order(Command::Complete(DrawSelector::Winners(vec![]))), Err(Refusal::NothingToComplete));
        assert_eq!(fixture.order(Command::Complete(DrawSelector::Draw(DrawId(99)))), Err(Refusal::NothingToComplete));
    }

    #[test]
    fn the_next_draw_announces_the_last_one_first() {
        let next: [fn() -> Command; 3] = [
            || Command::Standby(wish("Mug", Slot, 1)),
            || Command::Start(wish("Mug", Slot, 1)),
            || Command::DrawAtOnce(wish("Mug", List, 1)),
        ];
        for command in next {
            let mut fixture = EventFixture::with(9);
            let id = fixture.start("TV", Slot, 1).unwrap();
            fixture.order(Command::Reveal).unwrap();
            let before = fixture.facts.len();
            fixture.order(command()).unwrap();
            assert_eq!(fixture.facts[before], Fact::Announced { draw: id, cause: Cause::NextDraw });
        }
    }

    #[test]
    fn a_cancelled_pick_stays_on_record_and_its_numbers_in_the_pool() {
        let mut fixture = EventFixture::with(1);
        let id = fixture.start("TV", Slot, 1).unwrap();
        assert_eq!(fixture.order(Command::Cancel { reason: "wrong prize".into() }), Ok(Outcome::Cancelled(Some(id))));
        assert_eq!(fixture.event.draw(id).unwrap().disclosed_pick().unwrap().picks[..], [Number(1)]);
        fixture.draw("TV", Slot, 1).unwrap();
        fixture.order(Command::Standby(wish("Mug", Slot, 1))).unwrap();
        assert_eq!(fixture.order(Command::Cancel { reason: "".into() }), Ok(Outcome::Cancelled(None)));
        assert_eq!(fixture.event.standby, None);
    }

    #[test]
    fn an_absent_winners_seat_is_drawn_again_for_somebody_else() {
        let mut fixture = EventFixture::with(2);
        let prize = fixture.list("TV", 1, |_| {});
        let draw = fixture.draw("TV", Slot, 1).unwrap();
        let absent = draw.winners().next().unwrap();
        assert_eq!(fixture.start("TV", Slot, 1), Err(Refusal::PrizeExhausted { left: 0 }));
        let Ok(Outcome::Voided { redraw: Some(redraw) }) = fixture.void(&draw, absent, VoidReason::Absent, Redraw::Yes) else {
            panic!("not drawn again")
        };
        assert_eq!(fixture.event.draw(redraw).unwrap().redraw_of, Some((draw.id, absent)));
        fixture.order(Command::Reveal).unwrap();
        fixture.order(Command::Complete(DrawSelector::Latest)).unwrap();
        let lucky = fixture.event.draw(redraw).unwrap().winners().next().unwrap();
        assert_ne!(lucky, absent);
        assert_eq!(fixture.event.remaining(fixture.event.prize(prize).unwrap(), Audience::Public), 0);
        assert_eq!(fixture.void(&draw, absent, VoidReason::Absent, Redraw::Yes), Err(Refusal::NotAWinner), "a second click");
        assert_eq!(fixture.event.draw(draw.id).unwrap().seats.len(), 1, "the voided row stays");
    }

    #[test]
    fn voiding_is_all_or_nothing() {
        let mut fixture = EventFixture::with(1);
        let draw = fixture.draw("TV", Slot, 1).unwrap();
        assert_eq!(fixture.void(&draw, Number(1), VoidReason::Absent, Redraw::Yes), Err(Refusal::NobodyLeft));
        assert!(fixture.event.draw(draw.id).unwrap().seats[0].voided.is_none());
        assert_eq!(fixture.void(&draw, Number(7), VoidReason::Absent, Redraw::No), Err(Refusal::NotAWinner));
        fixture.void(&draw, Number(1), VoidReason::OperatorError, Redraw::Yes).unwrap();
        assert_eq!(
            fixture.event.pending().unwrap().sealed.picks[..],
            [Number(1)],
            "an operator's error costs nobody their chance"
        );
    }

    #[test]
    fn a_reset_voids_what_is_pending_and_begins_anew() {
        let mut fixture = EventFixture::with(5);
        let draw = fixture.draw("TV", Slot, 1).unwrap();
        let pending = fixture.start("Mug", Slot, 1).unwrap();
        fixture.order(Command::Reset(ResetScope::Draws)).unwrap();
        assert!(fixture.facts.iter().any(|fact| matches!(fact, Fact::Cancelled { draw, .. } if *draw == pending)));
        assert_eq!((fixture.event.draws().len(), fixture.event.participant_count()), (0, 5));
        let next = fixture.draw("TV", Card, 5).unwrap();
        assert!(next.id > pending && pending > draw.id, "draw ids are never used again");
        fixture.order(Command::Reset(ResetScope::Participants(SessionId([9; 16])))).unwrap();
        assert_eq!((fixture.event.participant_count(), fixture.event.highest_number()), (0, 0));
        let old = Command::Register { number: Number(1), key: [0; 32], session: SessionId([1; 16]) };
        assert_eq!(fixture.order(old), Err(Refusal::StaleSession));
        fixture.register(1).unwrap();
    }

    #[test]
    fn closing_an_event_announces_what_was_revealed_and_ends_drawing() {
        let mut fixture = EventFixture::with(5);
        let id = fixture.start("TV", Slot, 1).unwrap();
        assert_eq!(fixture.order(Command::ChangePhase(Phase::Closed)), Err(Refusal::DrawInProgress(id)));
        fixture.order(Command::Reveal).unwrap();
        fixture.order(Command::ChangePhase(Phase::Closed)).unwrap();
        assert_eq!(fixture.event.draw(id).unwrap().status(), Status::Announced);
        assert_eq!(fixture.start("Mug", Slot, 1), Err(Refusal::EventClosed));
        assert_eq!(fixture.register(6), Err(Refusal::EventClosed));
        assert_eq!(fixture.order(Command::ChangePhase(Phase::Open)), Err(Refusal::EventClosed));
    }

    #[test]
    fn an_operator_who_is_late_acts_on_nobody_else_s_draw() {
        let mut fixture = EventFixture::with(9);
        let late = |known| DrawRequest { last_draw: Some(DrawId(known)), ..wish("TV", Slot, 1) };
        let Ok(Outcome::Started(first)) = fixture.order(Command::Start(late(0))) else { panic!("not started") };
        assert_eq!(fixture.order(Command::Start(late(0))), Ok(Outcome::Started(first)), "a double press is one draw");
        assert_eq!(fixture.order(Command::RevealDraw(DrawId(9))), Err(Refusal::Outdated));
        assert_eq!(fixture.order(Command::CancelDraw { draw: DrawId(9), reason: "".into() }), Err(Refusal::Outdated));
        fixture.order(Command::RevealDraw(first)).unwrap();
        assert_eq!(fixture.order(Command::RevealDraw(first)), Ok(Outcome::Revealed(first)), "both operators pressed");
        for late_wish in [Command::Start(late(0)), Command::Standby(late(0)), Command::DrawAtOnce(late(0))] {
            assert_eq!(fixture.order(late_wish), Err(Refusal::Outdated));
        }
        let Ok(Outcome::Started(second)) = fixture.order(Command::Start(late(1))) else { panic!("not started") };
        fixture.order(Command::CancelDraw { draw: second, reason: "".into() }).unwrap();
        assert_eq!(fixture.order(Command::RevealDraw(second)), Err(Refusal::Outdated));
        fixture.order(Command::Reset(crate::draw::command::ResetScope::Draws)).unwrap();
        assert_eq!(fixture.order(Command::Start(late(1))), Err(Refusal::Outdated), "a reset brings no id back");
    }

    #[test]
    fn a_draw_in_one_call_that_is_asked_for_again_is_the_draw_there_is() {
        let mut fixture = EventFixture::with(9);
        let ask = |request| DrawRequest { request: Some([request; 32]), ..wish("TV", List, 2) };
        let first = fixture.order(Command::DrawAtOnce(ask(1)));
        assert_eq!(fixture.order(Command::DrawAtOnce(ask(1))), first);
        let second = fixture.order(Command::DrawAtOnce(ask(2)));
        assert!(second.is_ok() && second != first);
        assert_eq!(fixture.order(Command::DrawAtOnce(ask(1))), first, "however much has been drawn since");
        assert_eq!(fixture.event.draws().count(), 2);
    }
}
