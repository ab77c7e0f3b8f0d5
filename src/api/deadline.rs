//! Deadlines of a handler's waits: none waits for a disk without bound.
//!
//! A wait for the writer has its deadline in [`crate::sequencer::inbox`]; every other one goes
//! through this file. What was begun goes on after the deadline, so the answer says that it is
//! perhaps done.

use crate::http::response::HttpError;
use crate::sequencer::inbox::{ANSWER_TIME_MAX, Rejection};
use std::future::Future;
use std::time::Duration;

/// Waits for `work`, at most for `time_max`.
///
/// # Errors
/// 503 after that time.
pub async fn within<T>(time_max: Duration, work: impl Future<Output = T>) -> Result<T, HttpError> {
    tokio::time::timeout(time_max, work).await.map_err(|_| Rejection::Unanswered.into())
}

/// Runs `work` on a blocking thread; `None` when it panics. Dropping the future abandons the
/// answer, not the work.
///
/// # Errors
/// 503 when it takes too long.
pub async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<Option<T>, HttpError> {
    within(ANSWER_TIME_MAX, async { tokio::task::spawn_blocking(work).await.ok() }).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;

    #[tokio::test]
    async fn work_that_takes_too_long_is_answered_with_503_and_a_time_to_come_back() {
        let error = within(Duration::from_millis(1), std::future::pending::<()>()).await.unwrap_err();
        assert_eq!((error.status, error.code), (StatusCode::SERVICE_UNAVAILABLE, "OUTCOME_UNKNOWN"));
        assert!(error.retry_after.is_some() && error.message.contains("perhaps done"));
    }

    #[tokio::test]
    async fn work_that_panics_gives_no_result() {
        assert_eq!(run_blocking(|| 7).await.unwrap(), Some(7));
        assert_eq!(run_blocking(|| if true { panic!("planted") } else { 7 }).await.unwrap(), None);
    }
}
