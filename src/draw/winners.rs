//! Eligibility of participants, and the steps of a winner after the announcement: details, arrival,
//! hand-over.
//!
//! A command about a win must never succeed before that win is public, since its answer would tell
//! the secret.

use super::command::{Author, Decision, DetailsSubmission, Outcome, WinSelector};
use super::event::Audience;
use super::fact::VoidReason;
use super::prize::DrawRules;
use super::{Draw, DrawId, Event, Fact, Number, Participant, Pool, PrizeId, Refusal, Seat};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The times that the details of one win can come in: each is a fact, and stays in the journal.
const DETAILS_MAX: u32 = 50;

impl Event {
    /// The rules of a draw that begins now.
    pub(super) fn rules_of(&self, prize: Option<PrizeId>, redraw_of: Option<(DrawId, Number)>) -> DrawRules {
        match redraw_of.and_then(|(draw, _)| self.draw(draw)) {
            Some(first) => first.rules.clone(),
            None => DrawRules::of(prize.and_then(|id| self.prize(id))),
        }
    }

    /// The numbers that can win a prize now by these rules; `None` is a prize that is not on the
    /// list. O(participants + winners).
    pub(super) fn eligible_pool(&self, prize: Option<PrizeId>, rules: &DrawRules) -> Pool {
        let mut excluded = vec![false; self.highest_number() as usize + 1];
        self.excluded_by_earlier_draws(prize, rules).for_each(|number| excluded[number.0 as usize] = true);
        let mut pool = Pool::new(self.highest_number());
        for (number, participant) in self.participants_after(0) {
            if !excluded[number.0 as usize] && self.is_eligible(participant, rules) {
                pool.push(number, self.weight(participant));
            }
        }
        pool
    }

    /// The count of numbers that can win each listed prize now, in the order of the list.
    /// O(participants per group + winners per prize), since a list of many prizes has few groups.
    pub fn eligible_counts(&self) -> Vec<u32> {
        let mut in_group = BTreeMap::new();
        let mut counted = BTreeMap::new();
        let mut counts = Vec::with_capacity(self.prizes.len());
        for prize in self.prizes.iter() {
            let (id, rules) = (Some(prize.id), DrawRules::of(Some(prize)));
            let all = *in_group.entry(prize.group.clone()).or_insert_with(|| {
                let participants = self.participants_after(0);
                participants.filter(|(_, participant)| self.is_eligible(participant, &rules)).count()
            });
            // Prizes that no earlier winner can win exclude the same numbers.
            let kind = (id.filter(|_| prize.repeat_winners), prize.group.clone());
            let out = *counted.entry(kind).or_insert_with(|| {
                let out: BTreeSet<_> = self.excluded_by_earlier_draws(id, &rules).collect();
                let participants = out.into_iter().filter_map(|number| self.participant(number));
                participants.filter(|participant| self.is_eligible(participant, &rules)).count()
            });
            counts.push((all - out) as u32);
        }
        counts
    }

    /// The numbers that an earlier draw excludes, some of them twice. Winners are excluded, and so
    /// are numbers whose seat was voided for any reason but the operator's error. A prize open to
    /// repeat winners excludes only winners of this same prize.
    fn excluded_by_earlier_draws<'e>(
        &'e self,
        prize: Option<PrizeId>,
        rules: &'e DrawRules,
    ) -> impl Iterator<Item = Number> + 'e {
        let seats = move |draw: &'e Arc<Draw>| {
            let same_prize = draw.spec.prize_id.is_some() && draw.spec.prize_id == prize;
            draw.seats.iter().map(move |seat| (seat, same_prize))
        };
        let is_out = |(seat, same_prize): &(&Seat, bool)| match seat.voided {
            Some((_, reason)) => reason != VoidReason::OperatorError,
            None => !rules.repeat_winners || *same_prize,
        };
        self.draws.iter().flat_map(seats).filter(is_out).map(|(seat, _)| seat.number)
    }

    fn is_eligible(&self, participant: &Participant, rules: &DrawRules) -> bool {
        let eligibility = self.eligibility(participant);
        let required = rules.group.as_deref().filter(|_| self.settings.groups);
        let in_group = required.is_none_or(|group| eligibility.and_then(|own| own.group.as_deref()) == Some(group));
        in_group && eligibility.is_none_or(|own| own.eligible)
    }

    fn weight(&self, participant: &Participant) -> u16 {
        self.eligibility(participant).filter(|_| self.settings.weights).map_or(1, |own| own.weight)
    }

    /// Accepts a winner's details, or a correction of them.
    pub(super) fn receive_details(&self, details: &DetailsSubmission) -> Result<Decision, Refusal> {
        let DetailsSubmission { pick, number, by, has_address, made_from } = details;
        let (number, version) = (*number, *made_from);
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
        let keeps_address = draw.rules.needs_address;
        if keeps_address && !*has_address {
            return Err(Refusal::Invalid { field: "address", why: "is needed for this prize" });
        }
        if seat.details_at.is_some() && *by == Author::Winner {
            draw.require_not_handed_over(seat)?;
        }
        if version.is_some_and(|version| version != seat.details_count) {
            return Err(Refusal::DetailsOutdated { version: seat.details_count });
        }
        if seat.details_count >= DETAILS_MAX {
            return Err(Refusal::TooMany { what: "corrections", max: DETAILS_MAX });
        }
        Ok(Decision::new(
            [Fact::DetailsReceived { draw: draw.id, number }],
            Outcome::Details { draw: draw.id, number, version: seat.details_count + 1, keeps_address },
        ))
    }

    /// Notes that a winner is present.
    pub(super) fn arrive(&self, id: DrawId, number: Number) -> Result<Decision, Refusal> {
        let (draw, seat) = self.announced_win(id, number)?;
        let facts = if seat.arrived_at.is_none() { vec![Fact::Arrived { draw: draw.id, number }] } else { vec![] };
        Ok(Decision::new(facts, Outcome::Done))
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
    use super::super::Prize;
    use super::super::command::SettingsPatch;
    use super::super::command::{Command, DrawSelector, Redraw, Show};
    use super::super::fact::Eligibility;
    use super::super::sample::EventFixture;
    use super::*;

    fn pool(fixture: &EventFixture, prize: Option<PrizeId>) -> Vec<u32> {
        let rules = fixture.event.rules_of(prize, None);
        let pool = fixture.event.eligible_pool(prize, &rules);
        let place = fixture.event.prizes.iter().position(|listed| Some(listed.id) == prize);
        let counted = place.map(|place| fixture.event.eligible_counts()[place]);
        assert!(counted.is_none_or(|counted| counted == pool.size), "the list counts {counted:?} of {}", pool.size);
        pool.numbers().map(|number| number.0).collect()
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
        assert_eq!(fixture.event.eligible_pool(None, &DrawRules::default()).weights, []);
        let patch = SettingsPatch { groups: Some(true), weights: Some(true), ..SettingsPatch::default() };
        fixture.execute(Command::ChangeSettings(patch)).unwrap();
        assert_eq!(pool(&fixture, Some(prize)), [2]);
        assert_eq!(pool(&fixture, None), [2, 3]);
        assert_eq!(fixture.event.eligible_pool(None, &DrawRules::default()).weights, [(2, 7)]);
    }

    #[test]
    fn a_change_of_the_list_changes_nothing_of_a_draw() {
        let change = |fixture: &mut EventFixture, prize: PrizeId, is_removed: bool| {
            if is_removed {
                return fixture.execute(Command::RemovePrize(prize)).unwrap();
            }
            let (listed, made_from) = (fixture.event.prize(prize).unwrap().clone(), None);
            let prize = Prize { group: None, repeat_winners: false, needs_address: false, quantity: 1, grade: None, ..listed };
            fixture.execute(Command::ChangePrize { prize, made_from }).unwrap()
        };
        for is_removed in [false, true] {
            let mut fixture = EventFixture::with(6);
            let patch = SettingsPatch { groups: Some(true), ..SettingsPatch::default() };
            fixture.execute(Command::ChangeSettings(patch)).unwrap();
            for number in 1..=4 {
                fixture.mark(number, Eligibility { eligible: true, group: Some("adults".into()), weight: 1 });
            }
            fixture.draw("Car", List, 6).unwrap();
            let wine = fixture.list("Wine", 2, |prize| {
                prize.group = Some("adults".into());
                prize.grade = Some("특별상".into());
                (prize.repeat_winners, prize.needs_address) = (true, true);
            });
            let draw = fixture.draw("Wine", Card, 2).unwrap();
            change(&mut fixture, wine, is_removed);
            assert!(fixture.event.draw(draw.id).unwrap().rules.needs_address, "its winners still hand in an address");
            let absent = draw.winners().next().unwrap();
            let Ok(Outcome::Voided { redraw: Some(redraw) }) = fixture.void(&draw, absent, VoidReason::Absent, Redraw::Yes)
            else {
                panic!("not redrawn")
            };
            let redraw = fixture.event.draw(redraw).unwrap();
            let expected: Vec<_> = (1..=4).map(Number).filter(|number| !draw.winners().any(|winner| winner == *number)).collect();
            assert_eq!(redraw.pool.numbers().collect::<Vec<_>>(), expected, "adults who have not won the wine");
            assert_eq!((redraw.spec.prize_grade.as_deref(), &redraw.rules), (Some("특별상"), &draw.rules));
        }
    }

    #[test]
    fn details_are_accepted_from_winners_only() {
        let mut fixture = EventFixture::with(3);
        let draw = fixture.draw("TV", Slot, 1).unwrap();
        let (id, winner) = (draw.id, draw.winners().next().unwrap());
        let loser = Number(winner.0 % 3 + 1);
        let hand_in = |pick, number| {
            let (by, has_address, made_from) = (Author::Winner, false, None);
            Command::ReceiveDetails(DetailsSubmission { pick, number, by, has_address, made_from })
        };
        assert_eq!(fixture.execute(hand_in(WinSelector::Draw(id), loser)), Err(Refusal::NotAWinner));
        assert_eq!(fixture.execute(hand_in(WinSelector::PrizeNamed("Car".into()), winner)), Err(Refusal::NotAWinner));
        for version in [1, 2] {
            let outcome = fixture.execute(hand_in(WinSelector::PrizeNamed("TV".into()), winner));
            assert_eq!(outcome, Ok(Outcome::Details { draw: id, number: winner, version, keeps_address: false }));
        }
        let pending = fixture.start("Mug", Slot, 1).unwrap();
        let next = fixture.event.pending_draw().unwrap().sealed.as_ref().unwrap().picks[0];
        fixture.execute(Command::Reveal(Show::Open)).unwrap();
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
        fixture.execute(Command::Reveal(Show::Open)).unwrap();
        assert_eq!(fixture.execute(hand()), Err(Refusal::NotAWinner));
        fixture.execute(Command::Complete(DrawSelector::Latest)).unwrap();
        fixture.execute(hand()).unwrap();
    }

    #[test]
    fn details_are_corrected_by_the_winner_until_the_hand_over_and_by_an_operator_after_it() {
        let mut fixture = EventFixture::with(1);
        let id = fixture.draw("TV", Slot, 1).unwrap().id;
        let hand_in = |by| {
            let (pick, number) = (WinSelector::Draw(id), Number(1));
            Command::ReceiveDetails(DetailsSubmission { pick, number, by, has_address: false, made_from: None })
        };
        let facts = fixture.facts.len();
        fixture.execute(hand_in(Author::Winner)).unwrap();
        fixture.execute(hand_in(Author::Winner)).unwrap();
        assert_eq!(fixture.facts.len(), facts + 2, "a correction is on record");
        fixture.execute(Command::HandOver { draw: id, number: Number(1), desk: "lobby".into() }).unwrap();
        assert_eq!(fixture.execute(hand_in(Author::Winner)).unwrap_err().code(), "ALREADY_HANDED_OVER");
        for _ in 2..DETAILS_MAX {
            fixture.execute(hand_in(Author::Operator)).unwrap();
        }
        let refused = fixture.execute(hand_in(Author::Operator));
        assert_eq!(refused, Err(Refusal::TooMany { what: "corrections", max: DETAILS_MAX }));
    }

    #[test]
    fn details_replace_only_those_that_they_were_made_from() {
        let mut fixture = EventFixture::with(1);
        let id = fixture.draw("TV", Slot, 1).unwrap().id;
        let hand_in = |by, made_from| {
            let pick = WinSelector::Draw(id);
            Command::ReceiveDetails(DetailsSubmission {
                pick,
                number: Number(1),
                by,
                has_address: false,
                made_from: Some(made_from),
            })
        };
        let outdated = |version| Err(Refusal::DetailsOutdated { version });
        assert_eq!(fixture.execute(hand_in(Author::Operator, 1)), outdated(0), "there are none");
        fixture.execute(hand_in(Author::Winner, 0)).unwrap();
        fixture.execute(hand_in(Author::Winner, 1)).unwrap();
        for (by, stale) in [(Author::Operator, 1), (Author::Winner, 1), (Author::Operator, 0)] {
            assert_eq!(fixture.execute(hand_in(by, stale)), outdated(2));
        }
        fixture.execute(hand_in(Author::Operator, 2)).unwrap();
    }

    #[test]
    fn an_address_is_required_when_the_prize_is_sent() {
        let mut fixture = EventFixture::with(2);
        fixture.list("TV", 1, |prize| prize.needs_address = true);
        let sent = fixture.draw("TV", Slot, 1).unwrap();
        let fetched = fixture.draw("Mug", Slot, 1).unwrap();
        let hand_in = |draw: &Draw, has_address| {
            let (pick, number) = (WinSelector::Draw(draw.id), draw.seats[0].number);
            Command::ReceiveDetails(DetailsSubmission { pick, number, by: Author::Winner, has_address, made_from: None })
        };
        assert_eq!(fixture.execute(hand_in(&sent, false)).unwrap_err().code(), "INVALID_REQUEST");
        let kept = |outcome| matches!(outcome, Ok(Outcome::Details { keeps_address: true, version: 1, .. }));
        assert!(kept(fixture.execute(hand_in(&sent, true))) && !kept(fixture.execute(hand_in(&fetched, true))));
    }
}
