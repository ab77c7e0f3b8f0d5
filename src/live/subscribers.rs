//! The peers of one room on one reactor, and the last snapshot that this reactor broadcast to them.
//!
//! The reactor keeps a snapshot of its own per room: every peer on the lists has been sent all of
//! it and nothing later. A joining peer gets the same snapshot, whatever the sequencer publishes
//! meanwhile. With the room's newest snapshot instead, it would get the frames between the two
//! twice. The first peer of a room creates its `Subscribers`, the last one's leave drops them.

use crate::live::message_handler::ResumePoint;
use crate::live::room::{Room, Snapshot};
use crate::live::{ByRole, Role};
use crate::wire::join_frames;
use bytes::Bytes;
use std::sync::Arc;

/// The peers of one room on one reactor, by their slots.
#[derive(Debug)]
pub struct Subscribers {
    pub room: Arc<Room>,
    /// The snapshot of the last publication that the reactor broadcast.
    pub snapshot: Arc<Snapshot>,
    /// Peers that get their role's frames.
    pub admitted: ByRole<Vec<u32>>,
    /// Peers that have yet to prove their role, and get no frames.
    pub pending_auth: Vec<PendingAuth>,
    /// The last range of missed frames: after a restart many peers have missed the same, and share
    /// one buffer.
    missed: Option<MissedFrames>,
}

/// A peer that has yet to prove its role.
#[derive(Clone, Copy, Debug)]
pub struct PendingAuth {
    pub slot: u32,
    pub since: Option<ResumePoint>,
}

#[derive(Debug)]
struct MissedFrames {
    after: u64,
    through: u64,
    frames: Bytes,
}

impl Subscribers {
    /// No peers yet, at the room's current snapshot: the reactor has not broadcast anything later
    /// of this room.
    pub fn new(room: Arc<Room>) -> Self {
        Self { snapshot: room.snapshot(), room, admitted: ByRole::default(), pending_auth: Vec::new(), missed: None }
    }

    /// Has the last peer left?
    pub fn is_empty(&self) -> bool {
        self.pending_auth.is_empty() && self.admitted.0.iter().all(Vec::is_empty)
    }

    /// The slots of all peers, admitted or not.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        self.admitted.0.iter().flatten().copied().chain(self.pending_auth.iter().map(|pending| pending.slot))
    }

    /// Removes the peer at `index` of a role's list. Returns the slot of the peer that moved into
    /// its position.
    pub fn remove_admitted(&mut self, role: Role, index: u32) -> Option<u32> {
        self.admitted[role].swap_remove(index as usize);
        self.admitted[role].get(index as usize).copied()
    }

    /// Removes the pending peer at `index`. Returns it, and the slot of the peer that moved into
    /// its position.
    pub fn remove_pending(&mut self, index: u32) -> (PendingAuth, Option<u32>) {
        let pending = self.pending_auth.swap_remove(index as usize);
        (pending, self.pending_auth.get(index as usize).map(|moved| moved.slot))
    }

    /// The frames after `since` up to `through`, which must not be ahead of the snapshot, as one
    /// buffer. `None` when `since` belongs to another epoch or the frames are no longer held.
    pub fn missed(&mut self, since: ResumePoint, through: u64) -> Option<Bytes> {
        let snapshot = &self.snapshot;
        if since.epoch != snapshot.event.epoch {
            return None;
        }
        let (after, count) = (since.seq, through.saturating_sub(since.seq));
        let frames = snapshot.ring.after(after)?.take(count as usize);
        if count == 0 {
            return Some(Bytes::new());
        }
        if let Some(missed) = self.missed.as_ref().filter(|missed| missed.after == after && missed.through == through) {
            return Some(missed.frames.clone());
        }
        let frames = join_frames(frames);
        self.missed = Some(MissedFrames { after, through, frames: frames.clone() });
        Some(frames)
    }

    /// Drops the shared buffer of missed frames.
    pub fn drop_missed(&mut self) {
        self.missed = None;
    }

    /// The full `seq` at or before the snapshot's last whose low 32 bits are `low`.
    pub fn full_seq(&self, low: u32) -> u64 {
        let last = self.snapshot.ring.last_seq();
        last.saturating_sub(u64::from((last as u32).wrapping_sub(low)))
    }
}
