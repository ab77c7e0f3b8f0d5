//! The life cycle of a draw: standby, start, reveal, announcement; and its cancellation, voiding
//! and redraw.
//!
//! Two promises hold here. A draw is locked once: starting the same draw again gives the same draw,
//! and a draw that was called off, by cancellation or by a reset of draws, stays in the proof. And
//! no draw starts before the previous one is announced.

use super::command::{Decision, DrawSelector, Outcome, Redraw, Show, Sources};
use super::fact::{Cause, VoidReason};
use super::proof::OutsideRule;
use super::{Draw, DrawId, DrawRequest, DrawSpec, Event, Fact, Mode, Number, Pool, Refusal, Status, Timestamp};
use std::sync::Arc;

/// The most draws of an event between resets of its participants.
pub const DRAWS_MAX: u32 = 10_000;

impl Event {
    /// Puts a prize on standby, if its draw could start now: a hall that is shown a prize expects
    /// the draw.
    pub(super) fn show_standby(&self, at: Timestamp, request: &DrawRequest) -> Result<Decision, Refusal> {
        self.require_no_pending_draw()?;
        self.require_current(request)?;
        let spec = request.resolve(&self.prizes)?;
        let mut facts: Vec<_> = self.due_announcement().into_iter().collect();
        self.after(at, &facts).pool_for(&spec, None)?;
        facts.push(Fact::StandbyShown { spec: Arc::new(spec) });
        Ok(Decision::new(facts, Outcome::Standby))
    }

    /// Locks a draw. A retry while the draw is pending gives the pending draw.
    pub(super) fn start(&self, at: Timestamp, request: &DrawRequest, sources: Sources<'_>) -> Result<Decision, Refusal> {
        // A retry means the draw that is pending, as the hall sees it.
        let shown = self.pending_draw().map(|draw| &*draw.spec).or(self.standby.as_deref());
        let spec = request.completed_by(shown).resolve(&self.prizes)?;
        match self.pending_draw() {
            Some(pending) if *pending.spec == spec => return Ok(Decision::new([], Outcome::Started(pending.id))),
            Some(pending) => return Err(Refusal::DrawInProgress(pending.id)),
            None => {}
        }
        self.require_current(request)?;
        let (facts, draw) = self.start_after(at, self.due_announcement().into_iter().collect(), spec, None, sources)?;
        Ok(Decision::new(facts, Outcome::Started(draw)))
    }

    /// Reveals the pending draw. A planned show ends its length after `at`.
    pub(super) fn reveal(&self, at: Timestamp, show: Show) -> Result<Decision, Refusal> {
        let pending = self.pending_draw().ok_or(Refusal::NothingToReveal)?;
        let sealed = pending.sealed.clone().ok_or(Refusal::WaitingForOutside)?;
        let length_ms = (show == Show::Planned).then(|| i64::from(pending.spec.show_length_ms()));
        let show_at = length_ms.map(|length_ms| Timestamp(at.0 + length_ms));
        Ok(Decision::new([Fact::Revealed { draw: pending.id, sealed, show_at }], Outcome::Revealed(pending.id)))
    }

    /// Reveals this draw and no other. A revealed draw is answered as it is, since two operators
    /// can press at once.
    pub(super) fn reveal_draw(&self, at: Timestamp, id: DrawId, show: Show) -> Result<Decision, Refusal> {
        match self.draw(id).map(|draw| draw.status()) {
            Some(Status::Started) => self.reveal(at, show),
            Some(Status::Revealed | Status::Announced) => Ok(Decision::new([], Outcome::Revealed(id))),
            Some(Status::Cancelled) | None => Err(Refusal::Outdated),
        }
    }

    /// Cancels this draw and no other.
    pub(super) fn cancel_draw(&self, id: DrawId, reason: &Arc<str>) -> Result<Decision, Refusal> {
        match self.pending_draw() {
            Some(pending) if pending.id == id => self.cancel(reason),
            _ => Err(Refusal::Outdated),
        }
    }

    /// Announces a revealed draw, since its show is over.
    pub(super) fn complete(&self, selector: &DrawSelector) -> Result<Decision, Refusal> {
        let draw = match selector {
            DrawSelector::Latest => self.latest_revealed_draw(),
            DrawSelector::Draw(id) => self.draw(*id).filter(|draw| draw.revealed_at.is_some()),
            DrawSelector::Winners(winners) => self.draws().rev().find(|draw| draw.has_winners(winners)),
        };
        self.announce(draw.ok_or(Refusal::NothingToComplete)?.id, Cause::Completed)
    }

    /// Announces a revealed draw, once: an announced draw stays as it is.
    pub(super) fn announce(&self, id: DrawId, cause: Cause) -> Result<Decision, Refusal> {
        match self.draw(id).map(|draw| draw.status()) {
            Some(Status::Revealed) => Ok(Decision::new([Fact::Announced { draw: id, cause }], Outcome::Completed(id))),
            Some(Status::Announced) => Ok(Decision::new([], Outcome::CompletedBefore(id))),
            Some(Status::Started | Status::Cancelled) | None => Err(Refusal::NothingToComplete),
        }
    }

    /// Cancels the pending draw, or else the standby.
    pub(super) fn cancel(&self, reason: &Arc<str>) -> Result<Decision, Refusal> {
        if let Some(pending) = self.pending_draw() {
            return Ok(Decision::new([pending.cancellation(reason.clone())], Outcome::Cancelled(Some(pending.id))));
        }
        self.standby.as_ref().ok_or(Refusal::NothingToCancel)?;
        Ok(Decision::new([Fact::StandbyEnded], Outcome::Cancelled(None)))
    }

    /// Voids an announced seat, and with `redraw` starts a draw of that one seat. All or nothing:
    /// when the redraw is refused, the seat is not voided.
    pub(super) fn void(
        &self,
        at: Timestamp,
        seat: (DrawId, Number),
        reason: VoidReason,
        redraw: Redraw,
        sources: Sources<'_>,
    ) -> Result<Decision, Refusal> {
        let (id, number) = seat;
        let draw = self.draw(id).ok_or(Refusal::NotFound("draw"))?;
        if draw.status() != Status::Announced {
            return Err(Refusal::DrawInProgress(id));
        }
        let filled = draw.seat(number).filter(|seat| seat.voided.is_none()).ok_or(Refusal::NotAWinner)?;
        draw.require_not_handed_over(filled)?;
        let voided = Fact::SeatVoided { draw: id, number, reason };
        if redraw == Redraw::No {
            return Ok(Decision::new([voided], Outcome::Voided { redraw: None }));
        }
        self.require_no_pending_draw()?;
        let first: Vec<_> = self.due_announcement().into_iter().chain([voided]).collect();
        let spec = DrawSpec { winner_count: 1, ..DrawSpec::clone(&draw.spec) };
        let (facts, redraw) = self.start_after(at, first, spec, Some(seat), sources)?;
        Ok(Decision::new(facts, Outcome::Voided { redraw: Some(redraw) }))
    }

    /// Starts and reveals a draw in one call, which an event with outside values refuses. A retry
    /// with the same request key gives the existing draw: the key is a fact, so this holds across a
    /// crash, and until a reset.
    pub(super) fn draw_at_once(&self, at: Timestamp, request: &DrawRequest, sources: Sources<'_>) -> Result<Decision, Refusal> {
        let existing = request.request.and_then(|key| self.draws().find(|draw| draw.request == Some(key)));
        if let Some(draw) = existing {
            return Ok(Decision::new([], Outcome::Revealed(draw.id)));
        }
        self.require_no_pending_draw()?;
        self.require_current(request)?;
        if self.settings.outside != OutsideRule::None {
            return Err(Refusal::OutsideRequired);
        }
        let spec = DrawRequest { mode: Some(Mode::List), ..request.clone() }.resolve(&self.prizes)?;
        let (mut facts, draw) = self.start_after(at, self.due_announcement().into_iter().collect(), spec, None, sources)?;
        let Some(Fact::Started { sealed, request: key, .. }) = facts.last_mut() else {
            unreachable!("the start is the last fact")
        };
        *key = request.request;
        let sealed = sealed.clone().expect("a draw without an outside value is picked at its start");
        facts.push(Fact::Revealed { draw, sealed, show_at: None });
        Ok(Decision::new(facts, Outcome::Revealed(draw)))
    }

    /// The facts `first`, then the start of a draw of `spec`, locked with the pool as it is after
    /// `first`.
    fn start_after(
        &self,
        at: Timestamp,
        mut first: Vec<Fact>,
        spec: DrawSpec,
        redraw_of: Option<(DrawId, Number)>,
        sources: Sources<'_>,
    ) -> Result<(Vec<Fact>, DrawId), Refusal> {
        let mut event = self.after(at, &first);
        let pool = event.pool_for(&spec, redraw_of)?;
        if let Some(begun) = event.missing_chain(sources.entropy) {
            event.apply(at, &begun);
            first.push(begun);
        }
        let draw = DrawId(event.next_draw);
        let (lock, sealed) = event.lock(at, draw, &spec, redraw_of, &pool, sources.drand);
        let (spec, pool, lock) = (Arc::new(spec), Arc::new(pool), Some(Arc::new(lock)));
        let started = Fact::Started { draw, spec, pool, sealed, lock, redraw_of, request: None };
        Ok((first.into_iter().chain([started]).collect(), draw))
    }

    /// The event as it is after these facts.
    fn after(&self, at: Timestamp, facts: &[Fact]) -> Event {
        let mut event = self.clone();
        facts.iter().for_each(|fact| event.apply(at, fact));
        event
    }

    /// The participants who can win a draw of `spec` now, or a redraw of a seat.
    ///
    /// # Errors
    /// The reason why no such draw can start.
    fn pool_for(&self, spec: &DrawSpec, redraw_of: Option<(DrawId, Number)>) -> Result<Pool, Refusal> {
        if self.draws_with_cleared().count() as u32 >= DRAWS_MAX {
            return Err(Refusal::TooMany { what: "draws", max: DRAWS_MAX });
        }
        // A redraw fills a seat that the quantity allowed before.
        if let (Some(prize), None) = (spec.prize_id.and_then(|id| self.prize(id)), redraw_of) {
            let left = prize.quantity.saturating_sub(self.seats_taken(prize.id, |_| true));
            if left < spec.winner_count {
                return Err(Refusal::PrizeExhausted { left });
            }
        }
        let pool = self.eligible_pool(spec.prize_id, &self.rules_of(spec.prize_id, redraw_of));
        match pool.size {
            _ if self.registered == 0 => Err(Refusal::NobodyRegistered),
            0 => Err(Refusal::NobodyLeft),
            left if left < spec.winner_count => Err(Refusal::TooFewLeft { left }),
            _ => Ok(pool),
        }
    }

    /// The announcement of the revealed draw, which comes before the next step of any draw; `None`
    /// when no draw waits for one.
    pub(super) fn due_announcement(&self) -> Option<Fact> {
        self.unannounced_draw().map(|draw| Fact::Announced { draw: draw.id, cause: Cause::NextDraw })
    }

    /// Refuses a request that was made before the newest draw, since another operator was first.
    fn require_current(&self, request: &DrawRequest) -> Result<(), Refusal> {
        let outdated = request.last_draw.is_some_and(|known| known != self.last_draw_id());
        if outdated { Err(Refusal::Outdated) } else { Ok(()) }
    }

    /// Refuses while a draw is pending.
    pub(super) fn require_no_pending_draw(&self) -> Result<(), Refusal> {
        self.pending_draw().map_or(Ok(()), |draw| Err(Refusal::DrawInProgress(draw.id)))
    }
}

impl Draw {
    /// The fact that cancels this draw.
    pub(super) fn cancellation(&self, reason: Arc<str>) -> Fact {
        Fact::Cancelled { draw: self.id, sealed: self.sealed.clone(), reason }
    }

    /// True when the draw has exactly these winners, in any order.
    fn has_winners(&self, winners: &[Number]) -> bool {
        !self.seats.is_empty() && self.seats.len() == winners.len() && self.winners().all(|number| winners.contains(&number))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mode::{Card, List, Network, Slot};
    use super::super::command::{Command, ResetScope};
    use super::super::event::Audience;
    use super::super::sample::{EventFixture, draw_request};
    use super::super::{Phase, SessionId};
    use super::*;

    #[test]
    fn a_double_click_on_start_picks_once() {
        let mut fixture = EventFixture::with(50);
        let first = fixture.start("TV", Slot, 1).unwrap();
        let picks = fixture.event.pending_draw().unwrap().sealed.clone().unwrap().picks;
        assert_eq!(fixture.start("TV", Slot, 1), Ok(first));
        assert_eq!(fixture.event.pending_draw().unwrap().sealed.clone().unwrap().picks, picks);
        assert_eq!(fixture.start("Car", Slot, 1), Err(Refusal::DrawInProgress(first)));
        assert_eq!(fixture.execute(Command::Standby(draw_request("Car", Slot, 1))), Err(Refusal::DrawInProgress(first)));
        assert_eq!(fixture.execute(Command::DrawAtOnce(draw_request("Car", List, 1))), Err(Refusal::DrawInProgress(first)));
    }

    #[test]
    fn an_impossible_draw_is_refused_and_changes_nothing() {
        let mut nobody = EventFixture::with(0);
        assert_eq!(nobody.start("TV", Slot, 1), Err(Refusal::NobodyRegistered));
        assert_eq!(nobody.execute(Command::Standby(draw_request("TV", Slot, 1))), Err(Refusal::NobodyRegistered));
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
            let standby = Command::Standby(draw_request("Mug", mode, count));
            assert_eq!(fixture.execute(standby), Err(refusal.clone()), "{mode:?} {count}");
            assert_eq!(fixture.start("Mug", mode, count), Err(refusal), "{mode:?} {count}");
        }
        assert_eq!(fixture.start("Sock", Card, 4), Err(Refusal::TooFewLeft { left: 3 }));
        let standby = |mode, count| Command::Standby(draw_request("Sock", mode, count));
        assert_eq!(fixture.execute(standby(Card, 4)), Err(Refusal::TooFewLeft { left: 3 }));
        fixture.draw("Sock", Card, 3).unwrap();
        assert_eq!(fixture.start("Sock", Slot, 1), Err(Refusal::NobodyLeft));
        assert_eq!(fixture.execute(Command::Reveal(Show::Open)), Err(Refusal::NothingToReveal));
        assert_eq!(fixture.execute(standby(Slot, 1)), Err(Refusal::NobodyLeft));
        assert_eq!(fixture.execute(Command::Cancel { reason: "".into() }), Err(Refusal::NothingToCancel));
        assert_eq!(EventFixture::with(1).execute(Command::Complete(DrawSelector::Latest)), Err(Refusal::NothingToComplete));
    }

    #[test]
    fn a_draw_is_public_only_once_it_is_announced() {
        let mut fixture = EventFixture::with(9);
        let id = fixture.start("TV", Slot, 1).unwrap();
        let knows = |fixture: &EventFixture, audience| fixture.event.draw(id).unwrap().is_known_to(audience);
        assert!(!knows(&fixture, Audience::Operators));
        assert!(fixture.event.draw(id).unwrap().disclosed_pick().is_none(), "a pick is sealed before its reveal");
        fixture.execute(Command::Reveal(Show::Open)).unwrap();
        assert!(knows(&fixture, Audience::Operators) && !knows(&fixture, Audience::Public));
        fixture.execute(Command::Complete(DrawSelector::Latest)).unwrap();
        assert!(knows(&fixture, Audience::Public));
    }

    #[test]
    fn a_planned_show_ends_its_length_after_the_reveal_unless_the_announcement_comes_first() {
        let length = |mode, count| {
            let mut fixture = EventFixture::with(600);
            let id = fixture.start("TV", mode, count).unwrap();
            fixture.execute(Command::RevealDraw(id, Show::Planned)).unwrap();
            fixture.execute(Command::Reveal(Show::Planned)).unwrap_err();
            (fixture, id)
        };
        for (mode, count) in [(Slot, 1), (Card, 1), (Card, 5), (Network, 3), (Network, 10), (List, 500)] {
            let (fixture, id) = length(mode, count);
            let ms = fixture.event.draw(id).unwrap().show_length_ms().unwrap();
            assert!((2_500..=9_000).contains(&ms), "{mode:?} {count}: {ms}");
        }
        for (cause, is_kept) in [(Cause::ShowEnd, true), (Cause::Completed, false), (Cause::NextDraw, false)] {
            let (mut fixture, id) = length(Slot, 1);
            fixture.execute(Command::Announce { draw: id, cause }).unwrap();
            assert_eq!(fixture.event.draw(id).unwrap().show_at.is_some(), is_kept, "{cause:?}");
        }
        let mut fixture = EventFixture::with(9);
        assert_eq!(fixture.draw("TV", Slot, 1).unwrap().show_length_ms(), None, "nobody plans a show without a stage");
    }

    #[test]
    fn completing_again_changes_nothing_and_gives_the_same_answer() {
        let mut fixture = EventFixture::with(9);
        let draw = fixture.draw("TV", Card, 3).unwrap();
        let facts = fixture.facts.len();
        let reversed: Vec<_> = draw.winners().collect::<Vec<_>>().into_iter().rev().collect();
        for selector in [DrawSelector::Latest, DrawSelector::Draw(draw.id), DrawSelector::Winners(reversed)] {
            assert_eq!(fixture.execute(Command::Complete(selector)), Ok(Outcome::CompletedBefore(draw.id)));
        }
        assert_eq!(fixture.facts.len(), facts);
        assert_eq!(fixture.execute(Command::Complete(DrawSelector::Winners(vec![]))), Err(Refusal::NothingToComplete));
        assert_eq!(fixture.execute(Command::Complete(DrawSelector::Draw(DrawId(99)))), Err(Refusal::NothingToComplete));
    }

    #[test]
    fn the_next_draw_announces_the_last_one_first() {
        let next: [fn() -> Command; 3] = [
            || Command::Standby(draw_request("Mug", Slot, 1)),
            || Command::Start(draw_request("Mug", Slot, 1)),
            || Command::DrawAtOnce(draw_request("Mug", List, 1)),
        ];
        for command in next {
            let mut fixture = EventFixture::with(9);
            let id = fixture.start("TV", Slot, 1).unwrap();
            fixture.execute(Command::Reveal(Show::Open)).unwrap();
            let before = fixture.facts.len();
            fixture.execute(command()).unwrap();
            assert_eq!(fixture.facts[before], Fact::Announced { draw: id, cause: Cause::NextDraw });
        }
    }

    #[test]
    fn a_cancelled_pick_stays_on_record_and_frees_its_numbers() {
        let mut fixture = EventFixture::with(1);
        let id = fixture.start("TV", Slot, 1).unwrap();
        assert_eq!(fixture.execute(Command::Cancel { reason: "wrong prize".into() }), Ok(Outcome::Cancelled(Some(id))));
        assert_eq!(fixture.event.draw(id).unwrap().disclosed_pick().unwrap().picks[..], [Number(1)]);
        fixture.draw("TV", Slot, 1).unwrap();
        fixture.register(2).unwrap();
        fixture.execute(Command::Standby(draw_request("Mug", Slot, 1))).unwrap();
        assert_eq!(fixture.execute(Command::Cancel { reason: "".into() }), Ok(Outcome::Cancelled(None)));
        assert_eq!(fixture.event.standby, None);
    }

    #[test]
    fn an_absent_winners_seat_goes_to_another_number() {
        let mut fixture = EventFixture::with(2);
        let prize = fixture.list("TV", 1, |_| {});
        let draw = fixture.draw("TV", Slot, 1).unwrap();
        let absent = draw.winners().next().unwrap();
        assert_eq!(fixture.start("TV", Slot, 1), Err(Refusal::PrizeExhausted { left: 0 }));
        let Ok(Outcome::Voided { redraw: Some(redraw) }) = fixture.void(&draw, absent, VoidReason::Absent, Redraw::Yes) else {
            panic!("not redrawn")
        };
        assert_eq!(fixture.event.draw(redraw).unwrap().redraw_of, Some((draw.id, absent)));
        fixture.execute(Command::Reveal(Show::Open)).unwrap();
        fixture.execute(Command::Complete(DrawSelector::Latest)).unwrap();
        let next_winner = fixture.event.draw(redraw).unwrap().winners().next().unwrap();
        assert_ne!(next_winner, absent);
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
            fixture.event.pending_draw().unwrap().sealed.as_ref().unwrap().picks[..],
            [Number(1)],
            "an operator's error excludes nobody"
        );
    }

    #[test]
    fn a_reset_cancels_the_pending_draw_and_clears_the_rest() {
        let mut fixture = EventFixture::with(5);
        let draw = fixture.draw("TV", Slot, 1).unwrap();
        let pending = fixture.start("Mug", Slot, 1).unwrap();
        fixture.execute(Command::Reset(ResetScope::Draws)).unwrap();
        assert!(fixture.facts.iter().any(|fact| matches!(fact, Fact::Cancelled { draw, .. } if *draw == pending)));
        assert_eq!((fixture.event.draws().len(), fixture.event.participant_count()), (0, 5));
        let next = fixture.draw("TV", Card, 5).unwrap();
        assert!(next.id > pending && pending > draw.id, "draw ids are never reused");
        fixture.execute(Command::Reset(ResetScope::Participants(SessionId([9; 16])))).unwrap();
        assert_eq!((fixture.event.participant_count(), fixture.event.highest_number()), (0, 0));
        let old = Command::Register { number: Number(1), key: [0; 32], session: SessionId([1; 16]) };
        assert_eq!(fixture.execute(old), Err(Refusal::StaleSession));
        fixture.register(1).unwrap();
    }

    #[test]
    fn a_reset_rerolls_nothing_in_silence() {
        let mut fixture = EventFixture::with(5);
        let announced = fixture.draw("TV", Slot, 1).unwrap();
        let cancelled = fixture.start("Mug", Slot, 1).unwrap();
        fixture.execute(Command::Cancel { reason: "wrong prize".into() }).unwrap();
        let revealed = fixture.start("TV", Slot, 1).unwrap();
        fixture.execute(Command::Reveal(Show::Open)).unwrap();
        let before = fixture.facts.len();
        fixture.execute(Command::Reset(ResetScope::Draws)).unwrap();
        let announcement = Fact::Announced { draw: revealed, cause: Cause::NextDraw };
        assert_eq!(fixture.facts[before..], [announcement, Fact::Reset { session: None }], "phones hear of it first");
        let again = fixture.draw("TV", Slot, 1).unwrap();
        let shown: Vec<_> = fixture.event.draws_with_cleared().map(|draw| (draw.id, draw.reset_at.is_some())).collect();
        assert_eq!(shown, [(announced.id, true), (cancelled, true), (revealed, true), (again.id, false)]);
        assert!(
            fixture.event.draw(revealed).is_none()
                && fixture.event.wins(again.winners().next().unwrap(), Audience::Public).count() == 1
        );
        fixture.execute(Command::Reset(ResetScope::Participants(SessionId([9; 16])))).unwrap();
        assert_eq!(fixture.event.draws_with_cleared().count(), 0, "a new session begins a new proof");
    }

    #[test]
    fn resets_do_not_raise_the_most_draws() {
        let mut fixture = EventFixture::with(1);
        Arc::make_mut(&mut fixture.event.cleared_draws).extend(std::iter::repeat_n(
            Arc::new(Draw::clone(&EventFixture::with(1).draw("TV", Slot, 1).unwrap())),
            DRAWS_MAX as usize,
        ));
        assert_eq!(fixture.start("TV", Slot, 1), Err(Refusal::TooMany { what: "draws", max: DRAWS_MAX }));
    }

    #[test]
    fn closing_an_event_announces_the_revealed_draw_and_ends_drawing() {
        let mut fixture = EventFixture::with(5);
        let id = fixture.start("TV", Slot, 1).unwrap();
        assert_eq!(fixture.execute(Command::ChangePhase(Phase::Closed)), Err(Refusal::DrawInProgress(id)));
        fixture.execute(Command::Reveal(Show::Open)).unwrap();
        fixture.execute(Command::ChangePhase(Phase::Closed)).unwrap();
        assert_eq!(fixture.event.draw(id).unwrap().status(), Status::Announced);
        assert_eq!(fixture.start("Mug", Slot, 1), Err(Refusal::EventClosed));
        assert_eq!(fixture.register(6), Err(Refusal::EventClosed));
        assert_eq!(fixture.execute(Command::ChangePhase(Phase::Open)), Err(Refusal::EventClosed));
    }

    #[test]
    fn a_late_operator_cannot_act_on_another_draw() {
        let mut fixture = EventFixture::with(9);
        let late = |known| DrawRequest { last_draw: Some(DrawId(known)), ..draw_request("TV", Slot, 1) };
        let Ok(Outcome::Started(first)) = fixture.execute(Command::Start(late(0))) else { panic!("not started") };
        assert_eq!(fixture.execute(Command::Start(late(0))), Ok(Outcome::Started(first)), "a double press is one draw");
        assert_eq!(fixture.execute(Command::RevealDraw(DrawId(9), Show::Open)), Err(Refusal::Outdated));
        assert_eq!(fixture.execute(Command::CancelDraw { draw: DrawId(9), reason: "".into() }), Err(Refusal::Outdated));
        fixture.execute(Command::RevealDraw(first, Show::Open)).unwrap();
        assert_eq!(
            fixture.execute(Command::RevealDraw(first, Show::Open)),
            Ok(Outcome::Revealed(first)),
            "both operators pressed"
        );
        for late_command in [Command::Start(late(0)), Command::Standby(late(0)), Command::DrawAtOnce(late(0))] {
            assert_eq!(fixture.execute(late_command), Err(Refusal::Outdated));
        }
        let Ok(Outcome::Started(second)) = fixture.execute(Command::Start(late(1))) else { panic!("not started") };
        fixture.execute(Command::CancelDraw { draw: second, reason: "".into() }).unwrap();
        assert_eq!(fixture.execute(Command::RevealDraw(second, Show::Open)), Err(Refusal::Outdated));
        fixture.execute(Command::Reset(ResetScope::Draws)).unwrap();
        assert_eq!(fixture.execute(Command::Start(late(1))), Err(Refusal::Outdated), "a reset reuses no id");
    }

    #[test]
    fn a_retried_draw_in_one_call_is_the_existing_draw() {
        let mut fixture = EventFixture::with(9);
        let ask = |request| DrawRequest { request: Some([request; 32]), ..draw_request("TV", List, 2) };
        let first = fixture.execute(Command::DrawAtOnce(ask(1)));
        assert_eq!(fixture.execute(Command::DrawAtOnce(ask(1))), first);
        let second = fixture.execute(Command::DrawAtOnce(ask(2)));
        assert!(second.is_ok() && second != first);
        assert_eq!(fixture.execute(Command::DrawAtOnce(ask(1))), first, "even after another draw");
        assert_eq!(fixture.event.draws().count(), 2);
    }
}
