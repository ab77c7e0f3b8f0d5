//! The journal: an append-only log of facts in one SQLite file, and the keys that belong to it.
//!
//! [`journal`] commits, replays and deletes; [`reader`] reads a journal without holding it, even
//! one that a server is writing. Both build on `replay` (rows to facts), `record` (a fact as a
//! row), `details` (winners' details, encrypted and apart from the facts), `audit` (facts for
//! people), `copies` (whole journals as files), `erasure` (the rows of deleted events),
//! [`copied_details`] (winners' details in copies), `transaction` (all or nothing) and `schema`
//! (the SQL, with views for people). [`keys`] holds the one secret of a data folder, `seal`
//! encrypts under a key derived from it, and [`tokens`] signs. [`lock`] keeps a second server out,
//! [`event_export`] is one event in one file, and `error` says how bad a failure is. This module
//! must not know tokio, hyper or anything live. Only the sequencer's thread writes through it.

mod audit;
pub mod copied_details;
pub(crate) mod copies;
mod details;
mod erasure;
mod error;
pub mod event_export;
pub mod journal;
pub mod keys;
pub mod lock;
mod log_space;
pub mod reader;
mod record;
mod replay;
mod schema;
mod seal;
#[cfg(test)]
pub(crate) mod testing;
pub mod tokens;
mod transaction;

pub use error::{CommitError, JournalError};
pub use journal::Journal;
pub use keys::{Keys, KeysError};
pub use lock::LockError;
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
