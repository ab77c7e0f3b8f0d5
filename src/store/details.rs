//! Winners' details: encrypted, in a table of their own, outside the facts, the replay and the
//! proof.
//!
//! Facts are kept for good and details are not: they go after their retention period or with their
//! event, and nothing else changes when they do. Only the win they belong to and the time they came
//! are in the clear, to find and purge them by; the seal authenticates both, so that neither can be
//! altered. This file must never print or log a detail.

use crate::draw::fact::WinnerDetails;
use crate::draw::{DrawId, EventId, Number, Timestamp};
use crate::store::error::JournalError;
use crate::store::record::bounds;
use crate::store::seal::Seal;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

/// The part that is sealed.
#[derive(Serialize, Deserialize)]
struct SealedText {
    name: String,
    phone: String,
    address: Option<String>,
}

/// Stores a winner's details, which replace those before.
pub(super) fn insert(db: &Connection, seal: &Seal, event: &EventId, key: i64, details: &WinnerDetails) -> rusqlite::Result<()> {
    let WinnerDetails { draw, number, name, phone, address, submitted_at } = details;
    let text = SealedText { name: name.clone(), phone: phone.clone(), address: address.clone() };
    let text = serde_json::to_vec(&text).expect("three texts are always JSON");
    let sealed = seal.seal(&place(event, *draw, *number, *submitted_at), &text);
    let sql = "INSERT OR REPLACE INTO details VALUES (?1, ?2, ?3, ?4, ?5)";
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
        // A time of no clock would never be due.
        let text = seal.open(&place(event, draw, number, submitted_at), sealed).filter(|_| bounds::is_time(submitted_at));
        let text = text.and_then(|text| serde_json::from_slice::<SealedText>(&text).ok());
        let SealedText { name, phone, address } = text.ok_or(JournalError::Details { draw, number })?;
        all.push(WinnerDetails { draw, number, name, phone, address, submitted_at });
    }
    Ok(all)
}

/// The most details that a purge deletes at once, so that it keeps the writer for a moment only.
pub const PURGED_MAX: usize = 128;

/// Deletes details that came before a time, at most [`PURGED_MAX`]; returns how many.
pub(super) fn purge(db: &Connection, before: Timestamp) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM details WHERE (event, draw, number) IN
        (SELECT event, draw, number FROM details WHERE at < ?1 LIMIT ?2)";
    db.prepare_cached(sql)?.execute((before.0, PURGED_MAX as i64))
}

/// The place that the seal authenticates. An event's id holds no zero byte, and the rest has a
/// fixed length.
fn place(event: &EventId, draw: DrawId, number: Number, at: Timestamp) -> Vec<u8> {
    [event.as_str().as_bytes(), &[0], &draw.0.to_be_bytes(), &number.0.to_be_bytes(), &at.0.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{details_received, event_id, open_journal, opened};

    #[test]
    fn the_last_details_of_a_win_are_kept_and_read_page_by_page() {
        let (_data, mut journal) = open_journal();
        let (early, late) = (details_received("gala", 7, 1_000), details_received("gala", 8, 2_000));
        journal.commit(&[opened("gala"), late.clone(), details_received("gala", 7, 900), early.clone()]).unwrap();
        let both = [early.details.unwrap(), late.details.unwrap()];
        assert_eq!(journal.details(&event_id("gala")).unwrap(), both, "the last of a win stays");
        assert_eq!(journal.details(&event_id("nowhere")).unwrap(), []);
        let after = |number, limit| journal.details_after(&event_id("gala"), (both[0].draw, Number(number)), limit).unwrap();
        assert_eq!((after(0, 1), after(7, 9), after(8, 9)), (both[..1].to_vec(), both[1..].to_vec(), vec![]), "page by page");
    }

    #[test]
    fn details_are_purged_by_their_time() {
        let (_data, mut journal) = open_journal();
        let (early, late) = (details_received("gala", 7, 1_000), details_received("gala", 8, 2_000));
        journal.commit(&[opened("gala"), early, late.clone()]).unwrap();
        assert_eq!(journal.purge_details(Timestamp(2_000)).unwrap(), 1);
        assert_eq!(journal.details(&event_id("gala")).unwrap(), [late.details.unwrap()]);
        assert_eq!(journal.purge_details(Timestamp(2_000)).unwrap(), 0);
    }

    #[test]
    fn many_details_are_purged_in_slices() {
        let (_data, mut journal) = open_journal();
        let many = 2 * PURGED_MAX + 9;
        let entries = (1..=many as u32).map(|number| details_received("gala", number, 1_000));
        journal.commit(&[opened("gala")].into_iter().chain(entries).collect::<Vec<_>>()).unwrap();
        let purged: Vec<_> = (0..4).map(|_| journal.purge_details(Timestamp(2_000)).unwrap()).collect();
        assert_eq!(purged, [PURGED_MAX, PURGED_MAX, 9, 0]);
    }

    #[test]
    fn dropping_the_details_of_an_event_leaves_those_of_others() {
        let (_data, mut journal) = open_journal();
        let other = details_received("picnic", 7, 1_000);
        journal.commit(&[opened("gala"), opened("picnic"), details_received("gala", 7, 1_000), other.clone()]).unwrap();
        journal.drop_details(&event_id("gala")).unwrap();
        journal.drop_details(&event_id("nowhere")).unwrap();
        assert_eq!(journal.details(&event_id("gala")).unwrap(), []);
        assert_eq!(journal.details(&event_id("picnic")).unwrap(), [other.details.unwrap()]);
    }

    #[test]
    fn details_that_were_moved_or_redated_do_not_open() {
        for change in ["number = 8", "draw = 2", "at = 1001", "sealed = x'00'"] {
            let (_data, mut journal) = open_journal();
            journal.commit(&[opened("gala"), details_received("gala", 7, 1_000)]).unwrap();
            journal.db.execute(&format!("UPDATE details SET {change}"), []).unwrap();
            let error = journal.details(&event_id("gala")).unwrap_err();
            assert!(matches!(error, JournalError::Details { .. }), "{change}: {error}");
        }
    }
}
