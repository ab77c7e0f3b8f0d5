//! The journal: facts go in, in batches that are kept whole or not at all, and come out again in the same order.
//!
//! SQLite in WAL mode with every commit flushed: one transaction a batch is one fsync a batch, which is what makes thousands of
//! registrations a second durable on a small disk. A hand-made log file would be a little faster and would have to learn all that
//! SQLite knows about torn writes; and nobody could ask it questions. There is one connection and one thread that writes. The journal
//! takes facts for granted: it knows no rule, and never says that something is kept before it is.

use crate::draw::fact::{AuditLine, RecordedFact, WinnerDetails};
use crate::draw::{DrawId, EventId, Fact, Number, Timestamp};
use crate::store::error::{CommitError, JournalError};
use crate::store::folder::{self, Lock};
use crate::store::keys::Keys;
use crate::store::record::{self, Record};
use crate::store::replay::{self, names};
use crate::store::seal::Seal;
use crate::store::{JournalEntry, copies, details, schema};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::collections::HashMap;
use std::path::Path;

/// The journal's file within the data folder; its log stands beside it.
pub const JOURNAL_FILE: &str = "luckydraw.sqlite";

/// Stands in a data folder while what a restore brings changes places with what was there.
pub(crate) const HALF_RESTORED: &str = "restore.swap";

/// What a probe writes: about as much as a full batch, so that "there is space again" means space to go on.
const PROBE_BYTES: usize = 64 << 10;

/// An open journal. Nobody else writes it until this is dropped.
pub struct Journal {
    pub(super) db: Connection,
    /// The keys of the events that are in it.
    events: HashMap<EventId, i64>,
    picks: Seal,
    details: Seal,
    /// Below `db`, to be given back after it is closed.
    _lock: Lock,
}

impl Journal {
    /// Opens the journal of the folder `dir`, and makes what is missing of both.
    ///
    /// # Errors
    /// When another server uses the folder, or it is not to be used as it is; the message says what to do.
    pub fn open(dir: &Path, keys: &Keys) -> Result<Self, JournalError> {
        let path = dir.join(JOURNAL_FILE);
        let io = |source| JournalError::Io { path: path.clone(), source };
        folder::make(dir).map_err(io)?;
        let lock = Lock::take(dir)?;
        if dir.join(HALF_RESTORED).exists() {
            return Err(JournalError::HalfRestored { folder: dir.to_owned() });
        }
        // SQLite gives its side files the mode of the main one, and that one the mode of any file.
        folder::private().create(true).truncate(false).open(&path).map_err(io)?;
        let mut db = Connection::open(&path)?;
        schema::prepare(&mut db, &path, &keys.fingerprint())?;
        // Now and not in the middle of the evening: a replay reads the facts alone, and neither the details nor the indexes.
        schema::see_whole(&db)?;
        let events = names(&db)?.into_iter().map(|(key, event)| (event, key)).collect();
        Ok(Self { db, events, picks: keys.picks(), details: keys.details(), _lock: lock })
    }

    /// Gives every fact to `take`, in the order in which they were committed. 100,000 registrations take a fraction of a second.
    ///
    /// # Errors
    /// At the first row that this program cannot read, which the error names.
    pub fn replay(&mut self, take: impl FnMut(EventId, RecordedFact)) -> Result<(), JournalError> {
        replay::facts(&self.db, &self.picks, take)
    }

    /// Commits a batch: when this returns, all of it is on the disk, with one fsync. Rows times microseconds, and the disk's flush.
    ///
    /// # Errors
    /// [`CommitError::NotDurable`]: nothing of the batch is kept. [`CommitError::Fatal`]: end the process.
    ///
    /// # Panics
    /// When a fact of an unknown event comes before its [`Fact::Opened`]: such a journal could not be replayed.
    pub fn commit(&mut self, entries: &[JournalEntry]) -> Result<(), CommitError> {
        let Self { db, events, picks, details: seal, .. } = self;
        let mut opened: HashMap<EventId, i64> = HashMap::new();
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
                let Record { kind, version, body } = record::encode(event, fact, picks, &mut text);
                insert.execute((key, at.0, record::encode_actor(*actor), kind, version, body))?;
                if let Some(details) = details {
                    details::insert(tx, seal, event, key, details)?;
                }
            }
            Ok(())
        })?;
        // Only now: the keys of a batch that was rolled back are given again.
        self.events.extend(opened);
        Ok(())
    }

    /// The events in it, by name.
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

    /// All winners' details of an event that are kept, those of draws before a reset too, by draw and number.
    ///
    /// # Errors
    /// When they cannot be read or opened.
    pub fn details(&self, event: &EventId) -> Result<Vec<WinnerDetails>, JournalError> {
        self.details_after(event, (DrawId(0), Number(0)), u32::MAX)
    }

    /// A page of them: those after a seat, at most `limit`. O(limit).
    ///
    /// # Errors
    /// As [`Journal::details`].
    pub fn details_after(
        &self,
        event: &EventId,
        after: (DrawId, Number),
        limit: u32,
    ) -> Result<Vec<WinnerDetails>, JournalError> {
        let read = |key: &i64| details::read(&self.db, &self.details, (event, *key), after, limit);
        self.events.get(event).map_or(Ok(Vec::new()), read)
    }

    /// Deletes all winners' details of an event: a rehearsal's, when it is wiped.
    ///
    /// # Errors
    /// As [`Journal::commit`].
    pub fn drop_details(&mut self, event: &EventId) -> Result<(), CommitError> {
        let Some(key) = self.events.get(event).copied() else { return Ok(()) };
        transaction(&mut self.db, |tx| tx.execute("DELETE FROM details WHERE event = ?1", [key]).map(drop))?;
        self.forget()
    }

    /// Deletes the winners' details that were handed in before a time, and says how many.
    ///
    /// # Errors
    /// As [`Journal::commit`].
    pub fn purge_details(&mut self, before: Timestamp) -> Result<usize, CommitError> {
        let purged = transaction(&mut self.db, |tx| details::purge(tx, before))?;
        if purged > 0 {
            self.forget()?;
        }
        Ok(purged)
    }

    /// Deletes an event with all its rows, overwritten with noughts. Its name may be used again. Walks through the whole journal.
    ///
    /// # Errors
    /// As [`Journal::commit`].
    pub fn delete_event(&mut self, event: &EventId) -> Result<(), CommitError> {
        let Some(key) = self.events.get(event).copied() else { return Ok(()) };
        transaction(&mut self.db, |tx| {
            tx.execute("DELETE FROM fact WHERE event = ?1", [key])?;
            tx.execute("DELETE FROM details WHERE event = ?1", [key])?;
            tx.execute("DELETE FROM event WHERE key = ?1", [key]).map(drop)
        })?;
        self.events.remove(event);
        self.forget()
    }

    /// The audit trail of an event, newest first, below the line `before`; registrations are no part of it. O(limit).
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn audit(&self, event: &EventId, before: Option<i64>, limit: u32) -> Result<Vec<AuditLine>, JournalError> {
        let Some(key) = self.events.get(event) else { return Ok(Vec::new()) };
        let mut statement = self.db.prepare_cached(AUDIT)?;
        let lines = statement.query_map((key, before.unwrap_or(i64::MAX), limit), |row| {
            let at = Timestamp(row.get(1)?);
            Ok(AuditLine { id: row.get(0)?, at, actor: row.get(2)?, kind: row.get(3)?, summary: row.get(4)? })
        })?;
        Ok(lines.collect::<Result<_, _>>()?)
    }

    /// Copies the journal to `path`: whole, compact and private, or not at all. It is of use only together with `secret.key`.
    ///
    /// # Errors
    /// When there is no space, or `path` is not UTF-8.
    pub fn backup(&self, path: &Path) -> Result<(), JournalError> {
        copies::copy(&self.db, path)
    }

    /// Moves the log into the main file and empties it: when all is quiet, and at a stop. Somebody who reads with another program may
    /// hold it up; then the next one gets it done.
    ///
    /// # Errors
    /// As [`Journal::commit`]; nothing committed is lost by a checkpoint that failed.
    pub fn checkpoint(&mut self) -> Result<(), CommitError> {
        Ok(self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    /// Empties the log after a deletion: it still has the rows as they were. The deletion itself is committed, so that a log which
    /// cannot be emptied now is no failure of it.
    fn forget(&mut self) -> Result<(), CommitError> {
        self.checkpoint().or_else(|error| match error {
            CommitError::NotDurable(error) => {
                tracing::warn!(%error, "deleted rows stay in the journal's log until the next checkpoint");
                Ok(())
            }
            fatal @ CommitError::Fatal(_) => Err(fatal),
        })
    }

    /// Lets the file grow to `pages` of 4 KiB and no further, as a full disk would; what it has already it keeps.
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

/// The index `fact_audit` is taken because of the words it has in common with this, and walked backwards.
const AUDIT: &str = "SELECT id, at, actor, kind, json_remove(body, '$.sealed', '$.key') FROM fact
    WHERE event = ?1 AND kind <> 'registered' AND id < ?2 ORDER BY id DESC LIMIT ?3";

/// Does `work` in one transaction: committed and flushed, or rolled back.
fn transaction<T>(db: &mut Connection, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, CommitError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = work(&tx).and_then(|done| tx.commit().map(|()| done));
    match done {
        Ok(done) => Ok(done),
        // Dropped, the transaction was rolled back; one that is still open would swallow the next batch.
        Err(error) if !db.is_autocommit() => Err(CommitError::Fatal(error)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::fact::{Cause, SealedPick, Settings};
    use crate::draw::{Actor, DrawId, DrawSpec, Entropy, Epoch, Mode, Number, Pool, SessionId};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    fn name(text: &str) -> EventId {
        EventId::parse(text).unwrap()
    }

    fn entry(event: &str, at: i64, fact: Fact) -> JournalEntry {
        JournalEntry { event: name(event), stamped: RecordedFact { at: Timestamp(at), actor: Actor::Admin, fact }, details: None }
    }

    fn opened(event: &str) -> JournalEntry {
        let settings = Settings { title: "송년회".into(), participants_max: 20_000, ..Settings::default() };
        entry(event, 1, Fact::Opened { id: name(event), settings, session: SessionId([1; 16]), epoch: Epoch([2; 8]) })
    }

    fn registered(event: &str, number: u32) -> JournalEntry {
        entry(event, 2, Fact::Registered { number: Number(number), key: [number as u8; 32] })
    }

    fn sealed() -> SealedPick {
        SealedPick { entropy: Entropy([0xab; 32]), picks: [70_707].map(Number).into() }
    }

    fn started(event: &str) -> JournalEntry {
        let spec = DrawSpec {
            prize_id: None,
            prize_name: "자전거".into(),
            prize_rank: 1,
            prize_grade: None,
            prize_image: None,
            mode: Mode::Slot,
            winner_count: 1,
        };
        let (spec, pool) = (spec.into(), Pool::new(9).into());
        entry(event, 3, Fact::Started { draw: DrawId(1), spec, pool, sealed: sealed(), redraw_of: None, request: None })
    }

    fn handed_in(event: &str, number: u32, at: i64) -> JournalEntry {
        let details = WinnerDetails {
            draw: DrawId(1),
            number: Number(number),
            name: "홍길동".into(),
            phone: "010-1234-5678".into(),
            address: Some("서울".into()),
            submitted_at: Timestamp(at),
        };
        let fact = Fact::DetailsReceived { draw: DrawId(1), number: Number(number) };
        JournalEntry { details: Some(details), ..entry(event, at, fact) }
    }

    fn open(dir: &Path) -> Journal {
        Journal::open(dir, &Keys::open(dir).unwrap()).unwrap()
    }

    fn fresh() -> (TempDir, Journal) {
        let temp = tempfile::tempdir().unwrap();
        let journal = open(temp.path());
        (temp, journal)
    }

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
    fn what_was_committed_comes_back_in_order_also_after_a_restart() {
        let (temp, mut journal) = fresh();
        let first = [opened("gala"), registered("gala", 1), opened("picnic"), registered("picnic", 1), started("gala")];
        let second = [registered("gala", 2), entry("gala", 4, Fact::Reset { session: Some(SessionId([9; 16])) })];
        journal.commit(&first).unwrap();
        journal.commit(&second).unwrap();
        journal.commit(&[]).unwrap();
        let all = as_replayed(&[&first[..], &second[..]].concat());
        assert_eq!(replayed(&mut journal), all);
        drop(journal);
        let mut again = open(temp.path());
        assert_eq!(replayed(&mut again), all);
        again.commit(&[registered("picnic", 2)]).unwrap();
        assert_eq!(replayed(&mut again).last(), as_replayed(&[registered("picnic", 2)]).last());
    }

    #[test]
    fn the_settings_that_keep_it_safe_are_in_force() {
        let (temp, journal) = fresh();
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
        let mode = fs::metadata(temp.path().join(JOURNAL_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_second_server_on_the_same_folder_is_refused() {
        let (temp, journal) = fresh();
        let keys = Keys::open(temp.path()).unwrap();
        let refusal = Journal::open(temp.path(), &keys).unwrap_err().to_string();
        assert!(refusal.contains("in use by process"), "{refusal}");
        drop(journal);
        Journal::open(temp.path(), &keys).unwrap();
    }

    #[test]
    fn a_full_disk_takes_nothing_of_a_batch_and_recovers() {
        let (_temp, mut journal) = fresh();
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
    fn somebody_elses_write_lock_delays_and_does_not_end_the_journal() {
        let (temp, mut journal) = fresh();
        journal.commit(&[opened("gala")]).unwrap();
        let other = Connection::open(temp.path().join(JOURNAL_FILE)).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert!(matches!(journal.commit(&[registered("gala", 1)]), Err(CommitError::NotDurable(_))));
        other.execute_batch("ROLLBACK").unwrap();
        journal.commit(&[registered("gala", 1)]).unwrap();
        assert_eq!(replayed(&mut journal).len(), 2);
    }

    #[test]
    fn an_event_opened_twice_takes_nothing_of_the_batch() {
        let (_temp, mut journal) = fresh();
        journal.commit(&[opened("gala")]).unwrap();
        assert!(matches!(journal.commit(&[registered("gala", 1), opened("gala")]), Err(CommitError::NotDurable(_))));
        assert_eq!(replayed(&mut journal).len(), 1);
    }

    #[test]
    #[should_panic(expected = "an event's first fact")]
    fn a_fact_of_no_event_is_not_committed() {
        let (_temp, mut journal) = fresh();
        let _ = journal.commit(&[registered("nowhere", 1)]);
    }

    #[test]
    fn nothing_at_rest_shows_a_pick_before_its_reveal() {
        let (temp, mut journal) = fresh();
        journal.commit(&[opened("gala"), started("gala")]).unwrap();
        let backup = temp.path().join("copy.luckydraw.sqlite");
        journal.backup(&backup).unwrap();
        let entropy = "abababab";
        let bytes = bytes_at_rest(temp.path());
        assert!(contains(&bytes, "자전거"), "the start itself is there");
        assert!(!contains(&bytes, entropy) && !contains(&bytes, "70707"));
        assert!(!bytes.windows(4).any(|window| window == 70_707_u32.to_le_bytes()));
        let shown = journal.audit(&name("gala"), None, 10).unwrap();
        assert!(!shown[0].summary.contains("sealed"), "{}", shown[0].summary);
        journal.commit(&[entry("gala", 4, Fact::Revealed { draw: DrawId(1), sealed: sealed() })]).unwrap();
        let bytes = bytes_at_rest(temp.path());
        assert!(contains(&bytes, entropy) && contains(&bytes, "70707"));
    }

    #[test]
    fn details_are_closed_kept_once_and_purged_by_their_time() {
        let (temp, mut journal) = fresh();
        let (early, late) = (handed_in("gala", 7, 1_000), handed_in("gala", 8, 2_000));
        journal.commit(&[opened("gala"), late.clone(), early.clone(), handed_in("gala", 7, 3_000)]).unwrap();
        let both = [early.details.unwrap(), late.details.unwrap()];
        assert_eq!(journal.details(&name("gala")).unwrap(), both, "the first of a win stands");
        assert_eq!(journal.details(&name("nowhere")).unwrap(), []);
        let after = |number, limit| journal.details_after(&name("gala"), (both[0].draw, Number(number)), limit).unwrap();
        assert_eq!((after(0, 1), after(7, 9), after(8, 9)), (both[..1].to_vec(), both[1..].to_vec(), vec![]), "page by page");
        assert!(!contains(&bytes_at_rest(temp.path()), "010-1234-5678"));
        assert_eq!(journal.purge_details(Timestamp(2_000)).unwrap(), 1);
        assert_eq!(journal.details(&name("gala")).unwrap(), both[1..]);
        assert_eq!(journal.purge_details(Timestamp(2_000)).unwrap(), 0);
        assert_eq!(replayed(&mut journal).len(), 4, "the facts stay");
    }

    #[test]
    fn details_moved_to_another_win_do_not_open() {
        let (_temp, mut journal) = fresh();
        journal.commit(&[opened("gala"), handed_in("gala", 7, 1_000)]).unwrap();
        journal.db.execute("UPDATE details SET number = 8", []).unwrap();
        assert!(matches!(journal.details(&name("gala")), Err(JournalError::Details { number: Number(8), .. })));
    }

    #[test]
    fn a_deleted_event_leaves_no_trace_and_its_name_is_free() {
        let (temp, mut journal) = fresh();
        let marked = entry("gala", 5, Fact::Cancelled { draw: DrawId(1), sealed: sealed(), reason: "tell-tale".into() });
        journal.commit(&[opened("gala"), opened("picnic"), registered("gala", 1), marked, handed_in("gala", 7, 9)]).unwrap();
        assert!(contains(&bytes_at_rest(temp.path()), "tell-tale"));
        journal.delete_event(&name("gala")).unwrap();
        journal.delete_event(&name("gala")).unwrap();
        assert!(!contains(&bytes_at_rest(temp.path()), "tell-tale"));
        assert_eq!(replayed(&mut journal), as_replayed(&[opened("picnic")]));
        journal.commit(&[opened("gala"), registered("gala", 1)]).unwrap();
        assert_eq!(journal.details(&name("gala")).unwrap(), []);
        assert_eq!(replayed(&mut journal).len(), 3);
    }

    #[test]
    fn the_audit_trail_goes_page_by_page_past_the_registrations() {
        let (_temp, mut journal) = fresh();
        journal.commit(&[opened("gala"), opened("picnic")]).unwrap();
        journal.commit(&(1..=100).map(|n| registered("gala", n)).collect::<Vec<_>>()).unwrap();
        journal
            .commit(&[started("gala"), entry("gala", 9, Fact::Announced { draw: DrawId(1), cause: Cause::Deadline })])
            .unwrap();
        let kinds = |lines: &[AuditLine]| lines.iter().map(|line| line.kind.clone()).collect::<Vec<_>>();
        let first = journal.audit(&name("gala"), None, 2).unwrap();
        assert_eq!(kinds(&first), ["announced", "started"]);
        assert_eq!((first[0].at, first[0].actor.as_str()), (Timestamp(9), "admin"));
        assert_eq!(first[0].summary, r#"{"draw":1,"cause":"deadline"}"#);
        let rest = journal.audit(&name("gala"), Some(first[1].id), 2).unwrap();
        assert_eq!(kinds(&rest), ["opened"]);
        assert_eq!(journal.audit(&name("gala"), Some(rest[0].id), 2).unwrap(), []);
        let explain = format!("EXPLAIN QUERY PLAN {AUDIT}");
        let plan: String = journal.db.query_row(&explain, (1, 9, 9), |row| row.get(3)).unwrap();
        assert!(plan.contains("USING INDEX fact_audit (event=? AND rowid<?)"), "{plan}");
    }

    #[test]
    fn a_row_that_cannot_be_read_is_named() {
        let (_temp, mut journal) = fresh();
        journal.commit(&[opened("gala"), registered("gala", 1), registered("gala", 2)]).unwrap();
        let mut check = |change: &str, says: &str| {
            journal.db.execute_batch(&format!("SAVEPOINT here; {change}")).unwrap();
            let error = journal.replay(|_, _| {}).unwrap_err();
            journal.db.execute_batch("ROLLBACK TO here; RELEASE here").unwrap();
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            assert!(format!("{error}: {source}").contains(says), "{error}: {source}");
        };
        check("UPDATE fact SET kind = 'levitated' WHERE id = 3", "row 3 of the journal cannot be read: there is no fact");
        check("UPDATE fact SET v = 2 WHERE id = 2", "row 2 of the journal cannot be read: a registered of version 2");
        check("UPDATE fact SET body = '{}' WHERE id = 3", "row 3 of the journal cannot be read: not a registered");
        check("UPDATE fact SET actor = 'ghost' WHERE id = 1", "row 1 of the journal cannot be read: there is no actor");
        check("UPDATE fact SET event = 77 WHERE id = 2", "row 2 of the journal belongs to no event");
        check("UPDATE event SET id = 'no name'", "\"no name\" in the journal is no event's name");
    }

    #[test]
    fn a_backup_is_whole_private_and_opens_with_its_secret() {
        let (temp, mut journal) = fresh();
        let entries = [opened("gala"), registered("gala", 1), started("gala")];
        journal.commit(&entries).unwrap();
        let copy = tempfile::tempdir().unwrap();
        let path = copy.path().join(JOURNAL_FILE);
        fs::write(folder::beside(&path), b"what a crash left").unwrap();
        journal.backup(&path).unwrap();
        journal.commit(&[registered("gala", 2)]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!folder::beside(&path).exists());
        fs::copy(temp.path().join("secret.key"), copy.path().join("secret.key")).unwrap();
        assert_eq!(replayed(&mut open(copy.path())), as_replayed(&entries));
        journal.backup(&copy.path().join("secret.key/is/no/folder")).unwrap_err();
    }

    #[test]
    fn a_checkpoint_empties_the_log() {
        let (temp, mut journal) = fresh();
        journal.commit(&[opened("gala")]).unwrap();
        let log = temp.path().join(format!("{JOURNAL_FILE}-wal"));
        assert!(fs::metadata(&log).unwrap().len() > 0);
        journal.checkpoint().unwrap();
        assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    }
}
