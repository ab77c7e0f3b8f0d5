//! Rooms: each event's live state as threads share it, and the directory that finds a room by its
//! name.
//!
//! Readers load a whole snapshot and never wait for the sequencer, which swaps in the next one. A
//! lock around an event that changes in place would have every request wait for every change. Only
//! the sequencer may publish a snapshot or change the directory.

use crate::draw::{Event, EventId, Number, Phase, Timestamp};
use crate::live::connection_counts::ConnectionCounts;
use crate::live::delivery::Delivery;
use crate::live::ring::Ring;
use crate::live::roster::Roster;
use crate::live::token_sockets::TokenSockets;
use crate::live::{ByRole, CloseCode, PeerId};
use crate::wire::frame::ConnectionTotals;
use arc_swap::ArcSwap;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// An event at one publication. It never changes; the next publication brings the next snapshot.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Rises by one per publication of this event, from 1 at every start of the server.
    pub revision: u64,
    /// The event's state.
    pub event: Event,
    /// The source of numbers in the event's present session.
    pub roster: Arc<Roster>,
    /// The last numbered frames, for peers that return.
    pub ring: Ring,
    /// The ready-made `state_sync` per role, as whole WebSocket frames.
    pub sync: ByRole<Bytes>,
    /// Answers made from the snapshot. Later snapshots share them until something in them changes.
    pub documents: Arc<Documents>,
}

/// The large answers that everybody may ask for: each is made at its first request, and every later
/// answer is a reference to it.
#[derive(Debug, Default)]
pub struct Documents {
    /// The announced draws.
    pub results: OnceLock<Bytes>,
    /// The proof of each pick.
    pub proof: OnceLock<Bytes>,
    /// The proof with the hash of every registration.
    pub proof_with_leaves: OnceLock<Bytes>,
}

/// One event's live state. Dropping it frees the snapshot; its peers hold it, and are closed before
/// it goes.
#[derive(Debug)]
pub struct Room {
    /// The event's name.
    pub id: EventId,
    snapshot: ArcSwap<Snapshot>,
    seq: watch::Sender<u64>,
    /// Counts of the connected peers.
    pub connections: ConnectionCounts,
    /// Delivery of the last announcement.
    pub delivery: Delivery,
    /// The sockets of each number.
    pub(super) token_sockets: TokenSockets,
    /// Set once the room is closed for good. Written by the reactors when they broadcast the
    /// publication that closes it.
    close_code: OnceLock<CloseCode>,
}

impl Room {
    /// A room that shows `snapshot`.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            id: snapshot.event.id.clone(),
            seq: watch::Sender::new(snapshot.ring.last_seq()),
            snapshot: ArcSwap::new(snapshot),
            connections: ConnectionCounts::default(),
            delivery: Delivery::default(),
            token_sockets: TokenSockets::default(),
            close_code: OnceLock::new(),
        }
    }

    /// Closes the room for good. A socket that is still on its way to a reactor is closed with the
    /// same code.
    pub(super) fn close(&self, code: CloseCode) {
        // Every reactor sets the same code, so the first may win.
        let _ = self.close_code.set(code);
    }

    /// The code that the room was closed with, if it was.
    pub(super) fn close_code(&self) -> Option<CloseCode> {
        self.close_code.get().copied()
    }

    /// The event's current snapshot. Load it once per unit of work, so that an answer is
    /// consistent.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Swaps in a newer snapshot and wakes the long polls that wait for its frames. Called by the
    /// sequencer, or on an edge by the link to the origin.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let seq = snapshot.ring.last_seq();
        self.snapshot.store(snapshot);
        self.seq.send_if_modified(|last| std::mem::replace(last, seq) != seq);
    }

    /// Numbers that have a socket: neither viewers nor a phone's second tab count.
    pub fn phones_connected(&self) -> usize {
        self.token_sockets.len()
    }

    /// The connections of all roles.
    pub fn connection_totals(&self) -> ConnectionTotals {
        ConnectionTotals { sockets: self.connections.total(), phones: Some(self.phones_connected() as u32) }
    }

    /// The sockets that have proved this number, the oldest first.
    pub fn sockets_of(&self, number: Number) -> Vec<PeerId> {
        self.token_sockets.of(number)
    }

    /// A watch on the `seq` of the event's last numbered frame.
    pub fn watch_seq(&self) -> watch::Receiver<u64> {
        self.seq.subscribe()
    }
}

/// All rooms, by their event's name. Every request reads it; the sequencer alone changes it.
#[derive(Debug, Default)]
pub struct Directory {
    rooms: ArcSwap<BTreeMap<EventId, Arc<Room>>>,
}

impl Directory {
    /// The room of this event.
    pub fn find(&self, event: &str) -> Option<Arc<Room>> {
        self.rooms.load().get(event).cloned()
    }

    /// All rooms, sorted by name.
    pub fn all(&self) -> Vec<Arc<Room>> {
        self.rooms.load().values().cloned().collect()
    }

    /// The event that was opened last among those that are not closed. Requests that name no event
    /// ask for it, so the rooms are neither cloned nor collected.
    pub fn newest_open(&self) -> Option<EventId> {
        let mut newest: Option<(Timestamp, EventId)> = None;
        for room in self.rooms.load().values() {
            let event = &room.snapshot.load().event;
            let is_newer = newest.as_ref().is_none_or(|(opened_at, _)| *opened_at <= event.opened_at);
            if event.phase != Phase::Closed && is_newer {
                newest = Some((event.opened_at, event.id.clone()));
            }
        }
        newest.map(|(_, id)| id)
    }

    /// Adds a room. Called by the sequencer alone, so that no other change is lost between the load
    /// and the store.
    pub fn insert(&self, room: Arc<Room>) {
        let mut rooms = BTreeMap::clone(&self.rooms.load());
        rooms.insert(room.id.clone(), room);
        self.rooms.store(Arc::new(rooms));
    }

    /// Removes rooms; threads that hold one may finish reading. Called by the sequencer alone.
    pub fn remove(&self, events: &[EventId]) {
        let mut rooms = BTreeMap::clone(&self.rooms.load());
        events.iter().for_each(|event| drop(rooms.remove(event)));
        self.rooms.store(Arc::new(rooms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::fact::Settings;
    use crate::draw::{Epoch, SessionId};

    fn snapshot(name: &str) -> Snapshot {
        let event =
            Event::new(EventId::parse(name).unwrap(), Settings::default(), SessionId([1; 16]), Epoch([2; 8]), Timestamp(0));
        let roster = Arc::new(Roster::new(1, 1));
        Snapshot { revision: 1, event, roster, ring: Ring::default(), sync: ByRole::default(), documents: Arc::default() }
    }

    #[test]
    fn a_watch_wakes_for_a_new_frame_and_for_nothing_else() {
        let mut next = snapshot("gala");
        let room = Room::new(Arc::new(next.clone()));
        let watch = room.watch_seq();
        next.revision += 1;
        room.publish(Arc::new(next.clone()));
        assert_eq!((room.snapshot().revision, watch.has_changed().unwrap()), (2, false), "counts alone wake no poll");
        next.ring.push("frame".into());
        room.publish(Arc::new(next));
        assert_eq!((*watch.borrow(), watch.has_changed().unwrap()), (1, true));
    }

    #[test]
    fn a_room_keeps_its_first_close_code() {
        let room = Room::new(Arc::new(snapshot("gala")));
        assert_eq!(room.close_code(), None);
        room.close(CloseCode::NoSuchEvent);
        room.close(CloseCode::Restarting);
        assert_eq!(room.close_code(), Some(CloseCode::NoSuchEvent));
    }

    #[test]
    fn a_removed_room_is_found_no_more_and_its_holders_read_on() {
        let directory = Directory::default();
        for name in ["b", "a"] {
            directory.insert(Arc::new(Room::new(Arc::new(snapshot(name)))));
        }
        let names = || directory.all().iter().map(|room| room.id.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(), ["a", "b"]);
        let held = directory.find("a").unwrap();
        directory.remove(&[EventId::parse("a").unwrap()]);
        assert!(directory.find("a").is_none());
        assert_eq!((names(), held.snapshot().revision), (vec!["b".to_owned()], 1));
    }
}
