//! A journal that is only looked at: a copy of one, or the one that a server is writing at this moment.
//!
//! It holds no lock of the folder, since a backup must not wait for the server to stop, and in WAL mode a reader keeps no writer waiting. What
//! it reads it trusts as little as a file from a stranger: [`Reading::verify`] looks at every page, lets every fact come true again by the rules
//! and opens every sealed thing, which is all that a server would do with it.

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

/// How long a read waits where somebody is just making the file's log anew.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// A journal, open to be read.
pub struct Reading {
    db: Connection,
    picks: Seal,
    details: Seal,
}

/// How much there is in a journal, in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub events: i64,
    /// Those up to the last that was asked for.
    pub facts: i64,
    pub details: i64,
    /// The last fact's id, 0 for none.
    pub last_fact: i64,
}

impl Reading {
    /// Opens the journal at `path`, which has to be there, and changes nothing.
    ///
    /// # Errors
    /// When it is not there, is no journal, is a newer program's, or belongs to other keys.
    pub fn open(path: &Path, keys: &Keys) -> Result<Self, JournalError> {
        if !path.is_file() {
            return Err(JournalError::Io { path: path.to_owned(), source: io::ErrorKind::NotFound.into() });
        }
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        db.busy_timeout(BUSY_WAIT)?;
        db.pragma_update(None, "mmap_size", 0)?;
        schema::check(&db, path, &keys.fingerprint())?;
        Ok(Self { db, picks: keys.picks(), details: keys.details() })
    }

    /// Copies it to `to` as it is at one instant: whole, compact and private, or not at all.
    ///
    /// # Errors
    /// When there is no space, or `to` is not UTF-8.
    pub fn copy_to(&self, to: &Path) -> Result<(), JournalError> {
        copies::copy(&self.db, to)
    }

    /// How much there is in it; of the facts, those up to the id `through`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn counts(&self, through: i64) -> Result<Counts, JournalError> {
        let sql = "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM fact WHERE id <= ?1),
            (SELECT count(*) FROM details), (SELECT ifnull(max(id), 0) FROM fact)";
        let counts = |row: &rusqlite::Row<'_>| {
            Ok(Counts { events: row.get(0)?, facts: row.get(1)?, details: row.get(2)?, last_fact: row.get(3)? })
        };
        Ok(self.db.query_row(sql, [through], counts)?)
    }

    /// Gives every fact to `take`, in order.
    ///
    /// # Errors
    /// At the first row that this program cannot read, which the error names.
    pub fn facts(&self, take: impl FnMut(EventId, RecordedFact)) -> Result<(), JournalError> {
        replay::facts(&self.db, &self.picks, take)
    }

    /// All winners' details of an event that are kept, by draw and number.
    ///
    /// # Errors
    /// When they cannot be read or opened.
    pub fn details(&self, event: &EventId) -> Result<Vec<WinnerDetails>, JournalError> {
        let names = replay::names(&self.db)?;
        let Some((key, _)) = names.iter().find(|(_, name)| *name == event) else { return Ok(Vec::new()) };
        details::read(&self.db, &self.details, (event, *key), (DrawId(0), Number(0)), u32::MAX)
    }

    /// Sees that a server could start from it: every page is whole, every fact comes true again, every sealed thing opens. Gives the events as
    /// they stand.
    ///
    /// # Errors
    /// At the first thing that is not as it should be.
    pub fn verify(&self) -> Result<Vec<Event>, JournalError> {
        schema::see_whole(&self.db)?;
        let mut events = BTreeMap::new();
        let mut contradiction = None;
        self.facts(|id, stamped| {
            if contradiction.is_none() && !come_true(&mut events, &id, &stamped) {
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

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reading(..)")
    }
}

/// Makes a fact true again, or says that the rules do not take it after those before it.
fn come_true(events: &mut BTreeMap<EventId, Event>, id: &EventId, RecordedFact { at, fact, .. }: &RecordedFact) -> bool {
    if let Fact::Opened { id: own, settings, session, epoch } = fact {
        let event = Event::new(id.clone(), settings.clone(), *session, *epoch, *at);
        return own == id && events.insert(id.clone(), event).is_none();
    }
    let Some(event) = events.get_mut(id) else { return false };
    // The rules never refuse a fact, they panic at one that cannot have happened; what is half changed by then is thrown away.
    catch_unwind(AssertUnwindSafe(|| event.apply(*at, fact))).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::fact::Settings;
    use crate::draw::{Actor, Epoch, SessionId, Timestamp};
    use crate::store::journal::JOURNAL_FILE;
    use crate::store::{Journal, JournalEntry};

    fn entry(fact: Fact) -> JournalEntry {
        let event = EventId::parse("gala").unwrap();
        JournalEntry { event, stamped: RecordedFact { at: Timestamp(1), actor: Actor::Admin, fact }, details: None }
    }

    fn opened() -> JournalEntry {
        let settings = Settings { title: "t".into(), participants_max: 9, ..Settings::default() };
        let id = EventId::parse("gala").unwrap();
        entry(Fact::Opened { id, settings, session: SessionId([1; 16]), epoch: Epoch([2; 8]) })
    }

    #[test]
    fn a_journal_is_read_while_it_is_written() {
        let temp = tempfile::tempdir().unwrap();
        let keys = Keys::open(temp.path()).unwrap();
        let mut journal = Journal::open(temp.path(), &keys).unwrap();
        journal.commit(&[opened()]).unwrap();
        let reading = Reading::open(&temp.path().join(JOURNAL_FILE), &keys).unwrap();
        journal.commit(&[entry(Fact::Registered { number: Number(1), key: [1; 32] })]).unwrap();
        assert_eq!(reading.counts(1).unwrap(), Counts { events: 1, facts: 1, details: 0, last_fact: 2 });
        let events = reading.verify().unwrap();
        assert_eq!((events.len(), events[0].participant_count()), (1, 1));
    }

    #[test]
    fn facts_that_contradict_each_other_are_noticed() {
        let temp = tempfile::tempdir().unwrap();
        let keys = Keys::open(temp.path()).unwrap();
        let mut journal = Journal::open(temp.path(), &keys).unwrap();
        let twice = entry(Fact::Registered { number: Number(1), key: [1; 32] });
        journal.commit(&[opened(), twice.clone(), twice]).unwrap();
        let refusal = Reading::open(&temp.path().join(JOURNAL_FILE), &keys).unwrap().verify().unwrap_err();
        assert!(matches!(refusal, JournalError::Contradiction { .. }), "{refusal}");
    }
}
