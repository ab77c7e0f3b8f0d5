//! Counts of a room's connections, by role. Every reactor writes them and every thread reads them.
//!
//! Atomics rather than a locked struct: a reactor counts a peer in or out without waiting for
//! another. The counts never decide who may connect.

use crate::live::{ByRole, Role};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};

/// The reason for an eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionReason {
    /// Frames waited for the peer for too long, or too many did.
    Slow,
    /// The peer did not answer a ping.
    Silent,
    /// The peer sent more frames than its rate allows.
    Flooding,
}

/// Counts of peers. All orderings are relaxed: the counts are independent, and no other memory is
/// read because of them.
#[derive(Debug, Default)]
pub struct ConnectionCounts {
    /// Admitted peers. Written by the reactors.
    connected: ByRole<AtomicU32>,
    /// Peers whose outbox is not empty. Written by the reactors.
    pub behind: AtomicU32,
    /// Peers evicted since the start, by reason. Written by the reactors.
    evicted: [AtomicU64; 3],
    /// The last time a display left, by [`monotonic_ms`]. Written by the reactors, and by the
    /// sequencer at start.
    ///
    /// [`monotonic_ms`]: crate::base::clock::monotonic_ms
    display_left_at: AtomicI64,
}

impl ConnectionCounts {
    /// Counts an admitted peer.
    pub fn count_join(&self, role: Role) {
        self.connected[role].fetch_add(1, Relaxed);
    }

    /// Counts the leave of an admitted peer.
    pub fn count_leave(&self, role: Role, now_ms: i64) {
        self.connected[role].fetch_sub(1, Relaxed);
        if role == Role::Display {
            self.note_display(now_ms);
        }
    }

    /// Notes that a display was connected at `now_ms`. A restart counts as such a moment, since
    /// displays reconnect after it.
    pub fn note_display(&self, now_ms: i64) {
        self.display_left_at.fetch_max(now_ms, Relaxed);
    }

    /// Counts an evicted peer.
    pub fn count_eviction(&self, reason: EvictionReason) {
        self.evicted[reason as usize].fetch_add(1, Relaxed);
    }

    /// Peers evicted since the start for this reason.
    pub fn evicted(&self, reason: EvictionReason) -> u64 {
        self.evicted[reason as usize].load(Relaxed)
    }

    /// Peers evicted since the start.
    pub fn evicted_total(&self) -> u64 {
        self.evicted.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// Connected peers of this role.
    pub fn connected(&self, role: Role) -> u32 {
        self.connected[role].load(Relaxed)
    }

    /// Connected peers of all roles.
    pub fn total(&self) -> u32 {
        Role::ALL.into_iter().map(|role| self.connected(role)).sum()
    }

    /// Is a display connected, or was one within the last `within_ms`?
    pub fn has_display(&self, now_ms: i64, within_ms: i64) -> bool {
        self.connected(Role::Display) > 0 || now_ms - self.display_left_at.load(Relaxed) < within_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_counts_as_present_for_a_while_after_it_left() {
        let counts = ConnectionCounts::default();
        assert!(!counts.has_display(1_000_000, 600_000), "there has never been one");
        counts.count_join(Role::Display);
        assert!(counts.has_display(i64::MAX, 0), "a connected display is present at any time");
        counts.count_leave(Role::Display, 1_000_000);
        assert!(counts.has_display(1_599_999, 600_000) && !counts.has_display(1_600_000, 600_000));
        counts.note_display(900_000);
        assert!(counts.has_display(1_599_999, 600_000), "an earlier note does not move the time back");
    }

    #[test]
    fn roles_and_reasons_are_counted_apart_and_in_sum() {
        let counts = ConnectionCounts::default();
        for role in [Role::Phone, Role::Phone, Role::Admin] {
            counts.count_join(role);
        }
        counts.count_leave(Role::Phone, 0);
        assert_eq!((Role::ALL.map(|role| counts.connected(role)), counts.total()), ([1, 0, 1], 2));
        for reason in [EvictionReason::Slow, EvictionReason::Slow, EvictionReason::Flooding] {
            counts.count_eviction(reason);
        }
        assert_eq!((counts.evicted(EvictionReason::Slow), counts.evicted(EvictionReason::Silent)), (2, 0));
        assert_eq!(counts.evicted_total(), 3);
    }
}
