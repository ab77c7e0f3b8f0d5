//! The door to the sequencer: a bounded queue of orders, and the two ways an answer goes back.

use crate::base::threads::{LivenessProbe, PendingProbe, probe};
use crate::draw::command::Command;
use crate::draw::fact::Settings;
use crate::draw::fact::{AuditLine, WinnerDetails};
use crate::draw::{Actor, DrawId, EventId, Number, Outcome, Prize, Refusal};
use crate::live::PeerId;
use crate::live::room::Snapshot;
use bytes::Bytes;
use crossbeam::channel::{SendTimeoutError, Sender, TrySendError};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// What is ordered.
#[derive(Debug)]
pub enum Request {
    /// A command to an event.
    Command { event: EventId, actor: Actor, command: Command, details: Option<WinnerDetails>, reply: Responder },
    /// Open a new event.
    Open { event: EventId, settings: Settings, prizes: Vec<Prize>, reply: Responder },
    /// Remove an event's rows.
    Delete { event: EventId, reply: oneshot::Sender<Result<(), Rejection>> },
    /// Read winners' details after a seat, at most `limit`, by draw and number.
    ReadDetails {
        event: EventId,
        after: (DrawId, Number),
        limit: u32,
        reply: oneshot::Sender<Result<Vec<WinnerDetails>, Rejection>>,
    },
    /// Delete the winners' details of an event.
    DropDetails { event: EventId, reply: oneshot::Sender<Result<(), Rejection>> },
    /// Read the audit trail, newest first, below `before`.
    ReadAudit { event: EventId, before: Option<i64>, limit: u32, reply: oneshot::Sender<Result<Vec<AuditLine>, Rejection>> },
    /// Let go of this: somebody asks whether the writer still comes round to its work.
    Answer(LivenessProbe),
    /// Serve what came before, then end.
    Stop,
}

/// A command's answer, once its facts are committed and published.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub outcome: Outcome,
    /// The event with the command's facts in it.
    pub snapshot: Arc<Snapshot>,
}

/// Why a command did nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Rejection {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("no such event")]
    NoSuchEvent,
    #[error("an event of that name exists")]
    EventExists,
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
}

/// How an answer goes back.
#[derive(Debug)]
pub enum Responder {
    /// To a handler that waits.
    Handler(oneshot::Sender<Result<Accepted, Rejection>>),
    /// To a peer, as the frames that `encode` makes of it.
    Peer { peer: PeerId, encode: fn(&Result<Accepted, Rejection>) -> Bytes },
    /// Nobody waits.
    Nobody,
}

/// The door. Cheap to clone. Orders are boxed: the queue makes every place at once, and a place of an order's own size costs 2 MB of them.
#[derive(Clone, Debug)]
pub struct Inbox {
    orders: Sender<Box<Request>>,
}

impl Inbox {
    /// A door onto `orders`.
    pub fn new(orders: Sender<Box<Request>>) -> Self {
        Self { orders }
    }

    /// How many orders wait.
    pub fn depth(&self) -> usize {
        self.orders.len()
    }

    /// How many may wait.
    pub fn limit(&self) -> usize {
        self.orders.capacity().unwrap_or(usize::MAX)
    }

    /// Puts an order in, or says at once that there is no room.
    ///
    /// # Errors
    /// [`Rejection::Overloaded`] when the queue is full or the sequencer has stopped.
    pub fn post(&self, order: Request) -> Result<(), Rejection> {
        self.orders.try_send(Box::new(order)).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Rejection::Overloaded,
        })
    }

    /// Calls the writer; waits for room until `deadline`.
    pub fn call(&self, deadline: Instant) -> PendingProbe {
        let has_room = |order| !matches!(self.orders.send_deadline(order, deadline), Err(SendTimeoutError::Timeout(_)));
        probe("sequencer", |call| has_room(Box::new(Request::Answer(call))))
    }

    /// Submits a command and waits until it is committed and published, or denied. Dropping the future abandons the answer, not the command.
    ///
    /// # Errors
    /// Whatever the sequencer denies it for.
    pub async fn submit(&self, event: EventId, actor: Actor, command: Command) -> Result<Accepted, Rejection> {
        self.ask(|reply| Request::Command { event, actor, command, details: None, reply: Responder::Handler(reply) }).await
    }

    /// Puts in the order that `make` builds around a reply, and waits for the answer.
    ///
    /// # Errors
    /// Whatever the sequencer denies it for.
    pub async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<Result<T, Rejection>>) -> Request) -> Result<T, Rejection> {
        let (reply, answer) = oneshot::channel();
        self.post(make(reply))?;
        answer.await.unwrap_or(Err(Rejection::Overloaded))
    }
}
