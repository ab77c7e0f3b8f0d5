//! Phones that do not read what they are sent, and what the server has made of them in the end.
//!
//! They have the smallest window there is, so that what they do not read soon waits at the server, which must let go of them and keep everybody
//! else unharmed. Nothing is owed to them, and nothing that they hear is accounted for. Whether the server let go is seen at the end by reading
//! on: there is a close, or a reset, or just silence.

use crate::evening::Evening;
use crate::line::{Heard, Line, hear, say};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Between two frames that are read by one that reads little; a draw has four every few seconds.
const LITTLE_EVERY: Duration = Duration::from_secs(2);

/// Silence after which a socket that is read on is taken for one that the server has kept.
const SILENCE: Duration = Duration::from_secs(2);

/// Reading on ends here in any case.
const READING_ON: Duration = Duration::from_secs(20);

/// Reads a frame now and then, and pings like everybody. As long as it gets on, the server may well keep it.
pub async fn read_little(evening: &Evening, mut line: Line) {
    let mut reading = evening.plan.ping_every.min(LITTLE_EVERY);
    while !evening.over.is_cancelled() {
        tokio::select! {
            () = sleep(reading) => {}
            () = evening.over.cancelled() => break,
        }
        reading = LITTLE_EVERY;
        let gone = say(&mut line, r#"{"type":"ping"}"#.into()).await.is_err();
        if gone || matches!(timeout(SILENCE, hear(&mut line)).await, Ok(Heard::Closed(_))) {
            evening.book.borrow_mut().slow_evicted += 1;
            return;
        }
    }
}

/// Reads nothing and says nothing until the evening is over, and then looks what became of its socket.
pub async fn read_nothing(evening: &Evening, mut line: Line) {
    evening.over.cancelled().await;
    let kept = async {
        loop {
            match timeout(SILENCE, hear(&mut line)).await {
                Ok(Heard::Text(_)) => {}
                Ok(Heard::Closed(_)) => return false,
                Err(_) => return true,
            }
        }
    };
    let kept = timeout(READING_ON, kept).await.unwrap_or(true);
    let mut book = evening.book.borrow_mut();
    book.slow_evicted += u64::from(!kept);
    book.slow_kept += u64::from(kept);
}
