//! The way into the sequencer: a bounded queue of requests, and how each answer goes back.
//!
//! A full queue refuses at once, so that back-pressure reaches the caller instead of growing
//! memory. The bound is a count of places. A caller that gives something away with its request
//! takes its [`Place`] first: a number that is claimed for a request that then finds the queue full
//! would be lost to everybody. Nothing here runs code of the caller on the writer's thread: an
//! answer is a value on a channel, or a frame that `wire` encodes.

use crate::base::threads::{LivenessProbe, PendingProbe, probe};
use crate::draw::command::{Command, WinSelector};
use crate::draw::fact::{AuditLine, Settings, WinnerDetails};
use crate::draw::{Actor, DrawId, EventId, Number, Outcome, Prize, Refusal};
use crate::live::PeerId;
use crate::live::room::Snapshot;
use crate::wire::reply::Acknowledged;
use crate::wire::request::Contact;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Interval between two tries of a probe that waits for a place.
const PLACE_RETRY: Duration = Duration::from_millis(1);

/// A request to the sequencer.
#[expect(missing_docs, reason = "the variants say what their fields are")]
#[derive(Debug)]
pub enum Request {
    /// Decides a command of an event.
    Command { event: EventId, actor: Actor, command: Command, reply: Responder },
    /// Stores a winner's contact details; the rules find the win that `win` selects.
    SubmitDetails { event: EventId, actor: Actor, number: Number, win: WinSelector, contact: Contact, reply: Responder },
    /// Opens a new event with its prizes.
    Open { event: EventId, settings: Settings, prizes: Vec<Prize>, reply: Responder },
    /// Deletes an event and its rows.
    Delete { event: EventId, reply: oneshot::Sender<Result<(), Rejection>> },
    /// Reads at most `limit` winners' details that follow a seat, by draw and number.
    ReadDetails {
        event: EventId,
        after: (DrawId, Number),
        limit: u32,
        reply: oneshot::Sender<Result<Vec<WinnerDetails>, Rejection>>,
    },
    /// Deletes the winners' details of an event.
    DropDetails { event: EventId, reply: oneshot::Sender<Result<(), Rejection>> },
    /// Reads at most `limit` lines of the audit trail, newest first, with ids below `before`.
    ReadAudit { event: EventId, before: Option<i64>, limit: u32, reply: oneshot::Sender<Result<Vec<AuditLine>, Rejection>> },
    /// Asks for a sign of life; dropping the probe is the answer.
    Probe(LivenessProbe),
    /// Stops the writer once it has served the requests before this one.
    Stop,
}

/// The answer to a command whose facts are committed and published.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The decision of the rules.
    pub outcome: Outcome,
    /// The event with every fact of the command's batch in it.
    pub snapshot: Arc<Snapshot>,
}

/// The reason why a request changed nothing.
#[expect(missing_docs, reason = "the messages say what failed")]
#[derive(Clone, Debug, thiserror::Error)]
pub enum Rejection {
    /// The rules refused the command.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No event has this id.
    #[error("no such event")]
    NoSuchEvent,
    /// An event with this id is open already.
    #[error("an event of that name exists")]
    EventExists,
    /// The server holds as many events as it may.
    #[error("this server holds at most {max} events")]
    TooManyEvents { max: u32 },
    /// A display or console is connected to the event that was to be deleted.
    #[error("the event is in use")]
    EventInUse,
    /// The facts could not be committed; nothing changed.
    #[error("the journal cannot be written")]
    NotDurable,
    /// The inbox is full, or the server is stopping.
    #[error("the server is busy")]
    Overloaded,
    /// The deadline passed before the answer; the request may still be served.
    #[error("the server did not answer in time: the command is perhaps done")]
    Unanswered,
}

impl Rejection {
    /// The stable code that clients see.
    pub fn code(&self) -> &'static str {
        match self {
            Rejection::Refused(refusal) => refusal.code(),
            Rejection::NoSuchEvent => "EVENT_NOT_FOUND",
            Rejection::EventExists => "EVENT_EXISTS",
            Rejection::TooManyEvents { .. } => "TOO_MANY_EVENTS",
            Rejection::EventInUse => "EVENT_IN_USE",
            Rejection::NotDurable => "NOT_DURABLE",
            Rejection::Overloaded => "OVERLOADED",
            Rejection::Unanswered => "OUTCOME_UNKNOWN",
        }
    }
}

/// The way an answer goes back.
#[expect(missing_docs, reason = "the variants say what their fields are")]
#[derive(Debug)]
pub enum Responder {
    /// To a handler that awaits it.
    Handler(oneshot::Sender<Result<Accepted, Rejection>>),
    /// To a peer, as the acknowledgement of its message.
    Peer { peer: PeerId, message: Acknowledged },
    /// To nobody: the request came from the server itself.
    Discard,
}

/// Longest wait for an answer: far above a commit on a slow disk, and below the time after which a
/// phone or a proxy gives up.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Opens a queue for at most `limit` requests.
pub fn queue(limit: usize) -> (Inbox, RequestQueue) {
    let (sender, receiver) = unbounded();
    (Inbox { requests: sender, free: Arc::new(AtomicUsize::new(limit)), limit }, RequestQueue { requests: receiver })
}

/// The sending end of the queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbox {
    requests: Sender<QueuedRequest>,
    /// Places that nobody holds. Written by every sender and by the writer. Relaxed: it bounds
    /// memory, and orders nothing.
    free: Arc<AtomicUsize>,
    limit: usize,
}

/// A place in the queue that is taken and not used yet. Dropping it gives it back.
#[derive(Debug)]
pub struct Place<'a> {
    inbox: &'a Inbox,
    permit: PlacePermit,
}

/// The receiving end of the queue: the sequencer's.
#[derive(Debug)]
pub struct RequestQueue {
    requests: Receiver<QueuedRequest>,
}

/// A request with its place, which becomes free once the writer takes the request out. A stop needs
/// none.
#[derive(Debug)]
struct QueuedRequest {
    request: Request,
    _permit: Option<PlacePermit>,
}

/// One place less in a count until it is dropped.
#[derive(Debug)]
struct PlacePermit(Arc<AtomicUsize>);

impl Drop for PlacePermit {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

impl Inbox {
    /// Requests that wait.
    pub fn depth(&self) -> usize {
        self.requests.len()
    }

    /// Requests that may wait.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Takes a place in the queue without waiting.
    ///
    /// # Errors
    /// [`Rejection::Overloaded`] when every place is taken.
    pub fn reserve(&self) -> Result<Place<'_>, Rejection> {
        let taken = self.free.fetch_update(Relaxed, Relaxed, |free| free.checked_sub(1));
        taken.map_err(|_| Rejection::Overloaded)?;
        Ok(Place { inbox: self, permit: PlacePermit(Arc::clone(&self.free)) })
    }

    /// Queues a request without waiting.
    ///
    /// # Errors
    /// [`Rejection::Overloaded`] when the queue is full or the sequencer has stopped.
    pub fn post(&self, request: Request) -> Result<(), Rejection> {
        self.reserve()?.post(request)
    }

    /// Sends the writer a liveness probe; waits until `deadline` for a place.
    pub fn send_probe(&self, deadline: Instant) -> PendingProbe {
        probe("sequencer", |probe| {
            let place = loop {
                match self.reserve() {
                    Ok(place) => break place,
                    Err(_) if Instant::now() < deadline => std::thread::sleep(PLACE_RETRY),
                    Err(_) => return false,
                }
            };
            // A writer that has ended is another watch's concern.
            let _ = place.post(Request::Probe(probe));
            true
        })
    }

    /// Asks the writer to stop once it has served the requests before; needs no place. False when
    /// the writer has ended.
    pub fn stop(&self) -> bool {
        self.requests.send(QueuedRequest { request: Request::Stop, _permit: None }).is_ok()
    }

    /// Submits a command and waits until it is committed and published, or rejected.
    ///
    /// Dropping the future abandons the answer, not the command.
    ///
    /// # Errors
    /// The sequencer's [`Rejection`].
    pub async fn submit(&self, event: EventId, actor: Actor, command: Command) -> Result<Accepted, Rejection> {
        self.reserve()?.submit(event, actor, command).await
    }

    /// Posts the request that `make` builds around a reply channel, and waits for the answer.
    ///
    /// # Errors
    /// The sequencer's [`Rejection`]; [`Rejection::Overloaded`] when the sequencer ends without an
    /// answer, and [`Rejection::Unanswered`] after [`ANSWER_TIME_MAX`].
    pub async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<Result<T, Rejection>>) -> Request) -> Result<T, Rejection> {
        self.reserve()?.ask(make).await
    }
}

impl Place<'_> {
    /// Queues a request in this place.
    ///
    /// # Errors
    /// [`Rejection::Overloaded`] when the sequencer has stopped.
    pub fn post(self, request: Request) -> Result<(), Rejection> {
        let queued = QueuedRequest { request, _permit: Some(self.permit) };
        self.inbox.requests.send(queued).map_err(|_| Rejection::Overloaded)
    }

    /// Submits a command as [`Inbox::submit`] does. The first poll queues it.
    ///
    /// # Errors
    /// The sequencer's [`Rejection`].
    pub async fn submit(self, event: EventId, actor: Actor, command: Command) -> Result<Accepted, Rejection> {
        self.ask(|reply| Request::Command { event, actor, command, reply: Responder::Handler(reply) }).await
    }

    /// Asks as [`Inbox::ask`] does.
    async fn ask<T>(self, make: impl FnOnce(oneshot::Sender<Result<T, Rejection>>) -> Request) -> Result<T, Rejection> {
        let (reply, answer) = oneshot::channel();
        self.post(make(reply))?;
        match tokio::time::timeout(ANSWER_TIME_MAX, answer).await {
            Ok(answer) => answer.unwrap_or(Err(Rejection::Overloaded)),
            Err(_) => Err(Rejection::Unanswered),
        }
    }
}

impl RequestQueue {
    /// The next request; waits for it until `deadline`.
    ///
    /// # Errors
    /// When none came, or no inbox is left.
    pub fn recv_deadline(&self, deadline: Instant) -> Result<Request, RecvTimeoutError> {
        self.requests.recv_deadline(deadline).map(|queued| queued.request)
    }

    /// The next request, if one waits.
    pub fn try_recv(&self) -> Option<Request> {
        self.requests.try_recv().ok().map(|queued| queued.request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop_details(reply: oneshot::Sender<Result<(), Rejection>>) -> Request {
        Request::DropDetails { event: EventId::parse("gala").unwrap(), reply }
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let (inbox, queue) = queue(1);
        inbox.post(Request::Stop).unwrap();
        assert_eq!((inbox.depth(), inbox.limit()), (1, 1));
        assert!(matches!(inbox.ask(drop_details).await, Err(Rejection::Overloaded)));
        assert!(matches!(queue.try_recv(), Some(Request::Stop)) && queue.try_recv().is_none(), "the refused one left nothing");
        inbox.post(Request::Stop).unwrap();
    }

    #[test]
    fn a_place_is_kept_for_its_request_and_given_back_unused() {
        let (inbox, queue) = queue(1);
        let place = inbox.reserve().unwrap();
        assert!(matches!(inbox.post(Request::Stop), Err(Rejection::Overloaded)), "the only place is taken");
        place.post(Request::Stop).unwrap();
        assert!(inbox.reserve().is_err() && queue.try_recv().is_some());
        drop(inbox.reserve().unwrap());
        assert!(inbox.reserve().is_ok(), "a place that was not used is free again");
        assert!(inbox.reserve().unwrap().post(Request::Stop).is_ok() && inbox.stop(), "a stop needs no place");
    }

    #[tokio::test]
    async fn a_writer_that_ends_without_an_answer_counts_as_busy() {
        let (inbox, queue) = queue(1);
        let (answer, ()) = tokio::join!(inbox.ask(drop_details), async { drop(queue.try_recv()) });
        assert!(matches!(answer, Err(Rejection::Overloaded)), "the writer took the request, then ended");
        drop(queue);
        assert!(matches!(inbox.post(Request::Stop), Err(Rejection::Overloaded)) && !inbox.stop());
    }

    #[test]
    fn a_probe_waits_for_room_and_no_longer_than_its_deadline() {
        let (inbox, queue) = queue(1);
        let deadline = Instant::now() + Duration::from_millis(10);
        let pending = inbox.send_probe(deadline);
        assert!(!inbox.send_probe(deadline).answers_by(deadline), "a full queue takes no second probe");
        assert!(matches!(queue.try_recv(), Some(Request::Probe(_))));
        assert!(pending.answers_by(Instant::now()), "taking the probe and dropping it is the answer");
        drop(queue);
        assert!(inbox.send_probe(deadline).answers_by(deadline), "a writer that has ended is another watch's concern");
    }
}
