//! Backups as the console shows them.

use crate::base::clock::rfc3339;
use crate::draw::Timestamp;
use serde_json::{Value, json};

/// A backup that is there.
pub struct BackupView<'a> {
    pub name: &'a str,
    pub made_at: Timestamp,
    pub bytes: u64,
    pub cause: &'a str,
}

impl BackupView<'_> {
    fn fields(&self) -> Value {
        json!({"name": self.name, "made_at": rfc3339(self.made_at), "bytes": self.bytes, "cause": self.cause})
    }
}

/// One that was just made, and read back.
pub fn made(backup: &BackupView<'_>) -> String {
    let mut fields = backup.fields();
    fields["verified"] = true.into();
    fields.to_string()
}

/// Those that are there, in their order.
pub fn backups(backups: &[BackupView<'_>]) -> String {
    json!({"backups": backups.iter().map(BackupView::fields).collect::<Vec<_>>(), "total_count": backups.len()}).to_string()
}
