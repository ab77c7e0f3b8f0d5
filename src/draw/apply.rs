//! The effect of each fact on an event.
//!
//! Live traffic and replay run this same code in the same order, so it must never refuse a fact and
//! never decide anything.

use super::chunked::Chunked;
use super::entry_code::EntryCode;
use super::event::{Draw, Event, KeyTag, Participant, REMOVED, Seat};
use super::fact::{Cause, Eligibility, Fact, SealedPick, Settings};
use super::prize::DrawRules;
use super::proof::{RosterTree, SeedChain};
use super::{DrawId, Epoch, EventId, Number, Phase, SessionId, Status, Timestamp};
use std::sync::Arc;

impl Event {
    /// A new event, open and empty.
    pub fn new(id: EventId, settings: Settings, session: SessionId, epoch: Epoch, at: Timestamp) -> Self {
        Self {
            id,
            settings: Arc::new(settings),
            phase: Phase::Open,
            session,
            epoch,
            entry_code: None,
            prizes: Arc::default(),
            standby: None,
            links: Arc::default(),
            opened_at: at,
            changed_at: at,
            chain: None,
            anchors: Arc::default(),
            tree: RosterTree::default(),
            locked: None,
            participants: Chunked::default(),
            registered: 0,
            eligibilities: Arc::new(vec![Eligibility::default()]),
            draws: Arc::default(),
            cleared_draws: Arc::default(),
            next_draw: 1,
            next_prize: 1,
            next_link: 1,
        }
    }

    /// Applies a fact.
    ///
    /// # Panics
    /// When the fact names a draw, seat, prize, participant or link that does not exist. Such a
    /// fact belongs to another event, and continuing would corrupt the draw.
    pub fn apply(&mut self, at: Timestamp, fact: &Fact) {
        self.changed_at = at;
        match fact {
            Fact::Opened { id, settings, session, epoch } => {
                *self = Self::new(id.clone(), settings.clone(), *session, *epoch, at)
            }
            Fact::SettingsChanged { settings } => self.settings = Arc::new(settings.clone()),
            Fact::PhaseChanged { phase } => self.phase = *phase,
            Fact::EntryCodeSet { code } => self.entry_code = code.map(EntryCode::Fixed),
            Fact::EntryCodeRotates => self.entry_code = Some(EntryCode::Rotating),
            Fact::PrizeAdded { .. } | Fact::PrizeChanged { .. } | Fact::PrizeRemoved { .. } | Fact::PrizesOrdered { .. } => {
                self.change_prizes(fact);
            }
            Fact::Registered { number, key, secrets } => {
                self.add_participant(at, *number, KeyTag::new(key, *secrets));
                self.tree.set(number.0, *key);
            }
            Fact::ParticipantMarked { number, mark } => self.set_eligibility(*number, mark),
            Fact::ParticipantsRemoved { ranges } => {
                ranges.iter().for_each(|(first, last)| (*first..=*last).for_each(|number| self.remove_participant(number)));
            }
            Fact::StandbyShown { spec } => self.standby = Some(spec.clone()),
            Fact::StandbyEnded => self.standby = None,
            Fact::ChainBegun { anchor, length, last } => self.replace_chain(SeedChain::new(*anchor, *last, *length)),
            Fact::Started { draw, .. } => self.add_draw(*draw, started_draw(at, fact, self.chain.clone())),
            Fact::OutsideReceived { draw, value, sealed } => self.update_draw(*draw, |draw| {
                draw.outside = Some(value.clone());
                draw.sealed = Some(sealed.clone());
            }),
            Fact::FellBack { draw, reason, sealed } => self.update_draw(*draw, |draw| {
                draw.fallback = Some(reason.clone());
                draw.sealed = sealed.clone();
            }),
            Fact::Revealed { draw, sealed, show_at } => self.update_draw(*draw, |draw| draw.note_reveal(at, sealed, *show_at)),
            Fact::Announced { draw, cause } => self.update_draw(*draw, |draw| draw.note_announcement(at, *cause)),
            Fact::Cancelled { draw, reason, .. } => self.update_draw(*draw, |draw| draw.cancelled = Some((at, reason.clone()))),
            Fact::SeatVoided { draw, number, reason } => {
                self.update_seat(*draw, *number, |seat| seat.voided = Some((at, *reason)))
            }
            Fact::DetailsReceived { draw, number } => self.update_seat(*draw, *number, |seat| seat.note_details(at)),
            Fact::Arrived { draw, number } => self.update_seat(*draw, *number, |seat| seat.arrived_at = Some(at)),
            Fact::HandedOver { draw, number, desk } => {
                self.update_seat(*draw, *number, |seat| seat.handed_over = Some((at, desk.clone())))
            }
            Fact::HandOverUndone { draw, number } => self.update_seat(*draw, *number, |seat| seat.handed_over = None),
            Fact::Reset { session } => self.reset(at, *session),
            Fact::LinkMade { link } => {
                self.next_link = link.id.0 + 1;
                Arc::make_mut(&mut self.links).push(*link);
            }
            Fact::LinkRevoked { link } => {
                let made = Arc::make_mut(&mut self.links).iter_mut().find(|made| made.id == *link);
                made.expect("a revoked link was made").revoked_at = Some(at);
            }
            Fact::DetailsUnmasked => {}
            Fact::EpochRenewed { epoch } => self.epoch = *epoch,
        }
    }

    fn replace_chain(&mut self, chain: SeedChain) {
        Arc::make_mut(&mut self.anchors).push(chain.anchor);
        self.chain = Some(Arc::new(chain));
    }

    fn change_prizes(&mut self, fact: &Fact) {
        let prizes = Arc::make_mut(&mut self.prizes);
        match fact {
            Fact::PrizeAdded { prize } => {
                self.next_prize = self.next_prize.max(prize.id.0 + 1);
                prizes.push(prize.clone());
            }
            Fact::PrizeChanged { prize } => {
                let listed = prizes.iter_mut().find(|listed| listed.id == prize.id);
                *listed.expect("a changed prize is on the list") = prize.clone();
            }
            Fact::PrizeRemoved { prize } => prizes.retain(|listed| listed.id != *prize),
            Fact::PrizesOrdered { order } => {
                prizes.sort_by_key(|prize| order.iter().position(|ordered| *ordered == prize.id));
            }
            _ => unreachable!("only these facts change the list of prizes"),
        }
    }

    fn add_draw(&mut self, id: DrawId, mut draw: Draw) {
        draw.rules = self.rules_of(draw.spec.prize_id, draw.redraw_of);
        self.next_draw = id.0 + 1;
        self.standby = None;
        if draw.lock.is_some() {
            self.locked = Some((id, self.tree.clone()));
        }
        Arc::make_mut(&mut self.draws).push(Arc::new(draw));
    }

    fn add_participant(&mut self, at: Timestamp, number: Number, key_tag: KeyTag) {
        let index = number.0 as usize - 1;
        while self.participants.len() <= index {
            self.participants.push(None);
        }
        let slot = self.participants.get_mut(index).expect("the list was just made long enough");
        assert!(slot.is_none(), "number {} is given once", number.0);
        *slot = Some(Participant { registered_at: at, eligibility: 0, key_tag });
        self.registered += 1;
    }

    fn remove_participant(&mut self, number: u32) {
        let slot = self.participants.get_mut(number as usize - 1).and_then(Option::as_mut);
        slot.expect("a removed participant is registered").eligibility = REMOVED;
        self.registered -= 1;
    }

    fn set_eligibility(&mut self, number: Number, eligibility: &Eligibility) {
        let slot = self.participants.get_mut(number.0 as usize - 1).and_then(Option::as_mut);
        let participant = slot.expect("a marked participant is registered");
        let eligibilities = Arc::make_mut(&mut self.eligibilities);
        if participant.eligibility == 0 {
            participant.eligibility = eligibilities.len() as u32;
            eligibilities.push(eligibility.clone());
        } else {
            eligibilities[participant.eligibility as usize] = eligibility.clone();
        }
    }

    /// Clears the draws. Those that the public has heard of stay in the proof: a draw that vanished
    /// would be a silent reroll. A new session begins a new proof.
    fn reset(&mut self, at: Timestamp, session: Option<SessionId>) {
        let public = self.draws.iter().filter(|draw| matches!(draw.status(), Status::Announced | Status::Cancelled));
        let cleared = public.map(|draw| Arc::new(Draw { reset_at: Some(at), ..Draw::clone(draw) })).collect::<Vec<_>>();
        Arc::make_mut(&mut self.cleared_draws).extend(cleared);
        self.draws = Arc::default();
        self.standby = None;
        if let Some(session) = session {
            self.session = session;
            self.chain = None;
            self.anchors = Arc::default();
            self.tree = RosterTree::default();
            self.locked = None;
            self.cleared_draws = Arc::default();
            self.participants = Chunked::default();
            self.registered = 0;
            Arc::make_mut(&mut self.eligibilities).truncate(1);
        }
    }

    fn update_draw(&mut self, id: DrawId, change: impl FnOnce(&mut Draw)) {
        let index = self.draws.binary_search_by_key(&id, |draw| draw.id).expect("a fact names a draw of its event");
        change(Arc::make_mut(&mut Arc::make_mut(&mut self.draws)[index]));
    }

    fn update_seat(&mut self, id: DrawId, number: Number, change: impl FnOnce(&mut Seat)) {
        self.update_draw(id, |draw| {
            let seat = draw.seats.iter_mut().find(|seat| seat.number == number);
            change(seat.expect("a fact names a seat of its draw"));
        });
    }
}

impl Seat {
    fn note_details(&mut self, at: Timestamp) {
        self.details_at = Some(at);
        self.details_count += 1;
    }

    fn new(number: Number) -> Self {
        Self { number, voided: None, details_at: None, details_count: 0, arrived_at: None, handed_over: None }
    }
}

impl Draw {
    fn note_reveal(&mut self, at: Timestamp, sealed: &SealedPick, show_at: Option<Timestamp>) {
        self.revealed_at = Some(at);
        self.show_at = show_at;
        self.seats = sealed.picks.iter().map(|number| Seat::new(*number)).collect();
    }

    /// Without a wait for the planned end of the show when something else came first.
    fn note_announcement(&mut self, at: Timestamp, cause: Cause) {
        self.announced_at = Some(at);
        self.show_at = self.show_at.filter(|_| cause == Cause::ShowEnd);
    }
}

/// The draw of a [`Fact::Started`].
fn started_draw(at: Timestamp, fact: &Fact, chain: Option<Arc<SeedChain>>) -> Draw {
    let Fact::Started { draw, spec, pool, sealed, lock, redraw_of, request } = fact else {
        unreachable!("only this fact starts a draw")
    };
    Draw {
        id: *draw,
        spec: spec.clone(),
        rules: DrawRules::default(),
        pool: pool.clone(),
        sealed: sealed.clone(),
        lock: lock.clone(),
        chain: chain.filter(|_| lock.is_some()),
        outside: None,
        fallback: None,
        redraw_of: *redraw_of,
        request: *request,
        started_at: at,
        revealed_at: None,
        show_at: None,
        announced_at: None,
        cancelled: None,
        reset_at: None,
        seats: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::{
        Author, Command, DetailsSubmission, DrawSelector, EligibilityPatch, Redraw, ResetScope, Show, WinSelector,
    };
    use super::super::entry_code::EntryDigits;
    use super::super::fact::VoidReason;
    use super::super::sample::{EventFixture, draw_request, prize};
    use super::super::{LinkId, LinkRole, Mode, PrizeId};
    use super::*;
    use std::collections::BTreeSet;

    /// A number below `bound` (xorshift64; Marsaglia, 2003).
    fn below(state: &mut u64, bound: u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % bound
    }

    /// A random command, possible or not.
    fn random_command(fixture: &EventFixture, random: &mut u64) -> Command {
        let event = &fixture.event;
        let number = Number(1 + below(random, u64::from(event.highest_number()) + 2) as u32);
        let draw = DrawId(1 + below(random, u64::from(event.last_draw_id().0) + 1) as u32);
        let session = SessionId([below(random, 256) as u8; 16]);
        let (name, mode, count) =
            [("TV", Mode::Slot, 1), ("Mug", Mode::Card, 3), ("Sock", Mode::List, 2)][below(random, 3) as usize];
        let reason = VoidReason::ALL[below(random, 6) as usize];
        let redraw = if below(random, 2) == 0 { Redraw::Yes } else { Redraw::No };
        let (eligible, weight) = (Some(below(random, 4) > 0), Some(1 + below(random, 9) as u16));
        let patch = EligibilityPatch { eligible, group: None, weight };
        let reversed = event.prizes.iter().rev().map(|prize| prize.id).collect();
        match below(random, 40) {
            0..12 => Command::Register { number, key: [number.0 as u8; 32], session: event.session },
            12..16 => Command::Start(draw_request(name, mode, count)),
            16..19 => Command::Reveal([Show::Planned, Show::Open][below(random, 2) as usize]),
            19..21 => Command::Complete(DrawSelector::Latest),
            21 => Command::Standby(draw_request(name, mode, count)),
            22 => Command::DrawAtOnce(draw_request(name, mode, count)),
            23 => Command::Cancel { reason: "mistake".into() },
            24..28 => Command::Void { draw, number, reason, redraw },
            28 => Command::MarkParticipant { number, patch },
            29 => Command::ReceiveDetails(DetailsSubmission {
                pick: WinSelector::Draw(draw),
                number,
                by: Author::Winner,
                has_address: false,
                made_from: None,
            }),
            30 => Command::Arrive { draw, number },
            31 => Command::HandOver { draw, number, desk: "lobby".into() },
            32 => Command::UndoHandOver { draw, number },
            33 => Command::AddPrize(prize(name, 4)),
            34 => Command::RemovePrize(PrizeId(draw.0)),
            35 => Command::OrderPrizes { order: reversed, made_from: None },
            36 => Command::MakeLink(LinkRole::Staff),
            37 => Command::RevokeLink(LinkId(draw.0)),
            38 if below(random, 3) > 0 => Command::RemoveParticipants {
                from: Timestamp(below(random, fixture.times.len() as u64) as i64),
                until: Timestamp(below(random, 2 * fixture.times.len() as u64) as i64),
            },
            38 => Command::SetEntryCode(
                [EntryDigits::parse("0042").map(EntryCode::Fixed), Some(EntryCode::Rotating)][below(random, 2) as usize],
            ),
            _ if below(random, 4) > 0 => Command::Reset(ResetScope::Nothing),
            _ if below(random, 2) == 0 => Command::Reset(ResetScope::Draws),
            _ => Command::Reset(ResetScope::Participants(session)),
        }
    }

    /// The promises that hold after each command. No prize of this test is open to repeat winners.
    fn check_invariants(event: &Event, seed: u64) {
        let draws: Vec<_> = event.draws().collect();
        assert!(draws.windows(2).all(|pair| pair[0].id < pair[1].id), "seed {seed}: draw ids rise");
        let unfinished = draws.iter().rposition(|draw| matches!(draw.status(), Status::Started | Status::Revealed));
        assert!(unfinished.is_none_or(|index| index == draws.len() - 1), "seed {seed}: only the last draw is unfinished");
        let ids: Vec<_> = event.draws_with_cleared().map(|draw| draw.id).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "seed {seed}: cleared draws come first");
        let cleared = event.draws_with_cleared().take(ids.len() - draws.len());
        assert!(cleared.clone().all(|draw| draw.reset_at.is_some()), "seed {seed}");
        assert!(cleared.clone().all(|draw| matches!(draw.status(), Status::Announced | Status::Cancelled)), "seed {seed}");
        let mut winners = BTreeSet::new();
        for seat in draws.iter().flat_map(|draw| &draw.seats).filter(|seat| seat.voided.is_none()) {
            assert!(winners.insert(seat.number), "seed {seed}: {:?} wins twice", seat.number);
        }
        for prize in event.prizes.iter() {
            assert!(event.seats_taken(prize.id, |_| true) <= prize.quantity, "seed {seed}: {} is overdrawn", prize.name);
        }
        assert_eq!(event.participants_after(0).count() as u32, event.participant_count(), "seed {seed}");
    }

    #[test]
    fn random_commands_keep_the_promises_and_replay_to_the_same_event() {
        for seed in 1..=40_u64 {
            let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut fixture = EventFixture::with(12);
            for _ in 0..300 {
                let command = random_command(&fixture, &mut random);
                let facts = fixture.facts.len();
                let is_refused = fixture.execute(command).is_err();
                assert!(!is_refused || fixture.facts.len() == facts, "seed {seed}: a refusal changes nothing");
                check_invariants(&fixture.event, seed);
            }
            let mut replayed = EventFixture::new_event();
            fixture.times.iter().zip(&fixture.facts).for_each(|(at, fact)| replayed.apply(*at, fact));
            assert!(replayed.draws().eq(fixture.event.draws()), "seed {seed}");
            assert_eq!(format!("{replayed:?}"), format!("{:?}", fixture.event), "seed {seed}");
        }
    }
}
