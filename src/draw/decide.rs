//! The door of the rules: which facts a command comes to, or why it comes to none.
//!
//! What concerns draws is decided in `lifecycle`, what concerns winners in `winners`; the rest is here.

use super::command::{Command, Decision, EntropySource, Outcome, ResetScope};
use super::fact::{Eligibility, Settings};
use super::{Epoch, Event, EventId, Fact, Link, LinkId, LinkRole, Number, Phase, Prize, PrizeId, Refusal, SessionId, Timestamp};
use std::sync::Arc;

/// The most listed prizes of an event.
pub const PRIZES_MAX: u32 = 1_000;
/// The most links of an event, revoked ones included.
pub const LINKS_MAX: u32 = 200;
/// The most participants an event may be opened for.
pub const PARTICIPANTS_MAX: u32 = 300_000;
/// The largest weight of a participant.
pub const WEIGHT_MAX: u16 = 100;

/// What a rule comes to.
pub(super) type Verdict = Result<Decision, Refusal>;

impl Decision {
    /// Facts and what to answer.
    pub(super) fn new(facts: impl Into<Vec<Fact>>, outcome: Outcome) -> Self {
        Self { facts: facts.into(), outcome }
    }
}

/// The facts of a new event with its first list of prizes, whose ids are given here.
///
/// # Errors
/// [`Refusal::Invalid`] for a bound out of range, a name that stands twice or too many prizes.
pub fn opening(
    id: EventId,
    settings: Settings,
    session: SessionId,
    epoch: Epoch,
    prizes: &[Prize],
) -> Result<Vec<Fact>, Refusal> {
    if !(1..=PARTICIPANTS_MAX).contains(&settings.participants_max) {
        return Err(Refusal::Invalid { field: "participants_max", why: "must be from 1 to 300000" });
    }
    let mut event = Event::new(id.clone(), settings.clone(), session, epoch, Timestamp::default());
    let mut facts = vec![Fact::Opened { id, settings, session, epoch }];
    for prize in prizes {
        let decision = event.add_prize(prize)?;
        decision.facts.iter().for_each(|fact| event.apply(Timestamp::default(), fact));
        facts.extend(decision.facts);
    }
    Ok(facts)
}

impl Event {
    /// Decides a command at the time `at`; `chance` is asked for 32 random bytes by commands that pick, at most once.
    ///
    /// # Errors
    /// The refusal that says why nothing happens. The event is as it was.
    pub fn decide(&self, at: Timestamp, command: &Command, chance: EntropySource<'_>) -> Verdict {
        if self.phase == Phase::Closed && !is_allowed_when_closed(command) {
            return Err(Refusal::EventClosed);
        }
        match command {
            Command::Register { number, key, session } => self.take_registration(*number, *key, *session),
            Command::Standby(wish) => self.stand_by(wish),
            Command::Start(wish) => self.start(at, wish, chance),
            Command::Reveal => self.reveal(),
            Command::RevealDraw(draw) => self.reveal_draw(*draw),
            Command::Complete(which) => self.complete(which),
            Command::Cancel { reason } => self.cancel(reason),
            Command::CancelDraw { draw, reason } => self.cancel_draw(*draw, reason),
            Command::Void { draw, number, reason, redraw } => self.void(at, (*draw, *number), *reason, *redraw, chance),
            Command::DrawAtOnce(wish) => self.draw_at_once(at, wish, chance),
            Command::Announce { draw, cause } => self.announce(*draw, *cause),
            Command::Reset(scope) => Ok(self.clear(*scope)),
            Command::Wipe(session) => self.wipe(*session),
            Command::ChangeSettings(settings) => self.change_settings(settings),
            Command::ChangePhase(phase) => self.change_phase(*phase),
            Command::SetEntryCode(code) => self.set_entry_code(*code),
            Command::AddPrize(prize) => self.add_prize(prize),
            Command::AddPrizes(prizes) => self.add_prizes(at, prizes),
            Command::ChangePrize(prize) => self.change_prize(prize),
            Command::RemovePrize(prize) => self.remove_prize(*prize),
            Command::OrderPrizes(order) => self.order_prizes(order),
            Command::MarkParticipant { number, mark } => self.mark_participant(*number, mark),
            Command::ReceiveDetails { pick, number, has_address } => self.receive_details(pick, *number, *has_address),
            Command::Arrive { draw, number } => self.arrive(*draw, *number),
            Command::HandOver { draw, number, desk } => self.hand_over(*draw, *number, desk),
            Command::UndoHandOver { draw, number } => self.undo_hand_over(*draw, *number),
            Command::MakeLink(role) => self.make_link(at, *role),
            Command::RevokeLink(link) => self.revoke_link(*link),
            Command::NoteUnmasking => Ok(Decision::new([Fact::DetailsUnmasked], Outcome::Done)),
        }
    }

    /// Commits a number that the roster gave. Whether registration is open was asked before the number was claimed: a claim in
    /// flight while the door closes is honoured, since refusing it would leave a hole in the numbers.
    fn take_registration(&self, number: Number, key: [u8; 32], session: SessionId) -> Verdict {
        if session != self.session {
            return Err(Refusal::StaleSession);
        }
        let existing = self.participant(number).is_some();
        if !existing && self.registered >= self.settings.participants_max {
            return Err(Refusal::EventFull { max: self.settings.participants_max });
        }
        let facts = if existing { vec![] } else { vec![Fact::Registered { number, key }] };
        Ok(Decision::new(facts, Outcome::Registered { number, existing }))
    }

    /// Clears what a scope names. What is cleared stays in the journal, which only ever grows.
    fn clear(&self, scope: ResetScope) -> Decision {
        let session = match scope {
            ResetScope::Nothing => return Decision::new([], Outcome::Reset),
            ResetScope::Draws => None,
            ResetScope::Participants(session) => Some(session),
        };
        let mut facts: Vec<_> = self.pending().map(|draw| draw.calling_off("reset".into())).into_iter().collect();
        facts.push(Fact::Reset { session });
        Decision::new(facts, Outcome::Reset)
    }

    /// Clears what was practised; nothing that was real.
    fn wipe(&self, session: SessionId) -> Verdict {
        if !self.settings.rehearsal {
            return Err(Refusal::NotARehearsal);
        }
        Ok(self.clear(ResetScope::Participants(session)))
    }

    fn change_settings(&self, settings: &Settings) -> Verdict {
        if settings.participants_max != self.settings.participants_max {
            return Err(Refusal::Invalid { field: "participants_max", why: "is settled when the event is opened" });
        }
        if settings.rehearsal != self.settings.rehearsal {
            return Err(Refusal::Invalid { field: "rehearsal", why: "is settled when the event is opened" });
        }
        Ok(Decision::new([Fact::SettingsChanged { settings: settings.clone() }], Outcome::Done))
    }

    /// Moves between phases; closing announces what was revealed, and waits for nothing that is not.
    fn change_phase(&self, phase: Phase) -> Verdict {
        if phase == self.phase {
            return Ok(Decision::new([], Outcome::Done));
        }
        let mut facts = vec![];
        if phase == Phase::Closed {
            self.refuse_pending()?;
            facts.extend(self.announcing_the_last());
        }
        facts.push(Fact::PhaseChanged { phase });
        Ok(Decision::new(facts, Outcome::Done))
    }

    fn set_entry_code(&self, code: Option<[u8; 4]>) -> Verdict {
        if code.is_some_and(|digits| !digits.iter().all(u8::is_ascii_digit)) {
            return Err(Refusal::Invalid { field: "entry_code", why: "must be four digits" });
        }
        Ok(Decision::new([Fact::EntryCodeSet { code }], Outcome::Done))
    }

    fn add_prize(&self, prize: &Prize) -> Verdict {
        if self.prizes.len() as u32 >= PRIZES_MAX {
            return Err(Refusal::TooMany { what: "prizes", max: PRIZES_MAX });
        }
        let prize = Prize { id: PrizeId(self.next_prize), ..prize.clone() };
        self.check_prize(&prize)?;
        let outcome = Outcome::PrizeAdded(prize.id);
        Ok(Decision::new([Fact::PrizeAdded { prize }], outcome))
    }

    fn add_prizes(&self, at: Timestamp, prizes: &[Prize]) -> Verdict {
        let mut event = self.clone();
        let mut facts = Vec::with_capacity(prizes.len());
        for prize in prizes {
            let added = event.add_prize(prize)?.facts;
            added.iter().for_each(|fact| event.apply(at, fact));
            facts.extend(added);
        }
        Ok(Decision::new(facts, Outcome::Done))
    }

    fn change_prize(&self, prize: &Prize) -> Verdict {
        self.prize(prize.id).ok_or(Refusal::NotFound("prize"))?;
        self.check_prize(prize)?;
        Ok(Decision::new([Fact::PrizeChanged { prize: prize.clone() }], Outcome::Done))
    }

    /// A draw may name a prize by its name alone, so no two may share one; and what it says of its draws must be drawable.
    fn check_prize(&self, prize: &Prize) -> Result<(), Refusal> {
        if self.prizes.iter().any(|listed| listed.id != prize.id && listed.name == prize.name) {
            return Err(Refusal::Invalid { field: "prize_name", why: "is on the list already" });
        }
        let mode = prize.mode.unwrap_or_default();
        match prize.winner_count {
            Some(0) => Err(Refusal::Invalid { field: "winner_count", why: "must be at least 1" }),
            Some(count) if count > mode.winners_max() => Err(Refusal::TooManyWinners { mode, max: mode.winners_max() }),
            _ => Ok(()),
        }
    }

    fn remove_prize(&self, prize: PrizeId) -> Verdict {
        self.prize(prize).ok_or(Refusal::NotFound("prize"))?;
        Ok(Decision::new([Fact::PrizeRemoved { prize }], Outcome::Done))
    }

    fn order_prizes(&self, order: &Arc<[PrizeId]>) -> Verdict {
        let (mut wished, mut listed) = (order.to_vec(), self.prizes.iter().map(|prize| prize.id).collect::<Vec<_>>());
        wished.sort_unstable();
        listed.sort_unstable();
        if wished != listed {
            return Err(Refusal::Invalid { field: "order", why: "must name every listed prize once" });
        }
        Ok(Decision::new([Fact::PrizesOrdered { order: order.clone() }], Outcome::Done))
    }

    fn mark_participant(&self, number: Number, mark: &Eligibility) -> Verdict {
        self.participant(number).ok_or(Refusal::ParticipantNotFound)?;
        if !(1..=WEIGHT_MAX).contains(&mark.weight) {
            return Err(Refusal::Invalid { field: "weight", why: "must be from 1 to 100" });
        }
        Ok(Decision::new([Fact::ParticipantMarked { number, mark: mark.clone() }], Outcome::Done))
    }

    fn make_link(&self, at: Timestamp, role: LinkRole) -> Verdict {
        if self.links.len() as u32 >= LINKS_MAX {
            return Err(Refusal::TooMany { what: "links", max: LINKS_MAX });
        }
        let link = Link { id: LinkId(self.next_link), role, made_at: at, revoked_at: None };
        Ok(Decision::new([Fact::LinkMade { link }], Outcome::LinkMade(link.id)))
    }

    fn revoke_link(&self, link: LinkId) -> Verdict {
        let made = self.links.iter().find(|made| made.id == link).ok_or(Refusal::NotFound("link"))?;
        let facts = if made.revoked_at.is_some() { vec![] } else { vec![Fact::LinkRevoked { link }] };
        Ok(Decision::new(facts, Outcome::Done))
    }
}

/// What still goes on after an event was closed: winners are looked after, and nothing is drawn.
fn is_allowed_when_closed(command: &Command) -> bool {
    matches!(
        command,
        Command::Complete(_)
            | Command::ReceiveDetails { .. }
            | Command::Arrive { .. }
            | Command::HandOver { .. }
            | Command::UndoHandOver { .. }
            | Command::RevokeLink(_)
            | Command::MakeLink(_)
            | Command::NoteUnmasking
            | Command::ChangePhase(Phase::Closed)
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{EventFixture, prize};
    use super::*;

    #[test]
    fn a_phone_keeps_its_number() {
        let mut fixture = EventFixture::with(2);
        assert_eq!(fixture.register(2), Ok(Outcome::Registered { number: Number(2), existing: true }));
        assert_eq!(
            fixture.register(5),
            Ok(Outcome::Registered { number: Number(5), existing: false }),
            "3 and 4 are still on their way"
        );
        assert_eq!(fixture.register(3), Ok(Outcome::Registered { number: Number(3), existing: false }));
        let numbers: Vec<_> = fixture.event.participants_after(1).map(|(number, _)| number.0).collect();
        assert_eq!((numbers, fixture.event.participant_count()), (vec![2, 3, 5], 4));
        let mut full = EventFixture::with(1_000);
        assert_eq!(full.register(1_001), Err(Refusal::EventFull { max: 1_000 }));
        assert_eq!(full.register(7), Ok(Outcome::Registered { number: Number(7), existing: true }));
    }

    #[test]
    fn the_list_of_prizes_is_kept_drawable() {
        let mut fixture = EventFixture::with(0);
        let (tv, mug) = (fixture.list("TV", 1, |_| {}), fixture.list("Mug", 9, |_| {}));
        let refused = |fixture: &mut EventFixture, command| fixture.order(command).unwrap_err().code();
        assert_eq!(refused(&mut fixture, Command::AddPrize(prize("TV", 1))), "INVALID_REQUEST");
        assert_eq!(refused(&mut fixture, Command::AddPrize(Prize { winner_count: Some(2), ..prize("Car", 2) })), "DRAW_FAILED");
        assert_eq!(refused(&mut fixture, Command::ChangePrize(Prize { id: PrizeId(9), ..prize("Car", 1) })), "NOT_FOUND");
        assert_eq!(refused(&mut fixture, Command::OrderPrizes([tv].into())), "INVALID_REQUEST");
        assert_eq!(refused(&mut fixture, Command::OrderPrizes([tv, tv].into())), "INVALID_REQUEST");
        fixture.order(Command::OrderPrizes([mug, tv].into())).unwrap();
        fixture.order(Command::ChangePrize(Prize { id: mug, ..prize("Cup", 3) })).unwrap();
        assert_eq!(fixture.event.prizes.iter().map(|prize| &*prize.name).collect::<Vec<_>>(), ["Cup", "TV"]);
        fixture.order(Command::RemovePrize(mug)).unwrap();
        assert_eq!(fixture.list("Cup", 1, |_| {}), PrizeId(3), "ids are never used again");
    }

    #[test]
    fn an_event_opens_only_within_its_bounds() {
        let open = |max, prizes: &[Prize]| {
            let settings = Settings { title: "t".into(), participants_max: max, ..Settings::default() };
            opening(EventId::parse("e").unwrap(), settings, SessionId([0; 16]), Epoch([0; 8]), prizes).map(|facts| facts.len())
        };
        assert_eq!(open(300, &[prize("a", 1), prize("b", 1)]), Ok(3));
        assert!(open(0, &[]).is_err() && open(PARTICIPANTS_MAX + 1, &[]).is_err());
        assert!(open(300, &[prize("a", 1), prize("a", 1)]).is_err());
    }

    #[test]
    fn prizes_are_added_together_or_not_at_all() {
        let mut fixture = EventFixture::with(0);
        fixture.list("TV", 1, |_| {});
        let twice = [prize("Mug", 1), prize("Car", 1), prize("Mug", 1)];
        assert!(fixture.order(Command::AddPrizes(twice.into())).is_err());
        assert_eq!(fixture.event.prizes.len(), 1);
        fixture.order(Command::AddPrizes([prize("Mug", 1), prize("Car", 1)].into())).unwrap();
        assert_eq!(fixture.event.prizes.iter().map(|prize| prize.id.0).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn only_a_rehearsal_is_wiped_and_it_stays_one() {
        let mut fixture = EventFixture::with(3);
        let wipe = || Command::Wipe(SessionId([7; 16]));
        assert_eq!(fixture.order(wipe()), Err(Refusal::NotARehearsal));
        let practice = Settings { rehearsal: true, ..Settings::clone(&fixture.event.settings) };
        assert_eq!(fixture.order(Command::ChangeSettings(practice.clone())).unwrap_err().code(), "INVALID_REQUEST");
        fixture.event.apply(Timestamp(9), &Fact::SettingsChanged { settings: practice });
        fixture.draw("TV", crate::draw::Mode::Slot, 1).unwrap();
        fixture.order(wipe()).unwrap();
        assert_eq!((fixture.event.participant_count(), fixture.event.draws().count()), (0, 0));
        assert_eq!(fixture.event.session, SessionId([7; 16]));
    }

    #[test]
    fn links_stand_until_they_are_revoked() {
        let mut fixture = EventFixture::with(0);
        let Ok(Outcome::LinkMade(link)) = fixture.order(Command::MakeLink(LinkRole::Staff)) else { panic!("no link") };
        assert_eq!(fixture.event.link_role(link), Some(LinkRole::Staff));
        fixture.order(Command::RevokeLink(link)).unwrap();
        fixture.order(Command::RevokeLink(link)).unwrap();
        assert_eq!(fixture.event.link_role(link), None);
        assert_eq!(fixture.order(Command::RevokeLink(LinkId(9))), Err(Refusal::NotFound("link")));
    }
}
