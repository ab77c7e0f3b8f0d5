//! Who is connected to a room: counts that every stage writes and everybody reads.

use crate::live::{ByRole, Role};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Why a peer was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evicted {
    /// Frames waited for it too long, or too many did.
    Slow,
    Silent,
    /// It said too much.
    Talkative,
}

/// Counts of peers. All orderings are relaxed: each count stands alone, and nothing else is read on the strength of it.
#[derive(Debug, Default)]
pub struct ConnectionCounts {
    /// Written by the stages when an admitted peer comes or goes.
    connected: ByRole<AtomicU32>,
    /// Peers that owe the kernel something: their outbox is not empty. Written by the stages.
    pub behind: AtomicU32,
    /// Peers evicted since the start, by reason. Written by the stages.
    evicted: [AtomicU64; 3],
    /// When a display was last seen leaving, in milliseconds since 1970. Written by the stages, and by the sequencer at start.
    display_left_at: AtomicI64,
}

impl ConnectionCounts {
    /// Counts a peer in.
    pub fn enter(&self, role: Role) {
        self.connected[role].fetch_add(1, Relaxed);
    }

    /// Counts a peer out.
    pub fn leave(&self, role: Role, now_ms: i64) {
        self.connected[role].fetch_sub(1, Relaxed);
        if role == Role::Display {
            self.note_display(now_ms);
        }
    }

    /// Notes that a display was connected at `now_ms`. A restart counts as one having been.
    pub fn note_display(&self, now_ms: i64) {
        self.display_left_at.fetch_max(now_ms, Relaxed);
    }

    /// Counts an evicted peer.
    pub fn evict(&self, reason: Evicted) {
        self.evicted[reason as usize].fetch_add(1, Relaxed);
    }

    /// How many peers were evicted for that reason.
    pub fn evicted(&self, reason: Evicted) -> u64 {
        self.evicted[reason as usize].load(Relaxed)
    }

    /// How many peers were evicted.
    pub fn evicted_total(&self) -> u64 {
        self.evicted.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// How many peers of a role are connected.
    pub fn connected(&self, role: Role) -> u32 {
        self.connected[role].load(Relaxed)
    }

    /// How many peers are connected.
    pub fn total(&self) -> u32 {
        Role::ALL.into_iter().map(|role| self.connected(role)).sum()
    }

    /// Whether a display is connected, or was within the last `within_ms`.
    pub fn has_display(&self, now_ms: i64, within_ms: i64) -> bool {
        self.connected(Role::Display) > 0 || now_ms - self.display_left_at.load(Relaxed) < within_ms
    }
}
