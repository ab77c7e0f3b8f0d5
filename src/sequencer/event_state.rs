//! An event as the writer holds it: the working state that is ahead of its room by at most one batch.

use crate::draw::fact::Fact;
use crate::draw::{DrawId, Event, LinkRole, Number, Phase};
use crate::live::reactor::Publication;
use crate::live::ring::Ring;
use crate::live::room::{Room, Snapshot};
use crate::live::roster::Roster;
use crate::live::{ByRole, CloseCode, Role};
use crate::sequencer::count_updates::CountUpdates;
use crate::wire::frame::{self, OutgoingFrame};
use crate::wire::state_sync;
use crate::wire::{join_frames, text_frame};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Instant;

/// One event in the writer's hands.
pub struct EventState {
    pub state: State,
    /// Shared with everybody once the event is committed.
    pub room: Option<Arc<Room>>,
    pub tally: CountUpdates,
    revision: u64,
    /// The draw that is revealed and not announced, and since when, or since when this process has found it so.
    pub unannounced: Option<(DrawId, Instant)>,
}

/// What a batch changes, and what is put back when it cannot be committed. Cheap to clone.
#[derive(Clone)]
pub struct State {
    pub event: Event,
    pub ring: Ring,
    pub roster: Arc<Roster>,
}

/// What the facts of a batch sound like, role by role, until they are told.
#[derive(Default)]
pub struct OutgoingFrames {
    frames: ByRole<Vec<Bytes>>,
    announced: Option<DrawId>,
    joined: Vec<Number>,
    /// Whether anything came true but that numbers were given, of which the counts tell.
    more_than_numbers: bool,
    reset: bool,
    closed: bool,
    reauthenticate: ByRole<bool>,
}

impl State {
    /// The state of an event that was just opened.
    pub fn new(event: Event) -> Self {
        let roster = Arc::new(Roster::new(event.settings.participants_max, event.highest_number() + 1));
        Self { event, ring: Ring::default(), roster }
    }

    /// Makes a fact true, and keeps what it sounds like. Recovery and live traffic both come through here, so a `seq` means the same after a restart.
    pub fn take(&mut self, at: crate::draw::Timestamp, fact: &Fact, tellings: &mut OutgoingFrames) {
        self.event.apply(at, fact);
        for telling in frame::frames_for(&self.event, fact, self.ring.last_seq()) {
            match telling {
                OutgoingFrame::Everyone(frame) => {
                    self.ring.push(frame.clone());
                    tellings.frames.0.iter_mut().for_each(|frames| frames.push(frame.clone()));
                }
                OutgoingFrame::Operators(frame) => {
                    tellings.frames[Role::Display].push(frame.clone());
                    tellings.frames[Role::Admin].push(frame);
                }
            }
        }
        tellings.more_than_numbers |= !matches!(fact, Fact::Registered { .. });
        match fact {
            Fact::Registered { number, .. } => tellings.joined.push(*number),
            Fact::Announced { draw, .. } => tellings.announced = Some(*draw),
            Fact::Arrived { draw, number } | Fact::HandedOver { draw, number, .. } | Fact::HandOverUndone { draw, number } => {
                tellings.for_consoles(frame::winner_updated(*draw, *number));
            }
            Fact::Reset { session: Some(_) } => {
                self.roster = Arc::new(Roster::new(self.event.settings.participants_max, 1));
                tellings.joined.clear();
                tellings.reset = true;
            }
            Fact::PhaseChanged { phase: Phase::Closed } => {
                self.roster = Arc::new(Roster::new(0, 1));
                self.ring.clear();
                tellings.closed = true;
            }
            // Frames of the history before are nobody's to catch up with.
            Fact::EpochRenewed { .. } => self.ring.clear(),
            Fact::LinkRevoked { link } => {
                let revoked = self.event.links.iter().find(|made| made.id == *link);
                tellings.reauthenticate[Role::Display] |= revoked.is_some_and(|link| link.role != LinkRole::Staff);
                tellings.reauthenticate[Role::Admin] |= revoked.is_some_and(|link| link.role == LinkRole::Host);
            }
            _ => {}
        }
    }
}

impl OutgoingFrames {
    /// Adds a frame that only consoles hear.
    pub fn for_consoles(&mut self, frame: Bytes) {
        self.frames[Role::Admin].push(frame);
    }

    /// Whether stages have to turn the page at once, though it may bring nobody a frame: whoever joins is told what is on theirs.
    pub fn are_news(&self) -> bool {
        self.more_than_numbers
    }
}

impl EventState {
    /// A hall whose room is not open yet.
    pub fn new(state: State) -> Self {
        let tally = CountUpdates::new(state.event.participant_count());
        Self { state, room: None, tally, revision: 0, unannounced: None }
    }

    /// Shows the committed state and makes the publication that tells of it. The room shows it before any stage walks it, so that
    /// a stage that meets the room in between begins with it and skips the publication.
    pub fn publish(&mut self, tellings: OutgoingFrames) -> Publication {
        let snapshot = self.snapshot();
        let room = match &self.room {
            Some(room) => {
                if let Some(draw) = tellings.announced {
                    room.delivery.begin(draw);
                }
                room.publish(snapshot.clone());
                room.clone()
            }
            None => self.room.insert(Arc::new(Room::new(snapshot.clone()))).clone(),
        };
        if tellings.reset {
            self.tally.clear();
        }
        tellings.joined.iter().for_each(|number| self.tally.note(*number));
        // By its id: one batch may announce a draw and reveal the next, whose wait begins anew.
        let known = self.unannounced;
        let unannounced = self.state.event.unannounced_draw().map(|draw| draw.id);
        self.unannounced = unannounced.map(|id| known.filter(|(known, _)| *known == id).unwrap_or((id, Instant::now())));
        Publication {
            room,
            snapshot,
            frames: ByRole(tellings.frames.0.map(|frames| (!frames.is_empty()).then(|| join_frames(&frames)))),
            announces: tellings.announced,
            closes: tellings.closed.then_some(CloseCode::NoSuchEvent),
            reauthenticate: tellings.reauthenticate,
        }
    }

    /// The publication of the counts that are due, if any are. It is a revision of its own, since stages walk nothing twice.
    pub fn publish_counts(&mut self, now: Instant) -> Option<Publication> {
        let room = self.room.clone()?;
        let (participants, census) = (self.state.event.participant_count(), &room.connections);
        let frames = self.tally.due(now, participants, census.total(), |role| census.connected(role));
        frames.0.iter().any(Option::is_some).then(|| {
            let snapshot = self.snapshot();
            room.publish(snapshot.clone());
            Publication { room, snapshot, frames, announces: None, closes: None, reauthenticate: ByRole::default() }
        })
    }

    fn snapshot(&mut self) -> Arc<Snapshot> {
        self.revision += 1;
        let State { event, ring, roster } = self.state.clone();
        let connections = self.room.as_ref().map_or(0, |room| room.connections.total());
        self.tally.note_greeting(connections);
        let sync = ByRole::from_fn(|role| text_frame(&state_sync::text(&event, ring.last_seq(), connections, role, None)));
        Arc::new(Snapshot { revision: self.revision, event, roster, ring, sync })
    }
}
