//! Deletions of events: those that an operator asks for, and those that are due by age.
//!
//! A deletion has three steps, and none keeps the writer from its requests. A copy of the journal
//! is made on a thread of its own, one for all events that wait. Then the events are deleted, a few
//! per slice, and last their rows are overwritten, slice by slice ([`Journal::erase_slice`]). The
//! writer does one slice between two batches.
//!
//! An event takes no command from the first step on, so that the copy holds all of it. It is still
//! shown, and it goes on as before where the copy fails or somebody connects meanwhile.
//!
//! [`Journal::erase_slice`]: crate::store::Journal::erase_slice

use crate::draw::EventId;
use crate::live::reactor::Publication;
use crate::live::room::Room;
use crate::live::{ByRole, CloseCode, Role};
use crate::sequencer::inbox::Rejection;
use crate::sequencer::{Sequencer, exit_if_fatal};
use crate::store::JournalError;
use crossbeam::channel::{Receiver, TryRecvError, bounded};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The most events that a slice deletes.
const SLICE_EVENTS: usize = 16;

/// The deletions under way.
#[derive(Default)]
pub(super) struct Deletions {
    /// Those that the next copy is for.
    waiting: Vec<Deletion>,
    copying: Option<Copying>,
    /// Those that the last copy holds.
    copied: Vec<Deletion>,
    /// The longest slice since the erasure began.
    longest_slice: Duration,
    slices: u32,
}

struct Deletion {
    event: EventId,
    cause: DeletionCause,
}

/// Why an event is deleted, and who is told.
pub(super) enum DeletionCause {
    /// Its age: it is not deleted while any socket is connected.
    Expired,
    /// An operator's request: it is not deleted while a display or console is connected.
    Asked(oneshot::Sender<Result<(), Rejection>>),
}

/// A copy that is being made.
struct Copying {
    deletions: Vec<Deletion>,
    result: Receiver<Result<(), JournalError>>,
}

impl Sequencer {
    /// Begins the deletion of an event, or rejects it. The event takes no command from now on.
    pub(super) fn begin_deletion(&mut self, event: EventId, cause: DeletionCause) {
        let deletion = Deletion { event, cause };
        if let Err(rejection) = self.require_deletable(&deletion) {
            return deletion.cause.answer(Err(rejection));
        }
        let state = self.events.get_mut(&deletion.event).expect("a deletable event is held");
        if std::mem::replace(&mut state.is_ending, true) {
            return deletion.cause.answer(Err(Rejection::Overloaded));
        }
        self.deletions.waiting.push(deletion);
    }

    /// True while a slice can be done at once.
    pub(super) fn has_deletion_slice(&self) -> bool {
        let Deletions { waiting, copying, copied, .. } = &self.deletions;
        let can_copy = copying.is_none() && !waiting.is_empty();
        self.durable.load(Relaxed) && (can_copy || !copied.is_empty() || self.journal.is_erasing())
    }

    /// True while deletions are under way.
    pub(super) fn is_deleting(&self) -> bool {
        let Deletions { waiting, copying, copied, .. } = &self.deletions;
        copying.is_some() || !waiting.is_empty() || !copied.is_empty() || self.journal.is_erasing()
    }

    /// Does one slice of the deletions: bounded work, whatever the number and size of the events.
    pub(super) fn advance_deletions(&mut self) {
        self.finish_copy();
        if !self.has_deletion_slice() {
            return;
        }
        let began = Instant::now();
        if self.deletions.copying.is_none() && !self.deletions.waiting.is_empty() {
            self.start_copy();
        } else if !self.deletions.copied.is_empty() {
            self.delete_copied();
        } else {
            self.erase_slice();
        }
        let deletions = &mut self.deletions;
        deletions.longest_slice = deletions.longest_slice.max(began.elapsed());
        deletions.slices += 1;
        if !self.is_deleting() {
            let Deletions { slices, longest_slice, .. } = std::mem::take(&mut self.deletions);
            tracing::info!(slices, longest_us = longest_slice.as_micros(), "deleted events are overwritten");
        }
    }

    /// Starts one copy for all deletions that wait.
    fn start_copy(&mut self) {
        let deletions = std::mem::take(&mut self.deletions.waiting);
        let events: Vec<EventId> = deletions.iter().map(|deletion| deletion.event.clone()).collect();
        let (copier, folder, at) = (self.journal.copier(), self.limits.backups_dir.clone(), self.clock.wall());
        let (sender, result) = bounded(1);
        let copy = move || {
            // A writer that has ended deletes nothing.
            let _ = sender.send(copier.copy_before_deletion(&folder, &events, at));
        };
        if let Err(error) = std::thread::Builder::new().name("copy".into()).spawn(copy) {
            tracing::error!(%error, "no thread for the copy before a deletion");
        }
        self.deletions.copying = Some(Copying { deletions, result });
    }

    /// Takes the result of a copy that has ended.
    fn finish_copy(&mut self) {
        let result = self.deletions.copying.as_ref().map(|copying| copying.result.try_recv());
        let Some(Ok(_) | Err(TryRecvError::Disconnected)) = result else { return };
        let deletions = self.deletions.copying.take().map_or(Vec::new(), |copying| copying.deletions);
        if let Some(Ok(Ok(()))) = result {
            self.deletions.copied = deletions;
            return;
        }
        // Without a result the thread has panicked, or there was none.
        let error = result.and_then(Result::ok).and_then(Result::err).map(|error| error.to_string());
        tracing::error!(error, "nothing is deleted without a copy, and none could be made");
        deletions.into_iter().for_each(|deletion| self.call_off(deletion, Rejection::NotDurable));
    }

    /// Deletes some events whose copy is made.
    fn delete_copied(&mut self) {
        let some = self.deletions.copied.len().min(SLICE_EVENTS);
        let mut due: Vec<(Deletion, Arc<Room>)> = Vec::new();
        for deletion in self.deletions.copied.drain(..some).collect::<Vec<_>>() {
            match self.require_deletable(&deletion) {
                Ok(room) => due.push((deletion, room)),
                Err(rejection) => self.call_off(deletion, rejection),
            }
        }
        let events: Vec<EventId> = due.iter().map(|(deletion, _)| deletion.event.clone()).collect();
        if let Err(error) = exit_if_fatal(self.journal.delete_events(&events)) {
            self.note_failed_write(&error, 0);
            return due.into_iter().for_each(|(deletion, _)| self.call_off(deletion, Rejection::NotDurable));
        }
        self.note_write();
        self.directory.remove(&events);
        for (Deletion { event, cause }, room) in due {
            self.events.remove(&event);
            self.reactors.publish(Arc::new(closing_publication(room)));
            if let DeletionCause::Expired = cause {
                tracing::info!(%event, "an old event was deleted");
            }
            cause.answer(Ok(()));
        }
    }

    fn erase_slice(&mut self) {
        match exit_if_fatal(self.journal.erase_slice()) {
            Ok(()) => self.note_write(),
            Err(error) => self.note_failed_write(&error, 0),
        }
    }

    /// Lets an event go on that is not deleted after all.
    fn call_off(&mut self, deletion: Deletion, rejection: Rejection) {
        if let Some(state) = self.events.get_mut(&deletion.event) {
            state.is_ending = false;
        }
        deletion.cause.answer(Err(rejection));
    }

    /// The room of an event that may be deleted for this cause.
    fn require_deletable(&self, Deletion { event, cause }: &Deletion) -> Result<Arc<Room>, Rejection> {
        let room = self.events.get(event).and_then(|event| event.room.clone()).ok_or(Rejection::NoSuchEvent)?;
        let connections = &room.connections;
        let in_use = match cause {
            DeletionCause::Expired => connections.total(),
            DeletionCause::Asked(_) => connections.connected(Role::Display) + connections.connected(Role::Admin),
        };
        if in_use > 0 { Err(Rejection::EventInUse) } else { Ok(room) }
    }
}

impl DeletionCause {
    /// Answers the caller, who may have gone.
    fn answer(self, result: Result<(), Rejection>) {
        match self {
            DeletionCause::Expired => {}
            DeletionCause::Asked(reply) => drop(reply.send(result)),
        }
    }
}

/// The publication that closes the sockets of a deleted event.
fn closing_publication(room: Arc<Room>) -> Publication {
    Publication {
        snapshot: room.snapshot(),
        room,
        frames: ByRole::default(),
        announces: None,
        closes: Some(CloseCode::NoSuchEvent),
        reauthenticate: ByRole::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::command::Command;
    use crate::sequencer::inbox::queue;
    use crate::sequencer::testing::*;

    /// The old events of these tests, and the people in each.
    const EVENTS: usize = 1_000;
    const PEOPLE: u8 = 20;
    /// Phones that register meanwhile.
    const PHONES: u8 = 100;

    /// A server on which [`EVENTS`] events fall due at once, and [`GALA`] does not.
    fn server_with_old_events() -> TestSequencer {
        let mut server = TestSequencer::open();
        server.sequencer.limits.events_max = EVENTS as u32 + 1;
        let names: Vec<_> = (0..EVENTS).map(|index| format!("old-{index}")).collect();
        server.sequencer.serve(names.iter().map(|event| open_request(event).0).collect());
        let people = names.iter().flat_map(|event| (0..PEOPLE).map(move |key| (event, key)));
        let people = people.map(|(event, key)| command_request(event, server.claim_in(event, key)).0).collect();
        server.sequencer.serve(people);
        server.age(2 * EVENT_TTL);
        server.serve([command_request(GALA, Command::SetEntryCode(None))]).remove(0).unwrap();
        server
    }

    fn copies(server: &TestSequencer) -> usize {
        std::fs::read_dir(&server.sequencer.limits.backups_dir).map_or(0, Iterator::count)
    }

    #[test]
    fn a_thousand_events_that_fall_due_at_once_stop_no_registration() {
        let mut server = server_with_old_events();
        server.sequencer.sweep();
        assert!(server.sequencer.is_deleting() && server.directory.all().len() == EVENTS + 1, "nothing is deleted yet");
        let (mut key, mut slices, mut rows_max, mut events_max, mut longest) = (0_u8, 0, 0, 0, Duration::ZERO);
        // Neither the disk's flush nor another program counts.
        let cpu_time = || Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime)).unwrap();
        while server.sequencer.is_deleting() {
            let before = (server.sequencer.journal.rows_changed(), server.directory.all().len());
            let has_slice = server.sequencer.has_deletion_slice();
            let began = cpu_time();
            server.sequencer.advance_deletions();
            longest = longest.max(cpu_time() - began);
            let after = (server.sequencer.journal.rows_changed(), server.directory.all().len());
            (rows_max, events_max) = (rows_max.max(after.0 - before.0), events_max.max(before.1 - after.1));
            slices += u32::from(has_slice);
            if has_slice && key < PHONES {
                key += 1;
                let registered = server.serve([command_request(GALA, server.claim(key))]).remove(0);
                assert!(registered.is_ok(), "between two slices a phone registers: {registered:?}");
            }
        }
        eprintln!("{EVENTS} events of {PEOPLE} people: {slices} slices, the longest {longest:?} of CPU time");
        assert!(rows_max <= 256 && events_max <= SLICE_EVENTS, "{rows_max} rows, {events_max} events in one slice");
        assert!(slices > 100 && key == PHONES);
        assert_eq!(copies(&server), 1, "one copy for all");
        assert_eq!(server.directory.all().len(), 1);
        let server = server.restart();
        assert_eq!(server.directory.all().len(), 1);
        assert_eq!(server.room().snapshot().event.participant_count(), u32::from(PHONES));
    }

    #[test]
    fn requests_are_served_between_the_slices_of_the_running_writer() {
        let mut server = server_with_old_events();
        let (inbox, requests) = queue(8);
        server.sequencer.requests = requests;
        server.sequencer.sweep();
        let claims: Vec<_> = (1..=PHONES).map(|key| server.claim(key)).collect();
        let directory = server.directory.clone();
        let writer = &mut server.sequencer;
        std::thread::scope(|scope| {
            scope.spawn(|| writer.serve_until_stopped());
            let mut served_meanwhile = 0;
            for claim in claims {
                let (request, answer) = command_request(GALA, claim);
                inbox.post(request).unwrap();
                answer.blocking_recv().unwrap().unwrap();
                served_meanwhile += u32::from(directory.all().len() > 1);
            }
            let deadline = Instant::now() + Duration::from_secs(60);
            while directory.all().len() > 1 && Instant::now() < deadline {
                std::thread::yield_now();
            }
            assert!(inbox.stop());
            assert!(served_meanwhile > 0, "the first are served before all events are gone");
        });
        assert_eq!(directory.all().len(), 1, "the writer deletes without any request");
    }

    #[test]
    fn an_event_whose_deletion_has_begun_takes_no_command() {
        let mut server = TestSequencer::open();
        let registration = server.claim(1);
        let (request, mut deleted) = delete_request(GALA);
        server.sequencer.serve(vec![request]);
        let refused = server.serve([command_request(GALA, registration), open_request(GALA)]);
        assert!(matches!(refused[..], [Err(Rejection::Overloaded), Err(Rejection::EventExists)]), "{refused:?}");
        let (again, mut second) = delete_request(GALA);
        server.sequencer.serve(vec![again]);
        assert!(matches!(second.try_recv().unwrap(), Err(Rejection::Overloaded)), "one deletion is enough");
        server.finish_deletions();
        deleted.try_recv().unwrap().unwrap();
        assert!(server.directory.find(GALA).is_none());
    }

    #[test]
    fn an_old_event_stays_when_a_phone_comes_during_its_copy() {
        let mut server = TestSequencer::open();
        server.age(2 * EVENT_TTL);
        server.sequencer.sweep();
        assert!(server.sequencer.is_deleting());
        let _phone = server.phone();
        server.finish_deletions();
        assert!(server.directory.find(GALA).is_some(), "somebody has come");
        server.serve([command_request(GALA, server.claim(1))]).remove(0).unwrap();
    }

    #[test]
    fn an_erasure_that_a_crash_cut_short_goes_on_at_the_next_start() {
        let mut server = TestSequencer::open();
        let claims: Vec<_> = (0..PHONES).map(|key| command_request(GALA, server.claim(key)).0).collect();
        server.sequencer.serve(claims);
        let (request, mut deleted) = delete_request(GALA);
        server.sequencer.serve(vec![request]);
        while deleted.try_recv().is_err() {
            server.sequencer.advance_deletions();
        }
        server.sequencer.advance_deletions();
        assert!(server.sequencer.journal.is_erasing(), "only its first rows are gone");
        let mut server = server.restart();
        assert!(server.directory.all().is_empty() && server.sequencer.is_deleting());
        server.serve([open_request(GALA)]).remove(0).unwrap();
        server.serve([command_request(GALA, server.claim(1))]).remove(0).unwrap();
        server.finish_deletions();
        let server = server.restart();
        assert_eq!(server.room().snapshot().event.participant_count(), 1, "the new event of that name is whole");
    }
}
