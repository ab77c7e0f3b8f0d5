//! The audit trail: an event's facts as text for people, a page at a time, without anything that is
//! still secret.

use crate::draw::Timestamp;
use crate::draw::fact::AuditLine;
use rusqlite::Connection;

/// SQLite chooses the index `fact_audit` for the words that this query shares with it, and walks it
/// backwards.
const SELECT: &str = "SELECT id, at, actor, kind, json_remove(body, '$.sealed', '$.key') FROM fact
    WHERE event = ?1 AND kind <> 'registered' AND id < ?2 ORDER BY id DESC LIMIT ?3";

/// The lines of the event with that key below the line `before`, newest first. Registrations are
/// left out. O(limit).
pub(super) fn read(db: &Connection, key: i64, before: Option<i64>, limit: u32) -> rusqlite::Result<Vec<AuditLine>> {
    let mut statement = db.prepare_cached(SELECT)?;
    let lines = statement.query_map((key, before.unwrap_or(i64::MAX), limit), |row| {
        let at = Timestamp(row.get(1)?);
        Ok(AuditLine { id: row.get(0)?, at, actor: row.get(2)?, kind: row.get(3)?, summary: row.get(4)? })
    })?;
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::fact::Cause;
    use crate::draw::{DrawId, Fact};
    use crate::store::testing::{entry, event_id, open_journal, opened, registered, started};

    #[test]
    fn the_audit_trail_goes_page_by_page_past_the_registrations() {
        let (_data, mut journal) = open_journal();
        journal.commit(&[opened("gala"), opened("picnic")]).unwrap();
        journal.commit(&(1..=100).map(|n| registered("gala", n)).collect::<Vec<_>>()).unwrap();
        journal
            .commit(&[started("gala"), entry("gala", 9, Fact::Announced { draw: DrawId(1), cause: Cause::Deadline })])
            .unwrap();
        let kinds = |lines: &[AuditLine]| lines.iter().map(|line| line.kind.clone()).collect::<Vec<_>>();
        let first = journal.audit(&event_id("gala"), None, 2).unwrap();
        assert_eq!(kinds(&first), ["announced", "started"]);
        assert_eq!((first[0].at, first[0].actor.as_str()), (Timestamp(9), "admin"));
        assert_eq!(first[0].summary, r#"{"draw":1,"cause":"deadline"}"#);
        let rest = journal.audit(&event_id("gala"), Some(first[1].id), 2).unwrap();
        assert_eq!(kinds(&rest), ["opened"]);
        assert_eq!(journal.audit(&event_id("gala"), Some(rest[0].id), 2).unwrap(), []);
        assert_eq!(journal.audit(&event_id("nowhere"), None, 2).unwrap(), []);
    }

    #[test]
    fn a_page_is_read_through_the_index() {
        let (_data, journal) = open_journal();
        let explain = format!("EXPLAIN QUERY PLAN {SELECT}");
        let plan: String = journal.db.query_row(&explain, (1, 9, 9), |row| row.get(3)).unwrap();
        assert!(plan.contains("USING INDEX fact_audit (event=? AND rowid<?)"), "{plan}");
    }
}
