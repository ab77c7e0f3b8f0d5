//! The peers of one room on one reactor, and the last snapshot that this reactor broadcast to them.
//!
//! The reactor keeps a snapshot of its own per room: every peer on the lists has been sent all of
//! it and nothing later. A joining peer gets the same snapshot, whatever the sequencer publishes
//! meanwhile. With the room's newest snapshot instead, it would get the frames between the two
//! twice. The first peer of a room creates its `Subscribers`, the last one's leave drops them.
//!
//! The lists and the room's shared counts change together, here and nowhere else. So what this
//! reactor has added to a count is known at any time, and can be taken back after a panic.

use crate::live::message_handler::ResumePoint;
use crate::live::room::{Room, Snapshot};
use crate::live::{ByRole, Role};
use crate::wire::join_frames;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The peers of one room on one reactor, by their slots.
#[derive(Debug)]
pub struct Subscribers {
    pub room: Arc<Room>,
    /// The snapshot of the last publication that the reactor broadcast.
    pub snapshot: Arc<Snapshot>,
    /// Peers that get their role's frames. Changed by `admit` and `remove_admitted` alone.
    pub admitted: ByRole<Vec<u32>>,
    /// Peers that this reactor has added to the room's count of peers behind.
    behind: u32,
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
    frames: Bytes,
}

impl Subscribers {
    /// No peers yet, at the room's current snapshot: the reactor has not broadcast anything later
    /// of this room.
    pub fn new(room: Arc<Room>) -> Self {
        let (admitted, pending_auth) = (ByRole::default(), Vec::new());
        Self { snapshot: room.snapshot(), room, admitted, behind: 0, pending_auth, missed: None }
    }

    /// Has the last peer left?
    pub fn is_empty(&self) -> bool {
        self.pending_auth.is_empty() && self.admitted.0.iter().all(Vec::is_empty)
    }

    /// The slots of all peers, admitted or not.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        self.admitted.0.iter().flatten().copied().chain(self.pending_auth.iter().map(|pending| pending.slot))
    }

    /// Adds a peer to a role's list and counts it. Returns the length of the list.
    pub fn admit(&mut self, role: Role, slot: u32) -> usize {
        self.admitted[role].push(slot);
        self.room.connections.count_join(role);
        self.admitted[role].len()
    }

    /// Removes the peer at `index` of a role's list and counts its leave. Returns the slot of the
    /// peer that moved into its position.
    pub fn remove_admitted(&mut self, role: Role, index: u32, now_ms: i64) -> Option<u32> {
        self.admitted[role].swap_remove(index as usize);
        self.room.connections.count_leave(role, now_ms);
        self.admitted[role].get(index as usize).copied()
    }

    /// Removes the pending peer at `index`. Returns it, and the slot of the peer that moved into
    /// its position.
    pub fn remove_pending(&mut self, index: u32) -> (PendingAuth, Option<u32>) {
        let pending = self.pending_auth.swap_remove(index as usize);
        (pending, self.pending_auth.get(index as usize).map(|moved| moved.slot))
    }

    /// Counts peers that fell behind.
    pub fn count_behind(&mut self, peers: u32) {
        self.behind += peers;
        self.room.connections.behind.fetch_add(peers, Relaxed);
    }

    /// Counts a peer that is no longer behind.
    pub fn count_caught_up(&mut self) {
        self.behind -= 1;
        self.room.connections.behind.fetch_sub(1, Relaxed);
    }

    /// Takes back everything that this reactor has added to the room's counts and tokens: its peers
    /// are dropped without leaving one by one.
    pub fn take_back_counts(self, reactor: u16, now_ms: i64) {
        for role in Role::ALL {
            self.admitted[role].iter().for_each(|_| self.room.connections.count_leave(role, now_ms));
        }
        self.room.connections.behind.fetch_sub(self.behind, Relaxed);
        self.room.token_sockets.remove_all_of(reactor);
    }

    /// The snapshot's frames after `since` as one buffer. `None` when `since` belongs to another
    /// epoch or the frames are no longer held.
    pub fn missed(&mut self, since: ResumePoint) -> Option<Bytes> {
        let snapshot = &self.snapshot;
        if since.epoch != snapshot.event.epoch {
            return None;
        }
        let frames = snapshot.ring.after(since.seq)?;
        if since.seq == snapshot.ring.last_seq() {
            return Some(Bytes::new());
        }
        if let Some(missed) = self.missed.as_ref().filter(|missed| missed.after == since.seq) {
            return Some(missed.frames.clone());
        }
        let frames = join_frames(frames);
        self.missed = Some(MissedFrames { after: since.seq, frames: frames.clone() });
        Some(frames)
    }

    /// Drops the shared buffer of missed frames.
    pub fn drop_missed(&mut self) {
        self.missed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::fact::Settings;
    use crate::draw::{Epoch, Event, EventId, SessionId, Timestamp};
    use crate::live::ring::Ring;
    use crate::live::roster::Roster;

    const EPOCH: Epoch = Epoch([2; 8]);

    /// Subscribers of a room that has published `frames` frames, each of which is its own number.
    fn subscribers(frames: u64) -> Subscribers {
        let id = EventId::parse("gala").unwrap();
        let event = Event::new(id, Settings::default(), SessionId([1; 16]), EPOCH, Timestamp(0));
        let mut ring = Ring::default();
        (1..=frames).for_each(|seq| ring.push(format!("{seq},").into()));
        let roster = Arc::new(Roster::new(1, 1));
        let snapshot = Snapshot { revision: 1, event, roster, ring, sync: ByRole::default(), documents: Arc::default() };
        Subscribers::new(Arc::new(Room::new(Arc::new(snapshot))))
    }

    fn after(seq: u64) -> ResumePoint {
        ResumePoint { epoch: EPOCH, seq }
    }

    #[test]
    fn missed_frames_are_those_after_the_resume_point() {
        let mut subscribers = subscribers(5);
        assert_eq!(subscribers.missed(after(2)).unwrap(), "3,4,5,");
        assert_eq!(subscribers.missed(after(5)).unwrap(), "");
        assert_eq!(subscribers.missed(after(6)), None, "a resume point of the future");
        assert_eq!(subscribers.missed(ResumePoint { epoch: Epoch([3; 8]), seq: 2 }), None, "another epoch");
    }

    #[test]
    fn peers_that_missed_the_same_frames_share_one_buffer() {
        let mut subscribers = subscribers(5);
        let first = subscribers.missed(after(2)).unwrap();
        assert_eq!(first.as_ptr(), subscribers.missed(after(2)).unwrap().as_ptr());
        assert_ne!(first.as_ptr(), subscribers.missed(after(1)).unwrap().as_ptr());
        subscribers.drop_missed();
        assert!(subscribers.missed.is_none());
    }

    #[test]
    fn the_last_peer_of_a_list_moves_into_a_freed_position() {
        let mut subscribers = subscribers(0);
        let lengths = [10, 11, 12].map(|slot| subscribers.admit(Role::Phone, slot));
        assert_eq!((lengths, subscribers.room.connections.connected(Role::Phone)), ([1, 2, 3], 3));
        subscribers.pending_auth = vec![PendingAuth { slot: 20, since: None }, PendingAuth { slot: 21, since: None }];
        assert_eq!(subscribers.slots().collect::<Vec<_>>(), [10, 11, 12, 20, 21]);
        assert_eq!(subscribers.remove_admitted(Role::Phone, 0, 0), Some(12));
        assert_eq!(subscribers.remove_admitted(Role::Phone, 1, 0), None, "the last one leaves no gap");
        let (pending, moved) = subscribers.remove_pending(0);
        assert_eq!((pending.slot, moved, subscribers.is_empty()), (20, Some(21), false));
        subscribers.remove_pending(0);
        assert_eq!(subscribers.remove_admitted(Role::Phone, 0, 0), None);
        assert!(subscribers.is_empty() && subscribers.room.connections.total() == 0);
    }
}
