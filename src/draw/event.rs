//! The state of an event: the sum of its facts.
//!
//! An event is cheap to clone, so that each publication can hand readers a copy that never changes.
//! Only [`Event::apply`] may change one.

use super::chunked::Chunked;
use super::entry_code::EntryCode;
use super::fact::{Eligibility, SealedPick, SecretScope, Settings, VoidReason};
use super::prize::DrawRules;
use super::proof::{Hash, Lock, OutsideValue, RosterTree, SeedChain};
use super::{
    DrawId, DrawSpec, Epoch, EventId, Link, LinkId, LinkRole, Number, Phase, Pool, Prize, PrizeId, SessionId, Timestamp,
};
use std::num::NonZeroU32;
use std::sync::Arc;

/// The readers of an event, by how early they learn a draw's winners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Phones and everyone else: from the announcement on.
    Public,
    /// Displays and consoles: from the reveal on.
    Operators,
}

/// A registered participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Participant {
    /// The time of registration.
    pub registered_at: Timestamp,
    /// Index into [`Event::eligibilities`]; 0 while staff set nothing, [`REMOVED`] once the
    /// participant is removed.
    pub(super) eligibility: u32,
    pub(super) key_tag: KeyTag,
}

/// 32 bits of a registration's key, or [`KeyTag::NONE`] for a number with [`SecretScope::Session`].
///
/// A tag of one value less than `u32` has lets an empty place in the list of participants cost
/// nothing: 16 bytes per number instead of 24.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyTag(NonZeroU32);

/// A registration that is committed, and all that tells it from another of the same number.
///
/// Secrets are derived from it. A number may be given twice in one session: a restore brings back
/// a copy that was made before it was given. The time and 32 bits of the key differ then, and both
/// are in the journal since its first version. So the secrets cost the journal and the memory no
/// byte, and a copy that was put back by hand is covered too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The session.
    pub session: SessionId,
    /// The number.
    pub number: Number,
    /// The time and a part of the key; `None` for [`SecretScope::Session`].
    pub bound_to: Option<(Timestamp, u32)>,
}

impl KeyTag {
    /// The tag of a number whose secrets its session determines.
    const NONE: Self = Self(NonZeroU32::MIN);

    /// The tag of a registration by `key`. Two of the 2³² values give way to 2.
    pub fn new(key: &[u8; 32], secrets: SecretScope) -> Self {
        let [a, b, c, d, ..] = *key;
        match (secrets, NonZeroU32::new(u32::from_be_bytes([a, b, c, d]).max(2))) {
            (SecretScope::Registration, Some(tag)) => Self(tag),
            _ => Self::NONE,
        }
    }
}

/// Marks a number whose participant was removed. It is never given again.
pub(super) const REMOVED: u32 = u32::MAX;

/// A winner's place in a draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The winner.
    pub number: Number,
    /// The time and reason of voiding.
    pub voided: Option<(Timestamp, VoidReason)>,
    /// The time at which the winner's details came in, or were corrected.
    pub details_at: Option<Timestamp>,
    /// The times that details came in.
    pub details_count: u32,
    /// The time at which the winner reported to be present.
    pub arrived_at: Option<Timestamp>,
    /// The time of the hand-over, and the desk's name.
    pub handed_over: Option<(Timestamp, Arc<str>)>,
}

/// The status of a draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Locked; its winners are known to nobody.
    Started,
    /// Known to displays and consoles.
    Revealed,
    /// Known to everyone.
    Announced,
    /// Cancelled before its reveal.
    Cancelled,
}

/// A draw, from its start on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Its number within the event.
    pub id: DrawId,
    /// The prize and the number of winners.
    pub spec: Arc<DrawSpec>,
    /// The rules, as they were when it began.
    pub rules: DrawRules,
    /// The numbers that could win.
    pub pool: Arc<Pool>,
    /// `None` while an outside value is awaited.
    pub(super) sealed: Option<SealedPick>,
    /// Everything that was fixed at the start; `None` for a draw from before locks.
    pub lock: Option<Arc<Lock>>,
    /// The chain that holds the seed.
    pub(super) chain: Option<Arc<SeedChain>>,
    /// The outside value.
    pub outside: Option<OutsideValue>,
    /// The reason for which an operator gave up on the round of drand.
    pub fallback: Option<Arc<str>>,
    /// The voided seat that this draw fills again.
    pub redraw_of: Option<(DrawId, Number)>,
    /// The SHA-256 of the `request_id` that asked for it.
    pub request: Option<[u8; 32]>,
    /// The time of the lock.
    pub started_at: Timestamp,
    /// The time at which displays and consoles learned the winners.
    pub revealed_at: Option<Timestamp>,
    /// The planned time at which every page shows the winners; `None` when it was not planned, or
    /// when the announcement came first.
    pub show_at: Option<Timestamp>,
    /// The time at which everyone learned the winners.
    pub announced_at: Option<Timestamp>,
    /// The time and reason of the cancellation.
    pub cancelled: Option<(Timestamp, Arc<str>)>,
    /// The time of the reset that cleared it, cancelled or not.
    pub reset_at: Option<Timestamp>,
    /// One seat per winner; empty before the reveal.
    pub seats: Vec<Seat>,
}

impl Draw {
    /// The status.
    pub fn status(&self) -> Status {
        match (&self.cancelled, self.announced_at, self.revealed_at) {
            (Some(_), _, _) => Status::Cancelled,
            (None, Some(_), _) => Status::Announced,
            (None, None, Some(_)) => Status::Revealed,
            (None, None, None) => Status::Started,
        }
    }

    /// Milliseconds from the reveal to the planned end of the show.
    pub fn show_length_ms(&self) -> Option<i64> {
        Some(self.show_at?.0 - self.revealed_at?.0)
    }

    /// True when `audience` may know the winners.
    pub fn is_known_to(&self, audience: Audience) -> bool {
        match audience {
            Audience::Public => self.announced_at.is_some(),
            Audience::Operators => self.revealed_at.is_some(),
        }
    }

    /// The pick, once it is no longer secret: after the reveal, or after a cancellation.
    pub fn disclosed_pick(&self) -> Option<&SealedPick> {
        self.sealed.as_ref().filter(|_| self.revealed_at.is_some() || self.cancelled.is_some())
    }

    /// The commitment to the entropy, public from the start on, of a draw from before locks.
    pub fn commitment(&self) -> Option<[u8; 32]> {
        self.sealed.as_ref().filter(|_| self.lock.is_none()).map(|sealed| super::pick::commitment(&sealed.entropy))
    }

    /// The winners in the order of picking, voided ones included; none before the reveal.
    pub fn winners(&self) -> impl Iterator<Item = Number> + Clone + '_ {
        self.seats.iter().map(|seat| seat.number)
    }

    /// The seat of `number`, voided or not.
    pub fn seat(&self, number: Number) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.number == number)
    }
}

/// An event: one lucky draw, from its opening to its end.
#[derive(Clone, Debug)]
pub struct Event {
    /// The name in addresses.
    pub id: EventId,
    /// The settings.
    pub settings: Arc<Settings>,
    /// The phase.
    pub phase: Phase,
    /// The current session.
    pub session: SessionId,
    /// The current epoch.
    pub epoch: Epoch,
    /// The code that a phone needs to register; `None` when it needs none.
    pub entry_code: Option<EntryCode>,
    /// The list of prizes, in its order.
    pub prizes: Arc<Vec<Prize>>,
    /// The prize that the display shows as the next one, before its draw starts.
    pub standby: Option<Arc<DrawSpec>>,
    /// The signed links, revoked ones included, by rising id.
    pub links: Arc<Vec<Link>>,
    /// The time of opening.
    pub opened_at: Timestamp,
    /// The time of the latest fact.
    pub changed_at: Timestamp,
    /// The seeds of the draws to come; `None` in an event from before chains.
    pub chain: Option<Arc<SeedChain>>,
    /// The anchors of all chains of the session in order, also of those that another one replaced
    /// before their first draw: phones keep the one that they heard first.
    pub anchors: Arc<Vec<Hash>>,
    /// The registrations' keys.
    pub(super) tree: RosterTree,
    /// The newest lock, and the registrations that it holds.
    pub(super) locked: Option<(DrawId, RosterTree)>,
    /// By number, from 1 at index 0. A gap is a number that was claimed and never committed.
    pub(super) participants: Chunked<Option<Participant>>,
    pub(super) registered: u32,
    /// The eligibilities that staff set, from index 1; index 0 holds the default.
    pub(super) eligibilities: Arc<Vec<Eligibility>>,
    /// The draws since the last reset, by rising id.
    pub(super) draws: Arc<Vec<Arc<Draw>>>,
    /// The draws that resets of draws have cleared since the participants were cleared, by rising
    /// id. They count for nothing; the proof shows them.
    pub(super) cleared_draws: Arc<Vec<Arc<Draw>>>,
    pub(super) next_draw: u32,
    pub(super) next_prize: u32,
    pub(super) next_link: u32,
}

impl Event {
    /// The number of participants.
    pub fn participant_count(&self) -> u32 {
        self.registered
    }

    /// Has `other`, a later or earlier state of this event, the same session, settings, prizes and
    /// draws? O(1): parts that did not change are shared. False may be wrong, true never is.
    pub fn has_same_draws(&self, other: &Event) -> bool {
        self.session == other.session
            && Arc::ptr_eq(&self.settings, &other.settings)
            && Arc::ptr_eq(&self.prizes, &other.prizes)
            && Arc::ptr_eq(&self.draws, &other.draws)
            && self.chain.as_ref().map(Arc::as_ptr) == other.chain.as_ref().map(Arc::as_ptr)
    }

    /// The id of the newest draw, 0 before the first. A reset does not lower it.
    pub fn last_draw_id(&self) -> DrawId {
        DrawId(self.next_draw - 1)
    }

    /// The highest committed number, 0 for none. Above the number of participants where a crash
    /// left a gap.
    pub fn highest_number(&self) -> u32 {
        self.participants.len() as u32
    }

    /// The participant with that number.
    pub fn participant(&self, number: Number) -> Option<&Participant> {
        self.committed(number).filter(|participant| participant.eligibility != REMOVED)
    }

    /// True when the participant with that number was removed.
    pub fn is_removed(&self, number: Number) -> bool {
        self.committed(number).is_some_and(|participant| participant.eligibility == REMOVED)
    }

    fn committed(&self, number: Number) -> Option<&Participant> {
        self.participants.get((number.0 as usize).checked_sub(1)?)?.as_ref()
    }

    /// The registration of a number, if it is committed.
    pub fn registration(&self, number: Number) -> Option<Registration> {
        let Participant { registered_at, key_tag, .. } = *self.participant(number)?;
        let bound_to = (key_tag != KeyTag::NONE).then_some((registered_at, key_tag.0.get()));
        Some(Registration { session: self.session, number, bound_to })
    }

    /// The participants with numbers above `after`, by number.
    pub fn participants_after(&self, after: u32) -> impl Iterator<Item = (Number, &Participant)> {
        // The list comes first: `after` could be the highest u32, and counting on from it would
        // overflow.
        let listed = self.participants.iter_from(after as usize).zip(after..);
        let present = listed.filter_map(|(participant, before)| Some((Number(before + 1), participant.as_ref()?)));
        present.filter(|(_, participant)| participant.eligibility != REMOVED)
    }

    /// The eligibility that staff set for a participant; `None` while the default holds.
    pub fn eligibility(&self, participant: &Participant) -> Option<&Eligibility> {
        self.eligibilities.get(participant.eligibility as usize).filter(|_| participant.eligibility > 0)
    }

    /// The draws since the last reset, the oldest first.
    pub fn draws(&self) -> impl DoubleEndedIterator<Item = &Arc<Draw>> + ExactSizeIterator {
        self.draws.iter()
    }

    /// The draws since the participants were cleared, the oldest first: those that a reset of draws
    /// cleared, then [`Event::draws`]. A cleared draw counts for nothing.
    pub fn draws_with_cleared(&self) -> impl Iterator<Item = &Arc<Draw>> + Clone {
        self.cleared_draws.iter().chain(self.draws.iter())
    }

    /// The draw with that id. O(log draws).
    pub fn draw(&self, id: DrawId) -> Option<&Arc<Draw>> {
        let index = self.draws.binary_search_by_key(&id, |draw| draw.id).ok()?;
        self.draws.get(index)
    }

    /// The draw that is locked and not revealed.
    pub fn pending_draw(&self) -> Option<&Arc<Draw>> {
        self.draws.last().filter(|draw| draw.status() == Status::Started)
    }

    /// The draw that is revealed and not announced.
    pub fn unannounced_draw(&self) -> Option<&Arc<Draw>> {
        self.draws.last().filter(|draw| draw.status() == Status::Revealed)
    }

    /// The latest revealed draw, announced or not.
    pub fn latest_revealed_draw(&self) -> Option<&Arc<Draw>> {
        self.draws.iter().rev().find(|draw| draw.revealed_at.is_some())
    }

    /// The draws that `number` won, with its seats, as far as `audience` may know. Voided seats are
    /// left out. O(draws × winners per draw).
    pub fn wins(&self, number: Number, audience: Audience) -> impl Iterator<Item = (&Arc<Draw>, &Seat)> {
        self.draws.iter().filter(move |draw| draw.is_known_to(audience)).filter_map(move |draw| {
            let seat = draw.seat(number).filter(|seat| seat.voided.is_none())?;
            Some((draw, seat))
        })
    }

    /// The number left of a listed prize, as far as `audience` may know. Only the rules count a
    /// pending draw.
    pub fn remaining(&self, prize: &Prize, audience: Audience) -> u32 {
        let taken = self.seats_taken(prize.id, |draw| draw.is_known_to(audience));
        prize.quantity.saturating_sub(taken)
    }

    /// The listed prize with that id.
    pub fn prize(&self, id: PrizeId) -> Option<&Prize> {
        self.prizes.iter().find(|prize| prize.id == id)
    }

    /// The role of a link, unless it is revoked.
    pub fn link_role(&self, id: LinkId) -> Option<LinkRole> {
        self.links.iter().find(|link| link.id == id && link.revoked_at.is_none()).map(|link| link.role)
    }

    /// The number of filled seats of a prize that are not voided, in the draws for which `counts`
    /// holds.
    pub(super) fn seats_taken(&self, prize: PrizeId, counts: impl Fn(&Draw) -> bool) -> u32 {
        let of_prize = self.draws.iter().filter(|draw| draw.spec.prize_id == Some(prize) && counts(draw));
        of_prize.map(|draw| draw.seats.iter().filter(|seat| seat.voided.is_none()).count() as u32).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::EventFixture;

    #[test]
    fn a_list_can_start_after_any_number() {
        let fixture = EventFixture::with(3);
        let after = |after| fixture.event.participants_after(after).map(|(number, _)| number.0).collect::<Vec<_>>();
        assert_eq!((after(0), after(2), after(3), after(u32::MAX)), (vec![1, 2, 3], vec![3], vec![], vec![]));
    }
}
