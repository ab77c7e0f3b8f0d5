//! The way into the sequencer: a bounded queue of requests, and how each answer goes back.
//!
//! A full queue refuses at once, so that back-pressure reaches the caller instead of growing
//! memory. Nothing here runs code of the caller on the writer's thread: an answer is a value on a
//! channel, or a frame that `wire` encodes.

use crate::base::threads::{LivenessProbe, PendingProbe, probe};
use crate::draw::command::{Command, WinSelector};
use crate::draw::fact::{AuditLine, Settings, WinnerDetails};
use crate::draw::{Actor, DrawId, EventId, Number, Outcome, Prize, Refusal};
use crate::live::PeerId;
use crate::live::room::Snapshot;
use crate::wire::reply::Acknowledged;
use crate::wire::request::Contact;
use crossbeam::channel::{SendTimeoutError, Sender, TrySendError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A request to the sequencer.
#[expect(missing_docs, reason = "the variants say what their fields are")]
#[derive(Debug)]
pub enum Request {
    /// Decides a command of an event.
    Command { event: EventId, actor: Actor, command: Command, reply: Responder },
    /// Stores a winner's contact details, once per win; the rules find the win that `win` selects.
    SubmitDetails { event: EventId, number: Number, win: WinSelector, contact: Contact, reply: Responder },
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

/// The sending end of the queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbox {
    /// Boxed, since the queue allocates every slot at once: slots of a request's own size would
    /// take 2 MB.
    requests: Sender<Box<Request>>,
}

impl Inbox {
    /// An inbox that sends to the queue behind `requests`.
    pub fn new(requests: Sender<Box<Request>>) -> Self {
        Self { requests }
    }

    /// Requests that wait.
    pub fn depth(&self) -> usize {
        self.requests.len()
    }

    /// Requests that may wait.
    pub fn limit(&self) -> usize {
        self.requests.capacity().unwrap_or(usize::MAX)
    }

    /// Queues a request without waiting.
    ///
    /// # Errors
    /// [`Rejection::Overloaded`] when the queue is full or the sequencer has stopped.
    pub fn post(&self, request: Request) -> Result<(), Rejection> {
        self.requests.try_send(Box::new(request)).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Rejection::Overloaded,
        })
    }

    /// Sends the writer a liveness probe; waits until `deadline` for room in the queue.
    pub fn send_probe(&self, deadline: Instant) -> PendingProbe {
        let has_room = |request| !matches!(self.requests.send_deadline(request, deadline), Err(SendTimeoutError::Timeout(_)));
        probe("sequencer", |probe| has_room(Box::new(Request::Probe(probe))))
    }

    /// Submits a command and waits until it is committed and published, or rejected.
    ///
    /// Dropping the future abandons the answer, not the command.
    ///
    /// # Errors
    /// The sequencer's [`Rejection`].
    pub async fn submit(&self, event: EventId, actor: Actor, command: Command) -> Result<Accepted, Rejection> {
        self.ask(|reply| Request::Command { event, actor, command, reply: Responder::Handler(reply) }).await
    }

    /// Posts the request that `make` builds around a reply channel, and waits for the answer.
    ///
    /// # Errors
    /// The sequencer's [`Rejection`]; [`Rejection::Overloaded`] when the sequencer ends without an
    /// answer, and [`Rejection::Unanswered`] after [`ANSWER_TIME_MAX`].
    pub async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<Result<T, Rejection>>) -> Request) -> Result<T, Rejection> {
        let (reply, answer) = oneshot::channel();
        self.post(make(reply))?;
        match tokio::time::timeout(ANSWER_TIME_MAX, answer).await {
            Ok(answer) => answer.unwrap_or(Err(Rejection::Overloaded)),
            Err(_) => Err(Rejection::Unanswered),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam::channel::bounded;

    fn drop_details(reply: oneshot::Sender<Result<(), Rejection>>) -> Request {
        Request::DropDetails { event: EventId::parse("gala").unwrap(), reply }
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let (sender, queue) = bounded(1);
        let inbox = Inbox::new(sender);
        inbox.post(Request::Stop).unwrap();
        assert_eq!((inbox.depth(), inbox.limit()), (1, 1));
        assert!(matches!(inbox.ask(drop_details).await, Err(Rejection::Overloaded)));
        assert!(matches!(*queue.recv().unwrap(), Request::Stop) && queue.is_empty(), "the refused request left nothing behind");
    }

    #[tokio::test]
    async fn a_writer_that_ends_without_an_answer_counts_as_busy() {
        let (sender, queue) = bounded(1);
        let inbox = Inbox::new(sender);
        let (answer, ()) = tokio::join!(inbox.ask(drop_details), async { drop(queue.recv()) });
        assert!(matches!(answer, Err(Rejection::Overloaded)), "the writer took the request, then ended");
        drop(queue);
        assert!(matches!(inbox.post(Request::Stop), Err(Rejection::Overloaded)));
    }

    #[test]
    fn a_probe_waits_for_room_and_no_longer_than_its_deadline() {
        let (sender, queue) = bounded(1);
        let inbox = Inbox::new(sender);
        let deadline = Instant::now() + Duration::from_millis(10);
        let pending = inbox.send_probe(deadline);
        assert!(!inbox.send_probe(deadline).answers_by(deadline), "a full queue takes no second probe");
        assert!(matches!(*queue.recv().unwrap(), Request::Probe(_)));
        assert!(pending.answers_by(Instant::now()), "taking the probe and dropping it is the answer");
        drop(queue);
        assert!(inbox.send_probe(deadline).answers_by(deadline), "a writer that has ended is another watch's concern");
    }
}
