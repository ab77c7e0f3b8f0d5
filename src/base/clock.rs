//! The wall clock, and timestamps as text.
//!
//! The wall clock can jump, so no deadline may depend on it: those use `Instant`.

use crate::draw::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const RFC_3339_MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A timestamp as RFC 3339 in UTC with milliseconds, `2026-11-22T15:06:51.042Z`.
pub fn rfc3339(at: Timestamp) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(RFC_3339_MILLIS).expect("every time has the parts of the format")
}

/// The current time of the wall clock.
pub fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since_epoch.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_has_milliseconds_and_ends_with_z() {
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(Timestamp(1_795_360_011_042)), "2026-11-22T15:06:51.042Z");
    }

    #[test]
    fn text_sorts_as_the_timestamps_do() {
        let mut at = 0;
        let texts: Vec<_> = (0..2_000)
            .map(|step| {
                at += 1 + step * 43_717_777;
                rfc3339(Timestamp(at))
            })
            .collect();
        assert!(texts.is_sorted() && texts.iter().all(|text| text.len() == "2026-11-22T15:06:51.042Z".len()));
    }

    #[test]
    fn a_timestamp_beyond_the_calendar_does_not_panic() {
        for at in [i64::MIN, -1, i64::MAX] {
            assert!(rfc3339(Timestamp(at)).ends_with('Z'), "{at}");
        }
    }
}
