//! Facts out of a file: row by row, in the order in which they were committed.
//!
//! The server that opens its journal and the reader of a copy share this one way, so a copy that it
//! can read is one that a server can start from. Nothing here writes.

use crate::draw::fact::RecordedFact;
use crate::draw::{EventId, Timestamp};
use crate::store::erasure::MARK;
use crate::store::error::JournalError;
use crate::store::record::{self, Record, bounds};
use crate::store::seal::Seal;
use rusqlite::{Connection, Row};
use std::collections::HashMap;

/// Calls `take` with every fact, in order.
///
/// # Errors
/// At the first row that this program cannot read, which the error names.
pub(super) fn facts(db: &Connection, picks: &Seal, mut take: impl FnMut(EventId, RecordedFact)) -> Result<(), JournalError> {
    let event_ids = all_event_ids(db)?;
    let mut statement = db.prepare_cached("SELECT id, event, at, actor, kind, v, body FROM fact ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut text = String::new();
    while let Some(row) = rows.next()? {
        let (id, key): (i64, i64) = (row.get(0)?, row.get(1)?);
        let Some(event) = event_ids.get(&key).ok_or(JournalError::Orphan { row: id })? else { continue };
        let in_row = |source| JournalError::Record { row: id, source };
        let at = Timestamp(row.get(2)?);
        let actor = record::decode_actor(text_column(row, 3)?).map_err(in_row)?;
        let record = Record { kind: text_column(row, 4)?, version: row.get(5)?, body: text_column(row, 6)? };
        bounds::check_row(at, record.body).map_err(in_row)?;
        let fact = record::decode(event, record, picks, &mut text).map_err(in_row)?;
        bounds::check(&fact).map_err(in_row)?;
        take(event.clone(), RecordedFact { at, actor, fact });
    }
    Ok(())
}

/// The events' ids by their keys in the file. Deleted events whose rows are still there are left
/// out.
pub(super) fn event_ids(db: &Connection) -> Result<HashMap<i64, EventId>, JournalError> {
    let ids = all_event_ids(db)?.into_iter();
    Ok(ids.filter_map(|(key, id)| Some((key, id?))).collect())
}

/// The events' ids by their keys; `None` for a deleted event whose rows are still there.
fn all_event_ids(db: &Connection) -> Result<HashMap<i64, Option<EventId>>, JournalError> {
    let mut statement = db.prepare_cached("SELECT key, id FROM event")?;
    let mut rows = statement.query([])?;
    let mut event_ids = HashMap::new();
    while let Some(row) = rows.next()? {
        let name = text_column(row, 1)?;
        let event = match EventId::parse(name) {
            None if name.starts_with(MARK) => None,
            None => return Err(JournalError::EventName { name: name.to_owned() }),
            event => event,
        };
        event_ids.insert(row.get(0)?, event);
    }
    Ok(event_ids)
}

/// A text column, not copied.
fn text_column<'row>(row: &'row Row<'_>, index: usize) -> rusqlite::Result<&'row str> {
    Ok(row.get_ref(index)?.as_str()?)
}
