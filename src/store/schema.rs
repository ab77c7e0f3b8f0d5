//! The schema: created in a fresh file, recognized in an old one, and refused where it is newer
//! than this program.
//!
//! `schema.sql` holds the SQL with its comments, so that `.schema` in `sqlite3` explains itself.
//! Facts are only ever added, and a reset is a fact too, so that nothing is cleared without being
//! archived: the rows of earlier rounds stay, and the views `participants`, `draws` and `winners`
//! show them with `current = 0`. The views read the facts as they are; there are no tables beside
//! them that a crash could leave out of step.

use crate::base::clock::ClockRecord;
use crate::store::error::JournalError;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use std::path::Path;
use std::time::Duration;

const SQL: &str = include_str!("schema.sql");

/// The schema's version, which rises with every change that an older program could not read.
const VERSION: i64 = 1;

/// The longest wait of a write for another program that holds the file.
pub(super) const BUSY_WAIT: Duration = Duration::from_millis(250);

/// Prepared statements that are kept: all that this module has.
const STATEMENTS_MAX: usize = 32;

/// The record of the wall clock that the last process left.
pub(super) fn clock_record(db: &Connection) -> rusqlite::Result<Option<ClockRecord>> {
    let sql = "SELECT value FROM meta WHERE name = 'clock'";
    let text: Option<String> = db.query_row(sql, [], |row| row.get(0)).optional()?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// Creates the journal in an empty `db`, or recognizes one, and sets it up to lose nothing.
///
/// # Errors
/// When it is not a journal, is a newer program's, or belongs to another secret.
pub(super) fn prepare(db: &mut Connection, path: &Path, fingerprint: &str) -> Result<(), JournalError> {
    db.busy_timeout(BUSY_WAIT)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Deleted rows are overwritten: names and phone numbers, though encrypted, must not outlive
    // their deletion.
    db.pragma_update(None, "secure_delete", true)?;
    // FULL flushes every commit. NORMAL in WAL loses the last acknowledged commits at a power cut.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "cache_size", -2_000)?; // kibibytes
    // A read error on a mapped page is a signal that ends the process; on a read call it is an
    // error.
    db.pragma_update(None, "mmap_size", 0)?;
    recognize(db, path, fingerprint)?;
    // Only now: the journal mode is written into the file, and a foreign file must stay as it was.
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "wal_autocheckpoint", 1_000)?; // pages
    db.pragma_update(None, "journal_size_limit", 8 << 20)?; // bytes
    Ok(())
}

/// Creates the tables in an empty file, or checks those of another.
fn recognize(db: &mut Connection, path: &Path, fingerprint: &str) -> Result<(), JournalError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let tables: i64 = tx.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        tx.execute_batch(SQL)?;
        tx.execute("INSERT INTO meta VALUES ('schema', ?1), ('secret', ?2)", (VERSION, fingerprint))?;
    }
    check(&tx, path, fingerprint)?;
    Ok(tx.commit()?)
}

/// Checks that `db` is a journal that this program can read, and of that secret. Changes nothing.
///
/// # Errors
/// As [`prepare`].
pub(super) fn check(db: &Connection, path: &Path, fingerprint: &str) -> Result<(), JournalError> {
    let foreign = || JournalError::Foreign { path: path.to_owned() };
    if !db.table_exists(None, "meta")? || !db.table_exists(None, "fact")? {
        return Err(foreign());
    }
    let mut meta = db.prepare("SELECT value FROM meta WHERE name = ?1")?;
    let found: i64 = meta.query_row(["schema"], |row| row.get(0)).optional()?.ok_or_else(foreign)?;
    if found > VERSION {
        return Err(JournalError::NewerSchema { found, known: VERSION });
    }
    let secret: String = meta.query_row(["secret"], |row| row.get(0)).optional()?.ok_or_else(foreign)?;
    if secret != fingerprint {
        return Err(JournalError::OtherKeys);
    }
    Ok(())
}

/// Checks every page of the file. Takes about a tenth of a second for 100,000 registrations.
///
/// # Errors
/// [`JournalError::Damaged`] at the first page that is not as it was written.
pub(super) fn check_integrity(db: &Connection) -> Result<(), JournalError> {
    let verdict: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(JournalError::Damaged { what: verdict }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::fact::{Cause, RecordedFact, SealedPick, SecretScope, Settings, VoidReason};
    use crate::draw::{Actor, DrawId, DrawSpec, Entropy, Epoch, EventId, Fact, Mode, Number, Pool, SessionId, Timestamp};
    use crate::store::testing::{TempDataDir, open_in, temp_data_dir};
    use crate::store::{Journal, JournalEntry, Keys};

    fn gala() -> EventId {
        EventId::parse("gala").unwrap()
    }

    fn opened() -> Fact {
        let settings = Settings { title: "송년회".into(), participants_max: 20_000, ..Settings::default() };
        Fact::Opened { id: gala(), settings, session: SessionId([1; 16]), epoch: Epoch([2; 8]) }
    }

    fn registered(number: u32) -> Fact {
        Fact::Registered { number: Number(number), key: [1; 32], secrets: SecretScope::Registration }
    }

    fn sealed(picks: &[u32]) -> SealedPick {
        SealedPick { entropy: Entropy([3; 32]), picks: picks.iter().copied().map(Number).collect() }
    }

    fn started(draw: u32, prize_name: &str, picks: &[u32]) -> Fact {
        let winner_count = picks.len() as u32;
        let (prize_name, mode) = (prize_name.into(), Mode::Card);
        let (prize_grade, prize_image, show_length) = (None, None, None);
        let spec =
            DrawSpec { prize_id: None, prize_name, prize_rank: draw, prize_grade, prize_image, mode, winner_count, show_length };
        let (spec, pool) = (spec.into(), Pool::new(9).into());
        Fact::Started { draw: DrawId(draw), spec, pool, sealed: Some(sealed(picks)), lock: None, redraw_of: None, request: None }
    }

    fn revealed(draw: u32, picks: &[u32]) -> Fact {
        Fact::Revealed { draw: DrawId(draw), sealed: sealed(picks), show_at: None }
    }

    fn announced(draw: u32) -> Fact {
        Fact::Announced { draw: DrawId(draw), cause: Cause::Completed }
    }

    /// A folder whose journal has these facts, one per second from 2026-01-01 on.
    fn folder_with(facts: Vec<Fact>) -> TempDataDir {
        let data = temp_data_dir();
        let mut journal = open_in(&data);
        let at = (0..).map(|second| Timestamp(1_767_225_600_042 + second * 1_000));
        let entry =
            |(fact, at)| JournalEntry { event: gala(), stamped: RecordedFact { at, actor: Actor::Admin, fact }, details: None };
        journal.commit(&facts.into_iter().zip(at).map(entry).collect::<Vec<_>>()).unwrap();
        data
    }

    /// The answer of `sqlite3`: columns joined by bars, nothing for a null.
    fn query(folder: &TempDataDir, sql: &str) -> Vec<String> {
        let db = Connection::open(folder.journal()).unwrap();
        let mut statement = db.prepare(sql).unwrap();
        let columns = statement.column_count();
        let shown = |value: rusqlite::types::Value| match value {
            rusqlite::types::Value::Null => String::new(),
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        };
        let rows = statement.query_map([], |row| {
            let cells: Result<Vec<String>, _> = (0..columns).map(|i| row.get(i).map(shown)).collect();
            Ok(cells?.join("|"))
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn participants_are_listed_by_round() {
        let whole = Fact::Reset { session: Some(SessionId([4; 16])) };
        let draws_only = Fact::Reset { session: None };
        let folder = folder_with(vec![opened(), registered(1), registered(2), whole, registered(1), draws_only]);
        let rows = query(&folder, "SELECT * FROM participants");
        let listed =
            ["gala|1|2026-01-01T00:00:01.042Z|1|0", "gala|2|2026-01-01T00:00:02.042Z|1|0", "gala|1|2026-01-01T00:00:04.042Z|2|1"];
        assert_eq!(rows, listed);
    }

    #[test]
    fn draws_show_numbers_from_their_reveal_on() {
        let cancelled = Fact::Cancelled { draw: DrawId(1), sealed: Some(sealed(&[8])), reason: "wrong prize".into() };
        let whole = vec![started(2, "TV", &[5, 3]), revealed(2, &[5, 3]), announced(2), Fact::Reset { session: None }];
        let after = vec![started(3, "Tea", &[4]), revealed(3, &[4]), started(4, "Car", &[6])];
        let facts = [vec![opened(), started(1, "Cup", &[8]), cancelled], whole, after].concat();
        let rows = query(&folder_with(facts), "SELECT draw, prize_name, prize_rank, number, status, round, current FROM draws");
        let listed = [
            "1|Cup|1||cancelled|1|0",
            "2|TV|2|5|announced|1|0",
            "2|TV|2|3|announced|1|0",
            "3|Tea|3|4|revealed|2|1",
            "4|Car|4||started|2|1",
        ];
        assert_eq!(rows, listed);
    }

    #[test]
    fn draws_show_their_times() {
        let folder = folder_with(vec![opened(), started(1, "TV", &[5]), revealed(1, &[5]), announced(1)]);
        let rows = query(&folder, "SELECT event, started_at, revealed_at, announced_at FROM draws");
        assert_eq!(rows, ["gala|2026-01-01T00:00:01.042Z|2026-01-01T00:00:02.042Z|2026-01-01T00:00:03.042Z"]);
    }

    #[test]
    fn winners_are_listed_by_seat_with_their_times_and_voids() {
        let void = Fact::SeatVoided { draw: DrawId(1), number: Number(5), reason: VoidReason::Absent };
        let details = Fact::DetailsReceived { draw: DrawId(1), number: Number(3) };
        let arrived = Fact::Arrived { draw: DrawId(1), number: Number(3) };
        let drawn = vec![opened(), started(1, "TV", &[5, 3]), revealed(1, &[5, 3]), announced(1), void, details, arrived];
        let folder = folder_with([drawn, vec![started(2, "Car", &[6])]].concat());
        let columns = "draw, number, prize_name, void_reason, substr(voided_at, 18, 2), substr(details_at, 18, 2), substr(arrived_at, 18, 2)";
        let rows = query(&folder, &format!("SELECT {columns}, current FROM winners"));
        assert_eq!(rows, ["1|5|TV|absent|04|||1", "1|3|TV|||05|06|1"], "and nobody of a draw that is not revealed");
    }

    #[test]
    fn a_folder_of_a_newer_program_is_refused() {
        let folder = folder_with(vec![opened()]);
        query(&folder, "UPDATE meta SET value = 2 WHERE name = 'schema' RETURNING value");
        let refusal = Journal::open(&folder, &Keys::open(&folder).unwrap()).unwrap_err();
        assert!(matches!(refusal, JournalError::NewerSchema { found: 2, known: VERSION }), "{refusal}");
        assert!(refusal.to_string().contains("start the newer program again"), "{refusal}");
    }

    #[test]
    fn a_journal_of_another_secret_is_refused() {
        let folder = folder_with(vec![opened()]);
        let refusal = Journal::open(&folder, &Keys::open(&temp_data_dir()).unwrap()).unwrap_err();
        assert!(matches!(refusal, JournalError::OtherKeys), "{refusal}");
    }

    #[test]
    fn a_database_of_something_else_is_left_alone() {
        let folder = temp_data_dir();
        query(&folder, "CREATE TABLE songs (id)");
        let refusal = Journal::open(&folder, &Keys::open(&folder).unwrap()).unwrap_err();
        assert!(matches!(refusal, JournalError::Foreign { .. }), "{refusal}");
        assert_eq!(query(&folder, "SELECT name FROM sqlite_schema"), ["songs"]);
        assert_eq!(query(&folder, "PRAGMA journal_mode"), ["delete"]);
    }
}
