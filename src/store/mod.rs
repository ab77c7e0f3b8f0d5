//! The journal: an append-only log of facts in one SQLite file, and what has to lie beside it.
//!
//! [`journal`] commits, replays, backs up and deletes; `replay` reads facts; `record` is the layout of a fact at rest; `details` keeps the winners'
//! details, encrypted and apart from the facts; `copies` are made before rows are deleted; `schema` is the SQL, with the views a person reads; `error` says what can go
//! wrong and how bad it is. [`keys`] is the one secret of a data folder and what is derived from it, `seal` what closes a pick,
//! `folder` the data folder itself. [`reading`] looks at a journal without holding it, also at one that a server writes, and [`parcel`] is one
//! event in one file. This room knows no tokio, no hyper and nothing live. One thread writes with it: the sequencer's.

pub(crate) mod copies;
mod details;
mod error;
pub mod event_export;
pub(crate) mod folder;
pub mod journal;
pub mod keys;
pub mod reading;
mod record;
mod replay;
mod schema;
mod seal;
pub mod tokens;

pub use error::{CommitError, JournalError};
pub use folder::{LockError, last_holder};
pub use journal::Journal;
pub use keys::{Keys, KeysError};
pub use record::RecordError;

use crate::draw::EventId;
use crate::draw::fact::{RecordedFact, WinnerDetails};

/// A row to commit: a fact of an event, and the winner's details where the fact brings some.
#[derive(Clone, Debug)]
pub struct JournalEntry {
    /// The event that the fact belongs to.
    pub event: EventId,
    /// The fact with its time and author.
    pub stamped: RecordedFact,
    /// The details that a [`Fact::DetailsReceived`](crate::draw::Fact) came with.
    pub details: Option<WinnerDetails>,
}
