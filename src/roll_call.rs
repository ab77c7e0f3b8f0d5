//! Asking threads whether they still come round to their work: what a watchdog may believe.
//!
//! A thread that hangs cannot say so, and one that beats a drum of its own accord may beat it while its work stands still. So a [`Call`] goes
//! the way that work goes, through the thread's own inbox, and letting go of it is the answer. A thread that has ended has let go as well:
//! what it means that it has ended is not this file's affair (`fail_stop` is).

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::convert::Infallible;
use std::time::Instant;

/// Put into a thread's inbox. To be dropped where its turn comes.
#[derive(Debug)]
pub struct Call {
    _letting_go_answers: Sender<Infallible>,
}

/// Somebody who was called.
#[derive(Debug)]
pub struct Called {
    /// The thread's name.
    pub name: String,
    /// None: its inbox had no room for the call.
    answer: Option<Receiver<Infallible>>,
}

/// Calls a thread; `put` puts the call into its inbox and says whether there was room. A thread that has ended has all the room.
pub fn call(name: impl Into<String>, put: impl FnOnce(Call) -> bool) -> Called {
    let (sender, answer) = bounded(0);
    let has_room = put(Call { _letting_go_answers: sender });
    Called { name: name.into(), answer: has_room.then_some(answer) }
}

impl Called {
    /// Waits for the answer until `deadline`; false when there is none by then.
    pub fn answers_by(&self, deadline: Instant) -> bool {
        let answer = self.answer.as_ref().map(|answer| answer.recv_deadline(deadline));
        matches!(answer, Some(Err(RecvTimeoutError::Disconnected)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_lets_go_of_the_call_has_answered() {
        let mut kept = None;
        let silent = call("silent", |call| {
            kept = Some(call);
            true
        });
        let full = call("full", |_| false);
        let there = call("there", |_| true);
        let now = Instant::now();
        assert!(!silent.answers_by(now) && !full.answers_by(now) && there.answers_by(now));
        drop(kept);
        assert!(silent.answers_by(now));
    }
}
