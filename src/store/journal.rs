//! The journal: facts go in, in batches that are kept whole or not at all, and come out again in
//! the same order.
//!
//! SQLite in WAL mode with every commit flushed: one transaction per batch is one fsync per batch,
//! which makes thousands of registrations per second durable on a small disk. A hand-made log file
//! would be a little faster and would have to learn all that SQLite knows about torn writes; and
//! nobody could query it. There is one connection and one thread that writes. The journal trusts
//! its facts: it knows no rule, and must never report a fact as kept before it is.

use crate::base::clock::ClockRecord;
use crate::base::data_dir::DataDir;
use crate::base::durable_file;
use crate::draw::fact::{AuditLine, RecordedFact, WinnerDetails};
use crate::draw::{DrawId, EventId, Fact, Number, Timestamp};
use crate::store::copies::JournalCopier;
pub use crate::store::details::PURGED_MAX;
use crate::store::erasure::Erasure;
use crate::store::error::{CommitError, JournalError};
use crate::store::keys::Keys;
use crate::store::lock::FolderLock;
use crate::store::record::{self, Record};
use crate::store::seal::Seal;
use crate::store::transaction::transaction;
use crate::store::{JournalEntry, audit, details, log_space, replay, schema};
use rusqlite::{Connection, OptionalExtension};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

/// Bytes that a probe writes: about as many as a full batch, so that a probe that succeeds means
/// space to go on.
const PROBE_BYTES: usize = 64 << 10;

/// The result of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// The log is empty.
    Done,
    /// A reader still uses the log, or another program writes: the log keeps its rows.
    HeldUp,
}

/// An open journal. No other server writes it until it is dropped.
pub struct Journal {
    pub(super) db: Connection,
    /// The keys of the events in it.
    events: HashMap<EventId, i64>,
    pick_seal: Seal,
    details_seal: Seal,
    erasure: Erasure,
    path: PathBuf,
    /// Its write-ahead log.
    log: PathBuf,
    /// Declared below `db`, so that it is released after the database is closed.
    _lock: FolderLock,
}

impl Journal {
    /// Opens the journal of a data folder, and creates the folder and the journal where they are
    /// missing.
    ///
    /// # Errors
    /// When another server uses the folder, or the folder cannot be used as it is; the message says
    /// what to do.
    pub fn open(data: &DataDir, keys: &Keys) -> Result<Self, JournalError> {
        let path = data.journal();
        let io = |source| JournalError::Io { path: path.clone(), source };
        data.create().map_err(io)?;
        let lock = FolderLock::acquire(data.path())?;
        if data.half_restored().exists() {
            return Err(JournalError::HalfRestored { folder: data.path().to_owned() });
        }
        // SQLite would create the file for all to read; its side files get the mode of this one.
        durable_file::private_options().create(true).truncate(false).open(&path).map_err(io)?;
        let mut db = Connection::open(&path)?;
        schema::prepare(&mut db, &path, &keys.fingerprint())?;
        // At the start, and not during the event: a replay reads the facts alone, and neither the
        // details nor the indexes.
        schema::check_integrity(&db)?;
        let events = replay::event_ids(&db)?.into_iter().map(|(key, event)| (event, key)).collect();
        let erasure = Erasure::unfinished(&db)?;
        let (pick_seal, details_seal) = (keys.pick_seal(), keys.details_seal());
        Ok(Self { db, events, pick_seal, details_seal, erasure, log: data.journal_log(), path, _lock: lock })
    }

    /// Calls `take` with every fact, in the order of their commits. 100,000 registrations take a
    /// fraction of a second.
    ///
    /// # Errors
    /// At the first row that this program cannot read, which the error names.
    pub fn replay(&mut self, take: impl FnMut(EventId, RecordedFact)) -> Result<(), JournalError> {
        replay::facts(&self.db, &self.pick_seal, take)
    }

    /// Commits a batch: when this returns, all of it is on the disk, with one fsync. Costs
    /// microseconds per row, and the disk's flush.
    ///
    /// # Errors
    /// [`CommitError::NotDurable`]: nothing of the batch is kept. [`CommitError::Fatal`]: end the
    /// process.
    ///
    /// # Panics
    /// When a fact of an unknown event comes before its [`Fact::Opened`]: such a journal could not
    /// be replayed.
    pub fn commit(&mut self, entries: &[JournalEntry]) -> Result<(), CommitError> {
        let Self { db, events, pick_seal, details_seal, .. } = self;
        let mut opened: HashMap<EventId, i64> = HashMap::new();
        let mut drops_details = false;
        transaction(db, |tx| {
            let mut insert =
                tx.prepare_cached("INSERT INTO fact (event, at, actor, kind, v, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
            let mut text = Vec::with_capacity(256);
            for JournalEntry { event, stamped: RecordedFact { at, actor, fact }, details } in entries {
                if let Fact::Opened { .. } = fact {
                    tx.prepare_cached("INSERT INTO event (id) VALUES (?1)")?.execute([event.as_str()])?;
                    opened.insert(event.clone(), tx.last_insert_rowid());
                }
                let key = *opened.get(event).or_else(|| events.get(event)).expect("an event's first fact is that it was opened");
                if let Fact::Reset { session: Some(_) } = fact {
                    // Their winners are gone, and no page shows them any more.
                    drops_details |= tx.prepare_cached("DELETE FROM details WHERE event = ?1")?.execute([key])? > 0;
                }
                let Record { kind, version, body } = record::encode(event, fact, pick_seal, &mut text);
                insert.execute((key, at.0, record::encode_actor(*actor), kind, version, body))?;
                if let Some(details) = details {
                    details::insert(tx, details_seal, event, key, details)?;
                }
            }
            Ok(())
        })?;
        // Only now: SQLite gives the keys of a batch that was rolled back again.
        self.events.extend(opened);
        if drops_details { self.clear_log() } else { Ok(()) }
    }

    /// The ids of the events in it, in no order.
    pub fn events(&self) -> impl Iterator<Item = &EventId> {
        self.events.keys()
    }

    /// Finds out whether the journal can be written again, by writing.
    ///
    /// # Errors
    /// As [`Journal::commit`].
    pub fn probe(&mut self) -> Result<(), CommitError> {
        transaction(&mut self.db, |tx| {
            tx.execute("INSERT OR REPLACE INTO meta VALUES ('probe', randomblob(?1))", [PROBE_BYTES as i64]).map(drop)
        })?;
        transaction(&mut self.db, |tx| tx.execute("DELETE FROM meta WHERE name = 'probe'", []).map(drop))
    }

    /// The record of the wall clock that an earlier process left.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn clock_record(&self) -> Result<Option<ClockRecord>, JournalError> {
        let sql = "SELECT value FROM meta WHERE name = 'clock'";
        let text: Option<String> = self.db.query_row(sql, [], |row| row.get(0)).optional()?;
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// Keeps what the next process needs to know about the wall clock.
    ///
    /// # Errors
    /// As [`Journal::commit`].
    pub fn save_clock(&mut self, record: ClockRecord) -> Result<(), CommitError> {
        let sql = "INSERT OR REPLACE INTO meta VALUES ('clock', ?1)";
        transaction(&mut self.db, |tx| tx.execute(sql, [record.to_string()]).map(drop))
    }

    /// All winners' details of an event, by draw and number; those of draws before a reset too.
    ///
    /// # Errors
    /// When they cannot be read or opened.
    pub fn details(&self, event: &EventId) -> Result<Vec<WinnerDetails>, JournalError> {
        self.details_after(event, (DrawId(0), Number(0)), u32::MAX)
    }

    /// A page of them: at most `limit`, after a seat. O(limit).
    ///
    /// # Errors
    /// As [`Journal::details`].
    pub fn details_after(
        &self,
        event: &EventId,
        after: (DrawId, Number),
        limit: u32,
    ) -> Result<Vec<WinnerDetails>, JournalError> {
        let read = |key: &i64| details::read(&self.db, &self.details_seal, (event, *key), after, limit);
        self.events.get(event).map_or(Ok(Vec::new()), read)
    }

    /// Deletes all winners' details of an event: a rehearsal's, when it is wiped.
    ///
    /// # Errors
    /// As [`Journal::commit`].
    pub fn drop_details(&mut self, event: &EventId) -> Result<(), CommitError> {
        let Some(key) = self.events.get(event).copied() else { return Ok(()) };
        transaction(&mut self.db, |tx| tx.execute("DELETE FROM details WHERE event = ?1", [key]).map(drop))?;
        self.clear_log()
    }

    /// Deletes winners' details that were submitted before a time, at most [`PURGED_MAX`]; returns
    /// how many.
    ///
    /// # Errors
    /// As [`Journal::commit`].
    pub fn purge_details(&mut self, before: Timestamp) -> Result<usize, CommitError> {
        let purged = transaction(&mut self.db, |tx| details::purge(tx, before))?;
        // The log is emptied once, after the last slice; where that one was full, by the checkpoint
        // that follows every write.
        if (1..PURGED_MAX).contains(&purged) {
            self.clear_log()?;
        }
        Ok(purged)
    }

    /// Deletes events: from this commit on no replay finds them, and their ids may be used again.
    /// Their rows go slice by slice ([`Journal::erase_slice`]).
    ///
    /// # Errors
    /// As [`Journal::commit`]; then none is deleted.
    pub fn delete_events(&mut self, events: &[EventId]) -> Result<(), CommitError> {
        let keys: Vec<i64> = events.iter().filter_map(|event| self.events.get(event).copied()).collect();
        self.erasure.mark(&mut self.db, &keys)?;
        for event in events {
            self.events.remove(event);
        }
        Ok(())
    }

    /// True while rows of deleted events are left.
    pub fn is_erasing(&self) -> bool {
        !self.erasure.is_done()
    }

    /// Overwrites some rows of deleted events with zeros: so few that it takes a millisecond or
    /// two, and the disk's flush.
    ///
    /// # Errors
    /// As [`Journal::commit`]; the same rows come again.
    pub fn erase_slice(&mut self) -> Result<(), CommitError> {
        self.erasure.erase_slice(&mut self.db)
    }

    /// The audit trail of an event, newest first, below the line `before`. Registrations are left
    /// out. O(limit).
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn audit(&self, event: &EventId, before: Option<i64>, limit: u32) -> Result<Vec<AuditLine>, JournalError> {
        let Some(key) = self.events.get(event) else { return Ok(Vec::new()) };
        Ok(audit::read(&self.db, *key, before, limit)?)
    }

    /// Copies this journal on another thread.
    pub fn copier(&self) -> JournalCopier {
        JournalCopier::new(self.path.clone())
    }

    /// Moves the write-ahead log into the main file and empties it: when all is quiet, and at a
    /// stop. Does not wait for a reader that holds it up.
    ///
    /// # Errors
    /// As [`Journal::commit`]; a checkpoint that fails loses nothing committed.
    pub fn checkpoint(&mut self) -> Result<Checkpoint, CommitError> {
        self.db.busy_timeout(Duration::ZERO)?;
        let held_up = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        self.db.busy_timeout(schema::BUSY_WAIT)?;
        Ok(if held_up? { Checkpoint::HeldUp } else { Checkpoint::Done })
    }

    /// Writes the log's space before it is needed, if the log is empty: for a writer that goes on,
    /// at its start and after a checkpoint. Costs 1 to 2 ms.
    pub fn reserve_log(&self) {
        log_space::reserve(&self.log);
    }

    /// Empties the log after a deletion, since it still holds the deleted rows. The deletion itself
    /// is committed, so a log that cannot be emptied now does not fail it.
    fn clear_log(&mut self) -> Result<(), CommitError> {
        match self.checkpoint() {
            Ok(Checkpoint::Done) => Ok(()),
            Ok(Checkpoint::HeldUp) => {
                tracing::info!("a reader holds deleted rows in the journal's log until the next checkpoint");
                Ok(())
            }
            Err(CommitError::NotDurable(error)) => {
                tracing::warn!(%error, "deleted rows stay in the journal's log until the next checkpoint");
                Ok(())
            }
            Err(fatal @ CommitError::Fatal(_)) => Err(fatal),
        }
    }

    /// Rows that this connection has inserted, changed and deleted.
    #[cfg(test)]
    pub(crate) fn rows_changed(&self) -> u64 {
        self.db.total_changes()
    }

    /// Lets the file grow to `pages` of 4 KiB and no further, as a full disk would. Pages that it
    /// already has stay usable.
    #[cfg(test)]
    pub(crate) fn limit_pages(&mut self, pages: u32) {
        self.db.pragma_update(None, "max_page_count", pages).unwrap();
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("events", &self.events.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::data_dir::JOURNAL_FILE;
    use crate::draw::SessionId;
    use crate::store::copies;
    use crate::store::testing::{
        TempDataDir, details_received, entry, event_id, has_frames, open_in, open_journal, opened, registered, sealed_pick,
        started, temp_data_dir,
    };
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn replayed(journal: &mut Journal) -> Vec<(EventId, RecordedFact)> {
        let mut facts = Vec::new();
        journal.replay(|event, stamped| facts.push((event, stamped))).unwrap();
        facts
    }

    fn as_replayed(entries: &[JournalEntry]) -> Vec<(EventId, RecordedFact)> {
        entries.iter().map(|entry| (entry.event.clone(), entry.stamped.clone())).collect()
    }

    /// Every byte of the journal's files.
    fn bytes_at_rest(dir: &Path) -> Vec<u8> {
        let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
        files.filter(|path| path.to_string_lossy().contains(JOURNAL_FILE)).flat_map(|path| fs::read(path).unwrap()).collect()
    }

    fn contains(bytes: &[u8], text: &str) -> bool {
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }

    #[test]
    fn committed_facts_come_back_in_order_after_a_restart_too() {
        let (data, mut journal) = open_journal();
        let first = [opened("gala"), registered("gala", 1), opened("picnic"), registered("picnic", 1), started("gala")];
        let second = [registered("gala", 2), entry("gala", 4, Fact::Reset { session: Some(SessionId([9; 16])) })];
        journal.commit(&first).unwrap();
        journal.commit(&second).unwrap();
        journal.commit(&[]).unwrap();
        let all = as_replayed(&[&first[..], &second[..]].concat());
        assert_eq!(replayed(&mut journal), all);
        drop(journal);
        let mut again = open_in(&data);
        assert_eq!(replayed(&mut again), all);
        again.commit(&[registered("picnic", 2)]).unwrap();
        assert_eq!(replayed(&mut again).last(), as_replayed(&[registered("picnic", 2)]).last());
    }

    #[test]
    fn the_settings_that_keep_it_safe_are_in_force() {
        let (data, journal) = open_journal();
        let check = |pragma: &str, wanted: &str| {
            let sql = format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}");
            let found: String = journal.db.query_row(&sql, [], |row| row.get(0)).unwrap();
            assert_eq!(found, wanted, "{pragma}");
        };
        check("journal_mode", "wal");
        check("synchronous", "2");
        check("secure_delete", "1");
        check("cache_size", "-2000");
        let limit: i64 = journal.db.query_row("PRAGMA journal_size_limit", [], |row| row.get(0)).unwrap();
        let pages: i64 = journal.db.query_row("PRAGMA wal_autocheckpoint", [], |row| row.get(0)).unwrap();
        assert_eq!((limit, pages), (8 << 20, 1_000));
        let mode = fs::metadata(data.journal()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_second_server_on_the_same_folder_is_refused() {
        let (data, journal) = open_journal();
        let keys = Keys::open(&data).unwrap();
        let refusal = Journal::open(&data, &keys).unwrap_err().to_string();
        assert!(refusal.contains("in use by process"), "{refusal}");
        drop(journal);
        Journal::open(&data, &keys).unwrap();
    }

    #[test]
    fn a_full_disk_takes_nothing_of_a_batch_and_recovers() {
        let (_data, mut journal) = open_journal();
        journal.commit(&[opened("gala")]).unwrap();
        let pages: u32 = journal.db.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        journal.limit_pages(pages + 4);
        let batch = |first: u32| (first..first + 64).map(|n| registered("gala", n)).collect::<Vec<_>>();
        let mut kept = 0;
        let failure = loop {
            match journal.commit(&batch(kept + 1)) {
                Ok(()) => kept += 64,
                Err(error) => break error,
            }
            assert!(kept < 10_000, "the limit never bit");
        };
        assert!(matches!(failure, CommitError::NotDurable(_)), "{failure:?}");
        let opening = [opened("late"), registered("late", 1)];
        assert!(matches!(journal.commit(&[&opening[..], &batch(kept + 1)].concat()), Err(CommitError::NotDurable(_))));
        assert_eq!(replayed(&mut journal).len(), 1 + kept as usize, "whole batches only");
        assert!(matches!(journal.probe(), Err(CommitError::NotDurable(_))), "still full");
        journal.limit_pages(u32::MAX);
        journal.probe().unwrap();
        journal.commit(&batch(kept + 1)).unwrap();
        journal.commit(&opening).unwrap();
        assert_eq!(replayed(&mut journal).len(), 1 + kept as usize + 64 + 2);
    }

    #[test]
    fn a_write_lock_of_another_program_delays_the_journal_and_does_not_end_it() {
        let (data, mut journal) = open_journal();
        journal.commit(&[opened("gala")]).unwrap();
        let other = Connection::open(data.journal()).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert!(matches!(journal.commit(&[registered("gala", 1)]), Err(CommitError::NotDurable(_))));
        other.execute_batch("ROLLBACK").unwrap();
        journal.commit(&[registered("gala", 1)]).unwrap();
        assert_eq!(replayed(&mut journal).len(), 2);
    }

    #[test]
    fn an_event_opened_twice_takes_nothing_of_the_batch() {
        let (_data, mut journal) = open_journal();
        journal.commit(&[opened("gala")]).unwrap();
        assert!(matches!(journal.commit(&[registered("gala", 1), opened("gala")]), Err(CommitError::NotDurable(_))));
        assert_eq!(replayed(&mut journal).len(), 1);
    }

    #[test]
    #[should_panic(expected = "an event's first fact")]
    fn a_fact_of_no_event_is_not_committed() {
        let (_data, mut journal) = open_journal();
        let _ = journal.commit(&[registered("nowhere", 1)]);
    }

    #[test]
    fn nothing_at_rest_shows_a_pick_before_its_reveal() {
        let (data, mut journal) = open_journal();
        journal.commit(&[opened("gala"), started("gala")]).unwrap();
        let backup = data.path().join("copy.luckydraw.sqlite");
        copies::copy(&journal.db, &backup).unwrap();
        let entropy = "abababab";
        let bytes = bytes_at_rest(data.path());
        assert!(contains(&bytes, "자전거"), "the start itself is there");
        assert!(!contains(&bytes, entropy) && !contains(&bytes, "70707"));
        assert!(!bytes.windows(4).any(|window| window == 70_707_u32.to_le_bytes()));
        let shown = journal.audit(&event_id("gala"), None, 10).unwrap();
        assert!(!shown[0].summary.contains("sealed"), "{}", shown[0].summary);
        journal.commit(&[entry("gala", 4, Fact::Revealed { draw: DrawId(1), sealed: sealed_pick(), show_at: None })]).unwrap();
        let bytes = bytes_at_rest(data.path());
        assert!(contains(&bytes, entropy) && contains(&bytes, "70707"));
    }

    #[test]
    fn a_deleted_event_leaves_no_trace_and_its_name_is_free() {
        let (data, mut journal) = open_journal();
        let marked =
            entry("gala", 5, Fact::Cancelled { draw: DrawId(1), sealed: Some(sealed_pick()), reason: "tell-tale".into() });
        journal
            .commit(&[opened("gala"), opened("picnic"), registered("gala", 1), marked, details_received("gala", 7, 9)])
            .unwrap();
        assert!(contains(&bytes_at_rest(data.path()), "tell-tale"));
        journal.delete_events(&[event_id("gala"), event_id("nowhere")]).unwrap();
        assert_eq!(replayed(&mut journal), as_replayed(&[opened("picnic")]), "it is gone before its rows are");
        while journal.is_erasing() {
            journal.erase_slice().unwrap();
        }
        assert_eq!(journal.checkpoint().unwrap(), Checkpoint::Done);
        assert!(!contains(&bytes_at_rest(data.path()), "tell-tale"));
        assert_eq!(replayed(&mut journal), as_replayed(&[opened("picnic")]));
        journal.commit(&[opened("gala"), registered("gala", 1)]).unwrap();
        assert_eq!(journal.details(&event_id("gala")).unwrap(), []);
        assert_eq!(replayed(&mut journal).len(), 3);
    }

    #[test]
    fn a_row_that_cannot_be_read_is_named() {
        let (_data, mut journal) = open_journal();
        journal.commit(&[opened("gala"), registered("gala", 1), registered("gala", 2)]).unwrap();
        let mut check = |change: &str, says: &str| {
            journal.db.execute_batch(&format!("SAVEPOINT here; {change}")).unwrap();
            let error = journal.replay(|_, _| {}).unwrap_err();
            journal.db.execute_batch("ROLLBACK TO here; RELEASE here").unwrap();
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            assert!(format!("{error}: {source}").contains(says), "{error}: {source}");
        };
        check("UPDATE fact SET kind = 'levitated' WHERE id = 3", "row 3 of the journal cannot be read: there is no fact");
        check("UPDATE fact SET v = 3 WHERE id = 2", "row 2 of the journal cannot be read: a registered of version 3");
        check("UPDATE fact SET body = '{}' WHERE id = 3", "row 3 of the journal cannot be read: not a registered");
        check("UPDATE fact SET actor = 'ghost' WHERE id = 1", "row 1 of the journal cannot be read: there is no actor");
        check("UPDATE fact SET event = 77 WHERE id = 2", "row 2 of the journal belongs to no event");
        check("UPDATE event SET id = 'no name'", "\"no name\" in the journal is no event's name");
    }

    #[test]
    fn a_copy_is_whole_and_private_and_opens_with_its_secret() {
        let (data, mut journal) = open_journal();
        let entries = [opened("gala"), registered("gala", 1), started("gala")];
        journal.commit(&entries).unwrap();
        let copy = temp_data_dir();
        fs::write(durable_file::temporary_path(&copy.journal()), b"a crash left this").unwrap();
        copies::copy(&journal.db, &copy.journal()).unwrap();
        journal.commit(&[registered("gala", 2)]).unwrap();
        assert_eq!(fs::metadata(copy.journal()).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!durable_file::temporary_path(&copy.journal()).exists());
        fs::copy(data.secret_key(), copy.secret_key()).unwrap();
        assert_eq!(replayed(&mut open_in(&copy)), as_replayed(&entries));
        copies::copy(&journal.db, &copy.secret_key().join("is/no/folder")).unwrap_err();
    }

    /// Copies the files of an open journal, as a power cut would leave them, with the write-ahead
    /// log replaced by `log`.
    fn after_power_cut(data: &DataDir, log: &[u8]) -> TempDataDir {
        let copy = temp_data_dir();
        fs::copy(data.secret_key(), copy.secret_key()).unwrap();
        fs::copy(data.journal(), copy.journal()).unwrap();
        fs::write(copy.journal_log(), log).unwrap();
        copy
    }

    #[test]
    fn a_torn_log_costs_no_batch_before_the_tear_and_leaves_none_in_part() {
        const ROWS: u32 = 5;
        let (data, mut journal) = open_journal();
        journal.commit(&[opened("gala")]).unwrap();
        journal.checkpoint().unwrap();
        // The length of the log after each batch: from there on, the batch is durable.
        let mut ends = Vec::new();
        for batch in 0..6 {
            let rows: Vec<_> = (1..=ROWS).map(|row| registered("gala", batch * ROWS + row)).collect();
            journal.commit(&rows).unwrap();
            ends.push(fs::metadata(data.journal_log()).unwrap().len());
        }
        let all = replayed(&mut journal);
        let log = fs::read(data.journal_log()).unwrap();
        let cuts = (0..log.len()).step_by(log.len() / 20).chain(ends.iter().flat_map(|end| [*end as usize - 1, *end as usize]));
        for cut in cuts {
            let whole = ends.iter().filter(|end| **end as usize <= cut).count() as u32;
            // The rest is missing, or is the zeros that were there before.
            let mut zeroed = log[..cut].to_vec();
            zeroed.resize(log.len(), 0);
            assert_eq!(
                replayed(&mut open_in(&after_power_cut(&data, &zeroed))),
                all[..1 + (whole * ROWS) as usize],
                "{cut}, then zeros"
            );
            let mut torn = open_in(&after_power_cut(&data, &log[..cut]));
            assert_eq!(replayed(&mut torn), all[..1 + (whole * ROWS) as usize], "{cut} of {} bytes", log.len());
            torn.commit(&[registered("gala", 1_000)]).unwrap();
        }
        for end in &ends[1..] {
            let mut spoilt = log.clone();
            spoilt[*end as usize - 100] ^= 1;
            let whole = ends.iter().position(|other| other == end).unwrap() as u32;
            let mut torn = open_in(&after_power_cut(&data, &spoilt));
            assert_eq!(replayed(&mut torn), all[..1 + (whole * ROWS) as usize], "one bit before byte {end}");
        }
    }

    #[test]
    fn batches_of_any_size_come_back_in_order_over_many_restarts() {
        for seed in 1..=5_u64 {
            let mut state = seed;
            let mut below = |bound: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % bound
            };
            let (data, mut journal) = open_journal();
            let (mut all, mut number) = (vec![opened("gala"), opened("picnic")], 0);
            journal.commit(&all).unwrap();
            for _ in 0..30 {
                let batch: Vec<_> = (0..below(40))
                    .map(|_| {
                        number += 1;
                        registered(["gala", "picnic"][below(2) as usize], number)
                    })
                    .collect();
                journal.commit(&batch).unwrap();
                all.extend(batch);
                if below(5) == 0 {
                    drop(journal);
                    journal = open_in(&data);
                }
            }
            assert_eq!(replayed(&mut journal), as_replayed(&all), "seed {seed}");
        }
    }

    #[test]
    fn details_are_unreadable_at_rest_and_their_facts_outlive_them() {
        let (data, mut journal) = open_journal();
        journal.commit(&[opened("gala"), details_received("gala", 7, 1_000)]).unwrap();
        assert!(!contains(&bytes_at_rest(data.path()), "010-1234-5678"));
        assert_eq!(journal.purge_details(Timestamp(2_000)).unwrap(), 1);
        assert_eq!(replayed(&mut journal).len(), 2, "the facts stay");
    }

    #[test]
    fn a_reset_of_the_participants_leaves_no_byte_of_their_details() {
        let (data, mut journal) = open_journal();
        let other = details_received("picnic", 7, 1_000);
        journal.commit(&[opened("gala"), opened("picnic"), details_received("gala", 7, 1_000), other.clone()]).unwrap();
        let sealed: Vec<u8> =
            journal.db.query_row("SELECT sealed FROM details ORDER BY event LIMIT 1", [], |row| row.get(0)).unwrap();
        let holds = || bytes_at_rest(data.path()).windows(sealed.len()).any(|window| window == sealed);
        assert!(holds());
        journal.commit(&[entry("gala", 2_000, Fact::Reset { session: None })]).unwrap();
        assert_eq!(journal.details(&event_id("gala")).unwrap().len(), 1, "a reset of the draws leaves them to their days");
        journal.commit(&[entry("gala", 3_000, Fact::Reset { session: Some(SessionId([9; 16])) })]).unwrap();
        assert!(!holds());
        assert_eq!(journal.details(&event_id("gala")).unwrap(), []);
        assert_eq!(journal.details(&event_id("picnic")).unwrap(), [other.details.unwrap()]);
    }

    #[test]
    fn a_journal_beside_a_half_done_restore_does_not_open() {
        let (data, journal) = open_journal();
        drop(journal);
        fs::create_dir(data.half_restored()).unwrap();
        let refusal = Journal::open(&data, &Keys::open(&data).unwrap()).unwrap_err();
        assert!(matches!(refusal, JournalError::HalfRestored { .. }), "{refusal}");
    }

    #[test]
    fn a_checkpoint_empties_the_log_and_commits_do_not_grow_a_reserved_one() {
        let (data, mut journal) = open_journal();
        let length = || fs::metadata(data.journal_log()).unwrap().len();
        journal.reserve_log();
        let reserved = length();
        assert!(!has_frames(&data) && reserved > 0);
        journal.commit(&[opened("gala")]).unwrap();
        assert!(has_frames(&data) && length() == reserved);
        assert_eq!(journal.checkpoint().unwrap(), Checkpoint::Done);
        assert_eq!(length(), 0);
        journal.reserve_log();
        assert!(!has_frames(&data));
        for number in 1..=300 {
            journal.commit(&[registered("gala", number)]).unwrap();
            assert_eq!(length(), reserved);
        }
    }

    #[test]
    fn a_checkpoint_that_a_reader_holds_up_says_so() {
        let (data, mut journal) = open_journal();
        journal.commit(&[opened("gala")]).unwrap();
        let reader = Connection::open(data.journal()).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM fact").unwrap();
        journal.commit(&[registered("gala", 1)]).unwrap();
        assert_eq!(journal.checkpoint().unwrap(), Checkpoint::HeldUp);
        assert!(fs::metadata(data.journal_log()).unwrap().len() > 0);
        reader.execute_batch("COMMIT").unwrap();
        assert_eq!(journal.checkpoint().unwrap(), Checkpoint::Done);
        assert_eq!(fs::metadata(data.journal_log()).unwrap().len(), 0);
    }
}
