//! The peers of one room on one stage, and how far that stage has told them.
//!
//! The stage keeps its own snapshot of the room, the one it last walked: everybody on the lists has been told what is in it and nothing later, so a
//! joining peer can be told the same, whatever the sequencer publishes meanwhile. Reading the room's newest snapshot instead would tell the
//! frames between the two twice. A crowd is made for the first peer of a room and dropped with its last.

use crate::live::protocol::Since;
use crate::live::room::Room;
use crate::live::snapshot::Snapshot;
use crate::live::{ByRole, Role};
use crate::wire::join_frames;
use bytes::Bytes;
use std::sync::Arc;

/// The peers of one room on one stage, by their slots.
#[derive(Debug)]
pub struct Subscribers {
    pub room: Arc<Room>,
    /// What its stage last walked.
    pub snapshot: Arc<Snapshot>,
    /// Those who hear what their role hears.
    pub admitted: ByRole<Vec<u32>>,
    /// Those who have yet to prove their role, and hear nothing.
    pub awaiting: Vec<PendingAuth>,
    /// The last frames that somebody had missed: after a restart many have missed the same, and share one buffer.
    missed: Option<Missed>,
}

/// A peer that has yet to prove its role.
#[derive(Clone, Copy, Debug)]
pub struct PendingAuth {
    pub slot: u32,
    pub since: Option<Since>,
}

#[derive(Debug)]
struct Missed {
    after: u64,
    through: u64,
    frames: Bytes,
}

impl Subscribers {
    /// An empty crowd that begins where the room stands: the stage has walked nothing of it that could be later.
    pub fn new(room: Arc<Room>) -> Self {
        Self { snapshot: room.snapshot(), room, admitted: ByRole::default(), awaiting: Vec::new(), missed: None }
    }

    /// Whether nobody is left.
    pub fn is_empty(&self) -> bool {
        self.awaiting.is_empty() && self.admitted.0.iter().all(Vec::is_empty)
    }

    /// Everybody's slot.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        self.admitted.0.iter().flatten().copied().chain(self.awaiting.iter().map(|petition| petition.slot))
    }

    /// Takes the peer at `index` off a role's list, and names the one that has moved into its place.
    pub fn dismiss(&mut self, role: Role, index: u32) -> Option<u32> {
        self.admitted[role].swap_remove(index as usize);
        self.admitted[role].get(index as usize).copied()
    }

    /// Takes the petition at `index`, and names the peer whose petition has moved into its place.
    pub fn settle(&mut self, index: u32) -> (PendingAuth, Option<u32>) {
        let petition = self.awaiting.swap_remove(index as usize);
        (petition, self.awaiting.get(index as usize).map(|moved| moved.slot))
    }

    /// The frames after `since` up to `through`, which lies not ahead of the snapshot, as one buffer; none when it is another history or they are no longer held.
    pub fn missed(&mut self, since: Since, through: u64) -> Option<Bytes> {
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
        self.missed = Some(Missed { after, through, frames: frames.clone() });
        Some(frames)
    }

    /// Gives the shared buffer of missed frames back.
    pub fn forget_missed(&mut self) {
        self.missed = None;
    }

    /// The `seq` that ends in the bits of `low`, at or before the snapshot's last.
    pub fn seq(&self, low: u32) -> u64 {
        let last = self.snapshot.ring.last_seq();
        last.saturating_sub(u64::from((last as u32).wrapping_sub(low)))
    }
}
