//! Requests that no rule decides: reads of details and of the audit trail, and the beginning of
//! deletions. Served between two batches.
//!
//! They go through the writer since one connection holds the journal, and so that each sees every
//! commit before it.

use crate::draw::EventId;
use crate::sequencer::deletion::DeletionCause;
use crate::sequencer::inbox::{Rejection, Request};
use crate::sequencer::{Sequencer, exit_if_fatal};
use crate::store::{CommitError, JournalError};

impl Sequencer {
    /// Serves a request that is no command. A caller that has gone misses its answer and nothing
    /// else.
    pub(super) fn serve_query(&mut self, request: Request) {
        match request {
            Request::Delete { event, reply } => self.begin_deletion(event, DeletionCause::Asked(reply)),
            Request::DropDetails { event, reply } => drop(reply.send(self.drop_details(&event))),
            Request::ReadDetails { event, after, limit, reply } => {
                let details = self.require_event(&event).and_then(|()| {
                    let read = self.journal.details_after(&event, after, limit);
                    read.map_err(|error| unreadable(&error))
                });
                drop(reply.send(details));
            }
            Request::ReadAudit { event, before, limit, reply } => {
                let lines = self.require_event(&event).and_then(|()| {
                    let read = self.journal.audit(&event, before, limit);
                    read.map_err(|error| unreadable(&error))
                });
                drop(reply.send(lines));
            }
            Request::Probe(probe) => drop(probe),
            Request::Command { .. } | Request::SubmitDetails { .. } | Request::Open { .. } | Request::Stop => {
                unreachable!("a batch serves these itself")
            }
        }
    }

    fn drop_details(&mut self, id: &EventId) -> Result<(), Rejection> {
        self.require_event(id)?;
        let dropped = self.journal.drop_details(id);
        self.require_written(dropped)
    }

    fn require_event(&self, id: &EventId) -> Result<(), Rejection> {
        self.events.contains_key(id).then_some(()).ok_or(Rejection::NoSuchEvent)
    }

    fn require_written(&mut self, written: Result<(), CommitError>) -> Result<(), Rejection> {
        exit_if_fatal(written).map_err(|error| {
            self.note_failed_write(&error, 0);
            Rejection::NotDurable
        })?;
        self.note_write();
        Ok(())
    }
}

fn unreadable(error: &JournalError) -> Rejection {
    tracing::error!(%error, "the journal could not be read");
    Rejection::NotDurable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::command::Command;
    use crate::draw::{DrawId, Number};
    use crate::sequencer::testing::*;
    use tokio::sync::oneshot::{self, Sender};

    /// Serves the query that `make` builds around a reply channel.
    fn ask<T>(server: &mut TestSequencer, make: impl FnOnce(Sender<Result<T, Rejection>>) -> Request) -> Result<T, Rejection> {
        let (reply, mut answer) = oneshot::channel();
        server.sequencer.serve(vec![make(reply)]);
        answer.try_recv().expect("a query is answered at once")
    }

    /// Deletes an event, to its end.
    fn delete(server: &mut TestSequencer, event: &str) -> Result<(), Rejection> {
        let (request, mut answer) = delete_request(event);
        server.sequencer.serve(vec![request]);
        server.finish_deletions();
        answer.try_recv().expect("a deletion is answered")
    }

    #[test]
    fn details_are_read_page_by_page_and_dropped_together() {
        let mut server = TestSequencer::open();
        let (first, second) = (server.announce_draw("TV"), server.announce_draw("Car"));
        server.serve([details_request(GALA, 2, second, "Lee"), details_request(GALA, 1, first, "Kim")]);
        let mut page = |after, limit| {
            let read = ask(&mut server, |reply| Request::ReadDetails { event: id(GALA), after, limit, reply });
            read.unwrap().iter().map(|details| details.draw).collect::<Vec<_>>()
        };
        let start = (DrawId(0), Number(0));
        assert_eq!(page(start, 9), [first, second]);
        assert_eq!(page(start, 1), [first]);
        assert_eq!(page((first, Number(1)), 9), [second]);
        ask(&mut server, |reply| Request::DropDetails { event: id(GALA), reply }).unwrap();
        assert_eq!(server.sequencer.journal.details(&id(GALA)).unwrap(), []);
    }

    #[test]
    fn the_audit_trail_is_read_newest_first() {
        let mut server = TestSequencer::with_participant();
        server.serve([command_request(GALA, Command::Standby(draw_request("TV")))]).remove(0).unwrap();
        let mut lines =
            |before, limit| ask(&mut server, |reply| Request::ReadAudit { event: id(GALA), before, limit, reply }).unwrap();
        let newest = lines(None, 1).remove(0);
        assert_eq!((newest.kind.as_str(), newest.actor.as_str()), ("standby_shown", "admin"));
        let older = lines(Some(newest.id), 9);
        assert!(older.iter().all(|line| line.id < newest.id) && older.last().unwrap().kind == "opened");
    }

    #[test]
    fn a_query_sees_every_commit_before_it_in_the_same_batch() {
        let mut server = TestSequencer::with_participant();
        let (command, _answer) = command_request(GALA, Command::Standby(draw_request("TV")));
        let (reply, mut lines) = oneshot::channel();
        let query = Request::ReadAudit { event: id(GALA), before: None, limit: 1, reply };
        server.sequencer.serve(vec![command, query]);
        assert_eq!(lines.try_recv().unwrap().unwrap()[0].kind, "standby_shown");
    }

    #[test]
    fn a_query_of_an_unknown_event_is_rejected() {
        let mut server = TestSequencer::open();
        let event = || id("nowhere");
        let after = (DrawId(0), Number(0));
        let details = ask(&mut server, |reply| Request::ReadDetails { event: event(), after, limit: 1, reply });
        let lines = ask(&mut server, |reply| Request::ReadAudit { event: event(), before: None, limit: 1, reply });
        let dropped = ask(&mut server, |reply| Request::DropDetails { event: event(), reply });
        let deleted = delete(&mut server, "nowhere");
        for rejection in [details.err(), lines.err(), dropped.err(), deleted.err()] {
            assert!(matches!(rejection, Some(Rejection::NoSuchEvent)), "{rejection:?}");
        }
    }

    #[test]
    fn an_event_in_use_is_not_deleted() {
        let mut server = TestSequencer::open();
        let console = server.console();
        assert!(matches!(delete(&mut server, GALA), Err(Rejection::EventInUse)));
        drop(console);
        server.wait_until(|server| server.room().connections.total() == 0);
        delete(&mut server, GALA).unwrap();
        assert!(server.directory.find(GALA).is_none());
    }

    #[test]
    fn nothing_is_deleted_when_no_copy_can_be_made() {
        let mut server = TestSequencer::open();
        std::fs::write(&server.sequencer.limits.backups_dir, "a file where the folder should be").unwrap();
        assert!(matches!(delete(&mut server, GALA), Err(Rejection::NotDurable)));
        server.serve([command_request(GALA, server.claim(1))]).remove(0).unwrap();
        assert!(server.directory.find(GALA).is_some() && server.sequencer.journal.events().count() == 1);
    }

    #[test]
    fn a_caller_that_has_gone_stops_nothing() {
        let mut server = TestSequencer::open();
        let (reply, answer) = oneshot::channel();
        drop(answer);
        server.sequencer.serve(vec![Request::Delete { event: id(GALA), reply }]);
        server.finish_deletions();
        assert!(server.directory.find(GALA).is_none());
    }
}
