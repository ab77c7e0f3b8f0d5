//! An event as the writer holds it: working state that is at most one batch ahead of the room that
//! everybody reads.
//!
//! Facts change the working state at once, so that the next command of a batch is decided on them.
//! Readers see it after the commit only; a failed commit puts the copy from before the batch back.

use crate::draw::fact::Fact;
use crate::draw::{DrawId, Event, LinkRole, Number, Phase, Timestamp};
use crate::live::reactor::Publication;
use crate::live::ring::Ring;
use crate::live::room::{Room, Snapshot};
use crate::live::roster::Roster;
use crate::live::{ByRole, CloseCode, Role};
use crate::sequencer::counts::CountUpdates;
use crate::wire::frame::{self, OutgoingFrame};
use crate::wire::{join_frames, state_sync, text_frame};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One event of the writer.
pub(super) struct EventState {
    pub working: WorkingState,
    /// The event as threads share it; `None` until its opening is committed.
    pub room: Option<Arc<Room>>,
    counts: CountUpdates,
    revision: u64,
    /// The draw that is revealed and not announced, and the time since when, as far as this process
    /// and its show count it.
    pub unannounced: Option<(DrawId, Instant)>,
    /// Set while the event's deletion is under way: it takes no command.
    pub is_ending: bool,
}

/// The part of an event that facts change and a failed commit puts back. Cheap to clone.
#[derive(Clone)]
pub(super) struct WorkingState {
    pub event: Event,
    pub ring: Ring,
    pub roster: Arc<Roster>,
}

/// Frames and effects of a batch's facts on one event, held back until the commit.
#[derive(Default)]
pub(super) struct OutgoingFrames {
    frames: ByRole<Vec<Bytes>>,
    announced: Option<DrawId>,
    registered: Vec<Number>,
    /// Set by every fact but a registration, which the merged counts tell of.
    needs_publication: bool,
    is_reset: bool,
    is_closed: bool,
    /// Numbers that the roster gives beyond those it has room for.
    more_numbers: u32,
    /// Roles whose sockets have to prove themselves again.
    reauthenticate: ByRole<bool>,
}

impl WorkingState {
    /// The state of a new event, before its first fact.
    pub fn new(event: Event) -> Self {
        let roster = Arc::new(Roster::new(event.settings.participants_max, event.highest_number() + 1));
        Self { event, ring: Ring::default(), roster }
    }

    /// Applies a fact and collects its frames.
    ///
    /// Recovery and live traffic both call this, so a `seq` means the same frame after a restart.
    pub fn apply(&mut self, at: Timestamp, fact: &Fact, outgoing: &mut OutgoingFrames) {
        let participants_max = self.event.settings.participants_max;
        self.event.apply(at, fact);
        for frame in frame::frames_for(&self.event, fact, self.ring.last_seq()) {
            match frame {
                OutgoingFrame::Everyone(frame) => {
                    self.ring.push(frame.clone());
                    outgoing.frames.0.iter_mut().for_each(|frames| frames.push(frame.clone()));
                }
                OutgoingFrame::Operators(frame) => {
                    outgoing.frames[Role::Display].push(frame.clone());
                    outgoing.frames[Role::Admin].push(frame);
                }
            }
        }
        outgoing.needs_publication |= !matches!(fact, Fact::Registered { .. });
        if let Fact::Arrived { draw, number } = fact {
            outgoing.frames[Role::Display].push(frame::winner_arrived(*draw, *number));
        }
        match fact {
            Fact::Registered { number, .. } => outgoing.registered.push(*number),
            Fact::Announced { draw, .. } => outgoing.announced = Some(*draw),
            Fact::Arrived { draw, number } | Fact::HandedOver { draw, number, .. } | Fact::HandOverUndone { draw, number } => {
                outgoing.push_for_consoles(frame::winner_updated(*draw, *number));
            }
            Fact::PrizeAdded { .. }
            | Fact::PrizeChanged { .. }
            | Fact::PrizeRemoved { .. }
            | Fact::PrizesOrdered { .. }
            | Fact::ParticipantMarked { .. } => outgoing.push_prizes_changed(),
            Fact::SettingsChanged { settings } => {
                outgoing.push_prizes_changed();
                outgoing.more_numbers += settings.participants_max.saturating_sub(participants_max)
            }
            // Each had used up one.
            Fact::ParticipantsRemoved { ranges } => {
                outgoing.more_numbers += ranges.iter().map(|(first, last)| last - first + 1).sum::<u32>();
            }
            Fact::Reset { session: Some(_) } => {
                self.roster = Arc::new(Roster::new(self.event.settings.participants_max, 1));
                outgoing.registered.clear();
                outgoing.more_numbers = 0;
                outgoing.is_reset = true;
            }
            Fact::PhaseChanged { phase: Phase::Closed } => {
                self.roster = Arc::new(Roster::new(0, 1));
                self.ring.clear();
                outgoing.is_closed = true;
            }
            // Nobody may catch up with frames of the history before.
            Fact::EpochRenewed { .. } => self.ring.clear(),
            Fact::LinkRevoked { link } => {
                let role = self.event.links.iter().find(|made| made.id == *link).map(|link| link.role);
                outgoing.reauthenticate[Role::Display] |= role.is_some_and(|role| role != LinkRole::Staff);
                outgoing.reauthenticate[Role::Admin] |= role == Some(LinkRole::Host);
            }
            _ => {}
        }
    }
}

impl OutgoingFrames {
    /// Adds a frame for consoles alone.
    pub fn push_for_consoles(&mut self, frame: Bytes) {
        self.frames[Role::Admin].push(frame);
    }

    /// Tells consoles of a change of prizes; a batch of many changes tells of the last one alone.
    fn push_prizes_changed(&mut self) {
        let (frames, changed) = (&mut self.frames[Role::Admin], frame::prizes_changed());
        frames.retain(|frame| *frame != changed);
        frames.push(changed);
    }

    /// True when reactors need the new snapshot at once, even without a frame: joiners are greeted
    /// from the snapshot that their reactor holds.
    pub fn needs_publication(&self) -> bool {
        self.needs_publication
    }
}

impl EventState {
    /// An event whose room is not open yet.
    pub fn new(working: WorkingState) -> Self {
        let counts = CountUpdates::new(working.event.participant_count());
        Self { working, room: None, counts, revision: 0, unannounced: None, is_ending: false }
    }

    /// Shows the committed state in the room and returns the publication for the reactors.
    ///
    /// The room shows it first: a reactor that meets the room in between starts from the newer
    /// snapshot and skips the publication, which it recognizes by its revision.
    pub fn publish(&mut self, outgoing: OutgoingFrames) -> Publication {
        if outgoing.more_numbers > 0 && self.working.event.phase != Phase::Closed {
            // Only now: the roster before gives no number any more, and a failed commit would need
            // it back.
            self.working.roster = Arc::new(self.working.roster.grown(outgoing.more_numbers));
        }
        let snapshot = self.next_snapshot();
        let room = match &self.room {
            Some(room) => {
                if let Some(draw) = outgoing.announced {
                    room.delivery.begin(draw);
                }
                room.publish(snapshot.clone());
                room.clone()
            }
            None => self.room.insert(Arc::new(Room::new(snapshot.clone()))).clone(),
        };
        if outgoing.is_reset {
            self.counts.forget_numbers();
        }
        outgoing.registered.iter().for_each(|number| self.counts.add_number(*number));
        // Compared by id: one batch may announce a draw and reveal the next, whose wait begins
        // anew.
        let previous = self.unannounced;
        let unannounced = self.working.event.unannounced_draw().map(|draw| draw.id);
        self.unannounced = unannounced.map(|id| previous.filter(|(draw, _)| *draw == id).unwrap_or((id, Instant::now())));
        Publication {
            room,
            snapshot,
            frames: ByRole(outgoing.frames.0.map(|frames| (!frames.is_empty()).then(|| join_frames(&frames)))),
            announces: outgoing.announced,
            closes: outgoing.is_closed.then_some(CloseCode::NoSuchEvent),
            reauthenticate: outgoing.reauthenticate,
        }
    }

    /// Counts the part of a planned show that went by before this process started, so that its
    /// announcement comes as planned. A wall clock that was set back adds no wait: the show is as
    /// long as it was.
    pub fn resume_show(&mut self, started_at: Timestamp) {
        let Some((draw, since)) = &mut self.unannounced else { return };
        let elapsed_ms = self.working.event.draw(*draw).and_then(|draw| {
            let (revealed_at, length_ms) = (draw.revealed_at?, draw.show_length_ms()?);
            Some((started_at.0 - revealed_at.0).clamp(0, length_ms) as u64)
        });
        let elapsed = Duration::from_millis(elapsed_ms.unwrap_or_default());
        *since = since.checked_sub(elapsed).unwrap_or(*since);
    }

    /// The publication of the counts that are due at `now`, if any.
    ///
    /// It has a revision of its own, since reactors skip a revision that they have seen.
    pub fn publish_counts(&mut self, now: Instant) -> Option<Publication> {
        let room = self.room.clone()?;
        let (participants, connections) = (self.working.event.participant_count(), &room.connections);
        let frames = self.counts.due(now, participants, room.connection_totals(), |role| connections.connected(role));
        frames.0.iter().any(Option::is_some).then(|| {
            let snapshot = self.next_snapshot();
            room.publish(snapshot.clone());
            Publication { room, snapshot, frames, announces: None, closes: None, reauthenticate: ByRole::default() }
        })
    }

    /// A snapshot of the working state under the next revision.
    fn next_snapshot(&mut self) -> Arc<Snapshot> {
        self.revision += 1;
        let WorkingState { event, ring, roster } = self.working.clone();
        let connections = self.room.as_ref().map(|room| room.connection_totals()).unwrap_or_default();
        self.counts.note_greeting(connections);
        let sync = ByRole::from_fn(|role| text_frame(&state_sync::text(&event, ring.last_seq(), connections, role, None)));
        let previous = self.room.as_ref().map(|room| room.snapshot());
        let same = previous.filter(|previous| previous.event.has_same_draws(&event));
        let documents = same.map(|previous| Arc::clone(&previous.documents)).unwrap_or_default();
        Arc::new(Snapshot { revision: self.revision, event, roster, ring, sync, documents })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Outcome;
    use crate::draw::command::Command;
    use crate::draw::fact::SecretScope;
    use crate::sequencer::testing::*;

    /// Roles that authenticate again once a link of `role` is revoked: phone, display, admin.
    fn reauthenticated(role: LinkRole) -> [bool; 3] {
        let mut server = TestSequencer::open();
        let made = server.serve([command_request(GALA, Command::MakeLink(role))]).remove(0).unwrap();
        let Outcome::LinkMade(link) = made.outcome else { panic!("no link: {:?}", made.outcome) };
        let mut outgoing = OutgoingFrames::default();
        server.event().working.apply(Timestamp(1), &Fact::LinkRevoked { link }, &mut outgoing);
        outgoing.reauthenticate.0
    }

    #[test]
    fn a_revoked_link_ends_the_trust_in_every_role_that_it_allowed() {
        assert_eq!(reauthenticated(LinkRole::Display), [false, true, false]);
        assert_eq!(reauthenticated(LinkRole::Host), [false, true, true]);
        assert_eq!(reauthenticated(LinkRole::Staff), [false; 3], "staff open no socket by their link");
    }

    #[test]
    fn a_registration_is_left_to_the_counts_and_a_reset_takes_it_back() {
        let mut server = TestSequencer::open();
        let Command::Register { number, key, session } = server.claim(1) else { panic!("no registration") };
        let (working, mut outgoing) = (&mut server.event().working, OutgoingFrames::default());
        let roster = working.roster.clone();
        working.apply(Timestamp(1), &Fact::Registered { number, key, secrets: SecretScope::Registration }, &mut outgoing);
        assert!(!outgoing.needs_publication() && outgoing.registered == [number]);
        working.apply(Timestamp(2), &Fact::Reset { session: Some(session) }, &mut outgoing);
        assert!(outgoing.needs_publication() && outgoing.registered.is_empty());
        assert!(!Arc::ptr_eq(&roster, &working.roster) && working.roster.find(&key).is_none(), "numbers begin again");
    }

    #[test]
    fn each_publication_has_a_revision_of_its_own() {
        let mut server = TestSequencer::open();
        let _phone = server.phone();
        let revision = |server: &TestSequencer| server.room().snapshot().revision;
        let first = revision(&server);
        let counts = server.event().publish_counts(Instant::now()).expect("a phone came");
        assert_eq!((counts.snapshot.revision, revision(&server)), (first + 1, first + 1));
        server.event().publish(OutgoingFrames::default());
        assert_eq!(revision(&server), first + 2);
        assert!(server.event().publish_counts(Instant::now()).is_none(), "nothing changed since");
        assert_eq!(revision(&server), first + 2);
    }
}
