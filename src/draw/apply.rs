//! What a fact does to an event. Live traffic and replay run this same code, so it never refuses: a fact has happened.

use super::chunked::Chunked;
use super::event::{Draw, Event, Participant, Seat};
use super::fact::{Eligibility, Fact, SealedPick, Settings};
use super::{DrawId, Epoch, EventId, Number, Phase, SessionId, Timestamp};
use std::sync::Arc;

impl Event {
    /// An event that was just opened.
    pub fn new(id: EventId, settings: Settings, session: SessionId, epoch: Epoch, at: Timestamp) -> Self {
        let nobodys = Eligibility { eligible: true, group: None, weight: 1 };
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
            marks: Arc::new(vec![nobodys]),
            draws: Arc::default(),
            next_draw: 1,
            next_prize: 1,
            next_link: 1,
        }
    }

    /// Makes `fact` true of this event.
    ///
    /// # Panics
    /// When a fact names a draw, seat, prize, participant or link that is not there: the journal would be of another event, and going on would
    /// corrupt the draw.
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
                let place = |id| order.iter().position(|ordered| *ordered == id);
                Arc::make_mut(&mut self.prizes).sort_by_key(|prize| place(prize.id));
            }
            Fact::Registered { number, .. } => self.register(at, *number),
            Fact::ParticipantMarked { number, mark } => self.set_mark(*number, mark),
            Fact::StandbyShown { spec } => self.standby = Some(spec.clone()),
            Fact::StandbyEnded => self.standby = None,
            Fact::Started { draw, .. } => {
                self.next_draw = draw.0 + 1;
                self.standby = None;
                Arc::make_mut(&mut self.draws).push(Arc::new(started(at, fact)));
            }
            Fact::Revealed { draw, sealed } => self.change_draw(*draw, |draw| {
                draw.revealed_at = Some(at);
                draw.seats = sealed.picks.iter().map(|number| Seat::new(*number)).collect();
            }),
            Fact::Announced { draw, .. } => self.change_draw(*draw, |draw| draw.announced_at = Some(at)),
            Fact::Cancelled { draw, reason, .. } => self.change_draw(*draw, |draw| draw.cancelled = Some((at, reason.clone()))),
            Fact::SeatVoided { draw, number, reason } => {
                self.change_seat(*draw, *number, |seat| seat.voided = Some((at, *reason)))
            }
            Fact::DetailsReceived { draw, number } => self.change_seat(*draw, *number, |seat| seat.details_at = Some(at)),
            Fact::Arrived { draw, number } => self.change_seat(*draw, *number, |seat| seat.arrived_at = Some(at)),
            Fact::HandedOver { draw, number, desk } => {
                self.change_seat(*draw, *number, |seat| seat.handed_over = Some((at, desk.clone())))
            }
            Fact::HandOverUndone { draw, number } => self.change_seat(*draw, *number, |seat| seat.handed_over = None),
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

    fn register(&mut self, at: Timestamp, number: Number) {
        let index = number.0 as usize - 1;
        while self.participants.len() <= index {
            self.participants.push(None);
        }
        let place = self.participants.get_mut(index).expect("the list was just made long enough");
        assert!(place.is_none(), "number {} is given once", number.0);
        *place = Some(Participant { registered_at: at, mark: 0 });
        self.registered += 1;
    }

    fn set_mark(&mut self, number: Number, mark: &Eligibility) {
        let place = self.participants.get_mut(number.0 as usize - 1).and_then(Option::as_mut);
        let participant = place.expect("a marked participant is registered");
        let marks = Arc::make_mut(&mut self.marks);
        if participant.mark == 0 {
            participant.mark = marks.len() as u32;
            marks.push(mark.clone());
        } else {
            marks[participant.mark as usize] = mark.clone();
        }
    }

    fn reset(&mut self, session: Option<SessionId>) {
        self.draws = Arc::default();
        self.standby = None;
        if let Some(session) = session {
            self.session = session;
            self.participants = Chunked::default();
            self.registered = 0;
            Arc::make_mut(&mut self.marks).truncate(1);
        }
    }

    fn change_draw(&mut self, id: DrawId, change: impl FnOnce(&mut Draw)) {
        let index = self.draws.binary_search_by_key(&id, |draw| draw.id).expect("a fact names a draw of its event");
        change(Arc::make_mut(&mut Arc::make_mut(&mut self.draws)[index]));
    }

    fn change_seat(&mut self, id: DrawId, number: Number, change: impl FnOnce(&mut Seat)) {
        self.change_draw(id, |draw| {
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

/// The draw that a [`Fact::Started`] begins.
fn started(at: Timestamp, fact: &Fact) -> Draw {
    let Fact::Started { draw, spec, pool, sealed, redraw_of, request } = fact else { unreachable!("only a start begins a draw") };
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
