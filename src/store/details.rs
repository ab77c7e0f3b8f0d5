//! The winners' details: encrypted, in a table of their own, outside the facts, the replay and the proof.
//!
//! Apart from the facts because facts are kept for good and details are not: they go after their days, with their event, and
//! nothing else changes when they do. In the clear are only which win they belong to and when they came, to find and purge them by;
//! both are sealed along, so that neither can be altered. This file prints and logs nothing.

use crate::draw::fact::WinnerDetails;
use crate::draw::{DrawId, EventId, Number, Timestamp};
use crate::store::error::JournalError;
use crate::store::seal::Seal;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Text {
    name: String,
    phone: String,
    address: Option<String>,
}

/// Keeps a winner's details, unless that win has some: the first stand.
pub(super) fn insert(db: &Connection, seal: &Seal, event: &EventId, key: i64, details: &WinnerDetails) -> rusqlite::Result<()> {
    let WinnerDetails { draw, number, name, phone, address, submitted_at } = details;
    let text = Text { name: name.clone(), phone: phone.clone(), address: address.clone() };
    let text = serde_json::to_vec(&text).expect("three texts are always JSON");
    let sealed = seal.close(&place(event, *draw, *number, *submitted_at), &text);
    let sql = "INSERT INTO details VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
    db.prepare_cached(sql)?.execute((key, draw.0, number.0, submitted_at.0, sealed))?;
    Ok(())
}

/// The details of an event after a seat, by draw and number. O(limit).
///
/// # Errors
/// [`JournalError::Details`] when one does not open.
pub(super) fn read(
    db: &Connection,
    seal: &Seal,
    (event, key): (&EventId, i64),
    after: (DrawId, Number),
    limit: u32,
) -> Result<Vec<WinnerDetails>, JournalError> {
    let sql = "SELECT draw, number, at, sealed FROM details WHERE event = ?1 AND (draw, number) > (?2, ?3)
        ORDER BY draw, number LIMIT ?4";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query((key, after.0.0, after.1.0, limit))?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let (draw, number, submitted_at) = (DrawId(row.get(0)?), Number(row.get(1)?), Timestamp(row.get(2)?));
        let sealed = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        let text = seal.open(&place(event, draw, number, submitted_at), sealed);
        let text = text.and_then(|text| serde_json::from_slice::<Text>(&text).ok());
        let Text { name, phone, address } = text.ok_or(JournalError::Details { draw, number })?;
        all.push(WinnerDetails { draw, number, name, phone, address, submitted_at });
    }
    Ok(all)
}

/// Deletes the details that came before a time, and says how many.
pub(super) fn purge(db: &Connection, before: Timestamp) -> rusqlite::Result<usize> {
    db.prepare_cached("DELETE FROM details WHERE at < ?1")?.execute([before.0])
}

/// Where details belong, for the seal. An event's id holds no nought byte, and the rest is of fixed length.
fn place(event: &EventId, draw: DrawId, number: Number, at: Timestamp) -> Vec<u8> {
    [event.as_str().as_bytes(), &[0], &draw.0.to_be_bytes(), &number.0.to_be_bytes(), &at.0.to_be_bytes()].concat()
}
