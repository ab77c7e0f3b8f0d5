//! The time of day, where the street side needs it: for cookies that end, tries that are counted, details that are handed in.
//!
//! The draw's own times are the sequencer's; nothing here ends up in a fact.

use crate::draw::Moment;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now. A clock set before 1970 counts as 1970.
pub fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment(since.as_millis() as i64)
}
