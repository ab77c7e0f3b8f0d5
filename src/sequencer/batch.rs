//! One batch of the writer: gather requests, decide them, commit their facts, publish, reply.
//!
//! The order is the product's promise: nobody learns of a fact that could still be lost. Every
//! answer waits for the commit, refusals too, since the fact that caused a refusal may be in the
//! same batch. A failed commit forgets the whole batch and answers each of its requests with
//! [`Rejection::NotDurable`].

use crate::base::chance;
use crate::draw::command::{Author, Command, Decision, DetailsSubmission, Outcome, Sources, WinSelector};
use crate::draw::decide::open_event;
use crate::draw::fact::{RecordedFact, Settings, WinnerDetails};
use crate::draw::{Actor, Event, EventId, Fact, Number, Prize, Refusal, Timestamp};
use crate::live::room::Snapshot;
use crate::sequencer::event_state::{EventState, OutgoingFrames, WorkingState};
use crate::sequencer::inbox::{Accepted, Rejection, Request, Responder};
use crate::sequencer::{Sequencer, exit_if_fatal};
use crate::store::{CommitError, JournalEntry};
use crate::wire::frame;
use crate::wire::request::Contact;
use crate::wire::view::people::masked_phone;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// The most requests per commit.
const BATCH_REQUESTS_MAX: usize = 512;
/// The longest that a batch gathers.
const BATCH_TIME_MAX: Duration = Duration::from_millis(2);

/// Decisions that are not committed yet.
struct Batch {
    /// Time of every fact in it.
    at: Timestamp,
    entries: Vec<JournalEntry>,
    changes: BTreeMap<EventId, Change>,
    answers: Vec<(Responder, EventId, Result<Outcome, Rejection>)>,
}

/// A batch's change of one event.
struct Change {
    /// The state to go back to; `None` for an event that this batch opened.
    before: Option<WorkingState>,
    outgoing: OutgoingFrames,
}

impl Sequencer {
    /// The first request and those that came during the last commit; true when the writer is to
    /// stop after them.
    pub(super) fn gather(&self, first: Request) -> (Vec<Request>, bool) {
        let deadline = Instant::now() + BATCH_TIME_MAX;
        let mut requests = Vec::new();
        let mut next = Some(first);
        while let Some(request) = next {
            if matches!(request, Request::Stop) {
                return (requests, true);
            }
            requests.push(request);
            let has_room = requests.len() < BATCH_REQUESTS_MAX && Instant::now() < deadline;
            next = if has_room { self.requests.try_recv() } else { None };
        }
        (requests, false)
    }

    /// Serves requests in order, as one batch where no query comes between them.
    pub(super) fn serve(&mut self, requests: Vec<Request>) {
        let at = self.clock.wall();
        let mut batch = Batch::new(at);
        for request in requests {
            match request {
                Request::Command { event, actor, command, reply } => {
                    // The answers before it name draws that a reset removes.
                    if matches!(command, Command::Reset(_)) {
                        self.finish(std::mem::replace(&mut batch, Batch::new(at)));
                    }
                    let result = self.decide(&mut batch, &event, actor, &command);
                    batch.answers.push((reply, event, result));
                }
                Request::SubmitDetails { event, actor, number, win, contact, reply } => {
                    let result = self.submit_details(&mut batch, &event, actor, (number, win), contact);
                    batch.answers.push((reply, event, result));
                }
                Request::Open { event, settings, prizes, reply } => {
                    let result = self.open(&mut batch, &event, settings, &prizes);
                    batch.answers.push((reply, event, result));
                }
                // A query sees committed state only, so it divides the batch.
                query => {
                    self.finish(std::mem::replace(&mut batch, Batch::new(at)));
                    self.serve_query(query);
                }
            }
        }
        self.finish(batch);
    }

    /// Lets the rules decide a command, and applies its facts to the working state.
    fn decide(&mut self, batch: &mut Batch, id: &EventId, actor: Actor, command: &Command) -> Result<Outcome, Rejection> {
        let event = self.events.get_mut(id).ok_or(Rejection::NoSuchEvent)?;
        if event.is_ending {
            return Err(Rejection::Overloaded);
        }
        let working = &mut event.working;
        // A number that was given back may have a new owner already.
        if let Command::Register { number, key, session } = command
            && *session == working.event.session
            && working.roster.find(key) != Some(number.0)
        {
            return Err(Refusal::StaleSession.into());
        }
        let sources = Sources { entropy: &mut chance::entropy, drand: &self.limits.drand };
        let Decision { facts, outcome } = working.event.decide(batch.at, command, sources)?;
        if !facts.is_empty() {
            let change = batch.changes.entry(id.clone()).or_insert_with(|| Change::of(Some(working.clone())));
            facts.iter().for_each(|fact| working.apply(batch.at, fact, &mut change.outgoing));
            // A command is one step, though it may announce the draw before.
            let step = facts.iter().rev().find_map(|fact| frame::step_taken(&working.event, actor, fact));
            step.into_iter().for_each(|step| change.outgoing.push_for_consoles(step));
            batch.add_facts(id, actor, facts);
        }
        Ok(outcome)
    }

    /// Stores the details of a win beside the fact that they came; a correction replaces those
    /// before. The address is dropped unless the prize is sent.
    fn submit_details(
        &mut self,
        batch: &mut Batch,
        id: &EventId,
        actor: Actor,
        (number, win): (Number, WinSelector),
        contact: Contact,
    ) -> Result<Outcome, Rejection> {
        let Contact { name, phone, address, made_from } = contact;
        let author = if actor == Actor::Phone { Author::Winner } else { Author::Operator };
        let submission = DetailsSubmission { pick: win, number, by: author, has_address: address.is_some(), made_from };
        let command = Command::ReceiveDetails(submission);
        let outcome = self.decide(batch, id, actor, &command)?;
        if let Outcome::Details { draw, number, keeps_address, .. } = outcome {
            let address = address.filter(|_| keeps_address);
            let details = WinnerDetails { draw, number, name, phone, address, submitted_at: batch.at };
            let change = batch.changes.get_mut(id).expect("details are a fact");
            change.outgoing.push_for_consoles(received_frame(&self.events[id].working.event, &details));
            batch.entries.last_mut().expect("details are a fact").details = Some(details);
        }
        Ok(outcome)
    }

    fn open(&mut self, batch: &mut Batch, id: &EventId, settings: Settings, prizes: &[Prize]) -> Result<Outcome, Rejection> {
        if self.events.contains_key(id) {
            return Err(Rejection::EventExists);
        }
        if self.events.len() as u32 >= self.limits.events_max {
            return Err(Rejection::TooManyEvents { max: self.limits.events_max });
        }
        let (session, epoch) = (chance::session_id(), chance::epoch());
        let facts = open_event(id.clone(), settings.clone(), session, epoch, prizes, &mut chance::entropy)?;
        let mut change = Change::of(None);
        let mut working = WorkingState::new(Event::new(id.clone(), settings, session, epoch, batch.at));
        facts.iter().for_each(|fact| working.apply(batch.at, fact, &mut change.outgoing));
        self.events.insert(id.clone(), EventState::new(working));
        batch.changes.insert(id.clone(), change);
        batch.add_facts(id, Actor::Admin, facts);
        Ok(Outcome::Done)
    }

    /// Commits a batch, publishes its changes and replies; rolls it back where it cannot be
    /// committed.
    fn finish(&mut self, batch: Batch) {
        let Batch { entries, changes, answers, .. } = batch;
        let committed = if entries.is_empty() { Ok(()) } else { self.commit(&entries) };
        match exit_if_fatal(committed) {
            Ok(()) => {
                if !entries.is_empty() {
                    self.note_write();
                }
                changes.into_iter().for_each(|(id, change)| self.publish(&id, change.outgoing));
                for (responder, event, result) in answers {
                    let snapshot = || self.committed_snapshot(&event);
                    self.reply(responder, result.and_then(|outcome| Ok(Accepted { outcome, snapshot: snapshot()? })));
                }
            }
            Err(error) => {
                self.note_failed_write(&error, entries.len());
                changes.into_iter().for_each(|(id, change)| self.roll_back(&id, change.before));
                self.give_back_numbers(&entries);
                answers.into_iter().for_each(|(responder, ..)| self.reply(responder, Err(Rejection::NotDurable)));
            }
        }
    }

    fn commit(&mut self, entries: &[JournalEntry]) -> Result<(), CommitError> {
        let started = Instant::now();
        let committed = self.journal.commit(entries);
        self.metrics.record(started.elapsed(), entries.len(), committed.is_ok());
        committed
    }

    /// Publishes a committed change. A new event is listed in the directory first.
    fn publish(&mut self, id: &EventId, outgoing: OutgoingFrames) {
        let event = self.events.get_mut(id).expect("a changed event is held");
        let (is_new, needs_publication) = (event.room.is_none(), outgoing.needs_publication());
        let publication = event.publish(outgoing);
        if is_new {
            publication.room.connections.note_display(self.started_ms);
            self.directory.insert(publication.room.clone());
        }
        if needs_publication {
            self.reactors.publish(Arc::new(publication));
        }
    }

    fn roll_back(&mut self, id: &EventId, before: Option<WorkingState>) {
        match (self.events.get_mut(id), before) {
            (Some(event), Some(before)) => event.working = before,
            _ => drop(self.events.remove(id)),
        }
    }

    /// Gives back the numbers of registrations that could not be committed. A phone that tries
    /// again claims anew.
    fn give_back_numbers(&self, entries: &[JournalEntry]) {
        for JournalEntry { event, stamped, .. } in entries {
            if let Fact::Registered { number, key, .. } = &stamped.fact
                && let Some(event) = self.events.get(event)
            {
                event.working.roster.give_back(key, number.0);
            }
        }
    }

    /// The committed state of an event, as its room shows it.
    fn committed_snapshot(&self, event: &EventId) -> Result<Arc<Snapshot>, Rejection> {
        let room = self.events.get(event).and_then(|event| event.room.as_ref());
        room.map(|room| room.snapshot()).ok_or(Rejection::NoSuchEvent)
    }

    fn reply(&self, responder: Responder, answer: Result<Accepted, Rejection>) {
        match responder {
            // The caller may have gone; its facts are committed all the same.
            Responder::Handler(waiting) => drop(waiting.send(answer)),
            Responder::Peer { peer, message } => {
                let frame = match &answer {
                    Ok(Accepted { outcome, snapshot }) => message.encode(Ok((outcome, &snapshot.event))),
                    Err(rejection) => message.encode(Err((rejection.code(), &rejection.to_string()))),
                };
                self.reactors.unicast(peer, frame);
            }
            Responder::Discard => {}
        }
    }

    /// Notes that the journal took a write: it is durable, and due for a checkpoint once it is
    /// quiet.
    pub(super) fn note_write(&mut self) {
        self.timers.restart_checkpoint(Instant::now());
        if !self.durable.swap(true, Relaxed) {
            tracing::info!("the journal can be written again");
        }
    }

    /// Notes a write that failed and changed nothing. Logged as an error once, not for each write
    /// while the disk is full.
    pub(super) fn note_failed_write(&self, error: &CommitError, facts: usize) {
        let cause = error.source().map(ToString::to_string);
        if self.durable.swap(false, Relaxed) {
            tracing::error!(%error, cause, facts, "not committed; trying again every second");
        } else {
            tracing::debug!(%error, cause, facts, "not committed");
        }
    }
}

impl Batch {
    fn new(at: Timestamp) -> Self {
        Self { at, entries: Vec::new(), changes: BTreeMap::new(), answers: Vec::new() }
    }

    fn add_facts(&mut self, event: &EventId, actor: Actor, facts: Vec<Fact>) {
        let recorded = facts.into_iter().map(|fact| RecordedFact { at: self.at, actor, fact });
        self.entries.extend(recorded.map(|stamped| JournalEntry { event: event.clone(), stamped, details: None }));
    }
}

impl Change {
    fn of(before: Option<WorkingState>) -> Self {
        Self { before, outgoing: OutgoingFrames::default() }
    }
}

/// The frame that tells consoles of a winner's details, the phone number masked.
fn received_frame(event: &Event, details: &WinnerDetails) -> bytes::Bytes {
    let prize_name = event.draw(details.draw).map_or("", |draw| &draw.spec.prize_name);
    let phone = masked_phone(&details.phone);
    frame::winner_info_received(details.number, prize_name, &details.name, &phone, details.submitted_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::DrawId;
    use crate::draw::SessionId;
    use crate::draw::command::{ResetScope, Show};
    use crate::live::PeerId;
    use crate::sequencer::inbox::queue;
    use crate::sequencer::testing::*;
    use crate::wire::reply::Acknowledged;

    #[test]
    fn a_batch_that_cannot_be_committed_changes_nothing_and_tells_nobody() {
        let mut server = TestSequencer::open();
        let mut phone = server.phone();
        let registration = server.claim(1);
        server.sequencer.journal.limit_pages(1);
        let before = server.room().snapshot();
        let answers = server.serve([
            command_request(GALA, registration.clone()),
            command_request(GALA, Command::AddPrize(page_sized_prize("first"))),
            command_request(GALA, Command::Standby(draw_request("TV"))),
            command_request(GALA, Command::Reset(ResetScope::Participants(SessionId([9; 16])))),
            open_request("other"),
            command_request("other", Command::AddPrize(page_sized_prize("a"))),
            command_request("other", Command::AddPrize(page_sized_prize("b"))),
            command_request(GALA, Command::Reveal(Show::Open)),
            command_request("nowhere", Command::Reveal(Show::Open)),
        ]);
        assert!(answers.iter().all(|answer| matches!(answer, Err(Rejection::NotDurable))), "refusals too: {answers:?}");
        assert!(!server.sequencer.durable.load(Relaxed));
        assert!(Arc::ptr_eq(&before, &server.room().snapshot()) && server.directory.find("other").is_none());
        let working = &server.event().working;
        let event = &working.event;
        assert_eq!((event.session, event.participant_count(), working.ring.last_seq()), (before.event.session, 0, 0));
        assert!(event.standby.is_none() && Arc::ptr_eq(&working.roster, &before.roster));
        assert_eq!(before.roster.find(&[1; 32]), None, "the number went back");

        server.sequencer.journal.limit_pages(u32::MAX >> 1);
        let standby = command_request(GALA, Command::Standby(draw_request("Car")));
        let stale = server.serve([command_request(GALA, registration)]).remove(0);
        assert!(matches!(stale, Err(Rejection::Refused(Refusal::StaleSession))), "its number could be another's: {stale:?}");
        let registration = command_request(GALA, server.claim(1));
        let answers = server.serve([registration, open_request("other"), standby]);
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert_eq!(answers[0].as_ref().unwrap().outcome, Outcome::Registered { number: Number(1), existing: false });
        assert!(server.sequencer.durable.load(Relaxed));
        phone.read_until(b"\"Car\"");
        assert!(phone.has_read(b"\"seq\":1,") && !phone.has_read(b"\"TV\"") && !phone.has_read(b"event_reset"));
    }

    #[test]
    fn an_event_is_opened_and_changed_in_one_batch() {
        let mut server = TestSequencer::open();
        let answers = server.serve([
            command_request("new", Command::Reveal(Show::Open)),
            open_request("new"),
            open_request("new"),
            command_request("new", Command::AddPrize(page_sized_prize("TV"))),
            open_request("third"),
            open_request("one-too-many"),
        ]);
        let codes: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().map(ToString::to_string)).collect();
        let rejected = |rejection: Rejection| Some(rejection.to_string());
        let too_many = rejected(Rejection::TooManyEvents { max: 3 });
        assert_eq!(codes, [rejected(Rejection::NoSuchEvent), None, rejected(Rejection::EventExists), None, None, too_many]);
        let snapshot = server.directory.find("new").unwrap().snapshot();
        assert!(!snapshot.event.prizes.is_empty() && snapshot.revision == 1, "published once, as it is in the end");
        assert!(Arc::ptr_eq(&snapshot, &answers[1].as_ref().unwrap().snapshot), "each answer has the batch's last state");
    }

    #[test]
    fn a_draw_that_a_reset_removes_is_in_the_answer_of_its_own_command() {
        let mut server = TestSequencer::with_participant();
        let answers = server.serve([
            command_request(GALA, Command::DrawAtOnce(draw_request("TV"))),
            command_request(GALA, Command::Reset(ResetScope::Draws)),
        ]);
        let [Ok(drawn), Ok(reset)] = &answers[..] else { panic!("both are accepted: {answers:?}") };
        let Outcome::Revealed(draw) = drawn.outcome else { panic!("no draw: {:?}", drawn.outcome) };
        assert!(drawn.snapshot.event.draw(draw).is_some() && reset.snapshot.event.draw(draw).is_none());
    }

    #[test]
    fn a_deletion_takes_effect_between_the_commands_around_it() {
        let mut server = TestSequencer::with_participant();
        let (mut phone, old) = (server.phone(), server.room());
        let (before, mut first) = command_request(GALA, Command::Standby(draw_request("TV")));
        let (delete, mut deleted) = delete_request(GALA);
        let (after, mut second) = command_request(GALA, Command::Standby(draw_request("Car")));
        server.sequencer.serve(vec![before, delete, after]);
        assert!(first.try_recv().unwrap().is_ok() && deleted.try_recv().is_err());
        assert!(matches!(second.try_recv().unwrap(), Err(Rejection::Overloaded)));
        server.finish_deletions();
        assert!(deleted.try_recv().unwrap().is_ok());
        let new = server.serve([open_request(GALA)]).remove(0).unwrap().snapshot;
        assert!(!Arc::ptr_eq(&old, &server.room()) && new.event.epoch != old.snapshot().event.epoch);
        phone.read_until(&[0x88, 2, 0x11, 0x34]);
        assert!(phone.has_read(b"\"TV\""), "it got the frame before the deletion, then close code 4404");
        server.phone();
    }

    #[test]
    fn the_last_details_of_a_win_are_stored_and_shown_to_consoles_alone() {
        let mut server = TestSequencer::open();
        let (mut phone, mut console) = (server.phone(), server.console());
        let draw = server.announce_draw("TV");
        let answers = server.serve([
            details_request(GALA, 1, draw, "Kim"),
            details_request(GALA, 1, draw, "Lee"),
            details_request(GALA, 2, draw, "Kim"),
            details_request(GALA, 1, DrawId(9), "Kim"),
        ]);
        let outcome = |version| Outcome::Details { draw, number: Number(1), version, keeps_address: false };
        assert_eq!(answers[0].as_ref().unwrap().outcome, outcome(1));
        assert_eq!(answers[1].as_ref().unwrap().outcome, outcome(2), "a second submission replaces it");
        assert!(answers[2..].iter().all(|answer| matches!(answer, Err(Rejection::Refused(Refusal::NotAWinner)))));
        let stored = server.sequencer.journal.details(&id(GALA)).unwrap();
        let [WinnerDetails { name, address, submitted_at, .. }] = &stored[..] else { panic!("one row: {stored:?}") };
        assert_eq!((name.as_str(), address), ("Lee", &None), "this prize is not sent, so no address is kept");
        assert_eq!(*submitted_at, server.event().working.event.changed_at, "the time is that of the fact");
        console.read_until(b"Lee");
        assert!(
            console.has_read(b"Kim") && console.has_read(b"Lee") && !console.has_read(b"010-1234-5678"),
            "the phone number is masked"
        );
        server.register(9);
        server.serve([command_request(GALA, Command::Standby(draw_request("Car")))]).remove(0).unwrap();
        phone.read_until(b"\"Car\"");
        assert!(!phone.has_read(b"winner_info_received"));
    }

    #[test]
    fn details_that_cannot_be_committed_can_be_submitted_again() {
        let mut server = TestSequencer::open();
        let draw = server.announce_draw("TV");
        server.sequencer.journal.limit_pages(1);
        let filler = || command_request(GALA, Command::AddPrize(page_sized_prize("a")));
        let failed = server.serve([details_request(GALA, 1, draw, "Kim"), filler(), filler()]);
        assert!(failed.iter().all(|answer| matches!(answer, Err(Rejection::NotDurable))));
        server.sequencer.journal.limit_pages(u32::MAX >> 1);
        assert_eq!(server.sequencer.journal.details(&id(GALA)).unwrap(), []);
        let answer = server.serve([details_request(GALA, 1, draw, "Kim")]).remove(0).unwrap();
        assert!(matches!(answer.outcome, Outcome::Details { version: 1, .. }));
        assert_eq!(server.sequencer.journal.details(&id(GALA)).unwrap().len(), 1);
    }

    #[test]
    fn a_peer_is_answered_by_the_frame_of_its_message() {
        let mut server = TestSequencer::open();
        let mut phone = server.phone();
        let draw = server.announce_draw("TV");
        // The first peer of the only reactor.
        let peer = PeerId { reactor: 0, slot: 0, generation: 1 };
        let reply = || Responder::Peer { peer, message: Acknowledged::ImHere };
        let arrival = |number| Request::Command {
            event: id(GALA),
            actor: Actor::Phone,
            command: Command::Arrive { draw, number: Number(number) },
            reply: reply(),
        };
        server.sequencer.serve(vec![arrival(1)]);
        phone.read_until(br#"{"type":"im_here_ack","success":true}"#);
        server.sequencer.serve(vec![arrival(2)]);
        phone.read_until(br#"{"type":"im_here_ack","success":false,"code":"NOT_A_WINNER","error":"#);
        let gone = PeerId { generation: 7, ..peer };
        let late = Responder::Peer { peer: gone, message: Acknowledged::ImHere };
        let command = Command::Arrive { draw, number: Number(1) };
        server.sequencer.serve(vec![Request::Command { event: id(GALA), actor: Actor::Phone, command, reply: late }]);
    }

    #[test]
    fn a_batch_ends_at_its_bound_and_at_a_stop() {
        let (inbox, queue) = queue(BATCH_REQUESTS_MAX * 2);
        let mut server = TestSequencer::open();
        server.sequencer.requests = queue;
        let request = || command_request(GALA, Command::Reveal(Show::Open)).0;
        (0..BATCH_REQUESTS_MAX * 2).for_each(|_| inbox.post(request()).unwrap());
        let (requests, stop) = server.sequencer.gather(request());
        assert!(requests.len() <= BATCH_REQUESTS_MAX && !stop, "{} requests", requests.len());
        while server.sequencer.requests.try_recv().is_some() {}
        assert!(inbox.stop());
        inbox.post(request()).unwrap();
        let (requests, stop) = server.sequencer.gather(request());
        assert!(requests.len() == 1 && stop, "a stop comes after what was asked before it, and before anything later");
    }
}
