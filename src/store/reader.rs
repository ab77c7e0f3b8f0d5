//! A journal that is only read: a copy of one, or the one that a server is writing at this moment.
//!
//! It takes no lock of the folder, since a backup must not wait for the server to stop, and in WAL
//! mode a reader keeps no writer waiting. It trusts the file as little as one from a stranger:
//! [`JournalReader::verify`] checks every page, applies every fact by the rules and opens every
//! sealed text, which is all that a server would do with it. It must never write.

use crate::base::clock::ClockRecord;
use crate::draw::fact::{RecordedFact, WinnerDetails};
use crate::draw::{DrawId, Event, EventId, Fact, Number};
use crate::store::error::JournalError;
use crate::store::keys::Keys;
use crate::store::seal::Seal;
use crate::store::{copies, details, replay, schema};
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

/// The longest wait of a read for a server that is just creating the file's log anew.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// A journal, open for reading.
pub struct JournalReader {
    db: Connection,
    pick_seal: Seal,
    details_seal: Seal,
}

/// The size of a journal, in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Events.
    pub events: i64,
    /// Facts, up to the id that the caller asked for.
    pub facts: i64,
    /// Winners' details.
    pub details: i64,
    /// The last fact's id, 0 for none.
    pub last_fact: i64,
}

impl JournalReader {
    /// Opens the journal at `path`, which has to exist, and changes nothing.
    ///
    /// # Errors
    /// When it does not exist, is no journal, is a newer program's, or belongs to other keys.
    pub fn open(path: &Path, keys: &Keys) -> Result<Self, JournalError> {
        if !path.is_file() {
            return Err(JournalError::Io { path: path.to_owned(), source: io::ErrorKind::NotFound.into() });
        }
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        db.busy_timeout(BUSY_WAIT)?;
        db.pragma_update(None, "mmap_size", 0)?;
        schema::check(&db, path, &keys.fingerprint())?;
        Ok(Self { db, pick_seal: keys.pick_seal(), details_seal: keys.details_seal() })
    }

    /// Copies the journal to `to` as it is at one instant: whole, compact and private, or not at
    /// all.
    ///
    /// # Errors
    /// When there is no space, or `to` is not UTF-8.
    pub fn copy_to(&self, to: &Path) -> Result<(), JournalError> {
        copies::copy(&self.db, to)
    }

    /// Counts the rows; of the facts, those up to the id `through`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn count_rows(&self, through: i64) -> Result<RowCounts, JournalError> {
        let sql = "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM fact WHERE id <= ?1),
            (SELECT count(*) FROM details), (SELECT ifnull(max(id), 0) FROM fact)";
        let counts = |row: &rusqlite::Row<'_>| {
            Ok(RowCounts { events: row.get(0)?, facts: row.get(1)?, details: row.get(2)?, last_fact: row.get(3)? })
        };
        Ok(self.db.query_row(sql, [through], counts)?)
    }

    /// Calls `take` with every fact, in order.
    ///
    /// # Errors
    /// At the first row that this program cannot read, which the error names.
    pub fn facts(&self, take: impl FnMut(EventId, RecordedFact)) -> Result<(), JournalError> {
        replay::facts(&self.db, &self.pick_seal, take)
    }

    /// All winners' details of an event, by draw and number.
    ///
    /// # Errors
    /// When they cannot be read or opened.
    pub fn details(&self, event: &EventId) -> Result<Vec<WinnerDetails>, JournalError> {
        let event_ids = replay::event_ids(&self.db)?;
        let Some((key, _)) = event_ids.iter().find(|(_, id)| *id == event) else { return Ok(Vec::new()) };
        details::read(&self.db, &self.details_seal, (event, *key), (DrawId(0), Number(0)), u32::MAX)
    }

    /// Checks that a server could start from the journal: every page is whole, every fact follows
    /// by the rules, every sealed text opens. Returns the events as its facts leave them.
    ///
    /// # Errors
    /// At the first defect.
    pub fn verify(&self) -> Result<Vec<Event>, JournalError> {
        schema::check_integrity(&self.db)?;
        let mut events = BTreeMap::new();
        let mut contradiction = None;
        self.facts(|id, stamped| {
            if contradiction.is_none() && !try_apply(&mut events, &id, &stamped) {
                contradiction = Some(id);
            }
        })?;
        if let Some(event) = contradiction {
            return Err(JournalError::Contradiction { event });
        }
        events.keys().try_for_each(|event| self.details(event).map(drop))?;
        Ok(events.into_values().collect())
    }
}

impl std::fmt::Debug for JournalReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JournalReader(..)")
    }
}

/// The record of the wall clock in the journal at `path`, which takes no keys to read.
///
/// # Errors
/// When it cannot be read.
pub fn read_clock_record(path: &Path) -> Result<Option<ClockRecord>, JournalError> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(BUSY_WAIT)?;
    Ok(schema::clock_record(&db)?)
}

/// Applies a fact; false when the rules cannot take it after those before it.
fn try_apply(events: &mut BTreeMap<EventId, Event>, id: &EventId, RecordedFact { at, fact, .. }: &RecordedFact) -> bool {
    if let Fact::Opened { id: own, settings, session, epoch } = fact {
        let event = Event::new(id.clone(), settings.clone(), *session, *epoch, *at);
        return own == id && events.insert(id.clone(), event).is_none();
    }
    let Some(event) = events.get_mut(id) else { return false };
    // The rules never refuse a fact: they panic at one that cannot have happened. The half-changed
    // event is thrown away.
    catch_unwind(AssertUnwindSafe(|| event.apply(*at, fact))).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{details_received, entry, open_journal, opened, registered};

    #[test]
    fn a_journal_is_read_while_it_is_written() {
        let (data, mut journal) = open_journal();
        let keys = Keys::open(&data).unwrap();
        journal.commit(&[opened("gala")]).unwrap();
        let reader = JournalReader::open(&data.journal(), &keys).unwrap();
        journal.commit(&[registered("gala", 1)]).unwrap();
        assert_eq!(reader.count_rows(1).unwrap(), RowCounts { events: 1, facts: 1, details: 0, last_fact: 2 });
        let events = reader.verify().unwrap();
        assert_eq!((events.len(), events[0].participant_count()), (1, 1));
    }

    #[test]
    fn facts_that_contradict_each_other_are_found() {
        let opened_elsewhere = || entry("gala", 1, opened("picnic").stamped.fact);
        let contradictions = [
            vec![opened("gala"), registered("gala", 1), registered("gala", 1)],
            vec![opened_elsewhere()],
            vec![opened("gala"), details_received("gala", 7, 1_000)],
        ];
        for entries in contradictions {
            let (data, mut journal) = open_journal();
            journal.commit(&entries).unwrap();
            let reader = JournalReader::open(&data.journal(), &Keys::open(&data).unwrap()).unwrap();
            let refusal = reader.verify().unwrap_err();
            assert!(matches!(refusal, JournalError::Contradiction { .. }), "{refusal}");
        }
    }

    #[test]
    fn a_reader_opens_only_a_journal_of_its_keys() {
        let (data, journal) = open_journal();
        let keys = Keys::open(&data).unwrap();
        let (other, _other_journal) = open_journal();
        let missing = JournalReader::open(&data.path().join("none.sqlite"), &keys).unwrap_err();
        assert!(matches!(missing, JournalError::Io { .. }), "{missing}");
        let foreign = JournalReader::open(&other.journal(), &keys).unwrap_err();
        assert!(matches!(foreign, JournalError::OtherKeys), "{foreign}");
        drop(journal);
    }
}
