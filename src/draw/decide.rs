//! Decisions: the facts that a command leads to, or the refusal.
//!
//! `lifecycle` decides commands about draws, `winners` those about winners; this file dispatches
//! and decides the rest. A decision reads the event and changes nothing: [`Event::apply`] does,
//! once the facts are committed.

use super::command::{Command, Decision, EligibilityPatch, EntropySource, Outcome, ResetScope, SettingsPatch, Sources};
use super::entry_code::EntryCode;
use super::fact::{SecretScope, Settings};
use super::prize::PrizeVersion;
use super::{
    DrawSpec, Epoch, Event, EventId, Fact, Link, LinkId, LinkRole, Number, Phase, Prize, PrizeId, Refusal, SessionId, Timestamp,
};
use std::sync::Arc;

/// The most listed prizes of an event.
pub const PRIZES_MAX: u32 = 1_000;
/// The most signed links of an event, revoked ones included.
pub const LINKS_MAX: u32 = 200;
/// The most participants an event may be opened for.
pub const PARTICIPANTS_MAX: u32 = 300_000;
/// The highest number, gaps included: numbers that were claimed and never committed. The list of
/// participants has a place for each below the highest, 16 bytes long.
pub const NUMBER_MAX: u32 = 1 << 21;
/// The largest weight of a participant.
pub const WEIGHT_MAX: u16 = 100;

/// The refusal of a setting that only a new event can choose.
const FIXED_AT_OPENING: &str = "is settled when the event is opened";

/// The facts of a new event with its seed chain and its first prizes, whose ids are given here.
///
/// # Errors
/// [`Refusal::OutOfRange`] for a wrong `participants_max`, and the refusal of the first prize that
/// the list cannot take.
pub fn open_event(
    id: EventId,
    settings: Settings,
    session: SessionId,
    epoch: Epoch,
    prizes: &[Prize],
    entropy: EntropySource<'_>,
) -> Result<Vec<Fact>, Refusal> {
    if !(1..=PARTICIPANTS_MAX).contains(&settings.participants_max) {
        return Err(Refusal::OutOfRange { field: "participants_max", min: 1, max: PARTICIPANTS_MAX });
    }
    let at = Timestamp::default();
    let event = Event::new(id.clone(), settings.clone(), session, epoch, at);
    let mut facts = vec![Fact::Opened { id, settings, session, epoch }, Event::begin_chain(entropy().0)];
    facts.extend(event.add_prizes(at, prizes)?.facts);
    Ok(facts)
}

impl Event {
    /// Decides a command at the time `at`. A command that begins a seed chain reads the
    /// entropy once.
    ///
    /// # Errors
    /// The reason why the command changes nothing.
    pub fn decide(&self, at: Timestamp, command: &Command, sources: Sources<'_>) -> Result<Decision, Refusal> {
        if self.phase == Phase::Closed && !is_allowed_when_closed(command) {
            return Err(Refusal::EventClosed);
        }
        match command {
            Command::Register { number, key, session } => self.register(*number, *key, *session),
            Command::Standby(request) => self.show_standby(at, request),
            Command::Start(request) => self.start(at, request, sources),
            Command::GiveWords { draw, words } => self.give_words(*draw, words),
            Command::GiveBeacon { draw, beacon } => self.give_beacon(*draw, beacon),
            Command::FallBack { draw, reason } => self.fall_back(*draw, reason),
            Command::Reveal(show) => self.reveal(at, *show),
            Command::RevealDraw(draw, show) => self.reveal_draw(at, *draw, *show),
            Command::Complete(selector) => self.complete(selector),
            Command::Cancel { reason } => self.cancel(reason),
            Command::CancelDraw { draw, reason } => self.cancel_draw(*draw, reason),
            Command::Void { draw, number, reason, redraw } => self.void(at, (*draw, *number), *reason, *redraw, sources),
            Command::DrawAtOnce(request) => self.draw_at_once(at, request, sources),
            Command::Announce { draw, cause } => self.announce(*draw, *cause),
            Command::Reset(scope) => Ok(self.reset_scope(*scope, sources.entropy)),
            Command::Wipe(session) => self.wipe_rehearsal(*session, sources.entropy),
            Command::ChangeSettings(patch) => self.change_settings(patch),
            Command::ChangePhase(phase) => self.change_phase(*phase),
            Command::SetEntryCode(code) => Ok(Self::set_entry_code(*code)),
            Command::AddPrize(prize) => self.add_prize(prize),
            Command::AddPrizes(prizes) => self.add_prizes(at, prizes),
            Command::ChangePrize { prize, made_from } => self.change_prize(prize, *made_from),
            Command::RemovePrize(prize) => self.remove_prize(*prize),
            Command::OrderPrizes { order, made_from } => self.order_prizes(order, made_from.as_deref()),
            Command::MarkParticipant { number, patch } => self.mark_participant(*number, patch),
            Command::RemoveParticipants { from, until } => self.remove_participants(*from, *until),
            Command::ReceiveDetails(details) => self.receive_details(details),
            Command::Arrive { draw, number } => self.arrive(*draw, *number),
            Command::HandOver { draw, number, desk } => self.hand_over(*draw, *number, desk),
            Command::UndoHandOver { draw, number } => self.undo_hand_over(*draw, *number),
            Command::MakeLink(role) => self.make_link(at, *role),
            Command::RevokeLink(link) => self.revoke_link(*link),
            Command::NoteUnmasking => Ok(Decision::new([Fact::DetailsUnmasked], Outcome::Done)),
        }
    }

    /// Commits a number that the roster gave. The phase was checked before the number was claimed:
    /// a claim that is in flight while registration closes is honoured, since refusing it would
    /// leave a gap in the numbers.
    fn register(&self, number: Number, key: [u8; 32], session: SessionId) -> Result<Decision, Refusal> {
        // A claim on a number whose participant was removed claims again, too.
        if session != self.session || self.is_removed(number) {
            return Err(Refusal::StaleSession);
        }
        let existing = self.participant(number).is_some();
        if !existing && (self.registered >= self.settings.participants_max || number.0 > NUMBER_MAX) {
            return Err(Refusal::EventFull { max: self.settings.participants_max });
        }
        let facts = if existing { vec![] } else { vec![Fact::Registered { number, key, secrets: SecretScope::Registration }] };
        Ok(Decision::new(facts, Outcome::Registered { number, existing }))
    }

    /// Clears the scope. The cleared facts stay in the journal, which only grows. A pending draw is
    /// cancelled first and a revealed one announced, so that no draw ends without the phones having
    /// heard of it.
    fn reset_scope(&self, scope: ResetScope, entropy: EntropySource<'_>) -> Decision {
        let session = match scope {
            ResetScope::Nothing => return Decision::new([], Outcome::Reset),
            ResetScope::Draws => None,
            ResetScope::Participants(session) => Some(session),
        };
        let mut facts: Vec<_> = self.pending_draw().map(|draw| draw.cancellation("reset".into())).into_iter().collect();
        facts.extend(self.due_announcement());
        facts.push(Fact::Reset { session });
        facts.extend(session.map(|_| Self::begin_chain(entropy().0)));
        Decision::new(facts, Outcome::Reset)
    }

    /// Clears a rehearsal; refuses to clear a real event.
    fn wipe_rehearsal(&self, session: SessionId, entropy: EntropySource<'_>) -> Result<Decision, Refusal> {
        if !self.settings.rehearsal {
            return Err(Refusal::NotARehearsal);
        }
        Ok(self.reset_scope(ResetScope::Participants(session), entropy))
    }

    fn change_settings(&self, patch: &SettingsPatch) -> Result<Decision, Refusal> {
        let settings = patch.clone().merged_into(&self.settings);
        let (min, max) = (self.settings.participants_max, PARTICIPANTS_MAX.max(self.settings.participants_max));
        if !(min..=max).contains(&settings.participants_max) {
            return Err(Refusal::OutOfRange { field: "participants_max", min, max });
        }
        if settings.rehearsal != self.settings.rehearsal {
            return Err(Refusal::Invalid { field: "rehearsal", why: FIXED_AT_OPENING });
        }
        Ok(Decision::new([Fact::SettingsChanged { settings }], Outcome::Done))
    }

    /// Moves to a phase. Closing announces a revealed draw first, and is refused while a draw is
    /// pending.
    fn change_phase(&self, phase: Phase) -> Result<Decision, Refusal> {
        if phase == self.phase {
            return Ok(Decision::new([], Outcome::Done));
        }
        let mut facts = vec![];
        if phase == Phase::Closed {
            self.require_no_pending_draw()?;
            facts.extend(self.due_announcement());
        }
        facts.push(Fact::PhaseChanged { phase });
        Ok(Decision::new(facts, Outcome::Done))
    }

    fn set_entry_code(code: Option<EntryCode>) -> Decision {
        let fact = match code {
            Some(EntryCode::Rotating) => Fact::EntryCodeRotates,
            Some(EntryCode::Fixed(digits)) => Fact::EntryCodeSet { code: Some(digits) },
            None => Fact::EntryCodeSet { code: None },
        };
        Decision::new([fact], Outcome::Done)
    }

    fn add_prize(&self, prize: &Prize) -> Result<Decision, Refusal> {
        if self.prizes.len() as u32 >= PRIZES_MAX {
            return Err(Refusal::TooMany { what: "prizes", max: PRIZES_MAX });
        }
        let prize = Prize { id: PrizeId(self.next_prize), ..prize.clone() };
        self.check_prize(&prize)?;
        let outcome = Outcome::PrizeAdded(prize.id);
        Ok(Decision::new([Fact::PrizeAdded { prize }], outcome))
    }

    fn add_prizes(&self, at: Timestamp, prizes: &[Prize]) -> Result<Decision, Refusal> {
        let mut event = self.clone();
        let mut facts = Vec::with_capacity(prizes.len());
        for prize in prizes {
            let added = event.add_prize(prize)?.facts;
            added.iter().for_each(|fact| event.apply(at, fact));
            facts.extend(added);
        }
        Ok(Decision::new(facts, Outcome::Done))
    }

    fn change_prize(&self, prize: &Prize, made_from: Option<PrizeVersion>) -> Result<Decision, Refusal> {
        let listed = self.prize(prize.id).ok_or(Refusal::NotFound("prize"))?;
        if made_from.is_some_and(|version| version != listed.version()) {
            return Err(Refusal::PrizesOutdated);
        }
        self.check_prize(prize)?;
        let mut facts = vec![Fact::PrizeChanged { prize: prize.clone() }];
        if let Some(shown) = self.standby_of(prize.id) {
            let spec = shown.after_change(listed, prize);
            facts.extend((spec != *shown).then(|| Fact::StandbyShown { spec: Arc::new(spec) }));
        }
        Ok(Decision::new(facts, Outcome::Done))
    }

    /// The standby, if it shows this prize.
    fn standby_of(&self, prize: PrizeId) -> Option<&DrawSpec> {
        self.standby.as_deref().filter(|shown| shown.prize_id == Some(prize))
    }

    /// A draw can name a prize by its name alone, so names are unique; and the prize's own draws
    /// must be possible.
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

    fn remove_prize(&self, prize: PrizeId) -> Result<Decision, Refusal> {
        self.prize(prize).ok_or(Refusal::NotFound("prize"))?;
        // A prize that is not on the list cannot be drawn, so its standby would never end.
        let ended = self.standby_of(prize).map(|_| Fact::StandbyEnded);
        let facts: Vec<_> = [Fact::PrizeRemoved { prize }].into_iter().chain(ended).collect();
        Ok(Decision::new(facts, Outcome::Done))
    }

    fn order_prizes(&self, order: &Arc<[PrizeId]>, made_from: Option<&[PrizeId]>) -> Result<Decision, Refusal> {
        let mut ordered = order.to_vec();
        let mut listed: Vec<_> = self.prizes.iter().map(|prize| prize.id).collect();
        if made_from.is_some_and(|seen| seen != listed) {
            return Err(Refusal::PrizesOutdated);
        }
        ordered.sort_unstable();
        listed.sort_unstable();
        if ordered != listed {
            return Err(Refusal::Invalid { field: "order", why: "must name every listed prize once" });
        }
        Ok(Decision::new([Fact::PrizesOrdered { order: order.clone() }], Outcome::Done))
    }

    fn mark_participant(&self, number: Number, patch: &EligibilityPatch) -> Result<Decision, Refusal> {
        let participant = self.participant(number).ok_or(Refusal::ParticipantNotFound)?;
        let mark = patch.clone().merged_into(self.eligibility(participant).cloned().unwrap_or_default());
        if !(1..=WEIGHT_MAX).contains(&mark.weight) {
            return Err(Refusal::OutOfRange { field: "weight", min: 1, max: WEIGHT_MAX.into() });
        }
        Ok(Decision::new([Fact::ParticipantMarked { number, mark }], Outcome::Done))
    }

    /// Removes the participants who registered from `from` to `until`. Who has a seat, voided or
    /// not, stays; and none is removed while a draw is pending, whose pick is secret.
    fn remove_participants(&self, from: Timestamp, until: Timestamp) -> Result<Decision, Refusal> {
        self.require_no_pending_draw()?;
        let mut drawn = vec![false; self.highest_number() as usize + 1];
        self.draws().flat_map(|draw| draw.winners()).for_each(|number| drawn[number.0 as usize] = true);
        let removed = self
            .participants_after(0)
            .filter(|(number, participant)| (from..=until).contains(&participant.registered_at) && !drawn[number.0 as usize]);
        let (mut ranges, mut count) = (Vec::<(u32, u32)>::new(), 0);
        for (number, _) in removed {
            count += 1;
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == number.0 => *last = number.0,
                _ => ranges.push((number.0, number.0)),
            }
        }
        let facts = if ranges.is_empty() { vec![] } else { vec![Fact::ParticipantsRemoved { ranges }] };
        Ok(Decision::new(facts, Outcome::Removed(count)))
    }

    fn make_link(&self, at: Timestamp, role: LinkRole) -> Result<Decision, Refusal> {
        if self.links.len() as u32 >= LINKS_MAX {
            return Err(Refusal::TooMany { what: "links", max: LINKS_MAX });
        }
        let link = Link { id: LinkId(self.next_link), role, made_at: at, revoked_at: None };
        Ok(Decision::new([Fact::LinkMade { link }], Outcome::LinkMade(link.id)))
    }

    fn revoke_link(&self, link: LinkId) -> Result<Decision, Refusal> {
        let made = self.links.iter().find(|made| made.id == link).ok_or(Refusal::NotFound("link"))?;
        let facts = if made.revoked_at.is_some() { vec![] } else { vec![Fact::LinkRevoked { link }] };
        Ok(Decision::new(facts, Outcome::Done))
    }
}

/// The commands that a closed event still takes: winners get their prizes, and nothing is drawn.
fn is_allowed_when_closed(command: &Command) -> bool {
    matches!(
        command,
        Command::Complete(_)
            | Command::ReceiveDetails(_)
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
    use super::super::Entropy;
    use super::super::fact::Eligibility;
    use super::super::prize::DrawRequest;
    use super::super::sample::{EventFixture, prize};
    use super::*;

    #[test]
    fn a_phone_keeps_its_number() {
        let mut fixture = EventFixture::with(2);
        assert_eq!(fixture.register(2), Ok(Outcome::Registered { number: Number(2), existing: true }));
        assert_eq!(
            fixture.register(5),
            Ok(Outcome::Registered { number: Number(5), existing: false }),
            "3 and 4 are not committed yet"
        );
        assert_eq!(fixture.register(3), Ok(Outcome::Registered { number: Number(3), existing: false }));
        let numbers: Vec<_> = fixture.event.participants_after(1).map(|(number, _)| number.0).collect();
        assert_eq!((numbers, fixture.event.participant_count()), (vec![2, 3, 5], 4));
        let mut full = EventFixture::with(1_000);
        assert_eq!(full.register(1_001), Err(Refusal::EventFull { max: 1_000 }));
        assert_eq!(full.register(7), Ok(Outcome::Registered { number: Number(7), existing: true }));
    }

    #[test]
    fn a_listed_prize_can_always_be_drawn() {
        let mut fixture = EventFixture::with(0);
        let (tv, mug) = (fixture.list("TV", 1, |_| {}), fixture.list("Mug", 9, |_| {}));
        let refused = |fixture: &mut EventFixture, command| fixture.execute(command).unwrap_err().code();
        assert_eq!(refused(&mut fixture, Command::AddPrize(prize("TV", 1))), "INVALID_REQUEST");
        assert_eq!(refused(&mut fixture, Command::AddPrize(Prize { winner_count: Some(2), ..prize("Car", 2) })), "DRAW_FAILED");
        assert_eq!(
            refused(&mut fixture, Command::AddPrize(Prize { winner_count: Some(0), ..prize("Car", 2) })),
            "INVALID_REQUEST"
        );
        assert_eq!(refused(&mut fixture, replace(Prize { id: PrizeId(9), ..prize("Car", 1) })), "NOT_FOUND");
        fixture.execute(replace(Prize { id: tv, winner_count: Some(1), ..prize("TV", 1) })).unwrap();
        let named = DrawRequest { prize_name: Some("Mug".into()), ..DrawRequest::default() };
        assert_eq!(named.resolve(&fixture.event.prizes).unwrap().winner_count, 1, "of which the list says nothing");
        assert_eq!(refused(&mut fixture, order(&[tv])), "INVALID_REQUEST");
        assert_eq!(refused(&mut fixture, order(&[tv, tv])), "INVALID_REQUEST");
        fixture.execute(order(&[mug, tv])).unwrap();
        fixture.execute(replace(Prize { id: mug, ..prize("Cup", 3) })).unwrap();
        assert_eq!(fixture.event.prizes.iter().map(|prize| &*prize.name).collect::<Vec<_>>(), ["Cup", "TV"]);
        fixture.execute(Command::RemovePrize(mug)).unwrap();
        assert_eq!(fixture.list("Cup", 1, |_| {}), PrizeId(3), "ids are never reused");
    }

    fn replace(prize: Prize) -> Command {
        Command::ChangePrize { prize, made_from: None }
    }

    fn order(order: &[PrizeId]) -> Command {
        Command::OrderPrizes { order: order.into(), made_from: None }
    }

    #[test]
    fn an_edited_prize_is_what_goes_on_stage() {
        use super::super::{DrawRequest, Mode::*, ShowLength};
        let mut fixture = EventFixture::with(9);
        let tv = fixture.list("TV", 9, |prize| (prize.mode, prize.winner_count) = (Some(Slot), Some(1)));
        let ask = DrawRequest { prize_id: Some(tv), ..DrawRequest::default() };
        let edit = |fixture: &mut EventFixture, name: &str, mode, count| {
            let listed = fixture.event.prize(tv).unwrap().clone();
            let show_length = ShowLength::from_seconds(9);
            let prize = Prize { name: name.into(), mode: Some(mode), winner_count: Some(count), show_length, ..listed };
            fixture.execute(replace(prize)).unwrap();
        };
        let shown = |fixture: &EventFixture| {
            let shown = fixture.event.standby.as_deref().unwrap();
            (shown.prize_name.to_string(), shown.mode, shown.winner_count, shown.show_length_ms())
        };
        fixture.execute(Command::Standby(ask.clone())).unwrap();
        edit(&mut fixture, "OLED", Card, 3);
        assert_eq!(shown(&fixture), ("OLED".into(), Card, 3, 9_000));
        fixture.execute(Command::Standby(DrawRequest { winner_count: Some(2), ..ask.clone() })).unwrap();
        edit(&mut fixture, "OLED", Slot, 1);
        assert_eq!(shown(&fixture), ("OLED".into(), Slot, 1, 9_000), "the operator's own count does not fit the mode");
        let own = DrawRequest { mode: Some(List), winner_count: Some(2), ..ask.clone() };
        fixture.execute(Command::Standby(own)).unwrap();
        edit(&mut fixture, "QLED", Card, 5);
        assert_eq!(shown(&fixture), ("QLED".into(), List, 2, 9_000), "what the operator chose otherwise stays");
        let started = fixture.execute(Command::Start(ask.clone())).unwrap();
        let Outcome::Started(id) = started else { panic!("not started: {started:?}") };
        let spec = &fixture.event.draw(id).unwrap().spec;
        assert_eq!((&*spec.prize_name, spec.mode, spec.winner_count), ("QLED", List, 2), "as the hall sees it");
        assert_eq!(fixture.execute(Command::Start(ask.clone())), Ok(started), "a retry is the same draw");
        fixture.execute(Command::Cancel { reason: "".into() }).unwrap();
        fixture.execute(Command::Standby(ask)).unwrap();
        fixture.execute(Command::RemovePrize(tv)).unwrap();
        assert!(fixture.event.standby.is_none(), "a prize that is not on the list cannot be drawn");
    }

    #[test]
    fn changes_of_one_thing_are_merged_in_any_order() {
        let patch = |eligible, group: Option<&str>, weight| EligibilityPatch {
            eligible,
            group: group.map(|group| (!group.is_empty()).then(|| group.into())),
            weight,
        };
        let merged = |patches: [EligibilityPatch; 2]| {
            let mut fixture = EventFixture::with(1);
            for patch in patches {
                fixture.execute(Command::MarkParticipant { number: Number(1), patch }).unwrap();
            }
            fixture.event.eligibility(fixture.event.participant(Number(1)).unwrap()).cloned().unwrap()
        };
        let (barred, grouped) = (patch(Some(false), None, None), patch(None, Some("blue"), Some(3)));
        let both = Eligibility { eligible: false, group: Some("blue".into()), weight: 3 };
        assert_eq!(merged([barred.clone(), grouped.clone()]), both);
        assert_eq!(merged([grouped.clone(), barred]), both);
        assert_eq!(merged([grouped, patch(None, Some(""), None)]).group, None, "an empty group is removed");
        let mut fixture = EventFixture::with(1);
        for weight in [0, WEIGHT_MAX + 1] {
            let command = Command::MarkParticipant { number: Number(1), patch: patch(None, None, Some(weight)) };
            assert_eq!(fixture.execute(command).unwrap_err().code(), "INVALID_REQUEST", "nobody is excluded by weight unseen");
        }
        let settings = |patch| Command::ChangeSettings(patch);
        fixture.execute(settings(SettingsPatch { groups: Some(true), ..SettingsPatch::default() })).unwrap();
        fixture.execute(settings(SettingsPatch { title: Some("New".into()), ..SettingsPatch::default() })).unwrap();
        assert!(fixture.event.settings.groups && &*fixture.event.settings.title == "New");
    }

    #[test]
    fn a_replacement_of_something_else_than_was_seen_is_refused() {
        let mut fixture = EventFixture::with(0);
        let (tv, mug) = (fixture.list("TV", 1, |_| {}), fixture.list("Mug", 9, |_| {}));
        let seen = fixture.event.prize(tv).unwrap().version();
        let change = |quantity| {
            let prize = Prize { id: tv, ..prize("TV", quantity) };
            Command::ChangePrize { prize, made_from: Some(seen) }
        };
        fixture.execute(change(2)).unwrap();
        assert_eq!(fixture.execute(change(3)), Err(Refusal::PrizesOutdated));
        assert_eq!(fixture.event.prize(tv).unwrap().quantity, 2);
        let order = |order: [PrizeId; 2]| Command::OrderPrizes { order: order.into(), made_from: Some([tv, mug].into()) };
        fixture.execute(order([mug, tv])).unwrap();
        assert_eq!(fixture.execute(order([tv, mug])), Err(Refusal::PrizesOutdated));
    }

    #[test]
    fn an_event_opens_only_within_its_limits() {
        let open = |max, prizes: &[Prize]| {
            let settings = Settings { title: "t".into(), participants_max: max, ..Settings::default() };
            open_event(EventId::parse("e").unwrap(), settings, SessionId([0; 16]), Epoch([0; 8]), prizes, &mut || {
                Entropy([5; 32])
            })
            .map(|facts| facts.len())
        };
        assert_eq!(open(300, &[prize("a", 1), prize("b", 1)]), Ok(4), "with its seed chain");
        assert!(open(0, &[]).is_err() && open(PARTICIPANTS_MAX + 1, &[]).is_err());
        assert!(open(300, &[prize("a", 1), prize("a", 1)]).is_err());
    }

    #[test]
    fn prizes_are_added_together_or_not_at_all() {
        let mut fixture = EventFixture::with(0);
        fixture.list("TV", 1, |_| {});
        let twice = [prize("Mug", 1), prize("Car", 1), prize("Mug", 1)];
        assert!(fixture.execute(Command::AddPrizes(twice.into())).is_err());
        assert_eq!(fixture.event.prizes.len(), 1);
        fixture.execute(Command::AddPrizes([prize("Mug", 1), prize("Car", 1)].into())).unwrap();
        assert_eq!(fixture.event.prizes.iter().map(|prize| prize.id.0).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn only_a_rehearsal_can_be_wiped_and_it_stays_one() {
        let mut fixture = EventFixture::with(3);
        let wipe = || Command::Wipe(SessionId([7; 16]));
        assert_eq!(fixture.execute(wipe()), Err(Refusal::NotARehearsal));
        let practice = Settings { rehearsal: true, ..Settings::clone(&fixture.event.settings) };
        let patch = SettingsPatch { rehearsal: Some(true), ..SettingsPatch::default() };
        assert_eq!(fixture.execute(Command::ChangeSettings(patch)).unwrap_err().code(), "INVALID_REQUEST");
        fixture.event.apply(Timestamp(9), &Fact::SettingsChanged { settings: practice });
        fixture.draw("TV", crate::draw::Mode::Slot, 1).unwrap();
        fixture.execute(wipe()).unwrap();
        assert_eq!((fixture.event.participant_count(), fixture.event.draws().count()), (0, 0));
        assert_eq!(fixture.event.session, SessionId([7; 16]));
    }

    #[test]
    fn a_burst_is_removed_but_for_its_winners_and_its_numbers_are_never_given_again() {
        let mut fixture = EventFixture::with(20);
        let at = |fixture: &EventFixture, number| fixture.event.participant(Number(number)).unwrap().registered_at;
        let (from, until) = (at(&fixture, 6), at(&fixture, 15));
        let draw = fixture.draw("TV", crate::draw::Mode::Card, 5).unwrap();
        let winners: Vec<_> = draw.winners().map(|number| number.0).collect();
        fixture.start("Mug", crate::draw::Mode::Slot, 1).unwrap();
        let remove = Command::RemoveParticipants { from, until };
        assert_eq!(fixture.execute(remove.clone()).unwrap_err().code(), "DRAW_IN_PROGRESS");
        fixture.execute(Command::Cancel { reason: "".into() }).unwrap();
        let gone: Vec<_> = (6..=15).filter(|number| !winners.contains(number)).collect();
        assert_eq!(fixture.execute(remove.clone()), Ok(Outcome::Removed(gone.len() as u32)));
        assert_eq!(fixture.event.participant_count(), 20 - gone.len() as u32);
        let left: Vec<_> = fixture.event.participants_after(0).map(|(number, _)| number.0).collect();
        assert!(left.iter().all(|number| !gone.contains(number)) && winners.iter().all(|number| left.contains(number)));
        assert_eq!(fixture.execute(remove), Ok(Outcome::Removed(0)), "once");
        for number in gone {
            assert!(fixture.event.is_removed(Number(number)));
            assert_eq!(fixture.register(number), Err(Refusal::StaleSession), "the phone claims another number");
        }
        let mut fixture = EventFixture::with(3);
        let (from, until) = (at(&fixture, 1), at(&fixture, 2));
        assert_eq!(fixture.execute(Command::RemoveParticipants { from, until }), Ok(Outcome::Removed(2)), "the first one too");
    }

    #[test]
    fn the_size_of_an_event_can_be_raised_and_not_lowered() {
        let mut fixture = EventFixture::with(1_000);
        let sized = |participants_max| {
            Command::ChangeSettings(SettingsPatch { participants_max: Some(participants_max), ..SettingsPatch::default() })
        };
        assert_eq!(fixture.register(1_001), Err(Refusal::EventFull { max: 1_000 }));
        for wrong in [999, PARTICIPANTS_MAX + 1] {
            assert_eq!(fixture.execute(sized(wrong)).unwrap_err().code(), "INVALID_REQUEST");
        }
        fixture.execute(sized(1_002)).unwrap();
        assert_eq!(fixture.register(1_001), Ok(Outcome::Registered { number: Number(1_001), existing: false }));
    }

    #[test]
    fn a_link_is_valid_until_it_is_revoked() {
        let mut fixture = EventFixture::with(0);
        let Ok(Outcome::LinkMade(link)) = fixture.execute(Command::MakeLink(LinkRole::Staff)) else { panic!("no link") };
        assert_eq!(fixture.event.link_role(link), Some(LinkRole::Staff));
        fixture.execute(Command::RevokeLink(link)).unwrap();
        fixture.execute(Command::RevokeLink(link)).unwrap();
        assert_eq!(fixture.event.link_role(link), None);
        assert_eq!(fixture.execute(Command::RevokeLink(LinkId(9))), Err(Refusal::NotFound("link")));
    }
}
