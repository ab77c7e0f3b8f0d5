//! Locks and outside values: the steps that fix a draw before its winners can be known.
//!
//! The start of a draw locks everything that the draw depends on. Without an outside value the
//! winners follow at once, in secret; with one they follow when it arrives. [`super::proof`] holds
//! the formulas, this file takes their inputs from the event.

use super::command::{Decision, EntropySource, Outcome};
use super::fact::SealedPick;
use super::pick::pick;
use super::proof::{
    self, Awaited, Beacon, DrandChain, Fallback, Hash, Lock, LockedFields, NO_END, OutsideRule, OutsideValue, RosterTree, Seed,
    SeedChain, Words,
};
use super::{Draw, DrawId, DrawSpec, Event, Fact, Number, Pool, Refusal, Status, Timestamp};
use std::sync::Arc;

/// Seeds of a chain: more than the draws of any event that people sit through. A draw beyond them
/// begins another chain, which a verifier notes. Each opening of an event hashes them all.
const SEEDS: u32 = 1_000;

impl Event {
    /// The fact that begins a seed chain with these random bytes: for a new session, and for an
    /// event that came back from a copy, whose holder knows the seeds of the chain before.
    pub fn begin_chain(random: Hash) -> Fact {
        let last = Seed(random);
        Fact::ChainBegun { anchor: SeedChain::anchor_of(last, SEEDS), length: SEEDS, last }
    }

    /// The registrations, as a Merkle tree.
    pub fn roster_tree(&self) -> &RosterTree {
        &self.tree
    }

    /// The newest lock, and the registrations that it holds.
    pub fn locked_roster(&self) -> Option<(DrawId, &RosterTree)> {
        self.locked.as_ref().map(|(draw, tree)| (*draw, tree))
    }

    /// Hashes a part of the registrations ahead of a start, and the seeds with the first part.
    /// Returns true when more is left. Later states of the event share the result.
    pub fn prepare_lock(&self, part: usize) -> bool {
        self.tree.hash_chunk(part);
        if part == 0 {
            self.chain.as_ref().map(|chain| chain.seed(1));
        }
        part + 1 < self.tree.chunk_count()
    }

    /// The bytes whose hash is the head of a draw's lock; `None` for a draw from before locks.
    pub fn lock_bytes(&self, draw: &Draw) -> Option<Vec<u8>> {
        let lock = draw.lock.as_ref()?;
        Some(lock.fields(self, draw.id, &draw.spec, draw.redraw_of, &draw.pool, draw.started_at).bytes())
    }

    /// The newest lock of the session.
    pub fn last_lock(&self) -> Option<&Lock> {
        self.last_locked_draw()?.lock.as_deref()
    }

    /// Gives the pending draw the hall's words, which decide the winners.
    pub(super) fn give_words(&self, id: DrawId, words: &Words) -> Result<Decision, Refusal> {
        self.give_outside(id, OutsideValue::Words(words.clone()), |awaited| *awaited == Awaited::Words)
    }

    /// Gives the pending draw the round that its lock names, which decides the winners.
    pub(super) fn give_beacon(&self, id: DrawId, beacon: &Beacon) -> Result<Decision, Refusal> {
        let given = beacon.round();
        let is_awaited = |awaited: &Awaited| match awaited {
            Awaited::Round(round) => (round.chain, round.number) == (given.chain, given.number),
            Awaited::Words => false,
        };
        self.give_outside(id, OutsideValue::Signature(*beacon.signature()), is_awaited)
    }

    /// Gives a value of the kind that the draw waits for. The first value counts; the same one
    /// again changes nothing.
    fn give_outside(
        &self,
        id: DrawId,
        value: OutsideValue,
        is_awaited: impl FnOnce(&Awaited) -> bool,
    ) -> Result<Decision, Refusal> {
        let draw = self.draw(id).ok_or(Refusal::Outdated)?;
        match (&draw.outside, draw.awaited()) {
            (Some(given), _) if *given == value => return Ok(Decision::new([], Outcome::OutsideGiven(id))),
            (Some(_), _) => return Err(Refusal::OutsideGiven),
            (None, _) if draw.status() != Status::Started => return Err(Refusal::Outdated),
            (None, awaited) => drop(awaited.filter(is_awaited).ok_or(Refusal::NoOutsideValue)?),
        }
        let sealed = draw.pick_with(&value.bytes()).expect("a draw that waits for its value has a lock and a seed");
        Ok(Decision::new([Fact::OutsideReceived { draw: id, value, sealed }], Outcome::OutsideGiven(id)))
    }

    /// Gives up on the round of drand, where the lock of the draw allows that. Once more changes
    /// nothing.
    pub(super) fn fall_back(&self, id: DrawId, reason: &Arc<str>) -> Result<Decision, Refusal> {
        let draw = self.draw(id).ok_or(Refusal::Outdated)?;
        let fallback = draw.lock.as_ref().and_then(|lock| lock.outside.fallback()).ok_or(Refusal::NoFallback)?;
        match draw.outside {
            _ if draw.fallback.is_some() => return Ok(Decision::new([], Outcome::FellBack(id))),
            Some(_) => return Err(Refusal::OutsideGiven),
            None if draw.status() != Status::Started => return Err(Refusal::Outdated),
            None => {}
        }
        let sealed = match fallback {
            Fallback::Hall => None,
            Fallback::None => draw.pick_with(&[]),
        };
        Ok(Decision::new([Fact::FellBack { draw: id, reason: reason.clone(), sealed }], Outcome::FellBack(id)))
    }

    /// The fact that begins a chain where the next draw has no seed: in an event of a version
    /// before chains, and after the last seed of one.
    pub(super) fn missing_chain(&self, entropy: EntropySource<'_>) -> Option<Fact> {
        let is_enough = self.chain.as_ref().is_some_and(|chain| chain.seed(self.next_place(chain)).is_some());
        (!is_enough).then(|| Self::begin_chain(entropy().0))
    }

    /// Locks a draw of this pool, and picks its winners where no outside value is awaited.
    pub(super) fn lock(
        &self,
        at: Timestamp,
        draw: DrawId,
        spec: &DrawSpec,
        redraw_of: Option<(DrawId, Number)>,
        pool: &Pool,
        drand: &DrandChain,
    ) -> (Lock, Option<SealedPick>) {
        let chain = self.chain.as_ref().expect("a chain is begun before a draw is locked");
        let mut lock = Lock {
            event: self.id.clone(),
            anchor: chain.anchor,
            place: self.next_place(chain),
            previous: self.last_locked_draw().and_then(|draw| draw.end()).unwrap_or(NO_END),
            roster_root: self.tree.root(),
            outside: self.settings.outside,
            round: self.settings.outside.is_drand().then(|| drand.round(drand.round_after(at))),
            head: NO_END,
        };
        lock.head = lock.fields(self, draw, spec, redraw_of, pool, at).head();
        let seed = chain.seed(lock.place).filter(|_| lock.outside == OutsideRule::None);
        let sealed = seed.map(|seed| pick_sealed(pool, spec, &seed, &lock.head, &[]));
        (lock, sealed)
    }

    fn last_locked_draw(&self) -> Option<&Arc<Draw>> {
        let is_locked = |draw: &&Arc<Draw>| draw.lock.is_some();
        self.draws.iter().rev().find(is_locked).or_else(|| self.cleared_draws.iter().rev().find(is_locked))
    }

    /// The place of the next draw's seed in this chain.
    fn next_place(&self, chain: &SeedChain) -> u32 {
        self.last_lock().filter(|lock| lock.anchor == chain.anchor).map_or(1, |lock| lock.place + 1)
    }
}

impl Lock {
    /// All that the lock holds, from the draw that it is of.
    fn fields<'a>(
        &'a self,
        event: &'a Event,
        draw: DrawId,
        spec: &'a DrawSpec,
        redraw_of: Option<(DrawId, Number)>,
        pool: &'a Pool,
        at: Timestamp,
    ) -> LockedFields<'a> {
        LockedFields {
            event: self.event.as_str(),
            session: &event.session,
            anchor: &self.anchor,
            place: self.place,
            previous: &self.previous,
            draw,
            spec,
            redraw_of,
            roster_root: &self.roster_root,
            pool,
            outside: self.outside,
            round: self.round,
            at,
        }
    }
}

impl Draw {
    /// True while the draw has no winners, since its outside value is not here.
    pub fn waits_for_outside(&self) -> bool {
        self.sealed.is_none() && self.lock.is_some() && self.cancelled.is_none()
    }

    /// The outside value that the draw waits for.
    pub fn awaited(&self) -> Option<Awaited> {
        let lock = self.lock.as_ref().filter(|_| self.waits_for_outside())?;
        let round = lock.round.filter(|_| self.fallback.is_none());
        Some(round.map_or(Awaited::Words, Awaited::Round))
    }

    /// The source in place of drand, once an operator fell back on it.
    pub fn taken_fallback(&self) -> Option<Fallback> {
        self.fallback.as_ref().and(self.lock.as_ref()?.outside.fallback())
    }

    /// The seed, once the public may know it: after the announcement or the cancellation.
    pub fn disclosed_seed(&self) -> Option<Seed> {
        self.seed().filter(|_| self.announced_at.is_some() || self.cancelled.is_some())
    }

    /// The confirmation code, once the winners are no longer secret.
    pub fn confirmation_code(&self) -> Option<String> {
        let (lock, seed) = (self.lock.as_ref()?, self.seed()?);
        self.revealed_at.map(|_| proof::confirmation_code(&lock.head, &seed, &self.value()))
    }

    /// The outside value, empty without one.
    fn value(&self) -> Vec<u8> {
        self.outside.as_ref().map(OutsideValue::bytes).unwrap_or_default()
    }

    fn seed(&self) -> Option<Seed> {
        self.chain.as_ref()?.seed(self.lock.as_ref()?.place)
    }

    /// The end of the draw, which the next lock names; `None` before its end.
    fn end(&self) -> Option<Hash> {
        let (lock, seed) = (self.lock.as_ref()?, self.disclosed_seed()?);
        let picks = self.sealed.as_ref().map_or(&[][..], |sealed| &sealed.picks);
        Some(proof::end(&lock.head, &seed, &self.value(), self.cancelled.is_some(), picks))
    }

    fn pick_with(&self, value: &[u8]) -> Option<SealedPick> {
        Some(pick_sealed(&self.pool, &self.spec, &self.seed()?, &self.lock.as_ref()?.head, value))
    }
}

fn pick_sealed(pool: &Pool, spec: &DrawSpec, seed: &Seed, head: &Hash, value: &[u8]) -> SealedPick {
    let entropy = proof::entropy(seed, head, value);
    SealedPick { entropy, picks: pick(pool, spec.winner_count, &entropy).into() }
}

#[cfg(test)]
mod tests {
    use super::super::Mode::Slot;
    use super::super::command::{Command, ResetScope, Show};
    use super::super::proof::drand::QUICKNET;
    use super::super::sample::EventFixture;
    use super::super::{Number, SessionId};
    use super::*;

    fn words(text: &str) -> Words {
        Words::parse(text).unwrap()
    }

    fn give(fixture: &mut EventFixture, draw: DrawId, text: &str) -> Result<Outcome, Refusal> {
        fixture.execute(Command::GiveWords { draw, words: words(text) })
    }

    /// An event whose draws wait for the hall's words.
    fn hall(participants: u32) -> EventFixture {
        let mut fixture = EventFixture::with(participants);
        Arc::make_mut(&mut fixture.event.settings).outside = OutsideRule::Hall;
        fixture
    }

    #[test]
    fn a_draw_with_an_outside_value_has_no_winner_before_the_value() {
        let mut fixture = hall(50);
        let draw = fixture.start("TV", Slot, 1).unwrap();
        assert!(fixture.event.pending_draw().unwrap().sealed.is_none());
        assert_eq!(fixture.execute(Command::Reveal(Show::Open)), Err(Refusal::WaitingForOutside));
        assert_eq!(fixture.execute(Command::RevealDraw(draw, Show::Open)), Err(Refusal::WaitingForOutside));
        assert_eq!(fixture.start("TV", Slot, 1), Ok(draw), "a double press is one draw");
        assert_eq!(give(&mut fixture, DrawId(9), "a"), Err(Refusal::Outdated));
        assert_eq!(give(&mut fixture, draw, "Red 7"), Ok(Outcome::OutsideGiven(draw)));
        let facts = fixture.facts.len();
        assert_eq!(give(&mut fixture, draw, "red7"), Ok(Outcome::OutsideGiven(draw)), "both consoles typed it");
        assert_eq!(give(&mut fixture, draw, "red8"), Err(Refusal::OutsideGiven), "the first value counts");
        assert_eq!(fixture.facts.len(), facts);
        fixture.execute(Command::Reveal(Show::Open)).unwrap();
        assert!(fixture.event.draw(draw).unwrap().confirmation_code().is_some());
        assert_eq!(give(&mut fixture, draw, "red8"), Err(Refusal::OutsideGiven));
        let at_once = Command::DrawAtOnce(super::super::sample::draw_request("Mug", Slot, 1));
        assert_eq!(fixture.execute(at_once), Err(Refusal::OutsideRequired));
        let mut none = EventFixture::with(3);
        let draw = none.start("TV", Slot, 1).unwrap();
        assert_eq!(give(&mut none, draw, "red7"), Err(Refusal::NoOutsideValue));
    }

    #[test]
    fn the_words_decide_and_the_same_words_decide_alike() {
        let winner = |text: &str| {
            let mut fixture = hall(200);
            let draw = fixture.start("TV", Slot, 1).unwrap();
            give(&mut fixture, draw, text).unwrap();
            fixture.event.pending_draw().unwrap().sealed.as_ref().unwrap().picks[0]
        };
        let winners: std::collections::BTreeSet<Number> = (0..20).map(|i| winner(&format!("word{i}"))).collect();
        assert!(winners.len() > 10, "{winners:?}");
        assert_eq!(winner("word1"), winner("Word 1"));
    }

    /// An event whose next draw waits for round 1000 of quicknet, which is known by now.
    fn drand(rule: OutsideRule) -> EventFixture {
        let mut fixture = EventFixture::with(200);
        Arc::make_mut(&mut fixture.event.settings).outside = rule;
        fixture.start_ms = QUICKNET.time_of(1000).0 - 5_000;
        fixture
    }

    fn round_1000() -> Beacon {
        let hex = b"b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39";
        QUICKNET.verify(1000, &data_encoding::HEXLOWER.decode(hex).unwrap().try_into().unwrap()).unwrap()
    }

    #[test]
    fn a_lock_names_a_round_and_only_that_round_decides() {
        let mut fixture = drand(OutsideRule::Drand);
        let draw = fixture.start("TV", Slot, 1).unwrap();
        let awaited = fixture.event.draw(draw).unwrap().awaited();
        assert_eq!(awaited, Some(Awaited::Round(QUICKNET.round(1000))));
        assert_eq!(fixture.execute(Command::Reveal(Show::Open)), Err(Refusal::WaitingForOutside));
        assert_eq!(give(&mut fixture, draw, "red7"), Err(Refusal::NoOutsideValue));
        let fall_back = Command::FallBack { draw, reason: "no network".into() };
        assert_eq!(fixture.execute(fall_back), Err(Refusal::NoFallback));
        let beacon = round_1000();
        let give_beacon = |draw| Command::GiveBeacon { draw, beacon };
        assert_eq!(fixture.execute(give_beacon(DrawId(9))), Err(Refusal::Outdated));
        assert_eq!(fixture.execute(give_beacon(draw)), Ok(Outcome::OutsideGiven(draw)));
        let facts = fixture.facts.len();
        assert_eq!(fixture.execute(give_beacon(draw)), Ok(Outcome::OutsideGiven(draw)), "a relay was asked twice");
        assert_eq!(fixture.facts.len(), facts);
        let picks = fixture.event.draw(draw).unwrap().sealed.clone().unwrap().picks;
        fixture.execute(Command::Reveal(Show::Open)).unwrap();
        assert!(fixture.event.draw(draw).unwrap().winners().eq(picks.iter().copied()));
        fixture.execute(Command::Complete(super::super::command::DrawSelector::Latest)).unwrap();
        fixture.start_ms += 60_000;
        let next = fixture.start("Mug", Slot, 1).unwrap();
        assert_eq!(fixture.execute(give_beacon(next)), Err(Refusal::NoOutsideValue), "a round that was known at the lock");
        fixture.execute(Command::Cancel { reason: "".into() }).unwrap();
        assert_eq!(fixture.execute(give_beacon(next)), Err(Refusal::Outdated), "the round comes after the cancellation");
    }

    #[test]
    fn a_fallback_is_taken_once_and_ends_the_wait_for_the_round() {
        let fall_back = |draw| Command::FallBack { draw, reason: "no network".into() };
        let mut fixture = drand(OutsideRule::DrandOrHall);
        let draw = fixture.start("TV", Slot, 1).unwrap();
        assert_eq!(give(&mut fixture, draw, "red7"), Err(Refusal::NoOutsideValue), "words need the fallback first");
        assert_eq!(fixture.execute(fall_back(draw)), Ok(Outcome::FellBack(draw)));
        let facts = fixture.facts.len();
        assert_eq!(fixture.execute(fall_back(draw)), Ok(Outcome::FellBack(draw)), "both consoles pressed");
        assert_eq!(fixture.facts.len(), facts);
        let beacon = Command::GiveBeacon { draw, beacon: round_1000() };
        assert_eq!(fixture.execute(beacon.clone()), Err(Refusal::NoOutsideValue), "the round comes too late");
        assert_eq!(fixture.event.draw(draw).unwrap().awaited(), Some(Awaited::Words));
        assert_eq!(give(&mut fixture, draw, "red7"), Ok(Outcome::OutsideGiven(draw)));
        assert_eq!(fixture.execute(Command::Reveal(Show::Open)), Ok(Outcome::Revealed(draw)));
        let mut fixture = drand(OutsideRule::DrandOrNone);
        let draw = fixture.start("TV", Slot, 1).unwrap();
        fixture.execute(fall_back(draw)).unwrap();
        let taken = fixture.event.draw(draw).unwrap().clone();
        assert_eq!((taken.awaited(), taken.taken_fallback()), (None, Some(Fallback::None)));
        assert_eq!(fixture.execute(beacon.clone()), Err(Refusal::NoOutsideValue));
        fixture.execute(Command::Reveal(Show::Open)).unwrap();
        assert!(fixture.event.draw(draw).unwrap().confirmation_code().is_some());
        let mut fixture = drand(OutsideRule::DrandOrNone);
        let draw = fixture.start("TV", Slot, 1).unwrap();
        fixture.execute(beacon).unwrap();
        assert_eq!(fixture.execute(fall_back(draw)), Err(Refusal::OutsideGiven), "no choice between two results");
    }

    #[test]
    fn a_cancelled_draw_uses_its_seed_up_and_is_named_by_the_next_lock() {
        let mut fixture = hall(20);
        let first = fixture.start("TV", Slot, 1).unwrap();
        assert!(fixture.event.pending_draw().unwrap().disclosed_seed().is_none(), "a seed is secret before the end");
        fixture.execute(Command::Cancel { reason: "wrong prize".into() }).unwrap();
        let cancelled = fixture.event.draw(first).unwrap().clone();
        assert!(cancelled.disclosed_pick().is_none() && cancelled.disclosed_seed().is_some() && !cancelled.waits_for_outside());
        let second = fixture.start("TV", Slot, 1).unwrap();
        let lock = fixture.event.draw(second).unwrap().lock.clone().unwrap();
        assert_eq!((lock.place, lock.previous), (2, cancelled.end().unwrap()));
        fixture.execute(Command::Reset(ResetScope::Draws)).unwrap();
        let third = fixture.start("TV", Slot, 1).unwrap();
        let lock = fixture.event.draw(third).unwrap().lock.clone().unwrap();
        assert_eq!(lock.place, 3, "a reset of draws uses no seed twice");
    }

    #[test]
    fn a_new_session_has_a_new_chain_and_an_old_event_gets_one_with_its_first_draw() {
        let mut fixture = EventFixture::with(5);
        assert_eq!(fixture.event.chain, None, "as in a journal of a version before");
        let draw = fixture.draw("TV", Slot, 1).unwrap();
        let chain = fixture.event.chain.clone().unwrap();
        assert_eq!(draw.disclosed_seed().unwrap().before().0, chain.anchor);
        fixture.execute(Command::Reset(ResetScope::Participants(SessionId([9; 16])))).unwrap();
        assert_ne!(fixture.event.chain.as_ref().unwrap().anchor, chain.anchor);
        assert_eq!((fixture.event.last_lock(), fixture.event.locked_roster().is_none()), (None, true));
        fixture.register(1).unwrap();
        assert_eq!(fixture.draw("TV", Slot, 1).unwrap().lock.unwrap().place, 1);
    }

    #[test]
    fn a_chain_of_one_seed_is_followed_by_another() {
        let mut fixture = EventFixture::with(5);
        let last = Seed([3; 32]);
        let (anchor, length) = (SeedChain::anchor_of(last, 1), 1);
        fixture.event.apply(Timestamp(0), &Fact::ChainBegun { anchor, length, last });
        assert_eq!(fixture.draw("TV", Slot, 1).unwrap().lock.unwrap().anchor, anchor);
        let second = fixture.draw("Mug", Slot, 1).unwrap();
        let lock = second.lock.unwrap();
        assert_eq!((lock.place, lock.anchor != anchor), (1, true));
        assert_eq!(lock.previous, fixture.event.draws().next().unwrap().end().unwrap());
    }

    #[test]
    fn a_prepared_start_hashes_what_changed_since_and_no_more() {
        let mut fixture = EventFixture::with(0);
        Arc::make_mut(&mut fixture.event.settings).participants_max = 20_001;
        (1..=20_000).for_each(|number| fixture.event.apply(Timestamp(1), &registered(number)));
        let snapshot = fixture.event.clone();
        assert_eq!(snapshot.tree.unhashed_chunks(), snapshot.tree.chunk_count(), "a registration hashes nothing");
        let parts = (0..).take_while(|part| snapshot.prepare_lock(*part)).count() + 1;
        assert_eq!((parts, snapshot.tree.unhashed_chunks()), (40, 0));
        fixture.event.apply(Timestamp(1), &registered(20_001));
        assert_eq!(fixture.event.tree.unhashed_chunks(), 1, "the writer's state shares the other chunks' hashes");
        fixture.start("TV", Slot, 1).unwrap();
        let (draw, roster) = fixture.event.locked_roster().unwrap();
        assert_eq!(roster.root(), fixture.event.draw(draw).unwrap().lock.as_ref().unwrap().roster_root);
    }

    fn registered(number: u32) -> Fact {
        let mut key = [1; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        Fact::Registered { number: Number(number), key, secrets: Default::default() }
    }
}
