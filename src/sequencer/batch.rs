//! One round of the writer: decide, commit, show, tell, reply.
//!
//! Every answer waits for the commit, refusals too: what refused a command may itself be a fact of this batch, and nobody is to hear of it
//! before it is kept.

use crate::base::chance;
use crate::draw::command::{Command, Decision, Outcome};
use crate::draw::decide::open_event;
use crate::draw::fact::WinnerDetails;
use crate::draw::fact::{RecordedFact, Settings};
use crate::draw::{Actor, Event, EventId, Fact, Prize, Timestamp};
use crate::live::room::Snapshot;
use crate::sequencer::Sequencer;
use crate::sequencer::event_state::{EventState, OutgoingFrames, State};
use crate::sequencer::inbox::{Accepted, Rejection, Request, Responder};
use crate::store::CommitError;
use crate::store::JournalEntry;
use crate::wire::frame;
use crate::wire::view::people::masked_phone;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// The exit code of a process that can no longer trust its journal (EX_IOERR of sysexits.h).
const JOURNAL_LOST: i32 = 74;

/// What a round has decided and not yet committed.
#[derive(Default)]
struct Batch {
    entries: Vec<JournalEntry>,
    touched: BTreeMap<EventId, Touched>,
    answers: Vec<(Responder, EventId, Result<Outcome, Rejection>)>,
}

/// An event this batch has changed.
struct Touched {
    /// What to go back to; none: the event is new in this batch.
    before: Option<State>,
    tellings: OutgoingFrames,
}

impl Sequencer {
    /// Serves a batch of orders.
    pub(super) fn round(&mut self, orders: Vec<Request>) {
        let at = self.clock.now();
        let mut batch = Batch::default();
        for order in orders {
            match order {
                Request::Command { event, actor, command, details, reply } => {
                    let result = self.decide(&mut batch, at, &event, actor, &command, details);
                    batch.answers.push((reply, event, result));
                }
                Request::Open { event, settings, prizes, reply } => {
                    let result = self.open(&mut batch, at, &event, settings, &prizes);
                    batch.answers.push((reply, event, result));
                }
                // What is not a command is done between two batches, on committed state.
                other => {
                    self.settle(std::mem::take(&mut batch));
                    self.serve_aside(other);
                }
            }
        }
        self.settle(batch);
    }

    fn decide(
        &mut self,
        batch: &mut Batch,
        at: Timestamp,
        id: &EventId,
        actor: Actor,
        command: &Command,
        details: Option<WinnerDetails>,
    ) -> Result<Outcome, Rejection> {
        let hall = self.halls.get_mut(id).ok_or(Rejection::NoSuchEvent)?;
        let Decision { facts, outcome } = hall.state.event.decide(at, command, &mut chance::entropy)?;
        if facts.is_empty() {
            return Ok(outcome);
        }
        let touched = batch.touched.entry(id.clone()).or_insert_with(|| Touched::since(Some(hall.state.clone())));
        for fact in &facts {
            hall.state.take(at, fact, &mut touched.tellings);
        }
        let details = belonging(details, &outcome);
        if let Some(details) = &details {
            touched.tellings.for_consoles(received(&hall.state.event, details));
        }
        batch.enter(id, at, actor, facts, details);
        Ok(outcome)
    }

    fn open(
        &mut self,
        batch: &mut Batch,
        at: Timestamp,
        id: &EventId,
        settings: Settings,
        prizes: &[Prize],
    ) -> Result<Outcome, Rejection> {
        if self.halls.contains_key(id) {
            return Err(Rejection::EventExists);
        }
        if self.halls.len() as u32 >= self.limits.events_max {
            return Err(Rejection::TooManyEvents { max: self.limits.events_max });
        }
        let (session, epoch) = (chance::session_id(), chance::epoch());
        let facts = open_event(id.clone(), settings.clone(), session, epoch, prizes)?;
        let mut touched = Touched::since(None);
        let mut state = State::new(Event::new(id.clone(), settings, session, epoch, at));
        facts.iter().for_each(|fact| state.take(at, fact, &mut touched.tellings));
        self.halls.insert(id.clone(), EventState::new(state));
        batch.touched.insert(id.clone(), touched);
        batch.enter(id, at, Actor::Admin, facts, None);
        Ok(Outcome::Done)
    }

    /// Commits a batch, publishes it and answers everybody in it; or, where it cannot be kept, forgets it and says so to everybody.
    fn settle(&mut self, batch: Batch) {
        let Batch { entries, touched, answers } = batch;
        let committed = if entries.is_empty() { Ok(()) } else { self.commit(&entries) };
        match unless_fatal(committed) {
            Ok(()) => {
                self.note_commit(!entries.is_empty());
                touched.into_iter().for_each(|(id, touched)| self.publish(&id, touched.tellings));
                for (reply, event, result) in answers {
                    let granted = result.and_then(|outcome| Ok(Accepted { outcome, snapshot: self.shown(&event)? }));
                    self.answer(reply, granted);
                }
            }
            Err(error) => {
                self.note_failure(&error, entries.len());
                touched.into_iter().for_each(|(id, touched)| self.go_back(&id, touched.before));
                answers.into_iter().for_each(|(reply, ..)| self.answer(reply, Err(Rejection::NotDurable)));
            }
        }
    }

    fn commit(&mut self, entries: &[JournalEntry]) -> Result<(), CommitError> {
        let began = Instant::now();
        let committed = self.journal.commit(entries);
        self.pace.note(began.elapsed(), entries.len(), committed.is_ok());
        committed
    }

    /// Something was not committed: nobody was told, and nothing changed. Said once, and not for each that comes while the disk is full.
    pub(super) fn note_failure(&self, error: &CommitError, facts: usize) {
        let cause = error.source().map(ToString::to_string);
        if self.durable.swap(false, Relaxed) {
            tracing::error!(%error, cause, facts, "not committed; trying again every second");
        } else {
            tracing::debug!(%error, cause, facts, "not committed");
        }
    }

    fn publish(&mut self, id: &EventId, tellings: OutgoingFrames) {
        let hall = self.halls.get_mut(id).expect("a touched event is held");
        let (is_new, are_news) = (hall.room.is_none(), tellings.are_news());
        let publication = hall.publish(tellings);
        if is_new {
            publication.room.connections.note_display(self.started_at.0);
            self.directory.insert(publication.room.clone());
        }
        if are_news {
            self.stages.publish(Arc::new(publication));
        }
    }

    fn go_back(&mut self, id: &EventId, before: Option<State>) {
        match (self.halls.get_mut(id), before) {
            (Some(hall), Some(before)) => hall.state = before,
            _ => drop(self.halls.remove(id)),
        }
    }

    /// The committed state of an event, as its room shows it.
    fn shown(&self, event: &EventId) -> Result<Arc<Snapshot>, Rejection> {
        let room = self.halls.get(event).and_then(|hall| hall.room.as_ref());
        room.map(|room| room.snapshot()).ok_or(Rejection::NoSuchEvent)
    }

    fn answer(&self, reply: Responder, answer: Result<Accepted, Rejection>) {
        match reply {
            // Whoever asked may have gone; the facts stand all the same.
            Responder::Handler(waiting) => drop(waiting.send(answer)),
            Responder::Peer { peer, encode } => self.stages.unicast(peer, encode(&answer)),
            Responder::Nobody => {}
        }
    }
}

impl Batch {
    fn enter(&mut self, event: &EventId, at: Timestamp, actor: Actor, facts: Vec<Fact>, mut details: Option<WinnerDetails>) {
        let stamped = facts.into_iter().map(|fact| RecordedFact { at, actor, fact });
        self.entries.extend(stamped.map(|stamped| JournalEntry { event: event.clone(), stamped, details: details.take() }));
    }
}

impl Touched {
    fn since(before: Option<State>) -> Self {
        Self { before, tellings: OutgoingFrames::default() }
    }
}

/// The details to keep: only a first hand-in, under the draw that the rules found, and an address only where the prize is sent.
fn belonging(details: Option<WinnerDetails>, outcome: &Outcome) -> Option<WinnerDetails> {
    match (details, outcome) {
        (Some(details), Outcome::Details { draw, number, first: true, keeps_address }) => {
            let address = details.address.filter(|_| *keeps_address);
            Some(WinnerDetails { draw: *draw, number: *number, address, ..details })
        }
        _ => None,
    }
}

fn received(event: &Event, details: &WinnerDetails) -> bytes::Bytes {
    let prize_name = event.draw(details.draw).map_or("", |draw| &draw.spec.prize_name);
    let phone = masked_phone(&details.phone);
    frame::winner_info_received(details.number, prize_name, &details.name, &phone, details.submitted_at)
}

/// What became of a write to the journal, if the journal can still be trusted. After a failed fsync nobody knows what the disk holds, and asking again
/// may be answered from memory: the process ends, and the next one reads what is really there.
pub(super) fn unless_fatal<T>(done: Result<T, CommitError>) -> Result<T, CommitError> {
    if let Err(CommitError::Fatal(cause)) = &done {
        tracing::error!(%cause, "the disk did not keep what was written; ending the process");
        std::process::exit(JOURNAL_LOST);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::SessionId;
    use crate::draw::command::ResetScope;
    use crate::sequencer::testing::*;

    #[test]
    fn a_batch_that_cannot_be_kept_changes_nothing_and_nobody_hears_of_it() {
        let mut desk = Desk::open();
        let mut phone = desk.phone();
        let registration = desk.claim(1);
        desk.writer.journal.limit_pages(1);
        let before = desk.room().snapshot();
        let answers = desk.serve([
            order(GALA, registration.clone()),
            order(GALA, Command::Standby(wish("TV"))),
            order(GALA, Command::Reset(ResetScope::Participants(SessionId([9; 16])))),
            opens("other"),
            order("other", Command::AddPrize(bulky("a"))),
            order("other", Command::AddPrize(bulky("b"))),
            order(GALA, Command::Reveal),
            order("nowhere", Command::Reveal),
        ]);
        assert!(answers.iter().all(|answer| matches!(answer, Err(Rejection::NotDurable))), "refusals too: {answers:?}");
        assert!(!desk.writer.durable.load(Relaxed));
        assert!(Arc::ptr_eq(&before, &desk.room().snapshot()) && desk.directory.find("other").is_none());
        let state = &desk.hall().state;
        assert_eq!((state.event.session, state.event.participant_count(), state.ring.last_seq()), (before.event.session, 0, 0));
        assert!(state.event.standby.is_none() && Arc::ptr_eq(&state.roster, &before.roster), "claims go on where they were");

        desk.writer.journal.limit_pages(u32::MAX >> 1);
        let answers = desk.serve([order(GALA, registration), opens("other"), order(GALA, Command::Standby(wish("Car")))]);
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert_eq!(answers[0].as_ref().unwrap().outcome, Outcome::Registered { number: crate::draw::Number(1), existing: false });
        assert!(desk.writer.durable.load(Relaxed));
        phone.until(b"\"Car\"");
        assert!(phone.has_heard(b"\"seq\":1,") && !phone.has_heard(b"\"TV\"") && !phone.has_heard(b"event_reset"));
    }

    #[test]
    fn an_event_is_opened_and_played_with_in_one_batch() {
        let mut desk = Desk::open();
        let answers = desk.serve([
            order("new", Command::Reveal),
            opens("new"),
            opens("new"),
            order("new", Command::Standby(wish("TV"))),
            opens("third"),
            opens("one-too-many"),
        ]);
        let said: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().map(ToString::to_string)).collect();
        let denied = |denial: Rejection| Some(denial.to_string());
        let too_many = denied(Rejection::TooManyEvents { max: 3 });
        assert_eq!(said, [denied(Rejection::NoSuchEvent), None, denied(Rejection::EventExists), None, None, too_many]);
        let snapshot = desk.directory.find("new").unwrap().snapshot();
        assert!(snapshot.event.standby.is_some() && snapshot.revision == 1, "it is shown once, as it is in the end");
        assert!(Arc::ptr_eq(&snapshot, &answers[1].as_ref().unwrap().snapshot), "every answer comes with the batch's end");
    }

    #[test]
    fn a_deletion_falls_between_the_commands_around_it() {
        let mut desk = Desk::open();
        let (mut phone, old) = (desk.phone(), desk.room());
        let (before, mut kept) = order(GALA, Command::Standby(wish("TV")));
        let (reply, mut deleted) = tokio::sync::oneshot::channel();
        let (after, mut refused) = order(GALA, Command::Standby(wish("Car")));
        let (again, mut opened) = opens(GALA);
        desk.writer.round(vec![before, Request::Delete { event: id(GALA), reply }, after, again]);
        assert!(kept.try_recv().unwrap().is_ok() && deleted.try_recv().unwrap().is_ok());
        assert!(matches!(refused.try_recv().unwrap(), Err(Rejection::NoSuchEvent)));
        let anew = opened.try_recv().unwrap().unwrap().snapshot;
        assert!(!Arc::ptr_eq(&old, &desk.room()) && anew.event.epoch != old.snapshot().event.epoch);
        phone.until(&[0x88, 2, 0x11, 0x34]);
        assert!(phone.has_heard(b"\"TV\""), "it heard what came before, and then 4404");
        desk.phone();
    }
}
