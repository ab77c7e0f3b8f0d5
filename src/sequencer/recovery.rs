//! Recovery: from the journal's facts to events, directory and rosters, by the same `apply` that
//! serves live traffic.

use crate::base::clock::{SteadyClock, monotonic_ms};
use crate::draw::fact::{Fact, RecordedFact};
use crate::draw::{Event, EventId, Number, Phase};
use crate::live::reactor::Reactors;
use crate::live::room::Directory;
use crate::live::roster::Roster;
use crate::sequencer::deletion::Deletions;
use crate::sequencer::event_state::{EventState, OutgoingFrames, WorkingState};
use crate::sequencer::inbox::RequestQueue;
use crate::sequencer::timers::Timers;
use crate::sequencer::{Limits, Sequencer};
use crate::store::JournalError;
use crate::store::copied_details::DetailsPurged;
use crate::store::journal::Journal;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

impl Sequencer {
    /// Replays the journal and opens a room for every event in it.
    ///
    /// # Errors
    /// When the journal cannot be read to its end.
    pub fn recover(
        mut journal: Journal,
        directory: Arc<Directory>,
        reactors: Reactors,
        requests: RequestQueue,
        limits: Limits,
        durable: Arc<AtomicBool>,
        clock: Arc<SteadyClock>,
    ) -> Result<Self, JournalError> {
        let mut replayed = BTreeMap::new();
        journal.replay(|id, fact| replay(&mut replayed, id, &fact))?;
        let started_ms = monotonic_ms();
        let mut events = BTreeMap::new();
        for (id, replayed) in replayed {
            let mut event = EventState::new(replayed.with_roster());
            let room = event.publish(OutgoingFrames::default()).room;
            room.connections.note_display(started_ms);
            directory.insert(room);
            events.insert(id, event);
        }
        Ok(Self {
            journal,
            events,
            directory,
            reactors,
            requests,
            limits,
            durable,
            clock,
            started_ms,
            timers: Timers::new(Instant::now()),
            deletions: Deletions::default(),
            metrics: Arc::default(),
            details_purged: DetailsPurged::default(),
        })
    }
}

/// An event during the replay.
struct ReplayedEvent {
    working: WorkingState,
    /// The numbers of its current session, with their keys.
    numbers: Vec<(Number, [u8; 32])>,
}

impl ReplayedEvent {
    /// The state with a roster that knows every number of the session and gives the next.
    fn with_roster(self) -> WorkingState {
        let Self { mut working, numbers } = self;
        if working.event.phase != Phase::Closed {
            let roster = Roster::new(working.event.settings.participants_max, working.event.highest_number() + 1);
            // The phone of a removed participant claims another number.
            let kept = numbers.iter().filter(|(number, _)| !working.event.is_removed(*number));
            kept.for_each(|(number, key)| roster.restore(key, number.0));
            working.roster = Arc::new(roster);
        }
        working
    }
}

/// Applies one fact of the journal.
fn replay(events: &mut BTreeMap<EventId, ReplayedEvent>, id: EventId, recorded: &RecordedFact) {
    let RecordedFact { at, fact, .. } = recorded;
    if let Fact::Opened { settings, session, epoch, .. } = fact {
        let working = WorkingState::new(Event::new(id.clone(), settings.clone(), *session, *epoch, *at));
        events.insert(id, ReplayedEvent { working, numbers: Vec::new() });
        return;
    }
    let event = events.get_mut(&id).expect("an event's first fact is its opening");
    // The ring keeps these frames for peers that come back; nobody is connected to get them now.
    event.working.apply(*at, fact, &mut OutgoingFrames::default());
    match fact {
        Fact::Registered { number, key, .. } => event.numbers.push((*number, *key)),
        Fact::Reset { session: Some(_) } => event.numbers.clear(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::draw::command::{Command, ResetScope};
    use crate::draw::{Phase, SessionId};
    use crate::sequencer::testing::*;

    #[test]
    fn a_restart_continues_with_the_numbers_and_frames_before_it() {
        let mut server = TestSequencer::open();
        let registrations = [server.claim(1), server.claim(2)].map(|command| command_request(GALA, command));
        server.serve(registrations);
        server.serve([command_request(GALA, Command::Standby(draw_request("TV")))]).remove(0).unwrap();
        let before = server.room().snapshot();
        let server = server.restart();
        let after = server.room().snapshot();
        assert_eq!(after.ring.last_seq(), before.ring.last_seq());
        assert_eq!(after.ring.after(0).unwrap().collect::<Vec<_>>(), before.ring.after(0).unwrap().collect::<Vec<_>>());
        assert_eq!((after.event.participant_count(), after.event.epoch), (2, before.event.epoch));
        assert_eq!((after.roster.find(&[1; 32]), after.roster.find(&[2; 32])), (Some(1), Some(2)));
        assert_eq!(after.roster.claim(&[3; 32]), Some(3), "the next number follows");
    }

    #[test]
    fn numbers_from_before_a_reset_are_not_restored() {
        let mut server = TestSequencer::open();
        let registration = server.claim(1);
        let reset = Command::Reset(ResetScope::Participants(SessionId([9; 16])));
        server.serve([command_request(GALA, registration), command_request(GALA, reset)]);
        let registration = server.claim(2);
        server.serve([command_request(GALA, registration)]).remove(0).unwrap();
        let server = server.restart();
        let roster = &server.room().snapshot().roster;
        assert_eq!((roster.find(&[1; 32]), roster.find(&[2; 32])), (None, Some(1)), "the reset began again from 1");
    }

    #[test]
    fn a_closed_event_comes_back_closed() {
        let mut server = TestSequencer::open();
        let registration = server.claim(1);
        server.serve([command_request(GALA, registration), command_request(GALA, Command::ChangePhase(Phase::Closed))]);
        let server = server.restart();
        let snapshot = server.room().snapshot();
        assert_eq!(snapshot.event.phase, Phase::Closed);
        assert!(snapshot.roster.claim(&[2; 32]).is_none() && snapshot.ring.after(0).is_none());
    }
}
