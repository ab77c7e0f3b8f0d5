//! The effect of each fact on an event.
//!
//! Live traffic and replay run this same code in the same order, so it must never refuse a fact and
//! never decide anything.

use super::chunked::Chunked;
use super::event::{Draw, Event, Participant, Seat};
use super::fact::{Eligibility, Fact, SealedPick, Settings};
use super::{DrawId, Epoch, EventId, Number, Phase, SessionId, Timestamp};
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
            participants: Chunked::default(),
            registered: 0,
            eligibilities: Arc::new(vec![Eligibility::default()]),
            draws: Arc::default(),
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
            Fact::EntryCodeSet { code } => self.entry_code = *code,
            Fact::PrizeAdded { prize } => {
                self.next_prize = self.next_prize.max(prize.id.0 + 1);
                Arc::make_mut(&mut self.prizes).push(prize.clone());
            }
            Fact::PrizeChanged { prize } => {
                let listed = Arc::make_mut(&mut self.prizes).iter_mut().find(|listed| listed.id == prize.id);
                *listed.expect("a changed prize is on the list") = prize.clone();
            }
            Fact::PrizeRemoved { prize } => Arc::make_mut(&mut self.prizes).retain(|listed| listed.id != *prize),
            Fact::PrizesOrdered { order } => {
                let position = |id| order.iter().position(|ordered| *ordered == id);
                Arc::make_mut(&mut self.prizes).sort_by_key(|prize| position(prize.id));
            }
            Fact::Registered { number, .. } => self.add_participant(at, *number),
            Fact::ParticipantMarked { number, mark } => self.set_eligibility(*number, mark),
            Fact::StandbyShown { spec } => self.standby = Some(spec.clone()),
            Fact::StandbyEnded => self.standby = None,
            Fact::Started { draw, .. } => {
                self.next_draw = draw.0 + 1;
                self.standby = None;
                Arc::make_mut(&mut self.draws).push(Arc::new(started_draw(at, fact)));
            }
            Fact::Revealed { draw, sealed } => self.update_draw(*draw, |draw| {
                draw.revealed_at = Some(at);
                draw.seats = sealed.picks.iter().map(|number| Seat::new(*number)).collect();
            }),
            Fact::Announced { draw, .. } => self.update_draw(*draw, |draw| draw.announced_at = Some(at)),
            Fact::Cancelled { draw, reason, .. } => self.update_draw(*draw, |draw| draw.cancelled = Some((at, reason.clone()))),
            Fact::SeatVoided { draw, number, reason } => {
                self.update_seat(*draw, *number, |seat| seat.voided = Some((at, *reason)))
            }
            Fact::DetailsReceived { draw, number } => self.update_seat(*draw, *number, |seat| seat.details_at = Some(at)),
            Fact::Arrived { draw, number } => self.update_seat(*draw, *number, |seat| seat.arrived_at = Some(at)),
            Fact::HandedOver { draw, number, desk } => {
                self.update_seat(*draw, *number, |seat| seat.handed_over = Some((at, desk.clone())))
            }
            Fact::HandOverUndone { draw, number } => self.update_seat(*draw, *number, |seat| seat.handed_over = None),
            Fact::Reset { session } => self.reset(*session),
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

    fn add_participant(&mut self, at: Timestamp, number: Number) {
        let index = number.0 as usize - 1;
        while self.participants.len() <= index {
            self.participants.push(None);
        }
        let slot = self.participants.get_mut(index).expect("the list was just made long enough");
        assert!(slot.is_none(), "number {} is given once", number.0);
        *slot = Some(Participant { registered_at: at, eligibility: 0 });
        self.registered += 1;
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

    fn reset(&mut self, session: Option<SessionId>) {
        self.draws = Arc::default();
        self.standby = None;
        if let Some(session) = session {
            self.session = session;
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
    fn new(number: Number) -> Self {
        Self { number, voided: None, details_at: None, arrived_at: None, handed_over: None }
    }
}

/// The draw of a [`Fact::Started`].
fn started_draw(at: Timestamp, fact: &Fact) -> Draw {
    let Fact::Started { draw, spec, pool, sealed, redraw_of, request } = fact else {
        unreachable!("only this fact starts a draw")
    };
    Draw {
        id: *draw,
        spec: spec.clone(),
        pool: pool.clone(),
        sealed: SealedPick::clone(sealed),
        redraw_of: *redraw_of,
        request: *request,
        started_at: at,
        revealed_at: None,
        announced_at: None,
        cancelled: None,
        seats: Vec::new(),
    }
}
