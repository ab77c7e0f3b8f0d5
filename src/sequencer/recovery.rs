//! The way back: from the journal's facts to the halls, the directory and the rosters, through the same `apply` that serves live traffic.

use crate::draw::fact::{Fact, RecordedFact};
use crate::draw::{Event, EventId, Number, Phase};
use crate::live::reactor::Reactors;
use crate::live::room::Directory;
use crate::live::roster::Roster;
use crate::sequencer::event_state::{EventState, OutgoingFrames, State};
use crate::sequencer::inbox::Request;
use crate::sequencer::timers::Timers;
use crate::sequencer::{Clock, Limits, Sequencer};
use crate::store::JournalError;
use crate::store::journal::Journal;
use crossbeam::channel::Receiver;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

impl Sequencer {
    /// Replays the journal, opens a room for every event in it, and is ready to run.
    ///
    /// # Errors
    /// When the journal cannot be read to its end.
    pub fn recover(
        mut journal: Journal,
        directory: Arc<Directory>,
        stages: Reactors,
        orders: Receiver<Box<Request>>,
        limits: Limits,
        durable: Arc<AtomicBool>,
    ) -> Result<Self, JournalError> {
        let mut found = BTreeMap::new();
        journal.replay(|id, stamped| take(&mut found, id, &stamped))?;
        let mut clock = Clock::default();
        let started_at = clock.now();
        let mut halls = BTreeMap::new();
        for (id, found) in found {
            let mut hall = EventState::new(found.with_roster());
            let room = hall.publish(OutgoingFrames::default()).room;
            room.connections.note_display(started_at.0);
            directory.insert(room);
            halls.insert(id, hall);
        }
        let deadlines = Timers::new(Instant::now());
        Ok(Self {
            journal,
            halls,
            directory,
            stages,
            orders,
            limits,
            durable,
            clock,
            started_at,
            deadlines,
            pace: Arc::default(),
        })
    }
}

/// An event on its way back.
struct Found {
    state: State,
    /// The numbers of its present session, with their keys.
    numbers: Vec<(Number, [u8; 32])>,
}

impl Found {
    /// The state with a roster that knows every number of the session, and gives the next.
    fn with_roster(self) -> State {
        let Self { mut state, numbers } = self;
        if state.event.phase != Phase::Closed {
            let roster = Roster::new(state.event.settings.participants_max, state.event.highest_number() + 1);
            numbers.iter().for_each(|(number, key)| roster.restore(key, number.0));
            state.roster = Arc::new(roster);
        }
        state
    }
}

/// Makes one fact of the journal true again.
fn take(found: &mut BTreeMap<EventId, Found>, id: EventId, stamped: &RecordedFact) {
    let RecordedFact { at, fact, .. } = stamped;
    if let Fact::Opened { settings, session, epoch, .. } = fact {
        let state = State::new(Event::new(id.clone(), settings.clone(), *session, *epoch, *at));
        found.insert(id, Found { state, numbers: Vec::new() });
        return;
    }
    let found = found.get_mut(&id).expect("an event's first fact is its opening");
    // Nobody is connected yet: what these facts sounded like is kept for those who come back, and told to nobody.
    found.state.take(*at, fact, &mut OutgoingFrames::default());
    match fact {
        Fact::Registered { number, key } => found.numbers.push((*number, *key)),
        Fact::Reset { session: Some(_) } => found.numbers.clear(),
        _ => {}
    }
}
