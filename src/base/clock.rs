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

/// An offset of local time from UTC, in minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UtcOffset(i32);

impl UtcOffset {
    /// The offset of that many minutes, within the 14 hours that zones have.
    pub fn of_minutes(minutes: i32) -> Option<Self> {
        (-14 * 60..=14 * 60).contains(&minutes).then_some(Self(minutes))
    }
}

impl std::fmt::Display for UtcOffset {
    /// As RFC 3339 writes it: `+09:00`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", self.0.abs() / 60, self.0.abs() % 60)
    }
}

/// A timestamp as a spreadsheet reads it, in local time with seconds: `2026-11-23 00:06:51`.
pub fn local_time(at: Timestamp, offset: UtcOffset) -> String {
    let shifted = rfc3339(Timestamp(at.0.saturating_add(i64::from(offset.0) * 60_000)));
    shifted[..19].replace('T', " ")
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
    fn local_time_is_shifted_over_midnight() {
        let local = |minutes| local_time(Timestamp(1_795_360_011_042), UtcOffset::of_minutes(minutes).unwrap());
        assert_eq!((local(540).as_str(), local(-210).as_str()), ("2026-11-23 00:06:51", "2026-11-22 11:36:51"));
        assert_eq!((UtcOffset(540).to_string(), UtcOffset(-210).to_string()), ("+09:00".into(), "-03:30".into()));
        assert!(UtcOffset::of_minutes(841).is_none() && UtcOffset::of_minutes(-840).is_some());
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
