//! The erasure of deleted events: marked in one short commit, then overwritten slice by slice.
//!
//! An event may have a hundred thousand rows, and deleting them at once would keep every other
//! event waiting. So a deletion first renames the event's row, which takes it out of every replay,
//! and frees its id. Its rows follow in slices of a bounded number, and its own row last; until
//! then no other event gets its key. A crash in between loses nothing: the next start finds the
//! marks and goes on, so a slice waits for no flush: the next commit's flush covers it.
//!
//! A slice's size follows the time that the last one took: a busy or throttled machine gets smaller
//! ones. This file must never touch a row of an event that is not marked.

use crate::store::error::CommitError;
use crate::store::transaction::{transaction, unflushed_transaction};
use rusqlite::{Connection, Transaction};
use std::time::{Duration, Instant};

/// The id of a marked event is this and its key. No event's id holds a space.
pub(super) const MARK: &str = "erasing ";
/// The most and the fewest rows that a slice deletes; one statement goes through as many facts.
const SLICE_ROWS_MAX: i64 = 128;
const SLICE_ROWS_MIN: i64 = 4;
/// Time after which a slice that found nothing to delete ends. After one that took twice as long,
/// the next deletes half as many rows.
const SLICE_TIME: Duration = Duration::from_millis(1);

/// The marked events. Ids that follow the mark sort below the mark with its space raised by one.
const MARKED: &str = "SELECT key FROM event WHERE id >= 'erasing ' AND id < 'erasing!'";

/// The marked events of a journal, and how far their erasure has come.
#[derive(Debug)]
pub(super) struct Erasure {
    /// Keys that were marked after the pass began.
    marked: Vec<i64>,
    pass: Option<Pass>,
    /// The rows that the next slice may delete.
    rows: i64,
}

/// One pass over the facts, for all events that were marked before it began.
#[derive(Debug)]
struct Pass {
    keys: Vec<i64>,
    has_details: bool,
    /// The facts up to this id are done.
    done: i64,
    /// The last fact's id at the beginning.
    end: i64,
}

impl Erasure {
    /// The erasure that an earlier process left unfinished.
    pub fn unfinished(db: &Connection) -> rusqlite::Result<Self> {
        let marked = db.prepare(MARKED)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok(Self { marked, pass: None, rows: SLICE_ROWS_MAX })
    }

    /// True once nothing is left to erase.
    pub fn is_done(&self) -> bool {
        self.pass.is_none() && self.marked.is_empty()
    }

    /// Marks events in one commit.
    ///
    /// # Errors
    /// As [`Journal::commit`](crate::store::Journal::commit); then none is marked.
    pub fn mark(&mut self, db: &mut Connection, keys: &[i64]) -> Result<(), CommitError> {
        transaction(db, |tx| {
            let mut rename = tx.prepare_cached("UPDATE event SET id = ?1 || key WHERE key = ?2")?;
            keys.iter().try_for_each(|key| rename.execute((MARK, key)).map(drop))
        })?;
        self.marked.extend_from_slice(keys);
        Ok(())
    }

    /// Erases one slice: a bounded number of rows, in one commit that waits for no flush.
    ///
    /// # Errors
    /// As [`Journal::commit`](crate::store::Journal::commit); the same slice comes again.
    pub fn erase_slice(&mut self, db: &mut Connection) -> Result<(), CommitError> {
        let pass = match &mut self.pass {
            Some(pass) => pass,
            None if self.marked.is_empty() => return Ok(()),
            None => {
                let ends = "SELECT ifnull(min(id), 1) - 1, ifnull(max(id), 0) FROM fact";
                let (done, end) = db.query_row(ends, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
                self.pass.insert(Pass { keys: std::mem::take(&mut self.marked), has_details: true, done, end })
            }
        };
        // A slice that fails is rolled back, so the pass moves on only after its commit.
        let (slice, took) = unflushed_transaction(db, |tx| {
            let began = Instant::now();
            Ok((pass.erase(tx, self.rows)?, began.elapsed()))
        })?;
        self.rows = adapted(self.rows, took);
        pass.has_details = slice.has_details;
        pass.done = slice.done;
        pass.keys.truncate(slice.keys_left);
        if pass.keys.is_empty() {
            self.pass = None;
        }
        Ok(())
    }
}

/// The rows of the next slice after one of so many rows took so long.
fn adapted(rows: i64, took: Duration) -> i64 {
    let next = match took {
        long if long > 2 * SLICE_TIME => rows / 2,
        short if short < SLICE_TIME => rows * 2,
        _ => rows,
    };
    next.clamp(SLICE_ROWS_MIN, SLICE_ROWS_MAX)
}

/// A pass after a slice.
struct Slice {
    has_details: bool,
    done: i64,
    keys_left: usize,
}

impl Pass {
    /// Erases details first, then facts, then the events' own rows.
    fn erase(&self, tx: &Transaction<'_>, rows: i64) -> rusqlite::Result<Slice> {
        let mut slice = Slice { has_details: self.has_details, done: self.done, keys_left: self.keys.len() };
        if self.has_details {
            let sql = format!(
                "DELETE FROM details WHERE (event, draw, number) IN
                    (SELECT event, draw, number FROM details WHERE event IN ({MARKED}) LIMIT ?1)"
            );
            slice.has_details = tx.prepare_cached(&sql)?.execute([rows])? > 0;
            return Ok(slice);
        }
        let (mut deleted, began) = (0, Instant::now());
        let mut delete = tx.prepare_cached(&format!("DELETE FROM fact WHERE id > ?1 AND id <= ?2 AND event IN ({MARKED})"))?;
        while slice.done < self.end && deleted < rows as usize && began.elapsed() < SLICE_TIME {
            let next = self.end.min(slice.done + rows);
            deleted += delete.execute((slice.done, next))?;
            slice.done = next;
        }
        if slice.done == self.end && deleted == 0 {
            slice.keys_left = self.keys.len().saturating_sub(rows as usize);
            let mut delete = tx.prepare_cached("DELETE FROM event WHERE key = ?1")?;
            self.keys[slice.keys_left..].iter().try_for_each(|key| delete.execute([key]).map(drop))?;
        }
        Ok(slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{event_id, open_journal, opened, registered};

    #[test]
    fn a_slow_slice_makes_the_next_smaller_and_a_quick_one_larger() {
        let ms = Duration::from_millis;
        assert_eq!(adapted(128, ms(3)), 64);
        assert_eq!(adapted(64, SLICE_TIME), 64, "as it should be");
        assert_eq!(adapted(64, ms(0)), 128);
        assert_eq!((adapted(SLICE_ROWS_MIN, ms(99)), adapted(SLICE_ROWS_MAX, ms(0))), (SLICE_ROWS_MIN, SLICE_ROWS_MAX));
    }

    #[test]
    fn a_slice_deletes_no_more_rows_than_it_may_and_later_commits_are_flushed() {
        let (_data, mut journal) = open_journal();
        let entries: Vec<_> = [opened("gala")].into_iter().chain((1..300).map(|number| registered("gala", number))).collect();
        journal.commit(&entries).unwrap();
        journal.delete_events(&[event_id("gala")]).unwrap();
        let mut erasure = Erasure::unfinished(&journal.db).unwrap();
        erasure.erase_slice(&mut journal.db).unwrap();
        while !erasure.is_done() {
            erasure.rows = 7;
            let before = journal.db.total_changes();
            erasure.erase_slice(&mut journal.db).unwrap();
            assert!(journal.db.total_changes() - before <= 7);
            let flushes: i64 = journal.db.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
            assert_eq!(flushes, 2, "a fact's commit is flushed");
        }
        let left: i64 = journal.db.query_row("SELECT count(*) FROM fact", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0);
    }
}
