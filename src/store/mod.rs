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

use crate::draw::fact::RecordedFact;
use crate::draw::{DrawId, EventId, Number, Timestamp};

/// One row to commit: a fact of an event, with a winner's details where it brings some.
#[derive(Clone, Debug)]
pub struct Entry {
    pub event: EventId,
    pub stamped: RecordedFact,
    pub details: Option<Details>,
}

/// What a winner handed in. Never printed: `Debug` shows no field.
#[derive(Clone, PartialEq, Eq)]
pub struct Details {
    pub draw: DrawId,
    pub number: Number,
    pub name: String,
    pub phone: String,
    pub address: Option<String>,
    pub submitted_at: Timestamp,
}

impl std::fmt::Debug for Details {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Details(..)")
    }
}

/// A line of the audit trail: what was done, when and by whom, and nothing that is not yet to be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// Rising; the place to go on reading from.
    pub id: i64,
    pub at: Timestamp,
    pub actor: String,
    pub kind: String,
    /// The fact as a JSON object, without entropy, picks or key hashes.
    pub summary: String,
}
