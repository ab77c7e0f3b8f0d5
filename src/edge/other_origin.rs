//! The guard against two origins: each says each second that it is there, and one that hears
//! another serves no edge.
//!
//! Two origins have two journals, and would give two phones the same number. Neither can know which
//! one is right, so both fall silent and say so, until one has been gone for some seconds. After a
//! connect an origin listens first, so that not even its first answer is one of two.

use crate::base::chance;
use crate::edge::SILENCE_MAX;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Time for which an origin listens after a connect: one and a half heartbeats, in which
/// another one says a word.
const LISTEN: Duration = Duration::from_millis(1500);

/// This origin, and the other that it hears. It lives on one thread.
pub struct OtherOrigin {
    /// The name of this process, which its messages carry.
    pub own_id: String,
    heard_at: Cell<Option<Instant>>,
    connected_at: Cell<Instant>,
}

impl OtherOrigin {
    /// Begins to listen.
    pub fn new(now: Instant) -> Self {
        Self { own_id: chance::hex(16), heard_at: Cell::new(None), connected_at: Cell::new(now) }
    }

    /// Listens anew after a connect.
    pub fn listen(&self, now: Instant) {
        self.connected_at.set(now);
    }

    /// Notes an origin of that name.
    pub fn note(&self, id: &str, now: Instant) {
        // An empty one is a doctor's.
        if !id.is_empty() && id != self.own_id {
            self.heard_at.set(Some(now));
        }
    }

    /// Returns whether another origin was heard within the last seconds.
    pub fn is_there(&self, now: Instant) -> bool {
        self.heard_at.get().is_some_and(|heard_at| now.saturating_duration_since(heard_at) < SILENCE_MAX)
    }

    /// Returns whether this origin may serve edges.
    pub fn may_serve(&self, now: Instant) -> bool {
        !self.is_there(now) && now.saturating_duration_since(self.connected_at.get()) >= LISTEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_listens_first_and_serves_while_no_other_is_heard() {
        let start = Instant::now();
        let other_origin = OtherOrigin::new(start);
        assert!(!other_origin.may_serve(start), "another one may be there");
        let now = start + LISTEN;
        other_origin.note(&other_origin.own_id, now);
        assert!(other_origin.may_serve(now) && !other_origin.is_there(now), "itself is no other");
        other_origin.note("another", now);
        assert!(other_origin.is_there(now) && !other_origin.may_serve(now + SILENCE_MAX - Duration::from_millis(1)));
        assert!(other_origin.may_serve(now + SILENCE_MAX));
        other_origin.listen(now + SILENCE_MAX);
        assert!(!other_origin.may_serve(now + SILENCE_MAX), "it was away");
    }
}
