//! Which rooms there are. Read by every request, changed only by the sequencer.

use crate::draw::EventId;
use crate::live::room::Room;
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The rooms by their event's name.
#[derive(Debug, Default)]
pub struct Directory {
    rooms: ArcSwap<BTreeMap<EventId, Arc<Room>>>,
}

impl Directory {
    /// The room of that name.
    pub fn find(&self, event: &str) -> Option<Arc<Room>> {
        self.rooms.load().get(event).cloned()
    }

    /// All rooms, by name.
    pub fn all(&self) -> Vec<Arc<Room>> {
        self.rooms.load().values().cloned().collect()
    }

    /// Adds a room. Called by the sequencer alone, so that no other change can come between reading and storing.
    pub fn insert(&self, room: Arc<Room>) {
        let mut rooms = BTreeMap::clone(&self.rooms.load());
        rooms.insert(room.id.clone(), room);
        self.rooms.store(Arc::new(rooms));
    }

    /// Takes a room out; whoever still holds it may finish reading. Called by the sequencer alone.
    pub fn remove(&self, event: &str) {
        let mut rooms = BTreeMap::clone(&self.rooms.load());
        rooms.remove(event);
        self.rooms.store(Arc::new(rooms));
    }
}
