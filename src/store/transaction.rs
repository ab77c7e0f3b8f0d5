//! One transaction of the journal: committed and flushed as a whole, or rolled back.

use crate::store::error::CommitError;
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Runs `work` in one transaction, which is committed and not flushed, or rolled back: a power cut
/// may undo it until the next commit that is flushed.
pub(super) fn unflushed_transaction<T>(
    db: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> Result<T, CommitError> {
    db.pragma_update(None, "synchronous", "NORMAL")?;
    let done = transaction(db, work);
    // Without it, a power cut would lose facts that are acknowledged from now on.
    db.pragma_update(None, "synchronous", "FULL").map_err(CommitError::Fatal)?;
    done
}

/// Runs `work` in one transaction, which is committed and flushed, or rolled back.
pub(super) fn transaction<T>(
    db: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> Result<T, CommitError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = work(&tx).and_then(|done| tx.commit().map(|()| done));
    match done {
        Ok(done) => Ok(done),
        // Dropping the transaction rolled it back. One that is still open would swallow the next
        // batch.
        Err(error) if !db.is_autocommit() => Err(CommitError::Fatal(error)),
        Err(error) => Err(error.into()),
    }
}
