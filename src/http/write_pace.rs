//! The pace at which a peer has to take an answer.
//!
//! A peer that reads a byte now and then would hold its answer's memory for ever, and with it a
//! part of the budget that all connections share. A deadline alone would cut off phones on a slow
//! network; so an answer has some time, and more for each byte that is taken. The time runs only
//! while the kernel refuses bytes: an answer that it takes at once costs no timer.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// Time for an answer, from the first byte that has to wait.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The slowest pace beyond it: that of a phone with one bar of the oldest network.
const BYTES_PER_SECOND: u32 = 8 << 10;

/// The time that is left for the bytes under way.
#[derive(Debug)]
pub struct WritePace {
    time: Duration,
    /// Set while bytes wait.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Default for WritePace {
    fn default() -> Self {
        Self::new(ANSWER_TIME)
    }
}

impl WritePace {
    /// A pace whose answers have so much time, and more for each byte that is taken.
    pub fn new(time: Duration) -> Self {
        Self { time, deadline: None }
    }

    /// Passes on the result of a write, which took so many bytes.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] when bytes wait and the time is up.
    pub fn written(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Ready(Ok(bytes)) => {
                if let Some(deadline) = &mut self.deadline {
                    let more = Duration::from_secs(1) * u32::try_from(*bytes).unwrap_or(u32::MAX) / BYTES_PER_SECOND;
                    let later = deadline.deadline() + more;
                    deadline.as_mut().reset(later);
                }
                result
            }
            Poll::Ready(Err(_)) => result,
            Poll::Pending => self.wait(cx),
        }
    }

    /// Passes on the result of a flush, after which no byte waits.
    ///
    /// # Errors
    /// As [`WritePace::written`].
    pub fn flushed(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        match result {
            Poll::Ready(_) => {
                self.deadline = None;
                result
            }
            Poll::Pending => self.wait(cx),
        }
    }

    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(self.time)));
        deadline.as_mut().poll(cx).map(|()| Err(io::Error::new(ErrorKind::TimedOut, "the peer takes its answer too slowly")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[tokio::test]
    async fn bytes_that_are_taken_give_time_and_a_flush_ends_it() {
        let (mut pace, mut cx) = (WritePace::default(), Context::from_waker(Waker::noop()));
        let deadline = |pace: &WritePace| pace.deadline.as_ref().map(|deadline| deadline.deadline());
        assert!(pace.written(&mut cx, Poll::Ready(Ok(1 << 20))).is_ready() && deadline(&pace).is_none(), "nothing had to wait");
        assert!(pace.written(&mut cx, Poll::Pending).is_pending());
        let first = deadline(&pace).unwrap();
        assert!(pace.written(&mut cx, Poll::Pending).is_pending() && deadline(&pace) == Some(first), "waiting gives none");
        assert!(pace.written(&mut cx, Poll::Ready(Ok(24 << 10))).is_ready());
        assert_eq!(deadline(&pace), Some(first + Duration::from_secs(3)));
        assert!(pace.flushed(&mut cx, Poll::Pending).is_pending() && deadline(&pace).is_some());
        assert!(pace.flushed(&mut cx, Poll::Ready(Ok(()))).is_ready() && deadline(&pace).is_none());
    }
}
