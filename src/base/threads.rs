//! The watch over threads: what a panic of an essential one does, and whether each still reaches its work.
//!
//! A panic in an essential thread ends the process, and the supervisor starts the next one from the journal. Going on
//! would be worse: a writer may hold half a truth, without the acceptor nobody comes in, and a dead reactor would be
//! dealt every second phone that comes back. A panic in a handler is no such thing: it ends its connection.
//!
//! A thread that hangs cannot say so, and one that beats a drum of its own accord may beat it while its work stands still. So a [`LivenessProbe`] goes
//! the way that work goes, through the thread's own inbox, and letting go of it is the answer. A thread that has ended has let go as well:
//! what it means that it has ended is not this file's affair (`fail_stop` is).

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::convert::Infallible;
use std::time::Instant;

/// Ends the process when it is dropped by a panic. To be held for as long as its thread runs.
#[derive(Debug)]
pub struct EndProcessOnPanic;

impl Drop for EndProcessOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// Put into a thread's inbox. To be dropped where its turn comes.
#[derive(Debug)]
pub struct LivenessProbe {
    _letting_go_answers: Sender<Infallible>,
}

/// Somebody who was called.
#[derive(Debug)]
pub struct PendingProbe {
    /// The thread's name.
    pub name: String,
    /// None: its inbox had no room for the call.
    answer: Option<Receiver<Infallible>>,
}

/// Calls a thread; `put` puts the call into its inbox and says whether there was room. A thread that has ended has all the room.
pub fn probe(name: impl Into<String>, put: impl FnOnce(LivenessProbe) -> bool) -> PendingProbe {
    let (sender, answer) = bounded(0);
    let has_room = put(LivenessProbe { _letting_go_answers: sender });
    PendingProbe { name: name.into(), answer: has_room.then_some(answer) }
}

impl PendingProbe {
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
        let silent = probe("silent", |call| {
            kept = Some(call);
            true
        });
        let full = probe("full", |_| false);
        let there = probe("there", |_| true);
        let now = Instant::now();
        assert!(!silent.answers_by(now) && !full.answers_by(now) && there.answers_by(now));
        drop(kept);
        assert!(silent.answers_by(now));
    }
}
