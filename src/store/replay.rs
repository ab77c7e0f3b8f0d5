//! Facts out of a file: row by row, in the order in which they were committed.
//!
//! One way to read them, for the server that opens its journal and for whoever looks at a copy of one: a copy that this reads is one
//! that a server can start from. Nothing here writes.

use crate::draw::fact::RecordedFact;
use crate::draw::{EventId, Timestamp};
use crate::store::error::JournalError;
use crate::store::record::{self, Record};
use crate::store::seal::Seal;
use rusqlite::{Connection, Row};
use std::collections::HashMap;

/// Gives every fact to `take`, in order.
///
/// # Errors
/// At the first row that this program cannot read, which the error names.
pub(super) fn facts(db: &Connection, picks: &Seal, mut take: impl FnMut(EventId, RecordedFact)) -> Result<(), JournalError> {
    let names = names(db)?;
    let mut statement = db.prepare_cached("SELECT id, event, at, actor, kind, v, body FROM fact ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut text = String::new();
    while let Some(row) = rows.next()? {
        let (id, key): (i64, i64) = (row.get(0)?, row.get(1)?);
        let event = names.get(&key).ok_or(JournalError::Orphan { row: id })?;
        let actor = record::decode_actor(column(row, 3)?);
        let record = Record { kind: column(row, 4)?, version: row.get(5)?, body: column(row, 6)? };
        let fact = record::decode(event, record, picks, &mut text);
        let in_row = |source| JournalError::Record { row: id, source };
        take(
            event.clone(),
            RecordedFact { at: Timestamp(row.get(2)?), actor: actor.map_err(in_row)?, fact: fact.map_err(in_row)? },
        );
    }
    Ok(())
}

/// The events' names by their keys.
pub(super) fn names(db: &Connection) -> Result<HashMap<i64, EventId>, JournalError> {
    let mut statement = db.prepare_cached("SELECT key, id FROM event")?;
    let mut rows = statement.query([])?;
    let mut names = HashMap::new();
    while let Some(row) = rows.next()? {
        let name = column(row, 1)?;
        let event = EventId::parse(name).ok_or_else(|| JournalError::EventName { name: name.to_owned() })?;
        names.insert(row.get(0)?, event);
    }
    Ok(names)
}

/// A text column, not copied.
fn column<'row>(row: &'row Row<'_>, index: usize) -> rusqlite::Result<&'row str> {
    Ok(row.get_ref(index)?.as_str()?)
}
