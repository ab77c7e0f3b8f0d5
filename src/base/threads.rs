//! Supervision of threads: the effect of a panic in an essential thread, and probes of liveness.
//!
//! A panic in the sequencer or the acceptor ends the process, and the supervisor starts the next
//! one from the journal. Continuing would be worse: the writer could hold half a change, and
//! without the acceptor no client can connect. A reactor drops its tables and goes on, since its
//! peers reconnect. It ends the process only if that panics too. A panic in a handler only ends its
//! connection.
//!
//! A timer can keep ticking in a stuck thread, so a [`LivenessProbe`] goes through the thread's own
//! inbox, and dropping it is the reply. A thread that has ended drops its inbox, so it replies too;
//! [`EndProcessOnPanic`] covers that case, a probe must not.

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::convert::Infallible;
use std::time::Instant;

/// Ends the process when a panic drops it. A thread holds it for as long as it runs.
#[derive(Debug)]
pub struct EndProcessOnPanic;

impl Drop for EndProcessOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// A probe in a thread's inbox. The thread drops it when its turn comes.
#[derive(Debug)]
pub struct LivenessProbe {
    _dropped_to_reply: Sender<Infallible>,
}

/// A probe that waits for its reply.
#[derive(Debug)]
pub struct PendingProbe {
    /// The thread's name.
    pub name: String,
    /// `None` when the inbox had no room for the probe.
    reply: Option<Receiver<Infallible>>,
}

/// Probes a thread. `put` places the probe in its inbox and returns whether there was room; an
/// ended thread always has room.
pub fn probe(name: impl Into<String>, put: impl FnOnce(LivenessProbe) -> bool) -> PendingProbe {
    let (sender, reply) = bounded(0);
    let has_room = put(LivenessProbe { _dropped_to_reply: sender });
    PendingProbe { name: name.into(), reply: has_room.then_some(reply) }
}

impl PendingProbe {
    /// Waits for the reply until `deadline`; false without one.
    pub fn answers_by(&self, deadline: Instant) -> bool {
        let reply = self.reply.as_ref().map(|reply| reply.recv_deadline(deadline));
        matches!(reply, Some(Err(RecvTimeoutError::Disconnected)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_thread_that_drops_the_probe_has_replied() {
        let mut held = None;
        let silent = probe("silent", |probe| {
            held = Some(probe);
            true
        });
        let full = probe("full", |_| false);
        let alive = probe("alive", |_| true);
        let now = Instant::now();
        assert!(!silent.answers_by(now) && !full.answers_by(now) && alive.answers_by(now));
        drop(held);
        assert!(silent.answers_by(now));
    }
}
