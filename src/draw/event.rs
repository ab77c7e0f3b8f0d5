//! An event as it stands: the sum of its facts. Cheap to clone, and never changed but by [`Event::apply`].

use super::chunked::Chunked;
use super::fact::{Eligibility, SealedPick, Settings, VoidReason};
use super::{
    DrawId, DrawSpec, Epoch, EventId, Link, LinkId, LinkRole, Number, Phase, Pool, Prize, PrizeId, SessionId, Timestamp,
};
use std::sync::Arc;

/// The readers of an event, by how early they learn a draw's winners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Phones and everybody else: from the announcement on.
    Public,
    /// Displays and consoles: from the reveal on.
    Operators,
}

/// Somebody who registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Participant {
    pub registered_at: Timestamp,
    /// Where in the event's list of marks this one's is; 0: none, eligible, of no group, weight 1.
    pub(super) mark: u32,
}

/// One winner's place in a draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    pub number: Number,
    pub voided: Option<(Timestamp, VoidReason)>,
    pub details_at: Option<Timestamp>,
    pub arrived_at: Option<Timestamp>,
    /// When the prize was handed over, and at which desk.
    pub handed_over: Option<(Timestamp, Arc<str>)>,
}

/// How far a draw has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Picked, and known to nobody.
    Started,
    /// Known to displays and consoles.
    Revealed,
    /// Known to everybody.
    Announced,
    /// Called off before it was revealed.
    Cancelled,
}

/// A draw, from its start on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    pub id: DrawId,
    pub spec: Arc<DrawSpec>,
    pub pool: Arc<Pool>,
    pub(super) sealed: SealedPick,
    pub redraw_of: Option<(DrawId, Number)>,
    /// The SHA-256 of the `request_id` it was asked for with.
    pub request: Option<[u8; 32]>,
    pub started_at: Timestamp,
    pub revealed_at: Option<Timestamp>,
    pub announced_at: Option<Timestamp>,
    pub cancelled: Option<(Timestamp, Arc<str>)>,
    /// Filled when the draw is revealed.
    pub seats: Vec<Seat>,
}

impl Draw {
    /// How far it has come.
    pub fn status(&self) -> Status {
        match (&self.cancelled, self.announced_at, self.revealed_at) {
            (Some(_), _, _) => Status::Cancelled,
            (None, Some(_), _) => Status::Announced,
            (None, None, Some(_)) => Status::Revealed,
            (None, None, None) => Status::Started,
        }
    }

    /// Whether `audience` may know its winners.
    pub fn is_known_to(&self, audience: Audience) -> bool {
        match audience {
            Audience::Public => self.announced_at.is_some(),
            Audience::Operators => self.revealed_at.is_some(),
        }
    }

    /// The pick, once it is no longer secret: after the reveal, or after a cancellation.
    pub fn disclosed_pick(&self) -> Option<&SealedPick> {
        (self.revealed_at.is_some() || self.cancelled.is_some()).then_some(&self.sealed)
    }

    /// The hash of its entropy, which may be shown before the pick is known.
    pub fn commitment(&self) -> [u8; 32] {
        super::pick::commitment(&self.sealed.entropy)
    }

    /// The numbers it drew, in the order of picking; empty before the reveal.
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
    pub id: EventId,
    pub settings: Arc<Settings>,
    pub phase: Phase,
    pub session: SessionId,
    pub epoch: Epoch,
    pub entry_code: Option<[u8; 4]>,
    /// The list of prizes, in its order.
    pub prizes: Arc<Vec<Prize>>,
    /// What stands ready on the stage and is not started.
    pub standby: Option<Arc<DrawSpec>>,
    pub links: Arc<Vec<Link>>,
    pub opened_at: Timestamp,
    pub changed_at: Timestamp,
    /// By number, from 1 at index 0. A hole is a number that was claimed and never committed.
    pub(super) participants: Chunked<Option<Participant>>,
    pub(super) registered: u32,
    /// Marks by their index from 1; index 0 is nobody's.
    pub(super) marks: Arc<Vec<Eligibility>>,
    /// The draws since the last reset, by rising id.
    pub(super) draws: Arc<Vec<Arc<Draw>>>,
    pub(super) next_draw: u32,
    pub(super) next_prize: u32,
    pub(super) next_link: u32,
}

impl Event {
    /// How many are registered.
    pub fn participant_count(&self) -> u32 {
        self.registered
    }

    /// The id of the newest draw there ever was, 0 for none: a reset does not bring it back.
    pub fn last_draw(&self) -> DrawId {
        DrawId(self.next_draw - 1)
    }

    /// The highest committed number, 0 for none. Above the count when a crash left a hole.
    pub fn highest_number(&self) -> u32 {
        self.participants.len() as u32
    }

    /// The participant with that number.
    pub fn participant(&self, number: Number) -> Option<&Participant> {
        self.participants.get((number.0 as usize).checked_sub(1)?)?.as_ref()
    }

    /// Participants above `after`, by number.
    pub fn participants_after(&self, after: u32) -> impl Iterator<Item = (Number, &Participant)> {
        // The list first: counting on from the highest number there is would overflow.
        let listed = self.participants.iter_from(after as usize).zip(after..);
        listed.filter_map(|(participant, before)| Some((Number(before + 1), participant.as_ref()?)))
    }

    /// What staff noted about a participant; none: eligible, of no group, weight 1.
    pub fn mark(&self, participant: &Participant) -> Option<&Eligibility> {
        self.marks.get(participant.mark as usize).filter(|_| participant.mark > 0)
    }

    /// The draws since the last reset, the oldest first.
    pub fn draws(&self) -> impl DoubleEndedIterator<Item = &Arc<Draw>> + ExactSizeIterator {
        self.draws.iter()
    }

    /// The draw with that id. O(log draws).
    pub fn draw(&self, id: DrawId) -> Option<&Arc<Draw>> {
        let index = self.draws.binary_search_by_key(&id, |draw| draw.id).ok()?;
        self.draws.get(index)
    }

    /// The draw whose winners nobody knows yet.
    pub fn pending(&self) -> Option<&Arc<Draw>> {
        self.draws.last().filter(|draw| draw.status() == Status::Started)
    }

    /// The draw that is revealed and not announced.
    pub fn unannounced(&self) -> Option<&Arc<Draw>> {
        self.draws.last().filter(|draw| draw.status() == Status::Revealed)
    }

    /// The latest draw that was revealed, announced or not.
    pub fn latest_revealed(&self) -> Option<&Arc<Draw>> {
        self.draws.iter().rev().find(|draw| draw.revealed_at.is_some())
    }

    /// The draws and seats in which `number` won and was not voided, as `audience` may know. O(draws × winners).
    pub fn wins(&self, number: Number, audience: Audience) -> impl Iterator<Item = (&Arc<Draw>, &Seat)> {
        self.draws.iter().filter(move |draw| draw.is_known_to(audience)).filter_map(move |draw| {
            let seat = draw.seat(number).filter(|seat| seat.voided.is_none())?;
            Some((draw, seat))
        })
    }

    /// How many of a listed prize are left, as `audience` may know. A pending draw counts for nobody but the rules.
    pub fn remaining(&self, prize: &Prize, audience: Audience) -> u32 {
        let taken = self.seats_taken(prize.id, |draw| draw.is_known_to(audience));
        prize.quantity.saturating_sub(taken)
    }

    /// The listed prize with that id.
    pub fn prize(&self, id: PrizeId) -> Option<&Prize> {
        self.prizes.iter().find(|prize| prize.id == id)
    }

    /// The role of a link that stands.
    pub fn link_role(&self, id: LinkId) -> Option<LinkRole> {
        self.links.iter().find(|link| link.id == id && link.revoked_at.is_none()).map(|link| link.role)
    }

    /// Seats of a prize that are filled and not voided in the draws that `counts` says yes to.
    pub(super) fn seats_taken(&self, prize: PrizeId, counts: impl Fn(&Draw) -> bool) -> u32 {
        let of_prize = self.draws.iter().filter(|draw| draw.spec.prize_id == Some(prize) && counts(draw));
        of_prize.map(|draw| draw.seats.iter().filter(|seat| seat.voided.is_none()).count() as u32).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::EventFixture;

    #[test]
    fn a_list_begins_after_any_number_there_can_be() {
        let fixture = EventFixture::with(3);
        let after = |after| fixture.event.participants_after(after).map(|(number, _)| number.0).collect::<Vec<_>>();
        assert_eq!((after(0), after(2), after(3), after(u32::MAX)), (vec![1, 2, 3], vec![3], vec![], vec![]));
    }
}
